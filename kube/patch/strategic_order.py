"""In which order a strategic merge patch leaves the items of a merged list: first what the patch says, then what the live list says.

Items are known by their merge key (objects) or by themselves (scalars). Pure functions over lists; nothing is changed in place.
Source: apimachinery `pkg/util/strategicpatch/patch.go` (normalizeElementOrder and what it calls).
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from kube.errors import ApiError, Invalid
from kube.patch.golang import go_type, plain

MARKER = "$patch"
DELETE = "delete"


def no_merge_key(item: dict[str, Any], merge_key: str) -> ApiError:
    return ApiError(f"map: {plain(item)} does not contain declared merge key: {merge_key}")


def key_value(item: Any, merge_key: str) -> Any:
    """What tells the item from others. Raises ApiError for one that lacks its merge key."""
    if not merge_key:
        return item
    if not isinstance(item, dict):
        raise ApiError(f"expected a map[string]interface {{}}, but received a {go_type(item)}")
    if merge_key not in item:
        raise no_merge_key(item, merge_key)
    return item[merge_key]


def element_kind(*lists: list[Any]) -> type:
    """The one type of all items. Raises Invalid for lists of lists, ApiError for unlike items or none at all."""
    kinds = list(dict.fromkeys(type(each) for items in lists for each in items))
    if not kinds:
        raise ApiError("no elements in any of the given slices")
    if kinds[0] is list:
        raise Invalid("the server rejected our request due to an error in our request", details={})
    if len(kinds) > 1 or kinds[0] is type(None):
        raise ApiError(f"list element types are not identical: [{' '.join(map(plain, lists))}]")
    return kinds[0]


def index_of(items: list[Any], item: Any, merge_key: str) -> int:
    """Where the item is in the list, -1 when it is not."""
    wanted = item.get(merge_key) if merge_key and isinstance(item, dict) else item
    for index, each in enumerate(items):
        value = each.get(merge_key) if merge_key and isinstance(each, dict) else each
        if type(value) is type(wanted) and value == wanted:
            return index
    return -1


def check_order(patch: list[Any], order: list[Any], merge_key: str) -> None:
    """Raises ApiError when the items of a patch are not in the order that the same patch asks for, or not named there."""
    if not order or not patch:
        return
    items = [each for each in patch if not (isinstance(each, dict) and each.get(MARKER) == DELETE)] if merge_key else patch
    at = 0
    for place in order:
        while at < len(items) and isinstance(items[at], dict) and MARKER in items[at]:
            at += 1
        if at < len(items):
            one, other = key_value(items[at], merge_key), key_value(place, merge_key)
            at += type(one) is type(other) and one == other
    if at < len(items):
        raise ApiError(f"The order in patch list:\n{plain(patch)}\n doesn't match $setElementOrder list:\n{plain(order)}\n")


def in_element_order(merged: list[Any], order: list[Any], live: list[Any], merge_key: str, kind: type) -> list[Any]:
    """The merged items: those that `order` names in that order, the others (the server's own) in the live list's, and both interleaved
    as near to the live list as that allows. Raises ApiError for items, or places of the order, without their merge key."""
    if merge_key and merged:
        for index, each in enumerate(order):
            if not isinstance(each, dict):
                raise ApiError(f"value for key {index} is not a map")
    named = [each for each in merged if _is_named(each, order, merge_key)]
    others = [each for each in merged if not _is_named(each, order, merge_key)]
    return _interleaved(_sorted(others, live, merge_key, kind), _sorted(named, order, merge_key, kind), live, merge_key)


def _is_named(item: Any, order: list[Any], merge_key: str) -> bool:
    key_value(item, merge_key)
    return index_of(order, item, merge_key) >= 0


def _sorted(items: list[Any], order: list[Any], merge_key: str, kind: type) -> list[Any]:
    deleted: list[Any] = []
    if kind is dict:
        for each in (*items, *order):
            key_value(each, merge_key)
        deleted = [each for each in items if each.get(MARKER) == DELETE]
        items = [each for each in items if each.get(MARKER) != DELETE]

    def compare(one: Any, other: Any) -> int:
        here, there = index_of(order, one, merge_key), index_of(order, other, merge_key)
        return here - there if here >= 0 and there >= 0 else 0

    return sorted(items, key=cmp_to_key(compare)) + deleted


def _interleaved(others: list[Any], named: list[Any], live: list[Any], merge_key: str) -> list[Any]:
    """Each of the server's items goes before the first named one that the live list has after it; failing that, to the end."""
    out: list[Any] = []
    left, right = list(others), list(named)
    while left and right:
        here, there = index_of(live, left[0], merge_key), index_of(live, right[0], merge_key)
        out.append((left if 0 <= here < there else right).pop(0))
    return out + left + right
