"""An event loop in a thread of its own, called from other threads; and one on which time stands still between the calls.

`StandingTimeLoop` is a `kube.virtual.VirtualTimeLoop` whose time passes only while a call is under way and nothing else can be done: then
it jumps to the next timer. Between calls nothing but what is due already happens. `settled` waits for that to have happened, too, so that
what a caller finds next does not depend on how fast the threads are.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kube.virtual import VirtualTimeLoop

T = TypeVar("T")
Main = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
"""What the thread runs: it sets the event once calls are welcome, and goes on until it is cancelled."""
_LOOK_S = 0.5
"""How often a caller looks whether the thread is still there."""
_FAR_S = 3600.0


class LoopEnded(RuntimeError):
    """The loop's thread is not running: it was stopped, or its main coroutine ended."""


class StandingTimeLoop(VirtualTimeLoop):
    """See the module. `flights` counts the calls under way."""

    def __init__(self) -> None:
        super().__init__()
        self.flights = 0
        self._settling: list[asyncio.Future[None]] = []

    def jump(self, seconds: float) -> bool:
        """Called when nothing is ready: those who wait for that are told; else time passes, if anyone waits for it."""
        waiting, self._settling = [each for each in self._settling if not each.done()], []
        for future in waiting:
            future.set_result(None)
        return bool(waiting) or (self.flights > 0 and super().jump(seconds))

    async def settled(self) -> None:
        """Returns when everything that was due has been done, without time having passed."""
        future: asyncio.Future[None] = self.create_future()
        self._settling.append(future)
        timer = self.call_later(_FAR_S, lambda: None)  # without any timer the loop would not be asked to jump
        try:
            await future
        finally:
            timer.cancel()


class LoopThread:
    """Runs `main` on a new loop of `loop_factory`, in a daemon thread. `start` it, `call` it from any other thread, `stop` it."""

    def __init__(self, main: Main, loop_factory: Callable[[], asyncio.AbstractEventLoop], *, name: str) -> None:
        self._main, self._loop_factory = main, loop_factory
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Returns when `main` is ready. Raises what it failed with."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._supervised())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            self._loop = None
            self._ready.set()

    async def _supervised(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if isinstance(self._loop, StandingTimeLoop):
            self._loop.flights += 1  # until it is ready, and again once it stops, time passes as it needs
        ready = asyncio.Event()
        waiting = asyncio.ensure_future(ready.wait())
        running = asyncio.ensure_future(self._main(ready))
        try:
            await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                await self._stand()
                self._ready.set()
            await running
        finally:
            waiting.cancel()
            running.cancel()
            await asyncio.gather(waiting, running, return_exceptions=True)

    @staticmethod
    def _end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        """Cancel everything; time passes as tidying up needs it."""
        if isinstance(loop, StandingTimeLoop):
            loop.flights += 1
        task.cancel()

    async def _stand(self) -> None:
        """A call is over: what follows from it at once is done, then time stands still."""
        if isinstance(self._loop, StandingTimeLoop):
            self._loop.flights -= 1
            await self._loop.settled()

    async def _flown(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if isinstance(self._loop, StandingTimeLoop):
            self._loop.flights += 1
        try:
            return await work()
        finally:
            await self._stand()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive() and self._loop is not None

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work()`, run on the loop. Raises what it raises, and LoopEnded (from the failure, if there was one) when the
        thread is not there or goes away meanwhile."""
        loop = self._loop
        if loop is None or not self._thread.is_alive():
            raise LoopEnded("it is not running") from self._failure
        if threading.current_thread() is self._thread:
            raise RuntimeError("call() from the loop's own thread would wait for itself")
        coroutine = self._flown(work)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as error:  # closed a moment ago
            coroutine.close()
            raise LoopEnded("it is not running") from self._failure or error
        try:
            return self._result(future)
        except BaseException:
            future.cancel()
            raise

    def _result(self, future: concurrent.futures.Future[T]) -> T:
        while True:
            done, _ = concurrent.futures.wait([future], timeout=_LOOK_S)
            if done:
                break
            if not self._thread.is_alive():
                raise LoopEnded("it has ended meanwhile") from self._failure
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise LoopEnded("it has ended meanwhile") from self._failure

    def stop(self) -> None:
        """End `main` by cancelling it, and the thread. Does nothing the second time. Raises what `main` failed with, if it did."""
        loop, task = self._loop, self._task
        if loop is not None and task is not None and self._thread.is_alive():
            try:
                loop.call_soon_threadsafe(self._end, loop, task)
            except RuntimeError:
                pass  # closed a moment ago
        if self._thread.ident is not None:
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
