"""What it costs to roll out a StatefulSet, counted in looks into pods: it grows with the pods, not with their square."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controllers.manager.index import controller_values
from controllers.manager.stateful_set import StatefulSetController
from kube.clock import LoopClock
from kube.objects import Object, key_of, name_of
from kube.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS, Resource
from kube.runtime.controller import Run
from kube.runtime.queue import WorkQueue
from tests.virtual import virtual


class Watched(dict[str, Any]):
    """A pod that counts how often it is looked into."""

    looks = 0

    def __getitem__(self, key: str) -> Any:
        Watched.looks += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        Watched.looks += 1
        return super().get(key, default)


class Cache:
    """An informer that is told everything at once."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self._by_controller: dict[str, dict[str, Object]] = {}
        self._handlers: list[Callable[[Object | None, Object | None], None]] = []

    def add_index(self, name: str, fn: Any) -> None:
        assert fn is controller_values

    def add_handler(self, handler: Callable[[Object | None, Object | None], None]) -> None:
        self._handlers.append(handler)

    def by_index(self, name: str, value: str) -> Sequence[Object]:
        return list(self._by_controller.get(value, {}).values())

    def get(self, key: str) -> Object | None:
        return self.objects.get(key)

    def list(self, namespace: str | None = None) -> list[Object]:
        return list(self.objects.values())

    def put(self, obj: Object) -> None:
        self.change(key_of(obj), obj)

    def change(self, key: str, new: Object | None) -> None:
        old = self.objects.pop(key, None)
        for value in controller_values(old) if old is not None else ():
            del self._by_controller[value][key]
        if new is not None:
            self.objects[key] = new
            for value in controller_values(new):
                self._by_controller.setdefault(value, {})[key] = new
        for handler in self._handlers:
            handler(old, new)


class World:
    """A StatefulSet's controller, the caches, and a server that has them for its store. Pods are up as soon as somebody says so."""

    def __init__(self, replicas: int, **spec: Any) -> None:
        self.caches: dict[Resource, Cache] = {
            each: Cache() for each in (STATEFUL_SETS, PODS, CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS)
        }
        self.uids = 0
        events = SimpleNamespace(record=lambda *_: None)
        informers = SimpleNamespace(of=lambda resource: self.caches[resource])
        run = SimpleNamespace(client=self, informers=informers, queue=WorkQueue(rng=random.Random(0)), clock=LoopClock(), events=events)
        self.controller = StatefulSetController()
        self.controller.start(cast(Run, run))
        template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}}
        spec = {"replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template, **spec}
        metadata = {"name": "db", "namespace": "ns", "uid": "set", "generation": 1}
        self.caches[STATEFUL_SETS].put({"kind": "StatefulSet", "metadata": metadata, "spec": spec})

    @property
    def pods(self) -> Cache:
        return self.caches[PODS]

    def update(self, image: str) -> None:
        old = self.caches[STATEFUL_SETS].objects["ns/db"]
        template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": image}]}}
        metadata = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
        self.caches[STATEFUL_SETS].put({**old, "metadata": metadata, "spec": {**old["spec"], "template": template}})

    async def settle(self, image: str) -> int:
        """Reconcile, and do what kubelets do, until nothing happens any more. How often pods were looked into by the controller."""
        Watched.looks = 0
        while True:
            before = dict(self.pods.objects)
            await self.controller.reconcile("ns/db")
            looks = Watched.looks
            moving = [each for each in self.pods.objects.values() if dict.get(each, "status", {}).get("phase") != "Running"]
            going = [each for each in self.pods.objects.values() if "deletionTimestamp" in dict.__getitem__(each, "metadata")]
            Watched.looks = looks
            for pod in going:
                self.pods.change(key_of(pod), None)
            for pod in moving:
                if pod not in going:
                    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                    self.pods.put(Watched(pod | {"status": {"phase": "Running", "conditions": [ready]}}))
            if not going and not moving and before == self.pods.objects:
                break
        images = {dict.__getitem__(each, "spec")["containers"][0]["image"] for each in self.pods.objects.values()}
        assert images == {image}
        return Watched.looks

    # The server.

    async def create(self, resource: Resource, obj: Object) -> Object:
        self.uids += 1
        metadata = {**obj["metadata"], "uid": f"uid-{self.uids}"}
        made: Object = {"kind": resource.kind, **obj, "metadata": metadata}
        return Watched({**made, "status": {"phase": "Pending"}}) if resource is PODS else made

    async def delete(self, resource: Resource, name: str, *, namespace: str, **rest: Any) -> Object:
        old = self.caches[resource].objects[f"{namespace}/{name}"]
        return Watched({**old, "metadata": {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})

    async def update_(self, resource: Resource, obj: Object, **rest: Any) -> Object:
        return obj


async def looks_of(replicas: int, **spec: Any) -> tuple[int, int]:
    """Looks into pods: to make them all, and to replace them all."""
    world = World(replicas, **spec)
    cast(Any, world).update, update = world.update_, world.update
    made = await world.settle("db:1")
    assert sorted(map(name_of, world.pods.list())) == sorted(f"db-{each}" for each in range(replicas))
    update("db:2")
    return made, await world.settle("db:2")


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
def test_a_rollout_of_four_times_the_pods_costs_four_times_as_much(policy: str) -> None:
    @virtual
    async def check() -> None:
        few = await looks_of(40, podManagementPolicy=policy)
        many = await looks_of(160, podManagementPolicy=policy)
        for less, more in zip(few, many, strict=True):
            assert more < 5 * less, (few, many)

    check()
