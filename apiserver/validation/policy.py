"""The rules of PodDisruptionBudgets. Source: kubernetes `pkg/apis/policy/validation`."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.metadata import has_bad_label_value, validate_conditions, validate_label_selector
from apiserver.validation.workloads import counts_not_negative, int_or_percent, not_above_100_percent
from kube.errors import FieldError, invalid, not_supported
from kube.objects import Object

_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def validate(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    spec = new.get("spec") or {}
    bad_values = old is not None and has_bad_label_value((old.get("spec") or {}).get("selector"))
    errors: list[FieldError] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        errors.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        if (value := spec.get(name)) is not None:
            errors += int_or_percent(value, f"spec.{name}") + not_above_100_percent(value, f"spec.{name}")
    errors += validate_label_selector(spec.get("selector"), "spec.selector", allow_bad_values=bad_values)
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION_POLICIES:
        errors.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES))
    return errors


def validate_status(new: Object, _old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    status = new.get("status") or {}
    errors = validate_conditions(status.get("conditions"), "status.conditions")
    return errors + counts_not_negative(status, _COUNTS, "status")
