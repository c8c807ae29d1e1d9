"""The sources of PersistentVolumes: those of pods, some with rules of their own, and the local one.

Source: kubernetes `pkg/apis/core/validation/validation.go` (validate*PersistentVolumeSource). Odd paths are upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from apiserver.validation.file_paths import no_backsteps
from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain
from apiserver.validation.volume_sources import SOURCES as OF_PODS
from apiserver.validation.volume_sources import Validate, csi_driver_name, iscsi_target, portal_length_errors, required_fields
from kube.errors import FieldError, invalid, not_allowed, required
from kube.objects import Object

_SEVERAL = "may not specify more than 1 volume type"


def _with_namespace(name: str) -> Validate:
    """A source of pods whose secret is named along with its namespace here."""
    _, of_pods = OF_PODS[name]

    def check(source: Object, path: str) -> list[FieldError]:
        errors = of_pods(source, path)
        secret = source.get("secretRef")
        return errors if secret is None or secret.get("namespace") else [*errors, required(f"{path}.secretRef.namespace")]

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


def _iscsi(source: Object, path: str, volume_name: str) -> list[FieldError]:
    portal = source.get("targetPortal") or ""
    errors = [] if portal else [required(f"{path}.targetPortal")]
    errors += portal_length_errors(volume_name, source, f"{path}.targetportal", portal)
    return errors + iscsi_target(source, path, unknown="must be valid format", needs_secret_name=True)


def _azure_file(source: Object, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("secretName", "shareName") if not source.get(name)]
    if source.get("secretNamespace") == "":
        errors.append(required(f"{path}.secretNamespace"))
    return errors


def _secret(reference: Object, path: str) -> list[FieldError]:
    name, namespace = reference.get("name") or "", reference.get("namespace") or ""
    errors = complaints(f"{path}.name", name, is_dns1123_subdomain(name)) if name else [required(f"{path}.name")]
    if not namespace:
        return [*errors, required(f"{path}.namespace")]
    return errors + complaints(f"{path}.namespace", namespace, is_dns1123_label(namespace))


def _csi(source: Object, path: str) -> list[FieldError]:
    errors = csi_driver_name(source.get("driver") or "", f"{path}.driver")
    if not source.get("volumeHandle"):
        errors.append(required(f"{path}.volumeHandle"))
    for name in ("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"):
        if source.get(name) is not None:
            errors += _secret(source[name], f"{path}.{name}")
    return errors


SOURCES: Mapping[str, tuple[str, Validate]] = {
    "hostPath": OF_PODS["hostPath"],
    "gcePersistentDisk": OF_PODS["gcePersistentDisk"],
    "awsElasticBlockStore": OF_PODS["awsElasticBlockStore"],
    "glusterfs": ("glusterfs", _glusterfs),
    "flocker": OF_PODS["flocker"],
    "nfs": OF_PODS["nfs"],
    "rbd": OF_PODS["rbd"],
    "quobyte": OF_PODS["quobyte"],
    "cephfs": ("cephfs", required_fields("monitors")),
    "iscsi": ("iscsi", partial(_iscsi, volume_name="")),
    "cinder": ("cinder", _with_namespace("cinder")),
    "fc": OF_PODS["fc"],
    "flexVolume": OF_PODS["flexVolume"],
    "azureFile": ("azureFile", _azure_file),
    "vsphereVolume": OF_PODS["vsphereVolume"],
    "photonPersistentDisk": OF_PODS["photonPersistentDisk"],
    "portworxVolume": OF_PODS["portworxVolume"],
    "azureDisk": OF_PODS["azureDisk"],
    "scaleIO": OF_PODS["scaleIO"],
    "local": ("local", _local),
    "storageos": ("storageos", _with_namespace("storageos")),
    "csi": ("csi", _csi),
}
"""Each source: how its path is written, and its rules; in the order in which upstream looks."""

_SHOWN_UNWANTED = {"cephfs": "cephFS"}


def source_errors(spec: Object, volume_name: str, path: str) -> list[FieldError]:
    """Exactly one source, and a good one. FlexVolumes are never said to be one too many."""
    errors: list[FieldError] = []
    found = False
    for name, (shown, check) in SOURCES.items():
        source = spec.get(name)
        if source is None:
            continue
        if found and name != "flexVolume":
            errors.append(not_allowed(f"{path}.{_SHOWN_UNWANTED.get(name, name)}", _SEVERAL))
            continue
        found = True
        errors += _iscsi(source, f"{path}.{shown}", volume_name) if name == "iscsi" else check(source, f"{path}.{shown}")
        if name == "local" and (spec.get("nodeAffinity") or {}).get("required") is None:
            errors.append(required(f"{path}.nodeAffinity", "Local volume requires node affinity"))
    return errors if found else [required(path, "must specify a volume type")]
