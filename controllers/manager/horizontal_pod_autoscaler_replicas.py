"""How many replicas a metric asks for. Pure: pods, what was measured, and a target in; a number and what was found out.

All amounts are in thousandths. Pods whose metric is missing, and those that are not ready, are counted so that in doubt less is changed:
see `_refilled`. Source: upstream `pkg/controller/podautoscaler/replica_calculator.go` and `metrics/utilization.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kube.clock import parse_time
from kube.objects import Object, condition_of, is_deleting, name_of
from kube.quantity import parse

from .pod import is_ready, phase_of

CPU_INITIALIZATION_S = 300
"""So long after its start a pod's CPU counts only once it is ready, and measured since."""
INITIAL_READINESS_DELAY_S = 30
"""A pod that is not ready, and was not in this time after its start, was never ready."""
NO_PODS = "no pods returned by selector while calculating replica count"


class CannotTell(Exception):
    """No number follows from what was measured; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class PodMetric:
    """What was measured of a pod, in thousandths, over `window_s` up to `timestamp`."""

    value: int
    timestamp: datetime | None = None
    window_s: float = 0.0


PodMetrics = Mapping[str, PodMetric]
"""By the pod's name."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the ratio of usage and target may be from 1 without anything being done about it."""

    down: float = 0.1
    up: float = 0.1

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(slots=True)
class Groups:
    """The pods, by what their metrics are worth. `ready` is how many count fully."""

    ready: int = 0
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)


def grouped(pods: Iterable[Object], metrics: PodMetrics, now: datetime, *, resource: str = "") -> Groups:
    """Which pods count how. `resource` is that of a resource metric: only CPU is known to be odd while a pod starts."""
    groups = Groups()
    for pod in pods:
        name = name_of(pod)
        if is_deleting(pod) or phase_of(pod) == "Failed":
            groups.ignored.add(name)
        elif phase_of(pod) == "Pending":
            groups.unready.add(name)
        elif name not in metrics:
            groups.missing.add(name)
        elif resource == "cpu" and _is_starting(pod, metrics[name], now):
            groups.unready.add(name)
        else:
            groups.ready += 1
    return groups


def _is_starting(pod: Object, metric: PodMetric, now: datetime) -> bool:
    """Whether a pod's CPU usage is that of its start, and not of its work."""
    ready, started = condition_of(pod, "Ready"), parse_time((pod.get("status") or {}).get("startTime"))
    changed = parse_time((ready or {}).get("lastTransitionTime"))
    if ready is None or started is None or changed is None:
        return True
    is_not_ready = ready.get("status") == "False"
    if started + timedelta(seconds=CPU_INITIALIZATION_S) > now:
        measured = metric.timestamp or now
        return is_not_ready or measured < changed + timedelta(seconds=metric.window_s)
    return is_not_ready and started + timedelta(seconds=INITIAL_READINESS_DELAY_S) > changed


# --- usage of pods ------------------------------------------------------------------------------------------------------------


def by_utilization(
    current: int,
    target_percent: int,
    pods: Sequence[Object],
    metrics: PodMetrics,
    *,
    resource: str,
    container: str,
    tolerance: Tolerance,
    now: datetime,
) -> tuple[int, int, int]:
    """(replicas, the present percentage of what is requested, the present usage of a pod). Raises CannotTell."""
    counted = _counted(pods, metrics, now, resource)
    requests = {name_of(pod): request_of(pod, resource, container) for pod in pods}

    def ratio(values: Mapping[str, int]) -> float:
        return _utilization(values, requests)[0] / target_percent

    utilization, usage = _utilization(counted.values, requests)
    fallback = max(100, target_percent)
    full = {name: requests[name] * fallback // 100 for name in counted.groups.missing}
    return _replicas(current, counted, ratio, full, tolerance, fills_even=False), utilization, usage


def _utilization(values: Mapping[str, int], requests: Mapping[str, int]) -> tuple[int, int]:
    """(percentage of the requests that is used, usage of a pod) of those pods that are known. Raises CannotTell."""
    known = [name for name in values if name in requests]
    requested, used = sum(requests[name] for name in known), sum(values[name] for name in known)
    if requested == 0:
        raise CannotTell("no metrics returned matched known pods")
    return used * 100 // requested, used // len(known)


def by_average(
    current: int, target: int, pods: Sequence[Object], metrics: PodMetrics, *, tolerance: Tolerance, now: datetime, resource: str = ""
) -> tuple[int, int]:
    """(replicas, the present average of the pods). Raises CannotTell."""
    counted = _counted(pods, metrics, now, resource)

    def ratio(values: Mapping[str, int]) -> float:
        return _average(values) / target

    full = dict.fromkeys(counted.groups.missing, target)
    return _replicas(current, counted, ratio, full, tolerance, fills_even=True), _average(counted.values)


def _average(values: Mapping[str, int]) -> int:
    return sum(values.values()) // len(values)


def request_of(pod: Object, resource: str, container: str = "") -> int:
    """What a pod, or one container of it, requests. Raises CannotTell where a container requests nothing of it."""
    of_pod = ((pod["spec"].get("resources") or {}).get("requests") or {}).get(resource)
    if of_pod is not None and not container:
        return parse(of_pod).milli_value()
    sidecars = [each for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy") == "Always"]
    total = 0
    for each in (*pod["spec"].get("containers", ()), *sidecars):
        if container in ("", each["name"]):
            request = ((each.get("resources") or {}).get("requests") or {}).get(resource)
            if request is None:
                raise CannotTell(f"missing request for {resource} in container {each['name']} of Pod {name_of(pod)}")
            total += parse(request).milli_value()
    return total


@dataclass(frozen=True, slots=True)
class _Counted:
    groups: Groups
    values: dict[str, int]
    """Of those pods that count fully."""


def _counted(pods: Sequence[Object], metrics: PodMetrics, now: datetime, resource: str) -> _Counted:
    if not pods:
        raise CannotTell(NO_PODS)
    groups = grouped(pods, metrics, now, resource=resource)
    left_out = groups.ignored | groups.unready
    values = {name: each.value for name, each in metrics.items() if name not in left_out}
    if not values:
        raise CannotTell("did not receive metrics for targeted pods (pods might be unready)")
    return _Counted(groups, values)


def _replicas(
    current: int,
    counted: _Counted,
    ratio_of: Callable[[Mapping[str, int]], float],
    full: Mapping[str, int],
    tolerance: Tolerance,
    *,
    fills_even: bool,
) -> int:
    """What follows from the ratio of usage and target; `full` is what missing pods are taken to use where that keeps them."""
    ratio, groups = ratio_of(counted.values), counted.groups
    adds_unready = bool(groups.unready) and ratio > 1.0
    if not adds_unready and not groups.missing:
        return current if tolerance.covers(ratio) else math.ceil(ratio * groups.ready)
    values = _refilled(counted, ratio, full, fills_even=fills_even)
    new_ratio = ratio_of(values)
    if tolerance.covers(new_ratio) or (ratio < 1.0 < new_ratio) or (new_ratio < 1.0 < ratio):
        return current
    replicas = math.ceil(new_ratio * len(values))
    turns_round = (new_ratio < 1.0 and replicas > current) or (new_ratio > 1.0 and replicas < current)
    return current if turns_round else replicas


def _refilled(counted: _Counted, ratio: float, full: Mapping[str, int], *, fills_even: bool) -> dict[str, int]:
    """With a guess for those of which nothing is known: on the way down they use all they may, on the way up nothing at all."""
    values, groups = dict(counted.values), counted.groups
    if ratio < 1.0:
        values |= full
    elif ratio > 1.0 or fills_even:
        values |= dict.fromkeys(groups.missing, 0)
    if ratio > 1.0:
        values |= dict.fromkeys(groups.unready, 0)
    return values


# --- one value for all ------------------------------------------------------------------------------------------------------------


def by_value(current: int, target: int, usage: int, pods: Sequence[Object], *, tolerance: Tolerance) -> int:
    """The replicas that bring a value to its target, if it falls with their number. From none it is the ratio itself. Raises CannotTell."""
    ratio = usage / target
    if current == 0:
        return math.ceil(ratio)
    if tolerance.covers(ratio):
        return current
    if not pods:
        raise CannotTell(f"unable to calculate ready pods: {NO_PODS}")
    return math.ceil(ratio * sum(1 for pod in pods if phase_of(pod) == "Running" and is_ready(pod)))


def per_pod(replicas: int, target: int, usage: int, *, tolerance: Tolerance) -> tuple[int, int]:
    """(replicas, the present share of each) for a value that `replicas` pods have between them."""
    if replicas == 0:
        return math.ceil(usage / target), usage
    wanted = replicas if tolerance.covers(usage / (target * replicas)) else math.ceil(usage / target)
    return wanted, math.ceil(usage / replicas)
