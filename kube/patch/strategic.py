"""Strategic merge patch: a merge patch that knows from the type which lists are merged, and by which key.

Directives in a patch (all others are plain members):

    $patch: replace | delete | merge     in an object: take it instead of the old one, or empty it; in a list's item: replace the whole
                                         list by the other items, or delete the items with this key. (`merge` is always refused.)
    $retainKeys: [..]                    in an object: drop all members but these first
    $deleteFromPrimitiveList/<f>: [..]   take these values out of the list f
    $setElementOrder/<f>: [..]           the order that the items of f shall have

How items are put in order is in `strategic_order.py`. Arguments stay as they are; inside, a copy of the patch is used up as it is merged,
and what upstream then prints of it is that (`used_up`). Source: apimachinery `pkg/util/strategicpatch/patch.go` and `meta.go`,
`pkg/util/mergepatch/errors.go`, `third_party/forked/golang/json/fields.go` (what the messages say of types).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kube.errors import ApiError, BadRequest
from kube.patch.golang import go_type, plain, text_verb
from kube.patch.json_patch import json_kind
from kube.patch.strategic_order import (
    DELETE,
    MARKER,
    check_order,
    element_kind,
    identity_of,
    in_element_order,
    key_value,
    no_merge_key,
)
from kube.schema.goquote import quote
from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType, Type

REPLACE, MERGE = "replace", "merge"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM_LIST = "$deleteFromPrimitiveList"
ELEMENT_ORDER = "$setElementOrder"


def strategic_merge(of: StructType, document: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The document (an object of type `of`) with the parsed patch merged in. Custom resources have no strategic merge: the caller's 415.

    Raises BadRequest (400) for directives of the wrong form, Invalid (422) for lists of lists, ApiError 500, as upstream has it, for
    everything else that cannot be merged: unknown directives, items without their merge key, lists of unlike items.
    """
    if patch is None:
        return document
    if not isinstance(patch, dict):
        raise BadRequest(f"json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}")
    return _merge(document, _copied(patch), of)


def used_up(of: StructType, document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """What merging leaves of a patch that can be merged: messages about the result print that. Directives, and lists that came with an
    order, are gone, nulls only where a whole value was taken."""
    left: dict[str, Any] = _copied(patch)
    _merge(document, left, of)
    return left


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


class _Meta(NamedTuple):
    """What the type says of one member: the type below it (of its items, for a list), and how it is merged."""

    of: Type | None
    replace: bool = False
    merge: bool = False
    merge_key: str = ""


def _no_list(got: Any) -> ApiError:
    return ApiError(f"expected a []interface {{}}, but received a {'%!s(<nil>)' if got is None else go_type(got)}")


def _bad_form(what: str) -> BadRequest:
    return BadRequest(f"invalid patch format of {what}")


# --- what the type says -----------------------------------------------------------------------------------------------------------


def _field(of: Type | None, name: str) -> Field:
    """A field of a value of that type. Raises ApiError for a type that has no fields to know about, or not this one."""
    if isinstance(of, ListType | MapType) or of is None:
        kind = {ListType: "slice", MapType: "map"}.get(type(of), "interface")
        raise ApiError(f"merging an object in json but data type is not struct, instead is: {kind}")
    field = of.fields.get(name) if isinstance(of, StructType) else None
    if field is None:  # an embedded object is a struct in Go too, none of whose members is known
        raise ApiError(f"unable to find api field in struct {of.go_name.rpartition('.')[2]} for the json field {quote(name)}")
    return field


def _meta(of: Type | None, name: str) -> _Meta:
    """How a member that is an object is merged."""
    field = _field(of, name)
    return _Meta(field.type, replace=REPLACE in field.strategies)


def _list_meta(of: Type | None, name: str) -> _Meta:
    """How a member that is a list is merged."""
    field = _field(of, name)
    if isinstance(field.type, ListType):
        if isinstance(field.type.item, ListType):
            raise ApiError("unexpected slice of slice")
        strategies = field.type.strategies
        return _Meta(field.type.item, REPLACE in strategies, MERGE in strategies, field.type.merge_key)
    is_pointer = field.pointer or (isinstance(field.type, StructType) and not field.always)
    if not is_pointer and not (isinstance(field.type, ScalarType) and field.type.scalar is Scalar.BYTES):
        raise ApiError("expected slice or array type, but got: struct")
    return _Meta(field.type)


# --- objects ----------------------------------------------------------------------------------------------------------------------


def _merge(original: dict[str, Any], patch: dict[str, Any], of: Type | None) -> dict[str, Any]:
    """The merged object. Uses up `patch`."""
    if MARKER in patch:
        return _directed(patch)
    out = _retained(original, patch)
    _merge_ordered(out, patch, of)
    deletions: list[tuple[str, Any]] = []
    for key, value in patch.items():
        if key.startswith(DELETE_FROM_LIST):
            deletions.append((_field_of(key, DELETE_FROM_LIST, "primitive list"), value))
        else:
            _merge_member(out, key, value, of)
    for key, value in deletions:
        if value is None or type(out.get(key)) is type(value):
            _merge_member(out, key, value, of, deleting=True)
    return out


def _directed(patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch[MARKER]
    if directive == REPLACE:
        del patch[MARKER]
        return patch
    if directive == DELETE:
        return {}
    raise _unknown_directive(directive, patch)


def _unknown_directive(directive: Any, patch: dict[str, Any]) -> ApiError:
    return ApiError(f"unknown patch type: {text_verb(directive)} in map: {plain(patch)}")


def _field_of(key: str, prefix: str, what: str) -> str:
    """The member that a parallel list is about."""
    start, slash, name = key.partition("/")
    if start != prefix or not slash:
        raise _bad_form(what)
    return name


def _retained(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A copy of the original, without what `$retainKeys` does not list. Takes the directive out of `patch`."""
    if RETAIN_KEYS not in patch:
        return dict(original)
    keys = patch.pop(RETAIN_KEYS)
    if not isinstance(keys, list):
        raise _bad_form("retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((DELETE_FROM_LIST, ELEMENT_ORDER)) and key not in keys:
            raise _bad_form("retainKeys")
    return {key: value for key, value in original.items() if key in keys}


def _merge_member(out: dict[str, Any], key: str, value: Any, of: Type | None, *, deleting: bool = False) -> None:
    """Merges one member of a patch into `out`, which is changed."""
    old = out.get(key)
    if value is None:
        out.pop(key, None)
    elif type(old) is not type(value):
        if not isinstance(value, dict | list):
            out[key] = value
            return
        _discard_nulls(value)
        taken = _without_directives(value)
        if taken is None:
            out.pop(key, None)
        else:
            out[key] = taken
    elif isinstance(value, dict):
        meta = _meta(of, key)
        out[key] = value if meta.replace else _merge(old or {}, value, meta.of)
    elif isinstance(value, list):
        meta = _list_meta(of, key)
        out[key] = _merge_list(old or [], value, meta, deleting=deleting) if meta.merge or deleting else value
    else:
        out[key] = value


def _discard_nulls(value: Any) -> None:
    """Takes null members out of a value's objects, in place."""
    if isinstance(value, dict):
        for name in [name for name, each in value.items() if each is None]:
            del value[name]
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                _discard_nulls(each)


def _without_directives(value: Any) -> Any:
    """The value without the objects that carry a directive (objects are changed in place); None when it is one itself."""
    if isinstance(value, dict):
        if MARKER in value:
            return None
        for name, each in list(value.items()):
            if isinstance(each, dict | list):
                value[name] = _without_directives(each)
                if value[name] is None:
                    del value[name]
        return value
    if isinstance(value, list):
        kept = [(each, _without_directives(each)) for each in value]
        return [left for each, left in kept if left is not None or each is None]
    return value


# --- lists ------------------------------------------------------------------------------------------------------------------------


def _merge_ordered(out: dict[str, Any], patch: dict[str, Any], of: Type | None) -> None:
    """Merges the lists for which the patch says an order. Changes `out`, and takes what it has dealt with out of `patch`."""
    for directive in [key for key in patch if key.startswith(ELEMENT_ORDER)]:
        order = patch.pop(directive)
        if not isinstance(order, list):
            raise _no_list(order)
        key = _field_of(directive, ELEMENT_ORDER, "setElementOrder list")
        old, value = out.get(key), patch.get(key)
        for each, there in ((old, key in out), (value, key in patch)):
            if there and not isinstance(each, list):
                raise _no_list(each)
        meta = _list_meta(of, key)
        check_order(value or [], order, meta.merge_key)
        if old is None and value is None:
            continue
        patch.pop(key, None)
        if old is None:
            merged = _without_directives(value)
        elif value is None:
            merged = old
        else:
            merged = _merge_list(old, value, meta) if meta.merge else value
        kind = element_kind(old or [], value or [])
        out[key] = in_element_order(merged, order, old or [], meta.merge_key, kind)


def _merge_list(old: list[Any], value: list[Any], meta: _Meta, *, deleting: bool = False) -> list[Any]:
    """The items of both lists; `deleting`: those of the first that are not in the second."""
    if not old and not value:
        return old
    kind = element_kind(old, value)
    if kind is not dict:
        if deleting:
            gone = set(map(identity_of, value))
            return [each for each in old if identity_of(each) not in gone]
        merged = list({identity_of(each): each for each in (*old, *value)}.values())
        return in_element_order(merged, value, old, meta.merge_key, kind)
    if not meta.merge_key:
        names = {ListType: "slice", MapType: "map", StructType: "struct"}
        raise ApiError(f"cannot merge lists without merge key for {names.get(type(meta.of), 'struct')}")
    old, value = _with_directives(old, value, meta.merge_key)
    return in_element_order(_merge_items(old, value, meta), value, old, meta.merge_key, kind)


def _with_directives(old: list[Any], value: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """(old items, items of the patch), once the patch's items with a directive are carried out and gone."""
    rest = [each for each in value if MARKER not in each]
    replaced = False
    deleted = set()
    for each in value:
        if MARKER not in each:
            continue
        directive = each[MARKER]
        if directive == DELETE:
            if merge_key not in each:
                raise no_merge_key(each, merge_key)
            deleted.add(identity_of(each[merge_key]))
        elif directive == REPLACE:
            replaced = True
        elif directive == MERGE:
            raise ApiError("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, each)
    if replaced:
        return rest, []
    if deleted:
        old = [item for item in old if merge_key not in item or identity_of(item[merge_key]) not in deleted]
    return old, rest


def _merge_items(old: list[Any], value: list[Any], meta: _Meta) -> list[Any]:
    out = list(old)
    places: dict[Any, int] = {}
    for place, item in enumerate(out):
        if meta.merge_key in item:
            places.setdefault(identity_of(item[meta.merge_key]), place)
    for each in value:
        wanted = identity_of(key_value(each, meta.merge_key))
        at = places.setdefault(wanted, len(out))
        if at == len(out):
            out.append(each)
        else:
            out[at] = _merge(out[at], each, meta.of)
    return out
