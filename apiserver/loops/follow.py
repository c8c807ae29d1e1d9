"""How the server's own loops run: they follow the watch caches of this process, and look again at whatever may have changed.

A `Loop` says which resources it watches, which of its keys a change concerns, and how to settle one key; a `Follower` runs it. Keys, not
events: a key that changes ten times while it waits is settled once. Bounded: one entry a key; a watch that falls behind starts over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from apiserver.registry.cache import Change, Watcher
from apiserver.registry.registry import Registries
from kube import errors
from kube.resources import Resource

log: Final = logging.getLogger("wherry.apiserver.loops")
TOGETHER_MAX: Final = 64
"""How many keys are settled at once: together, so that their writes share commits."""

BURST_MAX: Final = 20
"""How often one key is settled within `BURST_S`; after that it waits: whoever fights us over an object gets a slow fight."""

BURST_S: Final = 1.0
RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 30.0
BURSTS_KEPT_MAX: Final = 10_000

Concerns = Callable[[Change], Iterable[str]]
"""Which keys a change concerns."""


class Loop(Protocol):
    """See the module."""

    name: str

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        """What to watch."""
        ...

    def reset(self) -> Iterable[str]:
        """Forget what was seen; the caches hold everything now. All keys there are."""
        ...

    async def settle(self, key: str) -> float | None:
        """Make one key so. Seconds after which to look once more, if no change comes first. Raising means: try again later."""
        ...


class Follower:
    """Runs one loop: `start` settles all there is, `run` goes on from there."""

    def __init__(self, registries: Registries, loop: Loop) -> None:
        self._registries, self._loop = registries, loop
        self._watchers: list[tuple[Watcher, Concerns]] = []
        self._due: dict[str, None] = {}
        self._failures: dict[str, int] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._bursts: dict[str, tuple[float, int]] = {}  # when this second of a key began, and how often it was settled since
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Settle everything there is. What fails is tried again by `run`."""
        await self._subscribe()
        await self._settle_due()

    async def listen(self) -> None:
        """In place of `start`: miss nothing from now on, and leave the settling to `run`."""
        await self._subscribe()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._collect()
                await self._settle_due()
        finally:
            self._unsubscribe()
            for handle in self._later.values():
                handle.cancel()

    # --- what is due --------------------------------------------------------------------------------------------------

    async def _subscribe(self) -> None:
        self._unsubscribe()
        for resource, concerns in self._loop.sources():
            cache = self._registries.get(resource).cache
            await cache.catch_up()
            watcher = await cache.watch("", "", cache.revision)
            watcher.ready = self._wake
            self._watchers.append((watcher, concerns))
        for key in self._loop.reset():
            self._due[key] = None

    def _unsubscribe(self) -> None:
        for watcher, _ in self._watchers:
            watcher.close()
        self._watchers = []

    async def _collect(self) -> None:
        """Note what the changes since last time concern."""
        if any(watcher.cut_off for watcher, _ in self._watchers):
            await self._subscribe()
            return
        for watcher, concerns in self._watchers:
            for change in watcher.take():
                for key in concerns(change):
                    self._due[key] = None

    def _look_again(self, key: str) -> None:
        self._later.pop(key, None)
        self._due[key] = None
        self._wake.set()

    # --- settling -----------------------------------------------------------------------------------------------------

    async def _settle_due(self) -> None:
        while self._due:
            keys = list(self._due)[:TOGETHER_MAX]
            for key in keys:
                del self._due[key]
            await asyncio.gather(*(self._settle(key) for key in keys))
            await self._collect()

    async def _settle(self, key: str) -> None:
        waiting = self._later.pop(key, None)
        if waiting is not None:
            waiting.cancel()
        wait_s = self._pause(key)
        if wait_s:
            self._again(key, wait_s)
            return
        try:
            again_s = await self._loop.settle(key)
        except Exception as error:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            again_s = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(count - 1, 16))
            if not isinstance(error, errors.Conflict | errors.NotFound):
                log.warning("%s: %s: %s; trying again in %.2f s", self._loop.name, key, error or type(error).__name__, again_s)
        else:
            self._failures.pop(key, None)
        if again_s is not None:
            self._again(key, again_s)

    def _again(self, key: str, after_s: float) -> None:
        self._later[key] = asyncio.get_running_loop().call_later(after_s, self._look_again, key)

    def _pause(self, key: str) -> float:
        """Counts one settling of a key. Seconds that it has to wait first, because there were too many."""
        now = asyncio.get_running_loop().time()
        began, count = self._bursts.get(key, (now, 0))
        if now - began >= BURST_S:
            began, count = now, 0
        if count >= BURST_MAX:
            return BURST_S - (now - began)
        self._bursts[key] = (began, count + 1)
        if len(self._bursts) > BURSTS_KEPT_MAX:
            self._bursts = {each: (start, n) for each, (start, n) in self._bursts.items() if now - start < BURST_S}
        return 0.0
