"""The volumes of a pod: exactly one source each, and the rules of those sources that only pods have (see `volume_sources.py`).

Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateVolumes). Items of the downward API without an index in their path
are upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiserver.validation.claims import validate_claim_template
from apiserver.validation.env import VOLUME_FIELDS, validate_field_ref, validate_resource_ref
from apiserver.validation.file_paths import file_mode, local_descending, local_non_reserved
from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain
from apiserver.validation.volume_sources import SOURCES as SHARED
from apiserver.validation.volume_sources import Validate, portal_length_errors, required_fields
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object
from kube.quantity import parse

_SEVERAL = "may not specify more than 1 volume type"
_TOKEN_S_MIN, _TOKEN_S_MAX = 600, 1 << 32
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


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


def _git_repo(source: Object, path: str) -> list[FieldError]:
    errors = [] if source.get("repository") else [required(f"{path}.repository")]
    return errors + local_descending(source.get("directory") or "", f"{path}.directory")


def pull_policy(policy: str | None, path: str) -> list[FieldError]:
    if not policy:
        return [required(path)]
    return [] if policy in _PULL_POLICIES else [not_supported(path, policy, _PULL_POLICIES)]


def _ephemeral(source: Object, path: str) -> list[FieldError]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{path}.volumeClaimTemplate")]
    return validate_claim_template(template, f"{path}.volumeClaimTemplate")


_SOURCES: Mapping[str, tuple[str, Validate]] = {
    "emptyDir": ("emptyDir", _empty_dir),
    "hostPath": SHARED["hostPath"],
    "gitRepo": ("gitRepo", _git_repo),
    "gcePersistentDisk": SHARED["gcePersistentDisk"],
    "awsElasticBlockStore": SHARED["awsElasticBlockStore"],
    "secret": ("secret", _secret),
    "nfs": SHARED["nfs"],
    "iscsi": SHARED["iscsi"],
    "glusterfs": SHARED["glusterfs"],
    "flocker": SHARED["flocker"],
    "persistentVolumeClaim": ("persistentVolumeClaim", required_fields("claimName")),
    "rbd": SHARED["rbd"],
    "cinder": SHARED["cinder"],
    "cephfs": SHARED["cephfs"],
    "quobyte": SHARED["quobyte"],
    "downwardAPI": ("downwardAPI", _downward_api),
    "fc": SHARED["fc"],
    "flexVolume": SHARED["flexVolume"],
    "configMap": ("configMap", _config_map),
    "azureFile": SHARED["azureFile"],
    "vsphereVolume": SHARED["vsphereVolume"],
    "photonPersistentDisk": SHARED["photonPersistentDisk"],
    "portworxVolume": SHARED["portworxVolume"],
    "azureDisk": SHARED["azureDisk"],
    "storageos": SHARED["storageos"],
    "projected": ("projected", _projected),
    "scaleIO": SHARED["scaleIO"],
    "csi": SHARED["csi"],
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
        else:
            found = True
            errors += validate(source, f"{path}.{shown}")
            if name == "ephemeral" and pod_name:
                errors += _claim_name(volume, path, pod_name)
            elif name == "image" and is_pod and not source.get("reference"):
                errors.insert(0, required(f"{path}.image.reference"))
        if name == "iscsi":
            errors += portal_length_errors(volume.get("name") or "", source, f"{path}.name", volume.get("name") or "")
    return errors if found else [*errors, required(path, "must specify a volume type")]


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
        claim = volume.get("persistentVolumeClaim")
        if claim is not None and pod_name:
            errors += _own_claim(claim.get("claimName") or "", volumes, f"{at}.persistentVolumeClaim.claimName", pod_name)
    return by_name, errors


def _own_claim(name: str, volumes: list[Object], path: str, pod_name: str) -> list[FieldError]:
    """A claim that is made for an ephemeral volume of the same pod cannot be named by another volume."""
    made = {f"{pod_name}-{each.get('name') or ''}" for each in volumes if each.get("ephemeral") is not None}
    return [invalid(path, name, "must not reference a PVC that gets created for an ephemeral volume")] if name in made else []
