"""LimitRanges and ResourceQuotas. Source: kubernetes `pkg/apis/core/validation/validation.go`, `pkg/apis/core/helper/helpers.go`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import IMMUTABLE, complaints
from apiserver.validation.names import is_qualified_name
from apiserver.validation.requirements import container_resource_name, is_huge_page, is_overcommit_allowed, quantity_value, resource_name
from kube.errors import FieldError, duplicate, invalid, not_allowed, required
from kube.objects import Object
from kube.quantity import Quantity, from_value, parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_STANDARD_QUOTA = frozenset(
    [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "persistentvolumeclaims",
        "configmaps",
        "services.nodeports",
        "services.loadbalancers",
    ]
)
_POD_COMPUTE = frozenset(
    [
        "pods",
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    ]
)
_SCOPES = frozenset(
    {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"}
)
_CONFLICTING = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_EXISTS_ONLY = frozenset({"BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"})
_EXISTS_RULE = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
    "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)
_LIMIT_TYPES = frozenset({"Pod", "Container", "PersistentVolumeClaim"})
_MILLI_MAX = (2**63 - 1) // 1000


# --- ResourceQuotas ---------------------------------------------------------------------------------------------------


def _is_standard_quota(name: str) -> bool:
    return name in _STANDARD_QUOTA or is_huge_page(name) or name.startswith("requests.hugepages-")


def _amount_errors(amounts: Mapping[str, str] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, text in (amounts or {}).items():
        at = f"{path}[{name}]"
        errors += complaints(at, name, resource_name(name))
        if "/" not in name and not _is_standard_quota(name):
            errors.append(invalid(at, name, "must be a standard resource for quota"))
        errors += quantity_value(name, parse(text), at)
    return errors


def _fits_scope(scope: str, name: str) -> bool:
    if scope in ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"):
        return name in _POD_COMPUTE or is_huge_page(name) or name.startswith("requests.hugepages-")
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in ("persistentvolumeclaims", "requests.storage")
    return True


def _scope_errors(spec: Object) -> list[FieldError]:
    scopes: Sequence[str] = spec.get("scopes") or ()
    errors: list[FieldError] = []
    for scope in scopes:
        if scope not in _SCOPES:
            errors.append(invalid("spec.scopes", scopes, "unsupported scope"))
        errors += [invalid("spec.scopes", scopes, "unsupported scope applied to resource") for _ in _misfits(spec, scope)]
    return errors + _conflicts(scopes, scopes, "spec.scopes")


def _misfits(spec: Object, scope: str) -> list[str]:
    return [name for name in sorted(spec.get("hard") or ()) if _is_standard_quota(name) and not _fits_scope(scope, name)]


def _conflicts(used: Sequence[str], shown: Sequence[str] | None, path: str) -> list[FieldError]:
    return [invalid(path, shown, "conflicting scopes") for pair in _CONFLICTING if set(pair) <= set(used)]


def _scope_selector_errors(spec: Object) -> list[FieldError]:
    selector = spec.get("scopeSelector")
    if selector is None:
        return []
    path = "spec.scopeSelector.matchExpressions"
    errors: list[FieldError] = []
    requirements = selector.get("matchExpressions") or ()
    for requirement in requirements:
        scope, operator = requirement.get("scopeName") or "", requirement.get("operator") or ""
        if scope not in _SCOPES:
            errors.append(invalid(f"{path}.scopeName", scope, "unsupported scope"))
        errors += [invalid(path, selector, "unsupported scope applied to resource") for _ in _misfits(spec, scope)]
        if scope in _EXISTS_ONLY and operator != "Exists":
            errors.append(invalid(f"{path}.operator", operator, _EXISTS_RULE))
        errors += _operator_errors(operator, requirement.get("values") or [], path)
    return errors + _conflicts([each.get("scopeName") or "" for each in requirements], spec.get("scopes"), path)


def _operator_errors(operator: str, values: Sequence[str], path: str) -> list[FieldError]:
    if operator in ("In", "NotIn"):
        why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        return [] if values else [required(f"{path}.values", why)]
    if operator in ("Exists", "DoesNotExist"):
        why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        return [invalid(f"{path}.values", values, why)] if values else []
    return [invalid(f"{path}.operator", operator, "not a valid selector operator")]


def validate_quota(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = _amount_errors(spec.get("hard"), "spec.hard") + _scope_errors(spec) + _scope_selector_errors(spec)
    if old is None:
        errors += _status_errors(new)
        if not errors:
            ctx.warnings += _quota_warnings(spec.get("hard") or {})
        return errors
    if set(spec.get("scopes") or ()) != set((old.get("spec") or {}).get("scopes") or ()):
        errors.append(invalid("spec.scopes", spec.get("scopes"), IMMUTABLE))
    return errors


def _quota_warnings(hard: Mapping[str, str]) -> list[str]:
    """Of more requests than limits."""
    found: list[str] = []
    for name in ("cpu", "memory", "storage", "ephemeral-storage"):
        request, limit = f"requests.{name}", f"limits.{name}"
        if request not in hard and name in ("cpu", "memory"):
            request = name
        if request in hard and limit in hard and parse(hard[request]) > parse(hard[limit]):
            found.append(f"ResourceQuota {request} ({hard[request]}) should be less than {limit} ({hard[limit]})")
    return found


def _status_errors(quota: Object) -> list[FieldError]:
    status = quota.get("status") or {}
    return _amount_errors(status.get("hard"), "status.hard") + _amount_errors(status.get("used"), "status.used")


def validate_quota_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return _status_errors(new)


# --- LimitRanges ------------------------------------------------------------------------------------------------------


def validate_limit_range(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, item in enumerate((new.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        errors += _limit_type_errors(kind, f"{path}.type")
        if kind in seen:
            errors.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        errors += _limit_item_errors(item, kind, path)
    return errors


def _limit_type_errors(kind: str, path: str) -> list[FieldError]:
    errors = complaints(path, kind, is_qualified_name(kind))
    if not errors and "/" not in kind and kind not in _LIMIT_TYPES:
        errors.append(invalid(path, kind, "must be a standard limit type or fully qualified"))
    return errors


def _limit_item_errors(item: Object, kind: str, path: str) -> list[FieldError]:
    rule = container_resource_name if kind in ("Pod", "Container") else resource_name
    amounts: dict[str, dict[str, Quantity]] = {}
    errors: list[FieldError] = []
    for name in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        given = item.get(name) or {}
        if name == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim" and not _has_storage(item):
            why = "either minimum or maximum storage value is required, but neither was provided"
            errors.append(required(f"{path}.limits", why))
        if kind == "Pod" and name in ("default", "defaultRequest"):
            errors += [not_allowed(f"{path}.{name}", "may not be specified when `type` is 'Pod'")] if given else []
            continue
        for resource in given:
            errors += complaints(f"{path}.{name}[{resource}]", resource, rule(resource))
        amounts[name] = {resource: parse(text) for resource, text in given.items()}
    resources = dict.fromkeys(resource for each in amounts.values() for resource in each)
    for resource in resources:
        errors += _comparison_errors(resource, {name: each.get(resource) for name, each in amounts.items()}, path)
    return errors


def _has_storage(item: Object) -> bool:
    return "storage" in (item.get("min") or {}) or "storage" in (item.get("max") or {})


_ORDER = (
    ("min", "max", "min", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {0} is greater than max value {1}"),
    ("defaultRequest", "default", "defaultRequest", "default request value {0} is greater than default limit value {1}"),
    ("min", "default", "default", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "default value {0} is greater than max value {1}"),
)
"""(lower, higher, the field that upstream names, why). What is quoted is the named field's value, but for the last two (see below)."""


def _comparison_errors(resource: str, of: Mapping[str, Quantity | None], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for low_name, high_name, at, why in _ORDER:
        low, high = of.get(low_name), of.get(high_name)
        if low is not None and high is not None and low > high:
            shown = low if (low_name, at) in (("min", "min"), ("min", "default"), ("defaultRequest", "defaultRequest")) else high
            errors.append(invalid(f"{path}.{at}[{resource}]", str(shown), why.format(low, high)))
    errors += _ratio_errors(of.get("maxLimitRequestRatio"), of.get("min"), of.get("max"), f"{path}.maxLimitRequestRatio[{resource}]")
    limit, request = of.get("default"), of.get("defaultRequest")
    if limit is not None and request is not None and limit != request and not is_overcommit_allowed(resource):
        why = f"default value {limit} must equal to defaultRequest value {request} in {resource}"
        errors.append(invalid(f"{path}.defaultRequest[{resource}]", str(request), why))
    return errors


def _ratio_errors(ratio: Quantity | None, low: Quantity | None, high: Quantity | None, path: str) -> list[FieldError]:
    if ratio is None:
        return []
    errors = [invalid(path, str(ratio), f"ratio {ratio} is less than 1")] if ratio < from_value(1) else []
    if low is None or high is None:
        return errors
    values = [ratio.value(), low.value(), high.value()]
    scale = 1.0
    if all(value < _MILLI_MAX for value in values):
        values, scale = [each.milli_value() for each in (ratio, low, high)], 1000.0
    most = values[2] / values[1] if values[1] else float("inf")
    if values[0] / scale > most:
        errors.append(invalid(path, str(ratio), f"ratio {ratio} is greater than max/min = {most:f}"))
    return errors
