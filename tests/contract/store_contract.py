"""What every store promises of writes and reads (`apiserver/store/base.py`), as scenarios that `test_store.py` runs over each backend.
Subscriptions are in `store_subscriptions.py`, the end of history and of stores in `store_ends.py`.

A scenario is a coroutine that is given an empty store; it runs on a virtual loop, so waiting for leases costs nothing.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from apiserver.store.base import (
    FutureRevision,
    KeyExists,
    KeyValue,
    RevisionMismatch,
    Store,
)
from tests.contract.promises import PODS, keys, promise

# Revisions, create, update, delete.


@promise("an empty store is at revision 1 and each write gets the next")
async def _(store: Store) -> None:
    assert await store.revision() == 1
    assert await store.create("/a", b"1") == 2
    assert await store.update("/a", b"2", expected=2) == 3
    assert await store.delete("/a", expected=3) == 4
    assert await store.revision() == 4


@promise("what was written is read back with its revisions")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    await store.update("/a", b"\x00\xff", expected=2)
    assert await store.get("/a") == KeyValue("/a", b"\x00\xff", create_revision=2, mod_revision=3)
    assert await store.get("/b") is None


@promise("creating a key that is there changes nothing")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    with pytest.raises(KeyExists):
        await store.create("/a", b"2")
    found = await store.get("/a")
    assert found is not None
    assert (found.value, await store.revision()) == (b"1", 2)


@promise("a write at another revision than the expected is refused with what is there")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    await store.update("/a", b"2", expected=2)
    for write in (store.update("/a", b"3", expected=2), store.delete("/a", expected=2), store.update("/a", b"3", expected=99)):
        with pytest.raises(RevisionMismatch) as refused:
            await write
        assert refused.value.current == KeyValue("/a", b"2", 2, 3)
    assert await store.revision() == 3


@promise("updating or deleting a key that is not there is refused with None")
async def _(store: Store) -> None:
    await store.create("/gone", b"1")
    await store.delete("/gone", expected=2)
    for key in ("/gone", "/never"):
        for write in (store.update(key, b"2", expected=2), store.delete(key, expected=2), store.update(key, b"2", expected=0)):
            with pytest.raises(RevisionMismatch) as refused:
                await write
            assert refused.value.current is None


@promise("a key created again after its deletion has a new create revision")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    await store.delete("/a", expected=2)
    await store.create("/a", b"2")
    assert await store.get("/a") == KeyValue("/a", b"2", 4, 4)


@promise("of many that create the same key at once exactly one wins")
async def _(store: Store) -> None:
    results = await asyncio.gather(*(store.create("/a", str(n).encode()) for n in range(20)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["KeyExists"] * 19 + ["int"]
    winner = next(n for n, result in enumerate(results) if isinstance(result, int))
    assert await store.get("/a") == KeyValue("/a", str(winner).encode(), 2, 2)


@promise("a counter that many raise with compare and swap misses nothing")
async def _(store: Store) -> None:
    await store.create("/n", b"0")

    async def raise_it(times: int) -> None:
        current = await store.get("/n")
        while times:
            assert current is not None
            try:
                await store.update("/n", str(int(current.value) + 1).encode(), expected=current.mod_revision)
                times -= 1
                current = await store.get("/n")
            except RevisionMismatch as refused:
                current = refused.current

    await asyncio.gather(*(raise_it(10) for _ in range(8)))
    found = await store.get("/n")
    assert found is not None
    assert found.value == b"80"
    assert found.mod_revision == 82


@promise("empty values and keys of any script are kept")
async def _(store: Store) -> None:
    await store.create("/ünïcode/日本", b"")
    await store.create("/ünïcode/😀", b"2")
    assert [(kv.key, kv.value) for kv in (await store.list("/ünïcode/")).items] == [("/ünïcode/日本", b""), ("/ünïcode/😀", b"2")]


# Reading the past and the future.


@promise("a key is read as it was at an older revision")
async def _(store: Store) -> None:
    await store.create("/x", b"-")
    await store.create("/a", b"1")
    await store.update("/a", b"2", expected=3)
    await store.delete("/a", expected=4)
    await store.create("/a", b"3")
    seen = [await store.get("/a", revision=revision) for revision in (1, 2, 3, 4, 5, 6)]
    assert seen == [None, None, KeyValue("/a", b"1", 3, 3), KeyValue("/a", b"2", 3, 4), None, KeyValue("/a", b"3", 6, 6)]


@promise("a listing at an older revision shows that world")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    await store.create("/b", b"1")
    await store.update("/a", b"2", expected=2)
    await store.delete("/b", expected=3)
    await store.create("/c", b"1")
    page = await store.list("/", revision=4)
    assert [(kv.key, kv.value, kv.mod_revision) for kv in page.items] == [("/a", b"2", 4), ("/b", b"1", 3)]
    assert page.revision == 4
    assert await keys(store, "/", revision=1) == []
    assert await keys(store, "/", revision=6) == await keys(store, "/") == ["/a", "/c"]


@promise("a revision that has not happened is refused with the newest")
async def _(store: Store) -> None:
    await store.create("/a", b"1")
    for read in (store.get("/a", revision=3), store.list("/", revision=3), store.compact(3)):
        with pytest.raises(FutureRevision) as refused:
            await read
        assert refused.value.current == 2


# Listing.


@promise("a listing is in key order and of the prefix only")
async def _(store: Store) -> None:
    for key in (
        "/registry/podsecurity/a",
        "/registry/pods/b/1",
        "/registry/pods/a/2",
        "/registry/pod",
        "/registry/pods/a/10",
        "/registry/pods",
    ):
        await store.create(key, b"")
    assert await keys(store, PODS) == ["/registry/pods/a/10", "/registry/pods/a/2", "/registry/pods/b/1"]
    assert len(await keys(store, "")) == 6
    assert [await store.count(prefix) for prefix in (PODS, "", "/registry/pods/a/", "/none")] == [3, 6, 2, 0]


@promise("start, limit and remaining cut a listing into pages")
async def _(store: Store) -> None:
    for n in range(7):
        await store.create(f"{PODS}{n}", str(n).encode())
    first = await store.list(PODS, limit=3)
    assert ([kv.key[-1] for kv in first.items], first.remaining, first.revision) == (["0", "1", "2"], 4, 8)
    last = await store.list(PODS, start=f"{PODS}5", limit=3)
    assert ([kv.key[-1] for kv in last.items], last.remaining) == (["5", "6"], 0)
    between = await store.list(PODS, start=f"{PODS}3\0", limit=1)
    assert ([kv.key[-1] for kv in between.items], between.remaining) == (["4"], 2)
    assert (await store.list(PODS, start="/registry/zzz")).items == []
    assert len((await store.list(PODS, start="/a")).items) == 7


@promise("pages at one revision fit together while writes go on")
async def _(store: Store) -> None:
    rng = random.Random(3)
    for n in range(40):
        await store.create(f"{PODS}{n:02}", b"before")
    revision, start, seen = await store.revision(), "", []
    while True:
        page = await store.list(PODS, start=start, limit=7, revision=revision)
        assert page.revision == revision
        seen += page.items
        assert page.remaining == 40 - len(seen)
        if not page.remaining:
            break
        start = page.items[-1].key + "\0"
        for n in rng.sample(range(40), 5):
            current = await store.get(f"{PODS}{n:02}")
            if current is None:
                await store.create(f"{PODS}{n:02}", b"after")
            elif rng.random() < 0.5:
                await store.delete(current.key, expected=current.mod_revision)
            else:
                await store.update(current.key, b"after", expected=current.mod_revision)
        await store.create(f"{PODS}{len(seen):02}-new", b"after")
    assert [(kv.key, kv.value) for kv in seen] == [(f"{PODS}{n:02}", b"before") for n in range(40)]


@promise("a long listing is of one revision although writers are busy")
async def _(store: Store) -> None:
    await asyncio.gather(*(store.create(f"{PODS}{n:04}", b"0") for n in range(300)))

    async def touch() -> None:
        for n in range(100):
            current = await store.get(f"{PODS}{n:04}")
            assert current is not None
            await store.update(current.key, b"1", expected=current.mod_revision)

    writer = asyncio.create_task(touch())
    while not writer.done():
        page = await store.list(PODS)
        assert max(kv.mod_revision for kv in page.items) <= page.revision
        assert sum(kv.value == b"1" for kv in page.items) == page.revision - 301
        await asyncio.wait([writer], timeout=0.01)
    await writer
