"""What writes to SQLite: it takes all that waits, commits it as one transaction (one fsync), and reports back.

While the disk is quick, the event loop commits itself, once a round, what its round has brought: the hand-over to a thread would cost
more than the commit. Where commits take longer than `QUICK_S`, a thread makes them, so that nobody who reads waits for a disk. Why
this way: `docs/decisions/sqlite-writer-thread.md`. Nothing is decided here: revisions and checks come from `sqlite.py`.

A batch is one INSERT statement outside any explicit transaction: it succeeds or fails as a whole, and the thread needs the
interpreter lock once per batch instead of once per row (a busy event loop gives that lock away only every few milliseconds).
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apiserver.store.base import Event, StoreUnavailable
from apiserver.store.courtesy import Courtesy

BATCH_ROWS_MAX = 128
"""7 parameters a row: stays under 999, the limit of old SQLite libraries."""
BATCH_BYTES_MAX = 8 << 20
QUICK_S = 0.008
"""Commits that take longer than this on average belong on the thread."""
_SMOOTHING = 0.1
_TRIED_EVERY = 64
"""While the thread commits, the loop makes one of so many commits, to learn whether the disk has become quick: what the thread measures
contains its waiting for the interpreter lock."""
_BYTES_HERE_MAX = 1 << 20
"""A large batch is slow on any disk: the thread's."""

Row = tuple[int, str, int, int, int, int, bytes]
"""(revision, key, create_revision, prev_revision, lease, deleted, value), the columns of `log`."""


@dataclass(slots=True, eq=False)
class Write:
    """A row to commit; or, with no row, a barrier: it is done when all before it is. `epoch`: see `Writer`."""

    epoch: int
    future: asyncio.Future[int]
    row: Row | None = None
    event: Event | None = None


@dataclass(slots=True, eq=False)
class Job:
    """Some other transaction (leases, compaction), run between two batches. The future is done when it is durable."""

    run: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[None]


_Queue = queue.SimpleQueue[Write | Job | None]


class Writer:
    """`report(writes, error)` is called on the loop for each batch, in the order of the writes; `error` is None when it is durable.

    Writes are numbered on the assumption that those before them succeed. So when a batch fails, all that was submitted in the
    same epoch fails with it; the owner learns of it through `report`, starts numbering anew and submits in the next epoch.
    `quick_s` 0: the thread commits everything.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        courtesy: Courtesy,
        report: Callable[[Sequence[Write], StoreUnavailable | None], None],
        *,
        quick_s: float = QUICK_S,
    ) -> None:
        self._db, self._courtesy, self._report = db, courtesy, report
        self._loop = asyncio.get_running_loop()
        self._queue: _Queue = queue.SimpleQueue()
        self._is_virtual = hasattr(self._loop, "threads_busy")  # such a loop waits for its threads anyway
        self._waiting: list[Write] = []
        """What this round of the loop has brought, in order. Only while nothing is with the thread."""
        self._waiting_bytes = 0
        self._handed_over = 0
        self._quick_s, self._mean_s = quick_s, 0.0
        self._is_quick = quick_s > 0
        self._thread_commits = 0
        self._failed_epoch = -1
        self._failure = StoreUnavailable("")
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, item: Write | Job) -> None:
        if isinstance(item, Write) and not self._handed_over and (self._is_quick or self._may_try()):
            self._waiting_bytes += _bytes(item)
            if self._waiting_bytes <= _BYTES_HERE_MAX or self._is_virtual:
                self._waiting.append(item)
                if len(self._waiting) == 1:
                    self._loop.call_soon(self._commit_here)
                return
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for each in waiting:
            self._hand_over(each)
        self._hand_over(item)

    def _commit_here(self) -> None:
        """Commit what waits, on the loop."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for start in range(0, len(waiting), BATCH_ROWS_MAX):
            batch = waiting[start : start + BATCH_ROWS_MAX]
            doomed = [write for write in batch if write.epoch == self._failed_epoch]
            if doomed:
                self._report(doomed, self._failure)
                batch = [write for write in batch if write.epoch != self._failed_epoch]
            if batch:
                began = time.perf_counter()
                error = self._commit(batch)
                self._took(time.perf_counter() - began)
                self._report(batch, error)

    def _may_try(self) -> bool:
        return self._quick_s > 0 and self._thread_commits >= _TRIED_EVERY

    def _took(self, seconds: float) -> None:
        """Learn from one commit here who shall make the next."""
        self._thread_commits = 0
        if self._is_quick:
            self._mean_s += _SMOOTHING * (seconds - self._mean_s)
        else:
            self._mean_s = seconds
        self._is_quick = self._is_virtual or self._mean_s < self._quick_s

    def _hand_over(self, item: Write | Job) -> None:
        self._handed_over += 1
        self._courtesy.began()
        self._count_busy(1)
        self._queue.put(item)

    async def close(self) -> None:
        """Finish what was submitted and end the thread and its connection."""
        ended = self._loop.create_future()
        self.submit(Job(lambda db: db.close(), ended))  # whatever waits is handed over before it
        self._queue.put(None)
        await ended
        self._thread.join()

    def _count_busy(self, change: int) -> None:
        """Tell a virtual loop that results of a thread are awaited (see `kube/virtual.py`)."""
        busy = getattr(self._loop, "threads_busy", None)
        if busy is not None:
            self._loop.threads_busy = busy + change  # type: ignore[attr-defined]

    # From here on: the writer's thread.

    def _run(self) -> None:
        item: Write | Job | Literal[False] | None = False
        while True:
            if item is False:
                item = self._queue.get()
            if item is None:
                return
            if isinstance(item, Job):
                self._run_job(item)
                item = False
            else:
                item = self._run_batch(item)

    def _run_batch(self, first: Write) -> Write | Job | Literal[False] | None:
        """Commit `first` and what waits behind it; what comes next, when it was already taken from the queue (False: nothing)."""
        batch, size = [first], _bytes(first)
        following = self._next()
        while isinstance(following, Write) and len(batch) < BATCH_ROWS_MAX and size < BATCH_BYTES_MAX:
            batch.append(following)
            size += _bytes(following)
            following = self._next()
        doomed = [write for write in batch if write.epoch == self._failed_epoch]
        if doomed:
            self._tell(doomed, self._failure)
            batch = [write for write in batch if write.epoch != self._failed_epoch]
        if batch:
            self._tell(batch, self._commit(batch))
        return following

    def _next(self) -> Write | Job | Literal[False] | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return False

    def _commit(self, batch: Sequence[Write]) -> StoreUnavailable | None:
        parameters = [column for write in batch if write.row for column in write.row]
        try:
            if parameters:
                rows = ",".join(["(?,?,?,?,?,?,?)"] * (len(parameters) // 7))
                sql = f"INSERT INTO log (revision,key,create_revision,prev_revision,lease,deleted,value) VALUES {rows}"
                self._db.execute(sql, parameters)
        except Exception as error:
            self._roll_back()
            self._failed_epoch = batch[-1].epoch
            self._failure = StoreUnavailable(f"the write was not stored: {error}")
            return self._failure
        return None

    def _run_job(self, job: Job) -> None:
        try:
            job.run(self._db)
            error = None
        except Exception as caught:
            self._roll_back()
            error = StoreUnavailable(f"the store cannot write: {caught}")
        self._call(self._job_done, job, error)

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.rollback()
        except sqlite3.Error:
            pass  # the next write reports what is wrong

    def _tell(self, writes: Sequence[Write], error: StoreUnavailable | None) -> None:
        self._call(self._batch_done, writes, error)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # the loop was closed under us: nobody is left to tell, and what was committed stays committed
        self._courtesy.progress()

    # On the loop again.

    def _batch_done(self, writes: Sequence[Write], error: StoreUnavailable | None) -> None:
        self._thread_commits += 1
        self._handed_over -= len(writes)
        self._courtesy.ended(len(writes))
        self._count_busy(-len(writes))
        self._report(writes, error)

    def _job_done(self, job: Job, error: StoreUnavailable | None) -> None:
        self._handed_over -= 1
        self._courtesy.ended()
        self._count_busy(-1)
        if job.future.done():
            return
        if error is None:
            job.future.set_result(None)
        else:
            job.future.set_exception(error)


def _bytes(write: Write) -> int:
    return len(write.row[6]) if write.row else 0
