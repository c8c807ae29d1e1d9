"""The whole kubelet against an API in memory, on virtual time: pods from bound to gone, nodes, restarts."""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from kube.client.base import ConnectionFailed
from kube.client.client import WatchEvent
from kube.clock import LoopClock, rfc3339
from kube.errors import AlreadyExists, Conflict, NotFound, not_found
from kube.objects import Object, condition_of, is_condition_true, key_of
from kube.resources import CONFIG_MAPS, LEASES, NODES, PODS, SECRETS, Resource
from kubelet.agent import Agents
from kubelet.runtime.simulated import SimulatedRuntime
from tests.virtual import virtual


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
                by_type[each["type"]] = {k: v for k, v in {**by_type.get(each["type"], {}), **each}.items() if v is not None}
            old["conditions"] = list(by_type.values())
        elif value is None:
            old.pop(key, None)
        elif isinstance(value, dict) and key in ("metadata", "spec", "status", "labels"):
            old[key] = merged(old.get(key) or {}, value)
        elif isinstance(value, list):
            old[key] = [each for each in value if "$patch" not in each]
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


# --- pods ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_pod_becomes_ready_in_two_writes_and_upstreams_events() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        patches = w.api.writes("patch", "pods", "web")
        assert len(patches) == 2
        assert patches[0]["metadata"] == {"uid": "uid-web"}
        assert patches[0]["status"]["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
        status = w.api.status()
        assert (status["phase"], status["podIP"], status["hostIP"]) == ("Running", "10.244.0.2", "127.0.0.1")
        assert [(each[1], each[3]) for each in w.events.seen if each[3]] == [
            ("Pulling", "spec.containers{c}"),
            ("Pulled", "spec.containers{c}"),
            ("Created", "spec.containers{c}"),
            ("Started", "spec.containers{c}"),
        ]
        texts = [each[2] for each in w.events.seen if each[3]]
        assert texts[0] == 'Pulling image "nginx:1.27"'
        assert texts[1].startswith('Successfully pulled image "nginx:1.27" in ')
        assert texts[1].endswith(" bytes.")
        await asyncio.sleep(600)
        assert len(w.api.writes("patch", "pods", "web")) == 2


@virtual
async def test_a_deleted_pod_is_stopped_described_and_deleted_for_good() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None)
        assert w.api.writes("delete", "pods", "web") == [{"grace": 0, "uid": "uid-web"}]
        last = w.api.writes("patch", "pods", "web")[-1]["status"]
        assert last["phase"] == "Succeeded"
        assert last["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        assert ("Normal", "Killing", "Stopping container c", "spec.containers{c}") in w.events.seen
        await until(lambda: not w.agents.nodes["n1"].workers)
        assert list(await w.agents.nodes["n1"].host.runtime.list_pod_sandboxes()) == []


@virtual
async def test_a_pod_that_does_not_stop_is_killed_when_its_grace_is_over() -> None:
    async with world() as w:
        w.api.pod(meta={"annotations": {"wherry.dev/stop-s": "3600"}})
        await ready(w.api)
        before = asyncio.get_running_loop().time()
        w.api.begin_delete("web", 20)
        await until(lambda: w.api.get_pod() is None)
        assert 20 <= asyncio.get_running_loop().time() - before < 22
        last = w.api.writes("patch", "pods", "web")[-1]["status"]
        assert (last["phase"], last["containerStatuses"][0]["state"]["terminated"]["exitCode"]) == ("Failed", 137)


@virtual
async def test_a_second_deletion_hurries_the_first() -> None:
    async with world() as w:
        w.api.pod(meta={"annotations": {"wherry.dev/stop-s": "3600"}})
        await ready(w.api)
        before = asyncio.get_running_loop().time()
        w.api.begin_delete("web", 600)
        await asyncio.sleep(5)
        w.api.begin_delete("web", 2)
        await until(lambda: w.api.get_pod() is None)
        assert asyncio.get_running_loop().time() - before < 9
        assert w.events.reasons().count("Killing") == 1


@virtual
async def test_a_pod_that_is_deleted_while_its_image_is_pulled_goes_at_once() -> None:
    async with world() as w:
        w.api.pod(meta={"annotations": {"wherry.dev/image-pull-delay-s": "3600"}})
        await until(lambda: w.api.status().get("podIP"))
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None, within_s=5)
        assert w.api.writes("patch", "pods", "web")[-1]["status"]["phase"] == "Failed"


@virtual
async def test_a_pod_that_vanishes_leaves_nothing_behind() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.set(PODS, None, "default/web")
        await until(lambda: not w.agents.nodes["n1"].workers)
        assert list(await w.agents.nodes["n1"].host.runtime.list_containers()) == []


@virtual
async def test_a_pod_of_the_same_name_is_another_pod() -> None:
    async with world() as w:
        w.api.pod(uid="first")
        await ready(w.api)
        w.api.set(PODS, None, "default/web")
        w.api.pod(uid="second")
        await ready(w.api)
        await until(lambda: list(w.agents.nodes["n1"].workers) == ["second"])
        assert w.api.status()["podIP"] != "10.244.0.2"


@virtual
async def test_a_pod_with_a_finalizer_is_asked_to_go_only_once() -> None:
    async with world() as w:
        w.api.pod(meta={"finalizers": ["example.com/hold"]})
        await ready(w.api)
        w.api.begin_delete("web")
        await until(lambda: w.api.writes("delete", "pods", "web"))
        await asyncio.sleep(600)
        assert len(w.api.writes("delete", "pods", "web")) == 1
        assert w.api.status()["phase"] == "Succeeded"


@virtual
async def test_a_jobs_pod_succeeds() -> None:
    async with world() as w:
        w.api.pod(meta={"ownerReferences": [{"kind": "Job", "name": "j", "uid": "j"}]}, restartPolicy="Never")
        await until(lambda: w.api.status()["phase"] == "Succeeded")
        status = w.api.status()
        assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        ready_now = condition_of(w.api.get_pod() or {}, "Ready")
        assert ready_now is not None
        assert (ready_now["status"], ready_now["reason"]) == ("False", "PodCompleted")
        assert not w.agents.nodes["n1"]._usage.pods


@virtual
async def test_a_crashing_container_backs_off_longer_and_longer() -> None:
    async with world() as w:
        w.api.pod(container={"image": "busybox", "command": ["sh", "-c", "exit 1"], "imagePullPolicy": "IfNotPresent"})
        starts: list[float] = []
        while len(starts) < 5:
            before = len(starts)
            await until(lambda count=before: w.events.reasons().count("Started") > count, within_s=700)  # type: ignore[misc]
            starts.append(asyncio.get_running_loop().time())
        gaps = [round(later - earlier) for earlier, later in itertools.pairwise(starts)]
        assert gaps == [0, 10, 20, 40]
        await until(lambda: "waiting" in w.api.status()["containerStatuses"][0]["state"])
        found = w.api.status()["containerStatuses"][0]
        assert found["restartCount"] == 4
        assert found["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert found["state"]["waiting"]["message"] == "back-off 1m20s restarting failed container=c pod=web_default(uid-web)"
        assert found["lastState"]["terminated"]["exitCode"] == 1
        assert w.api.status()["phase"] == "Running"


@virtual
async def test_an_image_that_does_not_exist() -> None:
    async with world() as w:
        w.api.pod(container={"image": "nginx:doesnotexist"})

        def waiting() -> Any:
            return w.api.status().get("containerStatuses", [{"state": {}}])[0]["state"].get("waiting", {})

        await until(lambda: waiting().get("reason") == "ErrImagePull")
        assert "docker.io/library/nginx:doesnotexist: not found" in waiting()["message"]
        await until(lambda: waiting().get("reason") == "ImagePullBackOff")
        assert waiting()["message"].startswith('Back-off pulling image "nginx:doesnotexist": ErrImagePull: failed to pull')
        assert w.events.reasons()[:5] == ["Pulling", "Failed", "Failed", "BackOff", "Failed"]
        await asyncio.sleep(100)
        assert w.events.reasons().count("Pulling") == 4
        w.api.change("web", lambda pod: pod["spec"]["containers"][0].update(image="nginx:1.27") or pod["metadata"].update(generation=2))
        await ready(w.api)
        assert w.api.status()["observedGeneration"] == 2


@virtual
async def test_an_image_name_that_is_none() -> None:
    async with world() as w:
        w.api.pod(container={"image": "NGINX"})
        await until(lambda: w.api.status().get("containerStatuses"))
        await asyncio.sleep(1)
        assert w.api.status()["containerStatuses"][0]["state"]["waiting"]["reason"] == "InvalidImageName"
        assert w.events.reasons() == ["InspectFailed", "Failed"]


@virtual
async def test_a_container_waits_for_its_config_map() -> None:
    async with world() as w:
        env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "x"}}}]
        w.api.pod(container={"env": env, "image": "busybox", "command": ["sh", "-c", "echo X is $X; sleep 3600"]})
        await until(lambda: w.api.status().get("containerStatuses", [{"state": {}}])[0]["state"].get("waiting", {}).get("message"))
        state = w.api.status()["containerStatuses"][0]["state"]["waiting"]
        assert state == {"reason": "CreateContainerConfigError", "message": 'configmap "cm" not found'}
        await w.api.create(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"x": "42"}})
        await ready(w.api)
        runtime = w.agents.nodes["n1"].host.runtime
        (container,) = await runtime.list_containers("uid-web")
        result = await runtime.exec_sync(container.id, ["printenv", "X"], timeout_s=5)
        assert result.stdout == b"42\n"


@virtual
async def test_init_containers_and_sidecars_start_in_order_and_a_sidecar_ends_last() -> None:
    async with world() as w:
        init = [
            {"name": "side", "image": "proxy:1", "restartPolicy": "Always"},
            {"name": "setup", "image": "busybox:1", "command": ["sleep", "5"]},
        ]
        w.api.pod(initContainers=init, restartPolicy="Never", container={"image": "busybox:1", "command": ["sleep", "10"]})
        await ready(w.api)
        started = [path for _, reason, _, path in w.events.seen if reason == "Started"]
        assert started == ["spec.initContainers{side}", "spec.initContainers{setup}", "spec.containers{c}"]
        await until(lambda: w.api.status()["phase"] == "Succeeded")
        ends = {each["name"]: each["state"]["terminated"] for each in w.api.status()["initContainerStatuses"]}
        assert ends["side"]["finishedAt"] >= w.api.status()["containerStatuses"][0]["state"]["terminated"]["finishedAt"]


@virtual
async def test_a_failing_liveness_probe_restarts_the_container() -> None:
    async with world() as w:
        script = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"
        probe = {"exec": {"command": ["cat", "/tmp/healthy"]}, "initialDelaySeconds": 5, "periodSeconds": 5, "failureThreshold": 3}
        w.api.pod(
            container={"image": "busybox:1", "args": ["/bin/sh", "-c", script], "livenessProbe": probe}, terminationGracePeriodSeconds=1
        )
        await ready(w.api)
        await until(lambda: w.api.status()["containerStatuses"][0]["restartCount"] == 1)
        assert ("Normal", "Killing", "Container c failed liveness probe, will be restarted", "spec.containers{c}") in w.events.seen
        unhealthy = [message for _, reason, message, _ in w.events.seen if reason == "Unhealthy"]
        assert unhealthy[0] == "Liveness probe failed: cat: /tmp/healthy: No such file or directory\n"
        assert len(unhealthy) == 3


@virtual
async def test_readiness_follows_an_annotation() -> None:
    async with world() as w:
        w.api.pod(
            container={"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 7}}
        )
        await until(lambda: w.api.status()["phase"] == "Running")
        assert w.api.status()["containerStatuses"][0]["ready"] is False
        await ready(w.api)

        def set_annotation(value: str) -> None:
            w.api.change("web", lambda pod: pod["metadata"].update(annotations={"wherry.dev/readiness": value}))

        set_annotation("false")
        await until(lambda: not is_condition_true(w.api.get_pod() or {}, "Ready"))
        set_annotation("true")
        await ready(w.api)


@virtual
async def test_readiness_gates_are_others_to_open() -> None:
    async with world() as w:
        w.api.pod(readinessGates=[{"conditionType": "example.com/lb"}])
        await until(lambda: is_condition_true(w.api.get_pod() or {}, "ContainersReady"))
        assert not is_condition_true(w.api.get_pod() or {}, "Ready")
        w.api.change("web", lambda pod: pod["status"]["conditions"].append({"type": "example.com/lb", "status": "True"}))
        await ready(w.api)
        assert is_condition_true(w.api.get_pod() or {}, "example.com/lb")


@virtual
async def test_a_deadline_fails_the_pod() -> None:
    async with world() as w:
        w.api.pod(activeDeadlineSeconds=30, restartPolicy="Never")
        await until(lambda: w.api.status()["phase"] == "Failed")
        status = w.api.status()
        assert (status["reason"], status["message"]) == (
            "DeadlineExceeded",
            "Pod was active on the node longer than the specified deadline",
        )


@virtual
async def test_a_hook_runs_before_a_container_is_stopped() -> None:
    async with world() as w:
        hooks = {"postStart": {"exec": {"command": ["touch", "/ready"]}}, "preStop": {"exec": {"command": ["sleep", "8"]}}}
        w.api.pod(container={"lifecycle": hooks})
        await ready(w.api)
        before = asyncio.get_running_loop().time()
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None)
        assert 8 <= asyncio.get_running_loop().time() - before < 10


@virtual
async def test_a_failing_post_start_hook_ends_the_container() -> None:
    async with world() as w:
        w.api.pod(container={"lifecycle": {"postStart": {"exec": {"command": ["false"]}}}})
        await until(lambda: "FailedPostStartHook" in w.events.reasons())
        await until(lambda: w.api.status()["containerStatuses"][0]["restartCount"] > 0)


@virtual
async def test_an_ephemeral_container_joins_a_running_pod() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        debug = [{"name": "debug", "image": "busybox:1", "command": ["sleep", "3600"]}]
        w.api.change("web", lambda pod: pod["spec"].update(ephemeralContainers=debug) or pod["metadata"].update(generation=2))
        await until(lambda: w.api.status().get("ephemeralContainerStatuses", [{}])[0].get("state", {}).get("running"))
        assert w.events.seen[-1][3] == "spec.ephemeralContainers{debug}"
        assert is_condition_true(w.api.get_pod() or {}, "Ready")


@virtual
async def test_a_changed_image_restarts_the_container() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.change("web", lambda pod: pod["spec"]["containers"][0].update(image="nginx:1.28") or pod["metadata"].update(generation=2))
        await until(lambda: w.api.status()["containerStatuses"][0]["image"].endswith(":1.28"))
        assert ("Normal", "Killing", "Container c definition changed, will be restarted", "spec.containers{c}") in w.events.seen
        await ready(w.api)
        assert w.api.status()["containerStatuses"][0]["restartCount"] == 1


# --- admission ----------------------------------------------------------------------------------------------------


@virtual
async def test_pods_that_do_not_fit_are_failed_and_room_is_given_back() -> None:
    async with world(capacity={"cpu": "1"}) as w:
        half = {"resources": {"requests": {"cpu": "600m"}}}
        w.api.pod("first", container=half)
        await ready(w.api, "first")
        w.api.pod("second", container=half)
        await until(lambda: w.api.status("second")["phase"] == "Failed")
        assert w.api.status("second")["reason"] == "OutOfcpu"
        assert w.api.status("second")["message"].startswith("Pod was rejected: Node didn't have enough resource: cpu, requested: 600")
        w.api.begin_delete("second")
        await until(lambda: w.api.get_pod("second") is None)
        w.api.begin_delete("first")
        await until(lambda: w.api.get_pod("first") is None)
        w.api.pod("third", container=half)
        await ready(w.api, "third")


# --- restarts and faults ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_restarted_agent_leaves_its_pods_as_they_are() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod("web", container={"readinessProbe": {"httpGet": {"port": 80}}})
    api.pod("talks", container={"image": "busybox:1", "command": ["sh", "-c", "echo a; sleep 500; exit 3"]}, restartPolicy="Never")
    await ready(api, "web")
    await ready(api, "talks")
    before = {name: api.status(name) for name in ("web", "talks")}
    await first.stop()
    await asyncio.sleep(100)
    api.calls.clear()

    again = start(api, seed=2)
    await asyncio.sleep(60)
    assert {name: api.status(name) for name in ("web", "talks")} == before
    assert [each for each in api.calls if each[1] == "pods"] == []
    assert again.events.reasons() == []
    await until(lambda: api.status("talks")["phase"] == "Failed", within_s=600)
    assert api.status("talks")["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    api.begin_delete("web")
    await until(lambda: api.get_pod("web") is None)
    await again.stop()


@virtual
async def test_a_restarted_agent_ends_what_was_deleted_meanwhile() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod()
    await ready(api)
    await first.stop()
    api.begin_delete("web")
    again = start(api, seed=2)
    await until(lambda: api.get_pod() is None)
    await again.stop()


@virtual
async def test_a_restarted_agent_goes_on_with_a_crash_loop() -> None:
    api = Api(LoopClock())
    first = start(api)
    api.pod(container={"image": "busybox:1", "command": ["false"]})
    await until(lambda: api.status().get("containerStatuses", [{"restartCount": 0}])[0]["restartCount"] == 2)
    await first.stop()
    again = start(api, seed=2)
    await until(lambda: api.status()["containerStatuses"][0]["restartCount"] == 4)
    assert api.status()["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    await again.stop()


@virtual
async def test_a_write_without_an_answer_is_tried_again() -> None:
    async with world() as w:
        await asyncio.sleep(5)
        w.api.fails = 3
        w.api.pod()
        await ready(w.api)
        w.api.fails = 3
        w.api.begin_delete("web")
        await until(lambda: w.api.get_pod() is None)


@virtual
async def test_a_status_that_somebody_overwrites_is_put_right() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)
        w.api.change("web", lambda pod: pod["status"].update(podIP="6.6.6.6", phase="Pending"))
        await until(lambda: w.api.status()["podIP"] == "10.244.0.2")
        assert w.api.status()["phase"] == "Running"


@virtual
async def test_a_ready_condition_that_somebody_overwrites_is_put_right_even_while_it_is_written() -> None:
    async with world() as w:
        w.api.pod()
        await ready(w.api)

        def unready(pod: Object) -> None:
            for each in pod["status"]["conditions"]:
                each["status"] = "False" if each["type"] == "Ready" else each["status"]

        w.api.change("web", unready)
        await ready(w.api)
        w.api.change("web", lambda pod: pod["metadata"].update(generation=2))
        await until(lambda: bool(w.api.writes("patch", "pods", "web")[-1]["status"].get("observedGeneration") == 2))
        w.api.change("web", unready)
        await ready(w.api)
        writes = len(w.api.writes("patch", "pods", "web"))
        await asyncio.sleep(60)
        assert len(w.api.writes("patch", "pods", "web")) == writes, "once is enough"


# --- nodes ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_node_registers_and_renews_its_lease_every_ten_seconds() -> None:
    async with world(server_port=10250, labels={"zone": "a"}) as w:
        await asyncio.sleep(100)
        node = await w.api.get(NODES, "n1")
        assert node["metadata"]["labels"]["zone"] == "a"
        assert node["status"]["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
        lease = await w.api.get(LEASES, "n1", namespace="kube-node-lease")
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseDurationSeconds"]) == ("n1", 40)
        assert lease["metadata"]["ownerReferences"][0]["uid"] == node["metadata"]["uid"]
        assert len(w.api.writes("update", "leases", "n1")) in (9, 10)
        assert w.api.writes("patch", "nodes", "n1") == []
        await asyncio.sleep(900)
        assert len(w.api.writes("patch", "nodes", "n1")) == 3


@virtual
async def test_a_node_that_others_call_unknown_says_that_it_is_well() -> None:
    async with world() as w:
        await asyncio.sleep(20)
        node = copy.deepcopy(await w.api.get(NODES, "n1"))
        node["status"]["conditions"][3] |= {"status": "Unknown", "reason": "NodeStatusUnknown"}
        w.api.set(NODES, node, "n1")
        await asyncio.sleep(20)
        assert is_condition_true(await w.api.get(NODES, "n1"), "Ready")


@virtual
async def test_a_node_that_is_deleted_registers_again() -> None:
    async with world() as w:
        await asyncio.sleep(20)
        w.api.set(NODES, None, "n1")
        await asyncio.sleep(400)
        assert is_condition_true(await w.api.get(NODES, "n1"), "Ready")


@virtual
async def test_a_node_keeps_labels_and_taints_that_others_gave_it() -> None:
    api = Api(LoopClock())
    mine = {"metadata": {"name": "n1", "uid": "n", "labels": {"mine": "yes"}}, "spec": {"taints": [{"key": "t"}]}, "status": {}}
    api.set(NODES, mine, "n1")
    w = start(api)
    await asyncio.sleep(5)
    node = await api.get(NODES, "n1")
    assert node["metadata"]["labels"]["mine"] == "yes"
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["spec"]["taints"] == [{"key": "t"}]
    assert is_condition_true(node, "Ready")
    await w.stop()


@virtual
async def test_pods_get_addresses_of_their_nodes_cidr() -> None:
    api = Api(LoopClock())
    api.set(NODES, {"metadata": {"name": "n1", "uid": "n"}, "spec": {"podCIDR": "10.9.8.0/24"}, "status": {}}, "n1")
    w = start(api)
    api.pod()
    await ready(api)
    assert api.status()["podIP"] == "10.9.8.2"
    await w.stop()


@virtual
async def test_many_nodes_share_a_process_and_spread_their_heartbeats() -> None:
    names = tuple(f"n{number}" for number in range(50))
    async with world(nodes=names) as w:
        for number in range(100):
            w.api.pod(f"p{number}", nodeName=f"n{number % 50}")
        await until(lambda: all(is_condition_true(w.api.get_pod(f"p{number}") or {}, "Ready") for number in range(100)))
        assert len({w.api.status(f"p{number}")["podIP"] for number in range(100)}) == 100
        await asyncio.sleep(30)
        w.api.calls.clear()
        for _ in range(10):
            before = len(w.api.calls)
            await asyncio.sleep(1)
            assert len(w.api.calls) - before < 20


def test_node_names_must_be_there_and_differ() -> None:
    for names in ((), ("a", "a")):
        with pytest.raises(ValueError, match="node_names"):
            Agents(None, node_names=names, runtime_factory=SimulatedRuntime, informers=None, clock=None, rng=random.Random(1), events=None)  # type: ignore[arg-type]


# --- volumes --------------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_container_sees_the_files_of_its_volumes() -> None:
    async with world() as w:
        volumes = [
            {"name": "conf", "configMap": {"name": "cm", "items": [{"key": "a", "path": "sub/a.txt"}]}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"secret": {"name": "s"}},
                        {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    ]
                },
            },
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        ]
        mounts = [
            {"name": "conf", "mountPath": "/etc/conf"},
            {"name": "conf", "mountPath": "/one.txt", "subPath": "sub/a.txt"},
            {"name": "all", "mountPath": "/all/"},
            {"name": "token", "mountPath": "/var/run/token"},
        ]
        w.api.set(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"a": "hello"}}, "default/cm")
        w.api.set(SECRETS, {"metadata": {"name": "s", "namespace": "default"}, "data": {"p": "c2VjcmV0"}}, "default/s")
        w.api.pod(container={"volumeMounts": mounts}, volumes=volumes, meta={"labels": {"app": "web"}})
        await ready(w.api)
        runtime = w.agents.nodes["n1"].host.runtime
        (container,) = await runtime.list_containers("uid-web")
        script = "cat /etc/conf/sub/a.txt /one.txt /all/p /all/l"
        assert (await runtime.exec_sync(container.id, ["sh", "-c", script], timeout_s=5)).stdout == b'hellohellosecretapp="web"'


@virtual
async def test_files_follow_what_they_are_made_of_but_for_sub_paths() -> None:
    async with world() as w:
        volumes: list[Object] = [
            {"name": "conf", "configMap": {"name": "cm", "optional": True}},
            {"name": "down", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ]
        mounts = [
            {"name": "conf", "mountPath": "/conf"},
            {"name": "conf", "mountPath": "/one", "subPath": "a"},
            {"name": "down", "mountPath": "/down"},
        ]

        def config(**data: str) -> Object:
            return {"metadata": {"name": "cm", "namespace": "default"}, "data": data}

        w.api.set(CONFIG_MAPS, config(a="1", b="1"), "default/cm")
        w.api.pod(container={"volumeMounts": mounts}, volumes=volumes, meta={"labels": {"x": "1"}})
        await ready(w.api)
        runtime = w.agents.nodes["n1"].host.runtime
        (container,) = await runtime.list_containers("uid-web")

        async def seen() -> str:
            script = "for each in /conf/a /conf/b /one /down/l; do echo $(cat $each); done"
            return (await runtime.exec_sync(container.id, ["sh", "-c", script], timeout_s=5)).stdout.decode()

        assert await seen() == '1\n1\n1\nx="1"\n'
        w.api.set(CONFIG_MAPS, config(a="2"), "default/cm")
        await asyncio.sleep(5)
        assert await seen() == '2\n\n1\nx="1"\n'
        w.api.change("web", lambda pod: pod["metadata"].update(labels={"x": "2"}))
        await asyncio.sleep(5)
        assert await seen() == '2\n\n1\nx="2"\n'
        w.api.set(CONFIG_MAPS, None, "default/cm")
        await asyncio.sleep(5)
        assert await seen() == '\n\n1\nx="2"\n'
        assert len(w.agents.followed) == 1
        w.api.set(PODS, None, "default/web")
        await asyncio.sleep(5)
        assert len(w.agents.followed) == 0, "nobody is watched for nothing"


@virtual
async def test_a_pod_waits_for_a_volume_that_cannot_be_set_up() -> None:
    async with world() as w:
        volumes = [{"name": "conf", "configMap": {"name": "cm"}}]
        w.api.pod(container={"volumeMounts": [{"name": "conf", "mountPath": "/c"}]}, volumes=volumes)
        await asyncio.sleep(20)
        assert w.api.status()["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
        assert ("Warning", "FailedMount", 'MountVolume.SetUp failed for volume "conf" : configmap "cm" not found', "") in w.events.seen
        w.api.set(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {}}, "default/cm")
        await ready(w.api)
        assert w.events.reasons().count("Pulling") == 1


@virtual
async def test_a_containers_last_words_are_its_termination_message() -> None:
    async with world() as w:
        script = "echo gone wrong > /dev/termination-log; exit 7"
        w.api.pod(container={"image": "busybox:1", "command": ["sh", "-c", script]}, restartPolicy="Never")
        await until(lambda: w.api.status()["phase"] == "Failed")
        ended = w.api.status()["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (7, "gone wrong\n")
