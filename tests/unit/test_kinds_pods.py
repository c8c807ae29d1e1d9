"""Pods as the API server makes them: defaults, what a write may set, binding, eviction, table rows."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds import pod_columns, pod_eviction
from apiserver.kinds.core.pod import POD
from apiserver.kinds.pod_app_armor import profile_of
from apiserver.kinds.pod_binding import assign
from apiserver.registry.kind import Context, User
from kube.errors import ApiError, Conflict, Forbidden, TooManyRequests
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def context() -> Context:
    return Context(User("admin"), NOW, "create", timestamp="2026-05-01T12:00:00Z")


def made(spec: Object | None = None, **metadata: Any) -> Object:
    """A new pod, as it would be stored."""
    pod: Object = {"metadata": {"name": "web", **metadata}, "spec": {"containers": [{"name": "main", "image": "nginx"}], **(spec or {})}}
    POD.default(pod)
    POD.prepare(pod, None, context())
    return pod


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_that_a_minimal_pod_gets_upstreams_defaults() -> None:
    pod = made()
    assert pod["spec"] == {
        "containers": [
            {
                "name": "main",
                "image": "nginx",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert pod["metadata"]["generation"] == 1


PULL_POLICIES = [
    ("nginx", "Always"),
    ("nginx:latest", "Always"),
    ("nginx:1.27", "IfNotPresent"),
    ("registry.local:5000/nginx", "Always"),
    ("nginx@sha256:" + "a" * 64, "IfNotPresent"),
]


@pytest.mark.parametrize(("image", "policy"), PULL_POLICIES, ids=[f"{image[:40]} is pulled {policy}" for image, policy in PULL_POLICIES])
def test_pull_policies(image: str, policy: str) -> None:
    assert made({"containers": [{"name": "main", "image": image}]})["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_that_requests_come_from_limits_where_they_are_missing() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}
    pod = made({"containers": [{"name": "main", "image": "a:1", "resources": resources}]})
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}
    assert pod["status"]["qosClass"] == "Burstable"


def test_that_host_ports_follow_container_ports_on_the_host_network() -> None:
    pod = made({"hostNetwork": True, "containers": [{"name": "main", "image": "a:1", "ports": [{"containerPort": 80}]}]})
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]


def test_that_probes_and_volumes_get_their_defaults() -> None:
    container = {"name": "main", "image": "a:1", "readinessProbe": {"httpGet": {"port": 80}}}
    spec = made({"containers": [container], "volumes": [{"name": "c", "configMap": {"name": "x"}}, {"name": "e"}]})["spec"]
    probe = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    assert spec["containers"][0]["readinessProbe"] == {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, **probe}
    assert spec["volumes"] == [{"name": "c", "configMap": {"name": "x", "defaultMode": 420}}, {"name": "e", "emptyDir": {}}]


# --- writes -----------------------------------------------------------------------------------------------------------


def test_that_a_client_cannot_set_the_status_of_a_new_pod() -> None:
    pod: Object = {"metadata": {"name": "a"}, "spec": {"containers": []}, "status": {"phase": "Running"}}
    POD.prepare(pod, None, context())
    assert pod["status"]["phase"] == "Pending"


def test_that_scheduling_gates_show_in_the_conditions() -> None:
    (condition,) = made({"schedulingGates": [{"name": "a.io/quota"}]})["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "SchedulingGated")


def test_that_the_generation_counts_changes_of_the_spec_alone() -> None:
    old = made()
    labelled, changed = copy.deepcopy(old), copy.deepcopy(old)
    labelled["metadata"]["labels"] = {"a": "b"}
    changed["spec"]["activeDeadlineSeconds"] = 5
    for new in (labelled, changed):
        POD.prepare(new, old, context())
    assert (labelled["metadata"]["generation"], changed["metadata"]["generation"]) == (1, 2)


def test_that_an_app_armor_annotation_becomes_the_field_and_warns() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/main"
    ctx = context()
    pod: Object = {"metadata": {"name": "a", "annotations": {key: "localhost/p"}}, "spec": {"containers": [{"name": "main"}]}}
    POD.prepare(pod, None, ctx)
    assert pod["spec"]["containers"][0]["securityContext"] == {"appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}
    assert ctx.warnings == [f'metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead']


@pytest.mark.parametrize("annotation", ["", "localhost/", "localhost/ x", "docker/default"])
def test_that_these_are_no_app_armor_profiles(annotation: str) -> None:
    assert profile_of(annotation) is None


GRACE = [
    ("the pod's own time, when none is asked", {"spec": {"terminationGracePeriodSeconds": 30, "nodeName": "n"}}, None, 30),
    ("what is asked", {"spec": {"terminationGracePeriodSeconds": 30, "nodeName": "n"}}, 5, 5),
    ("none before it is on a node", {"spec": {"terminationGracePeriodSeconds": 30}}, 5, 0),
    ("none once it has ended", {"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}}, 5, 0),
]


@pytest.mark.parametrize(("pod", "asked", "grace_s"), [each[1:] for each in GRACE], ids=[f"a deleted pod gets {each[0]}" for each in GRACE])
def test_grace(pod: Object, asked: int | None, grace_s: int) -> None:
    assert POD.grace_period is not None
    assert POD.grace_period(pod, asked) == grace_s


# --- binding ----------------------------------------------------------------------------------------------------------


def binding(**metadata: Any) -> Object:
    return {"metadata": metadata, "target": {"kind": "Node", "name": "n1"}}


def test_that_a_binding_puts_the_pod_on_the_node() -> None:
    pod = made()
    assign(pod, binding(annotations={"by": "hand"}), "2026-05-01T12:00:00Z")
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["metadata"]["annotations"] == {"by": "hand"}
    assert [(each["type"], each["status"]) for each in pod["status"]["conditions"]] == [("PodScheduled", "True")]


TAKEN = [
    ("it has a node", {"nodeName": "n0"}, {}, 'pod web is already assigned to node "n0"'),
    ("gates hold it", {"schedulingGates": [{"name": "a"}]}, {}, "pod web has non-empty .spec.schedulingGates"),
    ("it is going", {}, {"deletionTimestamp": "2026-05-01T11:00:00Z"}, "pod web is being deleted, cannot be assigned to a host"),
]


@pytest.mark.parametrize(("spec", "metadata", "why"), [each[1:] for each in TAKEN], ids=[f"no binding when {each[0]}" for each in TAKEN])
def test_refused_bindings(spec: Object, metadata: Object, why: str) -> None:
    with pytest.raises(Conflict) as caught:
        assign(made(spec, **metadata), binding(), "2026-05-01T12:00:00Z")
    assert str(caught.value) == f'Operation cannot be fulfilled on pods/binding "web": {why}'


# --- eviction ---------------------------------------------------------------------------------------------------------


def budget(generation: int = 1, **status: Any) -> Object:
    return {"metadata": {"name": "b", "generation": generation}, "spec": {}, "status": {"observedGeneration": 1, **status}}


BUDGETS: list[tuple[str, Object, type[ApiError], str]] = [
    ("nobody has looked at it yet", budget(2, disruptionsAllowed=1), TooManyRequests, "still being processed by the server."),
    ("pods are missing", budget(currentHealthy=1, desiredHealthy=2), TooManyRequests, "needs 2 healthy pods and has 1 currently"),
    ("it allows none", budget(currentHealthy=3, desiredHealthy=2), TooManyRequests, "does not allow evicting pods currently"),
    ("its count is broken", budget(disruptionsAllowed=-1), Forbidden, "pdb disruptions allowed is negative"),
]


@pytest.mark.parametrize(("held", "error", "why"), [each[1:] for each in BUDGETS], ids=[f"no eviction when {each[0]}" for each in BUDGETS])
def test_budgets_that_hold(held: Object, error: type[ApiError], why: str) -> None:
    with pytest.raises(error) as caught:
        pod_eviction.judge(held)
    causes = (caught.value.details or {}).get("causes") or [{"message": str(caught.value)}]
    assert why in causes[0]["message"]


def test_that_an_eviction_takes_one_disruption_off_the_budget() -> None:
    held = budget(disruptionsAllowed=1, currentHealthy=3, desiredHealthy=2)
    pod_eviction.take_one(held, "web", "2026-05-01T12:00:00Z")
    assert held["status"]["disruptionsAllowed"] == 0
    assert held["status"]["disruptedPods"] == {"web": "2026-05-01T12:00:00Z"}
    assert held["status"]["conditions"][0]["status"] == "False"


def test_that_an_unready_pod_may_go_when_enough_others_are_healthy() -> None:
    held = budget(currentHealthy=2, desiredHealthy=2)
    assert pod_eviction.is_spare(made(), held)
    held["status"]["currentHealthy"] = 1
    assert not pod_eviction.is_spare(made(), held)
    held["spec"]["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    assert pod_eviction.is_spare(made(), held)


# --- rows -------------------------------------------------------------------------------------------------------------


def pod_with(*statuses: Object, phase: str = "Running", **fields: Any) -> Object:
    containers = [{"name": f"c{index}"} for index in range(max(len(statuses), 1))]
    meta = {"name": "web", "creationTimestamp": "2026-05-01T11:00:00Z"} | fields.pop("metadata", {})
    return {
        "metadata": meta,
        "spec": {"containers": containers} | fields.pop("spec", {}),
        "status": {"phase": phase, "containerStatuses": [{"name": f"c{i}", **each} for i, each in enumerate(statuses)]} | fields,
    }


RUNNING = {"ready": True, "restartCount": 0, "state": {"running": {}}}
ENDED_AT = {"terminated": {"finishedAt": "2026-05-01T11:57:00Z"}}
ROWS: list[tuple[str, Object, list[str]]] = [
    ("a fresh pod is Pending", pod_with({}, phase="Pending"), ["0/1", "Pending", "0"]),
    ("a running pod is Running", pod_with(RUNNING, RUNNING), ["2/2", "Running", "0"]),
    (
        "a waiting container tells why",
        pod_with({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ENDED_AT}),
        ["0/1", "CrashLoopBackOff", "3 (3m ago)"],
    ),
    (
        "an ended container tells its exit code",
        pod_with({"state": {"terminated": {"exitCode": 3}}}, phase="Failed"),
        ["0/1", "ExitCode:3", "0"],
    ),
    (
        "a killed container tells its signal",
        pod_with({"state": {"terminated": {"exitCode": 137, "signal": 9}}}, phase="Failed"),
        ["0/1", "Signal:9", "0"],
    ),
    (
        "init containers count up",
        pod_with(
            {},
            phase="Pending",
            spec={"initContainers": [{"name": "a"}, {"name": "b"}]},
            initContainerStatuses=[{"name": "a", "state": {"terminated": {"exitCode": 0}}}, {"name": "b", "state": {"running": {}}}],
        ),
        ["0/1", "Init:1/2", "0"],
    ),
    (
        "a deleted pod is Terminating",
        pod_with(RUNNING, metadata={"deletionTimestamp": "2026-05-01T11:59:00Z"}),
        ["1/1", "Terminating", "0"],
    ),
    (
        "a deleted pod on a lost node is Unknown",
        pod_with(RUNNING, reason="NodeLost", metadata={"deletionTimestamp": "2026-05-01T11:59:00Z"}),
        ["1/1", "Unknown", "0"],
    ),
    ("the pod's own reason goes before its phase", pod_with({}, phase="Failed", reason="Evicted"), ["0/1", "Evicted", "0"]),
]


@pytest.mark.parametrize(("pod", "cells"), [each[1:] for each in ROWS], ids=[each[0] for each in ROWS])
def test_rows(pod: Object, cells: list[str]) -> None:
    assert [str(cell) for cell in pod_columns.row(pod, NOW)[1:4]] == cells


def test_that_rows_have_a_cell_for_each_column() -> None:
    row = pod_columns.row(pod_with(RUNNING, podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}], spec={"nodeName": "n1"}), NOW)
    assert len(row) == len(pod_columns.COLUMNS)
    assert row[4:] == ["60m", "10.0.0.1", "n1", "<none>", "<none>"]
