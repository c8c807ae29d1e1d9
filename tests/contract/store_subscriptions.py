"""What every store promises its subscribers. Read `store_contract.py` first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from apiserver.store.base import (
    Event,
    KeyValue,
    Store,
)
from tests.contract.promises import PODS, Cache, follow, keys, promise


@promise("an event tells the key before and after")
async def _(store: Store) -> None:
    cache = follow(store, "/", after=1)
    await store.create("/a", b"1")
    await store.update("/a", b"2", expected=2)
    await store.delete("/a", expected=3)
    one, two = KeyValue("/a", b"1", 2, 2), KeyValue("/a", b"2", 2, 3)
    expected = [
        Event(one, deleted=False, previous=None),
        Event(two, deleted=False, previous=one),
        Event(KeyValue("/a", b"2", 2, 4), deleted=True, previous=two),
    ]
    assert cache.events == expected
    assert follow(store, "/", after=1).events in ([], expected)


@promise("the past comes first, then what follows")
async def _(store: Store) -> None:
    for n in range(5):
        await store.create(f"{PODS}{n}", b"")
        await store.create(f"/registry/nodes/{n}", b"")
    cache, late = follow(store, PODS, after=4), follow(store, "", after=11)
    await store.create(f"{PODS}9", b"")
    assert cache.revisions() == [6, 8, 10, 12]
    assert late.revisions() == [12]


@promise("a subscription beyond the newest revision waits for it")
async def _(store: Store) -> None:
    cache = follow(store, "/", after=3)
    for n in range(4):
        await store.create(f"/{n}", b"")
    assert cache.revisions() == [4, 5]


@promise("a hint is handed back with the event and kept nowhere")
async def _(store: Store) -> None:
    cache, hint = follow(store, "/", after=1), object()
    await store.create("/a", b"1", hint=hint)
    await store.update("/a", b"2", expected=2, hint="two")
    assert [event.kv.hint for event in cache.events] == [hint, "two"]
    found = await store.get("/a")
    assert found is not None
    assert found.hint is None
    late = follow(store, "/", after=1)
    await store.create("/b", b"")
    assert [event.kv.hint for event in late.events] == [None, None, None]


@promise("deliver has run before the write returns")
async def _(store: Store) -> None:
    cache = follow(store, PODS, after=1)

    async def write(n: int) -> None:
        key = f"{PODS}{n}"
        revision = await store.create(key, b"1")
        assert cache.state[key].mod_revision == revision
        revision = await store.update(key, b"2", expected=revision)
        assert cache.state[key].mod_revision == revision
        await store.delete(key, expected=revision)
        assert key not in cache.state

    await asyncio.gather(*(write(n) for n in range(30)))


@promise("deliver has run before the write returns even for who subscribed far in the past")
async def _(store: Store) -> None:
    for n in range(60):
        await asyncio.gather(*(store.create(f"{PODS}{n}-{each}", b"") for each in range(50)))
    cache = follow(store, PODS, after=1)
    revision = await store.create(f"{PODS}last", b"")
    assert cache.revisions() == list(range(2, revision + 1))


@promise("a cancelled subscription is told nothing more")
async def _(store: Store) -> None:
    cache, other = Cache("/", 1), follow(store, "/", after=1)
    subscription = store.subscribe("/", after=1, deliver=cache.deliver)
    await store.create("/a", b"")
    subscription.cancel()
    subscription.cancel()
    await store.create("/b", b"")
    assert (cache.revisions(), other.revisions()) == ([2], [2, 3])
    assert subscription.failed is None


@promise("a subscriber may subscribe or cancel while it is told")
async def _(store: Store) -> None:
    inner = Cache("/", 1)

    def deliver(events: Sequence[Event]) -> None:
        if len(inner.events) == 0:
            store.subscribe("/", after=1, deliver=inner.deliver)
        subscription.cancel()

    subscription = store.subscribe("/", after=1, deliver=deliver)
    await store.create("/a", b"")
    await store.create("/b", b"")
    assert inner.revisions() == [2, 3]


@promise("a subscriber that raises takes nothing from the others")
async def _(store: Store) -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))

    def broken(events: Sequence[Event]) -> None:
        raise ValueError("broken")

    store.subscribe("/", after=1, deliver=broken)
    cache = follow(store, "/", after=1)
    await store.create("/a", b"")
    assert cache.revisions() == [2]
    assert told == ["a subscriber of '/' raised"]


@promise("each event reaches each subscriber exactly once under concurrent writers")
async def _(store: Store) -> None:
    caches = [follow(store, prefix, after=1) for prefix in ("", PODS, "/registry/nodes/", f"{PODS}3/")]
    rng = random.Random(11)

    async def write(n: int) -> None:
        own: dict[str, int] = {}
        for _ in range(60):
            key = rng.choice((f"{PODS}{n}/{rng.randrange(5)}", f"/registry/nodes/{n}-{rng.randrange(5)}"))
            if key not in own:
                own[key] = await store.create(key, str(n).encode())
            elif rng.random() < 0.3:
                await store.delete(key, expected=own.pop(key))
            else:
                own[key] = await store.update(key, str(rng.random()).encode(), expected=own[key])

    async def join() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
            prefix = rng.choice(("", PODS, f"{PODS}{rng.randrange(8)}/"))
            caches.append(follow(store, prefix, after=rng.randint(1, await store.revision())))

    await asyncio.gather(*(write(n) for n in range(8)), join())
    await store.create("/registry/pods/3/z", b"")
    everything = caches[0].events
    assert [event.kv.mod_revision for event in everything] == list(range(2, 8 * 60 + 3))
    firsts = [2] * 4 + [cache.revisions()[0] if cache.events else 0 for cache in caches[4:]]
    for cache, first in zip(caches, firsts, strict=True):
        expected = [event for event in everything if event.kv.key.startswith(cache.prefix) and event.kv.mod_revision >= first]
        assert cache.events == (expected if first else [])
    assert {kv.key: kv for kv in (await store.list("")).items} == caches[0].state


@promise("a listing and a subscription after it never miss or repeat anything")
async def _(store: Store) -> None:
    async def write(n: int) -> None:
        for each in range(40):
            await store.create(f"{PODS}{n}-{each}", b"")

    caches: list[tuple[list[str], Cache]] = []

    async def reflect() -> None:
        for _ in range(10):
            page = await store.list(PODS)
            await asyncio.sleep(0)
            caches.append(([kv.key for kv in page.items], follow(store, PODS, after=page.revision)))

    await asyncio.gather(*(write(n) for n in range(6)), reflect())
    await store.create(f"{PODS}last", b"")
    everything = await keys(store, PODS)
    for listed, cache in caches:
        assert sorted([*listed, *(event.kv.key for event in cache.events)]) == everything
