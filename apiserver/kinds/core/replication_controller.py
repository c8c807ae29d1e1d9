"""core/v1 ReplicationController, the elder sister of ReplicaSet. Source: kubernetes `pkg/registry/core/replicationcontroller`."""

from __future__ import annotations

from apiserver.kinds.apps.replica_set import COLUMNS, replica_cells
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload import SCALE, status_subresource, template_owner
from apiserver.kinds.workload_columns import labels_cell
from apiserver.registry.kind import Kind, Scale
from apiserver.validation import replicas as validation
from kube.objects import Object
from kube.resources import REPLICATION_CONTROLLERS


def default(controller: Object) -> None:
    """Selector and labels come from the template, where they are not given."""
    spec = controller.setdefault("spec", {})
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not controller["metadata"].get("labels"):
            controller["metadata"]["labels"] = dict(labels)
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    default_template(spec)


def _selector_text(controller: Object) -> str:
    selector = controller["spec"].get("selector")
    return labels_cell(selector) if selector else ""


REPLICATION_CONTROLLER = Kind(
    resource=REPLICATION_CONTROLLERS,
    definition="io.k8s.api.core.v1.ReplicationController",
    singular="replicationcontroller",
    short_names=("rc",),
    categories=("all",),
    storage="controllers",
    subresources=(SCALE, status_subresource(validation.validate_replication_controller_status)),
    scale=Scale(selector=_selector_text),
    columns=COLUMNS,
    row=lambda obj, now: [*replica_cells(obj, now), labels_cell(obj["spec"].get("selector"))],
    selectable={"status.replicas": lambda obj: str((obj.get("status") or {}).get("replicas") or 0)},
    default=default,
    prepare=template_owner({"replicas": 0}),
    validate=validation.validate_replication_controller,
    metadata_passes=("update",),
    has_generation=True,
    default_orphan=True,
)

KINDS = [REPLICATION_CONTROLLER]
