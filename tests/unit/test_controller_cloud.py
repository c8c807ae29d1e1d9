"""The cloud of one machine: load balancers, what nodes are told, machines that go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.cloud import load_balancer, node, node_lifecycle, route
from controllers.cloud.balancing import PortKey, PortProblem
from controllers.cloud.load_balancer import FINALIZER, needs_update, takes_traffic
from controllers.cloud.local_cloud import LocalCloud, NoAddress, ranges
from controllers.cloud.node import UNINITIALIZED, WrongAddress, addresses_by_provided
from controllers.cloud.node_lifecycle import SHUTDOWN, Machine
from controllers.cloud.registry import controllers_of
from controllers.selection import selected
from kube.objects import Object
from kube.runtime.perform import Action, Delete, Patch, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOUD = LocalCloud(load_balancer_ranges=ranges("127.1.0.0/30"))


def service(*addresses: str, kind: str = "LoadBalancer", deleting: bool = False, held: bool = True, **spec: Any) -> Object:
    metadata: Object = {"name": "s", "namespace": "ns", "uid": "u", "finalizers": ["other", *([FINALIZER] if held else [])]}
    if deleting:
        metadata["deletionTimestamp"] = "x"
    status = {"loadBalancer": {"ingress": [{"ip": each} for each in addresses]}}
    return {"metadata": metadata, "spec": {"type": kind, **spec}, "status": status}


def told(actions: list[Action]) -> list[str]:
    """The reasons of the events, and what is patched."""
    out = []
    for each in actions:
        if isinstance(each, Record):
            out.append(each.reason)
        elif isinstance(each, Patch):
            finalizers = each.body["metadata"].get("finalizers")
            ingress = (each.body.get("status") or {}).get("loadBalancer", {}).get("ingress")
            out.append(",".join(finalizers) if finalizers is not None else f"{ingress[0]['ip']}" if ingress else "no address")
    return out


PLANS: dict[str, tuple[Object, list[str], list[str]]] = {
    "a new one": (
        service(held=False),
        [],
        ["EnsuringLoadBalancer", f"other,{FINALIZER}", "EnsuredLoadBalancer", "127.1.0.1"],
    ),
    "the first address that is free": (service(), ["127.1.0.1"], ["EnsuringLoadBalancer", "EnsuredLoadBalancer", "127.1.0.2"]),
    "it keeps what it has": (service("127.1.0.2"), [], ["EnsuringLoadBalancer", "EnsuredLoadBalancer"]),
    "but not an address of another range": (service("10.0.0.1"), [], ["EnsuringLoadBalancer", "EnsuredLoadBalancer", "127.1.0.1"]),
    "the one that it asks for": (
        service(loadBalancerIP="127.1.0.2"),
        [],
        ["EnsuringLoadBalancer", "EnsuredLoadBalancer", "127.1.0.2"],
    ),
    "not one that cannot be had": (service(loadBalancerIP="8.8.8.8"), [], ["EnsuringLoadBalancer", "SyncLoadBalancerFailed"]),
    "none is left": (service(), ["127.1.0.1", "127.1.0.2"], ["EnsuringLoadBalancer", "SyncLoadBalancerFailed"]),
    "somebody else's": (service(held=False, loadBalancerClass="example.com/lb"), [], []),
    "no load balancer at all": (service(kind="ClusterIP", held=False), [], []),
    "a load balancer no more": (service(kind="ClusterIP"), [], ["other", "DeletedLoadBalancer"]),
    "on its way out": (service("127.1.0.1", deleting=True), [], ["DeletingLoadBalancer", "other", "DeletedLoadBalancer"]),
    "let go already": (service(deleting=True, held=False), [], []),
}


@pytest.mark.parametrize(("of", "taken", "expected"), PLANS.values(), ids=PLANS.keys())
def test_what_is_done_about_a_service(of: Object, taken: list[str], expected: list[str]) -> None:
    assert told(load_balancer.plan(of, taken, NOW, cloud=CLOUD)) == expected


def test_people_are_told_that_there_is_no_node() -> None:
    assert "UnAvailableLoadBalancer" in told(load_balancer.plan(service(), [], NOW, cloud=CLOUD, has_nodes=False))


IN_USE = PortProblem("PortInUse", "port 80 is in use", True)
NOT_TCP = PortProblem("ProtocolNotSupported", "port 53/UDP does not answer")
TOLD: dict[str, tuple[dict[PortKey, PortProblem], dict[PortKey, PortProblem] | None, list[str]]] = {
    "said at first": (
        {("127.1.0.1", 80, "TCP"): IN_USE, ("", 53, "UDP"): NOT_TCP},
        None,
        ["EnsuringLoadBalancer", "PortInUse", "ProtocolNotSupported", "EnsuredLoadBalancer", "127.1.0.1"],
    ),
    "not again when it is tried once more": ({("127.1.0.1", 80, "TCP"): IN_USE}, {("127.1.0.1", 80, "TCP"): IN_USE}, ["127.1.0.1"]),
    "but what has become another is": (
        {("127.1.0.1", 80, "TCP"): NOT_TCP},
        {("127.1.0.1", 80, "TCP"): IN_USE},
        ["ProtocolNotSupported", "127.1.0.1"],
    ),
    "and that all is well": ({}, {("127.1.0.1", 80, "TCP"): IN_USE}, ["EnsuredLoadBalancer"]),
}


@pytest.mark.parametrize(("problems", "before", "expected"), TOLD.values(), ids=TOLD.keys())
def test_what_is_said_of_ports_that_do_not_answer(
    problems: dict[PortKey, PortProblem], before: dict[PortKey, PortProblem] | None, expected: list[str]
) -> None:
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    actions = load_balancer.plan(service("127.1.0.1", ports=ports), [], NOW, cloud=CLOUD, problems=problems, told=before)
    assert told(actions) == expected
    if problems:
        assert isinstance(actions[-1], Patch)
        [ingress] = actions[-1].body["status"]["loadBalancer"]["ingress"]
        assert [each.get("error") for each in ingress["ports"]] == [
            f"wherry.io/{found.reason}" if (found := problems.get(key)) else None for key in (("127.1.0.1", 80, "TCP"), ("", 53, "UDP"))
        ]


FAMILIES: dict[str, tuple[Object, list[str]]] = {
    "one of each family that it has": (service(ipFamilies=["IPv6", "IPv4"]), ["fd01::1", "127.1.0.1"]),
    "the one family that it has": (service(ipFamilies=["IPv6"]), ["fd01::1"]),
    "what it has stays": (service("127.1.0.2", ipFamilies=["IPv4", "IPv6"]), ["127.1.0.2", "fd01::1"]),
    "the one that it asks for, and the other": (
        service(ipFamilies=["IPv4", "IPv6"], loadBalancerIP="fd01::2"),
        ["127.1.0.1", "fd01::2"],
    ),
}


@pytest.mark.parametrize(("of", "expected"), FAMILIES.values(), ids=FAMILIES.keys())
def test_addresses_of_both_families(of: Object, expected: list[str]) -> None:
    assert LocalCloud(load_balancer_ranges=ranges("127.1.0.0/30,fd01::/126")).addresses(of, []) == expected


def test_without_a_range_of_its_family_a_service_has_an_address_of_another() -> None:
    assert CLOUD.addresses(service(ipFamilies=["IPv6"]), []) == ["127.1.0.1"]


@pytest.mark.parametrize("text", ["127.1.0.0/30,127.2.0.0/30", "everywhere", "127.1.0.1/8", ""])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        ranges(text)


def test_why_there_is_no_address() -> None:
    with pytest.raises(NoAddress, match="is another load balancer's"):
        CLOUD.addresses(service(loadBalancerIP="127.1.0.1"), ["127.1.0.1"])


@pytest.mark.parametrize(
    ("change", "concerns"),
    [
        pytest.param({"ports": [{"port": 81}]}, True, id="other ports"),
        pytest.param({"loadBalancerClass": "x"}, True, id="another's from now on"),
        pytest.param({"selector": {"a": "b"}}, False, id="other pods"),
    ],
)
def test_which_changes_concern_a_load_balancer(change: Object, concerns: bool) -> None:
    assert needs_update(service(), service(**change)) is concerns


def test_which_nodes_take_traffic() -> None:
    plain: Object = {"metadata": {"name": "n"}, "spec": {}}
    assert takes_traffic(plain)
    assert not takes_traffic({**plain, "metadata": {"labels": {load_balancer.EXCLUDED: ""}}})
    assert not takes_traffic({**plain, "spec": {"taints": [{"key": load_balancer.TO_BE_DELETED}]}})


# --- nodes ------------------------------------------------------------------------------------------------------------


def machine(*taints: str, ready: str = "True", labels: Object | None = None, **rest: Any) -> Object:
    status = {"conditions": [{"type": "Ready", "status": ready}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]}
    spec = {"taints": [{"key": each, "effect": "NoSchedule"} for each in taints]}
    return {"metadata": {"name": "n", "uid": "u", "labels": labels or {}, **rest}, "spec": spec, "status": status}


def test_a_node_that_waits_is_told_what_it_is() -> None:
    fresh = machine(UNINITIALIZED, "other")
    update, event = node.plan(fresh, LocalCloud().instance(fresh), NOW)
    assert isinstance(update, Update)
    assert (update.obj["spec"]["providerID"], [each["key"] for each in update.obj["spec"]["taints"]]) == ("wherry://n", ["other"])
    labels = update.obj["metadata"]["labels"]
    assert (labels["topology.kubernetes.io/zone"], labels["failure-domain.beta.kubernetes.io/zone"]) == ("local-a", "local-a")
    assert isinstance(event, Record)
    assert (event.reason, event.message) == ("Synced", "Node synced successfully")


def test_a_node_that_does_not_wait_only_gets_new_names_of_old_labels() -> None:
    known = machine()
    assert node.plan(known, LocalCloud().instance(known), NOW) == []
    old = machine(labels={"failure-domain.beta.kubernetes.io/zone": "a", "topology.kubernetes.io/zone": "b"})
    [patch] = node.plan(old, LocalCloud().instance(old), NOW)
    assert isinstance(patch, Patch)
    assert patch.body == {"metadata": {"labels": {"topology.kubernetes.io/zone": "a"}}}


def test_the_address_that_the_kubelet_was_told_to_use_comes_first() -> None:
    addresses = [{"type": "InternalIP", "address": each} for each in ("10.0.0.1", "10.0.0.2")] + [{"type": "ExternalIP", "address": "e"}]
    told_to = machine(annotations={node.PROVIDED_IP: "10.0.0.2"})
    assert [each["address"] for each in addresses_by_provided(told_to, addresses)] == ["10.0.0.2", "e"]
    with pytest.raises(WrongAddress, match=r"9\.9\.9\.9"):
        addresses_by_provided(machine(annotations={node.PROVIDED_IP: "9.9.9.9"}), addresses)


def test_machines_that_are_gone_or_stopped() -> None:
    event, delete = node_lifecycle.plan(machine(ready="Unknown"), Machine(exists=False), NOW)
    assert isinstance(event, Record)
    assert event.message == "Deleting node n because it does not exist in the cloud provider"
    assert isinstance(delete, Delete)
    [taint] = node_lifecycle.plan(machine(ready="Unknown"), Machine(is_shut_down=True), NOW)
    assert isinstance(taint, Patch)
    assert taint.body["spec"]["taints"] == [SHUTDOWN]
    assert node_lifecycle.plan(machine(SHUTDOWN["key"], ready="Unknown"), Machine(is_shut_down=True), NOW) == []
    [untaint] = node_lifecycle.plan(machine(SHUTDOWN["key"]), Machine(), NOW)
    assert isinstance(untaint, Patch)
    assert untaint.body["spec"]["taints"] is None
    assert node_lifecycle.plan(machine(), Machine(exists=False), NOW) == [], "whoever is ready is there"


def test_a_node_that_waits_for_its_route() -> None:
    waiting = machine()
    waiting["spec"]["podCIDR"] = "10.244.0.0/24"
    assert route.plan(waiting, None, NOW) == []
    waiting["status"]["conditions"].append({"type": "NetworkUnavailable", "status": "True"})
    [patch] = route.plan(waiting, None, NOW)
    assert isinstance(patch, Patch)
    assert patch.body["status"]["conditions"][-1]["reason"] == "RouteCreated"


def test_the_controllers_of_a_cloud() -> None:
    known = controllers_of(CLOUD)
    assert selected(["*", "-route"], known) == ["cloud-node-controller", "cloud-node-lifecycle-controller", "service-lb-controller"]
    assert all(each(None).name for each in known.values())
