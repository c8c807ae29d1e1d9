"""DaemonSets: one pod on every node that fits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager.daemon_set import new_pod, node_of, plan, status_of, tolerations_of, world
from controllers.manager.node_fit import Fit, fit
from kube.objects import Object
from kube.runtime.perform import Create, Delete, Record

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def daemon_set(**rest: Any) -> Object:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": rest.pop("pod", {})}
    metadata = {
        "name": "d",
        "namespace": "ns",
        "uid": "set",
        "generation": 2,
        "annotations": {"deprecated.daemonset.template.generation": "7"},
    }
    spec = {"selector": {"matchLabels": {"app": "d"}}, "template": template, "updateStrategy": {"type": "RollingUpdate"}, **rest}
    return {"kind": "DaemonSet", "metadata": metadata, "spec": spec}


def node(name: str, *taints: Object, unschedulable: bool = False, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": list(taints), "unschedulable": unschedulable}}


def pod(
    name: str, on: str, *, revision: str = "new", ready: bool = True, phase: str = "Running", created: str = "", deleting: bool = False
) -> Object:
    labels = {"app": "d", "controller-revision-hash": revision}
    metadata = {"name": name, "namespace": "ns", "uid": name, "labels": labels, "creationTimestamp": created}
    if deleting:
        metadata["deletionTimestamp"] = "x"
    return {
        "metadata": metadata,
        "spec": {"nodeName": on},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


NODES = [node("a"), node("b"), node("c")]


def step(
    of: Object, pods: list[Object], nodes: list[Object] | None = None, blocked: frozenset[str] = frozenset()
) -> tuple[list[str], list[str]]:
    """(nodes that get a pod, pods that go)."""
    todo = plan(of, world(of, NODES if nodes is None else nodes, pods, "new", NOW), blocked=blocked)
    made = [node_of(each.obj) for each in todo.actions if isinstance(each, Create)]
    return made, [each.name for each in todo.actions if isinstance(each, Delete)]


UP = [pod("pa", "a"), pod("pb", "b"), pod("pc", "c")]
NO_SCHEDULE, NO_EXECUTE = {"key": "k", "effect": "NoSchedule"}, {"key": "k", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("spec", "on", "want"),
    [
        pytest.param({}, node("a"), Fit(run=True, stay=True), id="a plain node fits"),
        pytest.param({}, node("a", NO_SCHEDULE), Fit(run=False, stay=True), id="with NoSchedule none is started but one may stay"),
        pytest.param({}, node("a", NO_EXECUTE), Fit(run=False, stay=False), id="with NoExecute none may stay"),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]}, node("a", NO_EXECUTE), Fit(run=True, stay=True), id="unless it is tolerated"
        ),
        pytest.param(
            {},
            node("a", {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}),
            Fit(run=True, stay=True),
            id="trouble is tolerated",
        ),
        pytest.param(
            {},
            node("a", {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}),
            Fit(run=True, stay=True),
            id="a cordon is tolerated",
        ),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, node("a", disk="ssd"), Fit(run=True, stay=True), id="a selector that matches"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, node("a"), Fit(run=False, stay=False), id="a selector that does not"),
        pytest.param({"nodeName": "b"}, node("a"), Fit(run=False, stay=False), id="another node by name"),
    ],
)
def test_which_nodes_fit(spec: Object, on: Object, want: Fit) -> None:
    template = {"spec": spec}
    assert fit(template, tolerations_of(template), on) == want


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        pytest.param({"key": "x", "operator": "In", "values": ["5"]}, True, id="In"),
        pytest.param({"key": "x", "operator": "NotIn", "values": ["5"]}, False, id="NotIn"),
        pytest.param({"key": "y", "operator": "NotIn", "values": ["5"]}, True, id="NotIn of a label that is missing"),
        pytest.param({"key": "x", "operator": "Exists"}, True, id="Exists"),
        pytest.param({"key": "x", "operator": "DoesNotExist"}, False, id="DoesNotExist"),
        pytest.param({"key": "x", "operator": "Gt", "values": ["4"]}, True, id="Gt"),
        pytest.param({"key": "x", "operator": "Lt", "values": ["4"]}, False, id="Lt"),
        pytest.param({"key": "x", "operator": "Gt", "values": ["words"]}, False, id="Gt of no number"),
    ],
)
def test_required_node_affinity(expression: Object, fits: bool) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    template = {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}}
    assert fit(template, [], node("a", x="5")).run is fits


@pytest.mark.parametrize(
    ("pods", "makes", "deletes"),
    [
        pytest.param([], ["a", "b", "c"], [], id="every node gets a pod"),
        pytest.param(UP[:2], ["c"], [], id="a node without one gets one"),
        pytest.param(UP, [], [], id="nothing happens when all is well"),
        pytest.param([*UP, pod("late", "a", created="z")], [], ["late"], id="of two pods the older stays"),
        pytest.param([pod("pa", "a", phase="Failed"), *UP[1:]], [], ["pa"], id="a failed pod goes"),
        pytest.param([pod("pa", "a", deleting=True), *UP[1:]], [], [], id="a pod on its way out is waited for"),
        pytest.param([*UP, pod("lost", "")], [], ["lost"], id="a pod for a node that is gone goes"),
    ],
)
def test_one_pod_on_each_node(pods: list[Object], makes: list[str], deletes: list[str]) -> None:
    assert step(daemon_set(), pods) == (makes, deletes)


def test_pods_leave_nodes_that_do_not_fit_any_more() -> None:
    assert step(daemon_set(), UP, [node("a"), node("b", NO_SCHEDULE), node("c", NO_EXECUTE)]) == ([], ["pc"])


def test_a_failed_pod_is_left_alone_while_its_node_is_blocked_and_told_when_it_goes() -> None:
    of, pods = daemon_set(), [pod("pa", "a", phase="Failed"), *UP[1:]]
    assert step(of, pods, blocked=frozenset({"a"})) == ([], [])
    todo = plan(of, world(of, NODES, pods, "new", NOW))
    assert todo.failed == ["a"]
    assert [each.message for each in todo.actions if isinstance(each, Record)] == [
        "Found failed daemon pod ns/pa on node a, will try to kill it"
    ]


OLD = [pod(f"p{each}", each, revision="old") for each in "abc"]


def rolling(**rest: Any) -> Object:
    return daemon_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rest})


@pytest.mark.parametrize(
    ("of", "pods", "want"),
    [
        pytest.param(rolling(maxUnavailable=1), OLD, ([], ["pa"]), id="one old pod goes"),
        pytest.param(rolling(maxUnavailable="50%"), OLD, ([], ["pa", "pb"]), id="a share is rounded up"),
        pytest.param(rolling(maxUnavailable=1), [pod("pa", "a", ready=False), *OLD[1:]], ([], []), id="none while a new one is not up"),
        pytest.param(
            rolling(maxUnavailable=1),
            [pod("pa", "a", revision="old", ready=False), *OLD[1:]],
            ([], ["pa"]),
            id="one that is down goes first",
        ),
        pytest.param(rolling(maxSurge=1, maxUnavailable=0), OLD, (["a"], []), id="surging, a new pod comes beside an old one"),
        pytest.param(
            rolling(maxSurge=1, maxUnavailable=0),
            [*OLD, pod("na", "a")],
            (["b"], ["pa"]),
            id="the old one goes when the new one is up, and the next comes",
        ),
        pytest.param(rolling(maxSurge=1, maxUnavailable=0), [*OLD, pod("na", "a", ready=False)], ([], []), id="and not before"),
        pytest.param(daemon_set(updateStrategy={"type": "OnDelete"}), OLD, ([], []), id="OnDelete updates nothing by itself"),
    ],
)
def test_rolling_updates(of: Object, pods: list[Object], want: tuple[list[str], list[str]]) -> None:
    assert step(of, pods) == want


def test_a_new_pod_is_meant_for_its_node() -> None:
    made = new_pod(daemon_set(), "a", "h")
    assert node_of(made) == "a"
    assert made["metadata"]["labels"] == {"app": "d", "controller-revision-hash": "h", "pod-template-generation": "7"}
    assert {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"} in made["spec"]["tolerations"]
    assert "nodeName" not in made["spec"]


def test_the_status_counts_nodes() -> None:
    of = daemon_set()
    nodes = [*NODES, node("d", NO_SCHEDULE)]
    pods = [pod("pa", "a"), pod("pb", "b", revision="old", ready=False), pod("pd", "d")]
    assert status_of(of, world(of, nodes, pods, "new", NOW), 0) == {
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 3,
        "numberReady": 1,
        "observedGeneration": 2,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
    }
