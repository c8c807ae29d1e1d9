"""apps/v1 Deployment. Source: kubernetes `pkg/registry/apps/deployment` and `pkg/apis/apps/v1/defaults.go`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.pod_features import drop_disabled_template_fields
from apiserver.kinds.podspec import default_template
from apiserver.kinds.workload import SCALE, SELECTOR_SCALE, keep_labels, keep_status, prepare_status, status_subresource
from apiserver.kinds.workload_columns import AGE, CONTAINERS, IMAGES, NAME, SELECTOR, container_cells, selector_cell
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import deployment as validation
from apiserver.validation.metadata import same
from kube.objects import Object, annotations_of, name_of
from kube.resources import DEPLOYMENTS


def default(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate")
        if rolling is None:
            rolling = strategy["rollingUpdate"] = {}
        for name in ("maxUnavailable", "maxSurge"):
            if rolling.get(name) is None:
                rolling[name] = "25%"
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    if spec.get("progressDeadlineSeconds") is None:
        spec["progressDeadlineSeconds"] = 600
    default_template(spec)


def prepare(new: Object, old: Object | None, _ctx: Context) -> None:
    """Counts the generation itself: a change of annotations counts too, for they say how to roll out."""
    keep_status(new, old)
    drop_disabled_template_fields(new, old)
    if old is None:
        new["metadata"]["generation"] = 1
        return
    generation = old["metadata"].get("generation") or 0
    changed = not same(new["spec"], old["spec"]) or annotations_of(new) != annotations_of(old)
    new["metadata"]["generation"] = generation + changed


def _prepare_status(new: Object, old: Object | None, ctx: Context) -> None:
    prepare_status(new, old, ctx)
    assert old is not None
    keep_labels(new, old)


def _row(deployment: Object, now: datetime) -> list[Any]:
    spec, status = deployment["spec"], deployment.get("status") or {}
    return [
        name_of(deployment),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        age(deployment, now),
        *container_cells(spec.get("template")),
        selector_cell(spec.get("selector")),
    ]


DEPLOYMENT = Kind(
    resource=DEPLOYMENTS,
    definition="io.k8s.api.apps.v1.Deployment",
    singular="deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=(SCALE, status_subresource(validation.validate_status, _prepare_status, ("metadata", "labels"))),
    scale=SELECTOR_SCALE,
    columns=(
        NAME,
        Column("Ready", description="Pods that are ready, of those wanted."),
        Column("Up-to-date", description="Pods made from the present template."),
        Column("Available", description="Pods that have been ready for minReadySeconds."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    row=_row,
    default=default,
    prepare=prepare,
    metadata_passes=("update",),
    validate=validation.validate,
)

KINDS = [DEPLOYMENT]
