"""Operators and conversions. Source: cel-go `common/stdlib`, `common/types`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel import types
from kube.cel.library.text import to_string
from kube.cel.literals import parse_duration, parse_timestamp
from kube.cel.syntax import CelError
from kube.cel.types import Type
from kube.cel.values import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    Duration,
    Optional,
    Timestamp,
    UInt,
    added,
    checked_int,
    checked_uint,
    compare,
    equal,
    no_overload,
    type_of,
)

_SECOND: Final = 1_000_000_000
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?i:inf(?:inity)?|nan)")
_TRUE, _FALSE = frozenset(["1", "t", "T", "true", "TRUE", "True"]), frozenset(["0", "f", "F", "false", "FALSE", "False"])


def add(a: Any, b: Any) -> Any:
    one, other = type(a), type(b)
    if one is int and other is int:
        return checked_int(a + b)
    if one is other and one in (str, float, bytes):
        return a + b
    if isinstance(a, list) and isinstance(b, list):
        return added(a, b)
    if one is UInt and other is UInt:
        return checked_uint(int(a) + int(b))
    if {one, other} <= {Duration, Timestamp} and Duration in (one, other):
        return (Timestamp if Timestamp in (one, other) else Duration)(int(a) + int(b))
    raise no_overload()


def subtract(a: Any, b: Any) -> Any:
    one, other = type(a), type(b)
    if one is other and one is int:
        return checked_int(a - b)
    if one is other and one is UInt:
        return checked_uint(int(a) - int(b))
    if one is other and one is float:
        return a - b
    if other is Duration and one in (Duration, Timestamp):
        return one(int(a) - int(b))
    if one is Timestamp and other is Timestamp:
        return Duration(int(a) - int(b))
    raise no_overload()


def multiply(a: Any, b: Any) -> Any:
    if type(a) is not type(b):
        raise no_overload()
    if type(a) is int:
        return checked_int(a * b)
    if type(a) is UInt:
        return checked_uint(int(a) * int(b))
    if type(a) is float:
        return a * b
    raise no_overload()


def divide(a: Any, b: Any) -> Any:
    if type(a) is not type(b) or type(a) not in (int, UInt, float):
        raise no_overload()
    if type(a) is float:
        return a / b if b else math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)
    if not b:
        raise CelError("division by zero")
    found = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return checked_int(found) if type(a) is int else UInt(found)


def modulo(a: Any, b: Any) -> Any:
    if type(a) is not type(b) or type(a) not in (int, UInt):
        raise no_overload()
    if not b:
        raise CelError("modulus by zero")
    return type(a)(abs(a) % abs(b) * (-1 if a < 0 else 1))


def negate(a: Any) -> Any:
    if type(a) is int:
        return checked_int(-a)
    if type(a) is float:
        return -a
    raise no_overload()


def contained(item: Any, values: Any) -> bool:
    if isinstance(values, list):
        return any(equal(item, each) for each in values)
    if isinstance(values, Mapping):
        return _in_map(item, values)
    raise no_overload()


def _in_map(key: Any, values: Mapping[Any, Any]) -> bool:
    return isinstance(key, str | int | bool | float) and key in values


def index(values: Any, key: Any) -> Any:
    if isinstance(values, Optional):
        return optional_index(values, key)
    if isinstance(values, list):
        at = int(key) if isinstance(key, int | float) and not isinstance(key, bool) and key == int(key) else None
        if at is None:
            raise CelError(f"unsupported index type '{type_of(key)}' in list")
        if not 0 <= at < len(values):
            raise CelError(f"index out of bounds: {at}")
        return values[at]
    if isinstance(values, Mapping):
        if _in_map(key, values):
            return values[key]
        raise CelError(f"no such key: {key}")
    raise CelError(f"no such key: {key}")  # of a value that has no keys at all, null included


def optional_index(values: Any, key: Any) -> Optional:
    if isinstance(values, Optional):
        if not values.has:
            return values
        values = values.value
    if isinstance(values, list):
        return Optional(values[key]) if 0 <= key < len(values) else Optional(has=False)
    if isinstance(values, Mapping):
        return Optional(values[key]) if _in_map(key, values) else Optional(has=False)
    raise no_overload()


def size(value: Any) -> int:
    if isinstance(value, str | bytes | list | Mapping):
        return len(value)
    raise no_overload()


def inserted(values: Mapping[Any, Any], *entry: Any) -> dict[Any, Any]:
    more = entry[0] if len(entry) == 1 else {entry[0]: entry[1]}
    for key in more:
        if key in values:
            raise CelError(f"insert failed: key {key} already exists")
    return {**values, **more}


# --- conversions


def _read(parse: Callable[[str], Any], text: str, as_type: str) -> Any:
    try:
        return parse(text)
    except CelError:
        raise _not_read(as_type) from None


def _not_read(as_type: str) -> CelError:
    return CelError(f"type conversion error from 'string' to '{as_type}'")


def to_int(value: Any) -> int:
    of = type(value)
    if of is int:
        return int(value)
    if of is UInt:
        return checked_int(int(value))
    if of is float:
        if not math.isfinite(value) or not -(2.0**63) < value < 2.0**63:
            raise CelError("integer overflow")
        return int(value)
    if of is str:
        if _NUMBER.fullmatch(value) is None or not INT_MIN <= int(value) <= INT_MAX:
            raise _not_read("int")
        return int(value)
    if of is Timestamp:
        return int(value) // _SECOND
    if of is Duration:
        return int(value)
    raise no_overload()


def to_uint(value: Any) -> UInt:
    if type(value) is float:
        if not 0 <= value < 2.0**64:
            raise CelError("unsigned integer overflow")
        return UInt(value)
    if type(value) in (int, UInt):
        return checked_uint(int(value))
    if type(value) is str:
        if not value.isascii() or not value.isdigit() or int(value) > UINT_MAX:
            raise _not_read("uint")
        return UInt(value)
    raise no_overload()


def to_double(value: Any) -> float:
    if type(value) in (int, UInt, float):
        return float(value)
    if type(value) is str:
        if _FLOAT.fullmatch(value) is None:
            raise _not_read("double")
        return float(value)
    raise no_overload()


def to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _TRUE | _FALSE:
        return value in _TRUE
    raise _not_read("bool") if isinstance(value, str) else no_overload()


def to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise no_overload()


def to_duration(value: Any) -> Any:
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        return _read(parse_duration, value, "google.protobuf.Duration")
    if type(value) is int:
        return Duration(value)
    raise no_overload()


def to_timestamp(value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, str):
        return _read(parse_timestamp, value, "google.protobuf.Timestamp")
    if type(value) is int:
        return Timestamp(value * _SECOND)
    raise no_overload()


def type_name(value: Any) -> Type:
    """The type as a value: lists and maps are of one type each."""
    found = type_of(value)
    return found if found.kind not in ("list", "map", "optional_type") else Type(found.kind, tuple(types.DYN for _ in found.params))


def _equal(a: Any, b: Any) -> bool:
    return equal(a, b)


# --- who says that there is no such overload --------------------------------------------------------------------------

_NUMBERS: Final = (int, UInt, float)
_MOMENTS: Final = (Timestamp, Duration)
_ORDERED: Final = (*_NUMBERS, *_MOMENTS, bool, str, bytes)


def _operator(name: str, run: Callable[..., Any], kinds: tuple[type, ...]) -> Callable[..., Any]:
    """An operator that is named in the error when its first operand has no such operator at all."""

    def operate(left: Any, *right: Any) -> Any:
        try:
            return run(left, *right)
        except CelError as error:
            is_known = type(left) in kinds or (list in kinds and isinstance(left, list))
            if str(error) == "no such overload" and not is_known:
                raise CelError(f"no such overload: {name}") from None
            raise

    return operate


_OPERATORS: Final[Mapping[str, tuple[Callable[..., Any], tuple[type, ...]]]] = {
    "_+_": (add, (*_NUMBERS, *_MOMENTS, str, bytes, list)),
    "_-_": (subtract, (*_NUMBERS, *_MOMENTS)),
    "_*_": (multiply, _NUMBERS),
    "_/_": (divide, _NUMBERS),
    "_%_": (modulo, (int, UInt)),
    "-_": (negate, (int, float)),
    "_<_": (lambda a, b: compare(a, b) < 0, _ORDERED),
    "_<=_": (lambda a, b: compare(a, b) <= 0, _ORDERED),
    "_>_": (lambda a, b: compare(a, b) > 0, _ORDERED),
    "_>=_": (lambda a, b: compare(a, b) >= 0, _ORDERED),
}
FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _operator(name, run, kinds) for name, (run, kinds) in _OPERATORS.items()},
    "_==_": _equal,
    "_!=_": lambda a, b: not equal(a, b),
    "@in": contained,
    "_[_]": index,
    "_[?_]": optional_index,
    "cel.@mapInsert": inserted,
    "size": _operator("size", size, (str, bytes, list, dict)),
    "int": to_int,
    "uint": to_uint,
    "double": to_double,
    "bool": to_bool,
    "string": to_string,
    "bytes": to_bytes,
    "duration": to_duration,
    "timestamp": to_timestamp,
    "type": type_name,
    "dyn": lambda value: value,
}
