"""The informer against a server that cuts, expires, repeats and fails: it must never miss, never repeat, never give up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kube.client.client import Client
from kube.client.informer import Informer, Informers
from kube.client.transport import AsgiTransport
from kube.objects import Object, key_of
from kube.resources import CONFIG_MAPS, NODES, PODS
from tests.fake_api import FakeApi, Faults
from tests.virtual import virtual


def path(name: str, namespace: str = "default") -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def pod(name: str, namespace: str = "default", **labels: str) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


class Mirror:
    """A handler that keeps its own copy, and fails when what it is told does not fit it."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.told: list[tuple[str, str]] = []
        self.wrong: list[str] = []

    def __call__(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        if self.objects.get(key) is not old:
            self.wrong.append(f"{key}: told of an old version that was not the last one")
        if new is None:
            del self.objects[key]
            self.told.append(("deleted", key))
            return
        version = new["metadata"]["resourceVersion"]
        if old is not None and int(version) <= int(old["metadata"]["resourceVersion"]):
            self.wrong.append(f"{key}: told of {version} after {old['metadata']['resourceVersion']}")
        self.objects[key] = new
        self.told.append(("updated" if old else "added", key))


@asynccontextmanager
async def running(api: FakeApi, *, namespace: str | None = None, page_limit: int = 500) -> AsyncIterator[tuple[Informer, Mirror]]:
    transport = AsgiTransport(api)
    client = Client(transport, user_agent="test", rng=random.Random(1))
    informer = Informer(client, PODS, namespace=namespace, rng=random.Random(2), page_limit=page_limit)
    mirror = Mirror()
    informer.add_handler(mirror)
    task = asyncio.create_task(informer.run())
    try:
        yield informer, mirror
    finally:
        task.cancel()
        await asyncio.wait([task])
        await transport.close()
    assert mirror.wrong == []
    assert {key_of(each): each for each in informer.list()} == mirror.objects


async def settle() -> None:
    await asyncio.sleep(0.01)


@virtual
async def test_everything_listed_is_told_once_before_it_is_synced() -> None:
    api = FakeApi(random.Random(0))
    for number in range(7):
        api.put(path(f"web-{number}"), pod(f"web-{number}"))
    async with running(api, page_limit=3) as (informer, mirror):
        await informer.wait_synced()
        assert sorted(mirror.told) == [("added", f"default/web-{number}") for number in range(7)]
        assert sum("limit=3" in target for _, target in api.requests) == 3
        got = informer.get("default/web-3")
        assert got is not None
        assert (got["kind"], got["apiVersion"]) == ("Pod", "v1")


@virtual
async def test_adds_updates_and_deletes_arrive_as_they_happen() -> None:
    api = FakeApi(random.Random(0))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        api.put(path("a"), pod("a"))
        api.put(path("a"), pod("a", app="x"))
        api.remove(path("a"))
        await settle()
        assert mirror.told == [("added", "default/a"), ("updated", "default/a"), ("deleted", "default/a")]
        assert informer.get("default/a") is None


@virtual
async def test_a_watch_that_ends_is_resumed_from_the_last_version_without_a_list() -> None:
    api = FakeApi(random.Random(0))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        for _ in range(5):
            await asyncio.sleep(700)  # every watch is asked for ten minutes at most
            api.put(path("a"), pod("a"))
        await settle()
        assert [what for what, _ in mirror.told] == ["added", *["updated"] * 4]
        assert sum("watch" not in target for _, target in api.requests) == 1


@virtual
async def test_bookmarks_move_the_version_to_resume_from() -> None:
    api = FakeApi(random.Random(0))
    async with running(api, namespace="default") as (informer, _):
        await informer.wait_synced()
        api.put(path("elsewhere", "other"), pod("elsewhere", "other"))  # the fake tells of it by a bookmark
        await settle()
        api.compact()
        await asyncio.sleep(1300)
        assert sum("watch" not in target for _, target in api.requests) == 1


@virtual
async def test_it_knows_which_version_its_cache_is_sure_to_be_as_new_as() -> None:
    api = FakeApi(random.Random(0))
    api.put(path("a"), pod("a"))
    async with running(api) as (informer, _):
        await informer.wait_synced()
        api.put(path("b"), pod("b"))
        version = api.objects[path("b")]["metadata"]["resourceVersion"]
        assert not informer.has_seen(version)
        await asyncio.sleep(1)
        assert informer.has_seen(version)
        assert not informer.has_seen(str(int(version) + 1))
        assert not informer.has_seen("not-a-number")


@virtual
async def test_after_410_only_differences_are_told() -> None:
    api = FakeApi(random.Random(0))
    for name in ("kept", "changed", "gone", "again"):
        api.put(path(name), pod(name))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        await settle()
        mirror.told.clear()
        api.faults.lose = 1.0
        await asyncio.sleep(700)  # the watch has ended, and no new one begins
        api.put(path("changed"), pod("changed", app="x"))
        api.remove(path("gone"))
        api.remove(path("again"))
        api.put(path("again"), pod("again"))
        api.put(path("new"), pod("new"))
        api.compact()
        api.faults.lose = 0.0
        await asyncio.sleep(60)
        told = [("added", "default/again"), ("added", "default/new"), ("deleted", "default/again"), ("deleted", "default/gone")]
        assert sorted(mirror.told) == [*told, ("updated", "default/changed")]
        assert mirror.told.index(("deleted", "default/again")) < mirror.told.index(("added", "default/again"))


@virtual
async def test_a_list_whose_pages_expire_is_fetched_whole() -> None:
    api = FakeApi(random.Random(0), faults=Faults(expire_page=1.0))
    for name in "abc":
        api.put(path(name), pod(name))
    async with running(api, page_limit=1) as (informer, mirror):
        await asyncio.sleep(1)
        assert informer.synced.is_set()
        assert len(mirror.told) == 3


@virtual
async def test_a_server_that_always_says_410_is_not_asked_in_a_busy_loop() -> None:
    api = FakeApi(random.Random(0), faults=Faults(expire_watch=1.0))
    async with running(api):
        await asyncio.sleep(100)
        assert 4 <= sum("watch" not in target for _, target in api.requests) <= 40


@virtual
async def test_it_never_gives_up_on_a_server_that_is_away_for_a_day() -> None:
    api = FakeApi(random.Random(0), faults=Faults(lose=1.0))
    async with running(api) as (informer, mirror):
        api.put(path("a"), pod("a"))
        await asyncio.sleep(86400)
        assert not informer.synced.is_set()
        api.faults.lose = 0.0
        await asyncio.sleep(60)
        assert mirror.told == [("added", "default/a")]


@pytest.mark.parametrize("seed", range(25))
@virtual
async def test_whatever_the_server_does_the_cache_ends_like_the_server(seed: int) -> None:
    rng = random.Random(seed)
    faults = Faults(
        cut_watch=rng.choice([0, 0.05, 0.4]),
        expire_watch=rng.choice([0, 0.2]),
        expire_page=rng.choice([0, 0.3]),
        repeat=rng.choice([0, 0.3]),
        error_500=rng.choice([0, 0.2]),
        lose=rng.choice([0, 0.2]),
    )
    api = FakeApi(rng, faults=faults, history=rng.choice([3, 30, 10_000]))
    async with running(api, page_limit=rng.choice([1, 3, 500])) as (informer, mirror):
        for _ in range(300):
            name = f"web-{rng.randrange(12)}"
            there = path(name) in api.objects
            if there and rng.random() < 0.4:
                api.remove(path(name))
            else:
                written = api.put(path(name), pod(name, turn=str(rng.random())))
                if rng.random() < 0.3:
                    informer.put(written)
            if rng.random() < 0.5:
                await asyncio.sleep(rng.choice([0, 0.001, 0.5, 20]))
            if rng.random() < 0.02:
                api.compact()
        api.faults = Faults()
        await asyncio.sleep(120)
        ours = {key: each["metadata"] for key, each in mirror.objects.items()}
        theirs = {key_of(each): each["metadata"] for each in api.objects.values()}
        assert ours == theirs


@virtual
async def test_without_faults_every_single_change_is_told() -> None:
    api = FakeApi(random.Random(0))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        for _ in range(2000):
            api.put(path("a"), pod("a"))
        await settle()
        assert len(mirror.told) == 2000


@virtual
async def test_a_handler_added_late_is_first_told_of_everything_there_is() -> None:
    api = FakeApi(random.Random(0))
    api.put(path("a"), pod("a"))
    async with running(api) as (informer, _):
        await informer.wait_synced()
        late = Mirror()
        informer.add_handler(late)
        assert late.told == [("added", "default/a")]


@virtual
async def test_a_handler_that_fails_keeps_nobody_else_from_being_told() -> None:
    def broken(_old: Object | None, _new: Object | None) -> None:
        raise RuntimeError("of no use")

    api = FakeApi(random.Random(0))
    async with running(api) as (informer, mirror):
        informer.add_handler(broken)
        after = Mirror()
        informer.add_handler(after)
        await informer.wait_synced()
        api.put(path("a"), pod("a"))
        await settle()
        assert mirror.told == after.told == [("added", "default/a")]


@virtual
async def test_indexes_follow_every_change() -> None:
    api = FakeApi(random.Random(0))
    async with running(api) as (informer, _):
        informer.add_index("app", lambda each: [each["metadata"].get("labels", {}).get("app", "")])
        await informer.wait_synced()
        api.put(path("a"), pod("a", app="x"))
        api.put(path("b", "other"), pod("b", "other", app="x"))
        await settle()
        assert [each["metadata"]["name"] for each in informer.by_index("app", "x")] == ["a", "b"]
        assert [each["metadata"]["name"] for each in informer.list("other")] == ["b"]
        api.put(path("a"), pod("a", app="y"))
        api.remove(path("b", "other"))
        await settle()
        assert informer.by_index("app", "x") == []
        assert informer.list("other") == []
        assert len(informer.by_index("app", "y")) == 1
        late: list[str] = []
        informer.add_index("name", lambda each: [each["metadata"]["name"]])
        late += [each["metadata"]["name"] for each in informer.by_index("name", "a")]
        assert late == ["a"]
        with pytest.raises(KeyError):
            informer.by_index("none", "x")
        with pytest.raises(ValueError, match="another index"):
            informer.add_index("name", lambda each: [])


@virtual
async def test_what_a_write_answered_is_taken_in_ahead_of_the_watch_and_told_once() -> None:
    api = FakeApi(random.Random(0))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        informer.put(api.put(path("a"), pod("a")))
        assert mirror.told == [("added", "default/a")]
        await settle()
        assert mirror.told == [("added", "default/a")]


@virtual
async def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    api = FakeApi(random.Random(0))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        answer = api.put(path("a"), pod("a"))
        api.remove(path("a"))
        await settle()
        informer.put(answer)
        assert informer.get("default/a") is None
        assert mirror.told == [("added", "default/a"), ("deleted", "default/a")]


class SlowLists(FakeApi):
    """Takes its time between looking what there is and saying so."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def late(message: Any) -> None:
            if "watch" not in scope["query_string"].decode() and scope["method"] == "GET":
                await asyncio.sleep(5)
            await send(message)

        await super().__call__(scope, receive, late)


@virtual
async def test_a_list_under_way_does_not_undo_what_was_written_meanwhile() -> None:
    api = SlowLists(random.Random(0))
    api.put(path("a"), pod("a"))
    async with running(api) as (informer, mirror):
        await informer.wait_synced()
        api.remove(path("a"))
        api.compact()
        await asyncio.sleep(2)  # now it lists again; what follows is not in that list
        informer.put(api.put(path("b"), {"apiVersion": "v1", "kind": "Pod", **pod("b")}))
        assert sorted(informer.keys()) == ["default/a", "default/b"]
        await asyncio.sleep(10)
        assert sorted(informer.keys()) == ["default/b"]
        await asyncio.sleep(60)
        assert dict(mirror.objects) == {key_of(each): each for each in api.objects.values()}
        assert mirror.wrong == []


@virtual
async def test_informers_are_shared_started_late_and_waited_for_by_scope() -> None:
    api = FakeApi(random.Random(0))
    transport = AsgiTransport(api)
    informers = Informers(Client(transport, user_agent="test"), rng=random.Random(0))
    assert informers.of(PODS) is informers.of(PODS)
    assert informers.of(PODS) is not informers.of(PODS, namespace="default")
    task = asyncio.create_task(informers.run())
    await informers.wait_synced()
    late = informers.of(NODES)
    await late.wait_synced()
    scope = informers.scoped()
    assert scope.of(NODES) is late
    api.faults.lose = 1.0
    stuck = informers.of(CONFIG_MAPS)
    await scope.wait_synced()
    assert not stuck.synced.is_set()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await transport.close()
