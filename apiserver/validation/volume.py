"""PersistentVolumes.

Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidatePersistentVolume*) and `pkg/api/persistentvolume`.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from apiserver.validation.affinity import has_bad_values, validate_node_selector
from apiserver.validation.metadata import IMMUTABLE, complaints, immutable, same
from apiserver.validation.names import is_dns1123_subdomain
from apiserver.validation.node_labels import selector_warnings
from apiserver.validation.persistent_volume_sources import SOURCES, source_errors
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object, annotations_of, name_of
from kube.quantity import parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
VOLUME_MODES = ("Block", "Filesystem")
_NOT_INLINE = "may not be specified in the context of inline volumes"
_BETA_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
}
"""Node labels that were renamed: a volume's affinity may follow."""


def access_mode_errors(modes: list[str], path: str) -> list[FieldError]:
    errors = [not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    others = [mode for mode in modes if mode != "ReadWriteOncePod" and mode in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and others:
        errors.append(not_allowed(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def basic_resource_errors(text: str, path: str) -> list[FieldError]:
    value = parse(text).value()
    return [invalid(path, value, "must be a valid resource quantity")] if value < 0 else []


# --- the spec ---------------------------------------------------------------------------------------------------------


def validate_inline(spec: Object, path: str) -> list[FieldError]:
    """The volume that a VolumeAttachment describes itself: of CSI, and without what only a cluster's volumes have."""
    modes, policy, mode = spec.get("accessModes") or [], spec.get("persistentVolumeReclaimPolicy"), spec.get("volumeMode")
    errors = [not_allowed(f"{path}.{name}", _NOT_INLINE) for name in ("claimRef", "capacity") if spec.get(name) not in (None, {})]
    if spec.get("csi") is None:
        errors.append(required(f"{path}.csi", "has to be specified in the context of inline volumes"))
    errors += [] if modes else [required(f"{path}.accessModes")]
    errors += access_mode_errors(modes, f"{path}.accessModes")
    if policy and policy != "Retain":
        errors.append(not_allowed(f"{path}.persistentVolumeReclaimPolicy", "may only be Retain in the context of inline volumes"))
    if spec.get("nodeAffinity") is not None:
        errors.append(not_allowed(f"{path}.nodeAffinity", _NOT_INLINE))
    errors += source_errors(spec, "", path) + _recycle_errors(spec, path)
    if spec.get("storageClassName"):
        errors.append(not_allowed(f"{path}.storageClassName", _NOT_INLINE))
    if mode is not None and mode != "Filesystem":
        errors.append(
            not_allowed(f"{path}.volumeMode", "may not specify volumeMode other than Filesystem in the context of inline volumes")
        )
    return errors + _attributes_class_errors(spec, path)


def _spec_errors(spec: Object, volume_name: str, before: Object, capacity_shown: Object | None = None) -> list[FieldError]:
    """`before`: the stored spec, whose bad values may stay. `capacity_shown`: how none is printed."""
    modes, capacity = spec.get("accessModes") or [], spec.get("capacity") or {}
    errors = [] if modes else [required("spec.accessModes")]
    errors += access_mode_errors(modes, "spec.accessModes")
    if not capacity:
        errors.append(required("spec.capacity"))
    if "storage" not in capacity or len(capacity) > 1:
        errors.append(not_supported("spec.capacity", capacity or capacity_shown, ["storage"]))
    for name, text in capacity.items():
        path = f"spec.capacity[{name}]"
        errors += basic_resource_errors(text, path)
        if parse(text).nano <= 0:
            errors.append(invalid(path, text, "must be greater than zero"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM_POLICIES:
        errors.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    return errors + _affinity_errors(spec, before) + source_errors(spec, volume_name, "spec") + _class_errors(spec)


def _affinity_errors(spec: Object, before: Object) -> list[FieldError]:
    affinity = spec.get("nodeAffinity")
    if affinity is None:
        return []
    if affinity.get("required") is None:
        return [required("spec.nodeAffinity.required", "must specify required node constraints")]
    had = (before.get("nodeAffinity") or {}).get("required")
    lenient = had is not None and has_bad_values(had)
    return validate_node_selector(affinity["required"], "spec.nodeAffinity.required", allow_bad_values=lenient)


def _recycle_errors(spec: Object, path: str) -> list[FieldError]:
    host = (spec.get("hostPath") or {}).get("path")
    if host is None or posixpath.normpath(host or ".") not in ("/", "//") or spec.get("persistentVolumeReclaimPolicy") != "Recycle":
        return []
    return [not_allowed(f"{path}.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")]


def _class_errors(spec: Object) -> list[FieldError]:
    errors = _recycle_errors(spec, "spec")
    name, mode = spec.get("storageClassName") or "", spec.get("volumeMode")
    if name:
        errors += complaints("spec.storageClassName", name, is_dns1123_subdomain(name))
    if mode is not None and mode not in VOLUME_MODES:
        errors.append(not_supported("spec.volumeMode", mode, VOLUME_MODES))
    return errors + _attributes_class_errors(spec, "spec")


def _attributes_class_errors(spec: Object, path: str) -> list[FieldError]:
    name, at = spec.get("volumeAttributesClassName"), f"{path}.volumeAttributesClassName"
    if name is None:
        return []
    errors = complaints(at, name, is_dns1123_subdomain(name)) if name else [required(at, "an empty string is disallowed")]
    if spec.get("csi") is None:
        errors.append(required(f"{path}.csi", "has to be specified when using volumeAttributesClassName"))
    return errors


# --- writes -----------------------------------------------------------------------------------------------------------


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """An update is checked as a new volume twice: upstream's strategy and its update rules both do."""
    spec, before = new.get("spec") or {}, (old or {}).get("spec") or {}
    errors = _spec_errors(spec, name_of(new), before, {} if ctx.was_empty("spec.capacity") else None)
    if old is not None:
        errors += errors + _update_errors(spec, before)
    if not errors:
        ctx.warnings += _warnings(new)
    return errors


def _update_errors(spec: Object, before: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    sources, had = ({name: each.get(name) for name in SOURCES} for each in (spec, before))
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
    required_nodes = (spec.get("nodeAffinity") or {}).get("required") or {}
    found += selector_warnings(required_nodes, "spec.nodeAffinity.required")
    found += [f"spec.{_SHOWN.get(name, name)}: {why}" for name, why in _DEPRECATED_SOURCES.items() if spec.get(name) is not None]
    return found


_DEPRECATED_SOURCES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SHOWN = {"storageos": "storageOS"}  # named by upstream after its Go field
