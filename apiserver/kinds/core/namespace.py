"""Namespaces: they hold their own finalizers in the spec, and are gone when the last of those is taken away through `/finalize`.

Source: kubernetes `pkg/registry/core/namespace`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.kinds.strategy import field, keep, status_subresource
from apiserver.registry.kind import Column, Context, Kind, Subresource
from apiserver.validation import namespace as validation
from kube.objects import Object
from kube.resources import NAMESPACES

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


def default(namespace: Object) -> None:
    """The name as a label, and the phase."""
    _label(namespace)
    status = namespace.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"


def _label(namespace: Object) -> None:
    meta = namespace.setdefault("metadata", {})
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), NAME_LABEL: meta["name"]}


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    _label(new)
    if old is not None:
        keep(new, old, "spec", "status")
        return
    new["status"] = {"phase": "Active"}
    finalizers = (new.get("spec") or {}).get("finalizers") or []
    new["spec"] = {"finalizers": finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]}


def _prepare_finalize(new: Object, old: Object | None, _ctx: Context) -> None:
    assert old is not None
    keep(new, old, "status")


def _is_held(namespace: Object) -> bool:
    return bool((namespace.get("spec") or {}).get("finalizers"))


def _mark_deleting(namespace: Object) -> None:
    namespace.setdefault("status", {})["phase"] = "Terminating"
    namespace["metadata"].pop("deletionGracePeriodSeconds", None)


def _row(namespace: Object, now: datetime) -> list[Any]:
    return [namespace["metadata"].get("name", ""), (namespace.get("status") or {}).get("phase", ""), age(namespace, now)]


NAMESPACE = Kind(
    resource=NAMESPACES,
    definition="io.k8s.api.core.v1.Namespace",
    singular="namespace",
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(
        Subresource(
            "finalize",
            ("update",),
            prepare=_prepare_finalize,
            validate=validation.validate_finalize,
            reset_fields=(("status",),),
        ),
        status_subresource(validation.validate_status),
    ),
    columns=(NAME, Column("Status"), AGE),
    row=_row,
    selectable={"status.phase": field("status", "phase")},
    default=default,
    prepare=_prepare,
    validate=validation.validate,
    metadata_passes=("create", "update"),
    name_rule="label",
    delete_answers_object=True,
    holds_deletion=_is_held,
    marks_deletion=True,
    marks_grace=False,
    mark_deleting=_mark_deleting,
)

KINDS = [NAMESPACE]
