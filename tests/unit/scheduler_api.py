"""A stand-in for the API server, as far as a scheduler needs one: it lists, watches, binds, patches and deletes."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from controllers.scheduler.config.models import KubeSchedulerConfiguration
from controllers.scheduler.scheduler import Scheduler
from kube.client.client import Client, WatchEvent
from kube.client.informer import Informers
from kube.clock import LoopClock
from kube.errors import Conflict, NotFound
from kube.objects import Object, key_of
from kube.resources import NODES, PODS, Resource
from kube.runtime.events import EventRecorder


class FakeApi:
    """`refusals` are raised by the next binds, one each. `events` are the recorded Events as (object, type, reason, message)."""

    def __init__(self) -> None:
        self.objects: dict[Resource, dict[str, Object]] = {}
        self.log: dict[Resource, list[WatchEvent]] = {}
        self.version = 1
        self.changed = asyncio.Event()
        self.refusals: list[Exception] = []
        self.binds: list[str] = []
        self.patches: list[tuple[str, Object]] = []
        self.events: list[tuple[str, str, str, str]] = []
        self.sources: dict[str, str] = {}
        """Who last told of each object."""
        self.bind_delay_s = 0.0
        self.binding = 0
        self.binding_most = 0

    def put(self, resource: Resource, obj: Object) -> None:
        self.version += 1
        known = self.objects.setdefault(resource, {})
        kind = "MODIFIED" if key_of(obj) in known else "ADDED"
        new = copy.deepcopy(obj)
        new["metadata"]["resourceVersion"] = str(self.version)
        known[key_of(obj)] = new
        self._tell(resource, WatchEvent(kind, new))

    def remove(self, resource: Resource, key: str) -> None:
        self.version += 1
        gone = copy.deepcopy(self.objects[resource].pop(key))
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell(resource, WatchEvent("DELETED", gone))

    def _tell(self, resource: Resource, event: WatchEvent) -> None:
        self.log.setdefault(resource, []).append(event)
        self.changed.set()
        self.changed = asyncio.Event()

    def pod(self, name: str) -> Object:
        return self.objects[PODS][f"default/{name}"]

    # What a Client does.

    async def list(self, resource: Resource, **_: Any) -> Object:
        return {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.objects.get(resource, {}).values())}

    async def watch(self, resource: Resource, *, resource_version: str, **_: Any) -> AsyncGenerator[WatchEvent, None]:
        seen = int(resource_version)
        while True:
            changed = self.changed
            for event in list(self.log.get(resource, ())):
                if int(event.object["metadata"]["resourceVersion"]) > seen:
                    seen = int(event.object["metadata"]["resourceVersion"])
                    yield event
            await changed.wait()

    async def create(self, resource: Resource, obj: Object, *, name: str = "", subresource: str = "", **_: Any) -> Object:
        if resource.plural == "events":
            self.sources[obj["involvedObject"]["name"]] = obj["source"]["component"]
            self.events.append((obj["involvedObject"]["name"], obj["type"], obj["reason"], obj["message"]))
            return obj
        assert (resource, subresource) == (PODS, "binding")
        self.binding += 1
        self.binding_most = max(self.binding_most, self.binding)
        await asyncio.sleep(self.bind_delay_s)
        self.binding -= 1
        if self.refusals:
            raise self.refusals.pop(0)
        pod = self.objects[PODS].get(f"{obj['metadata']['namespace']}/{name}")
        if pod is None:
            raise NotFound(f'pods "{name}" not found')
        if pod["spec"].get("nodeName"):
            raise Conflict(f"pod {name} is already assigned to node {pod['spec']['nodeName']!r}")
        assert obj["metadata"]["uid"] == pod["metadata"]["uid"]
        self.binds.append(name)
        self.put(PODS, {**pod, "spec": {**pod["spec"], "nodeName": obj["target"]["name"]}})
        return {}

    async def patch(self, resource: Resource, name: str, patch: Object, *, namespace: str = "", subresource: str = "", **_: Any) -> Object:
        if resource.plural == "events":
            return {}
        assert subresource == "status"
        self.patches.append((name, patch["status"]))
        pod = self.objects[PODS].get(f"{namespace}/{name}")
        if pod is None:
            raise NotFound(f'pods "{name}" not found')
        status = dict(pod["status"])
        new = patch["status"].get("conditions", [])
        status["conditions"] = [each for each in status.get("conditions", []) if each["type"] not in {one["type"] for one in new}] + new
        if "nominatedNodeName" in patch["status"]:
            status["nominatedNodeName"] = patch["status"]["nominatedNodeName"]
        self.put(PODS, {**pod, "status": status})
        return self.objects[PODS][f"{namespace}/{name}"]

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "", **_: Any) -> Object:
        stored = self.objects[resource][key_of(obj)]
        if obj["metadata"].get("resourceVersion") != stored["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        if subresource == "status":
            self.put(resource, {**stored, "status": obj["status"]})
        else:
            self.put(resource, {**obj, "status": stored.get("status") or {}})
        return self.objects[resource][key_of(obj)]

    async def delete(self, resource: Resource, name: str, *, namespace: str = "", uid: str = "", **_: Any) -> Object:
        if f"{namespace}/{name}" not in self.objects.get(resource, {}):
            raise NotFound(name)
        self.remove(resource, f"{namespace}/{name}")
        return {}


@asynccontextmanager
async def scheduling(
    *nodes: Object, api: FakeApi | None = None, config: KubeSchedulerConfiguration | None = None
) -> AsyncIterator[tuple[FakeApi, Scheduler]]:
    """A running scheduler over these nodes."""
    api = api or FakeApi()
    for node in nodes:
        api.put(NODES, node)
    client, clock, rng = cast(Client, api), LoopClock(), random.Random(1)
    informers = Informers(client, rng=rng)
    events = EventRecorder(client, component="default-scheduler", clock=clock, rng=rng)
    scheduler = Scheduler(client, informers, clock=clock, rng=rng, events=events, config=config)
    tasks = [asyncio.create_task(work) for work in (informers.run(), events.run(), scheduler.run())]
    try:
        await asyncio.sleep(0.01)
        yield api, scheduler
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results
