"""Namespaces. Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateNamespace*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.metadata import complaints, finalizer_name_errors
from apiserver.validation.names import is_qualified_name
from kube.errors import FieldError, invalid
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context


def _finalizers(namespace: Object) -> list[str]:
    return list((namespace.get("spec") or {}).get("finalizers") or ())


def _finalizer_errors(name: str, path: str) -> list[FieldError]:
    return complaints(path, name, is_qualified_name(name)) + finalizer_name_errors(name, path)


def validate(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return [error for name in _finalizers(new) for error in _finalizer_errors(name, "spec.finalizers")]


def validate_finalize(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    """`/finalize`: the same, with an index in the path."""
    return [error for index, name in enumerate(_finalizers(new)) for error in _finalizer_errors(name, f"spec.finalizers[{index}]")]


def validate_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    """The phase says whether the namespace is being deleted, and nothing else. The path's capital is upstream's."""
    phase = (new.get("status") or {}).get("phase", "")
    if new["metadata"].get("deletionTimestamp"):
        wanted, when = "Terminating", "`deletionTimestamp` is not empty"
    else:
        wanted, when = "Active", "`deletionTimestamp` is empty"
    return [] if phase == wanted else [invalid("status.Phase", phase, f"may only be '{wanted}' if {when}")]
