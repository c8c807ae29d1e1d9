"""The real kubectls of this machine, and running them. Nothing here is a test.

Found are the `kubectl` on PATH and every `kubectl.1.NN` beside the file that it links to.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

LIMIT_S = 60.0
NONE_INSTALLED = "no kubectl on PATH"


def installed() -> list[Path]:
    """The versioned kubectls, oldest first, and last the one on PATH; empty where there is none."""
    found = shutil.which("kubectl")
    if found is None:
        return []
    beside = Path(found).resolve().parent.glob("kubectl.1.*")
    versioned = [each for each in beside if each.suffix[1:].isdigit() and os.access(each, os.X_OK)]
    return [*sorted(versioned, key=lambda path: int(path.suffix[1:])), Path(found)]


def _ends() -> list[Path]:
    versioned = installed()[:-1] or installed()
    return list(dict.fromkeys((versioned[0], versioned[-1]))) if versioned else []


ENDS = _ends()
"""The oldest and the newest."""


def parameters(programs: Sequence[Path]) -> list[object]:
    """For pytest.mark.parametrize: the programs by name, or one case that is skipped with the reason."""
    if not programs:
        return [pytest.param(None, marks=pytest.mark.skip(reason=NONE_INSTALLED), id="no kubectl")]
    return [pytest.param(each, id=each.name) for each in programs]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a kubectl that has ended said."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The table on stdout, row by row, split at runs of blanks."""
        return [line.split() for line in self.out.splitlines()]


class Following:
    """A kubectl that keeps printing (`-w`, `logs -f`, port-forward): its lines so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._queue: queue.Queue[str] = queue.Queue()
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(line.rstrip("\n"))

    def until(self, true: Callable[[list[str]], bool], *, within_s: float = LIMIT_S) -> list[str]:
        """The lines so far, once `true(lines)`. Raises AssertionError with the lines when that takes too long."""
        deadline = time.monotonic() + within_s
        while not true(self.lines):
            try:
                self.lines.append(self._queue.get(timeout=max(0.01, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"not seen within {within_s:.0f} s; seen:\n" + "\n".join(self.lines)) from None
        return self.lines


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One kubectl, pointed at one cluster and namespace. Call it with its arguments."""

    program: Path
    kubeconfig: Path
    home: Path
    """Where it keeps its discovery cache."""
    namespace: str = "default"
    environment: Mapping[str, str] = field(default_factory=dict)

    def within(self, namespace: str) -> Kubectl:
        """The same one in another namespace."""
        return replace(self, namespace=namespace)

    def __call__(self, *arguments: str, code: int | None = 0, stdin: str = "", limit_s: float = LIMIT_S, **environment: str) -> Ran:
        """Run it to its end, which must come within `limit_s`. `code` is the exit code that it must have, None for any. Keywords in
        capitals are environment variables."""
        done = subprocess.run(
            self._command(arguments),
            input=stdin,
            env={**self._env(), **environment},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout, done.stderr)
        if code is not None:
            assert ran.code == code, f"`{self.program.name} {' '.join(arguments)}` ended with {ran.code}\n{ran.out}{ran.err}"
        return ran

    @contextmanager
    def following(self, *arguments: str) -> Iterator[Following]:
        """Run one that does not end by itself; it is stopped at the end of the block."""
        process = subprocess.Popen(
            self._command(arguments), env=self._env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        with process:
            try:
                yield Following(process)
            finally:
                process.kill()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(self.program), f"--namespace={self.namespace}", *arguments]

    def _env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), "TMPDIR": str(self.home), **self.environment}
