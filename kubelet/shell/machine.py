"""What scripts see and do: the machine they believe to run on, and the effects they have on the world outside. Data only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Generator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime

FILE_CHARS_MAX = 1 << 20
"""Larger files lose their beginning."""
FILES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Sleep:
    """Go on after that long; `math.inf`: never."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Out:
    """Text for "stdout" or "stderr"."""

    text: str
    stream: str = "stdout"


@dataclass(frozen=True, slots=True)
class Found:
    """One DNS record, its data as in a zone file."""

    name: str
    ttl_s: int
    type: str
    data: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a DNS server answered: its code ("NOERROR", "NXDOMAIN", ...) and the records."""

    code: str
    found: tuple[Found, ...] = ()


@dataclass(slots=True)
class Ask:
    """A question for the DNS server at an address. Whoever carries it out sets `reply` before the script goes on; None: nobody answered."""

    server: str
    name: str
    type: str
    over_tcp: bool = False
    reply: Reply | None = None


Lookup = Callable[[Ask], Awaitable[Reply | None]]
"""Carries out an Ask. Raises nothing."""
Effect = Sleep | Out | Ask
Effects = Generator[Effect, None, int]


@dataclass(slots=True)
class Machine:
    """A container's environment, files (path -> text) and clock, as its scripts see them."""

    now: Callable[[], datetime]
    env: dict[str, str] = field(default_factory=dict)
    files: MutableMapping[str, str] = field(default_factory=dict)
    directories: Callable[[], Collection[str]] = frozenset
    """Those that are there without a file in them."""
    hostname: str = "localhost"
    cwd: str = "/"
    ip: str = ""
    resolves: bool = False
    """Whether there is anybody to carry out an Ask; without, the commands that need it are not known."""
    last: int = 0
    """The exit code of the last command."""
    steps: int = 0
    """Commands since the last sleep."""
    stdin: str = ""

    def append(self, path: str, text: str) -> None:
        """Add to a file, which comes to be if there is room for one more."""
        if path in self.files or len(self.files) < FILES_MAX:
            self.files[path] = (self.files.get(path, "") + text)[-FILE_CHARS_MAX:]


def absolute(path: str, machine: Machine) -> str:
    return path if path.startswith("/") else f"{machine.cwd.rstrip('/')}/{path}"
