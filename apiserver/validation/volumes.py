"""The volumes of a pod: exactly one source each, and each source's own rules.

Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateVolumes). Several paths are odd (`persistentDisk`, items without an
index): they are upstream's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from apiserver.validation.claims import validate_claim_template
from apiserver.validation.env import VOLUME_FIELDS, validate_field_ref, validate_resource_ref
from apiserver.validation.file_paths import file_mode, local_descending, local_non_reserved, no_backsteps
from apiserver.validation.metadata import complaints
from apiserver.validation.names import byte_length, is_dns1123_label, is_dns1123_subdomain, range_error
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_long
from kube.objects import Object
from kube.quantity import parse

_SEVERAL = "may not specify more than 1 volume type"
_TOKEN_S_MIN, _TOKEN_S_MAX = 600, 1 << 32
_DRIVER_MAX = 63
_PORTAL_MAX = 64
_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_iqn_re = re.compile(r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$", re.ASCII)
_eui_re = re.compile(r"^eui.[A-Za-z0-9]{16}$")
_naa_re = re.compile(r"^naa.[A-Za-z0-9]{32}$")

Validate = Callable[[Object, str], list[FieldError]]


def _required(*names: str) -> Validate:
    """Rules that only ask for fields to be there."""

    def validate(source: Object, path: str) -> list[FieldError]:
        return [required(f"{path}.{name}") for name in names if not source.get(name)]

    return validate


def _secret_name(source: Object, path: str) -> list[FieldError]:
    reference = source.get("secretRef")
    return [required(f"{path}.secretRef.name")] if reference is not None and not reference.get("name") else []


# --- files ------------------------------------------------------------------------------------------------------------


def _key_to_path(item: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("key", "path") if not item.get(name)]
    errors += local_non_reserved(item.get("path") or "", f"{path}.path")
    return errors + file_mode(item.get("mode"), f"{path}.mode")


def _items(source: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, item in enumerate(source.get("items") or ()):
        errors += _key_to_path(item, f"{path}.items[{index}]")
    return errors


def _secret(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("secretName") else [required(f"{path}.secretName")]
    return errors + file_mode(source.get("defaultMode"), f"{path}.defaultMode") + _items(source, path)


def _config_map(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("name") else [required(f"{path}.name")]
    return errors + file_mode(source.get("defaultMode"), f"{path}.defaultMode") + _items(source, path)


def _downward_file(item: Object, path: str) -> list[FieldError]:
    errors = [] if item.get("path") else [required(f"{path}.path")]
    errors += local_non_reserved(item.get("path") or "", f"{path}.path")
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        errors += validate_field_ref(field, f"{path}.fieldRef", VOLUME_FIELDS)
        if resource is not None:
            errors.append(invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif resource is not None:
        errors += validate_resource_ref(resource, f"{path}.resourceFieldRef", in_volume=True)
    else:
        errors.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    return errors + file_mode(item.get("mode"), f"{path}.mode")


def _downward_api(source: Object, path: str) -> list[FieldError]:
    errors = file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    for item in source.get("items") or ():
        errors += _downward_file(item, path)
    return errors


class _Projection:
    """One projected volume: remembers the paths taken so far."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.taken: set[str] = set()
        self.errors: list[FieldError] = []

    def take(self, file: str, shown: str) -> None:
        if file and file in self.taken:
            self.errors.append(invalid(self.path, shown, "conflicting duplicate paths"))
        self.taken.add(file)

    def named(self, source: Object, at: str) -> None:
        name = source.get("name") or ""
        if not name:
            self.errors.append(required(f"{at}.name"))
        for index, item in enumerate(source.get("items") or ()):
            self.errors += _key_to_path(item, f"{at}.items[{index}]")
            if item.get("path"):
                self.take(item["path"], name)

    def downward(self, source: Object, at: str) -> None:
        for item in source.get("items") or ():
            self.errors += _downward_file(item, at)
            if item.get("path"):
                self.take(item["path"], item["path"])

    def token(self, source: Object, at: str) -> None:
        seconds, file = source.get("expirationSeconds") or 0, source.get("path") or ""
        if seconds < _TOKEN_S_MIN:
            self.errors.append(invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
        if seconds > _TOKEN_S_MAX:
            self.errors.append(invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
        if not file:
            self.errors.append(required(f"{self.path}.path"))
        else:
            self.errors += local_non_reserved(file, f"{self.path}.path")

    def source(self, projection: Object, at: str) -> None:
        readers = {"secret": self.named, "configMap": self.named, "downwardAPI": self.downward, "serviceAccountToken": self.token}
        given = [name for name in readers if projection.get(name) is not None]
        for name in given:
            readers[name](projection[name], f"{at}.{name}")
        if len(given) > 1:
            self.errors.append(not_allowed(at, "may not specify more than 1 volume type per source"))


def _projected(source: Object, path: str) -> list[FieldError]:
    projection = _Projection(path)
    for index, each in enumerate(source.get("sources") or ()):
        projection.source(each, f"{path}.sources[{index}]")
    return file_mode(source.get("defaultMode"), f"{path}.defaultMode") + projection.errors


# --- local and image --------------------------------------------------------------------------------------------------


def _empty_dir(source: Object, path: str) -> list[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and parse(limit).nano < 0:
        return [not_allowed(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _host_path(source: Object, path: str) -> list[FieldError]:
    file, kind = source.get("path") or "", source.get("type")
    if not file:
        return [required(f"{path}.path")]
    errors = no_backsteps(file, f"{path}.path")
    if kind is not None and kind not in _HOST_PATH_TYPES:
        errors.append(not_supported(f"{path}.type", kind, _HOST_PATH_TYPES))
    return errors


def _git_repo(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("repository") else [required(f"{path}.repository")]
    return errors + local_descending(source.get("directory") or "", f"{path}.directory")


def pull_policy(policy: str | None, path: str) -> list[FieldError]:
    if not policy:
        return [required(path)]
    return [] if policy in _PULL_POLICIES else [not_supported(path, policy, _PULL_POLICIES)]


# --- network storage --------------------------------------------------------------------------------------------------


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


def _initiator(name: str, path: str) -> list[FieldError]:
    rules = {"iqn": _iqn_re, "eui": _eui_re, "naa": _naa_re}
    rule = rules.get(name[:3])
    if rule is None:
        return [invalid(path, name, "must be valid format starting with iqn, eui, or naa")]
    return [] if rule.search(name) else [invalid(path, name, "must be valid format")]


def _iscsi(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("targetPortal") else [required(f"{path}.targetPortal")]
    errors += _initiator(source["iqn"], f"{path}.iqn") if source.get("iqn") else [required(f"{path}.iqn")]
    lun = source.get("lun") or 0
    if not 0 <= lun <= 255:
        errors.append(invalid(f"{path}.lun", lun, range_error(0, 255)))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        errors.append(required(f"{path}.secretRef"))
    if source.get("initiatorName") is not None:
        errors += _initiator(source["initiatorName"], f"{path}.initiatorname")
    return errors


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


def _ephemeral(source: Object, path: str) -> list[FieldError]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{path}.volumeClaimTemplate")]
    return validate_claim_template(template, f"{path}.volumeClaimTemplate")


_SOURCES: Mapping[str, tuple[str, Validate]] = {
    "emptyDir": ("emptyDir", _empty_dir),
    "hostPath": ("hostPath", _host_path),
    "gitRepo": ("gitRepo", _git_repo),
    "gcePersistentDisk": ("persistentDisk", _gce),
    "awsElasticBlockStore": ("awsElasticBlockStore", _aws),
    "secret": ("secret", _secret),
    "nfs": ("nfs", _nfs),
    "iscsi": ("iscsi", _iscsi),
    "glusterfs": ("glusterfs", _required("endpoints", "path")),
    "flocker": ("flocker", _flocker),
    "persistentVolumeClaim": ("persistentVolumeClaim", _required("claimName")),
    "rbd": ("rbd", _required("monitors", "image")),
    "cinder": ("cinder", _cinder),
    "cephfs": ("cephfs", _required("monitors")),
    "quobyte": ("quobyte", _quobyte),
    "downwardAPI": ("downwardAPI", _downward_api),
    "fc": ("fc", _fc),
    "flexVolume": ("flexVolume", _flex),
    "configMap": ("configMap", _config_map),
    "azureFile": ("azureFile", _required("secretName", "shareName")),
    "vsphereVolume": ("vsphereVolume", _required("volumePath")),
    "photonPersistentDisk": ("photonPersistentDisk", _required("pdID")),
    "portworxVolume": ("portworxVolume", _required("volumeID")),
    "azureDisk": ("azureDisk", _azure_disk),
    "storageos": ("storageos", _storage_os),
    "projected": ("projected", _projected),
    "scaleIO": ("scaleIO", _required("gateway", "system", "volumeName")),
    "csi": ("csi", _csi),
    "ephemeral": ("ephemeral", _ephemeral),
    "image": ("image", lambda source, path: pull_policy(source.get("pullPolicy"), f"{path}.pullPolicy")),
}
"""Each source: how its path is written, and its rules; in the order in which upstream looks."""
_SECOND_NAMES = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
"""How upstream spells a source in the error that it is one too many."""


def _volume(volume: Object, path: str, pod_name: str, *, is_pod: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    found = False
    for name, (shown, validate) in _SOURCES.items():
        source = volume.get(name)
        if source is None:
            continue
        if found:
            errors.append(not_allowed(f"{path}.{_SECOND_NAMES.get(name, name)}", _SEVERAL))
            continue
        found = True
        errors += validate(source, f"{path}.{shown}")
        if name == "iscsi":
            errors += _portal_length(volume, path)
        elif name == "ephemeral" and pod_name:
            errors += _claim_name(volume, path, pod_name)
        elif name == "image" and is_pod and not source.get("reference"):
            errors.insert(0, required(f"{path}.image.reference"))
    return errors if found else [*errors, required(path, "must specify a volume type")]


def _portal_length(volume: Object, path: str) -> list[FieldError]:
    source, name = volume["iscsi"], volume.get("name") or ""
    if source.get("initiatorName") is None or len(f"{name}:{source.get('targetPortal') or ''}") <= _PORTAL_MAX:
        return []
    why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
    return [invalid(f"{path}.name", name, why)]


def _claim_name(volume: Object, path: str, pod_name: str) -> list[FieldError]:
    name = volume.get("name") or ""
    claim = f"{pod_name}-{name}"
    found = is_dns1123_subdomain(claim) if name else []
    return complaints(f"{path}.name", name, [f'PVC name "{claim}": {each}' for each in found])


def validate_volumes(
    volumes: list[Object], path: str, *, pod_name: str = "", is_pod: bool = False
) -> tuple[dict[str, Any], list[FieldError]]:
    """(volumes by name, as far as their names are good; what is wrong). `pod_name`: of a real pod, for ephemeral claims."""
    errors: list[FieldError] = []
    by_name: dict[str, Any] = {}
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at, name = f"{path}[{index}]", volume.get("name") or ""
        found = _volume(volume, at, pod_name, is_pod=is_pod)
        if not name:
            found.append(required(f"{at}.name"))
        else:
            found += complaints(f"{at}.name", name, is_dns1123_label(name))
        if name in seen:
            found.append(duplicate(f"{at}.name", name))
        if found:
            errors += found
        else:
            seen.add(name)
            by_name[name] = volume
    return by_name, errors
