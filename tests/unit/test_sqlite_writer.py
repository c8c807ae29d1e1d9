"""Who commits: the event loop while the disk is quick, the thread where it is not, and never both at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from apiserver.store import sqlite_writer
from apiserver.store.base import StoreUnavailable
from apiserver.store.sqlite import SQLiteStore
from apiserver.store.sqlite_writer import Write, Writer
from kube.clock import RealClock


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Each commit that is made: whether the loop made it, and of how many writes."""
    made: list[tuple[bool, int]] = []
    real = Writer._commit

    def commit(self: Writer, batch: Sequence[Write]) -> StoreUnavailable | None:
        made.append((threading.current_thread() is threading.main_thread(), len(batch)))
        return real(self, batch)

    monkeypatch.setattr(Writer, "_commit", commit)
    return made


async def _write(store: SQLiteStore, count: int, name: str) -> list[int]:
    return await asyncio.gather(*(store.create(f"/{name}/{n}", b"value") for n in range(count)))


async def test_on_a_quick_disk_the_loop_commits_what_one_round_brings(tmp_path: Path, commits: list[tuple[bool, int]]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock(), quick_s=3600)
    assert await _write(store, 20, "a") == list(range(2, 22))
    assert commits == [(True, 20)]
    await store.close()


async def test_on_a_slow_disk_the_thread_commits(tmp_path: Path, commits: list[tuple[bool, int]]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock(), quick_s=0)
    assert await _write(store, 20, "a") == list(range(2, 22))
    assert {here for here, _ in commits} == {False}
    await store.close()


async def test_a_disk_that_becomes_slow_is_left_to_the_thread_and_no_order_is_lost(
    tmp_path: Path, commits: list[tuple[bool, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock(), quick_s=3600)
    told: list[int] = []
    store.subscribe("/", after=1, deliver=lambda events: told.extend(event.kv.mod_revision for event in events))
    monkeypatch.setattr(sqlite_writer, "_TRIED_EVERY", 2)
    monkeypatch.setattr(store._writer, "_quick_s", 1e-9)  # whatever a commit takes, it is too long
    for n in range(5):
        await _write(store, 3, f"slow {n}")
    assert [here for here, _ in commits[:2]] == [True, False]
    assert sum(here for here, _ in commits) < len(commits) / 2 + 1, "it tries the loop now and then"
    monkeypatch.setattr(store._writer, "_quick_s", 3600.0)
    for n in range(5):
        await _write(store, 3, f"quick {n}")
    assert commits[-1] == (True, 3)
    assert told == list(range(2, 32))
    await store.close()


async def test_writes_that_come_with_a_job_go_to_the_thread_in_their_order(tmp_path: Path, commits: list[tuple[bool, int]]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock(), quick_s=3600)
    revision = await store.create("/a", b"")
    writing = asyncio.ensure_future(_write(store, 5, "b"))
    for _ in range(2):
        await asyncio.sleep(0)
    await asyncio.gather(store.compact(revision), _write(store, 5, "c"), writing)
    assert sum(count for here, count in commits if not here) >= 5
    assert [kv.mod_revision for kv in (await store.list("/b")).items] == list(range(3, 8))
    await store.close()


async def test_a_large_batch_is_the_threads(tmp_path: Path, commits: list[tuple[bool, int]]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock(), quick_s=3600)
    half = bytes(sqlite_writer._BYTES_HERE_MAX // 2 + 1)
    await asyncio.gather(store.create("/a", half), store.create("/b", half))
    assert {here for here, _ in commits} == {False}
    assert await store.create("/c", b"small") == 4
    assert commits[-1] == (True, 1)
    await store.close()


async def test_what_waits_when_the_store_closes_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = await SQLiteStore.open(path, clock=RealClock(), quick_s=3600)
    writing = asyncio.ensure_future(_write(store, 10, "a"))
    for _ in range(2):
        await asyncio.sleep(0)
    await store.close()
    assert await writing == list(range(2, 12))
    store = await SQLiteStore.open(path, clock=RealClock())
    assert await store.count("/a/") == 10
    await store.close()
