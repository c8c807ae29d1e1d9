"""Values that plain Python has not, and what holds for all values: equality, order, names of types.

int, float, bool, str, bytes, None, list and dict stand for themselves. Source: cel-go `common/types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kube.cel import types
from kube.cel.syntax import CelError
from kube.cel.types import Type

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class UInt(int):
    """An unsigned integer."""

    __slots__ = ()


class Duration(int):
    """A length of time, in nanoseconds."""

    __slots__ = ()


class Timestamp(int):
    """A moment, in nanoseconds since 1970; `zone`: how many minutes its text was east of Greenwich."""

    zone: int = 0

    def moment(self) -> datetime:
        return _EPOCH + timedelta(microseconds=int(self) // 1000)


class Optional:
    """A value, or none."""

    __slots__ = ("has", "value")

    def __init__(self, value: Any = None, *, has: bool = True) -> None:
        self.value, self.has = value, has


NONE: Final = Optional(has=False)


class Opaque:
    """Values of a library's own type, equal when `key` is."""

    type_name = ""
    __slots__ = ()

    def key(self) -> Any:
        raise NotImplementedError


class Struct(dict[str, Any]):
    """The fields of a value that was written as `Name{field: value}`."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self.type_name = type_name


class SetList(list[Any]):
    """A list whose order does not matter (x-kubernetes-list-type: set)."""


class MapList(list[Any]):
    """A list whose items are told apart by some of their fields."""

    keys: tuple[str, ...] = ()


def no_overload() -> CelError:
    return CelError("no such overload")


def type_of(value: Any) -> Type:
    """The type of a value, as far as it shows."""
    for of, found in _TYPES:
        if isinstance(value, of):
            return found
    if isinstance(value, Opaque):
        return types.opaque(value.type_name)
    if isinstance(value, Type):
        return types.type_of(types.DYN)
    return types.DYN


_TYPES: Final = (
    (bool, types.BOOL),
    (UInt, types.UINT),
    (Duration, types.DURATION),
    (Timestamp, types.TIMESTAMP),
    (int, types.INT),
    (float, types.DOUBLE),
    (str, types.STRING),
    (bytes, types.BYTES),
    (type(None), types.NULL),
    (list, types.list_of(types.DYN)),
    (Mapping, types.map_of(types.DYN, types.DYN)),
    (Optional, types.optional_of(types.DYN)),
)


def is_number(value: Any) -> bool:
    return type(value) in (int, float, UInt)


def equal(a: Any, b: Any) -> bool:
    """Values of different types are not equal, but numbers are compared as numbers."""
    of = type(a)
    if of is str or of is bool or a is None:
        return type(b) is of and bool(a == b)
    if is_number(a):
        return is_number(b) and bool(a == b)
    if isinstance(a, list):
        return isinstance(b, list) and _lists_equal(a, b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and len(a) == len(b) and all(name in b and equal(each, b[name]) for name, each in a.items())
    if isinstance(a, Optional):
        return isinstance(b, Optional) and a.has == b.has and (not a.has or equal(a.value, b.value))
    if isinstance(a, Opaque):
        return type(b) is of and bool(a.key() == b.key())
    return type(b) is of and bool(a == b)


def _lists_equal(a: list[Any], b: list[Any]) -> bool:
    if len(a) != len(b):
        return False
    if isinstance(a, SetList) or isinstance(b, SetList):
        return all(any(equal(one, other) for other in b) for one in a) and all(any(equal(one, other) for other in a) for one in b)
    if isinstance(a, MapList):
        return all(any(_key(one, a) == _key(other, a) and equal(one, other) for other in b) for one in a)
    return all(equal(one, other) for one, other in zip(a, b, strict=True))


def _key(item: Any, of: MapList) -> tuple[Any, ...]:
    return tuple(item.get(each) for each in of.keys) if isinstance(item, Mapping) else ()


def added(a: list[Any], b: list[Any]) -> list[Any]:
    """Lists one after the other; sets and list maps keep each item once, the later one."""
    if isinstance(a, SetList):
        return SetList([*a, *(each for each in b if not any(equal(each, had) for had in a))])
    if isinstance(a, MapList):
        later = {_key(each, a): each for each in b}
        out = MapList([*(later.pop(_key(each, a), each) for each in a), *later.values()])
        out.keys = a.keys
        return out
    return a + b


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1. Raises CelError where the two have no order."""
    if not ((is_number(a) and is_number(b)) or (type(a) is type(b) and isinstance(a, bool | str | bytes | Duration | Timestamp))):
        raise no_overload()
    return int(a > b) - int(a < b)


def checked_int(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise CelError("integer overflow")
    return value


def checked_uint(value: int) -> UInt:
    if not 0 <= value <= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return UInt(value)
