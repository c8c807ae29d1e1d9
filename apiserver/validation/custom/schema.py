"""The words of structural schemas: what a node of a CustomResourceDefinition's openAPIV3Schema says.

A node is a plain dict, as stored; nothing is copied. Source: apiextensions-apiserver `pkg/apiserver/schema/structural.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Node = Mapping[str, Any]

META_FIELDS: Final = frozenset({"apiVersion", "kind", "metadata"})
"""What every object has, whether its schema says so or not."""

INT64: Final = (-(2**63), 2**63 - 1)


def preserves(node: Node) -> bool:
    """Unknown fields are kept right here (not below)."""
    return bool(node.get("x-kubernetes-preserve-unknown-fields"))


def is_embedded(node: Node) -> bool:
    """A whole object: with apiVersion, kind and metadata."""
    return bool(node.get("x-kubernetes-embedded-resource"))


def is_int_or_string(node: Node) -> bool:
    return bool(node.get("x-kubernetes-int-or-string"))


def properties(node: Node) -> Mapping[str, Node]:
    return node.get("properties") or {}


def additional(node: Node) -> Node | None:
    """The schema of the fields that `properties` does not name; None where there is none."""
    found = node.get("additionalProperties")
    return found if isinstance(found, Mapping) else None


def has_additional(node: Node) -> bool:
    """`additionalProperties` is there, as a schema or as a plain yes."""
    return node.get("additionalProperties") is not None


def items(node: Node) -> Node | None:
    found = node.get("items")
    return found if isinstance(found, Mapping) else None


def types(node: Node) -> tuple[str, ...]:
    """The JSON types that a value may have; empty where nothing is said."""
    if is_int_or_string(node):
        return ("integer", "string")
    return (node["type"],) if node.get("type") else ()


def takes_null(node: Node) -> bool:
    """A null stays: it is allowed, or a default takes its place."""
    return bool(node.get("nullable")) or node.get("default") is not None


def is_int(value: Any) -> bool:
    """What Go decodes into an int64; larger numbers are floats to it."""
    return type(value) is int and INT64[0] <= value <= INT64[1]


def json_type(value: Any) -> str:
    """The JSON type of a value, as schemas name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    if isinstance(value, dict):
        return "object"
    return "integer" if is_int(value) else "number"
