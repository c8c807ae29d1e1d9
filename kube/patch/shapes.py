"""What a type says to server-side apply: is this value walked as a map, as a list, or owned as a whole?

Types of which the schema says nothing (`Scalar.ANY`) are deduced from the value: maps are walked, lists and scalars are owned as a whole.
Source: structured-merge-diff `typed/helpers.go` (deduceAtom), `typed/parser.go` (the deduced type); apimachinery's conversion of OpenAPI.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from kube.schema.types import ListType, MapType, Scalar, ScalarType, StructType, Type

ANY = ScalarType(Scalar.ANY)
_ANY_LIST = ListType(ANY)


class Shape(Enum):
    MAP = "map"
    LIST = "list"
    SCALAR = "scalar"


def is_any(of: Type) -> bool:
    """True for a type that says nothing, so that the value decides."""
    return isinstance(of, ScalarType) and of.scalar is Scalar.ANY


def is_opaque(of: Type) -> bool:
    """True for an embedded object (a ControllerRevision's data): any JSON, but owned as a whole."""
    return isinstance(of, ScalarType) and of.go_name == "runtime.RawExtension"


def shape_of(of: Type, value: Any) -> Shape:
    """How a value of that type is walked. A null of a deduced type counts as a map, as upstream has it."""
    if isinstance(of, StructType | MapType):
        return Shape.MAP
    if isinstance(of, ListType):
        return Shape.LIST
    if of.scalar is not Scalar.ANY:
        return Shape.SCALAR
    if isinstance(value, dict) or value is None:
        return Shape.MAP
    return Shape.LIST if isinstance(value, list) else Shape.SCALAR


def is_atomic(of: Type) -> bool:
    """True when a map or a list of that type is owned as a whole. (A list of a deduced type is too: see `list_of`.)"""
    if isinstance(of, StructType | MapType):
        return of.atomic
    return of.kind == "atomic" if isinstance(of, ListType) else is_opaque(of)


def list_of(of: Type) -> ListType:
    """The list type by which a list of that type is walked."""
    return of if isinstance(of, ListType) else _ANY_LIST


def is_declared(of: Type, name: str) -> bool:
    """True for the fields of a struct; keys of a map and unknown fields are not declared."""
    return isinstance(of, StructType) and name in of.fields


def child_of(of: Type, name: str) -> Type | None:
    """The type of a field or of a map's value; None when the schema knows no such field."""
    if isinstance(of, StructType):
        field = of.fields.get(name)
        if field is not None:
            return field.type
        return ANY if of.open else None
    if isinstance(of, MapType):
        return of.value
    return ANY if is_any(of) else None
