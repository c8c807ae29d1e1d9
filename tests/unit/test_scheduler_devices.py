"""Dynamic resource allocation: which devices claims get on which node, and pods that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from controllers.scheduler.devices import DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES
from controllers.scheduler.plugins.device_allocation import Offers, allocate
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object
from kube.resources import NODES, PODS, Resource
from tests.unit.scheduler_api import FakeApi, scheduling
from tests.unit.scheduler_cluster import HOSTNAME, decide, make_node, make_pod, make_snapshot
from tests.virtual import virtual

DRIVER = "gpu.example.com"


def device(name: str, **attributes: Any) -> Object:
    kinds = {bool: "bool", int: "int", str: "string"}
    return {"name": name, "attributes": {key: {kinds[type(value)]: value} for key, value in attributes.items()}}


def published(node: str, *devices: Object, generation: int = 1, count: int = 1, **rest: Any) -> Object:
    """A slice; `rest` may say instead of a node where the devices can be used."""
    place = rest or {"nodeName": node}
    pool = {"name": node or "pool", "generation": generation, "resourceSliceCount": count}
    spec = {"driver": DRIVER, "pool": pool, "devices": list(devices), **place}
    return {"kind": "ResourceSlice", "metadata": {"name": f"slice-{node}-{generation}"}, "spec": spec}


def device_class(name: str = "gpu", expression: str = f'device.driver == "{DRIVER}"', **spec: Any) -> Object:
    return {"kind": "DeviceClass", "metadata": {"name": name}, "spec": {"selectors": [{"cel": {"expression": expression}}], **spec}}


def request(name: str = "r", expression: str = "", **told: Any) -> Object:
    selectors = {"selectors": [{"cel": {"expression": expression}}]} if expression else {}
    return {"name": name, "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1, **selectors, **told}}


def claim(*requests: Object, name: str = "c", status: Object | None = None, **devices: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    spec = {"devices": {"requests": list(requests or (request(),)), **devices}}
    return {"kind": "ResourceClaim", "metadata": metadata, "spec": spec, "status": status or {}}


def claiming(name: str = "p", *claims: str, **rest: Any) -> Object:
    return make_pod(name, resourceClaims=[{"name": each, "resourceClaimName": each} for each in claims or ("c",)], **rest)


def cluster(slices: Sequence[Object], claims: Sequence[Object] = (), nodes: str = "a") -> Snapshot:
    snapshot = make_snapshot([make_node(name, labels={"rack": name}) for name in nodes])
    snapshot.devices.take(DEVICE_CLASSES, None, device_class())
    for each in slices:
        snapshot.devices.slices[each["metadata"]["name"]] = each
    for each in claims:
        snapshot.devices.take(RESOURCE_CLAIMS, None, {**each, "metadata": {**each["metadata"], "resourceVersion": "1"}})
    return snapshot


def given(wanted: Object, *slices: Object, taken: Sequence[Object] = ()) -> list[str] | None:
    """The devices that a claim gets on the node a."""
    snapshot = cluster(slices, taken)
    allocations = allocate([wanted], snapshot.nodes["a"], Offers(snapshot.devices))
    return None if allocations is None else [each["device"] for each in allocations[0]["devices"]["results"]]


def taken(name: str) -> Object:
    result = {"request": "r", "driver": DRIVER, "pool": "a", "device": name}
    return claim(name=f"of-{name}", status={"allocation": {"devices": {"results": [result]}}})


small, large = device("small", memory=8, model="s"), device("large", memory=80, model="l")
second = device("second", memory=8, model="s")
BIG = f'device.attributes["{DRIVER}"].memory > 40'


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(claim(), ["small"], id="any device"),
        pytest.param(claim(request(expression=BIG)), ["large"], id="one that a selector selects"),
        pytest.param(claim(request(expression='device.attributes["other.org"].?x.orValue(1) == 2')), None, id="none that it does"),
        pytest.param(claim(request(count=3)), ["small", "large", "second"], id="three"),
        pytest.param(claim(request(count=4)), None, id="more than there are"),
        pytest.param(claim(request(allocationMode="All")), ["small", "large", "second"], id="all"),
        pytest.param(
            claim(request(count=2), constraints=[{"matchAttribute": f"{DRIVER}/model"}]), ["small", "second"], id="two of the same model"
        ),
        pytest.param(
            claim(request("x"), request("y", expression=BIG), constraints=[{"matchAttribute": f"{DRIVER}/model"}]),
            None,
            id="the same model, and one of them large",
        ),
        pytest.param(
            claim(request("x"), request("y"), constraints=[{"requests": ["x", "y"], "distinctAttribute": f"{DRIVER}/model"}]),
            ["small", "large"],
            id="two different models",
        ),
        pytest.param(
            claim(
                {
                    "name": "r",
                    "firstAvailable": [
                        {"name": "best", "deviceClassName": "gpu", "count": 4},
                        {"name": "good", "deviceClassName": "gpu", "count": 1, "selectors": [{"cel": {"expression": BIG}}]},
                    ],
                }
            ),
            ["large"],
            id="the first choice that there is",
        ),
    ],
)
def test_what_claims_get(wanted: Object, expected: list[str] | None) -> None:
    assert given(wanted, published("a", small, large, second)) == expected


def test_devices_that_are_taken_are_not_given_but_to_administrators() -> None:
    slices = published("a", small)
    assert given(claim(), slices, taken=[taken("small")]) is None
    assert given(claim(request(adminAccess=True)), slices, taken=[taken("small")]) == ["small"]


def test_tainted_devices_are_for_those_who_tolerate_it() -> None:
    broken = {**device("broken"), "taints": [{"key": "broken", "effect": "NoSchedule"}]}
    assert given(claim(), published("a", broken)) is None
    assert given(claim(request(tolerations=[{"key": "broken", "operator": "Exists"}])), published("a", broken)) == ["broken"]


def test_only_complete_pools_of_the_newest_generation_count() -> None:
    assert given(claim(), published("a", small, count=2)) is None
    assert given(claim(), published("a", small), published("a", large, generation=2)) == ["large"]


@pytest.mark.parametrize(
    ("place", "fits", "selector"),
    [
        pytest.param({"allNodes": True}, "ab", None, id="on all nodes"),
        pytest.param(
            {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "rack", "operator": "In", "values": ["b"]}]}]}},
            "b",
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "rack", "operator": "In", "values": ["b"]}]}]},
            id="on the nodes that a selector selects",
        ),
        pytest.param(
            {"nodeName": "b"},
            "b",
            {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]},
            id="on one node",
        ),
    ],
)
def test_where_devices_can_be_used(place: Object, fits: str, selector: Object | None) -> None:
    snapshot = cluster([published("", small, **place)], nodes="ab")
    found = {name: allocate([claim()], snapshot.nodes[name], Offers(snapshot.devices)) for name in "ab"}
    assert [name for name, each in found.items() if each is not None] == list(fits)
    allocations = found[fits[0]]
    assert allocations is not None
    assert allocations[0].get("nodeSelector") == selector


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        pytest.param([], 'resourceclaim.resource.k8s.io "c" not found', id="a claim that is not there"),
        pytest.param(
            [claim(request(deviceClassName="none"))], "request r: device class none does not exist", id="a class that is not there"
        ),
    ],
)
def test_claims_that_are_not_as_they_should_be(stored: list[Object], why: str) -> None:
    decision = decide(claiming(), cluster([], stored))
    assert decision.message.startswith(f"0/1 nodes are available: {why}. no new claims to deallocate, preemption: ")


def test_a_claim_that_has_its_devices_leads_to_their_node() -> None:
    selector = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}
    decision = decide(claiming(), cluster([], [claim(status={"allocation": {"nodeSelector": selector}})], nodes="ab"))
    assert decision.node == "b"


@virtual
async def test_a_pod_gets_its_devices_before_it_is_bound_and_the_next_one_waits() -> None:
    api = FakeApi()
    api.put(DEVICE_CLASSES, device_class(config=[{"opaque": {"driver": DRIVER, "parameters": {"fast": True}}}]))
    api.put(RESOURCE_SLICES, published("b", small))
    for name in ("c", "d"):
        api.put(RESOURCE_CLAIMS, claim(name=name))
    async with scheduling(make_node("a"), make_node("b"), api=api) as (_, scheduler):
        api.put(PODS, claiming("p", "c"))
        await asyncio.sleep(1)
        assert api.pod("p")["spec"]["nodeName"] == "b"
        stored = api.objects[RESOURCE_CLAIMS]["default/c"]
        assert stored["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
        assert stored["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": "uid-p"}]
        devices = stored["status"]["allocation"]["devices"]
        assert devices["results"] == [{"request": "r", "driver": DRIVER, "pool": "b", "device": "small"}]
        assert devices["config"] == [{"source": "FromClass", "requests": ["r"], "opaque": {"driver": DRIVER, "parameters": {"fast": True}}}]
        api.put(PODS, claiming("q", "d"))
        await asyncio.sleep(1)
        assert not api.pod("q")["spec"].get("nodeName")
        assert api.events[-1][3].startswith("0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, ")
        api.put(RESOURCE_CLAIMS, {**stored, "status": {}})
        await asyncio.sleep(15)
        assert api.pod("q")["spec"]["nodeName"] == "b"
        assert not scheduler.snapshot.assumed


class Slow(FakeApi):
    """Statuses take their time, and the watch tells meanwhile what was written before."""

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "", **rest: Any) -> Object:
        if subresource == "status":
            await asyncio.sleep(1)
        return await super().update(resource, obj, subresource=subresource, **rest)


@virtual
async def test_a_device_is_nobody_elses_while_its_claim_is_being_written() -> None:
    api = Slow()
    api.put(DEVICE_CLASSES, device_class())
    api.put(RESOURCE_SLICES, published("a", small, second))
    for name in ("c", "d", "e"):
        api.put(RESOURCE_CLAIMS, claim(name=name))
    async with scheduling(make_node("a"), api=api):
        api.put(PODS, claiming("p", "c"))
        await asyncio.sleep(0.5)
        assert api.objects[RESOURCE_CLAIMS]["default/c"]["metadata"]["finalizers"]
        assert not api.objects[RESOURCE_CLAIMS]["default/c"]["status"], "only the first of two writes has been"
        api.put(PODS, claiming("q", "d"))
        await asyncio.sleep(2)
        results = [api.objects[RESOURCE_CLAIMS][f"default/{each}"]["status"]["allocation"]["devices"]["results"] for each in "cd"]
        assert sorted(each[0]["device"] for each in results) == ["second", "small"]
        api.put(RESOURCE_CLAIMS, {**api.objects[RESOURCE_CLAIMS]["default/c"], "status": {}})
        api.put(PODS, claiming("r", "e"))
        await asyncio.sleep(2)
        assert api.pod("r")["spec"]["nodeName"] == "a", "what is taken back afterwards is free"


@virtual
async def test_pods_may_share_a_claim() -> None:
    api = FakeApi()
    api.put(DEVICE_CLASSES, device_class())
    api.put(RESOURCE_SLICES, published("b", small))
    api.put(RESOURCE_CLAIMS, claim())
    async with scheduling(make_node("a"), make_node("b"), api=api):
        for name in ("p", "q"):
            api.put(PODS, claiming(name))
            await asyncio.sleep(1)
        assert [api.pod(name)["spec"]["nodeName"] for name in ("p", "q")] == ["b", "b"]
        assert [each["name"] for each in api.objects[RESOURCE_CLAIMS]["default/c"]["status"]["reservedFor"]] == ["p", "q"]


def on(node: str, *users: str) -> Object:
    """The status of a claim that has the device of that node."""
    selector = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}
    result = {"request": "r", "driver": DRIVER, "pool": node, "device": "small"}
    reserved = {"reservedFor": [{"resource": "pods", "name": each, "uid": f"uid-{each}"} for each in users]} if users else {}
    return {"allocation": {"devices": {"results": [result]}, "nodeSelector": selector}, **reserved}


@virtual
@pytest.mark.parametrize(("users", "moves"), [((), True), (("p",), True), (("other",), False), (("p", "other"), False)])
async def test_a_claim_that_nobody_else_uses_gives_up_devices_that_are_elsewhere(users: tuple[str, ...], moves: bool) -> None:
    api = FakeApi()
    api.put(DEVICE_CLASSES, device_class())
    for node in "ab":
        api.put(RESOURCE_SLICES, published(node, small))
    api.put(RESOURCE_CLAIMS, claim(status=on("a", *users)))
    async with scheduling(make_node("a"), make_node("b"), api=api):
        api.put(PODS, claiming("p", nodeSelector={HOSTNAME: "b"}))
        await asyncio.sleep(30)
        [result] = api.objects[RESOURCE_CLAIMS]["default/c"]["status"]["allocation"]["devices"]["results"]
        assert result["pool"] == ("b" if moves else "a")
        assert api.pod("p")["spec"].get("nodeName") == ("b" if moves else None)
        said = "deallocation of ResourceClaim completed" if moves else "still not schedulable"
        assert any(f". {said}, " in each[3] for each in api.events)


@virtual
async def test_a_pod_waits_until_the_claim_of_its_template_is_made() -> None:
    api = FakeApi()
    api.put(DEVICE_CLASSES, device_class())
    api.put(RESOURCE_SLICES, published("a", small))
    async with scheduling(make_node("a"), api=api) as (_, scheduler):
        pod = make_pod("p", resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}])
        api.put(PODS, pod)
        await asyncio.sleep(1)
        assert api.events == []
        owner = [{"kind": "Pod", "name": "p", "uid": "uid-p", "controller": True}]
        made = claim(name="p-gpu")
        api.put(RESOURCE_CLAIMS, {**made, "metadata": {**made["metadata"], "ownerReferences": owner}})
        status = {**pod["status"], "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu"}]}
        api.put(PODS, {**pod, "status": status})
        await asyncio.sleep(1)
        assert api.pod("p")["spec"]["nodeName"] == "a"
        assert scheduler.snapshot.devices.taken() == {(DRIVER, "a", "small")}
        api.put(NODES, make_node("a", labels={"any": "thing"}))
