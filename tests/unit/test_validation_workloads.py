"""The rules of workloads: what is refused, where, and in upstream's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.kinds.apps.controller_revision import CONTROLLER_REVISION
from apiserver.kinds.apps.daemon_set import DAEMON_SET
from apiserver.kinds.apps.deployment import DEPLOYMENT
from apiserver.kinds.apps.replica_set import REPLICA_SET
from apiserver.kinds.apps.stateful_set import STATEFUL_SET
from apiserver.kinds.autoscaling import HORIZONTAL_POD_AUTOSCALER
from apiserver.kinds.batch.cron_job import CRON_JOB
from apiserver.kinds.batch.job import JOB
from apiserver.kinds.core.replication_controller import REPLICATION_CONTROLLER
from apiserver.kinds.policy import POD_DISRUPTION_BUDGET
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation.job_indexes import IndexesError, first_overlap, parse_indexes
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NO_MATCH = "`selector` does not match template `labels`"


def context() -> Context:
    return Context(User("admin"), NOW, "create")


def pod_template(restart: str | None = None, **labels: str) -> Object:
    spec: Object = {"containers": [{"name": "main", "image": "a:1"}]}
    if restart:
        spec["restartPolicy"] = restart
    return {"metadata": {"labels": labels}, "spec": spec}


WEB: Object = {"selector": {"matchLabels": {"app": "web"}}, "template": pod_template(app="web")}
RUN: Object = {"template": pod_template("Never")}
CLAIM: Object = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
SCALED: Object = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3}


def made(kind: Kind, base: Object, name: str = "web", **spec: Any) -> Object:
    """A new object, as it would be stored."""
    obj: Object = {"metadata": {"name": name, "namespace": "default", "uid": "u-1"}, "spec": {**copy.deepcopy(base), **spec}}
    kind.default(obj)
    kind.prepare(obj, None, context())
    return obj


def said(kind: Kind, new: Object, old: Object | None = None) -> list[str]:
    return [str(each) for each in kind.validate(new, old, context())]


def changed(old: Object, **spec: Any) -> Object:
    new = copy.deepcopy(old)
    new["spec"] |= spec
    return new


# --- new objects ------------------------------------------------------------------------------------------------------

ROLLING = "spec.strategy.rollingUpdate"
CREATED: list[tuple[str, Kind, Object, list[str]]] = [
    ("a Deployment is fine", DEPLOYMENT, made(DEPLOYMENT, WEB), []),
    (
        "a Deployment needs a selector",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, selector=None),
        ["spec.selector: Required value", f'spec.template.metadata.labels: Invalid value: {{"app":"web"}}: {NO_MATCH}'],
    ),
    (
        "an unreadable selector hides the template",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, selector={"matchExpressions": [{"key": "a", "operator": "Like"}]}),
        [
            'spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
            'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Like"}]}: invalid label selector',
        ],
    ),
    (
        "pods of a Deployment restart always",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, template=pod_template("Never", app="web")),
        ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ),
    (
        "a rollout must be able to move",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, strategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
        [f"{ROLLING}.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
    ),
    (
        "percentages end at 100",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, strategy={"rollingUpdate": {"maxUnavailable": "101%"}}),
        [f'{ROLLING}.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ),
    (
        "an unknown strategy is shown as Go would",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, strategy={"type": "Rolling"}),
        ['spec.strategy: Unsupported value: {"Type":"Rolling","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"'],
    ),
    (
        "the deadline is after readiness",
        DEPLOYMENT,
        made(DEPLOYMENT, WEB, minReadySeconds=600),
        ["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
    ),
    (
        "a ReplicaSet has no negative replicas",
        REPLICA_SET,
        made(REPLICA_SET, WEB, replicas=-1),
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    ),
    (
        "a ReplicationController matches its template",
        REPLICATION_CONTROLLER,
        made(REPLICATION_CONTROLLER, {"selector": {"a": "b"}, "template": pod_template(a="c")}),
        [f'spec.template.metadata.labels: Invalid value: {{"a":"c"}}: {NO_MATCH}'],
    ),
    (
        "a DaemonSet moves one way",
        DAEMON_SET,
        made(DAEMON_SET, WEB, updateStrategy={"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}),
        ["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"],
    ),
    (
        "a StatefulSet's claims are volumes of its pods",
        STATEFUL_SET,
        made(
            STATEFUL_SET,
            WEB,
            volumeClaimTemplates=[CLAIM],
            template={
                **pod_template(app="web"),
                "spec": {"containers": [{"name": "db", "image": "a:1", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]},
            },
        ),
        [],
    ),
    (
        "a StatefulSet's policies are known ones",
        STATEFUL_SET,
        made(STATEFUL_SET, WEB, podManagementPolicy="Any", persistentVolumeClaimRetentionPolicy={"whenScaled": "Keep"}),
        [
            "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'",
            'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete"',
        ],
    ),
    ("a Job is fine", JOB, made(JOB, RUN), []),
    (
        "a Job's pods do not restart always",
        JOB,
        made(JOB, {"template": pod_template()}),
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (
        "a Job's own selector is not the client's",
        JOB,
        made(JOB, RUN, selector={"matchLabels": {"batch.kubernetes.io/controller-uid": "x"}}),
        [
            'spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"x"}}: `selector` not auto-generated',
            "spec.template.metadata.labels: Invalid value: "
            '{"job-name":"web","batch.kubernetes.io/job-name":"web","controller-uid":"u-1","batch.kubernetes.io/controller-uid":"u-1"}: '
            + NO_MATCH,
        ],
    ),
    (
        "an Indexed Job's pods need names",
        JOB,
        made(JOB, RUN, name="a.b", completionMode="Indexed", completions=3),
        ['metadata.name: Invalid value: "a.b": will not able to create pod with invalid DNS label: a.b-2'],
    ),
    (
        "failed indexes need a limit each",
        JOB,
        made(JOB, RUN, completionMode="Indexed", completions=3, maxFailedIndexes=4),
        [
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            "spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions",
        ],
    ),
    (
        "exit codes are ordered and not 0",
        JOB,
        made(JOB, RUN, podFailurePolicy={"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3, 0]}}]}),
        [
            "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0]: must be ordered",
        ],
    ),
    (
        "a success policy counts what there is",
        JOB,
        made(
            JOB, RUN, completionMode="Indexed", completions=9, successPolicy={"rules": [{"succeededIndexes": "0-2", "succeededCount": 4}]}
        ),
        [
            "spec.successPolicy.rules[0].succeededCount: Invalid value: 4: must be less than or equal to 3 "
            "(the number of indexes in the specified succeededIndexes field)"
        ],
    ),
    (
        "a CronJob has a schedule and a zone that exist",
        CRON_JOB,
        made(CRON_JOB, {"schedule": "@daily", "jobTemplate": {"spec": RUN}}, schedule="60 * * * *", timeZone="Mars/Olympus"),
        [
            'spec.schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60',
            'spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus',
        ],
    ),
    (
        "a CronJob's zone is not in its schedule",
        CRON_JOB,
        made(CRON_JOB, {"jobTemplate": {"spec": RUN}}, schedule="TZ=UTC 0 0 * * *"),
        ['spec.schedule: Invalid value: "TZ=UTC 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead'],
    ),
    (
        "a budget says one thing",
        POD_DISRUPTION_BUDGET,
        made(POD_DISRUPTION_BUDGET, {"minAvailable": 1, "maxUnavailable": "half"}),
        [
            'spec: Invalid value: {"minAvailable":1,"maxUnavailable":"half"}: minAvailable and maxUnavailable cannot be both set',
            "spec.maxUnavailable: Invalid value: \"half\": a valid percent string must be a numeric string followed by an ending '%' "
            "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ],
    ),
    (
        "an autoscaler's bounds fit together",
        HORIZONTAL_POD_AUTOSCALER,
        made(HORIZONTAL_POD_AUTOSCALER, SCALED, minReplicas=4),
        ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    ),
    (
        "an autoscaler's target is in a group",
        HORIZONTAL_POD_AUTOSCALER,
        made(HORIZONTAL_POD_AUTOSCALER, SCALED, scaleTargetRef={"kind": "Deployment", "name": "web"}),
        ['spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group'],
    ),
    (
        "a metric has the source of its type",
        HORIZONTAL_POD_AUTOSCALER,
        made(HORIZONTAL_POD_AUTOSCALER, SCALED, metrics=[{"type": "Pods"}]),
        ["spec.metrics[0].pods: Required value: must populate information for the given metric source"],
    ),
    (
        "a revision has data",
        CONTROLLER_REVISION,
        {"metadata": {"name": "r"}, "revision": -1},
        ["revision: Invalid value: -1: must be greater than or equal to 0", "data: Required value: data is mandatory"],
    ),
    (
        "a revision's data is an object",
        CONTROLLER_REVISION,
        {"metadata": {"name": "r"}, "revision": 1, "data": ["a"]},
        ["data: Required value: data must be a valid JSON object"],
    ),
]


@pytest.mark.parametrize(("kind", "obj", "expected"), [each[1:] for each in CREATED], ids=[each[0] for each in CREATED])
def test_new_objects(kind: Kind, obj: Object, expected: list[str]) -> None:
    assert said(kind, obj) == expected


# --- changes ----------------------------------------------------------------------------------------------------------

IMMUTABLE = "field is immutable"
OTHER = {"matchLabels": {"app": "other"}}


@pytest.mark.parametrize("kind", [DEPLOYMENT, REPLICA_SET, DAEMON_SET], ids=lambda kind: kind.resource.kind)
def test_that_selectors_do_not_change(kind: Kind) -> None:
    old = made(kind, WEB)
    new = changed(old, selector=OTHER, template=pod_template(app="other"))
    kind.default(new)
    assert said(kind, new, old) == ['spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable']


def test_that_a_stateful_set_can_be_scaled_and_rolled_but_not_renamed() -> None:
    old = made(STATEFUL_SET, WEB)
    assert said(STATEFUL_SET, changed(old, replicas=3, minReadySeconds=5, revisionHistoryLimit=1), old) == []
    (error,) = said(STATEFUL_SET, changed(old, serviceName="db"), old)
    assert error.startswith("spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', ")


def test_that_errors_of_a_jobs_spec_are_said_twice_on_update() -> None:
    old = made(JOB, RUN)
    assert said(JOB, changed(old, parallelism=-1), old) == ["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"] * 2


JOB_CHANGES: list[tuple[str, Object, Callable[[Object], None], bool]] = [
    ("a running job's template stays", {}, lambda pod: pod.update(nodeSelector={"a": "b"}), False),
    ("a suspended job's pods may go elsewhere", {"suspend": True}, lambda pod: pod.update(nodeSelector={"a": "b"}), True),
    (
        "a suspended job's pods may ask for more",
        {"suspend": True},
        lambda pod: pod["containers"][0].update(resources={"requests": {"cpu": "1"}}),
        True,
    ),
    ("a suspended job keeps its images", {"suspend": True}, lambda pod: pod["containers"][0].update(image="b:1"), False),
]


@pytest.mark.parametrize(("spec", "change", "is_fine"), [each[1:] for each in JOB_CHANGES], ids=[each[0] for each in JOB_CHANGES])
def test_changes_of_a_jobs_template(spec: Object, change: Callable[[Object], None], is_fine: bool) -> None:
    old = made(JOB, RUN, **spec)
    new = copy.deepcopy(old)
    change(new["spec"]["template"]["spec"])
    errors = said(JOB, new, old)
    path = "spec.template.spec" if spec.get("suspend") else "spec.template"
    assert [each.partition(":")[0] for each in errors] == ([] if is_fine else [path])


@pytest.mark.parametrize(
    ("status", "is_fine"),
    [
        pytest.param({"startTime": "2026-05-01T12:00:00Z"}, False, id="it has started, and is not known to be suspended"),
        pytest.param(
            {"startTime": "2026-05-01T12:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]},
            True,
            id="its controller saw to it",
        ),
        pytest.param({"active": 1}, False, id="it has pods"),
    ],
)
def test_that_a_suspended_job_changes_once_it_is_at_rest(status: Object, is_fine: bool) -> None:
    old = {**made(JOB, RUN, suspend=True), "status": status}
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}
    assert bool(said(JOB, new, old)) is not is_fine


def test_that_successes_of_an_elastic_job_may_be_forgotten() -> None:
    for mode, errors in (("Indexed", []), ("NonIndexed", ["status.succeeded: Invalid value: 1: cannot decrease the succeeded counter"])):
        old = {**made(JOB, RUN, completionMode=mode, completions=3, parallelism=3), "status": {"succeeded": 2}}
        assert [each for each in status_errors(JOB, old, succeeded=1) if "counter" in each] == errors


def test_that_a_job_without_a_name_is_asked_for_one_only_later() -> None:
    job: Object = {"metadata": {"uid": "u"}, "spec": copy.deepcopy(RUN)}
    JOB.default(job)
    JOB.prepare(job, None, context())
    assert job["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == ""


def test_that_an_indexed_job_is_scaled_in_tandem() -> None:
    old = made(JOB, RUN, completionMode="Indexed", completions=3, parallelism=3)
    assert said(JOB, changed(old, completions=4, parallelism=4), old) == []
    assert said(JOB, changed(old, completions=4), old) == [
        "spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism"
    ]


# --- status -----------------------------------------------------------------------------------------------------------


def status_errors(kind: Kind, old: Object, **status: Any) -> list[str]:
    (part,) = [each for each in kind.subresources if each.name == "status"]
    assert part.validate is not None
    return [str(each) for each in part.validate({**old, "status": status}, old, context())]


def test_that_counts_of_a_status_fit_together() -> None:
    errors = status_errors(DEPLOYMENT, made(DEPLOYMENT, WEB), replicas=1, readyReplicas=2, availableReplicas=3)
    assert errors == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas",
    ]


def test_that_a_collision_count_never_falls() -> None:
    old = {**made(DEPLOYMENT, WEB), "status": {"collisionCount": 2}}
    assert status_errors(DEPLOYMENT, old, collisionCount=1) == ["status.collisionCount: Invalid value: 1: cannot be decremented"]


def true(*kinds: str) -> list[Object]:
    return [{"type": kind, "status": "True"} for kind in kinds]


STARTED, ENDED = "2026-05-01T11:00:00Z", "2026-05-01T12:00:00Z"
JOB_STATUSES: list[tuple[str, Object, Object, list[str]]] = [
    (
        "a job completes with all that belongs to it",
        {"startTime": STARTED},
        {"startTime": STARTED, "completionTime": ENDED, "succeeded": 1, "conditions": true("SuccessCriteriaMet", "Complete")},
        [],
    ),
    (
        "a job cannot complete just so",
        {"startTime": STARTED},
        {"startTime": STARTED, "active": 1, "conditions": true("Complete")},
        [
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
        ],
    ),
    (
        "what failed stays failed",
        {"startTime": STARTED, "failed": 1, "conditions": true("FailureTarget", "Failed")},
        {"startTime": STARTED, "failed": 1, "conditions": true("FailureTarget")},
        ["status.conditions: Invalid value: cannot disable the terminal Failed=True condition"],
    ),
    (
        "failures are not forgotten",
        {"failed": 2},
        {"failed": 1},
        ["status.failed: Invalid value: 1: cannot decrease the failed counter"],
    ),
    (
        "indexes are for Indexed jobs",
        {},
        {"completedIndexes": "0"},
        ['status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode'],
    ),
]


@pytest.mark.parametrize(("before", "status", "expected"), [each[1:] for each in JOB_STATUSES], ids=[each[0] for each in JOB_STATUSES])
def test_job_statuses(before: Object, status: Object, expected: list[str]) -> None:
    assert status_errors(JOB, {**made(JOB, RUN, completions=3), "status": before}, **status) == expected


# --- indexes ----------------------------------------------------------------------------------------------------------

BAD_INDEXES = [
    ("0-3,2", "non-increasing order, previous: 3, current: 2"),
    ("0,10", 'too large index: "10"'),
    ("a-b", 'cannot convert string to integer for index: "a"'),
    ("3-3", "non-increasing order, previous: 3, current: 3"),
    ("1-2-3", "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'"),
]


def test_that_indexes_are_read_as_intervals() -> None:
    assert parse_indexes("0,2-4", 10) == [(0, 0), (2, 4)]
    assert parse_indexes("", 10) == []


@pytest.mark.parametrize(("text", "message"), BAD_INDEXES, ids=[f"{text} are no indexes" for text, _ in BAD_INDEXES])
def test_bad_indexes(text: str, message: str) -> None:
    with pytest.raises(IndexesError) as caught:
        parse_indexes(text, 10)
    assert str(caught.value) == message


def test_that_overlaps_are_found() -> None:
    assert first_overlap("0-2,5", "3,4-6", 10) == 5
    assert first_overlap("0-2", "3", 10) is None
