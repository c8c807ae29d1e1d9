"""The SQLite schema and what is loaded from it at start. Read `sqlite.py` first.

`log` is append-only: one row per revision. A row is *current* when it is its key's newest and no tombstone; `prev_revision` is
the row that it replaced (0: none), which is what compaction removes. The index covers the start-up query and all listings.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from apiserver.store.base import StoreUnusable

SCHEMA_VERSION = 1
APPLICATION_ID = 0x57484552  # "WHER"
CHECKED_BYTES_MAX = 64 << 20
"""Up to this size a file is checked page by page when opened (about 1 ms per MB); larger ones only as far as the index is read."""
_CACHED_STATEMENTS = 256
_WAL_PAGES = 1000

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE log (
  revision INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  create_revision INTEGER NOT NULL,
  prev_revision INTEGER NOT NULL,
  lease INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  value BLOB NOT NULL
);
CREATE UNIQUE INDEX log_key ON log (key, revision, create_revision, lease, deleted);
CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL, expires_at REAL NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted', 0), ('swept', 0);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class Entry(NamedTuple):
    """What the in-memory index knows of a key."""

    mod_revision: int
    create_revision: int
    lease: int


@dataclass
class Loaded:
    """The state of a database when it was opened. `keys` is in key order; `swept` is how far compaction has removed rows."""

    revision: int
    compacted: int
    swept: int
    keys: dict[str, Entry]
    leases: list[tuple[int, float]]


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode; its user sees to it that one thread at a time uses it."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS, timeout=10)
    try:
        if read_only:
            db.execute("PRAGMA query_only = ON")
        else:
            _configure_writer(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _configure_writer(db: sqlite3.Connection, path: Path) -> None:
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnusable(f"{path}: SQLite cannot use a write-ahead log there (journal mode {mode!r}): use a local file system")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")


def open_checked(path: Path) -> tuple[sqlite3.Connection, Loaded]:
    """The writer's connection and what the database holds; makes the schema in an empty file. Raises StoreUnusable."""
    try:
        db = connect(path)
        try:
            _check(db, path)
            return db, _load(db)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.close()
            raise
    except sqlite3.DatabaseError as error:
        raise StoreUnusable(f"{path} cannot be read ({error}): restore it from a backup, or move it away to start empty") from error


def _check(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        db.executescript(_SCHEMA)
        return
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreUnusable(f"{path} is a SQLite database of some other program: use another data directory")
    if version > SCHEMA_VERSION:
        raise StoreUnusable(
            f"{path} was written by a newer version (schema {version}, this one knows {SCHEMA_VERSION}): "
            "run that version, or use another data directory"
        )
    if path.stat().st_size <= CHECKED_BYTES_MAX:
        verdict = " ".join(db.execute("PRAGMA quick_check(1)").fetchone()[0].split())
        if verdict != "ok":
            raise StoreUnusable(f"{path} is corrupt ({verdict}): restore it from a backup, or move it away to start empty")


def _load(db: sqlite3.Connection) -> Loaded:
    meta = dict(db.execute("SELECT name, number FROM meta"))
    newest = db.execute("SELECT max(revision) FROM log").fetchone()[0] or 1
    rows = db.execute("SELECT key, max(revision), create_revision, lease, deleted FROM log GROUP BY key")
    keys = {key: Entry(revision, created, lease) for key, revision, created, lease, deleted in rows if not deleted}
    leases = db.execute("SELECT id, expires_at FROM lease ORDER BY id").fetchall()
    return Loaded(max(newest, meta["compacted"]), meta["compacted"], meta["swept"], keys, leases)
