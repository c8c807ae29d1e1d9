"""What was charged to a quota is given back only by a count that cannot have missed it."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controllers.manager.resource_quota import CHARGE_STORED_IN_S, ResourceQuotaController, lowered
from kube.clock import LoopClock
from kube.objects import Object, key_of
from kube.resources import PODS, RESOURCE_QUOTAS, SERVICES
from kube.runtime.controller import Run
from kube.runtime.perform import Update
from kube.runtime.queue import WorkQueue
from tests.virtual import virtual


def quota(used: int, version: int) -> Object:
    metadata = {"name": "small", "namespace": "ns", "uid": "q", "resourceVersion": str(version)}
    return {"kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "3", "services": "1"}}, "status": _status(used)}


def _status(used: int) -> Object:
    return {"hard": {"pods": "3", "services": "1"}, "used": {"pods": str(used), "services": "0"}}


def pods(count: int) -> list[Object]:
    return [{"kind": "Pod", "metadata": {"name": f"p{each}", "namespace": "ns"}, "spec": {}, "status": {}} for each in range(count)]


class Cache:
    """An informer whose watch has come as far as `seen`."""

    def __init__(self, objects: list[Object], seen: int = 0) -> None:
        self.objects, self.seen, self.handlers = objects, seen, list[Any]()

    def add_handler(self, handler: Any) -> None:
        self.handlers.append(handler)

    def list(self, namespace: str | None = None) -> list[Object]:
        return self.objects

    def get(self, key: str) -> Object | None:
        return next((each for each in self.objects if key_of(each) == key), None)

    def has_seen(self, version: str) -> bool:
        return int(version) <= self.seen

    def put(self, obj: Object) -> None:
        for handler in self.handlers:
            handler(self.objects[0], obj)
        self.objects = [obj]


class World:
    """The controller between its caches and the server, which has `stored` pods."""

    def __init__(self, *, cached: int, stored: int, seen: int) -> None:
        self.written: list[str] = []
        self.lists = 0
        self.stored = pods(stored)
        self.quotas, self.pods = Cache([quota(used=3, version=10)]), Cache(pods(cached), seen)
        informers = SimpleNamespace(of=lambda resource: {RESOURCE_QUOTAS: self.quotas, PODS: self.pods}[resource])
        queue = WorkQueue(rng=random.Random(0))
        run = SimpleNamespace(client=self, informers=informers, queue=queue, clock=LoopClock(), events=None)
        self.controller = ResourceQuotaController()
        self.controller.start(cast(Run, run))
        self.controller._watched[PODS] = cast(Any, self.pods)
        self.controller._watched[SERVICES] = cast(Any, Cache([], seen=0))  # nothing has happened to Services for long

    async def list(self, resource: Any, *, namespace: str) -> Object:
        self.lists += 1
        return {"items": self.stored}

    async def update(self, resource: Any, obj: Object, *, subresource: str) -> Object:
        self.written.append(obj["status"]["used"]["pods"])
        return obj


@virtual
async def test_a_count_from_a_cache_that_is_as_new_as_the_quota_is_good() -> None:
    world = World(cached=2, stored=2, seen=10)
    assert await world.controller.reconcile("ns/small") is None
    assert (world.written, world.lists) == (["2"], 0)


@virtual
async def test_a_cache_that_is_late_may_have_missed_what_was_charged_so_the_server_is_asked() -> None:
    world = World(cached=2, stored=3, seen=9)
    assert await world.controller.reconcile("ns/small") is None
    assert (world.written, world.lists) == ([], 1)


@virtual
async def test_what_was_charged_a_moment_ago_may_not_be_stored_yet() -> None:
    world = World(cached=2, stored=2, seen=11)
    world.quotas.objects = [quota(used=2, version=9)]
    world.quotas.put(quota(used=3, version=10))
    assert await world.controller.reconcile("ns/small") == pytest.approx(CHARGE_STORED_IN_S)
    assert world.written == []


@pytest.mark.parametrize(("used", "expected"), [(2, True), (3, False), (4, False)])
def test_giving_back_is_what_lowers(used: int, expected: bool) -> None:
    told = Update(RESOURCE_QUOTAS, {**quota(3, 10), "status": _status(used)}, subresource="status")
    assert lowered(quota(3, 10), [told]) == ({"pods"} if expected else set())
