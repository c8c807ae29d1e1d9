"""The metrics of one work queue: how long keys wait and how long they are worked on."""

from __future__ import annotations

import asyncio

from kube.runtime import metrics


class QueueTimes:
    """Told by a `WorkQueue` of what happens to its keys. Times are the loop's."""

    def __init__(self, name: str) -> None:
        self._depth = metrics.QUEUE_DEPTH.labels(name)
        self._adds = metrics.QUEUE_ADDS.labels(name)
        self._retries = metrics.QUEUE_RETRIES.labels(name)
        self._wait = metrics.QUEUE_WAIT.labels(name)
        self._work = metrics.QUEUE_WORK.labels(name)
        self._unfinished = metrics.QUEUE_UNFINISHED.labels(name)
        self._longest = metrics.QUEUE_LONGEST.labels(name)
        self._added: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._unfinished.set_function(self._unfinished_s)
        self._longest.set_function(self._longest_s)
        self._now = 0.0

    def _time(self) -> float:
        self._now = asyncio.get_running_loop().time()
        return self._now

    def added(self, key: str) -> None:
        self._adds.inc()
        self._depth.inc()
        self._added.setdefault(key, self._time())

    def retried(self) -> None:
        self._retries.inc()

    def started(self, key: str) -> None:
        now = self._time()
        self._depth.dec()
        self._wait.observe(now - self._added.pop(key, now))
        self._started[key] = now

    def finished(self, key: str) -> None:
        now = self._time()
        self._work.observe(now - self._started.pop(key, now))

    def close(self) -> None:
        """The queue is shut down: nothing is unfinished any more."""
        self._depth.set(0)
        self._started.clear()

    def _unfinished_s(self) -> float:
        return sum(self._ages())

    def _longest_s(self) -> float:
        return max(self._ages(), default=0.0)

    def _ages(self) -> list[float]:
        try:
            now = self._time()
        except RuntimeError:  # asked from outside the loop: as of the last thing that happened
            now = self._now
        return [now - began for began in self._started.values()]
