"""Upstream's conformance tests of scheduling, preemption, taints and runtime classes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube.objects import Object, condition_of
from tests.component.conformance import APPS, NAMESPACE, World, condition, names, pod, workload, world
from tests.component.served import MERGE
from tests.virtual import virtual

PODS, NODES, CLASSES = f"{NAMESPACE}/pods", "/api/v1/nodes", "/apis/scheduling.k8s.io/v1/priorityclasses"
FAKE = "example.com/fakecpu"


def asking(name: str, resource: str, amount: str, **spec: Any) -> Object:
    resources = {"requests": {resource: amount}, "limits": {resource: amount}}
    return pod(name, {"name": "c", "image": "pause:3", "resources": resources}, **spec)


async def unschedulable(api: World, name: str) -> str:
    found = await api.where(f"{PODS}/{name}", lambda found: condition(found, "PodScheduled") == ("False", "Unschedulable"))
    assert not found["spec"].get("nodeName")
    return str((condition_of(found, "PodScheduled") or {})["message"])


async def capacity(api: World, amount: str, *nodes: str) -> None:
    """What the nodes have of an extended resource."""
    for node in nodes:
        status = {"capacity": {FAKE: amount}, "allocatable": {FAKE: amount}}
        await api.ok("PATCH", f"{NODES}/{node}/status", {"status": status}, content_type=MERGE)


async def classes(api: World, **values: int) -> None:
    for name, value in values.items():
        await api.ok("POST", CLASSES, {"metadata": {"name": name}, "value": value})


# --- where pods go ----------------------------------------------------------------------------------------------------------------


@virtual
async def test_more_than_a_node_has_is_not_given() -> None:
    async with world(nodes=1) as api:
        (node,) = names(await api.items(NODES))
        await capacity(api, "10", node)
        await api.ok("POST", PODS, asking("filler", FAKE, "7"))
        await api.ready("filler")
        await api.ok("POST", PODS, asking("more", FAKE, "6"))
        assert f"Insufficient {FAKE}" in await unschedulable(api, "more")
        await api.ok("POST", PODS, asking("huge", "cpu", "100000"))
        assert "Insufficient cpu" in await unschedulable(api, "huge")
        await api.ok("DELETE", f"{PODS}/filler")
        await api.ready("more")


@virtual
async def test_node_selectors_are_respected() -> None:
    async with world() as api:
        node = names(await api.items(NODES))[1]
        await api.ok("POST", PODS, pod("nowhere", nodeSelector={"label": "nonempty"}))
        assert "didn't match Pod's node affinity/selector" in await unschedulable(api, "nowhere")
        await api.ok("PATCH", f"{NODES}/{node}", {"metadata": {"labels": {"e2e": "42"}}}, content_type=MERGE)
        await api.ok("POST", PODS, pod("there", nodeSelector={"e2e": "42"}))
        assert (await api.ready("there"))["spec"]["nodeName"] == node


@virtual
async def test_host_ports_conflict_only_where_they_overlap() -> None:
    async with world(nodes=1) as api:

        async def post(name: str, ip: str, protocol: str, number: int = 54321) -> None:
            port = {"containerPort": 80, "hostPort": number, "protocol": protocol} | ({"hostIP": ip} if ip else {})
            await api.ok("POST", PODS, pod(name, {"name": "c", "image": "c", "ports": [port]}))

        for name, ip, protocol in (("one", "127.0.0.1", "TCP"), ("two", "192.0.2.7", "TCP"), ("three", "192.0.2.7", "UDP")):
            await post(name, ip, protocol)
            await api.ready(name)
        await post("all", "", "TCP", 54322)
        await api.ready("all")
        await post("some", "127.0.0.1", "TCP", 54322)
        assert "didn't have free ports" in await unschedulable(api, "some")


# --- preemption -------------------------------------------------------------------------------------------------------------------


async def filled(api: World) -> list[str]:
    """Two nodes whose room is taken by a pod of low and one of medium importance."""
    nodes = names(await api.items(NODES))
    await capacity(api, "5", *nodes)
    await classes(api, low=1, medium=100, high=1000)
    for name, node in zip(("low", "medium"), nodes, strict=True):
        await api.ok("POST", PODS, asking(name, FAKE, "3", priorityClassName=name, nodeSelector={"kubernetes.io/hostname": node}))
        await api.ready(name)
    return nodes


@virtual
async def test_the_less_important_pod_makes_room() -> None:
    async with world() as api:
        nodes = await filled(api)
        await api.ok("POST", PODS, asking("high", FAKE, "3", priorityClassName="high"))
        assert (await api.ready("high"))["spec"]["nodeName"] == nodes[0]
        await api.gone(f"{PODS}/low")
        assert "deletionTimestamp" not in (await api.ok("GET", f"{PODS}/medium"))["metadata"]


@virtual
async def test_a_critical_pod_gets_room() -> None:
    async with world() as api:
        nodes = await filled(api)
        system = "/api/v1/namespaces/kube-system"
        await api.where(f"{system}/serviceaccounts/default", bool)
        await api.ok("POST", f"{system}/pods", asking("critical", FAKE, "3", priorityClassName="system-cluster-critical"))
        assert (await api.ready("critical", "kube-system"))["spec"]["nodeName"] == nodes[0]
        await api.gone(f"{PODS}/low")


@virtual
async def test_a_preempted_pod_is_marked() -> None:
    async with world(nodes=1) as api:
        (node,) = names(await api.items(NODES))
        await capacity(api, "1", node)
        await classes(api, low=1, high=1000)
        victim = asking("victim", FAKE, "1", priorityClassName="low")
        victim["metadata"]["finalizers"] = ["example.com/held"]
        await api.ok("POST", PODS, victim)
        await api.ready("victim")
        await api.ok("POST", PODS, asking("preemptor", FAKE, "1", priorityClassName="high"))
        found = await api.where(f"{PODS}/victim", lambda found: found["metadata"].get("deletionTimestamp"))
        assert condition(found, "DisruptionTarget") == ("True", "PreemptionByScheduler")
        await api.ok("PATCH", f"{PODS}/victim", {"metadata": {"finalizers": None}}, content_type=MERGE)
        await api.ready("preemptor")


@virtual
async def test_preemption_among_replica_sets() -> None:
    async with world(nodes=1) as api:
        (node,) = names(await api.items(NODES))
        await capacity(api, "1000", node)
        await classes(api, p1=1, p2=2, p3=3, p4=4)
        for name, replicas, amount in (("rs1", 1, "200"), ("rs2", 1, "200"), ("rs3", 1, "450"), ("rs4", 1, "500")):
            resources = {"requests": {FAKE: amount}, "limits": {FAKE: amount}}
            container = {"name": "c", "image": "pause:3", "resources": resources}
            chosen = {"priorityClassName": name.replace("rs", "p")}
            await api.ok("POST", f"{APPS}/replicasets", workload(name, replicas, container, pod_spec=chosen))
            await api.where(f"{APPS}/replicasets/{name}", lambda found: found["status"].get("readyReplicas") == 1)
        await asyncio.sleep(60)
        ready = {each["metadata"]["name"]: each["status"].get("readyReplicas", 0) for each in await api.items(f"{APPS}/replicasets")}
        assert ready == {"rs1": 0, "rs2": 0, "rs3": 1, "rs4": 1}


# --- taints -----------------------------------------------------------------------------------------------------------------------


def taint(*taints: Object) -> Object:
    return {"spec": {"taints": list(taints)}}


EVICT = {"key": "e2e.example.com/evict", "value": "yes", "effect": "NoExecute"}


@virtual
async def test_pods_are_evicted_when_their_toleration_ends() -> None:
    async with world(nodes=1) as api:
        (node,) = names(await api.items(NODES))
        for name, seconds in (("short", 5), ("long", 20)):
            tolerating = {"key": EVICT["key"], "value": "yes", "effect": "NoExecute", "tolerationSeconds": seconds}
            await api.ok("POST", PODS, pod(name, tolerations=[tolerating], terminationGracePeriodSeconds=1))
            await api.ready(name)
        await api.ok("PATCH", f"{NODES}/{node}", taint(EVICT), content_type=MERGE)
        await asyncio.sleep(4)
        assert len(await api.items(PODS)) == 2
        await asyncio.sleep(8)
        assert names(await api.items(PODS)) == ["long"]
        await api.gone(f"{PODS}/long", within_s=15)


@virtual
async def test_a_pod_stays_when_the_taint_goes_in_time() -> None:
    async with world(nodes=1) as api:
        (node,) = names(await api.items(NODES))
        tolerating = {"key": EVICT["key"], "value": "yes", "effect": "NoExecute", "tolerationSeconds": 65}
        await api.ok("POST", PODS, pod("p", tolerations=[tolerating]))
        await api.ready("p")
        await api.ok("PATCH", f"{NODES}/{node}", taint(EVICT), content_type=MERGE)
        await asyncio.sleep(30)
        await api.ok("PATCH", f"{NODES}/{node}", taint(), content_type=MERGE)
        await asyncio.sleep(120)
        assert "deletionTimestamp" not in (await api.ok("GET", f"{PODS}/p"))["metadata"]


# --- runtime classes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("was_there", [pytest.param(True, id="deleted"), pytest.param(False, id="never there")])
@virtual
async def test_a_pod_of_a_missing_runtime_class_is_rejected(was_there: bool) -> None:
    async with world(nodes=1) as api:
        path = "/apis/node.k8s.io/v1/runtimeclasses"
        if was_there:
            await api.ok("POST", path, {"metadata": {"name": "gone"}, "handler": "h"})
            await api.ok("DELETE", f"{path}/gone")
        reply = await api.call("POST", PODS, pod("p", runtimeClassName="gone"))
        assert (reply.status, 'RuntimeClass "gone" not found' in reply.message) == (403, True)


@virtual
async def test_a_pod_of_a_runtime_class_is_scheduled_with_its_overhead() -> None:
    async with world(nodes=1) as api:
        path = "/apis/node.k8s.io/v1/runtimeclasses"
        await api.ok("POST", path, {"metadata": {"name": "plain"}, "handler": "h"})
        await api.ok(
            "POST", path, {"metadata": {"name": "heavy"}, "handler": "h", "overhead": {"podFixed": {"cpu": "10m", "memory": "1Mi"}}}
        )
        await api.ok("POST", path, {"metadata": {"name": "giant"}, "handler": "h", "overhead": {"podFixed": {"cpu": "100000"}}})
        for name in ("plain", "heavy", "giant"):
            await api.ok("POST", PODS, pod(name, runtimeClassName=name))
        await api.where(f"{PODS}/plain", lambda found: found["spec"].get("nodeName"))
        heavy = await api.where(f"{PODS}/heavy", lambda found: found["spec"].get("nodeName"))
        assert heavy["spec"]["overhead"] == {"cpu": "10m", "memory": "1Mi"}
        assert "Insufficient cpu" in await unschedulable(api, "giant")


@virtual
async def test_at_least_two_nodes_take_pods() -> None:
    async with world() as api:
        for node in await api.items(NODES):
            name = node["metadata"]["name"]
            await api.ok("POST", PODS, pod(f"on-{name}", nodeSelector={"kubernetes.io/hostname": name}))
            await api.ready(f"on-{name}")
