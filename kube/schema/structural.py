"""The type of a custom resource: what server-side apply and managedFields need to know of its structural schema.

Decoding does not go by this type: the fields of custom resources are kept as they came, pruned and defaulted by rules of their own, so a
`StructType` made here carries its own `decoder` and `walk` (see `types.py`). Source: apimachinery `managedfields` with kube-openapi
`schemaconv/openapi.go` (how a schema becomes a type of structured-merge-diff).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType, Type

Node = Mapping[str, Any]

DEDUCED = ScalarType(Scalar.ANY)
"""Nothing is said: the value decides, and maps are walked."""

UNTYPED = ScalarType(Scalar.ANY, "runtime.RawExtension")
"""Anything, owned as a whole (int-or-string)."""

_ANY_SCALAR = ScalarType(Scalar.INT_OR_STRING)
_STRING, _NUMBER, _BOOL = ScalarType(Scalar.STRING), ScalarType(Scalar.FLOAT), ScalarType(Scalar.BOOL)
_SCALARS = {"string": _STRING, "integer": _NUMBER, "number": _NUMBER, "boolean": _BOOL}


def object_type(node: Node, meta: StructType, *, name: str) -> StructType:
    """The type of a whole object. `meta` is that of ObjectMeta, `name` what the type is called."""
    fields = {each: Field(each, _STRING) for each in ("apiVersion", "kind")} | {"metadata": Field("metadata", meta)}
    return _struct(name, {**_fields(node, meta), **fields}, is_open=_keeps(node))


def type_of(node: Node, meta: StructType) -> Type:
    """The type of a field's value."""
    if node.get("x-kubernetes-int-or-string"):
        return UNTYPED
    kind = node.get("type") or ""
    if kind == "object":
        return _object(node, meta)
    if kind == "array":
        return _list(node, meta)
    if kind == "string" and node.get("format") not in (None, "", "byte"):
        return _ANY_SCALAR
    return _SCALARS.get(kind) or (DEDUCED if _keeps(node) else UNTYPED)


def _keeps(node: Node) -> bool:
    return bool(node.get("x-kubernetes-preserve-unknown-fields"))


def _fields(node: Node, meta: StructType) -> dict[str, Field]:
    return {name: Field(name, type_of(each, meta)) for name, each in (node.get("properties") or {}).items()}


def _struct(name: str, fields: dict[str, Field], *, is_open: bool, atomic: bool = False) -> StructType:
    return StructType(name, name, lambda: fields, atomic=atomic, open=is_open)


def _object(node: Node, meta: StructType) -> Type:
    atomic = node.get("x-kubernetes-map-type") == "atomic"
    rest = node.get("additionalProperties")
    if isinstance(rest, Mapping):
        return MapType(type_of(rest, meta), atomic=atomic)
    fields = _fields(node, meta)
    if node.get("x-kubernetes-embedded-resource"):
        fields |= {"apiVersion": Field("apiVersion", _STRING), "kind": Field("kind", _STRING), "metadata": Field("metadata", meta)}
    if not fields:
        return MapType(DEDUCED, atomic=atomic)
    return _struct("", fields, is_open=_keeps(node) or bool(rest), atomic=atomic)


def _list(node: Node, meta: StructType) -> ListType:
    inner = node.get("items")
    if not isinstance(inner, Mapping):
        return ListType(DEDUCED)
    keys = tuple(node.get("x-kubernetes-list-map-keys") or ())
    below = inner.get("properties") or {}
    defaults = tuple((key, below[key]["default"]) for key in keys if below.get(key, {}).get("default") is not None)
    return ListType(type_of(inner, meta), kind=node.get("x-kubernetes-list-type") or "atomic", keys=keys, key_defaults=defaults)
