"""PersistentVolumeClaims, also as templates. Source: kubernetes `pkg/apis/core/validation/validation.go`
(ValidatePersistentVolumeClaim*), `pkg/api/persistentvolumeclaim`.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

from apiserver.validation.metadata import complaints, immutable, same, validate_label_selector
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain, is_qualified_name
from apiserver.validation.requirements import is_native, quantity_value
from apiserver.validation.volume import VOLUME_MODES, access_mode_errors, basic_resource_errors
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object, annotations_of
from kube.quantity import parse

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
RESIZE_STATUSES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
)
_FROZEN = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
_SIZE = "spec.resources.requests.storage"


def validate_claim_spec(spec: Object, path: str, before: Object | None = None) -> list[FieldError]:
    """A claim's spec; `before` is the stored one, whose bad values may stay."""
    before = before or {}
    modes = spec.get("accessModes") or []
    errors = [] if modes else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    lenient = bool(before) and bool(validate_label_selector(before.get("selector"), ""))
    errors += validate_label_selector(spec.get("selector"), f"{path}.selector", allow_bad_values=lenient)
    errors += access_mode_errors(modes, f"{path}.accessModes") + _size_errors(spec, f"{path}.resources[storage]")
    name, mode, attributes = spec.get("storageClassName") or "", spec.get("volumeMode"), spec.get("volumeAttributesClassName") or ""
    if name:
        errors += complaints(f"{path}.storageClassName", name, is_dns1123_subdomain(name))
    if mode is not None and mode not in VOLUME_MODES:
        errors.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))
    errors += _source_errors(spec, before, path)
    if attributes:
        errors += complaints(f"{path}.volumeAttributesClassName", attributes, is_dns1123_subdomain(attributes))
    return errors


def _size_errors(spec: Object, path: str) -> list[FieldError]:
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        return [required(path)]
    if parse(size).nano <= 0:
        return [invalid(path, size, "must be greater than zero")]
    return quantity_value("storage", parse(size), path)


def _source_errors(spec: Object, before: Object, path: str) -> list[FieldError]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    lenient = any((before.get(name) or {}).get("apiGroup") is not None for name in ("dataSource", "dataSourceRef"))
    errors: list[FieldError] = []
    for name, each in (("dataSource", source), ("dataSourceRef", reference)):
        if each is not None:
            errors += _reference_errors(each, f"{path}.{name}", lenient=lenient)
    if source is None or reference is None:
        return errors
    if reference.get("namespace"):
        errors.append(invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified"))
    elif any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
        errors.append(invalid(path, {}, "must match dataSourceRef"))
    return errors


def _reference_errors(reference: Object, path: str, *, lenient: bool) -> list[FieldError]:
    kind, group, namespace = reference.get("kind") or "", reference.get("apiGroup") or "", reference.get("namespace") or ""
    errors = [required(f"{path}.{name}") for name in ("name", "kind") if not reference.get(name)]
    if not group and kind != "PersistentVolumeClaim":
        errors.append(invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
    if group and not lenient:
        errors += complaints(f"{path}.apiGroup", group, is_dns1123_subdomain(group))
    if namespace:
        errors += complaints(f"{path}.namespace", namespace, is_dns1123_label(namespace))
    return errors


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """An update is checked as a new claim twice: upstream's strategy and its update rules both do."""
    errors = validate_claim_spec(new.get("spec") or {}, "spec", (old or {}).get("spec"))
    if old is not None:
        errors += errors + _update_errors(new, old)
    if not errors:
        ctx.warnings += _warnings(new, old)
    return errors


def _update_errors(new: Object, old: Object) -> list[FieldError]:
    """What may change: volumeName once; size and attributes class while bound; the storage class from nothing to something."""
    spec, before = copy.deepcopy(new.get("spec") or {}), copy.deepcopy(old.get("spec") or {})
    errors: list[FieldError] = []
    _align_amounts(spec, before)
    if not before.get("volumeName") and "volumeName" in spec:
        before["volumeName"] = spec["volumeName"]
    errors += _class_change(new, old, spec, before)
    had_requests = (before.get("resources") or {}).get("requests") or {}
    if (new.get("status") or {}).get("phase") == "Bound":
        requests = (spec.get("resources") or {}).get("requests")
        if requests is not None and "storage" in had_requests:
            requests["storage"] = had_requests["storage"]
        if spec.get("volumeAttributesClassName") is not None:
            spec["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
    if not same(spec, before):
        errors.append(not_allowed("spec", _FROZEN))
    errors += _shrink_errors(new, old)
    errors += immutable((new.get("spec") or {}).get("volumeMode"), (old.get("spec") or {}).get("volumeMode"), "volumeMode")
    return errors + _attributes_change((new.get("spec") or {}).get("volumeAttributesClassName"), before.get("volumeAttributesClassName"))


def _align_amounts(spec: Object, before: Object) -> None:
    """Equal amounts that are written differently are no change."""
    for part in ("requests", "limits"):
        amounts, had = ((each.get("resources") or {}).get(part) or {} for each in (spec, before))
        for name in amounts.keys() & had.keys():
            if parse(amounts[name]) == parse(had[name]):
                amounts[name] = had[name]


def _class_change(new: Object, old: Object, spec: Object, before: Object) -> list[FieldError]:
    """Lets the two allowed changes of the storage class through, by making `spec` and `before` agree."""
    given, had = annotations_of(new).get(CLASS_ANNOTATION), annotations_of(old).get(CLASS_ANNOTATION)
    name, old_name = spec.get("storageClassName"), before.get("storageClassName")
    if had is not None and old_name is None and name == had and given in (None, had):
        spec.pop("storageClassName", None)
        return []
    errors: list[FieldError] = []
    if (given or "") != (had or ""):
        errors.append(invalid(f"metadata.annotations.{CLASS_ANNOTATION}", given or "", "field is immutable"))
    if name is not None and old_name is None and had in (None, name):
        spec.pop("storageClassName", None)
    return errors


def _shrink_errors(new: Object, old: Object) -> list[FieldError]:
    def size(claim: Object, *path: str) -> str:
        value: Object = claim
        for part in path:
            value = value.get(part) or {}
        return str(value.get("storage") or "0")

    wanted, had = parse(size(new, "spec", "resources", "requests")), parse(size(old, "spec", "resources", "requests"))
    if wanted < had and wanted <= parse(size(old, "status", "capacity")):
        return [not_allowed(_SIZE, "field can not be less than status.capacity")]
    return []


def _attributes_change(name: str | None, had: str | None) -> list[FieldError]:
    if had is None or name:
        return []
    to = "nil" if name is None else "an empty string"
    return [not_allowed("spec.volumeAttributesClassName", f"update from non-nil value to {to} is forbidden")]


def validate_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    status = new.get("status") or {}
    errors = [] if (new.get("spec") or {}).get("accessModes") else [required("Spec.accessModes")]
    for name, text in (status.get("capacity") or {}).items():
        errors += basic_resource_errors(text, f"status.capacity[{name}]")
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        path = "status.allocatedResourceStatuses"
        errors += _resource_key_errors(name, path)
        if state not in RESIZE_STATUSES:
            errors.append(not_supported(path, name, RESIZE_STATUSES))
    for name, text in (status.get("allocatedResources") or {}).items():
        found = _resource_key_errors(name, "status.allocatedResources")
        path = f"status.allocatedResources[{name}]"
        errors += found or basic_resource_errors(text, path) or quantity_value("storage", parse(text), path)
    return errors


def _resource_key_errors(name: str, path: str) -> list[FieldError]:
    errors = complaints(path, name, is_qualified_name(name))
    if not errors and is_native(name) and name != "storage":
        errors.append(not_supported(path, name, ["storage"]))
    return errors


_amount_re = re.compile(r"[+-]?(\d*)\.?(\d*)(.*)", re.ASCII)
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def _is_uneven(text: str) -> bool:
    """Whether upstream thinks that there are thousandths in an amount: it counts them in an int64, and takes huge amounts for nothing
    (where it keeps them as machine integers: those of few digits) or for what is left of them in 64 bits."""
    milli = parse(text).milli_value()
    if -(2**63) <= milli < 2**63:
        return milli % 1000 != 0
    found = _amount_re.fullmatch(text)
    whole, fraction, suffix = found.groups() if found else ("", "", "")
    digits = len(whole) + len(fraction)
    is_small = suffix not in _BINARY and digits <= 18
    return not is_small and ((milli + 2**63) % 2**64 - 2**63) % 1000 != 0


def claim_warnings(spec: Object, path: str) -> list[str]:
    """Amounts of less than a whole byte are no use."""
    found: list[str] = []
    for part in ("requests", "limits"):
        text = ((spec.get("resources") or {}).get(part) or {}).get("storage")
        if text is not None and _is_uneven(text):
            found.append(f'{path}.resources.{part}[storage]: fractional byte value "{text}" is invalid, must be an integer')
    return found


def _warnings(new: Object, old: Object | None) -> list[str]:
    found: list[str] = []
    if CLASS_ANNOTATION in annotations_of(new):
        found.append(f'metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use "storageClassName" attribute instead')
    if old is None or (old.get("spec") or {}) != (new.get("spec") or {}):
        found += claim_warnings(new.get("spec") or {}, "spec")
    return found
