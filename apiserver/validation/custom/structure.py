"""What makes a schema structural: every field that is validated somewhere has a type where it stands.

Below allOf, anyOf, oneOf and not a schema only validates values; it shapes nothing. Errors come sorted, as upstream tells them.
Source: apiextensions-apiserver `pkg/apiserver/schema/{convert,validation,complete}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from apiserver.validation.custom.schema import Node, additional, is_embedded, is_int_or_string, items, preserves, properties
from kube.errors import FieldError, invalid, not_allowed, required
from kube.go_regexp import regexp_problem

Level = Literal["root", "field", "item"]

_EXTENSION: Final = "x-kubernetes-"
_LOGIC: Final = ("anyOf", "allOf", "oneOf")
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]
_EMPTY, _UNDEFINED, _FALSE = (f"must be {what} to be structural" for what in ("empty", "undefined", "false"))
_NOT_NESTED: Final = {
    "type": _EMPTY,
    "default": _UNDEFINED,
    "title": _EMPTY,
    "description": _EMPTY,
    "nullable": _FALSE,
    f"{_EXTENSION}preserve-unknown-fields": _FALSE,
    f"{_EXTENSION}embedded-resource": _FALSE,
    f"{_EXTENSION}int-or-string": _FALSE,
    f"{_EXTENSION}list-map-keys": _EMPTY,
    f"{_EXTENSION}list-type": _UNDEFINED,
    f"{_EXTENSION}map-type": _UNDEFINED,
    f"{_EXTENSION}validations": _EMPTY,
}
"""What a schema that only validates values may not say: that is for the schema around it."""

_UNSUPPORTED: Final = {
    "id": "id",
    "$schema": "schema",
    "$ref": "$ref",
    "patternProperties": "patternProperties",
    "dependencies": "dependencies",
    "additionalItems": "additionalItems",
    "definitions": "definitions",
}


def unsupported_words(schema: Node) -> str:
    """Why a schema cannot even be looked at as a structural one; "" where it can."""
    for word, name in _UNSUPPORTED.items():
        if schema.get(word):
            return f"OpenAPIV3Schema '{name}' is not supported"
    if isinstance(schema.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    if schema.get(f"{_EXTENSION}preserve-unknown-fields") is False:
        return f"internal error: '{_EXTENSION}preserve-unknown-fields' must be true or undefined"
    return next(filter(None, map(unsupported_words, _below(schema))), "")


def structural_problems(schema: Node, path: str) -> list[FieldError]:
    """Everything because of which a schema (without unsupported words) is not structural."""
    found = [*_invariants(schema, "root", path), *_value_completeness(schema, schema, path, path)]
    return sorted(found, key=str)


def _below(schema: Node) -> Iterator[Node]:
    yield from properties(schema).values()
    for each in (additional(schema), items(schema), schema.get("not")):
        if each is not None:
            yield each
    for logic in _LOGIC:
        yield from schema.get(logic) or ()


# --- a schema in its place --------------------------------------------------------------------------------------------


def _invariants(node: Node, level: Level, path: str) -> Iterator[FieldError]:
    kind, inner, rest = node.get("type") or "", items(node), additional(node)
    if kind == "array" and inner is None:
        yield required(f"{path}.items", "must be specified")
    if inner is not None:
        yield from _invariants(inner, "item", f"{path}.items")
    for name, each in properties(node).items():
        yield from _invariants(each, "field", f"{path}.properties[{name}]")
    if node.get("additionalProperties") is not None:
        if level == "root":
            yield not_allowed(f"{path}.additionalProperties", "must not be used at the root")
        if rest is not None:
            yield from _invariants(rest, "field", f"{path}.additionalProperties")
    yield from _extensions(node, path)
    yield from _values(node, path, skips_any_of=_is_int_or_string(node), skips_first=_is_int_or_string((node.get("allOf") or [{}])[0]))
    yield from _type(node, kind, level, path)
    yield from _resource(node, level, path)


def _extensions(node: Node, path: str) -> Iterator[FieldError]:
    why = f"must be false if {_EXTENSION}int-or-string is true"
    if is_int_or_string(node) and preserves(node):
        yield invalid(f"{path}.{_EXTENSION}preserve-unknown-fields", True, why)
    if is_int_or_string(node) and is_embedded(node):
        yield invalid(f"{path}.{_EXTENSION}embedded-resource", True, why)


def _type(node: Node, kind: str, level: Level, path: str) -> Iterator[FieldError]:
    if is_embedded(node) and kind != "object":
        why = f"must be object if {_EXTENSION}embedded-resource is true"
        yield invalid(f"{path}.type", kind, why) if kind else required(f"{path}.type", why)
    elif not kind and not is_int_or_string(node) and not preserves(node):
        where = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}[level]
        yield required(f"{path}.type", f"must not be empty {where}")
    if level == "root" and kind and kind != "object":
        yield invalid(f"{path}.type", kind, "must be object at the root")


def _resource(node: Node, level: Level, path: str) -> Iterator[FieldError]:
    """apiVersion, kind and metadata are what they are in every object."""
    known, embedded = properties(node), is_embedded(node)
    if embedded and node.get("additionalProperties") is not None:
        yield not_allowed(f"{path}.additionalProperties", f"must not be used if {_EXTENSION}embedded-resource is set")
    if level == "root" or embedded:
        for name, kind in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
            given = known[name].get("type") or "" if name in known else kind
            if given != kind:
                yield invalid(f"{path}.properties[{name}].type", given, f"must be {kind}")
    if level == "root" and "metadata" in known and not _is_bare_metadata(known["metadata"]):
        why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield not_allowed(f"{path}.properties[metadata]", why)
    if embedded and not preserves(node) and not known:
        why = f"must not be empty if {_EXTENSION}embedded-resource is true without {_EXTENSION}preserve-unknown-fields"
        yield required(f"{path}.properties", why)


def _is_bare_metadata(node: Node) -> bool:
    said = {name for name, value in node.items() if value not in (None, False, "")}
    return said <= {"type", "properties", "default"} and properties(node).keys() <= {"name", "generateName"}


# --- a schema that only validates values ------------------------------------------------------------------------------


def _is_int_or_string(node: Node) -> bool:
    """The two places where it may be said again what x-kubernetes-int-or-string means."""
    return bool(node.get("anyOf") == _INT_OR_STRING)


def _values(node: Node, path: str, *, skips_any_of: bool = False, skips_first: bool = False) -> Iterator[FieldError]:
    for index, each in enumerate(node.get("anyOf") or () if not skips_any_of else ()):
        yield from _nested(each, f"{path}.anyOf[{index}]")
    for index, each in enumerate(node.get("allOf") or ()):
        yield from _nested(each, f"{path}.allOf[{index}]", skips_any_of=skips_first and not index)
    for index, each in enumerate(node.get("oneOf") or ()):
        yield from _nested(each, f"{path}.oneOf[{index}]")
    if node.get("not") is not None:
        yield from _nested(node["not"], f"{path}.not")
    pattern = node.get("pattern") or ""
    problem = regexp_problem(pattern) if pattern else ""
    if problem:
        yield invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {problem}")


def _nested(node: Node, path: str, *, skips_any_of: bool = False) -> Iterator[FieldError]:
    yield from _values(node, path, skips_any_of=skips_any_of)
    inner = items(node)
    if inner is not None:
        yield from _nested(inner, f"{path}.items")
    for name, each in properties(node).items():
        yield from _nested(each, f"{path}.properties[{name}]")
    if node.get("additionalProperties"):
        yield not_allowed(f"{path}.additionalProperties", _UNDEFINED)
    for name, why in _NOT_NESTED.items():
        if node.get(name) not in (None, "", False, []):
            yield not_allowed(f"{path}.{name}", why)
    if "metadata" in properties(node):
        yield not_allowed(f"{path}.properties[metadata]", "must not be specified in a nested context")


# --- completeness -----------------------------------------------------------------------------------------------------


def _value_completeness(values: Node, node: Node | None, path: str, at: str) -> Iterator[FieldError]:
    """Whether what `values` (at the path `at`) validates is described by `node` (at `path`). Upstream looks no further than what the
    root's own alternatives say."""
    for nested, where in _alternatives(values, at):
        yield from _completeness(nested, node, path, where)


def _alternatives(values: Node, at: str) -> Iterable[tuple[Node, str]]:
    if values.get("not") is not None:
        yield values["not"], f"{at}.not"
    for logic in ("allOf", "anyOf", "oneOf"):
        for index, each in enumerate(values.get(logic) or ()):
            yield each, f"{at}.{logic}[{index}]"


def _completeness(nested: Node, node: Node | None, path: str, at: str) -> Iterator[FieldError]:
    if node is None:
        yield required(path, f"because it is defined in {at}")
        return
    yield from _value_completeness(nested, node, path, at)
    inner = items(nested)
    if inner is not None:
        yield from _completeness(inner, items(node), f"{path}.items", f"{at}.items")
    known: Any = properties(node)
    for name, each in properties(nested).items():
        yield from _completeness(each, known.get(name), f"{path}.properties[{name}]", f"{at}.properties[{name}]")
