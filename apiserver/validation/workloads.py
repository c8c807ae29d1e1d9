"""Rules that several kinds with pod templates share: selectors that match the template, percentages, counts of a status.

Source: kubernetes `pkg/apis/apps/validation/validation.go` and `pkg/apis/core/validation/validation.go`. In the order that upstream lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from apiserver.validation.metadata import complaints, not_negative, validate_label_selector
from apiserver.validation.names import is_valid_percent
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.labels import LabelSelectorError, from_object
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_integer_re = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
NO_MATCH = "`selector` does not match template `labels`"
IntOrPercent = int | str

Errors = list[FieldError]


def template_labels(template: Object) -> Any:
    return (template.get("metadata") or {}).get("labels")


def mismatch(template: Object, path: str, ctx: Context | None = None) -> FieldError:
    labels, at = template_labels(template), f"{path}.metadata.labels"
    if labels is None and ctx is not None and ctx.was_empty(at):
        labels = {}
    return invalid(at, labels, NO_MATCH)


def validate_selector_and_template(
    spec: Object,
    check_template: Callable[[Object, str], Errors],
    *,
    empty: str,
    unreadable: str = "invalid label selector",
    ctx: Context | None = None,
) -> Errors:
    """spec.selector (required, not empty) and spec.template (which it must match). `empty` names the kind in the message for an empty
    selector, `unreadable` is what is said of one that cannot be read; then the template is not looked at."""
    selector, path = spec.get("selector"), "spec.selector"
    errors: Errors = []
    if selector is None:
        errors.append(required(path))
    else:
        errors += validate_label_selector(selector, path)
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            errors.append(invalid(path, selector, f"empty selector is invalid for {empty}"))
    try:
        matcher = from_object(selector)
    except LabelSelectorError:
        return [*errors, invalid(path, selector, unreadable)]
    template = spec.get("template") or {}
    if not matcher.matches(template_labels(template) or {}):
        errors.append(mismatch(template, "spec.template", ctx))
    return errors + check_template(template, "spec.template")


def validate_always_restarts(template: Object, path: str, kind: str) -> Errors:
    """Pods that their owner keeps running restart always and have no deadline."""
    spec = template.get("spec") or {}
    errors: Errors = []
    if spec.get("restartPolicy") != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", spec.get("restartPolicy") or "", ["Always"]))
    if spec.get("activeDeadlineSeconds") is not None:
        errors.append(not_allowed(f"{path}.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported"))
    return errors


def counts_not_negative(values: Object, names: Iterable[str], path: str) -> Errors:
    errors: Errors = []
    for name in names:
        errors += not_negative(values.get(name), f"{path}.{name}")
    return errors


# --- integers or percentages ------------------------------------------------------------------------------------------


def int_or_percent(value: IntOrPercent, path: str) -> Errors:
    """Not negative, or a percentage."""
    return complaints(path, value, is_valid_percent(value)) if isinstance(value, str) else not_negative(value, path)


def not_above_100_percent(value: IntOrPercent, path: str) -> Errors:
    if isinstance(value, str) and not is_valid_percent(value) and int(value[:-1]) > 100:
        return [invalid(path, value, "must not be greater than 100%")]
    return []


def amount_of(value: IntOrPercent | None) -> int:
    """The number, or the percentage's number; of other text, the number that it says (which is refused elsewhere); 0 for what says none."""
    if not isinstance(value, str):
        return value or 0
    if not is_valid_percent(value):
        return int(value[:-1])
    return int(value) if _integer_re.fullmatch(value) else 0


def go_strategy(strategy: Object) -> Object:
    """An update strategy as Go prints upstream's internal struct, whose fields have no JSON names."""
    rolling = strategy.get("rollingUpdate")
    shown = None if rolling is None else {name[0].upper() + name[1:]: rolling.get(name, 0) for name in ("maxUnavailable", "maxSurge")}
    return {"Type": strategy.get("type") or "", "RollingUpdate": shown}


# --- status -----------------------------------------------------------------------------------------------------------


def not_above_replicas(status: Object, names: Iterable[str], *, ready: str = "readyReplicas") -> Errors:
    """No count is above status.replicas, nor the available ones above the ready ones (which the message calls `ready`)."""
    replicas = status.get("replicas") or 0
    errors: Errors = []
    for name in names:
        if (count := status.get(name) or 0) > replicas:
            errors.append(invalid(f"status.{name}", count, "cannot be greater than status.replicas"))
    available = status.get("availableReplicas") or 0
    if available > (status.get("readyReplicas") or 0):
        errors.append(invalid("status.availableReplicas", available, f"cannot be greater than {ready}"))
    return errors


def collision_count_kept(new: Object, old: Object) -> Errors:
    """status.collisionCount never falls."""
    before = (old.get("status") or {}).get("collisionCount")
    count = (new.get("status") or {}).get("collisionCount") or 0
    if before is not None and count < before:
        return [invalid("status.collisionCount", count, "cannot be decremented")]
    return []
