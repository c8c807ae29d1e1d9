"""apps/v1 ReplicaSet. Source: kubernetes `pkg/registry/apps/replicaset`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload import SCALE, SELECTOR_SCALE, status_subresource, template_owner
from apiserver.kinds.workload_columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, container_cells, selector_cell
from apiserver.registry.kind import Column, Kind
from apiserver.validation import replicas as validation
from kube.objects import Object, name_of
from kube.resources import REPLICA_SETS

COLUMNS = (
    NAME,
    Column("Desired", "integer", description="Pods wanted."),
    Column("Current", "integer", description="Pods that exist."),
    Column("Ready", "integer", description="Pods that are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def default(replica_set: Object) -> None:
    spec = replica_set.setdefault("spec", {})
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    default_template(spec)


def replica_cells(owner: Object, now: datetime) -> list[Any]:
    """The cells up to the images, which ReplicationControllers have too."""
    spec, status = owner["spec"], owner.get("status") or {}
    return [
        name_of(owner),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(owner, now),
        *container_cells(spec.get("template")),
    ]


REPLICA_SET = Kind(
    resource=REPLICA_SETS,
    definition="io.k8s.api.apps.v1.ReplicaSet",
    singular="replicaset",
    short_names=("rs",),
    categories=("all",),
    subresources=(SCALE, status_subresource(validation.validate_replica_set_status)),
    scale=SELECTOR_SCALE,
    columns=COLUMNS,
    row=lambda obj, now: [*replica_cells(obj, now), selector_cell(obj["spec"].get("selector"))],
    default=default,
    prepare=template_owner({"replicas": 0}),
    validate=validation.validate_replica_set,
    metadata_passes=("update",),
    has_generation=True,
)

KINDS = [REPLICA_SET]
