"""Leases. Source: kubernetes `pkg/apis/coordination/validation/validation.go`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.metadata import not_negative
from kube.errors import FieldError, invalid
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context


def validate(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    duration, path = spec.get("leaseDurationSeconds"), "spec.leaseDurationSeconds"
    errors = [invalid(path, duration, "must be greater than 0")] if duration is not None and duration <= 0 else []
    return errors + not_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
