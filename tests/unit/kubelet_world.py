"""A world for node agents: an API that keeps pods and nodes, informers that tell of them, simulated containers. Nothing here is a test."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from kube.client.base import ConnectionFailed
from kube.client.client import WatchEvent
from kube.clock import LoopClock, rfc3339
from kube.errors import AlreadyExists, Conflict, NotFound, not_found
from kube.objects import Object, is_condition_true, key_of
from kube.resources import PODS, Resource
from kubelet.agent import Agents
from kubelet.runtime.simulated import SimulatedRuntime


class Api:
    """Objects by resource and key, with what a kubelet needs of an API server: versions, status patches, graceful deletion, watching."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock, self.version = clock, 0
        self.objects: dict[tuple[str, str], Object] = {}
        self.handlers: dict[str, list[Callable[[Object | None, Object | None], None]]] = {}
        self.calls: list[tuple[str, str, str, Any]] = []
        self.fails = 0
        """How many of the next writes get no answer."""

    def key(self, resource: Resource, name: str, namespace: str | None) -> tuple[str, str]:
        return resource.plural, f"{namespace}/{name}" if resource.namespaced else name

    def set(self, resource: Resource, obj: Object | None, key: str) -> None:
        old = self.objects.pop((resource.plural, key), None)
        self.version += 1
        if obj is not None:
            obj["metadata"]["resourceVersion"] = str(self.version)
            self.objects[(resource.plural, key)] = obj
        for handler in self.handlers.get(resource.plural, []):
            asyncio.get_running_loop().call_soon(handler, old, obj)

    async def _write(self, verb: str, resource: Resource, name: str, body: Any) -> None:
        self.calls.append((verb, resource.plural, name, body))
        await asyncio.sleep(0.001)
        if self.fails > 0:
            self.fails -= 1
            raise ConnectionFailed("no answer")

    # --- what kube.client.Client has

    async def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> Object:
        await asyncio.sleep(0)
        found = self.objects.get(self.key(resource, name, namespace))
        if found is None:
            raise not_found(resource.plural, "", name)
        return found

    async def list(self, resource: Resource, *, namespace: str, field_selector: str, **_options: Any) -> Object:
        found = self.objects.get(self.key(resource, field_selector.removeprefix("metadata.name="), namespace))
        return {"items": [found] if found else [], "metadata": {"resourceVersion": str(self.version)}}

    async def watch(self, resource: Resource, *, namespace: str, field_selector: str, **_options: Any) -> AsyncGenerator[WatchEvent, None]:
        events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        key = self.key(resource, field_selector.removeprefix("metadata.name="), namespace)[1]

        def handler(old: Object | None, new: Object | None) -> None:
            obj = new or old
            if obj is not None and key_of(obj) == key:
                metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
                events.put_nowait(WatchEvent("DELETED" if new is None else "MODIFIED", {**obj, "metadata": metadata}))

        self.handlers.setdefault(resource.plural, []).append(handler)
        while True:
            yield await events.get()

    async def create(self, resource: Resource, obj: Object) -> Object:
        await self._write("create", resource, obj["metadata"]["name"], obj)
        if (resource.plural, key_of(obj)) in self.objects:
            raise AlreadyExists("it is there")
        obj = copy.deepcopy(obj)
        obj["metadata"] |= {"uid": f"uid-{self.version}-{obj['metadata']['name']}", "creationTimestamp": rfc3339(self.clock.now())}
        self.set(resource, obj, key_of(obj))
        return obj

    async def update(self, resource: Resource, obj: Object) -> Object:
        await self._write("update", resource, obj["metadata"]["name"], obj)
        old = self.objects.get((resource.plural, key_of(obj)))
        if old is None:
            raise NotFound("gone")
        if old["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict("changed")
        obj = copy.deepcopy(obj)
        self.set(resource, obj, key_of(obj))
        return obj

    async def patch(self, resource: Resource, name: str, patch: Any, *, namespace: str | None = None, subresource: str = "") -> Object:
        await self._write("patch", resource, name, patch)
        old = self.objects.get(self.key(resource, name, namespace))
        if old is None:
            raise not_found(resource.plural, "", name)
        if (patch.get("metadata") or {}).get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise Conflict("another uid")
        new: Object = merged(copy.deepcopy(old), patch)
        self.set(resource, new, key_of(new))
        return new

    async def delete(self, resource: Resource, name: str, *, namespace: str, grace_period_s: int | None = None, uid: str = "") -> Object:
        await self._write("delete", resource, name, {"grace": grace_period_s, "uid": uid})
        old = self.objects.get(self.key(resource, name, namespace))
        if old is None:
            raise not_found(resource.plural, "", name)
        if uid and uid != old["metadata"]["uid"]:
            raise Conflict("another uid")
        if grace_period_s == 0 and not old["metadata"].get("finalizers"):
            self.set(resource, None, key_of(old))
        return old

    # --- what tests do

    def pod(self, name: str = "web", *, uid: str = "", container: Object | None = None, meta: Object | None = None, **spec: Any) -> Object:
        containers = [{"name": "c", "image": "nginx:1.27", **(container or {})}]
        metadata = {"name": name, "namespace": "default", "uid": uid or f"uid-{name}", "generation": 1, **(meta or {})}
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1", "containers": containers, **spec}}
        self.set(PODS, made | {"status": {"phase": "Pending"}}, f"default/{name}")
        return self.objects[("pods", f"default/{name}")]

    def change(self, name: str, change: Callable[[Object], None]) -> None:
        new = copy.deepcopy(self.objects[("pods", f"default/{name}")])
        change(new)
        self.set(PODS, new, f"default/{name}")

    def begin_delete(self, name: str, grace_s: int = 30) -> None:
        def mark(pod: Object) -> None:
            deadline = self.clock.now().timestamp() + grace_s
            moment = rfc3339(type(self.clock.now()).fromtimestamp(deadline, self.clock.now().tzinfo))
            pod["metadata"] |= {"deletionTimestamp": moment, "deletionGracePeriodSeconds": grace_s}

        self.change(name, mark)

    def get_pod(self, name: str = "web") -> Object | None:
        return self.objects.get(("pods", f"default/{name}"))

    def status(self, name: str = "web") -> Object:
        found = self.get_pod(name)
        assert found is not None
        return dict(found["status"])

    def writes(self, verb: str, plural: str, name: str) -> Sequence[Any]:
        return [body for each, resource, about, body in self.calls if (each, resource, about) == (verb, plural, name)]


def merged(old: Any, patch: Any) -> Any:
    """A merge patch, but for conditions, which are merged by type."""
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if key == "conditions":
            by_type = {each["type"]: each for each in old.get("conditions") or []}
            for each in value:
                if each.get("$patch") == "delete":
                    by_type.pop(each["type"], None)
                    continue
                by_type[each["type"]] = {k: v for k, v in {**by_type.get(each["type"], {}), **each}.items() if v is not None}
            old["conditions"] = list(by_type.values())
        elif value is None:
            old.pop(key, None)
        elif isinstance(value, dict) and key in ("metadata", "spec", "status", "labels"):
            old[key] = merged(old.get(key) or {}, value)
        elif isinstance(value, list):
            old[key] = [each for each in value if "$patch" not in each]
        elif isinstance(value, dict):
            old[key] = {name: each for name, each in value.items() if name != "$patch"}
        else:
            old[key] = value
    return old


class Informer:
    def __init__(self, api: Api, resource: Resource) -> None:
        self._api, self._resource = api, resource

    def list(self, namespace: str | None = None) -> list[Object]:
        found = [obj for (plural, _), obj in self._api.objects.items() if plural == self._resource.plural]
        return [obj for obj in found if namespace is None or obj["metadata"].get("namespace") == namespace]

    def get(self, key: str) -> Object | None:
        return self._api.objects.get((self._resource.plural, key))

    def add_handler(self, handler: Callable[[Object | None, Object | None], None]) -> None:
        self._api.handlers.setdefault(self._resource.plural, []).append(handler)
        for obj in self.list():
            handler(None, obj)

    async def wait_synced(self) -> None:
        pass


class Informers:
    def __init__(self, api: Api) -> None:
        self._api = api

    def of(self, resource: Resource, *, field_selector: str = "") -> Informer:
        return Informer(self._api, resource)


@dataclass
class Events:
    """Records events instead of sending them."""

    seen: list[tuple[str, str, str, str]] = field(default_factory=list)

    def record(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "", host: str = "") -> None:
        self.seen.append((type, reason, message, field_path))

    def reasons(self) -> list[str]:
        return [reason for _, reason, _, path in self.seen if path]


@dataclass
class World:
    api: Api
    events: Events
    agents: Agents
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.api.handlers.clear()


def start(api: Api, *, seed: int = 1, nodes: tuple[str, ...] = ("n1",), **rest: Any) -> World:
    events = Events()
    agents = Agents(
        api,  # type: ignore[arg-type]
        node_names=nodes,
        runtime_factory=SimulatedRuntime,
        informers=Informers(api),  # type: ignore[arg-type]
        clock=api.clock,
        rng=random.Random(seed),
        events=events,  # type: ignore[arg-type]
        **rest,
    )
    return World(api, events, agents, asyncio.ensure_future(agents.run()))


@asynccontextmanager
async def world(**rest: Any) -> AsyncIterator[World]:
    made = start(Api(LoopClock()), **rest)
    try:
        yield made
    finally:
        await made.stop()


async def until(true: Callable[[], Any], *, within_s: float = 120.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def ready(api: Api, name: str = "web") -> None:
    await until(lambda: (pod := api.get_pod(name)) is not None and is_condition_true(pod, "Ready"))
