"""PersistentVolumes.

Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidatePersistentVolume*) and `pkg/api/persistentvolume`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from apiserver.validation.affinity import validate_node_selector
from apiserver.validation.file_paths import no_backsteps
from apiserver.validation.metadata import IMMUTABLE, complaints, immutable, same
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain
from apiserver.validation.volumes import _SOURCES as _POD_SOURCES
from apiserver.validation.volumes import csi_driver_name
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object, annotations_of
from kube.quantity import parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
VOLUME_MODES = ("Block", "Filesystem")
_SEVERAL = "may not specify more than 1 volume type"
_BETA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
"""Node labels that were renamed: a volume's affinity may follow."""

Check = Callable[[Object, str], list[FieldError]]


def access_mode_errors(modes: list[str], path: str) -> list[FieldError]:
    errors = [not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    others = [mode for mode in modes if mode != "ReadWriteOncePod" and mode in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and others:
        errors.append(not_allowed(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def basic_resource_errors(text: str, path: str) -> list[FieldError]:
    value = parse(text).value()
    return [invalid(path, value, "must be a valid resource quantity")] if value < 0 else []


# --- sources ----------------------------------------------------------------------------------------------------------


def _secret_reference(source: Object, name: str, path: str, *, namespaced: bool = True) -> list[FieldError]:
    reference = source.get(name)
    if reference is None:
        return []
    fields = ("name", "namespace") if namespaced else ("name",)
    return [required(f"{path}.{name}.{field}") for field in fields if not reference.get(field)]


def _shared(name: str, *secrets: str) -> Check:
    """A source that pods have too; its secret references name a namespace here."""

    _, of_pods = _POD_SOURCES[name]

    def check(source: Object, path: str) -> list[FieldError]:
        plain = {key: value for key, value in source.items() if key not in secrets}
        errors = of_pods(plain, path)
        for secret in secrets:
            errors += _secret_reference(source, secret, path)
        return errors

    return check


def _local(source: Object, path: str) -> list[FieldError]:
    given = source.get("path") or ""
    return no_backsteps(given, f"{path}.path") if given else [required(f"{path}.path")]


def _glusterfs(source: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("endpoints", "path") if not source.get(name)]
    namespace = source.get("endpointsNamespace")
    if namespace is not None:
        why = "if the endpointnamespace is set, it must be a valid namespace name"
        if not namespace:
            errors.append(invalid(f"{path}.endpointsNamespace", namespace, why))
        else:
            errors += complaints(f"{path}.endpointsNamespace", namespace, is_dns1123_label(namespace))
    return errors


def _azure_file(source: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("secretName", "shareName") if not source.get(name)]
    if source.get("secretNamespace") == "":
        errors.append(required(f"{path}.secretNamespace"))
    return errors


def _csi(source: Object, path: str) -> list[FieldError]:
    errors = csi_driver_name(source.get("driver") or "", f"{path}.driver")
    if not source.get("volumeHandle"):
        errors.append(required(f"{path}.volumeHandle"))
    for name in ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"):
        errors += _secret_reference(source, name, path)
    return errors


_SOURCES: dict[str, tuple[str, Check]] = {
    "hostPath": ("hostPath", _shared("hostPath")),
    "gcePersistentDisk": ("persistentDisk", _shared("gcePersistentDisk")),
    "awsElasticBlockStore": ("awsElasticBlockStore", _shared("awsElasticBlockStore")),
    "glusterfs": ("glusterfs", _glusterfs),
    "flocker": ("flocker", _shared("flocker")),
    "nfs": ("nfs", _shared("nfs")),
    "rbd": ("rbd", _shared("rbd", "secretRef")),
    "quobyte": ("quobyte", _shared("quobyte")),
    "cephfs": ("cephfs", _shared("cephfs", "secretRef")),
    "iscsi": ("iscsi", _shared("iscsi", "secretRef")),
    "cinder": ("cinder", _shared("cinder", "secretRef")),
    "fc": ("fc", _shared("fc")),
    "flexVolume": ("flexVolume", _shared("flexVolume")),
    "azureFile": ("azureFile", _azure_file),
    "vsphereVolume": ("vsphereVolume", _shared("vsphereVolume")),
    "photonPersistentDisk": ("photonPersistentDisk", _shared("photonPersistentDisk")),
    "portworxVolume": ("portworxVolume", _shared("portworxVolume")),
    "azureDisk": ("azureDisk", _shared("azureDisk")),
    "scaleIO": ("scaleIO", _shared("scaleIO")),
    "local": ("local", _local),
    "storageos": ("storageos", _shared("storageos")),
    "csi": ("csi", _csi),
}
"""Each source: how its path is written, and its rules; in the order in which upstream looks."""


def _source_errors(spec: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    found = False
    for name, (shown, check) in _SOURCES.items():
        source = spec.get(name)
        if source is None:
            continue
        if found:
            errors.append(not_allowed(f"{path}.{name}", _SEVERAL))
            continue
        found = True
        errors += check(source, f"{path}.{shown}")
        if name == "local" and spec.get("nodeAffinity") is None:
            errors.append(required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    return errors if found else [required(path, "must specify a volume type")]


# --- the spec ---------------------------------------------------------------------------------------------------------


def validate_inline(spec: Object, path: str) -> list[FieldError]:
    """The volume that a VolumeAttachment describes itself: of CSI, and without what only a cluster's volumes have."""
    modes = spec.get("accessModes") or []
    unwanted = ("persistentVolumeReclaimPolicy", "storageClassName", "claimRef", "volumeAttributesClassName")
    errors = [not_allowed(f"{path}.{name}", "may not be specified in the context of inline volumes") for name in unwanted if spec.get(name)]
    if spec.get("csi") is None:
        errors.append(required(f"{path}.csi", "has to be specified in the context of inline volumes"))
    errors += [] if modes else [required(f"{path}.accessModes")]
    return errors + access_mode_errors(modes, f"{path}.accessModes") + _source_errors(spec, path)


def _spec_errors(spec: Object) -> list[FieldError]:
    modes, capacity = spec.get("accessModes") or [], spec.get("capacity")
    errors = [] if modes else [required("spec.accessModes")]
    errors += access_mode_errors(modes, "spec.accessModes")
    if not capacity:
        errors.append(required("spec.capacity"))
    if "storage" not in (capacity or {}) or len(capacity or {}) > 1:
        errors.append(not_supported("spec.capacity", capacity, ["storage"]))
    for name, text in (capacity or {}).items():
        path = f"spec.capacity[{name}]"
        errors += basic_resource_errors(text, path)
        if parse(text).nano <= 0:
            errors.append(invalid(path, text, "must be greater than zero"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM_POLICIES:
        errors.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    return errors + _affinity_errors(spec) + _source_errors(spec, "spec") + _class_errors(spec)


def _affinity_errors(spec: Object) -> list[FieldError]:
    affinity = spec.get("nodeAffinity")
    if affinity is None:
        return []
    if affinity.get("required") is None:
        return [required("spec.nodeAffinity.required", "must specify required node constraints")]
    return validate_node_selector(affinity["required"], "spec.nodeAffinity.required")


def _class_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    path = (spec.get("hostPath") or {}).get("path")
    if path is not None and posixpath.normpath(path or ".") == "/" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        errors.append(not_allowed("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))
    name, mode, attributes = spec.get("storageClassName") or "", spec.get("volumeMode"), spec.get("volumeAttributesClassName")
    if name:
        errors += complaints("spec.storageClassName", name, is_dns1123_subdomain(name))
    if mode is not None and mode not in VOLUME_MODES:
        errors.append(not_supported("spec.volumeMode", mode, VOLUME_MODES))
    if attributes is not None:
        at = "spec.volumeAttributesClassName"
        if attributes:
            errors += complaints(at, attributes, is_dns1123_subdomain(attributes))
        else:
            errors.append(required(at, "an empty string is disallowed"))
        if spec.get("csi") is None:
            errors.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return errors


# --- writes -----------------------------------------------------------------------------------------------------------


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """An update is checked as a new volume twice: upstream's strategy and its update rules both do."""
    spec = new.get("spec") or {}
    errors = _spec_errors(spec)
    if old is not None:
        errors += _spec_errors(spec) + _update_errors(spec, old.get("spec") or {})
    if not errors:
        ctx.warnings += _warnings(new)
    return errors


def _update_errors(spec: Object, before: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    sources, had = ({name: each.get(name) for name in _SOURCES} for each in (spec, before))
    new_csi, old_csi = sources["csi"], had["csi"]
    if new_csi and old_csi and old_csi.get("controllerExpandSecretRef") is None:
        sources["csi"] = {key: value for key, value in new_csi.items() if key != "controllerExpandSecretRef"}
    if not same(sources, had):
        errors.append(not_allowed("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation\n"))
    errors += immutable(spec.get("volumeMode"), before.get("volumeMode"), "volumeMode")
    if before.get("nodeAffinity") is not None and not same(
        spec.get("nodeAffinity"), _renamed(before["nodeAffinity"], spec.get("nodeAffinity"))
    ):
        why = f"{IMMUTABLE}, except for updating from beta label to GA"
        errors.append(invalid("nodeAffinity", spec.get("nodeAffinity"), why))
    if before.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        errors.append(not_allowed("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))
    return errors


def _renamed(before: Any, now: Any) -> Any:
    """The old affinity, with beta labels under their new names wherever the new affinity uses those."""
    if isinstance(before, dict) and isinstance(now, dict):
        out = {key: _renamed(value, now.get(key)) for key, value in before.items()}
        if isinstance(before.get("key"), str) and _BETA_LABELS.get(before["key"]) == now.get("key") is not None:
            out["key"] = now["key"]
        return out
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [_renamed(old, new) for old, new in zip(before, now, strict=True)]
    return before


def validate_status(_new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return []


_ANNOTATIONS = {
    "volume.beta.kubernetes.io/storage-class": 'deprecated since v1.8; use "storageClassName" attribute instead',
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}


def _warnings(volume: Object) -> list[str]:
    """`pkg/api/persistentvolume/util.go`: what is deprecated in a volume."""
    spec, given = volume.get("spec") or {}, annotations_of(volume)
    found = [f"metadata.annotations[{key}]: {why}" for key, why in _ANNOTATIONS.items() if key in given]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use "
            "dynamic provisioning."
        )
    for name, why in _DEPRECATED_SOURCES.items():
        if spec.get(name) is not None:
            found.append(f"spec.{name}: {why}")
    return found


_DEPRECATED_SOURCES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
