"""Reading from SQLite: the queries, and the connections and threads that they run on. Read `sqlite_schema.py` first.

One row is read on the event loop itself (a few microseconds; handing it to a thread and back costs several times that);
everything that may be long runs in one of a few threads, each read with a connection to itself.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from apiserver.store.base import Event, KeyValue, StoreUnavailable
from apiserver.store.keyspace import end_of
from apiserver.store.sqlite_schema import connect

_THREADS = 2
_CHUNK = 500
T = TypeVar("T")


class Reader:
    """Read connections to one database. Its methods are called on the event loop."""

    def __init__(self, path: Path) -> None:
        self._near = connect(path, read_only=True)
        self._far = [connect(path, read_only=True) for _ in range(_THREADS)]
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for db in self._far:
            self._idle.put(db)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-reader")

    def value(self, revision: int) -> bytes:
        """What was written at `revision`, which is known to be there. Read at once. Raises StoreUnavailable."""
        try:
            row = self._near.execute("SELECT value FROM log WHERE revision = ?", (revision,)).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error
        if row is None:
            raise StoreUnavailable(f"revision {revision} is missing from the store")
        return bytes(row[0])

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of `query`, from a thread. Raises StoreUnavailable."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._with_connection, query)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot be read: {error}") from error

    def _with_connection(self, query: Callable[[sqlite3.Connection], T]) -> T:
        db = self._idle.get()
        try:
            return query(db)
        finally:
            self._idle.put(db)

    def close(self) -> None:
        """Waits for the reads that are under way."""
        self._threads.shutdown(wait=True)
        for db in (self._near, *self._far):
            db.close()


def values(db: sqlite3.Connection, revisions: Sequence[int]) -> dict[int, bytes]:
    """The values of those revisions that are there."""
    found: dict[int, bytes] = {}
    for at in range(0, len(revisions), _CHUNK):
        chunk = revisions[at : at + _CHUNK]
        marks = ",".join("?" * _CHUNK)
        padded = [*chunk, *[0] * (_CHUNK - len(chunk))]
        found.update(db.execute(f"SELECT revision, value FROM log WHERE revision IN ({marks})", padded).fetchall())
    return found


def key_at(db: sqlite3.Connection, key: str, revision: int) -> KeyValue | None:
    """The key as it was at `revision`."""
    row = db.execute(
        "SELECT revision, create_revision, lease, deleted, value FROM log WHERE key = ? AND revision <= ? ORDER BY revision DESC LIMIT 1",
        (key, revision),
    ).fetchone()
    return None if row is None or row[3] else KeyValue(key, bytes(row[4]), row[1], row[0], row[2])


_LATEST = """
  SELECT key, max(revision) AS revision, create_revision, lease, deleted FROM log
  WHERE key >= :low AND (:high IS NULL OR key < :high) AND revision <= :revision GROUP BY key HAVING NOT deleted"""


def page_at(db: sqlite3.Connection, prefix: str, start: str, limit: int, revision: int) -> tuple[list[KeyValue], int]:
    """The page of a listing as of `revision`, and how many keys come after it. The index alone finds the rows."""
    bounds = {"low": max(prefix, start), "high": end_of(prefix), "revision": revision, "limit": limit or -1}
    db.execute("BEGIN")
    try:
        heads = db.execute(f"{_LATEST} ORDER BY key LIMIT :limit", bounds).fetchall()
        total = len(heads)
        if limit and total == limit:
            total = db.execute(f"SELECT count(*) FROM ({_LATEST})", bounds).fetchone()[0]
        found = values(db, [head[1] for head in heads])
    finally:
        db.execute("COMMIT")
    return [KeyValue(key, found[at], created, at, lease) for key, at, created, lease, _ in heads], total - len(heads)


def events(db: sqlite3.Connection, prefix: str, after: int, through: int) -> list[Event]:
    """The events under `prefix` with `after` < revision <= `through`, oldest first. Not for `after` < compacted."""
    rows = db.execute(
        """
        SELECT log.revision, log.key, log.create_revision, log.lease, log.deleted, log.value,
               old.revision, old.create_revision, old.lease, old.value
        FROM log LEFT JOIN log AS old ON old.revision = log.prev_revision
        WHERE log.revision > ? AND log.revision <= ? AND +log.key >= ? AND (? IS NULL OR +log.key < ?) ORDER BY log.revision""",
        (after, through, prefix, end_of(prefix), end_of(prefix)),
    )
    return [_event(*row) for row in rows]


def _event(
    revision: int,
    key: str,
    created: int,
    lease: int,
    deleted: int,
    value: bytes,
    old_revision: int | None,
    old_created: int,
    old_lease: int,
    old_value: bytes,
) -> Event:
    previous = None if old_revision is None else KeyValue(key, old_value, old_created, old_revision, old_lease)
    last = previous.value if deleted and previous is not None else value
    return Event(KeyValue(key, last, created, revision, lease), bool(deleted), previous)
