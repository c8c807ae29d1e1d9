"""What every store promises (`apiserver/store/base.py`), as scenarios that are run over each backend by `test_store.py`.

A scenario is a coroutine that is given an empty store; it runs on a virtual loop, so waiting for leases costs nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import pytest

from apiserver.store.base import (
    Compacted,
    Event,
    FutureRevision,
    KeyExists,
    KeyValue,
    RevisionMismatch,
    Store,
    StoreError,
    StoreUnavailable,
)

Scenario = Callable[[Store], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}
PODS = "/registry/pods/"


def promise(text: str) -> Callable[[Scenario], Scenario]:
    """Register a scenario under the sentence that it holds the store to."""

    def register(scenario: Scenario) -> Scenario:
        assert text not in SCENARIOS
        SCENARIOS[text] = scenario
        return scenario

    return register


class Cache:
    """A subscriber that checks what it is told: its prefix only, in order, nothing twice; `state` is the world it believes in."""

    def __init__(self, prefix: str, after: int) -> None:
        self.prefix, self.newest = prefix, after
        self.events: list[Event] = []
        self.state: dict[str, KeyValue] = {}

    def deliver(self, events: Sequence[Event]) -> None:
        assert events, "deliver is called with one or more events"
        for event in events:
            kv = event.kv
            assert kv.key.startswith(self.prefix)
            assert kv.mod_revision > self.newest
            self.newest = kv.mod_revision
            self.events.append(event)
            if event.deleted:
                self.state.pop(kv.key, None)
            else:
                self.state[kv.key] = kv

    def revisions(self) -> list[int]:
        return [event.kv.mod_revision for event in self.events]


def follow(store: Store, prefix: str, *, after: int) -> Cache:
    cache = Cache(prefix, after)
    store.subscribe(prefix, after=after, deliver=cache.deliver)
    return cache


async def keys(store: Store, prefix: str, *, revision: int = 0) -> list[str]:
    return [kv.key for kv in (await store.list(prefix, revision=revision)).items]


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


# Subscriptions.


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
