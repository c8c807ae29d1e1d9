"""What a stranger finds in the store's file while the server writes: whole rows, in order, and everything that was acknowledged.

aiosqlite is the stranger: another connection, another thread, none of our code.
"""

from __future__ import annotations

from pathlib import Path

import aiosqlite

from apiserver.store.sqlite import SQLiteStore
from kube.clock import RealClock


async def test_another_connection_sees_each_acknowledged_write(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SQLiteStore.open(path, clock=RealClock())
    try:
        async with aiosqlite.connect(f"file:{path}?mode=ro", uri=True) as stranger:
            async with stranger.execute("SELECT name FROM sqlite_master WHERE type = 'table'") as tables:
                names = [row[0] async for row in tables]
            assert names, "the store has a table"
            for number in range(20):
                revision = await store.create(f"/registry/things/{number}", b"value %d" % number)
                assert await _newest(stranger, names) >= revision
    finally:
        await store.close()


async def _newest(stranger: aiosqlite.Connection, tables: list[str]) -> int:
    """The highest revision in any table that has revisions."""
    newest = 0
    for table in tables:
        async with stranger.execute(f"SELECT * FROM {table} LIMIT 0") as nothing:
            columns = [each[0] for each in nothing.description]
        if "revision" in columns:
            async with stranger.execute(f"SELECT max(revision) FROM {table}") as found:
                row = await found.fetchone()
            newest = max(newest, (row[0] if row else 0) or 0)
    return newest
