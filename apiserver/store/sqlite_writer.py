"""The one thread that writes to SQLite: it commits what a round of the event loop has brought as one transaction (one fsync).

Why a thread of our own: `docs/decisions/sqlite-writer-thread.md`. It decides nothing: revisions and checks come from `sqlite.py`.

One round is under way at a time; what comes meanwhile waits in line and shares the next. A round is one INSERT statement outside any
explicit transaction: it succeeds or fails as a whole, and the thread needs the interpreter lock twice for it, however many rows it has. So
that it gets the lock from a loop that is never idle, threads may ask for it every `SWITCH_S`.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apiserver.store.base import Event, StoreUnavailable

BATCH_ROWS_MAX: Final = 128
"""7 parameters a row: stays under 999, the limit of old SQLite libraries."""
BATCH_BYTES_MAX: Final = 8 << 20
SWITCH_S: Final = 0.0001
"""CPython lets a thread wait 5 ms before it insists on the lock, and starts the wait anew whenever the lock was free for a moment, as it is
between any two callbacks of a loop: with callbacks of 0.4 ms, the thread starves. It has to be shorter than a callback."""

_INSERT: Final = "INSERT INTO log (revision,key,create_revision,prev_revision,lease,deleted,value) VALUES "

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
    """Some other transaction (leases, compaction), run between two rounds. The future is done when it is durable."""

    run: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Round:
    """What is committed at once: the writes, and their statement."""

    writes: list[Write]
    sql: str
    parameters: list[Any]


class Writer:
    """`report(writes, error)` is called on the loop for each round, in the order of the writes; `error` is None when it is durable.

    Writes are numbered on the assumption that those before them succeed. So when a round fails, all that was submitted in the
    same epoch fails with it; the owner learns of it through `report`, starts numbering anew and submits in the next epoch.
    """

    def __init__(self, db: sqlite3.Connection, report: Callable[[Sequence[Write], StoreUnavailable | None], None]) -> None:
        self._db, self._report = db, report
        self._loop = asyncio.get_running_loop()
        self._line: deque[Write | Job] = deque()
        self._is_under_way = False
        self._failed_epoch = -1
        self._failure = StoreUnavailable("")
        self._queue: queue.SimpleQueue[_Round | Job | None] = queue.SimpleQueue()
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, item: Write | Job) -> None:
        """Put it in line. The round begins when the loop has done what it has at hand."""
        self._line.append(item)
        if len(self._line) == 1 and not self._is_under_way:
            self._loop.call_soon(self._begin)

    async def close(self) -> None:
        """Finish what was submitted and end the thread and its connection."""
        ended = self._loop.create_future()
        self.submit(Job(lambda db: db.close(), ended))
        await ended
        self._queue.put(None)
        self._thread.join()

    def _begin(self) -> None:
        """Give the thread what is first in line."""
        if self._is_under_way or not self._line:
            return
        first = self._line[0]
        if isinstance(first, Job):
            self._give(self._line.popleft())  # type: ignore[arg-type]
            return
        writes = self._next_writes()
        doomed = [write for write in writes if write.epoch == self._failed_epoch]
        if doomed:
            self._report(doomed, self._failure)
            writes = [write for write in writes if write.epoch != self._failed_epoch]
        if writes:
            parameters = [column for write in writes if write.row for column in write.row]
            sql = _INSERT + ",".join(["(?,?,?,?,?,?,?)"] * (len(parameters) // 7)) if parameters else ""
            self._give(_Round(writes, sql, parameters))
        else:
            self._begin()

    def _next_writes(self) -> list[Write]:
        line, size = self._line, 0
        writes: list[Write] = []
        while line and len(writes) < BATCH_ROWS_MAX and size < BATCH_BYTES_MAX:
            write = line[0]
            if isinstance(write, Job):
                break
            line.popleft()
            writes.append(write)
            size += len(write.row[6]) if write.row else 0
        return writes

    def _give(self, work: _Round | Job) -> None:
        self._is_under_way = True
        self._count_busy(1)
        self._queue.put(work)

    def _count_busy(self, change: int) -> None:
        """Tell a virtual loop that results of a thread are awaited (see `kube/virtual.py`)."""
        busy = getattr(self._loop, "threads_busy", None)
        if busy is not None:
            self._loop.threads_busy = busy + change  # type: ignore[attr-defined]

    # From here on: the writer's thread.

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            error = None
            try:
                if isinstance(work, Job):
                    work.run(self._db)
                elif work.sql:
                    self._db.execute(work.sql, work.parameters)
            except Exception as caught:
                self._roll_back()
                what = "the store cannot write" if isinstance(work, Job) else "the write was not stored"
                error = StoreUnavailable(f"{what}: {caught}")
            try:
                self._loop.call_soon_threadsafe(self._done, work, error)
            except RuntimeError:
                pass  # the loop was closed under us: nobody is left to tell, and what was committed stays committed
            del work  # it may be a while until there is more

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.rollback()
        except sqlite3.Error:
            pass  # the next write reports what is wrong

    # On the loop again.

    def _done(self, work: _Round | Job, error: StoreUnavailable | None) -> None:
        self._is_under_way = False
        self._count_busy(-1)
        if isinstance(work, Job):
            self._begin()
            if not work.future.done():
                if error is None:
                    work.future.set_result(None)
                else:
                    work.future.set_exception(error)
            return
        if error is not None:
            self._failed_epoch, self._failure = work.writes[-1].epoch, error
        self._begin()
        self._report(work.writes, error)
