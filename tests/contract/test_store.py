"""Runs the promises of `store_contract.py` and its neighbours over each backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from apiserver.store.base import Store
from apiserver.store.memory import MemoryStore
from apiserver.store.sqlite import SQLiteStore
from kube.clock import LoopClock
from tests.contract import store_contract, store_ends, store_subscriptions  # noqa: F401  (they register their promises)
from tests.contract.promises import SCENARIOS, Scenario
from tests.virtual import run_virtual

Open = Callable[[Path], Awaitable[Store]]


async def _memory(_: Path) -> Store:
    return MemoryStore(LoopClock())


async def _sqlite(folder: Path) -> Store:
    return await SQLiteStore.open(folder / "data" / "state.db", clock=LoopClock())


async def _sqlite_forgetful(folder: Path) -> Store:
    """With next to no events in memory, so that subscribers have to read the past from disk."""
    store = await SQLiteStore.open(folder / "data" / "state.db", clock=LoopClock(), recent_events_max=3)
    return store


BACKENDS: dict[str, Open] = {"memory": _memory, "sqlite": _sqlite, "sqlite that forgets": _sqlite_forgetful}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("promise", SCENARIOS)
def test_store(promise: str, backend: str, tmp_path: Path) -> None:
    run_virtual(lambda: _keeps(SCENARIOS[promise], BACKENDS[backend], tmp_path))


async def _keeps(scenario: Scenario, open_store: Open, folder: Path) -> None:
    store = await open_store(folder)
    try:
        await scenario(store)
    finally:
        await store.close()
