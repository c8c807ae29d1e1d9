"""Nodes that fall silent, taints, evictions, and pods nobody else would clean up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager import taint_eviction
from controllers.manager.node_health import Zone, ZoneHealth, evictions_per_s, is_all_disrupted, wanted_taints, zones
from controllers.manager.node_lifecycle import Heard, not_ready, plan
from controllers.manager.pod_garbage_collector import Nodes
from controllers.manager.pod_garbage_collector import plan as plan_garbage
from controllers.manager.taint_eviction import leaves_at, tolerates
from kube.clock import rfc3339
from kube.objects import Object
from kube.runtime.perform import Delete, Patch, Record, Update

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
MINUTE_AGO = rfc3339(NOW - timedelta(minutes=1))


def node(ready: str | None = "True", *, taints: list[Object] | None = None, zone: str = "", name: str = "n", **rest: Any) -> Object:
    conditions = [{"type": "Ready", "status": ready, "reason": "KubeletReady"}] if ready else []
    metadata = {"name": name, "uid": "u", "labels": {"topology.kubernetes.io/zone": zone} if zone else {}, "creationTimestamp": MINUTE_AGO}
    return {"metadata": metadata, "spec": {"taints": taints or [], **rest}, "status": {"conditions": conditions}}


def taint(short: str, effect: str = "NoExecute", **rest: Any) -> Object:
    return {"key": f"node.kubernetes.io/{short}", "effect": effect, "timeAdded": rfc3339(NOW), **rest}


def keys(taints: list[Object] | None) -> list[tuple[str, str]] | None:
    return None if taints is None else [(each["key"].removeprefix("node.kubernetes.io/"), each["effect"]) for each in taints]


@pytest.mark.parametrize(
    ("of", "heard_ago_s", "is_told"),
    [
        pytest.param(node(), 50, False, id="a node heard of in time is fine"),
        pytest.param(node(), 51, True, id="a node silent for longer than the grace period is not"),
        pytest.param(node(None), 60, False, id="a node that has never told its state gets longer"),
        pytest.param(node(None), 61, True, id="but not for ever"),
    ],
)
def test_when_a_node_is_silent(of: Object, heard_ago_s: int, is_told: bool) -> None:
    actions = plan(of, Heard(NOW - timedelta(seconds=heard_ago_s)), NOW)
    assert any(isinstance(each, Update) for each in actions) is is_told


def test_the_conditions_of_a_silent_node_are_unknown() -> None:
    update, event = plan(node(), Heard(NOW - timedelta(hours=1)), NOW)
    assert isinstance(update, Update)
    assert isinstance(event, Record)
    told = {each["type"]: (each["status"], each["reason"], each["message"]) for each in update.obj["status"]["conditions"]}
    never = ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.")
    assert told == {
        "Ready": ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
        "MemoryPressure": never,
        "DiskPressure": never,
        "PIDPressure": never,
    }
    assert (event.reason, event.message) == ("NodeNotReady", "Node n status is now: NodeNotReady")
    assert not any(isinstance(each, Update) for each in plan(update.obj, Heard(NOW - timedelta(hours=1)), NOW))


def test_pods_of_a_silent_node_are_not_ready() -> None:
    pod = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]}}
    status = not_ready(pod, NOW)
    assert status is not None
    assert status["conditions"][0] == {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(NOW)}
    assert not_ready({"status": status}, NOW) is None


@pytest.mark.parametrize(
    ("of", "may_evict", "want"),
    [
        pytest.param(node(), True, None, id="a ready node has no taints"),
        pytest.param(node("False"), True, [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")], id="one that is not ready has two"),
        pytest.param(
            node("Unknown"), True, [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")], id="one not heard of two others"
        ),
        pytest.param(node("Unknown"), False, [("unreachable", "NoSchedule")], id="pods stay while no eviction is allowed"),
        pytest.param(
            node("Unknown", taints=[taint("not-ready"), taint("not-ready", "NoSchedule")]),
            False,
            [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")],
            id="one taint may always be swapped for the other",
        ),
        pytest.param(node(unschedulable=True), True, [("unschedulable", "NoSchedule")], id="a cordoned node says so"),
        pytest.param(
            node("True", taints=[taint("not-ready"), taint("not-ready", "NoSchedule")]), True, [], id="taints go when the node is back"
        ),
        pytest.param(node("True", taints=[taint("mine", "NoSchedule")]), True, None, id="taints of others stay"),
        pytest.param(
            node(None, taints=[taint("not-ready", "NoSchedule")]), True, None, id="a new node keeps the taint that admission gave it"
        ),
    ],
)
def test_taints_follow_conditions(of: Object, may_evict: bool, want: Any) -> None:
    assert keys(wanted_taints(of, NOW, may_evict=may_evict, keep_pods=False)) == want


def test_when_everything_is_down_nobody_is_evicted() -> None:
    of = node("Unknown", taints=[taint("unreachable"), taint("unreachable", "NoSchedule")])
    assert keys(wanted_taints(of, NOW, may_evict=True, keep_pods=True)) == [("unreachable", "NoSchedule")]


def test_zones_are_judged_by_their_nodes() -> None:
    nodes = [node("Unknown", zone="a")] * 3 + [node("True", zone="a")] + [node("Unknown", zone="b")] + [node("True", zone="c")] * 2
    assert {zone.removeprefix(":"): each.state for zone, each in zones(nodes).items()} == {
        "a": Zone.PARTLY_DISRUPTED,
        "b": Zone.FULLY_DISRUPTED,
        "c": Zone.NORMAL,
    }
    assert not is_all_disrupted(zones(nodes))
    assert is_all_disrupted(zones([node("Unknown")]))


@pytest.mark.parametrize(
    ("zone", "want"),
    [
        pytest.param(ZoneHealth(Zone.NORMAL, 5), 0.1, id="one node in ten seconds"),
        pytest.param(ZoneHealth(Zone.PARTLY_DISRUPTED, 51), 0.01, id="slower in a large zone in trouble"),
        pytest.param(ZoneHealth(Zone.PARTLY_DISRUPTED, 50), 0.0, id="not at all in a small one"),
    ],
)
def test_how_fast_nodes_are_given_up(zone: ZoneHealth, want: float) -> None:
    assert evictions_per_s(zone) == want


# --- evictions ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        pytest.param({"operator": "Exists"}, True, id="an empty key covers everything"),
        pytest.param({"key": "k", "operator": "Exists"}, True, id="the key is enough for Exists"),
        pytest.param({"key": "k", "value": "v"}, True, id="Equal is the default"),
        pytest.param({"key": "k", "value": "w"}, False, id="another value is not covered"),
        pytest.param({"key": "k", "operator": "Exists", "effect": "NoSchedule"}, False, id="another effect is not covered"),
        pytest.param({"key": "other", "operator": "Exists"}, False, id="another key is not covered"),
    ],
)
def test_what_a_toleration_covers(toleration: Object, covers: bool) -> None:
    assert tolerates(toleration, {"key": "k", "value": "v", "effect": "NoExecute"}) is covers


def pod(*tolerations: Object, **rest: Any) -> Object:
    metadata = {"name": "p", "namespace": "ns", "uid": "p", "creationTimestamp": MINUTE_AGO, **rest.get("metadata", {})}
    return {
        "metadata": metadata,
        "spec": {"nodeName": rest.get("node", "n"), "tolerations": list(tolerations)},
        "status": rest.get("status", {"phase": "Running"}),
    }


def tolerating(short: str, seconds: int | None = None) -> Object:
    toleration: Object = {"key": f"node.kubernetes.io/{short}", "operator": "Exists", "effect": "NoExecute"}
    return toleration | ({"tolerationSeconds": seconds} if seconds is not None else {})


@pytest.mark.parametrize(
    ("what", "taints", "in_s"),
    [
        pytest.param(pod(), [taint("unreachable")], 0, id="what is not tolerated sends it off at once"),
        pytest.param(pod(tolerating("unreachable", 300)), [taint("unreachable")], 300, id="what is tolerated for a while, later"),
        pytest.param(pod(tolerating("unreachable")), [taint("unreachable")], None, id="what is tolerated for ever, never"),
        pytest.param(
            pod(tolerating("unreachable", 300), tolerating("not-ready", 60)),
            [taint("unreachable"), taint("not-ready")],
            60,
            id="the shortest time counts",
        ),
        pytest.param(pod(), [taint("unreachable", "NoSchedule")], None, id="other effects send nobody off"),
    ],
)
def test_when_a_pod_has_to_leave(what: Object, taints: list[Object], in_s: int | None) -> None:
    end = leaves_at(what, taints, NOW)
    assert end == (None if in_s is None else NOW + timedelta(seconds=in_s))


def test_a_taint_that_does_not_say_since_when_counts_from_when_it_was_seen() -> None:
    old = pod(tolerating("unreachable", 300), metadata={"name": "p", "creationTimestamp": "2020-01-01T00:00:00Z"})
    by_hand = {key: value for key, value in taint("unreachable").items() if key != "timeAdded"}
    assert leaves_at(old, [by_hand], NOW) == NOW + timedelta(seconds=300)
    assert leaves_at(old, [by_hand], NOW, NOW - timedelta(seconds=100)) == NOW + timedelta(seconds=200)


def test_a_pod_that_has_to_leave_is_marked_and_deleted() -> None:
    event, patch, delete = taint_eviction.plan(pod(), [taint("unreachable")], NOW).actions
    assert isinstance(event, Record)
    assert (event.reason, event.message) == ("TaintManagerEviction", "Marking for deletion Pod ns/p")
    assert isinstance(patch, Patch)
    assert patch.body["status"]["conditions"][0]["reason"] == "DeletionByTaintManager"
    assert isinstance(delete, Delete)
    later = taint_eviction.plan(pod(tolerating("unreachable", 300)), [taint("unreachable")], NOW)
    assert (later.actions, later.again_s) == ([], 300)


# --- garbage ------------------------------------------------------------------------------------------------------------------


def deleted(pods: list[Object], *, keep: int = 10, nodes: Nodes | None = None) -> list[str]:
    actions = plan_garbage(keep, pods, NOW, nodes=nodes or Nodes())
    assert all(each.grace_period_s == 0 for each in actions if isinstance(each, Delete))
    return [each.name for each in actions if isinstance(each, Delete)]


def finished(name: str, created: str, reason: str = "") -> Object:
    return pod(metadata={"name": name, "creationTimestamp": created}, status={"phase": "Failed", "reason": reason})


@pytest.mark.parametrize(
    ("pods", "nodes", "want"),
    [
        pytest.param([pod(node="gone")], Nodes(gone={"gone"}), ["p"], id="a pod of a node that is gone goes"),
        pytest.param([pod()], Nodes(gone={"gone"}), [], id="others stay"),
        pytest.param([pod(node="", metadata={"deletionTimestamp": "x"})], Nodes(), ["p"], id="a pod deleted before it was scheduled goes"),
        pytest.param([pod(metadata={"deletionTimestamp": "x"})], Nodes(), [], id="a pod that its node will end is left to it"),
        pytest.param(
            [pod(metadata={"deletionTimestamp": "x"})], Nodes(out_of_service={"n"}), ["p"], id="unless the node was declared out of service"
        ),
    ],
)
def test_pods_that_nobody_else_would_clean_up(pods: list[Object], nodes: Nodes, want: list[str]) -> None:
    assert deleted(pods, nodes=nodes) == want


def test_too_many_finished_pods_go_evicted_ones_first_then_the_oldest() -> None:
    pods = [
        finished("old", "2025-01-01T00:00:00Z"),
        finished("new", "2026-01-01T00:00:00Z"),
        finished("evicted", "2026-01-01T00:00:00Z", "Evicted"),
    ]
    assert deleted(pods, keep=1) == ["evicted", "old"]
    assert deleted(pods, keep=3) == []
    assert deleted(pods, keep=0) == []


def test_a_pod_of_a_vanished_node_is_failed_first() -> None:
    patch, _ = plan_garbage(10, [pod(node="gone")], NOW, nodes=Nodes(gone={"gone"}))
    assert isinstance(patch, Patch)
    assert patch.body["status"]["phase"] == "Failed"
    assert patch.body["status"]["conditions"][0]["message"] == "PodGC: node no longer exists"
