"""An event loop on which time is virtual: when nothing is ready, it jumps to the next timer instead of waiting.

Real input (sockets, results of threads) still wakes it. `limit` bounds the jumps: a loop that reached its limit waits for
real, until `advance` moves the limit on. With no limit (the default) time flies whenever everything is idle, which is what
component tests want: an hour of heartbeats costs what the heartbeats cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any


class _VirtualSelector(selectors.BaseSelector):
    """Wraps the real selector: instead of sleeping `timeout` seconds it moves the loop's time on by as much."""

    def __init__(self, loop: VirtualTimeLoop, real: selectors.BaseSelector) -> None:
        self._loop, self._real = loop, real

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._loop.threads_busy:
            return self._real.select(timeout)
        if not self._loop.jump(timeout):
            return self._real.select(None)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. `time()` starts at 0. Use with `asyncio.Runner(loop_factory=VirtualTimeLoop)`."""

    def __init__(self, limit: float | None = None) -> None:
        self._now = 0.0
        self._limit = limit
        self.threads_busy = 0
        """How many results of threads are awaited: while any is, time stands still and the loop really waits."""
        super().__init__(_VirtualSelector(self, selectors.DefaultSelector()))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> bool:
        """Move on by `seconds`, or up to the limit; False when already there."""
        target = self._now + seconds
        if self._limit is not None and target > self._limit:
            if self._now >= self._limit:
                return False
            target = self._limit
        self._now = target
        return True

    def advance(self, seconds: float) -> None:
        """Allow time to pass up to `seconds` beyond the present limit. Call it on the loop's own thread."""
        self._limit = (self._now if self._limit is None else max(self._limit, self._now)) + seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self.threads_busy += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: Any) -> None:
        self.threads_busy -= 1


@contextlib.asynccontextmanager
async def real_timeout(seconds: float) -> AsyncIterator[None]:
    """`asyncio.timeout`, in real seconds on every loop: for what waits for a real socket. On a virtual one time stands still inside, for
    otherwise it would fly while the peer is busy."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        async with asyncio.timeout(seconds):
            yield
        return
    async with asyncio.timeout(None) as limit:
        is_over = False

        def end() -> None:
            if not is_over:
                limit.reschedule(loop.time())

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end)

        timer = threading.Timer(seconds, wake)
        timer.daemon = True
        timer.start()
        loop.threads_busy += 1
        try:
            yield
        finally:
            is_over = True
            loop.threads_busy -= 1
            timer.cancel()
