"""Rounds: what a round of the event loop brings is committed at once, what comes meanwhile shares the next."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from apiserver.store.base import StoreUnavailable
from apiserver.store.sqlite import SQLiteStore
from apiserver.store.sqlite_writer import Job, Writer
from kube.clock import RealClock


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each round has; 0 for a job."""
    given: list[int] = []
    real = Writer._give

    def give(self: Writer, work: Any) -> None:
        given.append(0 if isinstance(work, Job) else len(work.writes))
        real(self, work)

    monkeypatch.setattr(Writer, "_give", give)
    return given


async def _write(store: SQLiteStore, count: int, name: str, size: int = 5) -> list[int]:
    return await asyncio.gather(*(store.create(f"/{name}/{n}", bytes(size)) for n in range(count)))


async def test_what_one_round_of_the_loop_brings_is_one_commit(tmp_path: Path, rounds: list[int]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock())
    assert await _write(store, 20, "a") == list(range(2, 22))
    assert rounds == [20]
    await store.close()


async def test_what_comes_while_a_commit_is_under_way_shares_the_next(tmp_path: Path, rounds: list[int]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock())
    told: list[int] = []
    store.subscribe("/", after=1, deliver=lambda events: told.extend(event.kv.mod_revision for event in events))
    first = asyncio.ensure_future(_write(store, 3, "a"))
    while not rounds:
        await asyncio.sleep(0)
    store._writer._begin()  # does nothing: one is under way
    await asyncio.gather(first, *(_write(store, 2, name) for name in "bcd"))
    assert sum(rounds) == 9
    assert len(rounds) <= 3
    assert told == list(range(2, 11))
    await store.close()


async def test_a_large_round_is_cut(tmp_path: Path, rounds: list[int]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock())
    await _write(store, 300, "many")
    await _write(store, 5, "large", size=3 << 20)
    assert rounds == [128, 128, 44, 3, 2]
    await store.close()


async def test_jobs_keep_their_place_in_line(tmp_path: Path, rounds: list[int]) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock())
    revision = await store.create("/a", b"")
    writes = [asyncio.ensure_future(store.create(f"/b/{n}", b"")) for n in range(3)]
    await asyncio.sleep(0)
    leases = asyncio.ensure_future(store.grant_lease(60))
    await asyncio.sleep(0)
    more = [asyncio.ensure_future(store.create(f"/c/{n}", b"")) for n in range(2)]
    assert await asyncio.gather(*writes, *more) == list(range(revision + 1, revision + 6))
    await leases
    assert rounds == [1, 3, 0, 2]
    await store.close()


async def test_a_round_that_fails_takes_those_behind_it_along_and_the_next_epoch_goes_on(tmp_path: Path) -> None:
    store = await SQLiteStore.open(tmp_path / "db", clock=RealClock())
    await store._job(lambda db: db.execute("PRAGMA query_only = ON"))
    failed = await asyncio.gather(*(store.create(f"/{n}", b"") for n in range(200)), return_exceptions=True)
    assert {type(each) for each in failed} == {StoreUnavailable}
    await store._job(lambda db: db.execute("PRAGMA query_only = OFF"))
    assert await store.create("/after", b"") == 2
    await store.close()


async def test_what_waits_when_the_store_closes_is_committed(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = await SQLiteStore.open(path, clock=RealClock())
    writing = asyncio.ensure_future(_write(store, 10, "a"))
    for _ in range(2):
        await asyncio.sleep(0)
    await store.close()
    assert await writing == list(range(2, 12))
    store = await SQLiteStore.open(path, clock=RealClock())
    assert await store.count("/a/") == 10
    await store.close()
