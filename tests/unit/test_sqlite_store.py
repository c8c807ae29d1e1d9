"""What is particular to the SQLite store: its file, restarts, crashes, full disks, group commit. The rest is in `tests/contract`."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from apiserver.store import sqlite_compaction
from apiserver.store.base import Event, KeyExists, KeyValue, StoreUnavailable, StoreUnusable
from apiserver.store.sqlite import SQLiteStore
from apiserver.store.sqlite_files import FileLock
from apiserver.store.sqlite_schema import SCHEMA_VERSION
from kube.clock import LoopClock, RealClock
from tests.virtual import virtual


async def opened(path: Path) -> SQLiteStore:
    return await SQLiteStore.open(path, clock=LoopClock())


def rows(path: Path) -> list[tuple[int, str]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT revision, key FROM log ORDER BY revision").fetchall()
    finally:
        db.close()


# The file.


@virtual
async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "state.db"
    store = await opened(path)
    await store.create("/a", b"1")
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(("state.db", "state.db-wal", "state.db-shm", "state.db.lock"), 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await store.close()
    path.chmod(0o644)
    await (await opened(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _newer(path: Path) -> None:
    _sql(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


def _foreign(path: Path) -> None:
    path.unlink()
    _sql(path, "CREATE TABLE t (x)")


def _sql(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


def _text(path: Path) -> None:
    path.write_text("this is no database at all\n" * 200)


def _truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _scrambled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = b"\xaa" * (len(data) - 8192)
    path.write_bytes(data)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder_is_a_file(path: Path) -> None:
    path.unlink()
    path.with_name("state.db.lock").unlink()
    path.parent.rmdir()
    path.parent.write_text("")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(_newer, "newer version .*run that version", id="a database of a newer version is not touched"),
        pytest.param(_foreign, "some other program.*another data directory", id="a database of another program is not touched"),
        pytest.param(_text, "not a database.*backup", id="a text file is no database"),
        pytest.param(_truncated, "(corrupt|malformed|cannot be read).*backup", id="a truncated file is found out"),
        pytest.param(_scrambled, "(corrupt|malformed|cannot be read).*backup", id="scrambled pages are found out"),
        pytest.param(_directory, "is a directory.*path of the database file", id="a directory in place of the file"),
        pytest.param(_fifo, "not a regular file", id="a pipe in place of the file"),
        pytest.param(_folder_is_a_file, "cannot be opened", id="a file in place of the folder"),
    ],
)
@virtual
async def test_what_cannot_be_used_is_refused_saying_what_to_do(spoil: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / "state.db"
    store = await opened(path)
    for n in range(50):
        await store.create(f"/{n}", bytes(1000))
    await store.close()
    spoil(path)
    with pytest.raises(StoreUnusable, match=says) as refused:
        await opened(path)
    assert str(path) in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@virtual
async def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await opened(path)).close()
    os.chown(path, 12345, -1)
    with pytest.raises(StoreUnusable, match=r"belongs to user 12345.*change its owner"):
        await opened(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@virtual
async def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"")
    path.chmod(0)
    with pytest.raises(StoreUnusable, match="check the owner and mode"):
        await opened(path)


@virtual
async def test_a_database_is_opened_once_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    with pytest.raises(StoreUnusable, match=f"in use by process {os.getpid()}: stop that one first"):
        await opened(path)
    await store.close()
    await (await opened(path)).close()


@virtual
async def test_a_refused_database_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await opened(path)).close()
    _newer(path)
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="newer version"):
            await opened(path)


# Restarts and crashes.


@virtual
async def test_a_restart_finds_everything(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    await store.create("/a", b"1")
    await store.update("/a", b"2", expected=2)
    await store.create("/b", b"1")
    await store.delete("/b", expected=4)
    await store.compact(2)
    await store.close()

    store = await opened(path)
    assert await store.revision() == 5
    assert (await store.list("/")).items == [KeyValue("/a", b"2", 2, 3)]
    assert await store.get("/b", revision=4) == KeyValue("/b", b"1", 4, 4)
    told: list[Event] = []
    store.subscribe("/", after=2, deliver=told.extend)
    with pytest.raises(KeyExists):
        await store.create("/a", b"x")
    assert await store.update("/a", b"3", expected=3) == 6
    assert [(event.kv.mod_revision, event.deleted) for event in told] == [(3, False), (4, False), (5, True), (6, False)]
    assert told[2] == Event(KeyValue("/b", b"1", 4, 5), deleted=True, previous=KeyValue("/b", b"1", 4, 4))
    assert told[0].previous == KeyValue("/a", b"1", 2, 2)
    await store.close()


@virtual
async def test_a_lease_runs_on_while_the_store_is_closed(tmp_path: Path) -> None:
    path, clock = tmp_path / "state.db", LoopClock()
    store = await SQLiteStore.open(path, clock=clock)
    short, long = await store.grant_lease(10), await store.grant_lease(60)
    await store.create("/short", b"", lease=short)
    await store.create("/long", b"", lease=long)
    await store.close()
    await asyncio.sleep(30)
    store = await SQLiteStore.open(path, clock=clock)
    await asyncio.sleep(1)
    assert [kv.key for kv in (await store.list("/")).items] == ["/long"]
    assert await store.grant_lease(10) > long
    await asyncio.sleep(31)
    assert (await store.list("/")).items == []
    await store.close()
    assert sqlite3.connect(path).execute("SELECT count(*) FROM lease").fetchone() == (0,)


_WRITE_FOR_EVER = """
import asyncio, sys
from apiserver.store.sqlite import SQLiteStore
from kube.clock import RealClock

async def write(store, n):
    for each in range(1_000_000):
        revision = await store.create(f"/{n}/{each}", b"x" * 500)
        print(n, each, revision, flush=True)

async def main():
    store = await SQLiteStore.open(sys.argv[1], clock=RealClock())
    await asyncio.gather(*(write(store, n) for n in range(8)))

asyncio.run(main())
"""


def _written_until_killed(path: Path) -> list[str]:
    """The complete lines that a process printed before it was killed with -9 in the midst of its writes."""
    command = [sys.executable, "-c", _WRITE_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(400)]
        with pytest.raises(StoreUnusable, match=f"in use by process {writer.pid}"):
            FileLock(path)
        writer.send_signal(signal.SIGKILL)
        return lines + [line for line in writer.stdout if line.endswith("\n")]


async def test_everything_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    lines = _written_until_killed(path)
    store = await SQLiteStore.open(path, clock=RealClock())
    try:
        acknowledged = {f"/{n}/{each}": int(revision) for n, each, revision in map(str.split, lines)}
        there = {kv.key: kv.mod_revision for kv in (await store.list("/")).items}
        assert len(acknowledged) >= 400
        assert acknowledged.items() <= there.items()
        assert sorted(there.values()) == list(range(2, len(there) + 2)), "revisions without a gap: no half batches"
        assert await store.create("/next", b"") == len(there) + 2
    finally:
        await store.close()


# Compaction on disk.


@virtual
async def test_compaction_removes_rows(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    revision = await store.create("/a", b"")
    for _ in range(sqlite_compaction.SWEEP_REVISIONS + 10):
        revision = await store.update("/a", b"", expected=revision)
    await store.create("/gone", b"")
    await store.delete("/gone", expected=revision + 1)
    await store.update("/a", b"", expected=revision)
    await store.compact(revision + 2)
    await store.close()
    assert rows(path) == [(revision, "/a"), (revision + 3, "/a")]


@virtual
async def test_a_compaction_cut_short_brings_nothing_back_and_is_finished_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await opened(path)
    for n in range(4):
        revision = await store.create("/a", str(n).encode())
        await store.delete("/a", expected=revision)
    await store.close()
    db = sqlite3.connect(path, isolation_level=None)
    sqlite_compaction.begin(9)(db)
    sqlite_compaction.sweep(0, 5)(db)
    db.close()

    store = await opened(path)
    assert (await store.list("/")).items == []
    assert await store.create("/b", b"") == 10
    await store.compact(10)
    await store.close()
    assert rows(path) == [(10, "/b")]


# Failures.


async def limit_pages(store: SQLiteStore, more: int) -> None:
    """Let the file grow by `more` pages: the next page is "disk full"."""

    def run(db: sqlite3.Connection) -> None:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + more}")

    await store._job(run)


@virtual
async def test_a_full_disk_fails_those_writes_and_is_recovered_from(tmp_path: Path) -> None:
    store = await opened(tmp_path / "state.db")
    told: list[Event] = []
    store.subscribe("/", after=1, deliver=told.extend)
    await store.create("/a", b"1")
    await limit_pages(store, 3)
    results = await asyncio.gather(*(store.create(f"/big/{n}", bytes(3000)) for n in range(20)), return_exceptions=True)
    failed = [result for result in results if isinstance(result, StoreUnavailable)]
    assert failed
    assert "full" in str(failed[0])
    with pytest.raises(StoreUnavailable):
        await store.update("/a", bytes(50_000), expected=2)
    newest = await store.revision()
    assert [event.kv.mod_revision for event in told] == list(range(2, newest + 1))
    assert await store.get("/a") == KeyValue("/a", b"1", 2, 2)
    assert await store.count("/big/") == 20 - len(failed)

    await limit_pages(store, 1000)
    assert await store.update("/a", b"2", expected=2) == newest + 1
    assert await store.create("/big/new", bytes(3000)) == newest + 2
    assert len((await store.list("/")).items) == newest
    assert told[-2].previous == KeyValue("/a", b"1", 2, 2)
    await store.close()


@virtual
async def test_writes_that_build_on_a_failed_one_fail_with_it(tmp_path: Path) -> None:
    store = await opened(tmp_path / "state.db")
    await store.create("/a", b"1")
    await limit_pages(store, 0)
    calls = (
        store.update("/a", bytes(50_000), expected=2),
        store.update("/a", b"3", expected=3),
        store.create("/a", b"refused only because of a write that failed"),
        store.delete("/a", expected=4),
    )
    results = await asyncio.gather(*(asyncio.ensure_future(call) for call in calls), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 4
    await limit_pages(store, 1000)
    assert await store.delete("/a", expected=2) == 3
    await store.close()


@virtual
async def test_an_expired_lease_waits_for_room_on_the_disk(tmp_path: Path) -> None:
    store = await opened(tmp_path / "state.db")
    lease = await store.grant_lease(5)
    await store.create("/a", b"1", lease=lease)
    await store._job(lambda db: db.execute("PRAGMA query_only = ON"))
    await asyncio.sleep(7)
    assert await store.count("/") == 1
    await store._job(lambda db: db.execute("PRAGMA query_only = OFF"))
    await asyncio.sleep(6)
    assert await store.count("/") == 0
    await store.close()


@virtual
async def test_a_cancelled_writer_does_not_hold_up_the_others(tmp_path: Path) -> None:
    store = await opened(tmp_path / "state.db")
    writes = [asyncio.create_task(store.create(f"/{n}", b"")) for n in range(3)]
    await asyncio.sleep(0)
    writes[1].cancel()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert results[0] == 2
    assert results[2] == 4
    await store.close()


# Speed, by counting.


@virtual
async def test_waiting_writes_share_a_transaction(tmp_path: Path) -> None:
    store = await opened(tmp_path / "state.db")
    statements: list[str] = []
    await store._job(lambda db: db.set_trace_callback(statements.append))
    await asyncio.gather(*(store.create(f"/{n}", b"") for n in range(100)))
    await store._job(lambda db: db.set_trace_callback(None))
    inserts = [statement for statement in statements if statement.startswith("INSERT")]
    assert len(inserts) < 50
    assert not [statement for statement in statements if statement.startswith("SELECT")]
    await store.close()


def test_writes_get_on_beside_a_loop_that_is_never_idle(tmp_path: Path) -> None:
    async def main() -> int:
        store = await SQLiteStore.open(tmp_path / "state.db", clock=RealClock())

        async def write() -> None:
            for n in range(10):
                await store.create(f"/{n}", b"")

        turns, writing = 0, asyncio.create_task(write())
        while not writing.done():
            begin = time.thread_time()
            while time.thread_time() - begin < 0.0005:
                pass
            turns += 1
            await asyncio.sleep(0)
        await store.close()
        return turns

    turns = asyncio.run(main())
    assert turns < 2500, "about 100 are normal; without `SWITCH_S` it is thousands per write"


@virtual
async def test_subscribing_in_the_past_reads_in_chunks_and_misses_nothing(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "state.db", clock=LoopClock(), recent_events_max=5)
    for start in range(0, 2500, 100):
        await asyncio.gather(*(store.create(f"/{start + n}", b"") for n in range(100)))
    told: list[int] = []

    def deliver(events: Sequence[Event]) -> None:
        told.extend(event.kv.mod_revision for event in events)

    store.subscribe("/", after=1, deliver=deliver)
    others = [store.create(f"/more/{n}", b"") for n in range(20)]
    last = max(await asyncio.gather(*others))
    assert told == list(range(2, last + 1))
    await store.close()
