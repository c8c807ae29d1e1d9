"""scheduling.k8s.io: PriorityClasses. Source: kubernetes `pkg/registry/scheduling/priorityclass`; rules in `validation/scheduling.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import scheduling as validation
from kube.objects import Object
from kube.resources import PRIORITY_CLASSES


def default(priority_class: Object) -> None:
    if priority_class.get("preemptionPolicy") is None:
        priority_class["preemptionPolicy"] = "PreemptLowerPriority"


def _prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    """The generation is 1, and stays so."""
    if old is None:
        new["metadata"]["generation"] = 1


def _row(obj: Object, now: datetime) -> list[Any]:
    name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
    return [name, value, bool(obj.get("globalDefault")), age(obj, now), obj.get("preemptionPolicy") or ""]


PRIORITY_CLASS = Kind(
    resource=PRIORITY_CLASSES,
    definition="io.k8s.api.scheduling.v1.PriorityClass",
    singular="priorityclass",
    short_names=("pc",),
    columns=(NAME, Column("Value", "integer"), Column("Global-Default", "boolean"), AGE, Column("PreemptionPolicy")),
    row=_row,
    default=default,
    prepare=_prepare,
    validate=validation.validate,
    metadata_passes=("update",),
)

KINDS = [PRIORITY_CLASS]
