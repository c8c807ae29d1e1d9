"""Lets the store's threads run beside an event loop that is never idle.

A busy loop gives CPython's interpreter lock away only for the microsecond of each `select(0)`, and takes it back before a waiting
thread has woken up; asking for it after the switch interval does not help, because each such release starts that wait anew.
Measured: one commit took 5 seconds beside a loop that only ran 0.5 ms callbacks. So while threads have work, a timer looks every
few milliseconds whether they get on; if not, and the loop has used up a whole processor meanwhile, the loop waits for them a moment.
"""

from __future__ import annotations

import asyncio
import threading
import time

LOOK_EVERY_S = 0.002
WAIT_MAX_S = 0.001
"""A waiting thread gets the lock within 0.1 ms; the rest of this is for a commit that is quick. Never more than a third of the loop."""
_BUSY_SHARE = 0.8


class Courtesy:
    """`began` and `ended` count work on threads, on the loop; `progress` is called by the threads. Idle on virtual loops."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._virtual = hasattr(self._loop, "threads_busy")  # such a loop really waits for its threads
        self._under_way = 0
        self._ended = 0
        self._ended_before = 0
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = (0.0, 0.0)
        self._progress = threading.Event()

    def began(self) -> None:
        self._under_way += 1
        if self._timer is None and not self._virtual:
            self._look_again()

    def ended(self, count: int = 1) -> None:
        self._under_way -= count
        self._ended += count

    def progress(self) -> None:
        """From a thread: something is done, the loop need not wait any longer."""
        self._progress.set()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_again(self) -> None:
        self._ended_before = self._ended
        self._looked_at = time.perf_counter(), time.thread_time()
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._under_way:
            return
        if self._ended == self._ended_before and self._loop_is_busy():
            self._progress.clear()
            self._progress.wait(WAIT_MAX_S)
        self._look_again()

    def _loop_is_busy(self) -> bool:
        wall, used = self._looked_at
        return time.thread_time() - used > _BUSY_SHARE * (time.perf_counter() - wall)
