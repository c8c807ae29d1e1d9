"""What a HorizontalPodAutoscaler does about what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from controllers.manager.horizontal_pod_autoscaler import (
    Ambiguous,
    Observed,
    check_alone,
    no_scale,
    not_rescaled,
    plan,
    rescaled,
    selected,
    tolerance_of,
)
from controllers.manager.horizontal_pod_autoscaler_behavior import History, Moment
from controllers.manager.horizontal_pod_autoscaler_metrics import (
    Measured,
    NoMetrics,
)
from controllers.manager.horizontal_pod_autoscaler_replicas import (
    Tolerance,
)
from kube.clock import rfc3339
from kube.errors import ApiError
from kube.objects import Object, condition_of
from kube.runtime.perform import Record
from tests.unit.autoscaling import CONTAINER, NOT_REGISTERED, NOW, PODS_METRIC, ago, behavior, external, metrics, pods, resource_metric


def autoscaler(*given: Object, status: Object | None = None, **spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    known = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 10, "metrics": list(given) or [resource_metric()]}
    return {"metadata": {"name": "h", "namespace": "ns"}, "spec": {**known, **spec}, "status": status or {}}


def scale(replicas: int, status_replicas: int | None = None) -> Object:
    running = replicas if status_replicas is None else status_replicas
    return {"spec": {"replicas": replicas}, "status": {"replicas": running, "selector": "a=b"}}


def seen(replicas: int, *samples: Measured | NoMetrics, of: Sequence[Object] | None = None) -> Observed:
    return Observed(scale(replicas), pods(replicas) if of is None else of, samples)


def conditions(status: Object) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


def warnings(actions: Sequence[Any]) -> list[tuple[str, str]]:
    return [(each.reason, each.message) for each in actions if isinstance(each, Record) and each.type == "Warning"]


def test_a_load_above_its_target_scales_up_and_says_so() -> None:
    of = autoscaler()
    found = plan(of, seen(2, Measured(metrics(900, 700))), NOW, history=History())
    assert (found.replicas, found.reason) == (4, "cpu resource utilization (percentage of request) above target")
    current = {"averageUtilization": 80, "averageValue": "800m"}
    assert found.status["currentMetrics"] == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    assert (found.status["currentReplicas"], found.status["desiredReplicas"]) == (2, 4)
    assert conditions(found.status) == {
        "AbleToScale": ("True", "ReadyForNewScale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    message = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"
    assert (condition_of({"status": found.status}, "ScalingActive") or {})["message"] == message
    [event] = rescaled(of, found, 2, NOW)
    assert isinstance(event, Record)
    assert (event.type, event.reason) == ("Normal", "SuccessfulRescale")
    assert event.message == "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    able = condition_of({"status": found.status}, "AbleToScale") or {}
    assert (able["reason"], able["message"]) == ("SucceededRescale", "the HPA controller was able to update the target scale to 4")
    assert found.status["lastScaleTime"] == rfc3339(NOW)


def test_a_load_below_its_target_scales_down_once_it_has_been_for_five_minutes() -> None:
    of, idle = autoscaler(), seen(4, Measured(metrics(50, 50, 50, 50)))
    first = plan(of, idle, NOW, history=History())
    assert first.replicas is None, "the present replicas are the first recommendation"
    assert conditions(first.status)["AbleToScale"] == ("True", "ScaleDownStabilized")
    later = plan(of, idle, NOW + timedelta(seconds=301), history=first.history)
    assert (later.replicas, later.reason) == (1, "All metrics below target")


BOUNDS: dict[str, tuple[int, Object, int | None, str]] = {
    "too many": (12, {}, 10, "Current number of replicas above Spec.MaxReplicas"),
    "too few": (1, {"minReplicas": 3}, 3, "Current number of replicas below Spec.MinReplicas"),
    "none, which is to stay so": (0, {}, None, ""),
}


@pytest.mark.parametrize(("current", "spec", "replicas", "reason"), BOUNDS.values(), ids=BOUNDS.keys())
def test_outside_of_its_bounds_no_metric_is_asked(current: int, spec: Object, replicas: int | None, reason: str) -> None:
    found = plan(autoscaler(**spec), Observed(scale(current)), NOW, history=History())
    assert (found.replicas, found.reason) == (replicas, reason)
    assert conditions(found.status)["AbleToScale"] == ("True", "SucceededGetScale")
    assert found.status["desiredReplicas"] == (replicas or 0)
    if current == 0:
        assert conditions(found.status)["ScalingActive"] == ("False", "ScalingDisabled")


def test_an_autoscaler_that_may_have_none_goes_to_none_and_stays_there() -> None:
    of = autoscaler(external(type="Value", value="10"), minReplicas=0)
    before = {**of, "status": {"conditions": [{"type": "ScaledToZero", "status": "True", "reason": "x"}]}}
    still = plan(before, Observed(scale(0), [], [Measured(value=25_000)]), NOW, history=History())
    assert still.replicas is None
    assert conditions(still.status)["ScalingActive"] == ("False", "ScalingDisabled")
    assert "ScaledToZero" not in conditions(still.status)
    down = plan(of, seen(2, Measured(value=0)), NOW, history=History((Moment(0, ago(seconds=600)),)))
    assert (down.replicas, down.reason) == (0, "All metrics below target")


OBJECT_METRIC = {
    "type": "Object",
    "object": {
        "metric": {"name": "hits"},
        "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"},
        "target": {"type": "Value", "value": "10"},
    },
}
FAILURES: dict[str, tuple[Object, NoMetrics, str, str, str]] = {
    "resources": (
        resource_metric(),
        NoMetrics("unable to fetch metrics from resource metrics API: the server could not find the requested resource"),
        "FailedGetResourceMetric",
        "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: "
        "the server could not find the requested resource",
        "failed to get cpu resource metric value: ",
    ),
    "a container's resources": (
        CONTAINER,
        NoMetrics("no metrics returned from resource metrics API"),
        "FailedGetContainerResourceMetric",
        "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
        "failed to get app container metric value: ",
    ),
    "pods": (
        PODS_METRIC,
        NOT_REGISTERED,
        "FailedGetPodsMetric",
        f"unable to get metric hits: {NOT_REGISTERED}",
        "failed to get pods metric value: ",
    ),
    "an object": (
        OBJECT_METRIC,
        NOT_REGISTERED,
        "FailedGetObjectMetric",
        f"unable to get metric hits: Ingress on ns front/{NOT_REGISTERED}",
        "failed to get object metric value: ",
    ),
    "something outside": (
        external(type="AverageValue", averageValue="10"),
        NoMetrics("no metrics returned from external metrics API"),
        "FailedGetExternalMetric",
        "failed to get queue external metric: unable to get external metric ns/queue/nil: no metrics returned from external metrics API",
        "failed to get queue external metric value: ",
    ),
}


@pytest.mark.parametrize(("spec", "sample", "reason", "text", "summary"), FAILURES.values(), ids=FAILURES.keys())
def test_a_metric_that_cannot_be_had_is_told(spec: Object, sample: NoMetrics, reason: str, text: str, summary: str) -> None:
    found = plan(autoscaler(spec, status={"desiredReplicas": 7}), seen(2, sample), NOW, history=History())
    assert found.replicas is None
    active = condition_of({"status": found.status}, "ScalingActive") or {}
    assert (active["status"], active["reason"]) == ("False", reason)
    assert active["message"] == f"the HPA was unable to compute the replica count: {text}"
    failed = f"invalid metrics (1 invalid out of 1), first error is: {summary}{text}"
    assert warnings(found.actions) == [(reason, text), ("FailedComputeMetricsReplicas", failed)]
    assert found.status["currentMetrics"] == [{"type": ""}]
    assert found.status["desiredReplicas"] == 7


READINGS: dict[str, tuple[Object, Measured, int, Object, str]] = {
    "an average of a resource": (
        {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Ki"}}},
        Measured(metrics(2048_000, 2048_000)),
        4,
        {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "2048"}}},
        "memory resource",
    ),
    "a container's": (
        CONTAINER,
        Measured(metrics(800, 800)),
        4,
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "container": "app", "current": {"averageUtilization": 80, "averageValue": "800m"}},
        },
        "cpu container resource utilization (percentage of request)",
    ),
    "the pods'": (
        PODS_METRIC,
        Measured(metrics(15_000, 15_000)),
        3,
        {"type": "Pods", "pods": {"metric": {"name": "hits"}, "current": {"averageValue": "15"}}},
        "pods metric hits",
    ),
    "an object's": (
        OBJECT_METRIC,
        Measured(value=15_500),
        4,
        {
            "type": "Object",
            "object": {
                "metric": {"name": "hits"},
                "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"},
                "current": {"value": "15500m"},
            },
        },
        "Ingress metric hits",
    ),
    "of something outside, for each": (
        external(type="AverageValue", averageValue="10"),
        Measured(value=50_000),
        5,
        {"type": "External", "external": {"metric": {"name": "queue"}, "current": {"averageValue": "25"}}},
        "external metric queue(nil)",
    ),
}


@pytest.mark.parametrize(("spec", "sample", "replicas", "status", "name"), READINGS.values(), ids=READINGS.keys())
def test_each_kind_of_metric(spec: Object, sample: Measured, replicas: int, status: Object, name: str) -> None:
    found = plan(autoscaler(spec), seen(2, sample), NOW, history=History())
    limited = min(replicas, 4)
    assert (found.replicas, found.status["currentMetrics"]) == (limited, [status])
    assert found.reason == f"{name} above target"


def test_the_metric_that_asks_for_most_decides() -> None:
    of = autoscaler(resource_metric(), PODS_METRIC)
    found = plan(of, seen(2, Measured(metrics(500, 500)), Measured(metrics(15_000, 15_000))), NOW, history=History())
    assert (found.replicas, found.reason) == (3, "pods metric hits above target")


def test_with_one_metric_that_cannot_be_read_it_scales_up_but_never_down() -> None:
    of = autoscaler(PODS_METRIC, resource_metric())
    up = plan(of, seen(2, NOT_REGISTERED, Measured(metrics(900, 900))), NOW, history=History())
    assert up.replicas == 4
    assert conditions(up.status)["ScalingActive"] == ("True", "ValidMetricFound")
    assert [reason for reason, _ in warnings(up.actions)] == ["FailedGetPodsMetric"]
    down = plan(of, seen(2, NOT_REGISTERED, Measured(metrics(10, 10))), NOW, history=History((Moment(1, ago(seconds=900)),)))
    assert down.replicas is None
    assert conditions(down.status)["ScalingActive"] == ("False", "FailedGetPodsMetric")
    assert warnings(down.actions)[-1][1].startswith("invalid metrics (1 invalid out of 2), first error is: ")


def test_a_target_without_a_scale() -> None:
    found = no_scale(autoscaler(), 'deployments.apps "web" not found', NOW)
    able = condition_of({"status": found.status}, "AbleToScale") or {}
    assert (able["status"], able["reason"]) == ("False", "FailedGetScale")
    text = 'the HPA controller was unable to get the target\'s current scale: deployments.apps "web" not found'
    assert able["message"] == text
    assert warnings(found.actions) == [("FailedGetScale", 'deployments.apps "web" not found')]


def test_a_scale_that_cannot_be_written() -> None:
    of = autoscaler(status={"desiredReplicas": 2})
    found = plan(of, seen(2, Measured(metrics(900, 900))), NOW, history=History())
    actions = not_rescaled(of, found, ApiError("no"), NOW)
    reason = "cpu resource utilization (percentage of request) above target"
    assert warnings(actions) == [("FailedRescale", f"New size: 4; reason: {reason}; error: no")]
    assert conditions(found.status)["AbleToScale"] == ("False", "FailedUpdateScale")
    assert found.status["desiredReplicas"] == 2


def ambiguous(work: Callable[[], object]) -> Ambiguous:
    with pytest.raises(Ambiguous) as caught:
        work()
    return caught.value


def test_pods_that_cannot_be_found_are_told() -> None:
    assert ambiguous(lambda: selected([], "")).reason == "InvalidSelector"
    assert ambiguous(lambda: selected([], "a in")).event == "InvalidSelector"
    rival = ambiguous(lambda: check_alone("ns/h", "a=b", pods(1), {"ns/h": "a=b", "ns/other": "a", "ns/third": "x=y"}))
    assert str(rival) == "pods by selector a=b are controlled by multiple HPAs: [ns/h ns/other]"
    found = plan(autoscaler(), Observed(scale(2), problem=rival), NOW, history=History())
    assert conditions(found.status)["ScalingActive"] == ("False", "AmbiguousSelector")
    assert [reason for reason, _ in warnings(found.actions)] == ["AmbiguousSelector", "FailedComputeMetricsReplicas"]
    check_alone("ns/h", "a=b", pods(1), {"ns/h": "a=b", "ns/third": "x=y"})


def test_tolerances_are_the_autoscalers_own() -> None:
    assert tolerance_of(autoscaler()) == Tolerance(0.1, 0.1)
    own = autoscaler(behavior=behavior({"tolerance": "50m"}, {"tolerance": "0.2"}))
    assert tolerance_of(own) == Tolerance(0.2, 0.05)
