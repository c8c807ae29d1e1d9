"""PersistentVolumes and PersistentVolumeClaims. Source: kubernetes `pkg/registry/core/persistentvolume`, `.../persistentvolumeclaim`.

The protection finalizers are admission's. Rules are in `validation/volume.py` and `validation/volume_claim.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, UNSET, access_modes, wide
from apiserver.kinds.podspec import round_resources
from apiserver.kinds.strategy import keep, only_status, status_subresource
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import volume as volume_rules
from apiserver.validation import volume_claim as claim_rules
from kube.clock import rfc3339
from kube.objects import Object, annotations_of, is_deleting
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"

_SOURCE_DEFAULTS: dict[str, dict[str, Any]] = {
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
    "hostPath": {"type": ""},
}


def default_volume(volume: Object) -> None:
    spec, status = volume.setdefault("spec", {}), volume.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    if spec.get("capacity"):
        round_resources(spec["capacity"])
    for name, defaults in _SOURCE_DEFAULTS.items():
        source = spec.get(name)
        if isinstance(source, dict):
            for key, value in defaults.items():
                if source.get(key) in (None, ""):
                    source[key] = value


def _prepare_volume(new: Object, old: Object | None, ctx: Context) -> None:
    if old is None:
        new["status"] = {"phase": "Pending", "lastPhaseTransitionTime": rfc3339(ctx.now)}
    else:
        keep(new, old, "status")


def _prepare_volume_status(new: Object, old: Object | None, ctx: Context) -> None:
    """The server notes when the phase changed, unless the client says it."""
    assert old is not None
    only_status(new, old, ctx)
    status, before = new.setdefault("status", {}), old.get("status") or {}
    given, had = status.get("lastPhaseTransitionTime"), before.get("lastPhaseTransitionTime")
    if status.get("phase") == before.get("phase"):
        if given is None and had is not None:
            status["lastPhaseTransitionTime"] = had
    elif given is None or given == had:
        status["lastPhaseTransitionTime"] = rfc3339(ctx.now)


def default_claim(claim: Object) -> None:
    status = claim.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"
    default_claim_spec(claim.setdefault("spec", {}))
    for name in ("capacity", "allocatedResources"):
        if status.get(name):
            round_resources(status[name])


def default_claim_spec(spec: Object) -> None:
    """Defaults of a claim's spec, also inside volumeClaimTemplates and ephemeral volumes."""
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    resources = spec.setdefault("resources", {})
    for name in ("limits", "requests"):
        if resources.get(name):
            round_resources(resources[name])


def _sync_data_sources(spec: Object) -> None:
    """dataSource and dataSourceRef follow each other; a reference into another namespace has no older form."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {key: value for key, value in reference.items() if key != "namespace"}


def _drop_disabled_fields(spec: Object, before: Object) -> None:
    """What upstream drops silently, unless it was there before: a reference into another namespace (a feature that is off), and a
    dataSource of any but the two kinds it was made for."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if reference is not None and reference.get("namespace") and before.get("dataSourceRef") is None:
        del spec["dataSourceRef"]
        reference = None
    if source is None or reference is not None or _is_known_source(source):
        return
    if before.get("dataSource") is None and before.get("dataSourceRef") is None:
        del spec["dataSource"]


def _is_known_source(source: Object) -> bool:
    group, kind = source.get("apiGroup") or "", source.get("kind")
    return (kind, group) in (("PersistentVolumeClaim", ""), ("VolumeSnapshot", "snapshot.storage.k8s.io"))


def _prepare_claim(new: Object, old: Object | None, _ctx: Context) -> None:
    if old is None:
        new["status"] = {"phase": "Pending"}
    else:
        keep(new, old, "status")
    _drop_disabled_fields(new["spec"], (old or {}).get("spec") or {})
    _sync_data_sources(new["spec"])


def _prepare_claim_status(new: Object, old: Object | None, ctx: Context) -> None:
    only_status(new, old, ctx)


def _class_of(obj: Object) -> str:
    given = annotations_of(obj)
    return given[CLASS_ANNOTATION] if CLASS_ANNOTATION in given else obj["spec"].get("storageClassName") or ""


def _phase(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else (obj.get("status") or {}).get("phase", "")


def _volume_row(volume: Object, now: datetime) -> list[Any]:
    spec, claim = volume.get("spec") or {}, (volume.get("spec") or {}).get("claimRef")
    return [
        volume["metadata"].get("name", ""),
        (spec.get("capacity") or {}).get("storage", "0"),
        access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(volume),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class_of(volume),
        spec.get("volumeAttributesClassName") or UNSET,
        (volume.get("status") or {}).get("reason", ""),
        age(volume, now),
        spec.get("volumeMode") or UNSET,
    ]


def _claim_row(claim: Object, now: datetime) -> list[Any]:
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    bound = bool(spec.get("volumeName"))
    return [
        claim["metadata"].get("name", ""),
        _phase(claim),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "0") if bound else "",
        access_modes(status.get("accessModes")) if bound else "",
        _class_of(claim),
        spec.get("volumeAttributesClassName") or UNSET,
        age(claim, now),
        spec.get("volumeMode") or UNSET,
    ]


PERSISTENT_VOLUME = Kind(
    resource=PERSISTENT_VOLUMES,
    definition="io.k8s.api.core.v1.PersistentVolume",
    singular="persistentvolume",
    short_names=("pv",),
    subresources=(status_subresource(volume_rules.validate_status, prepare=_prepare_volume_status),),
    columns=(
        NAME,
        Column("Capacity"),
        Column("Access Modes"),
        Column("Reclaim Policy"),
        Column("Status"),
        Column("Claim"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        Column("Reason"),
        AGE,
        wide("VolumeMode"),
    ),
    row=_volume_row,
    default=default_volume,
    prepare=_prepare_volume,
    validate=volume_rules.validate,
    metadata_passes=("create", "create"),
    delete_answers_object=True,
)

PERSISTENT_VOLUME_CLAIM = Kind(
    resource=PERSISTENT_VOLUME_CLAIMS,
    definition="io.k8s.api.core.v1.PersistentVolumeClaim",
    singular="persistentvolumeclaim",
    short_names=("pvc",),
    subresources=(status_subresource(claim_rules.validate_status, prepare=_prepare_claim_status),),
    columns=(
        NAME,
        Column("Status"),
        Column("Volume"),
        Column("Capacity"),
        Column("Access Modes"),
        Column("StorageClass"),
        Column("VolumeAttributesClass"),
        AGE,
        wide("VolumeMode"),
    ),
    row=_claim_row,
    default=default_claim,
    prepare=_prepare_claim,
    validate=claim_rules.validate,
    metadata_passes=("create", "update", "create"),
    delete_answers_object=True,
)

KINDS = [PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM]
