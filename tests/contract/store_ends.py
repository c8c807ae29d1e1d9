"""What every store promises of compaction, leases and being closed, and that all of it holds together. Read `store_contract.py` first."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest

from apiserver.store.base import (
    Compacted,
    KeyValue,
    Store,
    StoreError,
    StoreUnavailable,
)
from tests.contract.promises import follow, keys, promise

# Compaction.


async def _history(store: Store) -> None:
    """2: a=1, 3: b=1, 4: a=2, 5: b deleted, 6: c=1, 7: a=3."""
    await store.create("/a", b"1")
    await store.create("/b", b"1")
    await store.update("/a", b"2", expected=2)
    await store.delete("/b", expected=3)
    await store.create("/c", b"1")
    await store.update("/a", b"3", expected=4)


@promise("after compaction the compacted revision and later are readable, earlier ones are not")
async def _(store: Store) -> None:
    await _history(store)
    await store.compact(5)
    assert [(kv.key, kv.value) for kv in (await store.list("/", revision=5)).items] == [("/a", b"2")]
    assert [(kv.key, kv.value) for kv in (await store.list("/")).items] == [("/a", b"3"), ("/c", b"1")]
    assert await store.get("/a", revision=6) == KeyValue("/a", b"2", 2, 4)
    assert await store.get("/b", revision=5) is None
    for read in (store.get("/a", revision=4), store.list("/", revision=4), store.get("/none", revision=1)):
        with pytest.raises(Compacted) as refused:
            await read
        assert refused.value.oldest == 5


@promise("a subscription starts at the compacted revision and not before")
async def _(store: Store) -> None:
    await _history(store)
    await store.compact(5)
    cache = follow(store, "/", after=5)
    with pytest.raises(Compacted) as refused:
        follow(store, "/", after=4)
    assert refused.value.oldest == 5
    await store.update("/a", b"4", expected=7)
    assert cache.revisions() == [6, 7, 8]
    assert cache.events[1].previous == KeyValue("/a", b"2", 2, 4)


@promise("compacting twice at the same revision, or back, is refused")
async def _(store: Store) -> None:
    await _history(store)
    await store.compact(5)
    for revision in (5, 3):
        with pytest.raises(Compacted) as refused:
            await store.compact(revision)
        assert refused.value.oldest == 5
    await store.compact(7)
    assert await keys(store, "/") == ["/a", "/c"]


@promise("the newest revision survives compaction of the delete that made it")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    await store.delete("/a", expected=2)
    await store.compact(3)
    assert await store.revision() == 3
    assert await store.create("/a", b"2") == 4


@promise("writes go on and are told while a long history is compacted")
async def _(store: Store) -> None:
    revision = await store.create("/a", b"0")
    for n in range(700):
        revision = await store.update("/a", str(n).encode(), expected=revision)
        if n % 7 == 0:
            await store.create(f"/gone/{n}", b"")
            revision_gone = await store.revision()
            await store.delete(f"/gone/{n}", expected=revision_gone)
    newest = await store.revision()
    cache = follow(store, "/", after=newest)
    done, _ = await asyncio.gather(asyncio.gather(*(store.create(f"/b/{n:02}", b"") for n in range(50))), store.compact(newest))
    assert sorted(done) == cache.revisions()
    assert await keys(store, "/gone/") == []
    found = await store.get("/a", revision=newest)
    assert found is not None
    assert found.value == b"699"


# Leases.


@promise("the keys of a lease are deleted with events when its time is up")
async def _(store: Store) -> None:
    cache = follow(store, "/", after=1)
    lease = await store.grant_lease(10)
    for key in ("/b", "/a"):
        await store.create(key, b"1", lease=lease)
    await store.create("/stays", b"1")
    found = await store.get("/a")
    assert found is not None
    assert found.lease == lease
    await asyncio.sleep(9)
    assert len(await keys(store, "/")) == 3
    await asyncio.sleep(2)
    assert await keys(store, "/") == ["/stays"]
    assert [(event.kv.key, event.deleted, event.kv.mod_revision) for event in cache.events[3:]] == [("/a", True, 5), ("/b", True, 6)]


@promise("writing a key with another lease, or none, moves it")
async def _(store: Store) -> None:
    short, long = await store.grant_lease(10), await store.grant_lease(100)
    for key in ("/moved", "/freed", "/left", "/again"):
        await store.create(key, b"", lease=short)
    await store.update("/moved", b"", expected=2, lease=long)
    await store.update("/freed", b"", expected=3)
    await store.delete("/again", expected=5)
    await store.create("/again", b"")
    await asyncio.sleep(11)
    assert await keys(store, "/") == ["/again", "/freed", "/moved"]
    await asyncio.sleep(100)
    assert await keys(store, "/") == ["/again", "/freed"]


@promise("a lease that is over or was never granted is refused")
async def _(store: Store) -> None:
    lease = await store.grant_lease(1)
    await asyncio.sleep(2)
    for unknown in (lease, 4711):
        with pytest.raises(StoreError, match=f"no lease {unknown}"):
            await store.create("/a", b"", lease=unknown)
    with pytest.raises(ValueError, match="at least one second"):
        await store.grant_lease(0)
    assert await store.revision() == 1


@promise("a key written with a lease just before its time is up does not outlive it")
async def _(store: Store) -> None:
    lease = await store.grant_lease(5)

    async def write_for_ever() -> None:
        for n in count():
            await store.create(f"/{n}", b"", lease=lease)
            await asyncio.sleep(0.1)

    with pytest.raises(StoreError, match=f"no lease {lease}"):
        await write_for_ever()
    await asyncio.sleep(1)
    assert await keys(store, "/") == []


# The end.


@promise("a closed store refuses everything and says so to its subscribers")
async def _(store: Store) -> None:
    await store.create("/a", b"")
    subscription = store.subscribe("/", after=1, deliver=lambda events: None)
    await store.close()
    await store.close()
    calls = (
        store.get("/a"),
        store.list("/"),
        store.count("/"),
        store.create("/b", b""),
        store.update("/a", b"", expected=2),
        store.delete("/a", expected=2),
        store.revision(),
        store.compact(2),
        store.grant_lease(5),
    )
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call
    with pytest.raises(StoreUnavailable):
        store.subscribe("/", after=1, deliver=lambda events: None)
    assert isinstance(subscription.failed, StoreUnavailable)


@promise("close finishes and tells what is being written")
async def _(store: Store) -> None:
    cache = follow(store, "/", after=1)
    writes = [asyncio.create_task(store.create(f"/{n}", b"")) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [result for result in results if isinstance(result, int)] == cache.revisions()
    assert all(isinstance(result, int | StoreUnavailable) for result in results)


@promise("random histories agree with a plain model at every revision")
async def _(store: Store) -> None:
    for seed in range(3):
        await _compare_with_model(store, random.Random(seed), f"/{seed}/")


async def _compare_with_model(store: Store, rng: random.Random, prefix: str) -> None:
    worlds: dict[int, dict[str, bytes]] = {await store.revision(): {}}
    world: dict[str, KeyValue] = {}
    compacted = 0
    for _ in range(150):
        key = f"{prefix}{rng.randrange(12):02}"
        value = rng.randbytes(rng.randrange(20))
        if key not in world:
            revision = await store.create(key, value)
            world[key] = KeyValue(key, value, revision, revision)
        elif rng.random() < 0.4:
            revision = await store.delete(key, expected=world.pop(key).mod_revision)
        else:
            revision = await store.update(key, value, expected=world[key].mod_revision)
            world[key] = KeyValue(key, value, world[key].create_revision, revision)
        worlds[revision] = {key: kv.value for key, kv in world.items()}
        if rng.random() < 0.05:
            compacted = rng.choice([at for at in worlds if at > compacted])
            await store.compact(compacted)
            worlds = {at: seen for at, seen in worlds.items() if at >= compacted}
        at = rng.choice(list(worlds))
        limit, start = rng.choice((0, 1, 5)), rng.choice(("", f"{prefix}05"))
        page = await store.list(prefix, start=start, limit=limit, revision=at)
        expected = sorted((key, value) for key, value in worlds[at].items() if key >= start)
        assert [(kv.key, kv.value) for kv in page.items] == (expected[:limit] if limit else expected)
        assert page.remaining == len(expected) - len(page.items)
        one = await store.get(key, revision=at)
        assert (one.value if one else None) == worlds[at].get(key)
    assert {kv.key: kv for kv in (await store.list(prefix)).items} == world
