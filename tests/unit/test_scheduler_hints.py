"""Queueing hints: which changes are worth another try for which pods."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.scheduler.framework import Change, ClusterEvent
from controllers.scheduler.pod_info import PodInfo
from kube.objects import Object
from tests.unit.scheduler_cluster import HOSTNAME, PROFILE, ZONE, make_node, make_pod, make_snapshot, taint

WEB = {"matchLabels": {"app": "web"}}


def near(kind: str, key: str = HOSTNAME) -> dict[str, Any]:
    terms = [{"topologyKey": key, "labelSelector": WEB}]
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


SPREAD: dict[str, Any] = {
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": WEB}]
}
NODE, ADDED, GONE = ClusterEvent.NODE_ADD, ClusterEvent.POD_ADD, ClusterEvent.POD_DELETE
FEATURE = ClusterEvent.NODE_DECLARED_FEATURES
web, other = make_pod("w", node="a", labels={"app": "web"}), make_pod("o", node="a", labels={"app": "db"})


RESTART_ALL: dict[str, Any] = {"container": {"restartPolicyRules": [{"action": "RestartAllContainers"}]}}


def port(number: int) -> dict[str, Any]:
    return {"container": {"ports": [{"containerPort": 80, "hostPort": number}]}}


@pytest.mark.parametrize(
    ("plugin", "pod", "event", "changed", "expected"),
    [
        pytest.param("NodeResourcesFit", make_pod("p", cpu="8"), NODE, make_node("a"), False, id="a node that is too small"),
        pytest.param("NodeResourcesFit", make_pod("p", cpu="4"), NODE, make_node("a"), True, id="a node that is large enough"),
        pytest.param("NodeResourcesFit", make_pod("p", cpu="8"), GONE, other, True, id="room that is freed"),
        pytest.param("NodeUnschedulable", make_pod("p"), NODE, make_node("a", unschedulable=True), False, id="a node that is cordoned"),
        pytest.param("NodeUnschedulable", make_pod("p"), NODE, make_node("a"), True, id="a node that is not"),
        pytest.param("NodeDeclaredFeatures", make_pod("p", **RESTART_ALL), FEATURE, make_node("a"), False, id="a feature less"),
        pytest.param(
            "NodeDeclaredFeatures",
            make_pod("p", **RESTART_ALL),
            FEATURE,
            make_node("a", declaredFeatures=["RestartAllContainersOnContainerExits"]),
            True,
            id="the feature that was missing",
        ),
        pytest.param("TaintToleration", make_pod("p"), NODE, make_node("a", taints=[taint("x")]), False, id="a tainted node"),
        pytest.param("TaintToleration", make_pod("p"), NODE, make_node("a"), True, id="a node without taints"),
        pytest.param("NodeAffinity", make_pod("p", nodeSelector={"x": "y"}), NODE, make_node("a"), False, id="a node without the label"),
        pytest.param(
            "NodeAffinity",
            make_pod("p", nodeSelector={"x": "y"}),
            NODE,
            make_node("a", labels={"x": "y"}),
            True,
            id="a node with the label",
        ),
        pytest.param("NodePorts", make_pod("p", **port(80)), GONE, make_pod("o", node="a", **port(81)), False, id="another port is free"),
        pytest.param("NodePorts", make_pod("p", **port(80)), GONE, make_pod("o", node="a", **port(80)), True, id="the port is free"),
        pytest.param("InterPodAffinity", make_pod("p", **near("podAffinity")), ADDED, other, False, id="somebody else has come"),
        pytest.param("InterPodAffinity", make_pod("p", **near("podAffinity")), ADDED, web, True, id="who is wanted has come"),
        pytest.param("InterPodAffinity", make_pod("p", **near("podAntiAffinity")), GONE, other, False, id="somebody else has gone"),
        pytest.param("InterPodAffinity", make_pod("p", **near("podAntiAffinity")), GONE, web, True, id="who is unwanted has gone"),
        pytest.param(
            "InterPodAffinity",
            make_pod("p", labels={"app": "web"}),
            GONE,
            make_pod("o", node="a", **near("podAntiAffinity")),
            True,
            id="who did not want it has gone",
        ),
        pytest.param("InterPodAffinity", make_pod("p", **near("podAffinity", ZONE)), NODE, make_node("a"), False, id="a node in no zone"),
        pytest.param("PodTopologySpread", make_pod("p", **SPREAD), GONE, other, False, id="one that is not spread with it"),
        pytest.param("PodTopologySpread", make_pod("p", **SPREAD), GONE, web, True, id="one that is spread with it"),
        pytest.param("PodTopologySpread", make_pod("p", **SPREAD), NODE, make_node("a"), False, id="a node without the topology key"),
        pytest.param("PodTopologySpread", make_pod("p", **SPREAD), NODE, make_node("a", zone="z"), True, id="a node in a zone"),
    ],
)
def test_what_is_worth_another_try(plugin: str, pod: Object, event: ClusterEvent, changed: Object, expected: bool) -> None:
    if changed["kind"] == "Node":
        snapshot = make_snapshot([changed])
        change = Change(event, node=snapshot.nodes["a"])
    else:
        snapshot = make_snapshot([make_node("a")])
        change = Change(event, pod=PodInfo(changed))
    assert PROFILE.may_help(PodInfo(pod), frozenset((plugin,)), change, snapshot) is expected


def test_one_of_those_who_said_no_is_enough() -> None:
    snapshot = make_snapshot([make_node("a")])
    change = Change(NODE, node=snapshot.nodes["a"])
    large = PodInfo(make_pod("p", cpu="8"))
    assert PROFILE.may_help(large, frozenset(("NodeResourcesFit", "TaintToleration")), change, snapshot)
    assert PROFILE.may_help(large, frozenset(), change, snapshot), "where no plugin said no, any event may help"
    assert not PROFILE.may_help(large, frozenset(("NodeResourcesFit",)), change, snapshot)
