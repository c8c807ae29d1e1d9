"""Resizing pods in place, from the subresource `resize` to what the node tells of it: containers of all kinds, pods as a whole; waiting."""

from __future__ import annotations

import asyncio
from typing import Any

from kube.objects import Object, condition_of
from tests.component.conformance import NAMESPACE, World, pod, script, world
from tests.component.served import STRATEGIC
from tests.virtual import virtual

PODS = f"{NAMESPACE}/pods"
ALL_THERE_IS = "8"
"""The cores of a node."""


def sized(cpu: str, memory: str = "100Mi") -> Object:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def asking(cpu: str) -> Object:
    return {"requests": {"cpu": cpu}}


async def resize(api: World, name: str, **spec: Any) -> Object:
    """What `kubectl patch --subresource resize` sends."""
    return dict(await api.ok("PATCH", f"{PODS}/{name}/resize", {"spec": spec}, content_type=STRATEGIC))


def given(found: Object, container: str) -> tuple[Object, int]:
    """The resources that a container has, and how often it was restarted."""
    statuses = [*(found["status"].get("initContainerStatuses") or ()), *(found["status"].get("containerStatuses") or ())]
    status: Object = next((each for each in statuses if each["name"] == container), {})
    return status.get("resources") or {}, status.get("restartCount", 0)


def has(container: str, resources: Object) -> Any:
    return lambda found: given(found, container)[0] == resources


async def told(api: World, name: str) -> list[str]:
    """The reasons of the events of the pod that tell of its resize."""
    events = await api.items(f"{NAMESPACE}/events?fieldSelector=involvedObject.name={name}")
    return [each["reason"] for each in events if each["reason"].startswith("Resize")]


@virtual
async def test_nodes_declare_what_they_can() -> None:
    async with world(nodes=1) as api:
        (node,) = await api.items("/api/v1/nodes")
        assert node["status"]["declaredFeatures"] == [
            "ExtendWebSocketsToKubelet",
            "InPlacePodLevelResourcesVerticalScaling",
            "InPlacePodVerticalScalingInitContainers",
            "RestartAllContainersOnContainerExits",
        ]


@virtual
async def test_an_init_container_is_resized_while_it_runs() -> None:
    async with world(nodes=1) as api:
        init = script("sleep 100", name="i", resources=sized("100m"))
        await api.ok("POST", PODS, pod("p", {"name": "c", "image": "c", "resources": sized("1")}, initContainers=[init]))
        await api.where(f"{PODS}/p", lambda found: given(found, "i") == (sized("100m"), 0))
        await resize(api, "p", initContainers=[{"name": "i", "resources": sized("2")}])
        found = await api.where(f"{PODS}/p", has("i", sized("2")))
        assert found["status"]["phase"] == "Pending"
        assert found["status"]["initContainerStatuses"][0]["allocatedResources"] == sized("2")["requests"]
        assert found["status"]["allocatedResources"]["cpu"] == "2", "what initializing needs at most"
        found = await api.ready("p")
        assert given(found, "i") == (sized("2"), 0)
        await api.until(lambda: _equals(told(api, "p"), ["ResizeStarted", "ResizeCompleted"]))


async def _equals(answer: Any, expected: Any) -> bool:
    return bool(await answer == expected)


@virtual
async def test_an_init_container_is_resized_before_its_turn() -> None:
    async with world(nodes=1) as api:
        inits = [script("sleep 100", name="first"), script("sleep 1", name="second", resources=sized("100m"))]
        await api.ok("POST", PODS, pod("p", {"name": "c", "image": "c"}, initContainers=inits))
        await api.where(f"{PODS}/p", lambda found: "running" in found["status"].get("initContainerStatuses", [{"state": ()}])[0]["state"])
        await resize(api, "p", initContainers=[{"name": "second", "resources": sized("3")}])
        found = await api.ready("p")
        assert given(found, "second") == (sized("3"), 0)


@virtual
async def test_a_sidecar_is_resized_and_restarted_where_its_policy_says_so() -> None:
    async with world(nodes=1) as api:
        policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        side = {"name": "s", "image": "s", "restartPolicy": "Always", "resources": sized("100m"), "resizePolicy": policy}
        await api.ok("POST", PODS, pod("p", {"name": "c", "image": "c"}, initContainers=[side]))
        await api.ready("p")
        await resize(api, "p", initContainers=[{"name": "s", "resources": sized("200m")}])
        found = await api.where(f"{PODS}/p", has("s", sized("200m")))
        assert given(found, "s") == (sized("200m"), 0)
        await resize(api, "p", initContainers=[{"name": "s", "resources": sized("200m", "200Mi")}])
        found = await api.where(f"{PODS}/p", lambda found: given(found, "s") == (sized("200m", "200Mi"), 1))
        assert given(found, "c")[1] == 0
        events = await api.items(f"{NAMESPACE}/events?fieldSelector=involvedObject.name=p,reason=Killing")
        assert [each["message"] for each in events] == ["Container s resize requires restart"]


@virtual
async def test_a_pod_is_resized_as_a_whole() -> None:
    async with world(nodes=1) as api:
        policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        free = {"name": "free", "image": "c", "resizePolicy": policy}
        held = {"name": "held", "image": "c", "resources": sized("100m", "50Mi"), "resizePolicy": policy}
        await api.ok("POST", PODS, pod("p", free, held, resources=sized("1")))
        found = await api.ready("p")
        assert (found["status"]["resources"], found["status"]["allocatedResources"]) == (sized("1"), sized("1")["requests"])
        await resize(api, "p", resources=sized("2"))
        found = await api.where(f"{PODS}/p", lambda found: found["status"]["resources"] == sized("2"))
        assert found["status"]["allocatedResources"] == sized("2")["requests"]
        assert (given(found, "free"), given(found, "held")) == (({}, 0), (sized("100m", "50Mi"), 0))
        await resize(api, "p", resources=sized("2", "200Mi"))
        found = await api.where(f"{PODS}/p", lambda found: given(found, "free") == ({}, 1))
        assert found["status"]["resources"] == sized("2", "200Mi")
        assert given(found, "held")[1] == 0, "it has limits of its own"
        assert not [each for each in found["status"]["conditions"] if each["type"].startswith("PodResize")]


@virtual
async def test_a_resize_that_does_not_fit_yet_waits() -> None:
    async with world(nodes=1) as api:
        for name, cpu in (("small", "1"), ("large", "6")):
            await api.ok("POST", PODS, pod(name, {"name": "c", "image": "c", "resources": asking(cpu)}))
            await api.ready(name)
        await resize(api, "small", containers=[{"name": "c", "resources": asking("4")}])
        found = await api.where(f"{PODS}/small", lambda found: condition_of(found, "PodResizePending"))
        pending = condition_of(found, "PodResizePending") or {}
        assert (pending["status"], pending["reason"], pending["observedGeneration"]) == ("True", "Deferred", 2)
        assert pending["message"] == "Node didn't have enough resource: cpu, requested: 4000, used: 6000, capacity: 8000"
        (status,) = found["status"]["containerStatuses"]
        assert (status["resources"], status["allocatedResources"]) == (asking("1"), {"cpu": "1"})
        assert (found["spec"]["containers"][0]["resources"], found["status"]["observedGeneration"]) == (asking("4"), 2)
        await api.ok("DELETE", f"{PODS}/large")
        found = await api.where(f"{PODS}/small", has("c", asking("4")), within_s=20)
        assert not [each for each in found["status"]["conditions"] if each["type"].startswith("PodResize")]
        assert given(found, "c")[1] == 0
        await api.until(lambda: _equals(told(api, "small"), ["ResizeDeferred", "ResizeStarted", "ResizeCompleted"]))


@virtual
async def test_a_resize_that_waits_can_be_taken_back() -> None:
    async with world(nodes=1) as api:
        for name, cpu in (("small", "1"), ("large", "6")):
            await api.ok("POST", PODS, pod(name, {"name": "c", "image": "c", "resources": asking(cpu)}))
            await api.ready(name)
        await resize(api, "small", containers=[{"name": "c", "resources": asking("4")}])
        await api.where(f"{PODS}/small", lambda found: condition_of(found, "PodResizePending"))
        await resize(api, "small", containers=[{"name": "c", "resources": asking("1")}])
        found = await api.where(f"{PODS}/small", lambda found: not condition_of(found, "PodResizePending"))
        assert (given(found, "c"), found["status"]["observedGeneration"]) == ((asking("1"), 0), 3)


@virtual
async def test_what_others_give_up_goes_to_the_first_in_line() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "high"}, "value": 1000})
        spec = {"name": "c", "image": "c", "resources": asking("1")}
        rest: dict[str, Any] = {"priorityClassName": "high"}
        for name, each in (("low", {}), ("high", rest), ("late", {})):
            await api.ok("POST", PODS, pod(name, spec, **each))
        await api.ok("POST", PODS, pod("large", {**spec, "resources": asking("5")}))
        for name in ("low", "high", "late", "large"):
            await api.ready(name)
        for name in ("low", "high"):
            await resize(api, name, containers=[{"name": "c", "resources": asking("3")}])
            await api.where(f"{PODS}/{name}", lambda found: condition_of(found, "PodResizePending"))
        await resize(api, "large", containers=[{"name": "c", "resources": asking("3")}])
        await api.where(f"{PODS}/high", has("c", asking("3")))
        await asyncio.sleep(300)
        low = await api.ok("GET", f"{PODS}/low")
        assert given(low, "c")[0] == asking("1"), "there is no room left"


@virtual
async def test_more_than_the_node_has_is_refused() -> None:
    async with world(nodes=1) as api:
        await api.ok("POST", PODS, pod("p", {"name": "c", "image": "c", "resources": asking("1")}))
        await api.ready("p")
        change = {"spec": {"containers": [{"name": "c", "resources": asking("9")}]}}
        reply = await api.call("PATCH", f"{PODS}/p/resize", change, content_type=STRATEGIC)
        why = "node didn't have enough allocatable resources: cpu, requested: 9000, allocatable: 8000"
        assert (reply.status, reply.message) == (403, f'pods "p" is forbidden: {why}')
        await resize(api, "p", containers=[{"name": "c", "resources": asking(ALL_THERE_IS)}])
        await api.where(f"{PODS}/p", has("c", asking(ALL_THERE_IS)))
