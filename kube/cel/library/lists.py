"""Lists: order, sums, parts, sets. Source: cel-go `ext/{lists,sets}.go`, apiserver `pkg/cel/library/lists.go`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.syntax import CelError
from kube.cel.values import Duration, Optional, UInt, checked_int, checked_uint, compare, equal, no_overload

_ORDER: Final = functools.cmp_to_key(compare)
RANGE_MAX: Final = 1_000_000


def is_sorted(values: list[Any]) -> bool:
    return all(compare(one, other) <= 0 for one, other in itertools.pairwise(values))


def total(values: list[Any], none: Any = 0) -> Any:
    """`none`: the sum of no values."""
    if not values:
        return none
    of = type(values[0])
    if of is float:
        return sum(values)
    found = sum(map(int, values))
    return checked_uint(found) if of is UInt else Duration(found) if of is Duration else checked_int(found)


def _extreme(name: str, pick: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    def find(values: list[Any]) -> Any:
        if not values:
            raise CelError(f"{name} called on empty list")
        return pick(values, key=_ORDER)

    return find


def part(values: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(values):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(values)}")
    return values[start:end]


def flatten(values: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    out: list[Any] = []
    for each in values:
        out.extend(flatten(each, depth - 1) if isinstance(each, list) and depth > 0 else [each])
    return out


def distinct(values: list[Any]) -> list[Any]:
    out: list[Any] = []
    for each in values:
        if not any(equal(each, had) for had in out):
            out.append(each)
    return out


def numbers(count: int) -> list[int]:
    if count > RANGE_MAX:
        raise CelError("lists.range() size is too large")
    return list(range(count))


def holds(values: list[Any], wanted: list[Any]) -> bool:
    if not isinstance(values, list) or not isinstance(wanted, list):
        raise no_overload()
    return all(any(equal(each, had) for had in values) for each in wanted)


def sort_by(values: list[Any], keys: list[Any]) -> list[Any]:
    if len({type(each) for each in keys}) > 1:
        raise CelError("list elements must have the same type")
    return [value for _, value in sorted(zip(keys, values, strict=True), key=lambda pair: _ORDER(pair[0]))]


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "isSorted": is_sorted,
    "sum": total,
    "max": _extreme("max", max),
    "min": _extreme("min", min),
    "sort": lambda values: sorted(values, key=_ORDER),
    "@sortByAssociatedKeys": sort_by,
    "slice": part,
    "flatten": flatten,
    "distinct": distinct,
    "reverse": lambda values: values[::-1],
    "lists.range": numbers,
    "first": lambda values: Optional(values[0]) if values else Optional(has=False),
    "last": lambda values: Optional(values[-1]) if values else Optional(has=False),
    "sets.contains": holds,
    "sets.equivalent": lambda a, b: holds(a, b) and holds(b, a),
    "sets.intersects": lambda a, b: any(equal(one, other) for one in a for other in b),
}
