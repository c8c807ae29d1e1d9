"""Where containers mount volumes and block devices. Source: kubernetes `pkg/apis/core/validation/validation.go`.

`volumes` are the pod's volumes by name. Some paths lack an index: they are upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiserver.validation.file_paths import local_descending
from kube.errors import FieldError, field_not_found, invalid, not_allowed, not_supported, required
from kube.objects import Object

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_READ_ONLY = ("Disabled", "Enabled", "IfPossible")
_BLOCK_SOURCES = ("persistentVolumeClaim", "ephemeral")

Volumes = Mapping[str, Any]


def validate_mounts(container: Object, volumes: Volumes, path: str) -> list[FieldError]:
    """A container's volumeMounts."""
    devices = {each.get("name") or "": each.get("devicePath") or "" for each in container.get("volumeDevices") or ()}
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, mount in enumerate(container["volumeMounts"]):
        errors += _mount(mount, f"{path}[{index}]", taken, volumes)
        if devices:
            errors += _mount_or_device(mount, f"{path}[{index}]", devices)
        errors += _sub_paths(mount, f"{path}[{index}]", path, volumes)
        if mount.get("mountPropagation") is not None:
            errors += _propagation(mount["mountPropagation"], container, f"{path}.mountPropagation")
        if mount.get("recursiveReadOnly") is not None:
            errors += _recursive(mount, f"{path}.recursiveReadOnly")
    return errors


def _mount(mount: Object, path: str, taken: set[str], volumes: Volumes) -> list[FieldError]:
    name, where = mount.get("name") or "", mount.get("mountPath") or ""
    errors = [] if name else [required(f"{path}.name")]
    if name not in volumes:
        errors.append(field_not_found(f"{path}.name", name))
    if not where:
        errors.append(required(f"{path}.mountPath"))
    if where in taken:
        errors.append(invalid(f"{path}.mountPath", where, "must be unique"))
    taken.add(where)
    return errors


def _mount_or_device(mount: Object, path: str, devices: Mapping[str, str]) -> list[FieldError]:
    name, where = mount.get("name") or "", mount.get("mountPath") or ""
    errors = [invalid(f"{path}.name", name, "must not already exist in volumeDevices")] if name in devices else []
    if where in devices.values():
        errors.append(invalid(f"{path}.mountPath", where, "must not already exist as a path in volumeDevices"))
    return errors


def _sub_paths(mount: Object, path: str, mounts_path: str, volumes: Volumes) -> list[FieldError]:
    plain, expression = mount.get("subPath") or "", mount.get("subPathExpr") or ""
    if not plain and not expression:
        return []
    errors: list[FieldError] = []
    if (volumes.get(mount.get("name") or "") or {}).get("image") is not None:
        given = (("subPath", plain), ("subPathExpr", expression))
        errors += [invalid(f"{path}.{name}", value, "not allowed in image volume sources") for name, value in given if value]
    if plain:
        errors += local_descending(plain, f"{mounts_path}.subPath")
    if expression:
        if plain:
            errors.append(invalid(f"{path}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive"))
        errors += local_descending(expression, f"{mounts_path}.subPathExpr")
    return errors


def _propagation(mode: str, container: Object, path: str) -> list[FieldError]:
    errors = [] if mode in _PROPAGATIONS else [not_supported(path, mode, _PROPAGATIONS)]
    if mode == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        errors.append(not_allowed(path, "Bidirectional mount propagation is available only to privileged containers"))
    return errors


def _recursive(mount: Object, path: str) -> list[FieldError]:
    mode = mount["recursiveReadOnly"]
    if mode == "Disabled":
        return []
    if mode not in _READ_ONLY:
        return [not_supported(path, mode, _READ_ONLY)]
    errors = [] if mount.get("readOnly") else [not_allowed(path, "may only be specified when readOnly is true")]
    if mount.get("mountPropagation") not in (None, "None"):
        errors.append(not_allowed(path, "may only be specified when mountPropagation is None or not specified"))
    return errors


def validate_devices(container: Object, volumes: Volumes, path: str) -> list[FieldError]:
    """A container's volumeDevices."""
    mounts = {each.get("name") or "": each.get("mountPath") or "" for each in container.get("volumeMounts") or ()}
    errors: list[FieldError] = []
    names: set[str] = set()
    where: set[str] = set()
    for index, device in enumerate(container["volumeDevices"]):
        errors += _device(device, f"{path}[{index}]", volumes, names, where)
        errors += _device_or_mount(device, f"{path}[{index}]", mounts)
    return errors


def _device(device: Object, path: str, volumes: Volumes, names: set[str], taken: set[str]) -> list[FieldError]:
    name, where = device.get("name") or "", device.get("devicePath") or ""
    errors = [] if name else [required(f"{path}.name")]
    if name in names:
        errors.append(invalid(f"{path}.name", name, "must be unique"))
    volume = volumes.get(name)
    if volume is None:
        errors.append(field_not_found(f"{path}.name", name))
    elif not any(volume.get(each) is not None for each in _BLOCK_SOURCES):
        why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        errors.append(invalid(f"{path}.name", name, why))
    if not where:
        errors.append(required(f"{path}.devicePath"))
    if where in taken:
        errors.append(invalid(f"{path}.devicePath", where, "must be unique"))
    if ".." in where.split("/"):
        errors.append(invalid(f"{path}.devicePath", where, "can not contain backsteps ('..')"))
    else:
        taken.add(where)
    if name:
        names.add(name)
    return errors


def _device_or_mount(device: Object, path: str, mounts: Mapping[str, str]) -> list[FieldError]:
    name, where = device.get("name") or "", device.get("devicePath") or ""
    errors = [invalid(f"{path}.name", name, "must not already exist in volumeMounts")] if name in mounts else []
    if where in mounts.values():
        errors.append(invalid(f"{path}.devicePath", where, "must not already exist as a path in volumeMounts"))
    return errors
