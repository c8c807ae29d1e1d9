"""What every node does again and again: one timer for all that wait, and a task only for what is under way.

Each beat comes once at the start, then every period from a moment of its own (chance is handed in), so that thousands of them in one
process are a steady trickle. `heartbeat.py` has the beats of a node.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any

from kube.client.base import ConnectionFailed
from kube.errors import ApiError

log = logging.getLogger(__name__)

RETRY_S = (0.2, 7.0)
"""How soon one that has failed comes again."""
UNDER_WAY_MAX = 32
"""How many are under way at a time: at the start, all are due at once."""
FAILURES = (ApiError, ConnectionFailed, TimeoutError)
"""What goes wrong now and then; anything else ends `run`."""

Call = Callable[[], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Beat:
    call: Call
    period_s: float
    name: str
    is_first: bool = True


class Beats:
    """Those of all nodes of a process: `add` them, then `run` once, until cancelled."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._waiting: list[tuple[float, int, _Beat]] = []
        """A heap by when they are due; of those that are due at once, who came first comes first."""
        self._numbers = count()
        self._tasks = asyncio.TaskGroup()
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s: float | None = None
        self._is_over = False

    def add(self, call: Call, *, period_s: float, name: str) -> None:
        """To be called when `run` begins, and from then on every `period_s` seconds; `name` says in the log what has failed."""
        self._push(_Beat(call, period_s, name), 0.0)

    async def run(self) -> None:
        async with self._tasks:
            self._begin(0.0)
            try:
                await asyncio.Event().wait()
            finally:
                self._is_over = True
                self._arm()

    def _begin(self, due_s: float) -> None:
        """Begin those that are due at that moment of the loop's time, as far as there are turns."""
        while self._waiting and self._waiting[0][0] <= due_s and self._under_way < UNDER_WAY_MAX:
            beat = heappop(self._waiting)[2]
            self._tasks.create_task(self._carry_out(beat), name=beat.name)
            self._under_way += 1
        self._arm()

    async def _carry_out(self, beat: _Beat) -> None:
        loop = asyncio.get_running_loop()
        try:
            await beat.call()
        except FAILURES as error:
            log.warning("%s: failed: %s", beat.name, error)
            pause_s = self._rng.uniform(*RETRY_S)
        else:
            pause_s = beat.period_s * (self._rng.random() if beat.is_first else 1.0)
            beat.is_first = False
        self._push(beat, loop.time() + pause_s)
        self._under_way -= 1
        if not self._is_over:
            self._begin(loop.time())

    def _push(self, beat: _Beat, due_s: float) -> None:
        heappush(self._waiting, (due_s, next(self._numbers), beat))

    def _arm(self) -> None:
        """Set the timer for the first that waits; while there are no turns, whoever ends goes on instead."""
        is_needed = self._waiting and self._under_way < UNDER_WAY_MAX and not self._is_over
        due_s = self._waiting[0][0] if is_needed else None
        if due_s == self._timer_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = due_s
        self._timer = None if due_s is None else asyncio.get_running_loop().call_at(due_s, self._on_time, due_s)

    def _on_time(self, due_s: float) -> None:
        self._timer = self._timer_s = None
        self._begin(due_s)
