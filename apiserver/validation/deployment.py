"""The rules of Deployments. Source: kubernetes `pkg/apis/apps/validation` and `pkg/registry/apps/deployment`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import immutable, not_negative
from apiserver.validation.pod_warnings import warn_of_template
from apiserver.validation.replicas import validate_replicated_template
from apiserver.validation.workloads import (
    amount_of,
    collision_count_kept,
    counts_not_negative,
    go_strategy,
    int_or_percent,
    not_above_100_percent,
    not_above_replicas,
    validate_selector_and_template,
)
from kube.errors import FieldError, invalid, not_allowed, not_supported
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

_COUNTS = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")


def validate(new: Object, old: Object | None, ctx: Context | None = None) -> Sequence[FieldError]:
    """A write of the Deployment itself."""
    errors = _spec(new["spec"], ctx)
    if old is not None:
        errors += immutable(new["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")
    if not errors:
        warn_of_template(ctx, new, old)
    return errors


def _spec(spec: Object, ctx: Context | None) -> list[FieldError]:
    errors = not_negative(spec.get("replicas"), "spec.replicas")
    errors += validate_selector_and_template(spec, validate_replicated_template, empty="deployment", ctx=ctx)
    errors += _strategy(spec.get("strategy") or {}, "spec.strategy")
    errors += counts_not_negative(spec, ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"), "spec")
    deadline_s = spec.get("progressDeadlineSeconds")
    if deadline_s is not None and deadline_s <= (spec.get("minReadySeconds") or 0):
        errors.append(invalid("spec.progressDeadlineSeconds", deadline_s, "must be greater than minReadySeconds"))
    return errors


def _strategy(strategy: Object, path: str) -> list[FieldError]:
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "Recreate":
            why = "may not be specified when strategy `type` is 'Recreate'"
            return [] if rolling is None else [not_allowed(f"{path}.rollingUpdate", why)]
        case "RollingUpdate":
            return _rolling(rolling or {}, f"{path}.rollingUpdate")
    return [not_supported(path, go_strategy(strategy), ["Recreate", "RollingUpdate"])]


def _rolling(rolling: Object, path: str) -> list[FieldError]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    errors = int_or_percent(unavailable, f"{path}.maxUnavailable") + int_or_percent(surge, f"{path}.maxSurge")
    if amount_of(unavailable) == amount_of(surge) == 0:
        errors.append(invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return errors + not_above_100_percent(unavailable, f"{path}.maxUnavailable")


def validate_status(new: Object, old: Object | None, _ctx: object = None) -> Sequence[FieldError]:
    """A write of deployments/status."""
    assert old is not None
    status = new.get("status") or {}
    errors = counts_not_negative(status, (*_COUNTS, "collisionCount"), "status")
    errors += not_above_replicas(status, ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return errors + collision_count_kept(new, old)
