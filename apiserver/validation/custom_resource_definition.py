"""CustomResourceDefinitions. Schemas are in `structural_schema.py`.

Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go`. Its paths are those of the internal version: what all
versions of a definition have in common (schema, subresources, columns, selectable fields) is named below `spec`, not below a version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from apiserver.validation.go_url import UrlError, parse
from apiserver.validation.metadata import immutable
from apiserver.validation.names import byte_length, is_dns1035_label, is_dns1123_subdomain
from apiserver.validation.structural_schema import property_at, validate_schema
from apiserver.validation.webhook_client import validate_client_config
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_many
from kube.objects import Object, annotations_of, condition_of

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

SCOPES, STRATEGIES = ("Cluster", "Namespaced"), ("None", "Webhook")
REVIEW_VERSIONS = ("v1", "v1beta1")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
SELECTABLE_MAX = 8
WARNING_MAX = 256
APPROVAL = "api-approved.kubernetes.io"
_APPROVAL_DOC = "https://github.com/kubernetes/enhancements/pull/1111"
_NOT_WEBHOOK = "should not be set when strategy is not set to Webhook"


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = [] if old is not None else _name_errors(new)
    errors += _spec(spec)
    if old is not None:
        errors += _fixed(spec, old)
    errors += _stored_versions(new) + (_approval(new) if old is None or _approval(old) == [] else [])
    if spec.get("preserveUnknownFields") and not ((old or {}).get("spec") or {}).get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        errors.append(invalid("spec.preserveUnknownFields", True, why))
    return errors


def _name_errors(crd: Object) -> list[FieldError]:
    spec, name = crd.get("spec") or {}, crd["metadata"].get("name") or ""
    wanted = f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}"
    return [invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')] if name and name != wanted else []


def _fixed(spec: Object, old: Object) -> list[FieldError]:
    """The names never change; scope and kind not once objects may be stored."""
    before = old.get("spec") or {}
    names, had = spec.get("names") or {}, before.get("names") or {}
    errors: list[FieldError] = []
    if (condition_of(old, "Established") or {}).get("status") == "True":
        errors += immutable(spec.get("scope"), before.get("scope"), "spec.scope")
        errors += immutable(names.get("kind"), had.get("kind"), "spec.names.kind")
    errors += immutable(spec.get("group"), before.get("group"), "spec.group")
    return errors + immutable(names.get("plural"), had.get("plural"), "spec.names.plural")


# --- the spec ---------------------------------------------------------------------------------------------------------


def _spec(spec: Object) -> list[FieldError]:
    group, scope, versions = spec.get("group") or "", spec.get("scope") or "", spec.get("versions") or []
    errors = _group(group, "spec.group")
    if not scope:
        errors.append(required("spec.scope"))
    elif scope not in SCOPES:
        errors.append(not_supported("spec.scope", scope, SCOPES))
    errors += _versions(spec, versions)
    names = spec.get("names") or {}
    errors += [required(f"spec.names.{name}") for name in ("plural", "singular", "kind", "listKind") if not names.get(name)]
    errors += _names(names, "spec.names")
    for part, check in _PARTS.items():
        if versions and _is_shared(versions, part):
            errors += check(versions[0], "spec", _SHARED_PATHS[part])
    return errors + _conversion(spec.get("conversion") or {}, "spec.conversion")


def _group(group: str, path: str) -> list[FieldError]:
    if not group:
        return [required(path)]
    found = is_dns1123_subdomain(group)
    if found:
        return [invalid(path, group, ",".join(found))]
    return [] if "." in group else [invalid(path, group, "should be a domain with at least one dot")]


def _names(names: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    mixed = "may have mixed case, but should otherwise match: "
    for field, intro in (("plural", ""), ("singular", ""), ("kind", mixed), ("listKind", mixed)):
        name = names.get(field) or ""
        found = is_dns1035_label(name.lower() if intro else name) if name else []
        if found:
            errors.append(invalid(f"{path}.{field}", name, intro + ",".join(found)))
    errors += _labels(names, "shortNames", path)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        errors.append(invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same"))
    return errors + _labels(names, "categories", path)


def _labels(names: Object, field: str, path: str) -> list[FieldError]:
    found = ((index, each, is_dns1035_label(each)) for index, each in enumerate(names.get(field) or []))
    return [invalid(f"{path}.{field}[{index}]", each, ",".join(why)) for index, each, why in found if why]


def _versions(spec: Object, versions: Sequence[Object]) -> list[FieldError]:
    path = "spec.versions"
    errors: list[FieldError] = []
    for index, version in enumerate(versions):
        at, name = f"{path}[{index}]", version.get("name") or ""
        found = is_dns1035_label(name)
        if found:
            errors.append(invalid(f"{at}.name", name, ",".join(found)))
        errors += _deprecation(version, f"{at}.deprecationWarning")
        for part, check in _PARTS.items():
            if not _is_shared(versions, part):
                errors += check(version, at, _OWN_PATHS[part])
    if any(_schema(version) is None for version in versions):
        missing = (index for index, version in enumerate(versions) if _schema(version) is None)
        errors += [required(f"{path}[{index}].schema.openAPIV3Schema") for index in missing]
    names = [version.get("name") for version in versions]
    shown = [_internal(each, versions) for each in versions] if versions else spec.get("versions")
    if len(set(names)) != len(names):
        errors.append(invalid(path, shown, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errors.append(invalid(path, shown, "must have exactly one version marked as storage version"))
    found = is_dns1035_label(names[0] or "") if versions else []
    return [*errors, invalid("spec.version", names[0], ",".join(found))] if found else errors


def _schema(version: Object) -> Object | None:
    schema: Object | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _is_shared(versions: Sequence[Object], part: str) -> bool:
    return all(version.get(part) == versions[0].get(part) for version in versions)


def _internal(version: Object, versions: Sequence[Object]) -> Object:
    """A version as Go prints its internal type."""
    shown = {
        "Name": version.get("name") or "",
        "Served": bool(version.get("served")),
        "Storage": bool(version.get("storage")),
        "Deprecated": bool(version.get("deprecated")),
        "DeprecationWarning": version.get("deprecationWarning"),
    }
    titles = {"schema": "Schema", "subresources": "Subresources"}
    titles |= {"additionalPrinterColumns": "AdditionalPrinterColumns", "selectableFields": "SelectableFields"}
    return shown | {title: None if _is_shared(versions, part) else version.get(part) for part, title in titles.items()}


def _deprecation(version: Object, path: str) -> list[FieldError]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return []
    errors = [] if version.get("deprecated") else [invalid(path, warning, "can only be set for deprecated versions")]
    if byte_length(warning) > WARNING_MAX:
        errors.append(invalid(path, warning, f"must be <= {WARNING_MAX} characters long"))
    if not warning:
        errors.append(invalid(path, warning, "cannot be empty if specified"))
    offset = 0
    for char in warning:
        if not char.isprintable():
            why = f"must only contain printable UTF-8 characters; non-printable character found at index {offset}"
            return [*errors, invalid(path, warning, why)]
        offset += byte_length(char)
    return errors


# --- what a version has -----------------------------------------------------------------------------------------------


def _schema_errors(version: Object, path: str, name: str) -> list[FieldError]:
    schema = _schema(version)
    return validate_schema(schema, f"{path}.{name}.openAPIV3Schema") if schema is not None else []


def _subresource_errors(version: Object, path: str, name: str) -> list[FieldError]:
    scale, at = (version.get("subresources") or {}).get("scale"), f"{path}.{name}.scale"
    if scale is None:
        return []
    errors = _replicas(scale.get("specReplicasPath") or "", ".spec", f"{at}.specReplicasPath")
    errors += _replicas(scale.get("statusReplicasPath") or "", ".status", f"{at}.statusReplicasPath")
    selector, where = scale.get("labelSelectorPath") or "", f"{at}.labelSelectorPath"
    found = _simple_path(selector, where) if selector else []
    if selector and not found and not selector.startswith((".spec.", ".status.")):
        found = [invalid(where, selector, "should be a json path under either .spec or .status")]
    return errors + found


def _replicas(given: str, root: str, path: str) -> list[FieldError]:
    if not given:
        return [required(path)]
    errors = _simple_path(given, path)
    if errors or given.startswith(root + "."):
        return errors
    return [invalid(path, given, f"should be a json path under {root}")]


def _simple_path(given: str, path: str) -> list[FieldError]:
    return [] if given.startswith(".") else [invalid(path, given, "must be a simple json path starting with .")]


def _column_errors(version: Object, path: str, name: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, column in enumerate(version.get(name) or []):
        at, kind, form, where = f"{path}.{name}[{index}]", *(column.get(each) or "" for each in ("type", "format", "jsonPath"))
        if not column.get("name"):
            errors.append(required(f"{at}.name"))
        if not kind:
            errors.append(required(f"{at}.type", f"must be one of {','.join(COLUMN_TYPES)}"))
        elif kind not in COLUMN_TYPES:
            errors.append(invalid(f"{at}.type", kind, f"must be one of {','.join(COLUMN_TYPES)}"))
        if form and form not in COLUMN_FORMATS:
            errors.append(invalid(f"{at}.format", form, f"must be one of {','.join(COLUMN_FORMATS)}"))
        errors += _simple_path(where, f"{at}.JSONPath") if where else [required(f"{at}.JSONPath")]
    return errors


def _selectable_errors(version: Object, path: str, name: str) -> list[FieldError]:
    fields, schema = version.get(name) or [], _schema(version)
    errors = [too_many(f"{path}.{name}", len(fields), SELECTABLE_MAX)] if len(fields) > SELECTABLE_MAX else []
    seen: set[str] = set()
    for index, field in enumerate(fields):
        at, where = f"{path}.{name}[{index}].jsonPath", field.get("jsonPath") or ""
        if not where:
            errors.append(required(at))
            continue
        found = property_at(schema or {}, where)
        if found is None or where.startswith(".metadata."):
            errors.append(invalid(at, where, "is an invalid path: does not refer to a valid field"))
        elif found.get("type") not in ("string", "integer", "boolean"):
            why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            errors.append(invalid(at, where, why))
        if where in seen:
            errors.append(duplicate(at, where))
        seen.add(where)
    return errors


_PARTS: dict[str, Callable[[Object, str, str], list[FieldError]]] = {
    "schema": _schema_errors,
    "subresources": _subresource_errors,
    "additionalPrinterColumns": _column_errors,
    "selectableFields": _selectable_errors,
}
_OWN_PATHS = {part: part for part in _PARTS}
_SHARED_PATHS = {**_OWN_PATHS, "schema": "validation"}


# --- conversion, status, approval -------------------------------------------------------------------------------------


def _conversion(conversion: Object, path: str) -> list[FieldError]:
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook") or {}
    config, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    at, versions_at = f"{path}.webhookClientConfig", f"{path}.conversionReviewVersions"
    if not strategy:
        return [required(f"{path}.strategy")]
    if strategy not in STRATEGIES:
        return [not_supported(f"{path}.strategy", strategy, STRATEGIES)]
    if strategy == "None":
        errors = [not_allowed(at, _NOT_WEBHOOK)] if config is not None else []
        return errors + ([not_allowed(versions_at, _NOT_WEBHOOK)] if versions else [])
    if config is None:
        return [required(at, "required when strategy is set to Webhook"), *_review_versions(versions, versions_at)]
    return validate_client_config(config, at) + _review_versions(versions, versions_at)


def _review_versions(versions: Sequence[str], path: str) -> list[FieldError]:
    if not versions:
        return [required(path)]
    errors: list[FieldError] = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        found = is_dns1035_label(version)
        if found:
            errors.append(invalid(f"{path}[{index}]", version, ",".join(found)))
    if not set(versions) & set(REVIEW_VERSIONS):
        errors.append(invalid(path, list(versions), f"must include at least one of {', '.join(REVIEW_VERSIONS)}"))
    return errors


def _stored_versions(crd: Object) -> list[FieldError]:
    path, stored = "status.storedVersions", (crd.get("status") or {}).get("storedVersions")
    if not stored:
        return [invalid(path, stored, "must have at least one stored version")]
    names = {version.get("name") for version in (crd.get("spec") or {}).get("versions") or ()}
    why = (
        "missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a storage migration "
        "ensures no data remains persisted in {0} and removes {0} from status.storedVersions"
    )
    return [invalid(f"{path}[{index}]", each, why.format(each)) for index, each in enumerate(stored) if each not in names]


def _approval(crd: Object) -> list[FieldError]:
    """Groups of the Kubernetes community need a word of its reviewers."""
    group: Any = (crd.get("spec") or {}).get("group") or ""
    if not f".{group}".endswith((".k8s.io", ".kubernetes.io")):
        return []
    path, word = f"metadata.annotations[{APPROVAL}]", annotations_of(crd).get(APPROVAL) or ""
    need = f"protected groups must have approval annotation {json.dumps(APPROVAL)}"
    if not word:
        return [required(path, f"{need}, see {_APPROVAL_DOC}")]
    if word.startswith("unapproved") or _is_url(word):
        return []
    return [invalid(path, word, f'{need} with either a URL or a reason starting with "unapproved", see {_APPROVAL_DOC}')]


def _is_url(text: str) -> bool:
    try:
        url = parse(text)
    except UrlError:
        return False
    return bool(url.scheme and url.host)


def validate_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return _names((new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
