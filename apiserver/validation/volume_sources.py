"""The sources that volumes of pods and PersistentVolumes share: host paths and network storage.

Source: kubernetes `pkg/apis/core/validation/validation.go`. Some paths are odd (`persistentDisk`, `initiatorname`): they are upstream's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from apiserver.validation.file_paths import no_backsteps
from apiserver.validation.metadata import complaints
from apiserver.validation.names import byte_length, is_dns1123_label, is_dns1123_subdomain, range_error
from kube.errors import FieldError, invalid, not_supported, required, too_long
from kube.objects import Object

_DRIVER_MAX = 63
_PORTAL_MAX = 64
_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_iqn_re = re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)\Z", re.ASCII)
_eui_re = re.compile(r"^eui.[A-Za-z0-9]{16}\Z")
_naa_re = re.compile(r"^naa.[A-Za-z0-9]{32}\Z")

Validate = Callable[[Object, str], list[FieldError]]


def required_fields(*names: str) -> Validate:
    """Rules that only ask for fields to be there."""

    def validate(source: Object, path: str) -> list[FieldError]:
        return [required(f"{path}.{name}") for name in names if not source.get(name)]

    return validate


def _secret_name(source: Object, path: str) -> list[FieldError]:
    reference = source.get("secretRef")
    return [required(f"{path}.secretRef.name")] if reference is not None and not reference.get("name") else []


def _host_path(source: Object, path: str) -> list[FieldError]:
    file, kind = source.get("path") or "", source.get("type")
    if not file:
        return [required(f"{path}.path")]
    errors = no_backsteps(file, f"{path}.path")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        errors.append(not_supported(f"{path}.type", kind, _HOST_PATH_TYPES))
    return errors


def _partition(source: Object, path: str) -> list[FieldError]:
    number = source.get("partition") or 0
    return [] if 0 <= number <= 255 else [invalid(f"{path}.partition", number, range_error(1, 255))]


def _gce(source: Object, path: str) -> list[FieldError]:
    return ([] if source.get("pdName") else [required(f"{path}.pdName")]) + _partition(source, path)


def _aws(source: Object, path: str) -> list[FieldError]:
    return ([] if source.get("volumeID") else [required(f"{path}.volumeID")]) + _partition(source, path)


def _nfs(source: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("server", "path") if not source.get(name)]
    file = source.get("path") or ""
    return errors if file.startswith("/") else [*errors, invalid(f"{path}.path", file, "must be an absolute path")]


def _initiator(name: str, path: str, unknown: str) -> list[FieldError]:
    rules = {"iqn": _iqn_re, "eui": _eui_re, "naa": _naa_re}
    rule = rules.get(name[:3])
    if rule is None:
        return [invalid(path, name, unknown)]
    return [] if rule.search(name) else [invalid(path, name, "must be valid format")]


def iscsi_target(source: Object, path: str, *, unknown: str, needs_secret_name: bool) -> list[FieldError]:
    """All of an iSCSI source but its portal. `unknown`: what is said of names of no known format."""
    errors = _initiator(source["iqn"], f"{path}.iqn", unknown) if source.get("iqn") else [required(f"{path}.iqn")]
    lun = source.get("lun") or 0
    if not 0 <= lun <= 255:
        errors.append(invalid(f"{path}.lun", lun, range_error(0, 255)))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        errors.append(required(f"{path}.secretRef"))
    if needs_secret_name:
        errors += _secret_name(source, path)
    if source.get("initiatorName") is not None:
        errors += _initiator(source["initiatorName"], f"{path}.initiatorname", unknown)
    return errors


def _iscsi(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("targetPortal") else [required(f"{path}.targetPortal")]
    unknown = "must be valid format starting with iqn, eui, or naa"
    return errors + iscsi_target(source, path, unknown=unknown, needs_secret_name=False)


def portal_length_errors(volume_name: str, source: Object, path: str, value: str) -> list[FieldError]:
    """With an initiator's name, the volume's name and the portal make one name of the system. `path`, `value`: what to complain of."""
    if source.get("initiatorName") is None or byte_length(f"{volume_name}:{source.get('targetPortal') or ''}") <= _PORTAL_MAX:
        return []
    why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
    return [invalid(path, value, why)]


def _fc(source: Object, path: str) -> list[FieldError]:
    names, ids, lun = source.get("targetWWNs"), source.get("wwids"), source.get("lun")
    errors: list[FieldError] = []
    if not names and not ids:
        errors.append(required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if names and ids:
        errors.append(invalid(f"{path}.targetWWNs", names, "targetWWNs and wwids can not be specified simultaneously"))
    if names:
        if lun is None:
            errors.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
        elif not 0 <= lun <= 255:
            errors.append(invalid(f"{path}.lun", lun, range_error(0, 255)))
    return errors


def _quobyte(source: Object, path: str) -> list[FieldError]:
    why = "must be a host:port pair or multiple pairs separated by commas"
    registry = source.get("registry") or ""
    errors: list[FieldError] = []
    if not registry:
        errors.append(required(f"{path}.registry", why))
    elif byte_length(source.get("tenant") or "") >= 65:
        errors.append(required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters"))
    else:
        errors += [
            invalid(f"{path}.registry", registry, why) for pair in registry.split(",") if not re.fullmatch(r"(\[.*\]|[^:]*):[^:]*", pair)
        ]
    return errors if source.get("volume") else [*errors, required(f"{path}.volume")]


def _flocker(source: Object, path: str) -> list[FieldError]:
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID")
    errors: list[FieldError] = []
    if not name and not uuid:
        errors.append(required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        errors.append(invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
    if "/" in name:
        errors.append(invalid(f"{path}.datasetName", name, "must not contain '/'"))
    return errors


def _cinder(source: Object, path: str) -> list[FieldError]:
    return ([] if source.get("volumeID") else [required(f"{path}.volumeID")]) + _secret_name(source, path)


def _flex(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("driver") else [required(f"{path}.driver")]
    for key in source.get("options") or ():
        domain = "." + key.partition("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            errors.append(invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved"))
    return errors


def _azure_disk(source: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("diskName", "diskURI") if not source.get(name)]
    caching, kind, uri = source.get("cachingMode"), source.get("kind"), source.get("diskURI") or ""
    if caching is not None and caching not in ("None", "ReadOnly", "ReadWrite"):
        errors.append(not_supported(f"{path}.cachingMode", caching, ["None", "ReadOnly", "ReadWrite"]))
    if kind is not None and kind not in ("Dedicated", "Managed", "Shared"):
        errors.append(not_supported(f"{path}.kind", kind, ["Dedicated", "Managed", "Shared"]))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        form = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
        errors.append(not_supported(f"{path}.diskURI", uri, [form]))
    if kind is not None and kind != "Managed" and not uri.startswith("https://"):
        form = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        errors.append(not_supported(f"{path}.diskURI", uri, [form]))
    return errors


def _storage_os(source: Object, path: str) -> list[FieldError]:
    name, namespace = source.get("volumeName") or "", source.get("volumeNamespace") or ""
    errors = complaints(f"{path}.volumeName", name, is_dns1123_label(name)) if name else [required(f"{path}.volumeName")]
    if namespace:
        errors += complaints(f"{path}.volumeNamespace", namespace, is_dns1123_label(namespace))
    return errors + _secret_name(source, path)


def csi_driver_name(name: str, path: str) -> list[FieldError]:
    if not name:
        return [required(path)]
    errors = [too_long(path, _DRIVER_MAX)] if byte_length(name) > _DRIVER_MAX else []
    return errors + complaints(path, name, is_dns1123_subdomain(name.lower()))


def _csi(source: Object, path: str) -> list[FieldError]:
    errors = csi_driver_name(source.get("driver") or "", f"{path}.driver")
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        name = secret.get("name") or ""
        errors += complaints(f"{path}.name", name, is_dns1123_subdomain(name)) if name else [required(f"{path}.nodePublishSecretRef.name")]
    return errors


SOURCES: Mapping[str, tuple[str, Validate]] = {
    "hostPath": ("hostPath", _host_path),
    "gcePersistentDisk": ("persistentDisk", _gce),
    "awsElasticBlockStore": ("awsElasticBlockStore", _aws),
    "nfs": ("nfs", _nfs),
    "iscsi": ("iscsi", _iscsi),
    "glusterfs": ("glusterfs", required_fields("endpoints", "path")),
    "flocker": ("flocker", _flocker),
    "rbd": ("rbd", required_fields("monitors", "image")),
    "cinder": ("cinder", _cinder),
    "cephfs": ("cephfs", required_fields("monitors")),
    "quobyte": ("quobyte", _quobyte),
    "fc": ("fc", _fc),
    "flexVolume": ("flexVolume", _flex),
    "azureFile": ("azureFile", required_fields("secretName", "shareName")),
    "vsphereVolume": ("vsphereVolume", required_fields("volumePath")),
    "photonPersistentDisk": ("photonPersistentDisk", required_fields("pdID")),
    "portworxVolume": ("portworxVolume", required_fields("volumeID")),
    "azureDisk": ("azureDisk", _azure_disk),
    "storageos": ("storageos", _storage_os),
    "scaleIO": ("scaleIO", required_fields("gateway", "system", "volumeName")),
    "csi": ("csi", _csi),
}
"""Each source of pods' volumes: how its path is written, and its rules."""
