"""The rules of DaemonSets. Source: kubernetes `pkg/apis/apps/validation` and `pkg/registry/apps/daemonset`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import has_bad_label_value, immutable, validate_label_selector
from apiserver.validation.pod_warnings import warn_of_template
from apiserver.validation.podspec import validate_template
from apiserver.validation.workloads import (
    amount_of,
    collision_count_kept,
    counts_not_negative,
    go_strategy,
    int_or_percent,
    mismatch,
    not_above_100_percent,
    template_labels,
    validate_always_restarts,
)
from kube.errors import FieldError, invalid, not_supported, required
from kube.labels import LabelSelectorError, from_object
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)


def validate(new: Object, old: Object | None, ctx: Context | None = None) -> Sequence[FieldError]:
    """A write of the DaemonSet itself. Upstream says first what may not change."""
    selector, before = new["spec"].get("selector"), old["spec"].get("selector") if old is not None else None
    errors = immutable(selector, before, "spec.selector") if old is not None else []
    errors += _spec(new["spec"], ctx, bad_values=has_bad_label_value(before))
    if not errors:
        warn_of_template(ctx, new, old, named=False)
    return errors


def _spec(spec: Object, ctx: Context | None, *, bad_values: bool) -> list[FieldError]:
    selector, template = spec.get("selector"), spec.get("template") or {}
    errors = validate_label_selector(selector, "spec.selector", allow_bad_values=bad_values)
    if not _matches(selector, template):
        errors.append(mismatch(template, "spec.template", ctx))
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid("spec.selector", selector, "empty selector is invalid for daemonset"))
    errors += validate_template(template, "spec.template")
    errors += validate_always_restarts(template, "spec.template", "DaemonSet")
    errors += counts_not_negative(spec, ("minReadySeconds",), "spec")
    errors += _strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
    return errors + counts_not_negative(spec, ("revisionHistoryLimit",), "spec")


def _matches(selector: Object | None, template: Object) -> bool:
    try:
        return from_object(selector).matches(template_labels(template) or {})
    except LabelSelectorError:
        return True


def _strategy(strategy: Object, path: str) -> list[FieldError]:
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "OnDelete":
            return []
        case "RollingUpdate":
            return _rolling(rolling, f"{path}.rollingUpdate") if rolling is not None else [required(f"{path}.rollingUpdate")]
    return [not_supported(path, go_strategy(strategy), ["RollingUpdate", "OnDelete"])]


def _rolling(rolling: Object, path: str) -> list[FieldError]:
    """Exactly one of maxUnavailable and maxSurge is above zero."""
    values = {name: rolling.get(name, 0) for name in ("maxUnavailable", "maxSurge")}
    errors: list[FieldError] = []
    for check in (int_or_percent, not_above_100_percent):
        for name, value in values.items():
            errors += check(value, f"{path}.{name}")
    unavailable, surge = (amount_of(value) for value in values.values())
    if unavailable and surge:
        errors.append(invalid(f"{path}.maxSurge", values["maxSurge"], "may not be set when maxUnavailable is non-zero"))
    if not unavailable and not surge:
        errors.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return errors


def validate_status(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of daemonsets/status."""
    assert old is not None
    return counts_not_negative(new.get("status") or {}, _COUNTS, "status") + collision_count_kept(new, old)
