"""CustomResourceDefinitions. Schemas are in `structural_schema.py`.

Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go`. Its paths are those of the internal version: what all
versions of a definition have in common (schema, subresources, columns, selectable fields) is named below `spec`, not below a version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from apiserver.validation.custom.approval import APPROVAL, APPROVED_REASONS, MISSING, approval_of, is_protected
from apiserver.validation.custom.ca_bundle import ca_bundle_problem
from apiserver.validation.custom.field_path import FieldPathError, field_at
from apiserver.validation.metadata import immutable
from apiserver.validation.names import byte_length, is_dns1035_label, is_dns1123_subdomain
from apiserver.validation.webhook_client import validate_client_config
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required, too_many
from kube.objects import Object, annotations_of, is_condition_true

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

SCOPES, STRATEGIES = ("Cluster", "Namespaced"), ("None", "Webhook")
REVIEW_VERSIONS = ("v1", "v1beta1")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
SELECTABLE_MAX = 8
WARNING_MAX = 256
PARTS = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
_NOT_WEBHOOK = "should not be set when strategy is not set to Webhook"


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = [] if old is not None else _name_errors(new)
    errors += _spec(spec, any_ca_bundle=old is None or _may_have_any_ca_bundle(old), old=(old or {}).get("spec") or {})
    if old is not None:
        errors += _fixed(spec, old)
    errors += _names((new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    errors += _stored_versions(new) + _approval(new, old)
    if spec.get("preserveUnknownFields") and not ((old or {}).get("spec") or {}).get("preserveUnknownFields"):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        errors.append(invalid("spec.preserveUnknownFields", True, why))
    return errors


def _name_errors(crd: Object) -> list[FieldError]:
    spec, name = crd.get("spec") or {}, crd["metadata"].get("name") or ""
    wanted = f"{(spec.get('names') or {}).get('plural') or ''}.{spec.get('group') or ''}"
    return [invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')] if name and name != wanted else []


def _may_have_any_ca_bundle(old: Object) -> bool:
    """A bundle that cannot be read is let through until the definition is established, and where there was one before."""
    if not is_condition_true(old, "Established"):
        return True
    client = (((old.get("spec") or {}).get("conversion") or {}).get("webhook") or {}).get("clientConfig") or {}
    return bool(client.get("caBundle")) and bool(ca_bundle_problem(client["caBundle"]))


def _fixed(spec: Object, old: Object) -> list[FieldError]:
    """The names never change; scope and kind not once objects may be stored."""
    before = old.get("spec") or {}
    names, had = spec.get("names") or {}, before.get("names") or {}
    errors: list[FieldError] = []
    if is_condition_true(old, "Established"):
        errors += immutable(spec.get("scope"), before.get("scope"), "spec.scope")
        errors += immutable(names.get("kind"), had.get("kind"), "spec.names.kind")
    errors += immutable(spec.get("group"), before.get("group"), "spec.group")
    return errors + immutable(names.get("plural"), had.get("plural"), "spec.names.plural")


# --- the spec ---------------------------------------------------------------------------------------------------------


def _spec(spec: Object, *, any_ca_bundle: bool, old: Object) -> list[FieldError]:
    group, scope, versions = spec.get("group") or "", spec.get("scope") or "", spec.get("versions") or []
    errors = _group(group, "spec.group")
    if not scope:
        errors.append(required("spec.scope"))
    elif scope not in SCOPES:
        errors.append(not_supported("spec.scope", scope, SCOPES))
    if spec.get("preserveUnknownFields") and any(_has_defaults(_schema(each)) for each in versions):
        errors.append(invalid("spec.preserveUnknownFields", True, "must be false in order to use defaults in the schema"))
    errors += _versions(spec, versions, old)
    names = spec.get("names") or {}
    errors += [required(f"spec.names.{name}") for name in ("plural", "singular", "kind", "listKind") if not names.get(name)]
    errors += _names(names, "spec.names")
    if versions:
        errors += _parts(versions[0], versions, "spec", _shared(versions), old, has_status=any(map(_has_status, versions)))
    conversion = spec.get("conversion") or {}
    if spec.get("preserveUnknownFields") and conversion.get("strategy") != "None":
        why = "must be None if spec.preserveUnknownFields is true"
        errors.append(invalid("spec.conversion.strategy", conversion.get("strategy") or "", why))
    return errors + _conversion(conversion, "spec.conversion", any_ca_bundle=any_ca_bundle)


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


def _versions(spec: Object, versions: Sequence[Object], old: Object) -> list[FieldError]:
    path, own = "spec.versions", frozenset(PARTS) - _shared(versions)
    errors = [required(f"{path}[{index}].schema.openAPIV3Schema") for index, version in enumerate(versions) if _schema(version) is None]
    for index, version in enumerate(versions):
        at, name = f"{path}[{index}]", version.get("name") or ""
        found = is_dns1035_label(name)
        if found:
            errors.append(invalid(f"{at}.name", name, ",".join(found)))
        warning = version.get("deprecationWarning")
        errors += [invalid(f"{at}.deprecationWarning", warning, why) for why in _deprecation(version)]
        errors += _parts(version, versions, at, own, old, has_status=_has_status(version))
    names = [version.get("name") for version in versions]
    shown = [_internal(each, own) for each in versions] if versions else spec.get("versions")
    if len(set(names)) != len(names):
        errors.append(invalid(path, shown, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errors.append(invalid(path, shown, "must have exactly one version marked as storage version"))
    found = is_dns1035_label(names[0] or "") if versions else []
    return [*errors, invalid("spec.version", names[0], ",".join(found))] if found else errors


def _schema(version: Object) -> Object | None:
    schema: Object | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _has_status(version: Object) -> bool:
    return (version.get("subresources") or {}).get("status") is not None


def _has_defaults(schema: Any) -> bool:
    if isinstance(schema, dict):
        return schema.get("default") is not None or any(map(_has_defaults, schema.values()))
    return isinstance(schema, list) and any(map(_has_defaults, schema))


def _shared(versions: Sequence[Object]) -> frozenset[str]:
    """The parts that are the same in all versions. Empty lists are as good as none."""
    return frozenset(part for part in PARTS if all(_part(version, part) == _part(versions[0], part) for version in versions))


def _part(version: Object, part: str) -> Any:
    return version.get(part) or None if part in ("additionalPrinterColumns", "selectableFields") else version.get(part)


def _internal(version: Object, own: frozenset[str]) -> Object:
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
    return shown | {title: version.get(part) if part in own else None for part, title in titles.items()}


def _deprecation(version: Object) -> Iterator[str]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    if not version.get("deprecated"):
        yield "can only be set for deprecated versions"
        return
    if byte_length(warning) > WARNING_MAX:
        yield f"must be <= {WARNING_MAX} characters long"
    if not warning:
        yield "must not be an empty string"
    offset = 0
    for char in warning:
        if not char.isprintable():
            yield f"must only contain printable UTF-8 characters; non-printable character found at index {offset}"
            return
        offset += byte_length(char)


# --- what a version has -----------------------------------------------------------------------------------------------


def _parts(
    version: Object, versions: Sequence[Object], path: str, parts: frozenset[str], old: Object, *, has_status: bool
) -> list[FieldError]:
    """What is wrong with those parts of a version, which stand at `path`."""
    errors: list[FieldError] = []
    schema, at = _schema(version), f"{path}.validation" if path == "spec" else f"{path}.schema"
    if "schema" in parts and schema is not None:
        from apiserver.validation.structural_schema import validate_schema  # and with it CEL, which a starting server can do without

        errors += validate_schema(schema, f"{at}.openAPIV3Schema", has_status=has_status)
    if "subresources" in parts:
        errors += _subresource_errors(version, path)
    if "additionalPrinterColumns" in parts:
        errors += _column_errors(version, f"{path}.additionalPrinterColumns")
    fields = version.get("selectableFields") or []
    if "selectableFields" in parts and fields:
        where = f"{path}.selectableFields"
        if "schema" in parts and version.get("schema") is not None:
            errors += _selectable_errors(fields, schema or {}, where, had=_had_too_many(version, old))
        elif path == "spec":
            errors.append(invalid(where, "", "may only be set when validations.schema is included"))
        else:
            errors.append(invalid(where, "", "may only be set when `version.schema.openAPIV3Schema` is not included"))
    return errors


def _had_too_many(version: Object, old: Object) -> bool:
    """More selectable fields than may be are let through that were there before."""
    before: Object = next((each for each in old.get("versions") or () if each.get("name") == version.get("name")), {})
    return version.get("selectableFields") == before.get("selectableFields")


def _subresource_errors(version: Object, path: str) -> list[FieldError]:
    scale, at = (version.get("subresources") or {}).get("scale"), f"{path}.subresources.scale"
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


def _column_errors(version: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, column in enumerate(version.get("additionalPrinterColumns") or []):
        at, kind, form, where = f"{path}[{index}]", *(column.get(each) or "" for each in ("type", "format", "jsonPath"))
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


def _selectable_errors(fields: Sequence[Object], schema: Object, path: str, *, had: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, field in enumerate(fields):
        at, given = f"{path}[{index}].jsonPath", field.get("jsonPath") or ""
        if not given:
            errors.append(required(at))
            continue
        try:
            where, found = field_at(schema, given, brackets=False)
        except FieldPathError as problem:
            errors.append(invalid(at, given, f"is an invalid path: {problem}"))
            continue
        if where.partition(".")[0] == "metadata":
            errors.append(invalid(at, given, "must not point to fields in metadata"))
        if found is None or found.get("type") not in ("string", "boolean", "integer"):
            why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            errors.append(invalid(at, given, why))
        if where in seen:
            errors.append(duplicate(at, given))
        seen.add(where)
    if len(seen) > SELECTABLE_MAX and not had:
        errors.append(too_many(path, len(seen), SELECTABLE_MAX))
    return errors


# --- conversion, status, approval -------------------------------------------------------------------------------------


def _conversion(conversion: Object, path: str, *, any_ca_bundle: bool) -> list[FieldError]:
    strategy, webhook = conversion.get("strategy") or "", conversion.get("webhook") or {}
    config, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    at, versions_at = f"{path}.webhookClientConfig", f"{path}.conversionReviewVersions"
    errors = [] if strategy in STRATEGIES else [not_supported(f"{path}.strategy", strategy, STRATEGIES)]
    if not strategy:
        errors = [required(f"{path}.strategy")]
    if strategy != "Webhook":
        errors += [not_allowed(at, _NOT_WEBHOOK)] if config is not None else []
        return errors + ([not_allowed(versions_at, _NOT_WEBHOOK)] if versions else [])
    if config is None:
        return [required(at, "required when strategy is set to Webhook"), *_review_versions(versions, versions_at)]
    errors += validate_client_config(config, at)
    bundle = config.get("caBundle") or ""
    problem = ca_bundle_problem(bundle) if bundle and not any_ca_bundle else ""
    if problem:
        errors.append(invalid(f"{at}.caBundle", bundle, problem))
    return errors + _review_versions(versions, versions_at)


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
    versions = (crd.get("spec") or {}).get("versions") or ()
    names = {version.get("name") for version in versions}
    why = (
        "missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a storage migration "
        "ensures no data remains persisted in {0} and removes {0} from status.storedVersions"
    )
    missing = [each["name"] for each in versions if each.get("storage") and each.get("name") not in stored]
    errors = [invalid(path, stored, f"must have the storage version {each}") for each in missing]
    return errors + [invalid(f"{path}[{index}]", each, why.format(each)) for index, each in enumerate(stored) if each not in names]


def _approval(crd: Object, old: Object | None) -> list[FieldError]:
    """Groups of the Kubernetes community need a word of its reviewers. What was said before may be said again."""
    if not is_protected((crd.get("spec") or {}).get("group") or ""):
        return []
    approval = approval_of(annotations_of(crd))
    if approval.reason in APPROVED_REASONS or (old is not None and approval_of(annotations_of(old)).reason == approval.reason):
        return []
    path = f"metadata.annotations[{APPROVAL}]"
    if approval.reason == MISSING:
        return [required(path, approval.message)]
    return [invalid(path, annotations_of(crd)[APPROVAL], approval.message)]


def validate_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return _names((new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
