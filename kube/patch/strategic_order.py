"""In which order a strategic merge patch leaves the items of a merged list: first what the patch says, then what the live list says.

Items are known by their merge key (objects) or by themselves (scalars). Pure functions over lists; nothing is changed in place, and
nothing is slower than sorting. Source: apimachinery `pkg/util/strategicpatch/patch.go` (normalizeElementOrder and what it calls).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from kube.errors import ApiError, Invalid
from kube.patch.golang import go_type, plain

MARKER = "$patch"
DELETE = "delete"
_INSERTION_SORTED_MAX = 20
"""Up to here, Go's stable sort is an insertion sort."""


def no_merge_key(item: dict[str, Any], merge_key: str) -> ApiError:
    return ApiError(f"map: {plain(item)} does not contain declared merge key: {merge_key}")


def key_value(item: Any, merge_key: str) -> Any:
    """What tells the item from others. Raises ApiError for one that lacks its merge key."""
    if not merge_key:
        return item
    if not isinstance(item, dict):
        raise ApiError(f"expected a map[string]interface {{}}, but received a {'%!s(<nil>)' if item is None else go_type(item)}")
    if merge_key not in item:
        raise no_merge_key(item, merge_key)
    return item[merge_key]


def identity_of(value: Any) -> Hashable:
    """Equal for values that are equal in Go, where 1, 1.0 and true are three."""
    return (type(value), plain(value) if isinstance(value, dict | list) else value)


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


def check_order(patch: list[Any], order: list[Any], merge_key: str) -> None:
    """Raises ApiError when the items of a patch are not in the order that the same patch asks for, or not named there."""
    if not order or not patch:
        return
    items = patch
    if merge_key:
        for each in patch:
            if not isinstance(each, dict):
                key_value(each, merge_key)
        items = [each for each in patch if each.get(MARKER) != DELETE]
    at = 0
    for place in order:
        while at < len(items) and isinstance(items[at], dict) and MARKER in items[at]:
            at += 1
        if at < len(items):
            at += identity_of(key_value(items[at], merge_key)) == identity_of(key_value(place, merge_key))
    if at < len(items):
        raise ApiError(f"The order in patch list:\n{plain(patch)}\n doesn't match $setElementOrder list:\n{plain(order)}\n")


_Place = Callable[[Any], int]


def _places(order: list[Any], merge_key: str) -> _Place:
    """Item -> where the order has it first, -1 where it has not."""

    def identity(item: Any) -> Hashable:
        return identity_of(item.get(merge_key) if merge_key and isinstance(item, dict) else item)

    known: dict[Hashable, int] = {}
    for place, each in enumerate(order):
        known.setdefault(identity(each), place)
    return lambda item: known.get(identity(item), -1)


def in_element_order(merged: list[Any], order: list[Any], live: list[Any], merge_key: str, kind: type) -> list[Any]:
    """The merged items: those that `order` names in that order, the others (the server's own) in the live list's, and both interleaved
    as near to the live list as that allows. Raises ApiError for items, or places of the order, without their merge key."""
    in_order, in_live = _places(order, merge_key), _places(live, merge_key)
    named: list[Any] = []
    others: list[Any] = []
    odd = next((place for place, each in enumerate(order) if not isinstance(each, dict)), len(order)) if merge_key else len(order)
    for each in merged:
        key_value(each, merge_key)
        place = in_order(each)
        if odd < len(order) and not 0 <= place < odd:
            raise ApiError(f"value for key {odd} is not a map")
        (named if place >= 0 else others).append(each)
    named = _sorted(named, order, in_order, merge_key, kind)
    return _interleaved(_sorted(others, live, in_live, merge_key, kind), named, in_live)


def _sorted(items: list[Any], order: list[Any], place_of: _Place, merge_key: str, kind: type) -> list[Any]:
    deleted: list[Any] = []
    if kind is dict:
        for each in (*items, *order):
            key_value(each, merge_key)
        deleted = [each for each in items if each.get(MARKER) == DELETE]
        items = [each for each in items if each.get(MARKER) != DELETE]
    ranked = [(place_of(each), each) for each in items]
    lost = [each for place, each in ranked if place < 0]
    if lost and len(ranked) <= _INSERTION_SORTED_MAX:
        return _insertion_sorted(ranked) + deleted
    return lost[::-1] + [each for _, each in sorted((pair for pair in ranked if pair[0] >= 0), key=_rank)] + deleted


def _rank(pair: tuple[int, Any]) -> int:
    return pair[0]


def _insertion_sorted(ranked: list[tuple[int, Any]]) -> list[Any]:
    """As upstream's comparison has it, which calls everything less that the order does not know."""
    out: list[tuple[int, Any]] = []
    for pair in ranked:
        at = len(out)
        while at and (pair[0] < 0 or out[at - 1][0] < 0 or pair[0] < out[at - 1][0]):
            at -= 1
        out.insert(at, pair)
    return [each for _, each in out]


def _interleaved(others: list[Any], named: list[Any], place_of: _Place) -> list[Any]:
    """Each of the server's items goes before the first named one that the live list has after it; failing that, to the end."""
    out: list[Any] = []
    left = right = 0
    while left < len(others) and right < len(named):
        if 0 <= place_of(others[left]) < place_of(named[right]):
            out.append(others[left])
            left += 1
        else:
            out.append(named[right])
            right += 1
    return out + others[left:] + named[right:]
