"""Field sets: which fields of an object a manager owns, in the form that goes over the wire (FieldsV1).

A set is a tree of dicts, and the tree is the wire form itself, so that nothing needs to be parsed or printed on the way to the store:
keys are path elements (`f:spec`, `k:{"name":"web"}`, `v:"a"`, `i:3`), the empty dict is a field that is in the set and has nothing
below it, and `.` marks one that is in the set as well as some of its children. A dict without `.` only leads to its children.
So `{"f:spec": {"f:replicas": {}}}` owns `.spec.replicas` and not `.spec`. The root itself is never owned: there, `{}` is the empty set.

Sets are shared freely (`LEAF` is one object everywhere): nobody may change one. Every function returns a new set, or one of those given.
What path elements mean and how they sort is in `elements.py`. Source: structured-merge-diff `fieldpath/set.go`, `serialize.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kube.patch.elements import ElementError, canonical_element, in_order
from kube.patch.shapes import child_of, is_any, is_atomic, is_declared
from kube.schema.types import ListType, MapType, StructType, Type

FieldSet = dict[str, Any]
"""A set in FieldsV1 form; values are nodes of the same form."""

SELF = "."
LEAF: FieldSet = {}
"""A member without children."""
EMPTY: FieldSet = {}
"""The set without members."""


class FieldSetError(ValueError):
    """What was given is no FieldsV1. The text says which key is wrong."""


def parse(fields: Any) -> FieldSet:
    """A client's FieldsV1 in canonical form: sorted, keys written as this server writes them, unknown kinds of elements left out.
    Raises FieldSetError."""
    return _parse(fields)[0]


def _parse(fields: Any) -> tuple[FieldSet, bool]:
    """(children, is the node itself a member)."""
    if not isinstance(fields, dict):
        raise FieldSetError(f"expected an object, got {type(fields).__name__}")
    children: FieldSet = {}
    for key, below in fields.items():
        if key == SELF:
            continue
        try:
            element = canonical_element(key)
        except ElementError as error:
            raise FieldSetError(f"parsing key as path element: {error}") from None
        if element is not None:
            grandchildren, member = _parse({} if below is None else below)
            children[element] = _node(grandchildren, member=member)
    ordered = {key: children[key] for key in in_order(children)}
    return ordered, SELF in fields or not ordered


def _node(children: FieldSet, *, member: bool) -> FieldSet:
    """The node of these children. A node that is no member must have some."""
    if not children:
        return LEAF
    return {SELF: LEAF, **children} if member else children


def is_member(node: FieldSet) -> bool:
    """True when the field at this node is in the set. (Not for the root.)"""
    return not node or SELF in node


def _children(node: FieldSet) -> FieldSet:
    return {key: below for key, below in node.items() if key != SELF} if SELF in node else node


def has(fields: FieldSet, path: Sequence[str]) -> bool:
    """True when the field at `path` (elements from the root) is in the set. The root never is."""
    node = fields
    for element in path:
        if element not in node:
            return False
        node = node[element]
    return bool(path) and is_member(node)


def of_path(*path: str) -> FieldSet:
    """The set of one field. `path` has at least one element."""
    node = LEAF
    for element in reversed(path):
        node = {element: node}
    return node


def paths(fields: FieldSet) -> Iterator[tuple[str, ...]]:
    """Every member's path: of each level the members first, then what is below them (upstream's order)."""
    yield from _paths(fields, ())


def _paths(fields: FieldSet, prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, below in fields.items():
        if key != SELF and is_member(below):
            yield (*prefix, key)
    for key, below in fields.items():
        if key != SELF and below:
            yield from _paths(below, (*prefix, key))


# --- algebra ---------------------------------------------------------------------------------------------------------------------


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in either set."""
    if one is other or not other:
        return one
    if not one:
        return other
    out = dict(one)
    grown = False
    for key, below in other.items():
        mine = out.get(key)
        if mine is None:
            out[key] = below
            grown = True
        elif mine is not below and mine != below:
            out[key] = _union_below(mine, below)
    return {key: out[key] for key in in_order(out)} if grown else out


def _union_below(one: FieldSet, other: FieldSet) -> FieldSet:
    children = union(_children(one), _children(other))
    return _node(children, member=is_member(one) or is_member(other))


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in both sets."""
    if one is other:
        return one
    out: FieldSet = {}
    for key, mine in one.items():
        theirs = other.get(key)
        if theirs is None or key == SELF:
            continue
        member = is_member(mine) and is_member(theirs)
        children = intersection(_children(mine), _children(theirs))
        if member or children:
            out[key] = _node(children, member=member)
    return out


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and not in `other`, path by path: taking away a parent leaves its children. `one` itself when nothing is taken."""
    out: FieldSet | None = None
    for key, theirs in other.items():
        mine = one.get(key)
        if mine is None or key == SELF:
            continue
        rest = _difference_at(mine, theirs)
        if rest is not mine:
            out = dict(one) if out is None else out
            if rest is None:
                del out[key]
            else:
                out[key] = rest
    return one if out is None else out


def _difference_at(mine: FieldSet, theirs: FieldSet) -> FieldSet | None:
    """The node without what `theirs` has; None when nothing is left; `mine` itself when nothing is taken."""
    rest = difference(mine, theirs) if mine and theirs else mine
    if is_member(mine) and is_member(theirs):
        return _children(rest) or None
    if rest is mine:
        return mine
    return (LEAF if rest.keys() == {SELF} else rest) if rest else None


def covers(one: FieldSet, other: FieldSet) -> bool:
    """Whether all of `other` is in `one`."""
    for key, theirs in other.items():
        mine = one.get(key)
        if key == SELF:
            continue
        if mine is None or (is_member(theirs) and not is_member(mine)) or (theirs and not covers(mine, theirs)):
            return False
    return True


def difference_below(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one`, without the members of `other` and everything below them (upstream: RecursiveDifference)."""
    if not other:
        return one
    out: FieldSet = {}
    for key, mine in one.items():
        theirs = other.get(key)
        if theirs is None:
            out[key] = mine
        elif key != SELF and not is_member(theirs):
            member = is_member(mine)
            children = difference_below(_children(mine), theirs)
            if member or children:
                out[key] = _node(children, member=member)
    return out


# --- sets and types --------------------------------------------------------------------------------------------------------------


def _below(of: Type | None, element: str) -> Type | None:
    """The type at an element below a value of that type; None where the schema says nothing that fits."""
    kind = element[0]
    if kind == "f" and of is not None and not isinstance(of, ListType):
        return child_of(of, element[2:])
    if kind == "k" and isinstance(of, ListType):
        return of.item
    return None


def with_named_members(fields: FieldSet, of: Type | None) -> FieldSet:
    """The set, and the struct fields that lead to its members. (Keys of maps and items of lists are not added.)"""
    out: FieldSet = {}
    for key, below in fields.items():
        if not below or key == SELF:
            out[key] = below
            continue
        children = with_named_members(_children(below), _below(of, key))
        named = key[0] == "f" and of is not None and is_declared(of, key[2:])
        out[key] = _node(children, member=named or is_member(below))
    return out


def reconciled(fields: FieldSet, of: Type) -> FieldSet:
    """The set under a schema that has meanwhile made some lists or maps atomic: what was owned below them is now the whole of them.
    Returns `fields` itself when nothing has to change (the usual case)."""
    out: FieldSet | None = None
    for key, below in fields.items():
        if not below or key == SELF:
            continue
        found = _child(of, key)
        if found is None:
            continue
        child, whole = found
        now = LEAF if whole else reconciled(below, child)
        if now is not below:
            out = dict(fields) if out is None else out
            out[key] = now
    return fields if out is None else out


_Child = tuple[Type, bool]
_CHILDREN: dict[StructType, dict[str, _Child | None]] = {}
"""For each struct, what `_child` has found: this is asked of every entry in every write."""
_CHILDREN_MAX = 8192


def _child(of: Type, element: str) -> _Child | None:
    """The type at an element, and whether it is owned as a whole."""
    if type(of) is not StructType or of.open:
        child = _below(of, element)
        return None if child is None else (child, _is_whole(child))
    known = _CHILDREN.get(of)
    if known is None:
        if len(_CHILDREN) >= _CHILDREN_MAX:
            _CHILDREN.clear()
        known = _CHILDREN[of] = {}
    if element not in known:
        child = _below(of, element)
        if child is None:
            return None
        known[element] = (child, _is_whole(child))
    return known[element]


def _is_whole(of: Type) -> bool:
    return is_atomic(of) and not is_any(of) and isinstance(of, ListType | MapType | StructType)
