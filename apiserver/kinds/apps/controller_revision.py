"""apps/v1 ControllerRevision: a snapshot of what a controller rolled out, which never changes.

Source: kubernetes `pkg/registry/apps/controllerrevision`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.workload_columns import AGE, NAME, NONE
from apiserver.registry.kind import Column, Kind
from apiserver.validation import controller_revision as validation
from kube.objects import Object, controller_of, name_of
from kube.resources import CONTROLLER_REVISIONS


def _controller_cell(revision: Object) -> str:
    """`statefulset.apps/name`."""
    owner = controller_of(revision)
    if owner is None:
        return NONE
    group = owner.get("apiVersion", "").rpartition("/")[0]
    kind = owner.get("kind", "").lower()
    return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"


def _row(revision: Object, now: datetime) -> list[Any]:
    return [name_of(revision), _controller_cell(revision), revision.get("revision") or 0, age(revision, now)]


CONTROLLER_REVISION = Kind(
    resource=CONTROLLER_REVISIONS,
    definition="io.k8s.api.apps.v1.ControllerRevision",
    singular="controllerrevision",
    columns=(
        NAME,
        Column("Controller", description="The object that controls this revision."),
        Column("Revision", description="The revision's number."),
        AGE,
    ),
    row=_row,
    texts=("data",),
    validate=validation.validate,
)

KINDS = [CONTROLLER_REVISION]
