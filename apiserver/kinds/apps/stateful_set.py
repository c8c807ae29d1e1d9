"""apps/v1 StatefulSet. Source: kubernetes `pkg/registry/apps/statefulset` and `pkg/apis/apps/v1/defaults.go`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.podspec import default_claim_spec, default_template
from apiserver.kinds.workload import SCALE, SELECTOR_SCALE, status_subresource, template_owner
from apiserver.kinds.workload_columns import AGE, CONTAINERS, IMAGES, NAME, container_cells
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import stateful_set as validation
from kube.objects import Object, name_of
from kube.resources import STATEFUL_SETS


def default(stateful_set: Object) -> None:
    spec = stateful_set.setdefault("spec", {})
    if not spec.get("podManagementPolicy"):
        spec["podManagementPolicy"] = "OrderedReady"
    _default_strategy(spec)
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is None:
        retention = spec["persistentVolumeClaimRetentionPolicy"] = {}
    for name in ("whenDeleted", "whenScaled"):
        if not retention.get(name):
            retention[name] = "Retain"
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = 10
    spec.setdefault("serviceName", "")
    default_template(spec)
    for claim in spec.get("volumeClaimTemplates") or ():
        _default_claim(claim)


def _default_strategy(spec: Object) -> None:
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        if strategy.get("rollingUpdate") is None:
            strategy["rollingUpdate"] = {}
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "RollingUpdate" and rolling is not None and rolling.get("partition") is None:
        rolling["partition"] = 0


def _default_claim(claim: Object) -> None:
    claim["apiVersion"], claim["kind"] = "v1", "PersistentVolumeClaim"
    claim.setdefault("metadata", {})
    default_claim_spec(claim.setdefault("spec", {}))
    status = claim.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


_keep = template_owner({"replicas": 0, "availableReplicas": 0})


def prepare(new: Object, old: Object | None, ctx: Context) -> None:
    """maxUnavailable is behind a feature gate that is off: dropped, unless it is in use already."""
    _keep(new, old, ctx)
    rolling = (new["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    before = (((old or {}).get("spec") or {}).get("updateStrategy") or {}).get("rollingUpdate") or {}
    if before.get("maxUnavailable") is None:
        rolling.pop("maxUnavailable", None)


def _row(stateful_set: Object, now: datetime) -> list[Any]:
    spec, status = stateful_set["spec"], stateful_set.get("status") or {}
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [name_of(stateful_set), ready, age(stateful_set, now), *container_cells(spec.get("template"))]


STATEFUL_SET = Kind(
    resource=STATEFUL_SETS,
    definition="io.k8s.api.apps.v1.StatefulSet",
    singular="statefulset",
    short_names=("sts",),
    categories=("all",),
    subresources=(SCALE, status_subresource(validation.validate_status)),
    scale=SELECTOR_SCALE,
    columns=(NAME, Column("Ready", description="Pods that are ready, of those wanted."), AGE, CONTAINERS, IMAGES),
    row=_row,
    default=default,
    prepare=prepare,
    validate=validation.validate,
    name_rule="label",
    metadata_passes=("update",),
    has_generation=True,
)

KINDS = [STATEFUL_SET]
