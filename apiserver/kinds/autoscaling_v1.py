"""HorizontalPodAutoscaler between autoscaling/v2 (the hub) and autoscaling/v1.

v1 has a field for the CPU target alone; everything else travels in four annotations, as JSON of v1's own metric types (behaviour: of
upstream's internal type, whose field names begin with capitals). Source: kubernetes `pkg/apis/autoscaling/v1/conversion.go`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from kube.objects import Object

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CURRENT_METRICS = "autoscaling.alpha.kubernetes.io/current-metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
ROUND_TRIP = (METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR)
"""Annotations that exist in v1 only; a client of v2 cannot set them."""


def drop_round_trip_annotations(obj: Object) -> None:
    meta = obj.get("metadata") or {}
    annotations = meta.get("annotations")
    if annotations and any(each in annotations for each in ROUND_TRIP):
        kept = {key: value for key, value in annotations.items() if key not in ROUND_TRIP}
        if kept:
            meta["annotations"] = kept
        else:
            del meta["annotations"]


# --- one metric -------------------------------------------------------------------------------------------------------
#
# Both directions read the same tables: v1's field, and the path to it in v2. "spec" is what is wanted, "status" what is.

_Paths = tuple[tuple[str, tuple[str, ...], str], ...]
"""(v1 field, v2 path, zero): `zero` is what v1 writes when v2 has nothing, "" for fields that are left out then."""


def _spec_paths() -> dict[str, _Paths]:
    name, selector = ("metric", "name"), ("metric", "selector")
    value, average, utilization = ("target", "value"), ("target", "averageValue"), ("target", "averageUtilization")
    resource: _Paths = (("name", ("name",), ""), ("targetAverageUtilization", utilization, ""), ("targetAverageValue", average, ""))
    return {
        "object": (
            ("target", ("describedObject",), ""),
            ("metricName", name, ""),
            ("targetValue", value, "0"),
            ("selector", selector, ""),
            ("averageValue", average, ""),
        ),
        "pods": (("metricName", name, ""), ("targetAverageValue", average, "0"), ("selector", selector, "")),
        "resource": resource,
        "containerResource": (*resource, ("container", ("container",), "")),
        "external": (
            ("metricName", name, ""),
            ("metricSelector", selector, ""),
            ("targetValue", value, ""),
            ("targetAverageValue", average, ""),
        ),
    }


def _status_paths() -> dict[str, _Paths]:
    name, selector = ("metric", "name"), ("metric", "selector")
    value, average, utilization = ("current", "value"), ("current", "averageValue"), ("current", "averageUtilization")
    resource: _Paths = (("name", ("name",), ""), ("currentAverageUtilization", utilization, ""), ("currentAverageValue", average, "0"))
    return {
        "object": (
            ("target", ("describedObject",), ""),
            ("metricName", name, ""),
            ("currentValue", value, "0"),
            ("selector", selector, ""),
            ("averageValue", average, ""),
        ),
        "pods": (("metricName", name, ""), ("currentAverageValue", average, "0"), ("selector", selector, "")),
        "resource": resource,
        "containerResource": (*resource, ("container", ("container",), "")),
        "external": (
            ("metricName", name, ""),
            ("metricSelector", selector, ""),
            ("currentValue", value, "0"),
            ("currentAverageValue", average, ""),
        ),
    }


_SPEC, _STATUS = _spec_paths(), _status_paths()


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        obj = (obj or {}).get(part)
    return obj


def _metric_to_v1(metric: Object, tables: dict[str, _Paths]) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for source, paths in tables.items():
        if metric.get(source) is None:
            continue
        body: Object = {}
        for field, path, zero in paths:
            found = _at(metric[source], path)
            if found is not None:
                body[field] = _in_order(found) if field == "target" else found
            elif zero:
                body[field] = zero
        out[source] = body
    return out


def _in_order(reference: Object) -> Object:
    """A cross-version reference in the order of upstream's struct."""
    return {key: reference[key] for key in ("kind", "name", "apiVersion") if key in reference}


def _metric_to_v2(metric: Object, tables: dict[str, _Paths], target_type: Callable[[Object], str] | None) -> Object:
    out: Object = {"type": metric.get("type", "")}
    for source, paths in tables.items():
        given = metric.get(source)
        if given is None:
            continue
        body: Object = {}
        for field, path, zero in paths:
            found = given.get(field)
            if found is None or (zero and found == zero):
                continue
            _put(body, path, found)
        if source in ("object", "pods", "external"):
            body.setdefault("metric", {}).setdefault("name", "")
        if target_type is not None:
            target = body.setdefault("target", {})
            body["target"] = {"type": target_type(target), **target}
        else:
            body.setdefault("current", {})
        out[source] = body
    return out


def _put(obj: Object, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        obj = obj.setdefault(part, {})
    obj[path[-1]] = value


def _target_type(target: Object) -> str:
    if "averageUtilization" in target:
        return "Utilization"
    return "AverageValue" if "averageValue" in target else "Value"


# --- behaviour --------------------------------------------------------------------------------------------------------

_RULES = ("StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")
_POLICY = ("Type", "Value", "PeriodSeconds")


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]


def _rules_to_v1(rules: Object | None) -> Object | None:
    if rules is None:
        return None
    out: Object = {each: rules.get(_lower(each)) for each in _RULES}
    if out["Policies"] is not None:
        out["Policies"] = [{each: policy.get(_lower(each)) for each in _POLICY} for policy in out["Policies"]]
    return out


def _rules_to_v2(rules: Any) -> Object | None:
    if not isinstance(rules, dict):
        return None
    given = {_lower(key): value for key, value in rules.items() if value is not None}
    if isinstance(given.get("policies"), list):
        given["policies"] = [
            {_lower(key): value for key, value in policy.items()} for policy in given["policies"] if isinstance(policy, dict)
        ]
    return {key: value for key, value in given.items() if _capital(key) in _RULES}


# --- objects ----------------------------------------------------------------------------------------------------------


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def _is_cpu_target(metric: Object) -> bool:
    resource = metric.get("resource")
    return metric.get("type") == "Resource" and resource is not None and resource.get("name") == "cpu"


def default_v1(hpa: Object) -> None:
    """autoscaling/v1's own defaults."""
    spec = hpa.setdefault("spec", {})
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1


def from_hub(hpa: Object) -> None:
    """autoscaling/v2 to autoscaling/v1, in place."""
    spec, status = hpa["spec"], hpa.get("status") or {}
    annotations = dict(hpa["metadata"].get("annotations") or {})
    metrics, current = spec.pop("metrics", None) or [], status.pop("currentMetrics", None) or []
    conditions, behavior = status.pop("conditions", None), spec.pop("behavior", None)
    others = [
        each for each in metrics if not (_is_cpu_target(each) and _at(each, ("resource", "target", "averageUtilization")) is not None)
    ]
    if others:
        annotations[METRICS] = _dump([_metric_to_v1(each, _SPEC) for each in others])
    if current:
        annotations[CURRENT_METRICS] = _dump([_metric_to_v1(each, _STATUS) for each in current])
    if conditions:
        annotations[CONDITIONS] = _dump([_ordered_condition(each) for each in conditions])
    if behavior:
        annotations[BEHAVIOR] = _dump({_capital(each): _rules_to_v1(behavior.get(each)) for each in ("scaleUp", "scaleDown")})
    if annotations:
        hpa["metadata"]["annotations"] = annotations
    _cpu_fields(spec, status, metrics, current)
    status.setdefault("currentReplicas", 0)
    status.setdefault("desiredReplicas", 0)
    hpa["status"] = status


def _ordered_condition(condition: Object) -> Object:
    order = ("type", "status", "lastTransitionTime", "reason", "message", "observedGeneration")
    return {"type": "", "status": "", "lastTransitionTime": None} | {key: condition[key] for key in order if key in condition}


def _cpu_fields(spec: Object, status: Object, metrics: list[Object], current: list[Object]) -> None:
    target = next((each for each in metrics if _is_cpu_target(each)), None)
    wanted = _at(target, ("resource", "target", "averageUtilization"))
    if wanted is not None:
        spec["targetCPUUtilizationPercentage"] = wanted
    for each in current:
        used = _at(each, ("resource", "current", "averageUtilization")) if _is_cpu_target(each) else None
        if used is not None:
            status["currentCPUUtilizationPercentage"] = used


def _load(annotations: Object, name: str) -> Any:
    """What an annotation holds, None when there is none or it is no JSON (upstream ignores those)."""
    try:
        return json.loads(annotations[name]) if name in annotations else None
    except ValueError:
        return None


def _objects(value: Any) -> list[Object]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def to_hub(hpa: Object) -> None:
    """autoscaling/v1 to autoscaling/v2, in place. What the annotations say goes before the field, and replaces the status."""
    spec = hpa.setdefault("spec", {})
    status = hpa.get("status") or {}
    annotations = hpa["metadata"].get("annotations") or {}
    metrics = [_metric_to_v2(each, _SPEC, _target_type) for each in _objects(_load(annotations, METRICS))]
    wanted = spec.pop("targetCPUUtilizationPercentage", None)
    if wanted is not None:
        metrics.append(_cpu_metric(wanted))
    if metrics:
        spec["metrics"] = metrics
    behavior = _load(annotations, BEHAVIOR)
    if isinstance(behavior, dict):
        rules = {_lower(key): _rules_to_v2(value) for key, value in behavior.items() if _lower(key) in ("scaleUp", "scaleDown")}
        spec["behavior"] = {key: value for key, value in rules.items() if value is not None}
    status["currentMetrics"] = _current_metrics(annotations, status.pop("currentCPUUtilizationPercentage", None))
    conditions = _objects(_load(annotations, CONDITIONS))
    if conditions:
        status["conditions"] = conditions
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    hpa["status"] = status
    drop_round_trip_annotations(hpa)


def _cpu_metric(utilization: int) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": utilization}}}


def _current_metrics(annotations: Object, cpu: int | None) -> list[Object] | None:
    found = [_metric_to_v2(each, _STATUS, None) for each in _objects(_load(annotations, CURRENT_METRICS))]
    if found:
        return found
    if cpu is None:
        return None
    return [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": cpu}}}]
