"""HorizontalPodAutoscalers: what a metric asks for, what becomes of it, and what is told."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from controllers.manager.horizontal_pod_autoscaler_behavior import Bounds, History, Moment, decide
from controllers.manager.horizontal_pod_autoscaler_metrics import (
    Measured,
    MetricsReader,
    NoMetrics,
    container_usage,
    custom_pods_path,
    custom_values,
    external_path,
    object_path,
    pod_usage,
    pods_path,
    told,
)
from controllers.manager.horizontal_pod_autoscaler_proposal import described_by_go
from controllers.manager.horizontal_pod_autoscaler_replicas import (
    CannotTell,
    PodMetric,
    Tolerance,
    by_average,
    by_utilization,
    by_value,
    grouped,
    per_pod,
    request_of,
)
from kube.client.client import Client
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock, rfc3339
from kube.errors import ApiError, NotFound
from kube.objects import Object, condition_of
from kube.resources import DEPLOYMENTS
from kube.runtime.perform import Record
from tests.fake_api import FakeApi
from tests.virtual import virtual

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
USUAL = Tolerance()


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


AN_HOUR_AGO = ago(hours=1)


def pod(
    name: str,
    *,
    phase: str = "Running",
    ready: str | None = "True",
    started: datetime | None = AN_HOUR_AGO,
    changed: datetime | None = None,
    request: str | None = "1",
    deleting: bool = False,
) -> Object:
    """A pod that has been ready for most of an hour, unless said otherwise."""
    since = rfc3339(changed or ago(minutes=50))
    conditions = [] if ready is None else [{"type": "Ready", "status": ready, "lastTransitionTime": since}]
    resources = {"requests": {"cpu": request, "memory": "1Mi"}} if request else {}
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": {"a": "b"}, **({"deletionTimestamp": since} if deleting else {})},
        "spec": {"containers": [{"name": "app", "resources": resources}]},
        "status": {"phase": phase, "conditions": conditions, **({"startTime": rfc3339(started)} if started else {})},
    }


def metrics(*values: int | None, window_s: float = 60, at: datetime = NOW) -> dict[str, PodMetric]:
    """Of pods p0, p1, ...; None for one that was not measured."""
    return {f"p{index}": PodMetric(value, at, window_s) for index, value in enumerate(values) if value is not None}


def pods(count: int, **given: Any) -> list[Object]:
    return [pod(f"p{index}", **given) for index in range(count)]


# --- which pods count ---------------------------------------------------------------------------------------------------------------

YOUNG = ago(minutes=1)
GROUPS: dict[str, tuple[Object, str, str]] = {
    "a running pod counts": (pod("p0"), "", "ready"),
    "a pod on its way out does not": (pod("p0", deleting=True), "", "ignored"),
    "nor one that has failed": (pod("p0", phase="Failed"), "", "ignored"),
    "a pending one is not ready": (pod("p0", phase="Pending"), "", "unready"),
    "one without metrics is missing": (pod("other"), "", "missing"),
    "readiness is no matter but for CPU": (pod("p0", ready="False", started=YOUNG), "memory", "ready"),
    "a young pod that is not ready": (pod("p0", ready="False", started=YOUNG), "cpu", "unready"),
    "a young pod measured since it is ready": (pod("p0", started=ago(minutes=4), changed=ago(minutes=2)), "cpu", "ready"),
    "a young pod measured before it was ready": (pod("p0", started=YOUNG, changed=ago(seconds=30)), "cpu", "unready"),
    "an old pod that is not ready any more": (pod("p0", ready="False", changed=ago(minutes=10)), "cpu", "ready"),
    "an old pod that was never ready": (pod("p0", ready="False", changed=ago(hours=1)), "cpu", "unready"),
    "a pod that says nothing of its readiness": (pod("p0", ready=None), "cpu", "unready"),
    "a pod that has not started": (pod("p0", started=None), "cpu", "unready"),
}


@pytest.mark.parametrize(("of", "resource", "expected"), GROUPS.values(), ids=GROUPS.keys())
def test_which_pods_count(of: Object, resource: str, expected: str) -> None:
    groups = grouped([of], metrics(100), NOW, resource=resource)
    found = {
        "ready": groups.ready,
        "unready": len(groups.unready),
        "missing": len(groups.missing),
        "ignored": len(groups.ignored),
    }
    assert {name for name, count in found.items() if count} == {expected}


# --- replicas from usage ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """Thousandths of CPU of each pod (None: not measured), out of a CPU each; the percentage wanted; and what should come of it."""

    used: Sequence[int | None]
    target: int
    expected: int
    utilization: int
    current: int = 0
    pods: Sequence[Object] = ()
    tolerance: Tolerance = USUAL


def unready(*names: int, of: int) -> list[Object]:
    return [pod(f"p{index}", ready="False" if index in names else "True", changed=ago(hours=1)) for index in range(of)]


USAGES = {
    "more is used than wanted": Usage([300, 500, 700], 30, 5, 50),
    "less is used than wanted": Usage([100, 300, 500, 250, 250], 50, 3, 28),
    "as much as wanted": Usage([500, 500], 50, 2, 50),
    "a little more than wanted is let be": Usage([530, 530], 50, 2, 53),
    "a little less as well": Usage([460, 460], 50, 2, 46),
    "as much as the tolerance allows, and no more": Usage([550, 550], 50, 2, 55),
    "a tight tolerance": Usage([530, 530], 50, 3, 53, tolerance=Tolerance(0.1, 0.02)),
    "a loose tolerance downwards": Usage([300, 300], 50, 2, 30, tolerance=Tolerance(0.5, 0.1)),
    "nothing is used": Usage([0, 0, 0], 50, 0, 0),
    "a pod that is not ready dampens scaling up": Usage([None, 500, 700], 30, 4, 60, pods=[pod("p0", phase="Pending"), *pods(3)[1:]]),
    "pods that are not ready may keep it from scaling up": Usage(
        [400, 500, 700], 30, 3, 40, pods=[pod("p0"), *(pod(f"p{each}", phase="Pending") for each in (1, 2))]
    ),
    "hot pods that were never ready count for nothing": Usage([400, 800, 900], 30, 3, 40, current=3, pods=unready(1, 2, of=3)),
    "pods that are not ready do not hinder scaling down": Usage([100, 300, 500, 250, 250], 50, 2, 40, pods=unready(0, 3, 4, of=5)),
    "a pod that was not measured dampens scaling up": Usage([500, 700, None], 50, 3, 60),
    "and counts in full on the way down": Usage([100, None], 50, 2, 10),
    "of many pods one that was not measured still lets it scale down": Usage([100, 100, 100, None], 50, 3, 10),
    "with a target above the requests, as that target": Usage([1000, None], 200, 2, 100),
    "a pod that failed is no pod": Usage([300, 500, 700, None], 30, 5, 50, pods=[*pods(3), pod("p3", phase="Failed")]),
}


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES.keys())
def test_replicas_by_utilization(usage: Usage) -> None:
    count = len(usage.used)
    given = list(usage.pods) or pods(count)
    replicas, utilization, _ = by_utilization(
        usage.current or count,
        usage.target,
        given,
        metrics(*usage.used),
        resource="cpu",
        container="",
        tolerance=usage.tolerance,
        now=NOW,
    )
    assert (replicas, utilization) == (usage.expected, usage.utilization)


AVERAGES: dict[str, tuple[Sequence[int | None], int, int, int]] = {
    "more than wanted": ([20_000, 10_000, 30_000], 15_000, 4, 20_000),
    "less than wanted": ([12_000] * 5, 20_000, 3, 12_000),
    "about as much": ([20_666] * 3, 20_000, 3, 20_666),
    "a missing pod dampens scaling up": ([20_000, 10_000, None], 10_000, 3, 15_000),
    "and scaling down": ([10_000, None], 20_000, 2, 10_000),
}


@pytest.mark.parametrize(("used", "target", "expected", "average"), AVERAGES.values(), ids=AVERAGES.keys())
def test_replicas_by_average(used: Sequence[int | None], target: int, expected: int, average: int) -> None:
    count = len(used)
    assert by_average(count, target, pods(count), metrics(*used), tolerance=USUAL, now=NOW) == (expected, average)


NOTHING: dict[str, tuple[list[Object], dict[str, PodMetric], str]] = {
    "no pods": ([], metrics(1), "no pods returned by selector while calculating replica count"),
    "no metrics of pods that count": (
        pods(1, phase="Pending"),
        metrics(1),
        "did not receive metrics for targeted pods (pods might be unready)",
    ),
    "no requests": (pods(1, request=None), metrics(1), "missing request for cpu in container app of Pod p0"),
    "metrics of other pods": ([pod("x")], metrics(1), "no metrics returned matched known pods"),
}


@pytest.mark.parametrize(("of", "measured", "text"), NOTHING.values(), ids=NOTHING.keys())
def test_when_nothing_can_be_told(of: list[Object], measured: dict[str, PodMetric], text: str) -> None:
    with pytest.raises(CannotTell) as caught:
        by_utilization(1, 50, of, measured, resource="cpu", container="", tolerance=USUAL, now=NOW)
    assert str(caught.value) == text


def test_what_a_pod_requests() -> None:
    spec: Object = {
        "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m"}}}, {"name": "b", "resources": {"requests": {"cpu": "1"}}}],
        "initContainers": [
            {"name": "once", "resources": {"requests": {"cpu": "9"}}},
            {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
        ],
    }
    found = {"metadata": {"name": "p"}, "spec": spec}
    assert request_of(found, "cpu") == 1150, "sidecars count, other init containers do not"
    assert request_of(found, "cpu", "b") == 1000
    spec["resources"] = {"requests": {"cpu": "2"}}
    assert request_of(found, "cpu") == 2000, "the pod's own word"
    assert request_of(found, "cpu", "a") == 100


VALUES: dict[str, tuple[int, int, int, list[Object], int]] = {
    "a value above its target, over the ready pods": (3, 15, 20, pods(3), 4),
    "near its target": (3, 20, 21, pods(3), 3),
    "below it": (5, 20, 12, pods(5), 3),
    "pods that are not ready do not count": (4, 15, 20, [*pods(3), pod("x", ready="False")], 4),
    "from none it is the ratio itself": (0, 5, 12, [], 3),
    "from none, however near": (0, 10, 10, [], 1),
    "none are needed": (0, 10, 0, [], 0),
}


@pytest.mark.parametrize(("current", "target", "usage", "of", "expected"), VALUES.values(), ids=VALUES.keys())
def test_replicas_by_one_value(current: int, target: int, usage: int, of: list[Object], expected: int) -> None:
    assert by_value(current, target, usage, of, tolerance=USUAL) == expected


SHARES: dict[str, tuple[int, int, int, tuple[int, int]]] = {
    "each has too much": (3, 2144, 8600, (5, 2867)),
    "each has enough": (3, 2867, 8600, (3, 2867)),
    "each has little": (5, 8600, 8600, (1, 1720)),
    "there are none yet": (0, 100, 250, (3, 250)),
}


@pytest.mark.parametrize(("replicas", "target", "usage", "expected"), SHARES.values(), ids=SHARES.keys())
def test_replicas_by_each_ones_share(replicas: int, target: int, usage: int, expected: tuple[int, int]) -> None:
    assert per_pod(replicas, target, usage, tolerance=USUAL) == expected


# --- stabilization and limits -------------------------------------------------------------------------------------------------------

POLICIES = [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]
ALL_AT_ONCE = [{"type": "Percent", "value": 100, "periodSeconds": 15}]


def behavior(up: Mapping[str, Any] | None = None, down: Mapping[str, Any] | None = None) -> Object:
    """The defaults, and what is given."""
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": POLICIES, **(up or {})},
        "scaleDown": {"selectPolicy": "Max", "policies": ALL_AT_ONCE, **(down or {})},
    }


def one(kind: str, value: int, period_s: int = 60) -> Object:
    return {"policies": [{"type": kind, "value": value, "periodSeconds": period_s}]}


NOTHING_YET = History()


@dataclass(frozen=True)
class Step:
    """From `current` to `wanted`, within 1 and `high`: the replicas that come of it, and the reasons of AbleToScale and ScalingLimited."""

    current: int
    wanted: int
    replicas: int
    able: str = "ReadyForNewScale"
    limited: str = "DesiredWithinRange"
    high: int = 100
    low: int = 1
    rules: Object | None = None
    history: History = NOTHING_YET


def recommended(*moments: tuple[int, float]) -> History:
    return History(tuple(Moment(count, ago(seconds=seconds)) for count, seconds in moments))


def ups(*moments: tuple[int, float]) -> History:
    return History(ups=tuple(Moment(count, ago(seconds=seconds)) for count, seconds in moments))


def downs(*moments: tuple[int, float]) -> History:
    return History(downs=tuple(Moment(count, ago(seconds=seconds)) for count, seconds in moments))


STEPS = {
    "up to what is wanted": Step(5, 7, 7),
    "up, at most to twice as many": Step(5, 30, 10, limited="ScaleUpLimit"),
    "or to four": Step(1, 30, 4, limited="ScaleUpLimit"),
    "up to the maximum": Step(5, 30, 8, limited="TooManyReplicas", high=8),
    "down at once, when nothing else was recommended": Step(5, 2, 2),
    "down to the minimum": Step(5, 1, 3, limited="TooFewReplicas", low=3),
    "down, but not below what was recommended of late": Step(5, 2, 4, "ScaleDownStabilized", history=recommended((4, 100), (9, 301))),
    "behavior: up by four or to twice as many": Step(3, 30, 7, limited="ScaleUpLimit", rules=behavior()),
    "behavior: whichever is more": Step(6, 30, 12, limited="ScaleUpLimit", rules=behavior()),
    "behavior: or less": Step(6, 30, 10, limited="ScaleUpLimit", rules=behavior({"selectPolicy": "Min"})),
    "behavior: never up": Step(6, 30, 6, limited="ScaleUpLimit", rules=behavior({"selectPolicy": "Disabled"})),
    "behavior: what was added in the period counts": Step(
        6, 30, 7, limited="ScaleUpLimit", rules=behavior(one("Pods", 3)), history=ups((2, 30), (9, 61))
    ),
    "behavior: what was taken away in the period is given back": Step(
        6, 30, 11, limited="ScaleUpLimit", rules=behavior(one("Pods", 3)), history=downs((2, 30))
    ),
    "behavior: all of the period is used up": Step(6, 30, 6, limited="ScaleUpLimit", rules=behavior(one("Pods", 3)), history=ups((5, 30))),
    "behavior: percentages are rounded up": Step(3, 30, 4, limited="ScaleUpLimit", rules=behavior(one("Percent", 10))),
    "behavior: down all at once": Step(10, 1, 1, rules=behavior()),
    "behavior: down by two at a time": Step(10, 1, 8, limited="ScaleDownLimit", rules=behavior(down=one("Pods", 2))),
    "behavior: down by a share, rounded down": Step(9, 1, 6, limited="ScaleDownLimit", rules=behavior(down=one("Percent", 30))),
    "behavior: never down": Step(10, 1, 10, limited="ScaleDownLimit", rules=behavior(down={"selectPolicy": "Disabled"})),
    "behavior: what was taken away already counts": Step(
        9, 1, 8, limited="ScaleDownLimit", rules=behavior(down=one("Pods", 2)), history=downs((1, 10))
    ),
    "behavior: down to the minimum": Step(10, 1, 4, limited="TooFewReplicas", low=4, rules=behavior()),
    "behavior: up to the maximum": Step(5, 30, 6, limited="TooManyReplicas", high=6, rules=behavior()),
    "behavior: not below what was recommended in five minutes": Step(
        10, 1, 6, "ScaleDownStabilized", rules=behavior(), history=recommended((6, 299))
    ),
    "behavior: unless the window is shorter": Step(
        10, 1, 1, rules=behavior(down={"stabilizationWindowSeconds": 60}), history=recommended((6, 61))
    ),
    "behavior: not above what was recommended in the window": Step(
        4, 9, 5, "ScaleUpStabilized", rules=behavior({"stabilizationWindowSeconds": 60}), history=recommended((5, 30))
    ),
    "behavior: nor down while waiting to go up": Step(
        4, 9, 4, "ScaleUpStabilized", rules=behavior({"stabilizationWindowSeconds": 60}), history=recommended((2, 30))
    ),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_what_becomes_of_the_wanted_replicas(step: Step) -> None:
    found = decide(step.current, step.wanted, Bounds(step.low, step.high), step.rules, step.history, NOW)
    assert (found.replicas, found.able[0], found.limited[0]) == (step.replicas, step.able, step.limited)
    assert found.is_limited is (step.limited != "DesiredWithinRange")
    assert found.history.recommendations[-1] == Moment(step.wanted, NOW)


def test_what_no_window_reaches_is_forgotten() -> None:
    found = decide(5, 5, Bounds(1, 9), None, recommended((9, 301), (3, 299)), NOW)
    assert [each.count for each in found.history.recommendations] == [3, 5]
    history = ups((1, 61), (2, 59)).scaled(behavior(one("Pods", 3)), 3, 5, NOW)
    assert [each.count for each in history.ups] == [2, 2]
    assert ups((1, 1)).scaled(None, 3, 5, NOW) == ups((1, 1)), "without a behavior nobody asks"


# --- the plan -----------------------------------------------------------------------------------------------------------------------


def resource_metric(percent: int = 50, name: str = "cpu") -> Object:
    return {"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}}}


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


def external(name: str = "queue", **target: Any) -> Object:
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


def test_an_autoscaler_that_may_have_none_goes_to_none_and_stays_there() -> None:
    of = autoscaler(external(type="Value", value="10"), minReplicas=0)
    before = {**of, "status": {"conditions": [{"type": "ScaledToZero", "status": "True", "reason": "x"}]}}
    still = plan(before, Observed(scale(0), [], [Measured(value=25_000)]), NOW, history=History())
    assert still.replicas is None
    assert conditions(still.status)["ScalingActive"] == ("False", "ScalingDisabled")
    assert "ScaledToZero" not in conditions(still.status)
    down = plan(of, seen(2, Measured(value=0)), NOW, history=History((Moment(0, ago(seconds=600)),)))
    assert (down.replicas, down.reason) == (0, "All metrics below target")


NOT_REGISTERED = NoMetrics("unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered")
PODS_METRIC = {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
OBJECT_METRIC = {
    "type": "Object",
    "object": {
        "metric": {"name": "hits"},
        "describedObject": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"},
        "target": {"type": "Value", "value": "10"},
    },
}
CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {"name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 50}},
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


# --- where metrics come from --------------------------------------------------------------------------------------------------------

HITS = {"name": "hits", "selector": {"matchLabels": {"verb": "GET"}}}
FRONT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"}


def known(api_version: str, kind: str) -> Any:
    return DEPLOYMENTS if kind == "Deployment" else None


PATHS = {
    pods_path("ns", "a=b"): "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods?labelSelector=a%3Db",
    custom_pods_path("v1beta2", "ns", "a=b", HITS): (
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/*/hits?labelSelector=a%3Db&metricLabelSelector=verb%3DGET"
    ),
    object_path("v1beta1", "ns", FRONT, {"name": "hits"}, known): (
        "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/deployments.apps/front/hits"
    ),
    object_path("v1beta1", "ns", {"kind": "Namespace", "name": "ns"}, {"name": "hits"}, known): (
        "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/metrics/hits"
    ),
    external_path("ns", HITS): "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/hits?labelSelector=verb%3DGET",
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_where_metrics_are_asked_for(path: str, expected: str) -> None:
    assert path == expected


def test_an_object_of_an_unknown_kind_has_no_metrics() -> None:
    with pytest.raises(NoMetrics, match='no matches for kind "Thing" in group "g"'):
        object_path("v1beta1", "ns", {"apiVersion": "g/v1", "kind": "Thing", "name": "x"}, {"name": "hits"}, known)


def measured(name: str, **usage: Mapping[str, str]) -> Object:
    containers = [{"name": each, "usage": dict(amounts)} for each, amounts in usage.items()]
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "timestamp": "2026-01-01T12:00:00Z",
        "window": "15.5s",
        "containers": containers,
    }


def test_a_pods_usage_is_its_containers_if_all_were_measured() -> None:
    items = [measured("p", a={"cpu": "100m"}, b={"cpu": "1500000n"}), measured("q", a={"cpu": "1"}, b={"memory": "1"}), measured("r")]
    assert pod_usage(items, "cpu") == {"p": PodMetric(102, NOW, 15.5)}
    assert container_usage(items[:1], "cpu", "a") == {"p": PodMetric(100, NOW, 15.5)}
    with pytest.raises(NoMetrics, match="container b not present in metrics for pod ns/r"):
        container_usage(items, "cpu", "b")


def test_custom_metrics_have_a_window_of_a_minute_unless_they_say() -> None:
    item = {"describedObject": {"name": "p"}, "timestamp": "2026-01-01T12:00:00Z", "value": "2500m"}
    assert custom_values([item, {**item, "describedObject": {"name": "q"}, "windowSeconds": 0}]) == {
        "p": PodMetric(2500, NOW, 60.0),
        "q": PodMetric(2500, NOW, 0.0),
    }


def test_answers_that_are_no_status_are_told_in_client_gos_words() -> None:
    asked = "get pods.metrics.k8s.io"
    plain = NotFound("404 page not found", reason="")
    assert told(plain, asked) == "the server could not find the requested resource (get pods.metrics.k8s.io)"
    unavailable = ApiError("service unavailable", code=503)
    assert told(unavailable, asked) == "the server is currently unable to handle the request (get pods.metrics.k8s.io)"
    assert told(NotFound('pods "x" not found'), asked) == 'pods "x" not found'
    assert told(OSError("connection refused"), asked) == "connection refused"


def test_selectors_are_shown_as_go_shows_them() -> None:
    assert described_by_go(None) == "nil"
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]}
    assert described_by_go(selector) == (
        "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},"
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
    )


# --- asking -------------------------------------------------------------------------------------------------------------------------

V1BETA1 = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns"


def custom(name: str, value: str) -> Object:
    return {"describedObject": {"name": name}, "timestamp": "2026-01-01T12:00:00Z", "value": value}


SERVED: dict[str, list[Object]] = {
    "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods": [measured("p0", app={"cpu": "100m"})],
    f"{CUSTOM}/pods/*/hits": [custom("p0", "10"), custom("p1", "20")],
    f"{CUSTOM}/deployments.apps/front/hits": [custom("front", "2500m")],
    f"{V1BETA1}/queue": [{"value": "10"}, {"value": "5"}],
    f"{V1BETA1}/empty": [],
}
OBJECT_OF_FRONT = {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": FRONT, "target": {}}}
READ: dict[str, tuple[Object, Measured | str]] = {
    "a resource": (resource_metric(), Measured({"p0": PodMetric(100, NOW, 15.5)})),
    "a resource of a container": (CONTAINER, Measured({"p0": PodMetric(100, NOW, 15.5)})),
    "pods": (PODS_METRIC, Measured({"p0": PodMetric(10_000, NOW, 60.0), "p1": PodMetric(20_000, NOW, 60.0)})),
    "an object": (OBJECT_OF_FRONT, Measured(value=2500)),
    "something outside": (external(), Measured(value=15_000)),
    "nothing outside": (external("empty"), "no metrics returned from external metrics API"),
}


@virtual
async def test_metrics_are_asked_of_who_serves_them() -> None:
    api = FakeApi(random.Random(1))
    for path, items in SERVED.items():
        api.put(path, {"items": items})
    client = Client(AsgiTransport(api), user_agent="test", clock=LoopClock(NOW))
    reader = MetricsReader(client)

    async def read(spec: Object) -> Measured | str:
        sample = await reader.read(spec, namespace="ns", selector="a=b", resource_of=known)
        return str(sample) if isinstance(sample, NoMetrics) else sample

    assert await read(PODS_METRIC) == str(NOT_REGISTERED)
    api.put("/apis/custom.metrics.k8s.io", {"versions": [{"version": "v1beta1"}]})
    assert {name: await read(spec) for name, (spec, _) in READ.items()} == {name: expected for name, (_, expected) in READ.items()}
    assert ("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods?labelSelector=a%3Db") in api.requests
    await client.close()
