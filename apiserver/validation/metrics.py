"""The rules of an autoscaler's metrics: one source of the named type, with a target that this type can have.

Source: kubernetes `pkg/apis/autoscaling/validation`, quirks included: an unknown type is said twice.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1123_label, is_path_segment_name
from apiserver.validation.requirements import container_resource_name
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object
from kube.quantity import parse

_TYPES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_TARGET_TYPES = ("Utilization", "Value", "AverageValue")

Errors = list[FieldError]


def validate_metrics(metrics: list[Object], path: str, *, min_replicas: int | None) -> Errors:
    errors: Errors = []
    for index, metric in enumerate(metrics):
        errors += _metric(metric, f"{path}[{index}]")
    if min_replicas == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        why = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(not_allowed(path, why))
    return errors


def _metric(metric: Object, path: str) -> Errors:
    kind = metric.get("type") or ""
    errors: Errors = []
    if not kind:
        errors.append(required(f"{path}.type", "must specify a metric source type"))
    if kind not in _TYPES:
        errors.append(not_supported(f"{path}.type", kind, list(_TYPES)))
    given = [name for name in _SOURCES if metric.get(name) is not None]
    if given:
        errors += _SOURCES[given[0]](metric[given[0]], f"{path}.{given[0]}")
    expected = _TYPES.get(kind)
    if expected is None:
        errors.append(not_supported(f"{path}.type", kind, list(_TYPES)))
    elif expected not in given:
        errors.append(required(f"{path}.{expected}", "must populate information for the given metric source"))
    if len(given) > 1:
        errors += [not_allowed(f"{path}.{name}", "must populate the given metric source only") for name in given if name != expected]
    return errors


# --- sources ----------------------------------------------------------------------------------------------------------


def _object(source: Object, path: str) -> Errors:
    errors: Errors = []
    described = source.get("describedObject") or {}
    for name in ("kind", "name"):
        value, at = described.get(name) or "", f"{path}.describedObject.{name}"
        errors += complaints(at, value, is_path_segment_name(value)) if value else [required(at)]
    errors += _identifier_and_target(source, path)
    target = source.get("target") or {}
    if target.get("value") is None and target.get("averageValue") is None:
        errors.append(required(f"{path}.target.averageValue", "must set either a target value or averageValue"))
    return errors


def _external(source: Object, path: str) -> Errors:
    errors = _identifier_and_target(source, path)
    target = source.get("target") or {}
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        errors.append(required(f"{path}.target.averageValue", "must set either a target value for metric or a per-pod target"))
    if value is not None and average is not None:
        errors.append(not_allowed(f"{path}.target.value", "may not set both a target value for metric and a per-pod target"))
    return errors


def _pods(source: Object, path: str) -> Errors:
    errors = _identifier_and_target(source, path)
    if (source.get("target") or {}).get("averageValue") is None:
        errors.append(required(f"{path}.target.averageValue", "must specify a positive target averageValue"))
    return errors


def _container_resource(source: Object, path: str) -> Errors:
    errors: Errors = []
    rules = (("name", container_resource_name, "a resource name"), ("container", is_dns1123_label, "a container"))
    for name, rule, what in rules:
        value, at = source.get(name) or "", f"{path}.{name}"
        errors += complaints(at, value, rule(value)) if value else [required(at, f"must specify {what}")]
    return errors + _resource_target(source, path)


def _resource(source: Object, path: str) -> Errors:
    errors = [] if source.get("name") else [required(f"{path}.name", "must specify a resource name")]
    return errors + _resource_target(source, path)


def _resource_target(source: Object, path: str) -> Errors:
    target = source.get("target") or {}
    errors = _target(target, f"{path}.target")
    utilization, average = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and average is None:
        why = "must set either a target raw value or a target utilization"
        errors.append(required(f"{path}.target.averageUtilization", why))
    if utilization is not None and average is not None:
        why = "may not set both a target raw value and a target utilization"
        errors.append(not_allowed(f"{path}.target.averageValue", why))
    return errors


def _identifier_and_target(source: Object, path: str) -> Errors:
    name = (source.get("metric") or {}).get("name") or ""
    at = f"{path}.metric.name"
    errors = complaints(at, name, is_path_segment_name(name)) if name else [required(at, "must specify a metric name")]
    return errors + _target(source.get("target") or {}, f"{path}.target")


def _target(target: Object, path: str) -> Errors:
    kind, utilization = target.get("type") or "", target.get("averageUtilization")
    errors: Errors = []
    if not kind:
        errors.append(required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGET_TYPES:
        errors.append(invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if (text := target.get(name)) is not None and parse(text).nano <= 0:
            errors.append(invalid(f"{path}.{name}", text, "must be positive"))
    if utilization is not None and utilization < 1:
        errors.append(invalid(f"{path}.averageUtilization", utilization, "must be greater than 0"))
    return errors


_SOURCES: dict[str, Callable[[Object, str], Errors]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}
"""In the order in which upstream looks; only the first that is given is looked into."""
