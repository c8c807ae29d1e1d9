"""Environment variables of containers and the field and resource references that they share with volumes.

Source: kubernetes `pkg/apis/core/validation/validation.go` and `pkg/apis/core/pods/helpers.go`.
"""

from __future__ import annotations

import re

from apiserver.validation.file_paths import no_backsteps
from apiserver.validation.metadata import complaints
from apiserver.validation.names import (
    is_config_map_key,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_qualified_name,
    is_relaxed_env_var_name,
    name_errors,
)
from apiserver.validation.security_context import containers_with_paths
from kube.errors import FieldError, field_not_found, invalid, not_supported, required
from kube.objects import Object
from kube.quantity import parse

_KNOWN_LABELS = frozenset(
    {
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "spec.hostNetwork",
        "status.phase",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
"""What upstream can convert as a downward API field; which of them may stand where is said by the sets below."""
_ENV_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)
VOLUME_FIELDS = frozenset({"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"})
_RESOURCES = ("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory")
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_SUBSCRIPT = re.compile(r"(?!\[')(.+?)\['(.*)'\]", re.DOTALL)
_SIZES = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
_SIZE_DIVISORS = frozenset(_SIZES.split(", "))
_CPU_DIVISORS = frozenset({"1m", "1"})
_ONE_OF = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
_KEY_BYTES_MAX = 128


def validate_env(variables: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, variable in enumerate(variables):
        name = variable.get("name")
        if not name:
            errors.append(required(f"{path}[{index}].name"))
        else:
            found = is_relaxed_env_var_name(name)
            if found:
                errors += complaints(f"{path}[{index}].name", name, found)
        source = variable.get("valueFrom")
        if source is not None:
            errors += _value_from(source, variable.get("value") or "", f"{path}[{index}].valueFrom")
    return errors


def _value_from(source: Object, value: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    sources = 0
    for name, validate in _SOURCES.items():
        if source.get(name) is not None:
            sources += 1
            errors += validate(source[name], f"{path}.{name}")
    if not sources:
        errors.append(invalid(path, "", _ONE_OF))
    elif value:
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif sources > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    return errors


def validate_env_from(sources: list[Object], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, source in enumerate(sources):
        at, prefix = f"{path}[{index}]", source.get("prefix") or ""
        if prefix:
            errors += complaints(f"{at}.prefix", prefix, is_relaxed_env_var_name(prefix))
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in given:
            errors += _object_name(source[name].get("name") or "", f"{at}.{name}.name")
        if not given:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    return errors


def _object_name(name: str, path: str) -> list[FieldError]:
    """Upstream checks these names as if more would follow."""
    return complaints(path, name, name_errors("subdomain", name, prefix=True)) if name else [required(path)]


# --- references -------------------------------------------------------------------------------------------------------


def _env_field_ref(ref: Object, path: str) -> list[FieldError]:
    return validate_field_ref(ref, path, _ENV_FIELDS)


def validate_field_ref(ref: Object, path: str, allowed: frozenset[str]) -> list[FieldError]:
    """An ObjectFieldSelector that may name one of `allowed`, or an entry of labels or annotations."""
    version, text = ref.get("apiVersion") or "", ref.get("fieldPath") or ""
    if not version:
        return [required(f"{path}.apiVersion")]
    if not text:
        return [required(f"{path}.fieldPath")]
    why = _unconvertible(version, text)
    if why:
        return [invalid(f"{path}.fieldPath", text, f"error converting fieldPath: {why}")]
    found = _SUBSCRIPT.fullmatch(text)
    if found is not None:
        key = found[2].lower() if found[1] == "metadata.annotations" else found[2]
        return complaints(path, key, is_qualified_name(key))
    if text == "spec.host":
        text = "spec.nodeName"
    return [] if text in allowed else [not_supported(f"{path}.fieldPath", text, sorted(allowed))]


def _unconvertible(version: str, text: str) -> str:
    if version != "v1":
        return f"unsupported pod version: {version}"
    found = _SUBSCRIPT.fullmatch(text)
    if found is not None:
        return "" if found[1] in ("metadata.annotations", "metadata.labels") else f"field label does not support subscript: {text}"
    return "" if text in _KNOWN_LABELS or text == "spec.host" else f"field label not supported: {text}"


def _env_resource_ref(ref: Object, path: str) -> list[FieldError]:
    return validate_resource_ref(ref, path, in_volume=False)


def validate_resource_ref(ref: Object, path: str, *, in_volume: bool) -> list[FieldError]:
    """A ResourceFieldSelector. `in_volume`: it must say which container."""
    name = ref.get("resource") or ""
    errors: list[FieldError] = []
    if in_volume and not ref.get("containerName"):
        errors.append(required(f"{path}.containerName"))
    elif not name:
        errors.append(required(f"{path}.resource"))
    elif name not in _RESOURCES and not name.startswith(_HUGE_PAGES):
        errors.append(not_supported(f"{path}.resource", name, _RESOURCES))
    return errors + _divisor(name, ref.get("divisor"), f"{path}.divisor")


def _divisor(name: str, given: str | None, path: str) -> list[FieldError]:
    divisor = parse(given)
    if not divisor:
        return []
    text, resource = str(divisor), name.partition(".")[2]
    if name in ("limits.cpu", "requests.cpu"):
        return [] if text in _CPU_DIVISORS else [invalid(path, name, "only divisor's values 1m and 1 are supported with the cpu resource")]
    called = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(resource, "")
    if name.startswith(_HUGE_PAGES):
        called = "hugepages"
    if not called or name.partition(".")[0] not in ("limits", "requests") or text in _SIZE_DIVISORS:
        return []
    return [invalid(path, name, f"only divisor's values {_SIZES} are supported with the {called} resource")]


def _key_ref(ref: Object, path: str) -> list[FieldError]:
    name, key = ref.get("name") or "", ref.get("key") or ""
    errors = complaints(f"{path}.name", name, is_dns1123_subdomain(name))
    return errors + (complaints(f"{path}.key", key, is_config_map_key(key)) if key else [required(f"{path}.key")])


def _file_key_ref(ref: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    key, volume, file = ref.get("key") or "", ref.get("volumeName") or "", ref.get("path") or ""
    if not key:
        errors.append(required(f"{path}.key"))
    else:
        errors += complaints(f"{path}.key", key, is_relaxed_env_var_name(key))
        if len(key.encode()) > _KEY_BYTES_MAX:
            errors.append(FieldError("FieldValueTooLong", f"{path}.key", f"Too long: may not be more than {_KEY_BYTES_MAX} bytes"))
    errors += complaints(f"{path}.volumeName", volume, is_dns1123_label(volume)) if volume else [required(f"{path}.volumeName")]
    return errors + (no_backsteps(file, f"{path}.path") if file else [required(f"{path}.path")])


def validate_file_volumes(spec: Object, path: str) -> list[FieldError]:
    """The volumes that variables are read from must be there, and emptyDirs."""
    errors: list[FieldError] = []
    for container, at in containers_with_paths(spec, path):
        for index, variable in enumerate(container.get("env") or ()):
            ref = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if ref is None:
                continue
            name, field = ref.get("volumeName") or "", f"{at}.env[{index}].valueFrom.fileKeyRef.volumeName"
            volume = next((each for each in spec.get("volumes") or () if each.get("name") == name), None)
            if volume is None:
                errors.append(field_not_found(field, name))
            elif volume.get("emptyDir") is None:
                errors.append(invalid(field, name, "referenced volume must be of type emptyDir"))
    return errors


_SOURCES = {
    "fieldRef": _env_field_ref,
    "resourceFieldRef": _env_resource_ref,
    "configMapKeyRef": _key_ref,
    "secretKeyRef": _key_ref,
    "fileKeyRef": _file_key_ref,
}
