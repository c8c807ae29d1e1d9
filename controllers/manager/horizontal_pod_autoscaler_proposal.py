"""What one of an autoscaler's metrics says: the replicas it asks for and its status, or why it says nothing. Pure.

Source: upstream `pkg/controller/podautoscaler/horizontal.go` (computeReplicasForMetric, computeStatusFor...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kube.objects import Object
from kube.quantity import from_milli, parse

from .horizontal_pod_autoscaler_metrics import SOURCES, Measured, NoMetrics, Sample
from .horizontal_pod_autoscaler_replicas import CannotTell, PodMetrics, Tolerance, by_average, by_utilization, by_value, per_pod


@dataclass(frozen=True, slots=True)
class Proposal:
    """The replicas that a metric asks for, what events call it, and its entry in `status.currentMetrics`."""

    replicas: int
    name: str
    status: Object


class Unusable(Exception):
    """A metric that says nothing: `reason` and the text are those of the event, `summary` that of the failure as a whole."""

    def __init__(self, reason: str, text: str, summary: str) -> None:
        super().__init__(text)
        self.reason, self.text, self.summary = reason, text, summary


@dataclass(frozen=True, slots=True)
class Target:
    """The scaled object as a metric sees it: replicas as they should be and as they are, and the pods of its selector."""

    namespace: str
    replicas: int
    status_replicas: int
    pods: Sequence[Object]
    tolerance: Tolerance
    now: datetime


def propose(spec: Object, sample: Sample, target: Target) -> Proposal:
    """What the metric `spec` says. Raises Unusable."""
    kind = spec.get("type", "")
    work = _KINDS.get(kind)
    if work is None:
        text = f'unknown metric source type "{kind}"'
        raise Unusable("InvalidMetricSourceType", text, text)
    source = spec[SOURCES[kind]]
    try:
        return work(source, sample, target)
    except (NoMetrics, CannotTell) as error:
        text = str(error)
        raise Unusable(f"FailedGet{kind}Metric", text, _summary(kind, source, text)) from error


def _summary(kind: str, source: Object, text: str) -> str:
    if kind == "Object":
        return f"failed to get object metric value: {text}"
    if kind == "Pods":
        return f"failed to get pods metric value: {text}"
    if kind == "Resource":
        return f"failed to get {source.get('name')} resource metric value: {text}"
    if kind == "ContainerResource":
        return f"failed to get {source.get('container')} container metric value: {text}"
    return f"failed to get {source['metric']['name']} external metric value: {text}"


def _measured(sample: Sample, prefix: str) -> Measured:
    """Raises NoMetrics, with the prefix."""
    if isinstance(sample, NoMetrics):
        raise NoMetrics(f"{prefix}{sample}")
    return sample


def _milli(quantity: Any) -> int:
    return parse(quantity).milli_value()


def _shown(milli: int) -> str:
    return str(from_milli(milli))


def _identifier(source: Object) -> Object:
    return {key: value for key, value in source["metric"].items() if key in ("name", "selector") and value is not None}


# --- resources --------------------------------------------------------------------------------------------------------------------


def _resource(source: Object, sample: Sample, target: Target) -> Proposal:
    replicas, name, current = _of_resource(source, sample, target, "")
    return Proposal(replicas, name, {"type": "Resource", "resource": {"name": source["name"], "current": current}})


def _container_resource(source: Object, sample: Sample, target: Target) -> Proposal:
    container = source["container"]
    replicas, name, current = _of_resource(source, sample, target, container)
    status = {"name": source["name"], "container": container, "current": current}
    return Proposal(replicas, name, {"type": "ContainerResource", "containerResource": status})


def _of_resource(source: Object, sample: Sample, target: Target, container: str) -> tuple[int, str, Object]:
    resource, wanted = source["name"], source.get("target") or {}
    unmeasured = f"unable to get metrics for resource {resource}: "
    if wanted.get("averageValue") is not None:
        prefix = f"failed to get {resource} usage: "
        metrics = _pods(sample, prefix + unmeasured)
        wanted_milli = _milli(wanted["averageValue"])
        replicas, usage = _prefixed(
            prefix,
            lambda: by_average(
                target.replicas, wanted_milli, target.pods, metrics, tolerance=target.tolerance, now=target.now, resource=resource
            ),
        )
        return replicas, f"{resource} resource", {"averageValue": _shown(usage)}
    percent = wanted.get("averageUtilization")
    if percent is None:
        raise CannotTell(
            "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
        )
    prefix = f"failed to get {resource} utilization: "
    metrics = _pods(sample, prefix + unmeasured)
    replicas, utilization, usage = _prefixed(
        prefix,
        lambda: by_utilization(
            target.replicas,
            percent,
            target.pods,
            metrics,
            resource=resource,
            container=container,
            tolerance=target.tolerance,
            now=target.now,
        ),
    )
    kind = "container resource" if container else "resource"
    name = f"{resource} {kind} utilization (percentage of request)"
    return replicas, name, {"averageUtilization": utilization, "averageValue": _shown(usage)}


def _pods(sample: Sample, prefix: str) -> PodMetrics:
    return _measured(sample, prefix).pods or {}


def _prefixed(prefix: str, work: Any) -> Any:
    """What `work` answers. Raises CannotTell, with the prefix."""
    try:
        return work()
    except CannotTell as error:
        raise CannotTell(f"{prefix}{error}") from error


# --- custom and external metrics ----------------------------------------------------------------------------------------------------


def _pods_metric(source: Object, sample: Sample, target: Target) -> Proposal:
    name = source["metric"]["name"]
    metrics = _pods(sample, f"unable to get metric {name}: ")
    wanted = _milli(source["target"].get("averageValue"))
    replicas, average = by_average(target.replicas, wanted, target.pods, metrics, tolerance=target.tolerance, now=target.now)
    status = {"metric": _identifier(source), "current": {"averageValue": _shown(average)}}
    return Proposal(replicas, f"pods metric {name}", {"type": "Pods", "pods": status})


def _object(source: Object, sample: Sample, target: Target) -> Proposal:
    name, described, wanted = source["metric"]["name"], source["describedObject"], source["target"]
    unmeasured = f"unable to get metric {name}: "
    about = {"metric": _identifier(source), "describedObject": described}
    if wanted.get("type") == "Value":
        usage = _of_object(sample, unmeasured, described, target)
        replicas = by_value(target.replicas, _milli(wanted.get("value")), usage, target.pods, tolerance=target.tolerance)
        status = {**about, "current": {"value": _shown(usage)}}
        return Proposal(replicas, f"{described['kind']} metric {name}", {"type": "Object", "object": status})
    if wanted.get("type") == "AverageValue":
        usage = _of_object(sample, f"failed to get {name} object metric: {unmeasured}", described, target)
        replicas, average = per_pod(target.status_replicas, _milli(wanted.get("averageValue")), usage, tolerance=target.tolerance)
        status = {**about, "current": {"averageValue": _shown(average)}}
        return Proposal(
            replicas, f"external metric {name}({described_by_go(source['metric'].get('selector'))})", {"type": "Object", "object": status}
        )
    raise CannotTell("invalid object metric source: neither a value target nor an average value target was set")


def _of_object(sample: Sample, prefix: str, described: Object, target: Target) -> int:
    """The value of an object's metric. The words around a failure are upstream's, in upstream's order."""
    if isinstance(sample, NoMetrics):
        raise NoMetrics(f"{prefix}{described.get('kind')} on {target.namespace} {described.get('name')}/{sample}")
    return sample.value


def _external(source: Object, sample: Sample, target: Target) -> Proposal:
    metric, wanted = source["metric"], source["target"]
    name = metric["name"]
    shown = f"external metric {name}({described_by_go(metric.get('selector'))})"
    prefix = f"failed to get {name} external metric: "
    unmeasured = f"{prefix}unable to get external metric {target.namespace}/{name}/{described_by_go(metric.get('selector'))}: "
    about = {"metric": _identifier(source)}
    if wanted.get("averageValue") is not None:
        usage = _measured(sample, unmeasured).value
        replicas, average = per_pod(target.status_replicas, _milli(wanted["averageValue"]), usage, tolerance=target.tolerance)
        return Proposal(replicas, shown, {"type": "External", "external": {**about, "current": {"averageValue": _shown(average)}}})
    if wanted.get("value") is not None:
        usage = _measured(sample, unmeasured).value
        replicas = _prefixed(
            prefix, lambda: by_value(target.replicas, _milli(wanted["value"]), usage, target.pods, tolerance=target.tolerance)
        )
        return Proposal(replicas, shown, {"type": "External", "external": {**about, "current": {"value": _shown(usage)}}})
    raise CannotTell("invalid external metric source: neither a value target nor an average value target was set")


def described_by_go(selector: Object | None) -> str:
    """A LabelSelector as Go prints a pointer to one."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{each.get('key')},Operator:{each.get('operator')},Values:[{' '.join(each.get('values') or ())}],}},"
        for each in selector.get("matchExpressions") or ()
    )
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"


_KINDS: dict[str, Callable[[Object, Sample, Target], Proposal]] = {
    "Resource": _resource,
    "ContainerResource": _container_resource,
    "Pods": _pods_metric,
    "Object": _object,
    "External": _external,
}
