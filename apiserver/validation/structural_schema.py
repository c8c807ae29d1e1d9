"""The OpenAPI v3 schemas of custom resources: they must be structural.

Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go` and `pkg/apiserver/schema/validation.go`.
Not here: whether rules compile and what they cost (there is no CEL yet).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

from apiserver.validation.custom.defaults import default_problems
from kube.errors import FieldError, invalid, not_allowed, not_supported, required
from kube.objects import Object

TYPES = ("array", "boolean", "integer", "number", "object", "string")
LIST_TYPES, MAP_TYPES = ("atomic", "set", "map"), ("atomic", "granular")
RULE_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
DEPTH_MAX = 200
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_EXTENSION = "x-kubernetes-"
_LOGIC = ("allOf", "anyOf", "oneOf")
_EMPTY, _UNDEFINED, _FALSE = (f"must be {what} to be structural" for what in ("empty", "undefined", "false"))
_NOT_NESTED = {
    "default": _UNDEFINED,
    "additionalProperties": _UNDEFINED,
    "type": _EMPTY,
    "title": _EMPTY,
    "description": _EMPTY,
    "nullable": _FALSE,
    f"{_EXTENSION}preserve-unknown-fields": _UNDEFINED,
    f"{_EXTENSION}embedded-resource": _FALSE,
    f"{_EXTENSION}int-or-string": _FALSE,
    f"{_EXTENSION}list-map-keys": _EMPTY,
    f"{_EXTENSION}list-type": _UNDEFINED,
    f"{_EXTENSION}map-type": _UNDEFINED,
}
"""What a schema below allOf, anyOf, oneOf or not may not say: that is for the schema around it."""

Level = Literal["root", "field", "item"]


def validate_schema(schema: Object, path: str) -> list[FieldError]:
    """Everything wrong with the schema of a custom resource. Schemas nested deeper than DEPTH_MAX are refused."""
    if schema.get("nullable"):
        return [not_allowed(f"{path}.nullable", "nullable cannot be true at the root")]
    errors = _standard(schema, path, 0)
    return errors or _structural(schema, path, "root") or default_problems(schema, path)


def property_at(schema: Object, where: str) -> Object | None:
    """The schema of the property at a simple JSON path (`.spec.size`); None where there is none."""
    found: Any = schema
    for name in where.removeprefix(".").split("."):
        found = (found.get("properties") or {}).get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _children(schema: Object, path: str) -> Iterator[tuple[Object, str, bool]]:
    """The schemas right below one: (schema, path, whether it only validates values)."""
    additional, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(additional, dict):
        yield additional, f"{path}.additionalProperties", False
    for name, each in sorted((schema.get("properties") or {}).items()):
        yield each, f"{path}.properties[{name}]", False
    if isinstance(items, dict):
        yield items, f"{path}.items", False
    for logic in _LOGIC:
        for index, each in enumerate(schema.get(logic) or []):
            yield each, f"{path}.{logic}[{index}]", True
    if isinstance(schema.get("not"), dict):
        yield schema["not"], f"{path}.not", True


# --- what every schema must be ----------------------------------------------------------------------------------------


def _standard(schema: Object, path: str, depth: int) -> list[FieldError]:
    if depth > DEPTH_MAX:
        return [not_allowed(path, f"schemas may not be nested deeper than {DEPTH_MAX}")]
    errors = _forbidden(schema, path)
    for child, at, _ in _children(schema, path):
        errors += _standard(child, at, depth + 1)
    for check in _CHECKS:
        errors += check(schema, path)
    return errors


def _forbidden(schema: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(not_allowed(f"{path}.uniqueItems", why))
    if schema.get("additionalProperties") and schema.get("properties"):
        errors.append(not_allowed(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"))
    for name in ("patternProperties", "dependencies", "definitions"):
        if schema.get(name):
            errors.append(not_allowed(f"{path}.{name}", f"{name} is not supported"))
    return errors


def _type_errors(schema: Object, path: str) -> list[FieldError]:
    kind, ref = schema.get("type") or "", schema.get("$ref")
    errors = [not_allowed(f"{path}.$ref", "$ref is not supported")] if ref is not None else []
    if kind and kind not in TYPES:
        errors.append(not_supported(f"{path}.type", kind, TYPES))
    if kind == "null":
        errors.append(not_allowed(f"{path}.type", "type cannot be set to null, use nullable as an alternative"))
    if isinstance(schema.get("items"), list):
        errors.append(not_allowed(f"{path}.items", "items must be a schema object and not an array"))
    return errors


def _extension_errors(schema: Object, path: str) -> list[FieldError]:
    preserve = schema.get(f"{_EXTENSION}preserve-unknown-fields")
    errors: list[FieldError] = []
    if preserve is False:
        errors.append(invalid(f"{path}.{_EXTENSION}preserve-unknown-fields", preserve, "must be true or undefined"))
    for name, kind, values in ((f"{_EXTENSION}map-type", "object", MAP_TYPES), (f"{_EXTENSION}list-type", "array", LIST_TYPES)):
        given = schema.get(name)
        if given is None:
            continue
        if schema.get("type") != kind:
            why = f"must be {kind} if {name} is specified"
            errors.append(invalid(f"{path}.type", schema["type"], why) if schema.get("type") else required(f"{path}.type", why))
        if given not in values:
            errors.append(not_supported(f"{path}.{name}", given, values))
    return errors


def _list_errors(schema: Object, path: str) -> list[FieldError]:
    kind, keys = schema.get(f"{_EXTENSION}list-type"), schema.get(f"{_EXTENSION}list-map-keys") or []
    keys_path, items = f"{path}.{_EXTENSION}list-map-keys", schema.get("items")
    if keys and kind != "map":
        at, why = f"{path}.{_EXTENSION}list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
        return [required(at, why) if kind is None else invalid(at, kind, why)]
    if kind == "set" and isinstance(items, dict):
        return _set_items(items, f"{path}.items")
    if kind != "map":
        return []
    if not keys:
        return [required(keys_path, "must not be empty if x-kubernetes-list-type is map")]
    if not isinstance(items, dict):
        return [required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")]
    if items.get("type") != "object":
        return [invalid(f"{path}.items.type", items.get("type") or "", "must be object if parent array's x-kubernetes-list-type is map")]
    return _map_keys(items, keys, path, keys_path)


def _set_items(items: Object, path: str) -> list[FieldError]:
    """Items of a set must be compared as a whole."""
    nested = {"object": f"{_EXTENSION}map-type", "array": f"{_EXTENSION}list-type"}.get(items.get("type") or "")
    if nested is None or items.get(nested) == "atomic" or (nested.endswith("list-type") and items.get(nested) is None):
        return []
    return [invalid(f"{path}.{nested}", items.get(nested), "must be atomic as item of a list with x-kubernetes-list-type=set")]


def _map_keys(items: Object, keys: list[str], path: str, keys_path: str) -> list[FieldError]:
    properties = items.get("properties") or {}
    if not set(keys) <= properties.keys():
        return [invalid(keys_path, keys, "entries must all be names of item properties")]
    errors: list[FieldError] = []
    if len(set(keys)) != len(keys):
        errors.append(invalid(keys_path, keys, "must not contain duplicate entries"))
    for key in keys:
        at, of = f"{path}.items.properties[{key}]", properties[key]
        if of.get("type") in ("array", "object"):
            errors.append(invalid(f"{at}.type", of["type"], "must be a scalar type if parent array's x-kubernetes-list-type is map"))
        if of.get("default") is None and key not in (items.get("required") or ()):
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            errors.append(required(f"{at}.default", why))
    return errors


def _pattern_errors(schema: Object, path: str) -> list[FieldError]:
    pattern = schema.get("pattern") or ""
    problem = regexp_problem(pattern)
    why = f"must be a valid regular expression, but isn't: {problem}"
    return [invalid(f"{path}.pattern", pattern, why)] if problem else []


def regexp_problem(pattern: str) -> str:
    """What Go's regexp would say of a pattern, for the common mistakes; "" when it is fine."""
    unsupported = re.search(r"\(\?(=|!|<=|<!)", pattern)
    if unsupported:
        return f"error parsing regexp: invalid or unsupported Perl syntax: `{unsupported[0]}`"
    try:
        re.compile(pattern)
    except re.error as error:
        rest = pattern[error.pos or 0 :]
        words = {
            "unterminated character set": f"missing closing ]: `{rest}`",
            "missing ), unterminated subpattern": f"missing closing ): `{pattern}`",
            "unbalanced parenthesis": f"unexpected ): `{pattern}`",
            "nothing to repeat": f"missing argument to repetition operator: `{rest[:1]}`",
        }
        return "error parsing regexp: " + words.get(error.msg, f"{error.msg}: `{rest}`")
    return ""


def _rule_errors(schema: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(schema.get(f"{_EXTENSION}validations") or []):
        at, message, reason = f"{path}.{_EXTENSION}validations[{index}]", rule.get("message") or "", rule.get("reason")
        if not (rule.get("rule") or "").strip():
            errors.append(required(f"{at}.rule", "rule is not specified"))
        if message and not message.strip():
            errors.append(invalid(f"{at}.message", message, "message must be non-empty if specified"))
        elif "\n" in message.strip():
            errors.append(invalid(f"{at}.message", message, "must not contain line breaks"))
        if reason is not None and reason not in RULE_REASONS:
            errors.append(not_supported(f"{at}.reason", reason, RULE_REASONS))
        field = rule.get("fieldPath") or ""
        if field and (not field.startswith(".") or property_at(schema, field) is None):
            errors.append(invalid(f"{at}.fieldPath", field, "must be a valid path"))
    return errors


_CHECKS: tuple[Callable[[Object, str], list[FieldError]], ...] = (
    _type_errors,
    _extension_errors,
    _list_errors,
    _pattern_errors,
    _rule_errors,
)


# --- structural -------------------------------------------------------------------------------------------------------


def _structural(schema: Object, path: str, level: Level) -> list[FieldError]:
    errors: list[FieldError] = []
    if schema.get("type") == "array" and schema.get("items") is None:
        errors.append(required(f"{path}.items", "must be specified"))
    is_exception = bool(schema.get(f"{_EXTENSION}int-or-string"))
    for child, at, is_value in _children(schema, path):
        if is_value:
            errors += _nested(child, at, is_free=is_exception and _is_int_or_string(schema, at, path))
        else:
            errors += _structural(child, at, "item" if at == f"{path}.items" else "field")
    return errors + _own(schema, path, level)


def _is_int_or_string(schema: Object, at: str, path: str) -> bool:
    """The two places where x-kubernetes-int-or-string may say its types again."""
    any_of, all_of = schema.get("anyOf") or [], schema.get("allOf") or [{}]
    if at.startswith(f"{path}.anyOf["):
        return bool(any_of == _INT_OR_STRING)
    return at == f"{path}.allOf[0]" and (all_of[0].get("anyOf") or []) == _INT_OR_STRING


def _own(schema: Object, path: str, level: Level) -> list[FieldError]:
    kind, embedded = schema.get("type") or "", bool(schema.get(f"{_EXTENSION}embedded-resource"))
    is_open = bool(schema.get(f"{_EXTENSION}preserve-unknown-fields"))
    errors: list[FieldError] = []
    if embedded and kind != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        errors.append(invalid(f"{path}.type", kind, why) if kind else required(f"{path}.type", why))
    elif not kind and not is_open and not schema.get(f"{_EXTENSION}int-or-string"):
        where = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}[level]
        errors.append(required(f"{path}.type", f"must not be empty {where}"))
    if embedded and schema.get("additionalProperties"):
        why = "must not be used if x-kubernetes-embedded-resource is set"
        errors.append(not_allowed(f"{path}.additionalProperties", why))
    if embedded and not is_open and not schema.get("properties"):
        why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        errors.append(required(f"{path}.properties", why))
    if level == "root" and kind and kind != "object":
        errors.append(invalid(f"{path}.type", kind, "must be object at the root"))
    return errors + (_resource_errors(schema, path) if level == "root" or embedded else [])


def _resource_errors(schema: Object, path: str) -> list[FieldError]:
    """apiVersion, kind and metadata are what they are in every object."""
    properties = schema.get("properties") or {}
    errors: list[FieldError] = []
    for name, kind in (("metadata", "object"), ("apiVersion", "string"), ("kind", "string")):
        given = (properties.get(name) or {}).get("type") or ""
        if name in properties and given != kind:
            errors.append(invalid(f"{path}.properties[{name}].type", given, f"must be {kind}"))
    metadata = properties.get("metadata")
    if metadata:
        below = metadata.get("properties") or {}
        if set(metadata) - {"type", "properties", "description"} or set(below) - {"name", "generateName"}:
            why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            errors.append(not_allowed(f"{path}.properties[metadata]", why))
    return errors


def _nested(schema: Object, path: str, *, is_free: bool = False) -> list[FieldError]:
    """A schema that only validates values, and shapes nothing."""
    errors: list[FieldError] = []
    for child, at, _ in _children(schema, path):
        errors += _nested(child, at, is_free=is_free and at.startswith(f"{path}.anyOf["))
    for name, why in _NOT_NESTED.items():
        if schema.get(name) not in (None, "", False, []) and not (is_free and name == "type"):
            errors.append(not_allowed(f"{path}.{name}", why))
    return errors
