"""Trouble for a cluster, by a seed: processes die at any moment or in the midst of any request and are started again, the store forgets
its past, and clocks jump."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from apiserver.store.base import Compacted
from tests.scenario.faults import FaultyTransport, Fuse, JumpingClock
from wherry.in_process import InProcessCluster

SERVER = "apiserver"
DOWN_S_MAX = 5.0
"""So long at most a process is down."""
_FUSE_S_MAX = 5.0
"""So long at most a request is waited for that somebody is to die in."""
_JUMP_S_MAX = 3600.0


class Processes(Protocol):
    """What can be killed and started."""

    async def kill(self, name: str) -> None: ...
    def start(self, name: str) -> None: ...


class Tormentor:
    """Makes trouble when asked to. `agents` says for each part whose requests are its own."""

    def __init__(
        self, cluster: InProcessCluster, processes: Processes, agents: Mapping[str, str], faults: FaultyTransport, rng: random.Random
    ) -> None:
        self._cluster, self._processes, self._agents, self._faults, self._rng = cluster, processes, agents, faults, rng
        self.clock: JumpingClock | None = None
        """Whose clock jumps, if it does."""
        self.log: list[str] = []

    async def some(self, parts: Sequence[str], *, times: int | None = None) -> None:
        """A few troubles, one after the other."""
        for _ in range(self._rng.randrange(1, 5) if times is None else times):
            await asyncio.sleep(self._rng.uniform(0.0, 2.0))
            chance = self._rng.random()
            if chance < 0.1:
                await self.compact()
            elif chance < 0.2 and self.clock is not None:
                self.jump()
            else:
                await self.stop_one(self._rng.choice(parts))

    async def stop_one(self, part: str) -> None:
        """Kill a part at once, in the midst of one of its next requests or after some turns of the loop, and start it again a little
        later."""
        when = self._rng.random()
        fuse = await self.lit(part) if when < 0.4 else None
        if when > 0.7:
            await self._turns()
        self.say(f"{part} dies")
        down_s = self._rng.uniform(0, DOWN_S_MAX)
        if part == SERVER:
            await self._cluster.restart_server(down_s=down_s)
        else:
            await self._processes.kill(part)
            await asyncio.sleep(down_s)
            self._processes.start(part)
        if fuse is not None:
            fuse.over.set()
        self.say(f"{part} is back")

    def jump(self) -> None:
        """Set the clock, if it is one that jumps."""
        if self.clock is not None:
            self.clock.ahead_s += self._rng.uniform(-_JUMP_S_MAX, _JUMP_S_MAX)
            self.say(f"the clock is {self.clock.ahead_s:+.0f} s ahead")

    async def compact(self) -> None:
        """The store forgets everything but the present: watches that go on from the past, and pages of lists begun then, are refused."""
        store = self._cluster.built.store
        with suppress(Compacted):
            await store.compact(await store.revision())
        self.say("compacted")

    async def _turns(self) -> None:
        """Some turns of the loop: whoever is at work is at another await then."""
        for _ in range(self._rng.randrange(400)):
            await asyncio.sleep(0)

    async def lit(self, part: str) -> Fuse:
        """A fuse that has blown, or would not."""
        fuse = Fuse(self._agents.get(part, ""), self._rng.randrange(20), is_done=self._rng.random() < 0.5)
        self._faults.fuse = fuse
        with suppress(TimeoutError):
            async with asyncio.timeout(_FUSE_S_MAX):
                await fuse.blown.wait()
        self._faults.fuse = None
        return fuse

    def say(self, what: str) -> None:
        self.log.append(f"{asyncio.get_running_loop().time():9.3f} {what}")
