"""Strategic merge patch: a merge patch that knows from the type which lists are merged, and by which key.

Directives in a patch (all others are plain members):

    $patch: replace | delete | merge     in an object: take it instead of the old one, or empty it; in a list's item: replace the whole
                                         list by the other items, or delete the items with this key. (`merge` is always refused.)
    $retainKeys: [..]                    in an object: drop all members but these first
    $deleteFromPrimitiveList/<f>: [..]   take these values out of the list f
    $setElementOrder/<f>: [..]           the order that the items of f shall have

How items are put in order is in `strategic_order.py`. Arguments stay as they are. Source: apimachinery `pkg/util/strategicpatch/patch.go`,
`pkg/util/mergepatch/errors.go`, `third_party/forked/golang/json/fields.go` (what the messages say of types).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kube.errors import ApiError, BadRequest
from kube.patch.golang import go_type, plain
from kube.patch.json_patch import json_kind
from kube.patch.strategic_order import (
    DELETE,
    MARKER,
    check_order,
    element_kind,
    in_element_order,
    index_of,
    key_value,
    no_merge_key,
)
from kube.schema.types import ListType, MapType, ScalarType, StructType, Type

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
    return _merge(document, patch, of)


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


def _meta(of: Type | None, name: str) -> _Meta:
    """How a member of a value of that type is merged. Raises ApiError for a type that has no members to know about."""
    if not isinstance(of, StructType):
        if isinstance(of, ScalarType):  # an embedded object: a struct in Go, but none of its members is known
            raise ApiError(f'unable to find api field in struct {of.go_name.rpartition(".")[2]} for the json field "{name}"')
        kind = {ListType: "slice", MapType: "map"}.get(type(of), "interface")
        raise ApiError(f"merging an object in json but data type is not struct, instead is: {kind}")
    field = of.fields.get(name)
    if field is None:
        raise ApiError(f'unable to find api field in struct {of.go_name.rpartition(".")[2]} for the json field "{name}"')
    if isinstance(field.type, ListType):
        strategies = field.type.strategies
        return _Meta(field.type.item, REPLACE in strategies, MERGE in strategies, field.type.merge_key)
    return _Meta(field.type, replace=REPLACE in field.strategies)


# --- objects ----------------------------------------------------------------------------------------------------------------------


def _merge(original: dict[str, Any], patch: dict[str, Any], of: Type | None) -> dict[str, Any]:
    if MARKER in patch:
        return _directed(patch)
    patch = dict(patch)
    out = _retained(original, patch)
    _merge_ordered(out, patch, of)
    deletions: list[tuple[str, Any]] = []
    for key, value in patch.items():
        if key.startswith(DELETE_FROM_LIST):
            deletions.append((_field_of(key, DELETE_FROM_LIST, "primitive list"), value))
        else:
            _merge_member(out, key, value, of)
    for key, value in deletions:
        if value is None:
            out.pop(key, None)
        elif isinstance(out.get(key), list) and isinstance(value, list):
            out[key] = _merge_list(out[key], value, _meta(of, key), deleting=True)
    return out


def _directed(patch: dict[str, Any]) -> dict[str, Any]:
    directive = patch[MARKER]
    if directive == REPLACE:
        return {key: value for key, value in patch.items() if key != MARKER}
    if directive == DELETE:
        return {}
    raise _unknown_directive(directive, patch)


def _unknown_directive(directive: Any, patch: dict[str, Any]) -> ApiError:
    return ApiError(f"unknown patch type: {plain(directive)} in map: {plain(patch)}")


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


def _merge_member(out: dict[str, Any], key: str, value: Any, of: Type | None) -> None:
    """Merges one member of a patch into `out`, which is changed."""
    if value is None:
        out.pop(key, None)
        return
    old = out.get(key)
    if isinstance(old, dict) and isinstance(value, dict):
        meta = _meta(of, key)
        out[key] = value if meta.replace else _merge(old, value, meta.of)
    elif isinstance(old, list) and isinstance(value, list):
        meta = _meta(of, key)
        out[key] = _merge_list(old, value, meta) if meta.merge else value
    elif isinstance(value, dict) and MARKER in value:
        out.pop(key, None)
    else:
        out[key] = _plain_value(value)


def _plain_value(value: Any) -> Any:
    """A value that takes the place of nothing, or of something else: without nulls, and without what carries a directive."""
    if isinstance(value, dict):
        kept = {name: each for name, each in value.items() if each is not None and not _has_directive(each)}
        return {name: _plain_value(each) for name, each in kept.items()}
    if isinstance(value, list):
        return [_plain_value(each) for each in value if not _has_directive(each)]
    return value


def _has_directive(value: Any) -> bool:
    return isinstance(value, dict) and MARKER in value


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
        meta = _meta(of, key)
        check_order(value or [], order, meta.merge_key)
        if old is None and value is None:
            continue
        patch.pop(key, None)
        if old is None:
            merged = _plain_value(value)
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
            return [each for each in old if index_of(value, each, "") < 0]
        merged = _unique([*old, *value])
        return in_element_order(merged, value, old, meta.merge_key, kind)
    if not meta.merge_key:
        names = {ListType: "slice", MapType: "map", StructType: "struct"}
        raise ApiError(f"cannot merge lists without merge key for {names.get(type(meta.of), 'struct')}")
    old, value = _with_directives(old, value, meta.merge_key)
    return in_element_order(_merge_items(old, value, meta), value, old, meta.merge_key, kind)


def _unique(items: list[Any]) -> list[Any]:
    """The items without repeats. The gap of a repeat is filled with the last item: order is made afterwards, by who knows it."""
    items = list(items)
    at = 0
    while at < len(items):
        other = at + 1
        while other < len(items):
            if type(items[at]) is type(items[other]) and items[at] == items[other]:
                items[other] = items[-1]
                items.pop()
            else:
                other += 1
        at += 1
    return items


def _with_directives(old: list[Any], value: list[Any], merge_key: str) -> tuple[list[Any], list[Any]]:
    """(old items, items of the patch), once the patch's items with a directive are carried out and gone."""
    rest = [each for each in value if MARKER not in each]
    replaced = False
    for each in value:
        if MARKER not in each:
            continue
        directive = each[MARKER]
        if directive == DELETE:
            if merge_key not in each:
                raise no_merge_key(each, merge_key)
            old = [item for item in old if not _is_item(item, merge_key, each[merge_key])]
        elif directive == REPLACE:
            replaced = True
        elif directive == MERGE:
            raise ApiError("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, each)
    return (rest, []) if replaced else (old, rest)


def _is_item(item: Any, merge_key: str, value: Any) -> bool:
    return merge_key in item and type(item[merge_key]) is type(value) and bool(item[merge_key] == value)


def _merge_items(old: list[Any], value: list[Any], meta: _Meta) -> list[Any]:
    out = list(old)
    for each in value:
        wanted = key_value(each, meta.merge_key)
        at = next((index for index, item in enumerate(out) if _is_item(item, meta.merge_key, wanted)), None)
        if at is None:
            out.append(each)
        else:
            out[at] = _merge(out[at], each, meta.of)
    return out
