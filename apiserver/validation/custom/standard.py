"""What every schema of a CustomResourceDefinition must be besides structural: no unsupported words, sound lists and maps, sound rules.

Rules themselves are looked at by the caller's `Rules`. Source: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go`
(ValidateCustomResourceDefinitionOpenAPISchema).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from apiserver.validation.custom.field_path import FieldPathError, field_at
from apiserver.validation.custom.schema import META_FIELDS, Node, additional, is_embedded, items, properties
from apiserver.validation.custom.structure import unsupported_words
from kube.errors import FieldError, invalid, not_allowed, not_supported, required

TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
LIST_TYPES: Final = ("atomic", "set", "map")
MAP_TYPES: Final = ("atomic", "granular")
RULE_REASONS: Final = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
DEPTH_MAX: Final = 200
"""How deep schemas may be nested. (Who calls this sees to it.)"""

_X: Final = "x-kubernetes-"
_NEWLINE: Final = re.compile(r"[\n\r]")
_SPACE: Final = " \t\n\v\f\r\x85\xa0"
_UNIQUE: Final = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"


class Rules(Protocol):
    """Where in a schema its x-kubernetes-validations are compiled. Made for the root; each schema below gets one of its own."""

    def child(self, part: str, node: Node, name: str = "") -> Rules:
        """That of a schema right below: `part` is properties, additionalProperties or items."""

    def problems(self, path: str, uncorrelatable: str) -> list[FieldError]:
        """What is wrong with the rules right here. `uncorrelatable`: where oldSelf lost its way; "" where it has not."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema stands, and what follows from that."""

    no_defaults: str | None = None  # why defaults may not be set
    in_meta: bool = False  # in apiVersion, kind or metadata
    uncorrelatable: str = ""


@dataclass(slots=True)
class _Found:
    schema: list[FieldError]
    rules: list[FieldError]

    def add(self, other: _Found) -> None:
        self.schema += other.schema
        self.rules += other.rules


def schema_problems(schema: Node, path: str, rules: Rules | None) -> list[FieldError]:
    """Everything wrong with a schema and those in it. `rules` None: rules are not compiled."""
    found = _look(schema, path, _Place(), rules, is_root=True)
    return found.schema + found.rules


def _look(node: Node, path: str, place: _Place, rules: Rules | None, *, is_root: bool = False) -> _Found:
    found = _Found([*_words(node, path, place)], [])
    if node.get("uniqueItems"):
        found.schema.append(not_allowed(f"{path}.uniqueItems", _UNIQUE))
    rest = node.get("additionalProperties")
    if rest is not None and properties(node) and rest is not True:
        found.schema.append(not_allowed(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"))
    for child, where, below, child_rules in _children(node, path, place, rules, is_root=is_root):
        found.add(_look(child, where, below, child_rules))
    found.schema += _extensions(node, path)
    found.schema += _list_map(node, path)
    found.schema += _keys_and_items(node, path)
    if node.get(f"{_X}validations"):
        found.schema += _rules(node, path)
        if not found.schema and rules is not None:
            found.rules += rules.problems(f"{path}.{_X}validations", place.uncorrelatable)
    return found


_Child = tuple[Node, str, _Place, "Rules | None"]


def _children(node: Node, path: str, place: _Place, rules: Rules | None, *, is_root: bool) -> Iterator[_Child]:
    """The schemas right below, in upstream's order, with their places."""
    rest, inner = additional(node), node.get("items")
    if rest is not None:
        why = "inside additionalProperties applying to object metadata"
        below = replace(place, no_defaults=why) if place.in_meta else place
        yield rest, f"{path}.additionalProperties", below, rules.child("additionalProperties", rest) if rules else None
    in_map = place if node.get(f"{_X}map-type") in (None, "", *MAP_TYPES) else _uncorrelated(place, path)
    for name, each in sorted(properties(node).items()):
        below = in_map
        if name in META_FIELDS and (is_root or is_embedded(node)):
            below = replace(below, in_meta=True)
            if is_root:
                below = replace(below, no_defaults=f"in top-level {name}")
        yield each, f"{path}.properties[{name}]", below, rules.child("properties", each, name) if rules else None
    for each, where in _alternatives(node, path):
        yield each, where, place, None
    for name, each in sorted((node.get("definitions") or {}).items()):
        yield each, f"{path}.definitions[{name}]", place, None
    in_list = place if node.get(f"{_X}list-type") == "map" else _uncorrelated(place, path)
    if isinstance(inner, Mapping):
        yield inner, f"{path}.items", in_list, rules.child("items", inner) if rules else None
    for index, each in enumerate(inner if isinstance(inner, list) else ()):
        yield each, f"{path}.items[{index}]", in_list, None
    for name, each in sorted((node.get("dependencies") or {}).items()):
        if isinstance(each, Mapping):
            yield each, f"{path}.dependencies[{name}]", place, None


def _alternatives(node: Node, path: str) -> Iterator[tuple[Node, str]]:
    if node.get("not") is not None:
        yield node["not"], f"{path}.not"
    for logic in ("allOf", "oneOf", "anyOf"):
        for index, each in enumerate(node.get(logic) or ()):
            yield each, f"{path}.{logic}[{index}]"


def _uncorrelated(place: _Place, path: str) -> _Place:
    return place if place.uncorrelatable else replace(place, uncorrelatable=path)


# --- words ------------------------------------------------------------------------------------------------------------


def _words(node: Node, path: str, place: _Place) -> Iterator[FieldError]:
    kind = node.get("type") or ""
    if kind and kind not in TYPES:
        yield not_supported(f"{path}.type", kind, TYPES)
    if node.get("default") is not None and place.no_defaults is not None:
        yield not_allowed(f"{path}.default", f"must not be set {place.no_defaults}")
    if node.get("id"):
        yield not_allowed(f"{path}.id", "id is not supported")
    if node.get("additionalItems") is not None:
        yield not_allowed(f"{path}.additionalItems", "additionalItems is not supported")
    for name in ("patternProperties", "definitions"):
        if node.get(name):
            yield not_allowed(f"{path}.{name}", f"{name} is not supported")
    if node.get("dependencies") is not None:
        yield not_allowed(f"{path}.dependencies", "dependencies is not supported")
    if node.get("$ref") is not None:
        yield not_allowed(f"{path}.$ref", "$ref is not supported")
    if kind == "null":
        yield not_allowed(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(node.get("items"), list) and node["items"]:
        yield not_allowed(f"{path}.items", "items must be a schema object and not an array")
    if place.in_meta and is_embedded(node):
        yield not_allowed(f"{path}.{_X}embedded-resource", "must not be used inside of resource meta")


# --- lists and maps ---------------------------------------------------------------------------------------------------


def _extensions(node: Node, path: str) -> Iterator[FieldError]:
    if node.get(f"{_X}preserve-unknown-fields") is False:
        yield invalid(f"{path}.{_X}preserve-unknown-fields", False, "must be true or undefined")
    kind, map_type, list_type = node.get("type") or "", node.get(f"{_X}map-type"), node.get(f"{_X}list-type")
    if map_type is not None:
        yield from _must_be("object", kind, path, f"{_X}map-type")
        if map_type not in MAP_TYPES:
            yield not_supported(f"{path}.{_X}map-type", map_type, MAP_TYPES)
    if list_type is not None:
        if kind == "array" and list_type == "set":
            yield from _set_items(items(node) or {}, f"{path}.items")
        yield from _must_be("array", kind, path, f"{_X}list-type")
        if list_type not in LIST_TYPES:
            yield not_supported(f"{path}.{_X}list-type", list_type, LIST_TYPES)


def _must_be(wanted: str, kind: str, path: str, because: str) -> Iterator[FieldError]:
    why = f"must be {wanted} if {because} is specified"
    if not kind:
        yield required(f"{path}.type", why)
    elif kind != wanted:
        yield invalid(f"{path}.type", kind, why)


def _set_items(inner: Node, path: str) -> Iterator[FieldError]:
    """Items of a set are compared as a whole. (Upstream shows the list type of a map, too.)"""
    kind, shown, why = inner.get("type"), inner.get(f"{_X}list-type"), f"must be atomic as item of a list with {_X}list-type=set"
    if kind == "array" and shown not in (None, "atomic"):
        yield invalid(f"{path}.{_X}list-type", shown, why)
    elif kind == "object" and inner.get(f"{_X}map-type") != "atomic":
        yield invalid(f"{path}.{_X}map-type", shown, why)


def _list_map(node: Node, path: str) -> Iterator[FieldError]:
    kind, keys = node.get(f"{_X}list-type"), node.get(f"{_X}list-map-keys") or []
    at, inner = f"{path}.{_X}list-map-keys", node.get("items")
    if keys and kind != "map":
        where, why = f"{path}.{_X}list-type", f"must be map if {_X}list-map-keys is non-empty"
        yield required(where, why) if kind is None else invalid(where, kind, why)
    if kind != "map":
        return
    if not keys:
        yield required(at, f"must not be empty if {_X}list-type is map")
    if inner is None:
        yield required(f"{path}.items", f"must have a schema if {_X}list-type is map")
    elif not isinstance(inner, Mapping):
        yield invalid(f"{path}.items", inner, f"must only have a single schema if {_X}list-type is map")
    elif inner.get("type") != "object":
        yield invalid(f"{path}.items.type", inner.get("type") or "", f"must be object if parent array's {_X}list-type is map")
    else:
        yield from _map_keys(inner, keys, path, at)


def _map_keys(inner: Node, keys: list[str], path: str, at: str) -> Iterator[FieldError]:
    for index, key in enumerate(keys):
        of = properties(inner).get(key)
        if of is None:
            yield invalid(at, keys, "entries must all be names of item properties")
        elif of.get("type") in ("array", "object"):
            why = f"must be a scalar type if parent array's {_X}list-type is map"
            yield invalid(f"{path}.items.properties[{key}].type", inner["type"], why)
        if key in keys[:index]:
            yield invalid(at, keys, "must not contain duplicate entries")


def _keys_and_items(node: Node, path: str) -> Iterator[FieldError]:
    kind, inner = node.get(f"{_X}list-type"), items(node)
    if inner is None or kind not in ("set", "map"):
        return
    if inner.get("nullable"):
        yield not_allowed(f"{path}.items.nullable", f"cannot be nullable when {_X}list-type is {kind}")
    for key in node.get(f"{_X}list-map-keys") or () if kind == "map" else ():
        at, of = f"{path}.items.properties[{key}]", properties(inner).get(key)
        if of is None:
            continue
        this = f"this property is in {_X}list-map-keys, so it"
        if key not in (inner.get("required") or ()) and of.get("default") is None:
            yield required(f"{at}.default", f"{this} must have a default or be a required property")
        if of.get("nullable"):
            yield not_allowed(f"{at}.nullable", f"{this} cannot be nullable")


# --- rules ------------------------------------------------------------------------------------------------------------


def _rules(node: Node, path: str) -> Iterator[FieldError]:
    for index, rule in enumerate(node.get(f"{_X}validations") or ()):
        yield from _rule(node, rule, f"{path}.{_X}validations[{index}]")


def _rule(node: Node, rule: Mapping[str, Any], at: str) -> Iterator[FieldError]:
    text, message, expression = ((rule.get(name) or "") for name in ("rule", "message", "messageExpression"))
    said = message.strip(_SPACE)
    if not text.strip(_SPACE):
        yield required(f"{at}.rule", "rule is not specified")
    elif message and not said:
        yield invalid(f"{at}.message", message, "must be non-empty if specified")
    elif _NEWLINE.search(said):
        yield invalid(f"{at}.message", message, "must not contain line breaks")
    elif _NEWLINE.search(text.strip(_SPACE)) and not said:
        yield required(f"{at}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip(_SPACE):
        yield required(f"{at}.messageExpression", "messageExpression must be non-empty if specified")
    reason, field = rule.get("reason"), rule.get("fieldPath") or ""
    if reason is not None and reason not in RULE_REASONS:
        yield not_supported(f"{at}.reason", reason, RULE_REASONS)
    if field and not field.strip(_SPACE):
        yield invalid(f"{at}.fieldPath", field, "must be non-empty if specified")
    if _NEWLINE.search(field):
        yield invalid(f"{at}.fieldPath", field, "must not contain line breaks")
    if field and not _leads_somewhere(node, field):
        yield invalid(f"{at}.fieldPath", field, "must be a valid path")


def _leads_somewhere(node: Node, path: str) -> bool:
    if unsupported_words(node):
        return True
    try:
        field_at(node, path)
    except FieldPathError:
        return False
    return True
