"""Nodes of the agent: registration, heartbeats, several in one process."""

from __future__ import annotations

import asyncio
import copy
import random

import pytest

from kube.clock import LoopClock
from kube.objects import is_condition_true
from kube.resources import LEASES, NODES
from kubelet.agent import Agents
from kubelet.runtime.simulated import SimulatedRuntime
from tests.unit.kubelet_world import Api, ready, start, until, world
from tests.virtual import virtual


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
async def test_a_lease_keeps_what_others_wrote_to_it_and_who_holds_it_is_ours_to_say() -> None:
    async with world() as w:
        await asyncio.sleep(15)
        lease = copy.deepcopy(await w.api.get(LEASES, "n1", namespace="kube-node-lease"))
        lease["metadata"]["labels"] = {"mine": "yes"}
        lease["spec"] |= {"holderIdentity": "another", "leaseTransitions": 3}
        w.api.set(LEASES, lease, "kube-node-lease/n1")
        for _ in range(2):
            await asyncio.sleep(15)
            found = await w.api.get(LEASES, "n1", namespace="kube-node-lease")
            assert found["metadata"]["labels"] == {"mine": "yes"}
            assert found["metadata"]["ownerReferences"] == lease["metadata"]["ownerReferences"]
            assert (found["spec"]["holderIdentity"], found["spec"]["leaseTransitions"]) == ("n1", 3)
            assert found["spec"]["renewTime"] > lease["spec"]["renewTime"]


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
