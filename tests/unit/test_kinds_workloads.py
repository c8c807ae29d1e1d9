"""Workloads as the API server makes them: defaults, generations, generated selectors, and autoscaling/v1 over autoscaling/v2."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import pytest

from apiserver.kinds.apps.daemon_set import DAEMON_SET, TEMPLATE_GENERATION
from apiserver.kinds.apps.deployment import DEPLOYMENT
from apiserver.kinds.apps.replica_set import REPLICA_SET
from apiserver.kinds.apps.stateful_set import STATEFUL_SET
from apiserver.kinds.autoscaling import HORIZONTAL_POD_AUTOSCALER
from apiserver.kinds.batch.cron_job import CRON_JOB
from apiserver.kinds.batch.job import CONTROLLER_UID, JOB
from apiserver.kinds.core.replication_controller import REPLICATION_CONTROLLER
from apiserver.kinds.policy import POD_DISRUPTION_BUDGET
from apiserver.registry.kind import Context, Kind, User
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ALL = [
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    DAEMON_SET,
    JOB,
    CRON_JOB,
    REPLICATION_CONTROLLER,
    HORIZONTAL_POD_AUTOSCALER,
    POD_DISRUPTION_BUDGET,
]


def made(kind: Kind, spec: Object, **metadata: object) -> Object:
    """A new object, as it would be stored."""
    obj: Object = {"metadata": {"name": "web", "uid": "u-1", **metadata}, "spec": copy.deepcopy(spec)}
    kind.default(obj)
    kind.prepare(obj, None, Context(User("admin"), NOW, "create"))
    return obj


def changed(kind: Kind, old: Object, **spec: object) -> Object:
    new = copy.deepcopy(old)
    new["spec"] |= spec
    kind.default(new)
    kind.prepare(new, old, Context(User("admin"), NOW, "update"))
    return new


def template(**labels: str) -> Object:
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}


WEB: Object = {"selector": {"matchLabels": {"app": "web"}}, "template": template(app="web")}


DEFAULTS: list[tuple[str, Kind, Object, Object]] = [
    (
        "a Deployment rolls a quarter at a time",
        DEPLOYMENT,
        WEB,
        {
            "replicas": 1,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
        },
    ),
    (
        "a Recreate Deployment has no rolling update",
        DEPLOYMENT,
        {**WEB, "strategy": {"type": "Recreate"}},
        {"strategy": {"type": "Recreate"}},
    ),
    (
        "a StatefulSet keeps order and claims",
        STATEFUL_SET,
        WEB,
        {
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "serviceName": "",
        },
    ),
    (
        "a StatefulSet that names its strategy gets no partition",
        STATEFUL_SET,
        {**WEB, "updateStrategy": {"type": "RollingUpdate"}},
        {"updateStrategy": {"type": "RollingUpdate"}},
    ),
    (
        "a DaemonSet replaces one pod at a time",
        DAEMON_SET,
        WEB,
        {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}, "revisionHistoryLimit": 10},
    ),
    (
        "a Job runs once",
        JOB,
        {"template": template()},
        {"parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False},
    ),
    (
        "a Job with parallelism alone works off a queue",
        JOB,
        {"template": template(), "parallelism": 3},
        {"parallelism": 3, "completions": None},
    ),
    (
        "a CronJob keeps three successes and one failure",
        CRON_JOB,
        {"schedule": "@daily", "jobTemplate": {"spec": {"template": template()}}},
        {"concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1},
    ),
    (
        "a ReplicationController selects by its template",
        REPLICATION_CONTROLLER,
        {"template": template(app="a")},
        {"selector": {"app": "a"}},
    ),
    (
        "an autoscaler aims at 80 % CPU",
        HORIZONTAL_POD_AUTOSCALER,
        {"maxReplicas": 3},
        {
            "minReplicas": 1,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
    ),
]


@pytest.mark.parametrize(("kind", "spec", "expected"), [each[1:] for each in DEFAULTS], ids=[each[0] for each in DEFAULTS])
def test_defaults(kind: Kind, spec: Object, expected: Object) -> None:
    full = made(kind, spec)["spec"]
    assert {name: full.get(name) for name in expected} == expected


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.resource.kind)
def test_that_rows_have_a_cell_for_each_column(kind: Kind) -> None:
    obj = made(kind, {**WEB, "schedule": "@daily", "scaleTargetRef": {"kind": "Deployment", "name": "a"}, "maxReplicas": 3})
    assert kind.row is not None
    assert len(kind.row(obj, NOW)) == len(kind.columns)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.resource.kind)
def test_that_a_client_cannot_set_the_status_of_a_new_object(kind: Kind) -> None:
    obj: Object = {"metadata": {"name": "a", "uid": "u-1"}, "spec": copy.deepcopy(WEB), "status": {"observedGeneration": 7}}
    kind.default(obj)
    kind.prepare(obj, None, Context(User("admin"), NOW, "create"))
    assert "observedGeneration" not in (obj.get("status") or {})


# --- writes -----------------------------------------------------------------------------------------------------------


def test_that_annotations_of_a_deployment_count_as_a_change() -> None:
    old = made(DEPLOYMENT, WEB)
    marked = copy.deepcopy(old)
    marked["metadata"]["annotations"] = {"a": "b"}
    DEPLOYMENT.prepare(marked, old, Context(User("admin"), NOW, "update"))
    assert old["metadata"]["generation"] == 1
    assert marked["metadata"]["generation"] == 2
    assert changed(DEPLOYMENT, old)["metadata"]["generation"] == 1


def test_that_a_daemon_set_counts_changes_of_its_template() -> None:
    old = made(DAEMON_SET, WEB)
    counts = [each["metadata"]["annotations"][TEMPLATE_GENERATION] for each in (old, changed(DAEMON_SET, old, minReadySeconds=5))]
    rolled = changed(DAEMON_SET, old, template=template(app="web", version="2"))
    assert [*counts, rolled["metadata"]["annotations"][TEMPLATE_GENERATION]] == ["1", "1", "2"]


def test_that_a_job_selects_its_pods_by_its_uid() -> None:
    job = made(JOB, {"template": template(app="a")})
    assert job["spec"]["selector"] == {"matchLabels": {CONTROLLER_UID: "u-1"}}
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "app": "a",
        "controller-uid": "u-1",
        "job-name": "web",
        "batch.kubernetes.io/controller-uid": "u-1",
        "batch.kubernetes.io/job-name": "web",
    }


def test_that_a_job_with_a_manual_selector_keeps_it() -> None:
    job = made(JOB, {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}, "template": template(a="b")})
    assert job["spec"]["selector"] == {"matchLabels": {"a": "b"}}
    assert job["spec"]["template"]["metadata"]["labels"] == {"a": "b"}


def test_that_max_unavailable_of_a_stateful_set_is_dropped() -> None:
    assert made(STATEFUL_SET, {**WEB, "updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}})["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"partition": 0},
    }


# --- autoscaling/v1 ---------------------------------------------------------------------------------------------------

(V1,) = HORIZONTAL_POD_AUTOSCALER.conversions
CPU: Object = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
MEMORY: Object = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}


def autoscaler(**fields: object) -> Object:
    return {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "minReplicas": 1, **fields}, "status": {"desiredReplicas": 2}}


def test_that_v1_shows_the_cpu_target_as_a_field_and_the_rest_as_annotations() -> None:
    hpa = autoscaler(metrics=[CPU, MEMORY])
    V1.from_hub(hpa)
    assert hpa["spec"]["targetCPUUtilizationPercentage"] == 50
    metrics = json.loads(hpa["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"])
    assert metrics == [{"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}]


POLICIES = [{"type": "Percent", "value": 50, "periodSeconds": 30}]
ROUND_TRIPS: list[tuple[str, Object]] = [
    ("a CPU target", {"metrics": [CPU]}),
    ("memory besides CPU", {"metrics": [MEMORY, CPU]}),
    (
        "behaviour",
        {"metrics": [CPU], "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": POLICIES}}},
    ),
    (
        "metrics of pods",
        {"metrics": [{"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1k"}}}, CPU]},
    ),
]


@pytest.mark.parametrize("spec", [each[1] for each in ROUND_TRIPS], ids=[f"{each[0]} survives" for each in ROUND_TRIPS])
def test_the_way_to_v1_and_back(spec: Object) -> None:
    hpa = autoscaler(**spec)
    hpa["status"] |= {
        "currentMetrics": None,
        "conditions": [{"type": "AbleToScale", "status": "True", "lastTransitionTime": "2026-05-01T12:00:00Z"}],
    }
    there_and_back = copy.deepcopy(hpa)
    V1.from_hub(there_and_back)
    V1.to_hub(there_and_back)
    assert there_and_back == hpa


def test_that_conditions_in_the_annotation_keep_the_order_of_their_fields() -> None:
    hpa = autoscaler(metrics=[CPU])
    hpa["status"]["conditions"] = [{"status": "True", "type": "AbleToScale", "reason": "R", "lastTransitionTime": "2026-05-01T12:00:00Z"}]
    V1.from_hub(hpa)
    shown = hpa["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/conditions"]
    assert shown == '[{"type":"AbleToScale","status":"True","lastTransitionTime":"2026-05-01T12:00:00Z","reason":"R"}]'
