"""The rules of HorizontalPodAutoscalers, as autoscaling/v2 sees them. Metrics are in `metrics.py`.

Source: kubernetes `pkg/apis/autoscaling/validation` and `pkg/registry/autoscaling/horizontalpodautoscaler`.
"""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.metadata import complaints
from apiserver.validation.metrics import validate_metrics
from apiserver.validation.names import is_path_segment_name
from apiserver.validation.workloads import counts_not_negative
from kube.errors import FieldError, invalid, not_supported, required
from kube.objects import Object
from kube.quantity import parse

_SELECT_POLICIES = ("Disabled", "Max", "Min")
_POLICY_TYPES = ("Percent", "Pods")
_PERIOD_S_MAX, _WINDOW_S_MAX = 1800, 3600

Errors = list[FieldError]


def validate(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of the autoscaler itself. One that may scale to zero already, may go on doing so."""
    spec, before = new["spec"], old["spec"] if old is not None else {}
    least = 0 if before.get("minReplicas") == 0 else 1
    errors = _replicas(spec, least)
    target = spec.get("scaleTargetRef") or {}
    errors += validate_object_reference(target, "spec.scaleTargetRef")
    if target.get("apiVersion") != (before.get("scaleTargetRef") or {}).get("apiVersion") or old is None:
        errors += _api_version(target, "spec.scaleTargetRef.apiVersion")
    errors += validate_metrics(spec.get("metrics") or [], "spec.metrics", min_replicas=spec.get("minReplicas"))
    return errors + _behavior(spec.get("behavior") or {}, "spec.behavior")


def _replicas(spec: Object, least: int) -> Errors:
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    errors: Errors = []
    if low is not None and low < least:
        errors.append(invalid("spec.minReplicas", low, f"must be greater than or equal to {least}"))
    if high == 0:
        errors.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif high < 1:
        errors.append(invalid("spec.maxReplicas", high, "must be greater than or equal to 1"))
    if low is not None and high < low:
        errors.append(invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`"))
    return errors


def validate_object_reference(reference: Object, path: str) -> Errors:
    """A CrossVersionObjectReference's kind and name."""
    errors: Errors = []
    for name in ("kind", "name"):
        value = reference.get(name) or ""
        errors += complaints(f"{path}.{name}", value, is_path_segment_name(value)) if value else [required(f"{path}.{name}")]
    return errors


def _api_version(target: Object, path: str) -> Errors:
    """A group is needed, but for ReplicationControllers, which are of the core group."""
    text = target.get("apiVersion") or ""
    if text.count("/") > 1:
        return [invalid(path, text, f"unexpected GroupVersion string: {text}")]
    if "/" in text or (text == "v1" and target.get("kind") == "ReplicationController"):
        return []
    return [invalid(path, text, "apiVersion must specify API group")]


# --- behaviour --------------------------------------------------------------------------------------------------------


def _behavior(behavior: Object, path: str) -> Errors:
    errors: Errors = []
    for name in ("scaleUp", "scaleDown"):
        if behavior.get(name) is not None:
            errors += _scaling_rules(behavior[name], f"{path}.{name}")
    return errors


def _scaling_rules(rules: Object, path: str) -> Errors:
    window_s, select, tolerance = (rules.get(name) for name in ("stabilizationWindowSeconds", "selectPolicy", "tolerance"))
    errors: Errors = []
    if window_s is not None and window_s < 0:
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window_s, "must be greater than or equal to zero"))
    if window_s is not None and window_s > _WINDOW_S_MAX:
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window_s, f"must be less than or equal to {_WINDOW_S_MAX}"))
    if select is not None and select not in _SELECT_POLICIES:
        errors.append(not_supported(f"{path}.selectPolicy", select, _SELECT_POLICIES))
    policies = rules.get("policies") or []
    if not policies:
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        errors += _scaling_policy(policy, f"{path}.policies[{index}]")
    if tolerance is not None and parse(tolerance).nano < 0:
        errors.append(invalid(f"{path}.tolerance", str(parse(tolerance)), "must be greater than or equal to 0"))
    return errors


def _scaling_policy(policy: Object, path: str) -> Errors:
    kind, value, period_s = policy.get("type") or "", policy.get("value") or 0, policy.get("periodSeconds") or 0
    errors: Errors = []
    if kind not in _POLICY_TYPES:
        errors.append(not_supported(f"{path}.type", kind, _POLICY_TYPES))
    if value <= 0:
        errors.append(invalid(f"{path}.value", value, "must be greater than zero"))
    if period_s <= 0:
        errors.append(invalid(f"{path}.periodSeconds", period_s, "must be greater than zero"))
    if period_s > _PERIOD_S_MAX:
        errors.append(invalid(f"{path}.periodSeconds", period_s, f"must be less than or equal to {_PERIOD_S_MAX}"))
    return errors


def validate_status(new: Object, _old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of horizontalpodautoscalers/status."""
    return counts_not_negative(new.get("status") or {}, ("currentReplicas", "desiredReplicas"), "status")
