"""The watch cache: what it holds, what it remembers, and who is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.registry import cache as cache_module
from apiserver.registry import watchers as watchers_module
from apiserver.registry.cache import ADDED, DELETED, MODIFIED, ResourceCache, Watcher
from apiserver.registry.encoding import Encoding
from apiserver.registry.kind import Kind
from apiserver.store.memory import MemoryStore
from kube.clock import LoopClock
from kube.errors import BadRequest, Expired
from kube.objects import Object
from kube.resources import CONFIG_MAPS
from tests.virtual import virtual

KIND = Kind(
    resource=CONFIG_MAPS,
    definition="io.k8s.api.core.v1.ConfigMap",
    singular="configmap",
    selectable={"data.color": lambda obj: obj.get("data", {}).get("color", "")},
)
ENCODING = Encoding(CONFIG_MAPS)


def obj(namespace: str, name: str, **data: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"of": namespace}}, "data": data}


class World:
    """A store with a cache over it."""

    def __init__(self) -> None:
        self.store = MemoryStore(LoopClock())
        self.cache = ResourceCache(KIND, self.store)

    async def create(self, namespace: str, name: str, **data: str) -> int:
        return await self.store.create(self.cache.key(namespace, name), ENCODING.encode(obj(namespace, name, **data)))

    async def update(self, namespace: str, name: str, **data: str) -> int:
        entry = self.cache.get(namespace, name)
        assert entry is not None
        return await self.store.update(entry.key, ENCODING.encode(obj(namespace, name, **data)), expected=entry.revision)

    async def delete(self, namespace: str, name: str) -> int:
        entry = self.cache.get(namespace, name)
        assert entry is not None
        return await self.store.delete(entry.key, expected=entry.revision)

    async def close(self) -> None:
        self.cache.close()
        await self.store.close()


def told(watcher: Watcher) -> list[tuple[str, str, int]]:
    return [(each.type, each.entry.name, each.revision) for each in watcher.take()]


@virtual
async def test_what_was_there_and_what_comes_is_read_in_key_order() -> None:
    world = World()
    await world.create("b", "x")
    await world.cache.start()
    await world.create("a", "y")
    await world.create("a-b", "z")
    await world.create("b", "w")
    assert [(each.namespace, each.name) for each in world.cache.entries()] == [("a-b", "z"), ("a", "y"), ("b", "w"), ("b", "x")]
    assert [each.name for each in world.cache.entries("b")] == ["w", "x"]
    assert list(world.cache.entries("none")) == []
    assert (world.cache.count(), world.cache.count("b"), world.cache.count("none")) == (4, 2, 0)
    await world.delete("a-b", "z")
    assert [each.namespace for each in world.cache.entries()] == ["a", "b", "b"]
    await world.close()


@virtual
async def test_an_entry_has_what_selectors_ask_for() -> None:
    world = World()
    await world.cache.start()
    revision = await world.create("a", "x", color="red")
    entry = world.cache.get("a", "x")
    assert entry is not None
    assert (entry.labels, entry.revision, entry.create_revision) == ({"of": "a"}, revision, revision)
    assert [world.cache.field(entry, name) for name in ("metadata.name", "metadata.namespace", "data.color")] == ["x", "a", "red"]
    with pytest.raises(KeyError):
        world.cache.field(entry, "data.size")
    assert world.cache.object_of(entry)["metadata"]["resourceVersion"] == str(revision)
    await world.close()


@virtual
async def test_what_was_stored_before_is_not_looked_into_until_a_selector_asks() -> None:
    world = World()
    await world.create("a", "x", color="red")
    await world.cache.start()
    entry = world.cache.get("a", "x")
    assert entry is not None
    assert (entry.namespace, entry.name) == ("a", "x")
    with pytest.raises(AttributeError, match="fields"):
        object.__getattribute__(entry, "fields")
    assert (world.cache.field(entry, "data.color"), entry.labels) == ("red", {"of": "a"})
    with pytest.raises(AttributeError, match="colour"):
        entry.colour  # noqa: B018
    watcher = await world.cache.watch("", "", await world.cache.catch_up(), field=("data.color", "red"))
    await world.update("a", "x", color="blue")
    assert [each.type for each in watcher.take()] == [MODIFIED], "it had the color that is asked for"
    await world.close()


@virtual
async def test_catching_up_sees_writes_to_other_kinds_pass() -> None:
    world = World()
    await world.cache.start()
    await world.create("a", "x")
    other = await world.store.create("/registry/pods/a/p", b"{}")
    assert await world.cache.catch_up() == other == world.cache.revision
    await world.close()


@virtual
async def test_watchers_see_what_is_theirs_after_their_revision() -> None:
    world = World()
    await world.cache.start()
    first = await world.create("a", "x")
    everything = await world.cache.watch("", "", 0)
    later = await world.cache.watch("", "", first)
    of_a, of_x = await world.cache.watch("a", "", first), await world.cache.watch("a", "x", first)
    second = await world.update("a", "x", n="2")
    third = await world.create("b", "y")
    fourth = await world.create("a", "z")
    fifth = await world.delete("a", "x")
    mine = [(MODIFIED, "x", second), (ADDED, "y", third), (ADDED, "z", fourth), (DELETED, "x", fifth)]
    assert told(everything) == [(ADDED, "x", first), *mine]
    assert told(later) == mine
    assert told(of_a) == [mine[0], mine[2], mine[3]]
    assert told(of_x) == [mine[0], mine[3]]
    assert told(of_x) == [], "nothing is told twice"
    later.close()
    await world.create("a", "q")
    assert told(later) == []
    assert world.cache.watchers == 3
    await world.close()


@virtual
async def test_a_deletion_carries_the_last_state_and_its_own_revision() -> None:
    world = World()
    await world.cache.start()
    await world.create("a", "x", n="1")
    watcher = await world.cache.watch("", "", await world.cache.catch_up())
    gone = await world.delete("a", "x")
    (change,) = watcher.take()
    assert change.previous is not None
    assert (change.entry.value, change.entry.revision) == (change.previous.value, gone)
    await world.close()


@virtual
async def test_every_revision_can_be_resumed_from_the_history_and_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_CHANGES_MAX", 3)
    world = World()
    await world.cache.start()
    start = world.cache.revision
    written: list[tuple[str, str, int]] = []
    for n in range(4):
        written.append((ADDED, f"c{n}", await world.create("a", f"c{n}")))
    written.append((MODIFIED, "c0", await world.update("a", "c0", n="1")))
    written.append((DELETED, "c1", await world.delete("a", "c1")))
    for index, after in enumerate([start, *(revision for _, _, revision in written)]):
        watcher = await world.cache.watch("", "", after)
        await asyncio.sleep(0)
        assert told(watcher) == written[index:], f"from {after}"
        watcher.close()
    await world.close()


@virtual
async def test_a_watcher_from_the_log_goes_on_with_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_CHANGES_MAX", 1)
    world = World()
    await world.cache.start()
    start = world.cache.revision
    one, two = await world.create("a", "x"), await world.create("a", "y")
    watcher = await world.cache.watch("", "", start)
    await asyncio.sleep(0)
    three = await world.delete("a", "x")
    assert told(watcher) == [(ADDED, "x", one), (ADDED, "y", two), (DELETED, "x", three)]
    assert watcher.subscription is None, "it has joined the others"
    watcher.close()
    await world.create("a", "z")
    assert told(watcher) == []
    await world.close()


@virtual
async def test_a_watcher_whose_log_has_ended_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_CHANGES_MAX", 1)
    world = World()
    await world.cache.start()
    start = world.cache.revision
    await world.create("a", "x")
    await world.create("a", "y")
    watcher = Watcher(world.cache._watchers, "", "", start)
    watcher.subscription = world.store.subscribe("/registry/configmaps/", after=await world.store.revision(), deliver=lambda _: None)
    assert not watcher.is_lost
    await world.store.close()
    assert watcher.is_lost
    world.cache.close()


@virtual
async def test_what_the_log_has_forgotten_is_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_CHANGES_MAX", 1)
    world = World()
    await world.cache.start()
    for n in range(4):
        await world.create("a", f"c{n}")
    await world.store.compact(await world.store.revision())
    with pytest.raises(Expired, match="too old resource version: 2"):
        await world.cache.watch("", "", 2)
    await world.close()


@virtual
async def test_who_cannot_keep_up_is_cut_off_and_the_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers_module, "WATCHER_CHANGES_MAX", 3)
    world = World()
    await world.cache.start()
    slow, quick = await world.cache.watch("", "", 0), await world.cache.watch("", "", 0)
    seen = 0
    for n in range(5):
        await world.create("a", f"c{n}")
        seen += len(quick.take())
    assert (slow.cut_off, slow.ready.is_set(), slow.take()) == (True, True, [])
    assert (quick.cut_off, seen) == (False, 5)
    assert world.cache.watchers == 1
    await world.close()


@virtual
async def test_the_history_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_BYTES_MAX", 1000)
    world = World()
    await world.cache.start()
    for n in range(20):
        await world.create("a", f"c{n}", big="x" * 300)
    assert world.cache._history_bytes <= 1000
    assert len(world.cache._history) <= 3
    await world.close()


@virtual
async def test_changes_are_told_from_where_they_are_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "HISTORY_CHANGES_MAX", 2)
    world = World()
    await world.create("a", "before")
    await world.cache.start()
    loaded = world.cache.revision
    revisions = [await world.create("a", name) for name in ("x", "y", "z")]
    assert world.cache.since(loaded - 1) is None
    assert world.cache.since(loaded) is None
    changes = world.cache.since(revisions[0])
    assert changes is not None
    assert [each.revision for each in changes] == revisions[1:]
    assert world.cache.since(revisions[-1]) == []
    await world.close()


@virtual
async def test_callers_at_once_share_one_load() -> None:
    world = World()
    await world.create("a", "x")
    calls: list[str] = []
    real = world.store.list

    async def counted(prefix: str, **rest: Any) -> Any:
        calls.append(prefix)
        await asyncio.sleep(1)
        return await real(prefix, **rest)

    world.store.list = counted  # type: ignore[method-assign]
    await asyncio.gather(*(world.cache.catch_up() for _ in range(5)))
    assert calls == [world.cache.prefix]
    assert world.cache.count() == 1
    await world.close()


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_stored_bytes_are_served_bytes_but_for_the_version() -> None:
    given = obj("a", "x", n="1")
    given["metadata"]["resourceVersion"] = "5"
    value = ENCODING.encode(given)
    assert b"resourceVersion" not in value
    assert given["metadata"]["resourceVersion"] == "5", "the object given is not changed"
    assert ENCODING.served(value, 7).startswith(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"x"')
    assert ENCODING.item(value, 7).startswith(b'{"metadata":{"resourceVersion":"7","name":"x"')
    assert ENCODING.decode(value, 7) == {"kind": "ConfigMap", "apiVersion": "v1", **obj("a", "x", n="1")} | {
        "metadata": {**given["metadata"], "resourceVersion": "7"}
    }


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"a": deep}
    with pytest.raises(BadRequest, match="exceeded max depth"):
        ENCODING.encode({"metadata": {"name": "x"}, "data": deep})
