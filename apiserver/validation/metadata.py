"""Validation of ObjectMeta, labels, annotations and label selectors: the part that every kind shares.

Source: apimachinery `pkg/api/validation/objectmeta.go` and `pkg/apis/meta/v1/validation`. Formats are in `names.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apiserver.validation.names import (
    byte_length,
    is_dns1123_label,
    is_good_key,
    is_good_value,
    is_qualified_name,
    is_valid_label_value,
    name_errors,
    regex_error,
)
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_long

ANNOTATIONS_BYTES_MAX = 256 * 1024
FIELD_MANAGER_BYTES_MAX = 128
SUBRESOURCE_BYTES_MAX = 256
IMMUTABLE = "field is immutable"
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_OPERATIONS = ("Apply", "Update")
NOT_NEGATIVE = "must be greater than or equal to 0"

Meta = Mapping[str, Any]


def complaints(path: str, value: Any, messages: Iterable[str]) -> list[FieldError]:
    """One `Invalid value` for each message."""
    return [invalid(path, value, message) for message in messages]


def immutable(new: Any, old: Any, path: str) -> list[FieldError]:
    """An error when a field changes; None, "" and empty containers are the same (Go's semantic equality)."""
    return [] if same(new, old) else [invalid(path, new, IMMUTABLE)]


def same(new: Any, old: Any) -> bool:
    """Go's semantic deep equality on decoded JSON: what is empty is as if absent, at every depth."""
    if isinstance(new, dict) and isinstance(old, dict):
        return all(same(new.get(key), old.get(key)) for key in new.keys() | old.keys())
    if isinstance(new, list) and isinstance(old, list):
        return len(new) == len(old) and all(map(same, new, old))
    if new in (None, "") or new == [] or new == {}:
        return old in (None, "") or old == [] or old == {}
    return bool(new == old)


def not_negative(value: int | None, path: str) -> list[FieldError]:
    return [invalid(path, value, NOT_NEGATIVE)] if value is not None and value < 0 else []


# --- ObjectMeta -------------------------------------------------------------------------------------------------------


def validate_object_meta(
    meta: Meta, *, namespaced: bool, name_rule: str, path: str = "metadata", legacy_finalizers: bool = False
) -> list[FieldError]:
    """Everything wrong with the metadata of a new object; the name has been generated already. For `legacy_finalizers` see `Kind`."""
    errors: list[FieldError] = []
    if prefix := meta.get("generateName"):
        errors += complaints(f"{path}.generateName", prefix, name_errors(name_rule, prefix, prefix=True))
    if name := meta.get("name"):
        errors += complaints(f"{path}.name", name, name_errors(name_rule, name))
    else:
        errors.append(required(f"{path}.name", "name or generateName is required"))
    errors += _namespace_errors(meta.get("namespace") or "", namespaced, path)
    errors += not_negative(meta.get("generation"), f"{path}.generation")
    errors += _shared_errors(meta, path)
    if finalizers := meta.get("finalizers"):
        errors += validate_finalizers(finalizers, f"{path}.finalizers")
    errors += validate_managed_fields(meta.get("managedFields") or (), f"{path}.managedFields")
    return errors + _legacy_finalizer_errors(meta, path) if legacy_finalizers and finalizers else errors


def update_errors(
    new: Meta, old: Meta, *, namespaced: bool, name_rule: str, passes: Sequence[str], legacy_finalizers: bool
) -> list[FieldError]:
    """Everything wrong with an update's metadata, each thing as often as upstream lists it: twice for every kind, then once for each of the
    kind's own `passes` ("create" and "update": see `Kind.metadata_passes`)."""
    errors = validate_object_meta(new, namespaced=namespaced, name_rule="path-segment") + validate_object_meta_update(new, old)
    for each in passes:
        if each == "update":
            errors += validate_object_meta_update(new, old, legacy_finalizers=legacy_finalizers)
        else:
            errors += validate_object_meta(new, namespaced=namespaced, name_rule=name_rule, legacy_finalizers=legacy_finalizers)
    return errors


def validate_object_meta_update(new: Meta, old: Meta, path: str = "metadata", *, legacy_finalizers: bool = False) -> list[FieldError]:
    """Everything wrong with changing the metadata `old` into `new`: one pass (see `update_errors`)."""
    errors: list[FieldError] = []
    if old.get("deletionTimestamp"):
        errors += _new_finalizers(new.get("finalizers") or [], old.get("finalizers") or [], f"{path}.finalizers")
    if not new.get("resourceVersion"):
        errors.append(invalid(f"{path}.resourceVersion", new.get("resourceVersion") or "", "must be specified for an update"))
    generation = new.get("generation") or 0
    errors += not_negative(generation, f"{path}.generation")
    if generation < (old.get("generation") or 0):
        errors.append(invalid(f"{path}.generation", generation, "must not be decremented"))
    for name in ("name", "namespace", "uid"):
        errors += immutable(new.get(name) or "", old.get(name) or "", f"{path}.{name}")
    for name in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        errors += immutable(new.get(name), old.get(name), f"{path}.{name}")
    errors += _shared_errors(new, path)
    errors += validate_managed_fields(new.get("managedFields") or [], f"{path}.managedFields")
    return errors + (_legacy_finalizer_errors(new, path) if legacy_finalizers else [])


def _shared_errors(meta: Meta, path: str) -> list[FieldError]:
    errors = validate_labels(meta.get("labels"), f"{path}.labels")
    if annotations := meta.get("annotations"):
        errors += validate_annotations(annotations, f"{path}.annotations")
    if owners := meta.get("ownerReferences"):
        errors += validate_owner_references(owners, f"{path}.ownerReferences")
    return errors


def _namespace_errors(namespace: str, namespaced: bool, path: str) -> list[FieldError]:
    if not namespaced:
        return [not_allowed(f"{path}.namespace", "not allowed on this type")] if namespace else []
    if not namespace:
        return [required(f"{path}.namespace")]
    return complaints(f"{path}.namespace", namespace, is_dns1123_label(namespace))


def validate_finalizers(finalizers: Sequence[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for finalizer in finalizers:
        errors += complaints(path, finalizer, is_qualified_name(finalizer))
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        errors.append(invalid(path, list(finalizers), "finalizer orphan and foregroundDeletion cannot be both set"))
    return errors


def finalizer_name_errors(finalizer: str, path: str) -> list[FieldError]:
    """Finalizers without a domain must be upstream's own."""
    if "/" in finalizer or finalizer in _STANDARD_FINALIZERS:
        return []
    return [invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")]


def _legacy_finalizer_errors(meta: Meta, path: str) -> list[FieldError]:
    finalizers = meta.get("finalizers") or ()
    return [error for index, each in enumerate(finalizers) for error in finalizer_name_errors(each, f"{path}.finalizers[{index}]")]


def _new_finalizers(new: Sequence[str], old: Sequence[str], path: str) -> list[FieldError]:
    added = sorted(set(new) - set(old))
    if not added:
        return []
    listed = "[]string{" + ", ".join(json.dumps(each) for each in added) + "}"
    return [not_allowed(path, f"no new finalizers can be added if the object is being deleted, found new finalizers {listed}")]


def validate_owner_references(references: Sequence[Meta], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    controller = ""
    for reference in references:
        errors += _owner_errors(reference, path)
        if not reference.get("controller"):
            continue
        this = f"{reference.get('kind', '')}/{reference.get('name', '')}"
        if controller:
            why = f'Only one reference can have Controller set to true. Found "true" in references for {controller} and {this}'
            errors.append(invalid(path, list(references), why))
        else:
            controller = this
    return errors


def _owner_errors(reference: Meta, path: str) -> list[FieldError]:
    """One reference; upstream names no index in the path."""
    errors: list[FieldError] = []
    api_version, kind = reference.get("apiVersion") or "", reference.get("kind") or ""
    group, _, version = api_version.rpartition("/")
    if "/" in group or not version:
        errors.append(invalid(f"{path}.apiVersion", api_version, "version must not be empty"))
    errors += [invalid(f"{path}.{each}", "", "must not be empty") for each in ("kind", "name", "uid") if not reference.get(each)]
    if api_version == "v1" and kind == "Event":
        errors.append(invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
    return errors


def validate_managed_fields(entries: Sequence[Meta], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, entry in enumerate(entries):
        manager, subresource = entry.get("manager") or "", entry.get("subresource") or ""
        if entry.get("operation") in _OPERATIONS and entry.get("fieldsType") == "FieldsV1" and _is_short_and_plain(manager, subresource):
            continue
        at = f"{path}[{index}]"
        operation = entry.get("operation") or ""
        if operation not in _OPERATIONS:
            errors.append(invalid(f"{at}.operation", operation, "must be `Apply` or `Update`"))
        fields_type = entry.get("fieldsType") or ""
        if fields_type not in ("", "FieldsV1"):
            errors.append(invalid(f"{at}.fieldsType", fields_type, "must be `FieldsV1`"))
        errors += validate_field_manager(manager, f"{at}.manager")
        if byte_length(subresource) > SUBRESOURCE_BYTES_MAX:
            errors.append(too_long(f"{at}.subresource", SUBRESOURCE_BYTES_MAX))
    return errors


def _is_short_and_plain(manager: str, subresource: str) -> bool:
    """Whether nothing can be wrong with these: nearly always, and entries are looked at with every write."""
    fits = len(manager) <= FIELD_MANAGER_BYTES_MAX and len(subresource) < 64
    return fits and manager.isascii() and manager.isprintable() and subresource.isascii()


def validate_field_manager(manager: str, path: str = "fieldManager") -> list[FieldError]:
    """A field manager's name: at most 128 bytes, printable."""
    errors = [too_long(path, FIELD_MANAGER_BYTES_MAX)] if byte_length(manager) > FIELD_MANAGER_BYTES_MAX else []
    if manager.isascii() and manager.isprintable():
        return errors
    position = 0
    for char in manager:
        if not (char.isprintable() or char == " ") or (char.isspace() and char != " "):
            errors.append(invalid(path, manager, f"invalid character {_go_rune(char)} (at position {position})"))
        position += byte_length(char)
    return errors


def _go_rune(char: str) -> str:
    """Go's %#U: the code point, and the character where it can be printed."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"


# --- labels, annotations, selectors -----------------------------------------------------------------------------------


def validate_labels(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for key, value in (labels or {}).items():
        if not is_good_key(key):
            errors += complaints(path, key, is_qualified_name(key))
        if not is_good_value(value):
            errors += complaints(path, value, is_valid_label_value(value))
    return errors


def validate_annotations(annotations: Mapping[str, str] | None, path: str) -> list[FieldError]:
    """Keys like label keys, but of any case; 256 KiB in all."""
    errors: list[FieldError] = []
    total = 0
    for key, value in (annotations or {}).items():
        lower = key.lower()
        if not is_good_key(lower):
            errors += complaints(path, key, is_qualified_name(lower))
        total += byte_length(key) + byte_length(value)
    if total > ANNOTATIONS_BYTES_MAX:
        errors.append(too_long(path, ANNOTATIONS_BYTES_MAX))
    return errors


def validate_label_name(name: str, path: str) -> list[FieldError]:
    return complaints(path, name, is_qualified_name(name))


def validate_label_selector(
    selector: Mapping[str, Any] | None, path: str, *, allow_bad_values: bool = False, allow_unknown_operators: bool = False
) -> list[FieldError]:
    """A metav1.LabelSelector. `allow_bad_values`: the stored object has bad label values already (see `has_bad_label_value`)."""
    if not selector:
        return []
    errors = validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, requirement in enumerate(selector.get("matchExpressions") or []):
        at = f"{path}.matchExpressions[{index}]"
        errors += validate_selector_requirement(
            requirement, at, allow_bad_values=allow_bad_values, allow_unknown_operators=allow_unknown_operators
        )
    return errors


def validate_selector_requirement(
    requirement: Mapping[str, Any], path: str, *, allow_bad_values: bool = False, allow_unknown_operators: bool = False
) -> list[FieldError]:
    """One of a label selector's matchExpressions."""
    errors = _operator_errors(requirement, path, allow_unknown_operators)
    errors += validate_label_name(requirement.get("key") or "", f"{path}.key")
    if not allow_bad_values:
        for index, value in enumerate(requirement.get("values") or []):
            errors += complaints(f"{path}.values[{index}]", value, is_valid_label_value(value))
    return errors


def _operator_errors(requirement: Mapping[str, Any], path: str, allow_unknown: bool) -> list[FieldError]:
    operator, values = requirement.get("operator") or "", requirement.get("values")
    if operator in ("In", "NotIn"):
        return [] if values else [required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")]
    if operator in ("Exists", "DoesNotExist"):
        why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        return [not_allowed(f"{path}.values", why)] if values else []
    return [] if allow_unknown else [invalid(f"{path}.operator", operator, "not a valid selector operator")]


def validate_field_selector_requirement(
    requirement: Mapping[str, Any], path: str, *, allow_unknown_operators: bool = False
) -> list[FieldError]:
    """A metav1.FieldSelectorRequirement (access reviews)."""
    errors = [] if requirement.get("key") else [required(f"{path}.key", "must be specified")]
    return errors + _operator_errors(requirement, path, allow_unknown_operators)


def has_bad_label_value(selector: Mapping[str, Any] | None) -> bool:
    """Whether a stored selector has values that today's validation refuses; then an update may keep having them."""
    expressions = (selector or {}).get("matchExpressions") or []
    return any(is_valid_label_value(value) for each in expressions for value in each.get("values") or [])


# --- metav1.Condition -------------------------------------------------------------------------------------------------

_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON_RULE = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', "
    "and must end with an alphanumeric character or '_'"
)


def validate_conditions(conditions: Sequence[Meta] | None, path: str) -> list[FieldError]:
    """metav1.Condition lists in the status of newer kinds."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions or []):
        kind = condition.get("type") or ""
        if kind in seen:
            errors.append(duplicate(f"{path}[{index}].type", kind))
        seen.add(kind)
        errors += _condition_errors(condition, f"{path}[{index}]")
    return errors


def _condition_errors(condition: Meta, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    kind, status, reason = (condition.get(each) or "" for each in ("type", "status", "reason"))
    errors += validate_label_name(kind, f"{path}.type")
    if status not in ("True", "False", "Unknown"):
        errors.append(not_supported(f"{path}.status", status, ["False", "True", "Unknown"]))
    generation = condition.get("observedGeneration") or 0
    if generation < 0:
        errors.append(invalid(f"{path}.observedGeneration", generation, "must be greater than or equal to zero"))
    if not condition.get("lastTransitionTime"):
        errors.append(required(f"{path}.lastTransitionTime"))
    errors += _reason_errors(reason, f"{path}.reason")
    if byte_length(condition.get("message") or "") > 32 * 1024:
        errors.append(too_long(f"{path}.message", 32 * 1024))
    return errors


def _reason_errors(reason: str, path: str) -> list[FieldError]:

    if not reason:
        return [required(path)]
    errors = []
    if not re.fullmatch(_REASON, reason):
        errors.append(
            invalid(path, reason, regex_error(_REASON_RULE, _REASON, "my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"))
        )
    if byte_length(reason) > 1024:
        errors.append(too_long(path, 1024))
    return errors
