"""The store in one SQLite file, the default. Read `base.py` first; then, below this file, `sqlite_schema.py` (tables), `sqlite_index.py`
(what is known without SQL), `sqlite_writer.py` (the thread that commits), `sqlite_reader.py` (queries), `sqlite_compaction.py`.

A write is checked and numbered here, on the event loop, and handed to the writer's thread. When its batch is durable, one call
back on the loop applies it to the index, tells the subscribers, and only then answers the writers: see `_report`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from apiserver.store import sqlite_compaction, sqlite_reader
from apiserver.store.base import (
    Compacted,
    Deliver,
    Event,
    FutureRevision,
    KeyExists,
    KeyValue,
    Page,
    RevisionMismatch,
    StoreError,
    StoreUnavailable,
    Subscription,
)
from apiserver.store.leases import Leases
from apiserver.store.recent import Recent
from apiserver.store.sqlite_files import FileLock, prepare
from apiserver.store.sqlite_index import Index, Pending
from apiserver.store.sqlite_reader import Reader
from apiserver.store.sqlite_schema import Entry, Loaded, open_checked
from apiserver.store.sqlite_writer import Job, Write, Writer
from apiserver.store.subscribers import Subscriber, Subscribers
from kube.clock import Clock

RECENT_EVENTS_MAX = 2_000
RECENT_BYTES_MAX = 4 << 20
_CATCH_UP_REVISIONS = 1000
_READ_HERE_MAX = 16
"""So many missing values are read one by one on the loop; more go to a thread."""
_LEASE_RETRY_S = 5.0
_log = logging.getLogger(__name__)


class SQLiteStore:
    """See the module and `base.Store`. Made by `open`, on the event loop that will use it."""

    @classmethod
    async def open(cls, path: str | Path, *, clock: Clock, recent_events_max: int = RECENT_EVENTS_MAX) -> Self:
        """Open or make the database at `path`; its folder is made when missing. Raises StoreUnusable."""
        where = Path(path)
        opened = await asyncio.get_running_loop().run_in_executor(None, _open, where)
        recent = Recent(opened.loaded.revision, events_max=recent_events_max, bytes_max=RECENT_BYTES_MAX)
        return cls(clock, opened, recent)

    def __init__(self, clock: Clock, opened: _Opened, recent: Recent) -> None:
        self._lock, self._reader = opened.lock, opened.reader
        self._recent, loaded = recent, opened.loaded
        self._index = Index(loaded.keys, loaded.revision)
        self._compacted, self._swept = loaded.compacted, loaded.swept
        self._subscribers = Subscribers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._compacting = asyncio.Lock()
        self._epoch = 0
        self._closed = False
        self._writer = Writer(opened.db, self._report)
        self._leases = Leases(clock, self._lease_due)
        for lease, expires_at in loaded.leases:
            self._leases.add(lease, expires_at)
        for key, entry in loaded.keys.items():
            self._leases.move(key, 0, entry.lease)

    # Reading.

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        self._check_readable(revision)
        if revision and revision != self._index.revision:
            found = await self._reader.run(lambda db: sqlite_reader.key_at(db, key, revision))
            self._check_readable(revision)
            return found
        return self._committed(key)

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        self._check_readable(revision)
        if revision and revision != self._index.revision:
            items, remaining = await self._reader.run(lambda db: sqlite_reader.page_at(db, prefix, start, limit, revision))
            self._check_readable(revision)
            return Page(items, revision, remaining)
        while True:
            as_of = self._index.revision
            keys, remaining = self._index.keys.page(prefix, start, limit)
            heads = [(key, self._index.committed[key]) for key in keys]
            values = await self._values([entry.mod_revision for _, entry in heads])
            if as_of >= self._compacted:
                break
            self._check_readable(revision)  # compacted under us: a listing of "now" starts again, one at a revision says so
        items = [KeyValue(key, values[at], created, at, lease) for key, (at, created, lease) in heads]
        return Page(items, as_of, remaining)

    async def count(self, prefix: str) -> int:
        self._check_open()
        return self._index.keys.count(prefix)

    async def revision(self) -> int:
        return self.newest

    @property
    def newest(self) -> int:
        self._check_open()
        return self._index.revision

    def _committed(self, key: str) -> KeyValue | None:
        entry = self._index.committed.get(key)
        return None if entry is None else self._key_value(key, entry, self._value(entry.mod_revision))

    def _key_value(self, key: str, entry: Entry, value: bytes) -> KeyValue:
        return KeyValue(key, value, entry.create_revision, entry.mod_revision, entry.lease)

    def _value(self, revision: int) -> bytes:
        recent = self._recent.value(revision)
        return self._reader.value(revision) if recent is None else recent

    async def _values(self, revisions: Sequence[int]) -> dict[int, bytes]:
        """The values of current keys by revision. Some may be missing, when compaction has come past meanwhile."""
        found: dict[int, bytes] = {}
        missing: list[int] = []
        for revision in revisions:
            recent = self._recent.value(revision)
            if recent is None:
                missing.append(revision)
            else:
                found[revision] = recent
        if len(missing) <= _READ_HERE_MAX:
            found.update((revision, self._reader.value(revision)) for revision in missing)
        else:
            found.update(await self._reader.run(lambda db: sqlite_reader.values(db, missing)))
        return found

    # Writing.

    async def create(self, key: str, value: bytes, *, lease: int = 0, hint: Any = None) -> int:
        self._check_open()
        if self._index.newest(key) is not None:
            await self._settled(key)
            raise KeyExists(key)
        self._leases.check(lease)
        return await self._submit(key, value, lease, hint)

    async def update(
        self, key: str, value: bytes, *, expected: int, lease: int = 0, hint: Any = None, previous: bytes | None = None
    ) -> int:
        await self._check_expected(key, expected)
        self._leases.check(lease)
        return await self._submit(key, value, lease, hint, previous)

    async def delete(self, key: str, *, expected: int) -> int:
        await self._check_expected(key, expected)
        return await self._submit(key, None)

    async def _check_expected(self, key: str, expected: int) -> None:
        self._check_open()
        entry = self._index.newest(key)
        if entry is None or entry.mod_revision != expected:
            await self._settled(key)
            raise RevisionMismatch(key, self._committed(key))

    async def _barrier(self) -> None:
        """Returns when all that was submitted is durable and told. Raises StoreUnavailable when it was not stored."""
        barrier = Write(self._epoch, asyncio.get_running_loop().create_future())
        self._writer.submit(barrier)
        await barrier.future

    async def _settled(self, key: str) -> None:
        """Wait for the write of `key` that is under way, if any: a refusal must not rest on a write that may still fail."""
        if key in self._index.pending:
            await self._barrier()

    def _submit(self, key: str, value: bytes | None, lease: int = 0, hint: Any = None, known: bytes | None = None) -> asyncio.Future[int]:
        """Number a write that has been checked (no value: a delete) and hand it to the writer. The answer is its revision. `known` is
        the value that it replaces, where the caller has it."""
        previous = self._newest_value(key, known)
        revision = self._index.next_revision()
        created = previous.create_revision if previous else revision
        if value is None:
            assert previous is not None
            stored, entry = b"", None
            kv = KeyValue(key, previous.value, created, revision, previous.lease)
        else:
            stored, entry = value, Entry(revision, created, lease)
            kv = KeyValue(key, value, created, revision, lease, hint)
        self._index.pending[key] = Pending(revision, entry, stored)
        row = (revision, key, created, previous.mod_revision if previous else 0, kv.lease, int(entry is None), stored)
        write = Write(self._epoch, asyncio.get_running_loop().create_future(), row, Event(kv, entry is None, previous))
        self._writer.submit(write)
        return write.future

    def _newest_value(self, key: str, known: bytes | None) -> KeyValue | None:
        pending = self._index.pending.get(key)
        if pending is None:
            entry = self._index.committed.get(key)
            if entry is not None and known is not None:
                return self._key_value(key, entry, known)
            return self._committed(key)
        return None if pending.entry is None else self._key_value(key, pending.entry, pending.value)

    def _report(self, writes: Sequence[Write], error: StoreUnavailable | None) -> None:
        """From the writer: `writes` are durable, or have failed. Subscribers first, then those who wait."""
        if error is not None:
            if writes[0].epoch == self._epoch:
                self._epoch += 1
                self._index.roll_back()
            for write in writes:
                if not write.future.done():
                    write.future.set_exception(StoreUnavailable(str(error)))
            return
        events = [write.event for write in writes if write.event is not None]
        for event in events:
            self._apply(event)
        self._subscribers.publish(events)
        behind = {one.ready for event in events for one in self._subscribers.concerned(event.kv.key) if one.ready is not None}
        if behind:  # told first: whoever still reads the past has to get as far as these writes before they are answered
            asyncio.gather(*behind).add_done_callback(lambda _: _answer(writes))
        else:
            _answer(writes)

    def _apply(self, event: Event) -> None:
        kv = event.kv
        entry = None if event.deleted else Entry(kv.mod_revision, kv.create_revision, kv.lease)
        old = self._index.applied(kv.key, kv.mod_revision, entry)
        self._leases.move(kv.key, old.lease if old else 0, entry.lease if entry else 0)
        if kv.hint is not None:
            kv = KeyValue(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.lease)
            event = Event(kv, event.deleted, event.previous)
        self._recent.add(event)

    # Subscribing.

    def subscribe(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        self._check_open()
        if after < self._compacted:
            raise Compacted(self._compacted)
        subscriber = self._subscribers.new(prefix, after, deliver)
        self._subscribers.join(subscriber)
        if after >= self._recent.before:
            subscriber.tell(self._recent.after(after))
        else:
            subscriber.ready = asyncio.get_running_loop().create_future()
            self._start(self._catch_up(subscriber))
        return subscriber

    async def _catch_up(self, subscriber: Subscriber) -> None:
        """Tell a subscriber the past from disk until memory has the rest; from then on `publish` tells it."""
        try:
            while not subscriber.ended and subscriber.told < self._recent.before:
                after, through = subscriber.told, min(subscriber.told + _CATCH_UP_REVISIONS, self._index.revision)
                found = await self._reader.run(partial(sqlite_reader.events, prefix=subscriber.prefix, after=after, through=through))
                if after < self._compacted:
                    raise Compacted(self._compacted)
                subscriber.tell(found)
                subscriber.told = through
            if not subscriber.ended:
                subscriber.tell(self._recent.after(subscriber.told))
        except StoreError as error:
            subscriber.fail(error)
        finally:
            ready, subscriber.ready = subscriber.ready, None
            if ready is not None and not ready.done():
                ready.set_result(None)

    # Compaction, leases, the end.

    async def compact(self, revision: int) -> None:
        async with self._compacting:
            self._check_open()
            if revision <= self._compacted:
                raise Compacted(self._compacted)
            if revision > self._index.revision:
                raise FutureRevision(self._index.revision)
            await self._job(sqlite_compaction.begin(revision))
            self._compacted = revision
            self._recent.forget(revision)
            while self._swept < revision:
                upto = sqlite_compaction.next_stop(self._swept, revision)
                await self._job(sqlite_compaction.sweep(self._swept, upto))
                self._swept = upto

    async def grant_lease(self, ttl_s: int) -> int:
        self._check_open()
        lease, expires_at = self._leases.next_id(), self._leases.expiry(ttl_s)
        await self._job(lambda db: db.execute("INSERT INTO lease VALUES (?, ?, ?)", (lease, ttl_s, expires_at)))
        self._leases.add(lease, expires_at)
        return lease

    def _lease_due(self, lease: int) -> None:
        self._start(self._expire(lease))

    async def _expire(self, lease: int) -> None:
        self._leases.end(lease)
        try:
            while True:
                await self._barrier()
                held = [key for key in self._leases.keys(lease) if (entry := self._index.newest(key)) and entry.lease == lease]
                if not held:
                    break
                await asyncio.gather(*(self._submit(key, None) for key in held))
            await self._job(lambda db: db.execute("DELETE FROM lease WHERE id = ?", (lease,)))
        except StoreUnavailable as error:
            if not self._closed:
                _log.warning("lease %d is over, but its keys cannot be deleted yet: %s", lease, error)
                self._leases.retry(lease, _LEASE_RETRY_S)
            return
        self._leases.drop(lease)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._leases.close()
        with contextlib.suppress(StoreUnavailable):
            await self._barrier()
        self._subscribers.fail_all(StoreUnavailable("the store is closed"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reader.close()
        await self._writer.close()
        self._lock.release()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _job(self, run: Callable[[sqlite3.Connection], object]) -> None:
        self._check_open()
        job = Job(run, asyncio.get_running_loop().create_future())
        self._writer.submit(job)
        await job.future

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _check_readable(self, revision: int) -> None:
        self._check_open()
        if revision > self._index.revision:
            raise FutureRevision(self._index.revision)
        if revision and revision < self._compacted:
            raise Compacted(self._compacted)


def _answer(writes: Sequence[Write]) -> None:
    for write in writes:
        if not write.future.done():
            write.future.set_result(write.row[0] if write.row else 0)


@dataclass(frozen=True)
class _Opened:
    lock: FileLock
    db: sqlite3.Connection
    loaded: Loaded
    reader: Reader


def _open(path: Path) -> _Opened:
    """All that opening does on disk; runs in a thread. Raises StoreUnusable, and leaves nothing open then."""
    prepare(path)
    lock = FileLock(path)
    try:
        db, loaded = open_checked(path)
        try:
            return _Opened(lock, db, loaded, Reader(path))
        except BaseException:
            db.close()
            raise
    except BaseException:
        lock.release()
        raise
