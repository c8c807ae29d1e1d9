"""storage.k8s.io. Source: kubernetes `pkg/registry/storage`, `pkg/apis/storage/v1/defaults.go`; rules in `validation/storage.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, NONE, UNSET, default_marked
from apiserver.kinds.strategy import CREATED_AT, created_at_row, status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Context, Kind
from apiserver.validation import storage as validation
from kube.objects import Object
from kube.resources import Resource

GROUP = "storage.k8s.io"
DEFINITION = "io.k8s.api.storage.v1."
DEFAULT_CLASS_ANNOTATIONS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_GATED_DRIVER_FIELD = "preventPodSchedulingIfMissing"
DEFAULT_VAC_ANNOTATION = "volumeattributesclass.kubernetes.io/is-default-class"


def default_storage_class(storage_class: Object) -> None:
    if storage_class.get("reclaimPolicy") is None:
        storage_class["reclaimPolicy"] = "Delete"
    if storage_class.get("volumeBindingMode") is None:
        storage_class["volumeBindingMode"] = "Immediate"


def default_csi_driver(driver: Object) -> None:
    spec = driver.setdefault("spec", {})
    defaults = {
        "attachRequired": True,
        "podInfoOnMount": False,
        "storageCapacity": False,
        "fsGroupPolicy": "ReadWriteOnceWithFSType",
        "requiresRepublish": False,
        "seLinuxMount": False,
    }
    for name, value in defaults.items():
        if spec.get(name) is None:
            spec[name] = value
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _prepare_csi_driver(new: Object, old: Object | None, _ctx: Context) -> None:
    """Another spec is a new generation; a new driver has none. One field is behind a feature gate that is off."""
    if (old or {}).get("spec", {}).get(_GATED_DRIVER_FIELD) is None:
        new["spec"].pop(_GATED_DRIVER_FIELD, None)
    if old is not None and new["spec"] != old["spec"]:
        new["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1


# --- rows -------------------------------------------------------------------------------------------------------------


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _storage_class_row(obj: Object, now: datetime) -> list[Any]:
    return [
        default_marked(obj, *DEFAULT_CLASS_ANNOTATIONS),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        age(obj, now),
    ]


def _csi_driver_row(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    requests = spec.get("tokenRequests")
    return [
        _name(obj),
        spec.get("attachRequired") is not False,
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        UNSET if requests is None else ",".join(each.get("audience", "") for each in requests),
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or NONE,
        age(obj, now),
    ]


def _csi_node_row(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len((obj.get("spec") or {}).get("drivers") or ()), age(obj, now)]


def _attachment_row(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    return [
        _name(obj),
        spec.get("attacher", ""),
        (spec.get("source") or {}).get("persistentVolumeName") or "",
        spec.get("nodeName", ""),
        bool((obj.get("status") or {}).get("attached")),
        age(obj, now),
    ]


def _attributes_class_row(obj: Object, now: datetime) -> list[Any]:
    return [default_marked(obj, DEFAULT_VAC_ANNOTATION), obj.get("driverName", ""), age(obj, now)]


# --- data -------------------------------------------------------------------------------------------------------------


def _resource(plural: str, kind: str, *, namespaced: bool = False) -> Resource:
    return Resource(GROUP, "v1", plural, kind, namespaced=namespaced)


CSI_DRIVER = Kind(
    resource=_resource("csidrivers", "CSIDriver"),
    definition=DEFINITION + "CSIDriver",
    singular="csidriver",
    columns=(
        NAME,
        Column("AttachRequired", "boolean"),
        Column("PodInfoOnMount", "boolean"),
        Column("StorageCapacity", "boolean"),
        Column("TokenRequests"),
        Column("RequiresRepublish", "boolean"),
        Column("Modes"),
        AGE,
    ),
    row=_csi_driver_row,
    default=default_csi_driver,
    prepare=_prepare_csi_driver,
    validate=validation.validate_csi_driver,
    metadata_passes=("update",),
    unconditional_update=False,
    delete_answers_object=True,
)

CSI_NODE = Kind(
    resource=_resource("csinodes", "CSINode"),
    definition=DEFINITION + "CSINode",
    singular="csinode",
    columns=(NAME, Column("Drivers", "integer"), AGE),
    row=_csi_node_row,
    validate=validation.validate_csi_node,
    metadata_passes=("create",),
    unconditional_update=False,
    delete_answers_object=True,
)

CSI_STORAGE_CAPACITY = Kind(
    resource=_resource("csistoragecapacities", "CSIStorageCapacity", namespaced=True),
    definition=DEFINITION + "CSIStorageCapacity",
    singular="csistoragecapacity",
    columns=CREATED_AT,
    row=created_at_row,
    default_table=True,
    validate=validation.validate_csi_storage_capacity,
    unconditional_update=False,
)

STORAGE_CLASS = Kind(
    resource=_resource("storageclasses", "StorageClass"),
    definition=DEFINITION + "StorageClass",
    singular="storageclass",
    short_names=("sc",),
    columns=(
        NAME,
        Column("Provisioner"),
        Column("ReclaimPolicy"),
        Column("VolumeBindingMode"),
        Column("AllowVolumeExpansion"),
        AGE,
    ),
    row=_storage_class_row,
    default=default_storage_class,
    validate=validation.validate_storage_class,
    delete_answers_object=True,
)

VOLUME_ATTACHMENT = Kind(
    resource=_resource("volumeattachments", "VolumeAttachment"),
    definition=DEFINITION + "VolumeAttachment",
    singular="volumeattachment",
    subresources=(status_subresource(validation.validate_volume_attachment, keeps_metadata=True, metadata_passes=("create",)),),
    columns=(NAME, Column("Attacher", format="name"), Column("PV"), Column("Node"), Column("Attached", "boolean"), AGE),
    row=_attachment_row,
    prepare=status_is_the_servers({"attached": False}),
    validate=validation.validate_volume_attachment,
    metadata_passes=("create",),
    unconditional_update=False,
    delete_answers_object=True,
)

VOLUME_ATTRIBUTES_CLASS = Kind(
    resource=_resource("volumeattributesclasses", "VolumeAttributesClass"),
    definition=DEFINITION + "VolumeAttributesClass",
    singular="volumeattributesclass",
    short_names=("vac",),
    columns=(NAME, Column("DriverName"), AGE),
    row=_attributes_class_row,
    validate=validation.validate_volume_attributes_class,
    metadata_passes=("update", "create"),
    delete_answers_object=True,
)

KINDS = [CSI_DRIVER, CSI_NODE, CSI_STORAGE_CAPACITY, STORAGE_CLASS, VOLUME_ATTACHMENT, VOLUME_ATTRIBUTES_CLASS]
