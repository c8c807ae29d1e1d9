"""The work queue of control loops, with client-go's semantics (util/workqueue): keys, each waiting at most once.

A key is never handed to two workers at once; added while it is worked on, it comes again after `done`. `add_after` waits first,
`add_rate_limited` waits the longer of a delay that doubles with each failure of the key and what an overall token bucket asks.
Source: client-go `util/workqueue/queue.go`, `delaying_queue.go`, `default_rate_limiters.go`.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque

from kube.runtime.rates import TokenBucket, backoff_s
from kube.runtime.timing import QueueTimes

DEFAULT_QPS = 10.0
DEFAULT_BURST = 100


class QueueShutDown(Exception):
    """The queue was shut down and holds nothing more."""


class WorkQueue:
    """See the module. For one event loop; `name` is that of its metrics ("" for none)."""

    def __init__(
        self,
        *,
        rng: random.Random,
        base_delay_s: float = 0.005,
        max_delay_s: float = 1000.0,
        qps: float = DEFAULT_QPS,
        burst: int = DEFAULT_BURST,
        name: str = "",
    ) -> None:
        self._rng = rng
        self._base_delay_s, self._max_delay_s = base_delay_s, max_delay_s
        self._bucket = TokenBucket(qps=qps, burst=burst)
        self._ready: deque[str] = deque()
        self._dirty: set[str] = set()  # waiting to be worked on, or to be again
        self._processing: set[str] = set()
        self._failures: dict[str, int] = {}
        self._waiting: dict[str, float] = {}  # key -> when it is due
        self._heap: list[tuple[float, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._getters: deque[asyncio.Future[None]] = deque()
        self._is_shut_down = False
        self._times = QueueTimes(name) if name else None

    def __len__(self) -> int:
        """How many keys are ready for a worker (those that wait for their time do not count)."""
        return len(self._ready)

    # --- adding -------------------------------------------------------------------------------------------------------

    def add(self, key: str) -> None:
        """Have `key` worked on. Nothing happens when it waits already, or after shut_down."""
        if self._is_shut_down or key in self._dirty:
            return
        if self._times is not None:
            self._times.added(key)
        self._dirty.add(key)
        if key not in self._processing:
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: str, delay_s: float) -> None:
        """Add `key` in that time; of several times for one key the earliest counts."""
        if self._is_shut_down:
            return
        if delay_s <= 0:
            self.add(key)
            return
        due = _time() + delay_s
        if self._waiting.get(key, float("inf")) <= due:
            return
        self._waiting[key] = due
        heapq.heappush(self._heap, (due, key))
        if self._heap[0][1] == key or self._timer is None:
            self._set_timer()

    def add_rate_limited(self, key: str) -> None:
        """Add `key` when its back-off and the overall rate allow; counts as a failure of the key until `forget`."""
        if self._times is not None:
            self._times.retried()
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        own_s = backoff_s(failures, base_s=self._base_delay_s, max_s=self._max_delay_s)
        self.add_after(key, max(own_s, self._bucket.reserve(_time())))

    def forget(self, key: str) -> None:
        """The key went well: its next failure is the first."""
        self._failures.pop(key, None)

    def retries(self, key: str) -> int:
        """How many failures of the key are remembered."""
        return self._failures.get(key, 0)

    # --- working ------------------------------------------------------------------------------------------------------

    async def get(self) -> str:
        """The next key; call `done` for it. What waits is still handed out after shut_down, then QueueShutDown is raised."""
        while not self._ready:
            if self._is_shut_down:
                raise QueueShutDown
            await self._wait()
        key = self._ready.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        if self._times is not None:
            self._times.started(key)
        return key

    def done(self, key: str) -> None:
        """The work on `key` is over; it waits again at once where it was added meanwhile."""
        if self._times is not None:
            self._times.finished(key)
        self._processing.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake_one()

    def shut_down(self) -> None:
        """Take in nothing more; workers get what is ready, then QueueShutDown."""
        self._is_shut_down = True
        self._heap.clear()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._times is not None:
            self._times.close()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)

    # --- waking -------------------------------------------------------------------------------------------------------

    async def _wait(self) -> None:
        getter = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        try:
            await getter
        except asyncio.CancelledError:
            if getter.done() and not getter.cancelled() and self._ready:
                self._wake_one()  # it was our turn, and we are leaving: the next one's, then
            raise
        finally:
            if getter in self._getters:
                self._getters.remove(getter)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._fire) if self._heap else None

    def _fire(self) -> None:
        """Add whatever is due."""
        self._timer = None
        now = _time()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._waiting.get(key) == due:
                del self._waiting[key]
                self.add(key)
        self._set_timer()


def _time() -> float:
    return asyncio.get_running_loop().time()
