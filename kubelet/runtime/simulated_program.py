"""What a simulated container's command does, as far as `kubelet/shell` knows it: one timer instead of one process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from kube.objects import Object, name_of
from kubelet.environment import expanded
from kubelet.runtime.base import ContainerState
from kubelet.runtime.simulated_container import SimulatedContainer
from kubelet.runtime.simulated_files import MountedFiles
from kubelet.runtime.simulated_pod import SimulatedPod
from kubelet.shell import interpreter
from kubelet.shell.interpreter import NotSimulated
from kubelet.shell.machine import Ask, Effects, Lookup, Machine, Out, Reply

_REPLAY_MAX = 100_000
"""Effects that are gone through again, at most, for a container that was there before the agent."""
_ASKED_AGAIN_MAX = 100
"""Questions that are asked again on the way."""


def argv_of(container: Object, envs: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """command and args, with `$(NAME)` replaced from `envs`; empty when the image decides."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return tuple(expanded(each, envs) for each in words) if envs is not None else tuple(words)


@lru_cache(maxsize=4096)
def _is_known(argv: Sequence[str], resolves: bool) -> bool:
    return interpreter.knows(argv, resolves=resolves)


def program_of(known: SimulatedPod, container: SimulatedContainer, lookup: Lookup | None = None) -> Program:
    """`lookup` carries out what is asked of DNS."""
    machine = Machine(
        now=container.now,
        env=environment(known, container),
        files=container.files,
        directories=container.files.directories if isinstance(container.files, MountedFiles) else frozenset,
        hostname=known.pod["spec"].get("hostname") or name_of(known.pod),
        ip=known.ip,
        resolves=lookup is not None,
    )
    return Program(container, machine, lookup)


def environment(known: SimulatedPod, container: SimulatedContainer) -> dict[str, str]:
    base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": name_of(known.pod)}
    return base | dict(container.config.envs) | {"HOME": "/root"}


class Program:
    """The command of one container, or commands run beside it in the same files."""

    def __init__(self, container: SimulatedContainer, machine: Machine, lookup: Lookup | None = None) -> None:
        self._container, self.machine, self._lookup = container, machine, lookup
        self._moment: datetime | None = None
        self._line = {"stdout": "", "stderr": ""}

    @staticmethod
    def is_known(argv: Sequence[str], *, resolves: bool) -> bool:
        """Whether the shell knows every command in it; `resolves`: DNS can be asked."""
        return bool(argv) and _is_known(tuple(argv), resolves)

    def knows(self, argv: Sequence[str]) -> bool:
        """Whether all of it can be run here."""
        return self.is_known(argv, resolves=self._lookup is not None)

    async def ask(self, ask: Ask) -> Reply | None:
        """Carry out a question."""
        return await self._lookup(ask) if self._lookup is not None else None

    def run(self, *, lived_s: float = 0.0) -> None:
        """Let the container's own command run; it ends the container. `lived_s`: how long it has been running already."""
        argv = argv_of(self._container.spec, self._container.config.envs)
        if not self.knows(argv):
            return
        effects = interpreter.run(argv, self.machine)
        if lived_s > 0:
            self._go_on(effects, lived_s)
        else:
            self._after(0.0, effects)

    def start(self, command: Sequence[str]) -> Effects:
        """Another command, in the same files."""
        return interpreter.run(command, self.machine)

    def _after(self, delay_s: float, effects: Effects) -> None:
        if delay_s <= 0:
            self._advance(effects)
        elif delay_s != math.inf:
            self._container.timer = asyncio.get_running_loop().call_later(delay_s, self._advance, effects)

    def _advance(self, effects: Effects) -> None:
        """Go on to the next sleep, or to the end."""
        self._container.timer = None
        if self._container.state is not ContainerState.RUNNING:
            return
        try:
            while True:
                effect = next(effects)
                if isinstance(effect, Out):
                    self._say(effect)
                elif isinstance(effect, Ask):
                    self._container.timer = asyncio.get_running_loop().create_task(self._asked(effect, effects))
                    return
                elif effect.seconds > 0:
                    self._after(effect.seconds, effects)
                    return
        except StopIteration as stop:
            self._end(int(stop.value))
        except NotSimulated as error:
            self._container.say(f"Wherry simulates this container: it does not know {error}, so nothing more happens")

    async def _asked(self, ask: Ask, effects: Effects) -> None:
        ask.reply = await self.ask(ask)
        self._advance(effects)

    def _end(self, code: int) -> None:
        for stream, text in self._line.items():
            if text:
                self._container.say(text, stream)
        self._container.end(code)

    def _say(self, effect: Out) -> None:
        """Whole lines into the log; the beginning of a line waits for its end."""
        *lines, self._line[effect.stream] = (self._line[effect.stream] + effect.text).split("\n")
        for line in lines:
            self._container.say(line, effect.stream)

    def _go_on(self, effects: Effects, lived_s: float, passed_s: float = 0.0, asked: int = 0) -> None:
        """Go through what has happened already, quickly, from `passed_s` to `lived_s`, and on from there."""
        found = self._replay(effects, lived_s, passed_s)
        if not isinstance(found, tuple):
            self._after(found, effects)
            return
        ask, passed_s = found
        again = self._asked(ask, effects) if asked >= _ASKED_AGAIN_MAX else self._asked_again(ask, effects, lived_s, passed_s, asked + 1)
        self._container.timer = asyncio.get_running_loop().create_task(again)

    async def _asked_again(self, ask: Ask, effects: Effects, lived_s: float, passed_s: float, asked: int) -> None:
        """What was answered then is not known any more; what is answered now is as good."""
        ask.reply = await self.ask(ask)
        self._container.timer = None
        if self._container.state is ContainerState.RUNNING:
            self._go_on(effects, lived_s, passed_s, asked)

    def _replay(self, effects: Effects, lived_s: float, passed_s: float) -> float | tuple[Ask, float]:
        """How long the present sleep still lasts, or a question that was asked on the way, and when."""
        started = self._container.started_at or self._container.now()
        self.machine.now = lambda: started + timedelta(seconds=passed_s)
        try:
            for _ in range(_REPLAY_MAX):
                effect = next(effects)
                if isinstance(effect, Out):
                    self._say(effect)
                    continue
                if isinstance(effect, Ask):
                    return effect, passed_s
                if passed_s + effect.seconds > lived_s:
                    return passed_s + effect.seconds - lived_s
                passed_s += effect.seconds
        except StopIteration as stop:
            asyncio.get_running_loop().call_soon(self._end, int(stop.value))
            return math.inf
        except NotSimulated:
            return math.inf
        finally:
            self.machine.now = self._container.now
        return 0.0
