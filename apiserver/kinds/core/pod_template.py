"""core/v1 PodTemplate: a template on its own. Source: kubernetes `pkg/registry/core/podtemplate`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.pod_features import drop_disabled_fields
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload_columns import NAME, container_cells, labels_cell
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import pod_template as validation
from kube.objects import Object, name_of
from kube.resources import Resource

POD_TEMPLATES = Resource("", "v1", "podtemplates", "PodTemplate")


def default(template: Object) -> None:
    template.setdefault("template", {})
    default_template(template)


def prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    drop_disabled_fields(new["template"]["spec"], old["template"]["spec"] if old else None)


def _row(template: Object, _now: datetime) -> list[Any]:
    labels = (template["template"].get("metadata") or {}).get("labels")
    return [name_of(template), *container_cells(template["template"]), labels_cell(labels)]


POD_TEMPLATE = Kind(
    resource=POD_TEMPLATES,
    definition="io.k8s.api.core.v1.PodTemplate",
    singular="podtemplate",
    columns=(
        NAME,
        Column("Containers", description="Names of the containers."),
        Column("Images", description="Images of the containers."),
        Column("Pod Labels", description="Labels that pods made from the template get."),
    ),
    row=_row,
    default=default,
    prepare=prepare,
    validate=validation.validate,
    metadata_passes=("update",),
    has_generation=True,
    delete_answers_object=True,
)

KINDS = [POD_TEMPLATE]
