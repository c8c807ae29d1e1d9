"""From JSON values to canonical objects: what kube-apiserver would write back after decoding a body into its Go types.

Every write passes here, so each type is compiled once into nested closures that only know the clean case: known fields, right types,
canonical leaves. Whatever else turns up raises `_Odd`, and `strict.py` walks the value again, slowly, with paths, unknown fields and
upstream's messages. Read `types.py` first, then `leaves.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kube.schema import leaves, strict
from kube.schema.strict import DecodeError
from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType, Type

__all__ = ["DecodeError", "Decoded", "decode", "decode_clean"]


@dataclass(slots=True)
class Decoded:
    """`value` is canonical. `strict_errors`: upstream's words for each unknown or repeated field, in order: `unknown field "spec.foo"`."""

    value: Any
    strict_errors: list[str] = field(default_factory=list)

    @property
    def unknown(self) -> list[str]:
        """The paths of the unknown fields: `spec.foo`."""
        return [each[len(_UNKNOWN) : -1] for each in self.strict_errors if each.startswith(_UNKNOWN)]


_UNKNOWN = 'unknown field "'


class _Odd(Exception):
    """Something the fast path does not decide."""


class _Drop:
    """A field's value that is left out."""


_DROP = _Drop()
_ODD = _Odd()

_Decode = Callable[[Any], Any]


def decode(of: StructType, value: Any) -> Decoded:
    """The canonical form of `value`: unknown fields dropped (and told), empty ones as Go writes them, quantities and times canonical.

    `value` is parsed JSON (for repeated keys and the exact text of numbers: parsed by `strict.parse`, and given to `strict.walk`). The
    result may share lists, maps and free-form values with it. Raises DecodeError with upstream's message."""
    return decode_clean(of, value) or Decoded(*strict.walk(of, value))


def decode_clean(of: StructType, value: Any) -> Decoded | None:
    """The fast path alone: None for anything out of the ordinary."""
    try:
        return Decoded(_compiled(of)(value))
    except (_Odd, leaves.LeafError):
        return None


def _compiled(of: StructType) -> _Decode:
    if of.decoder is None:
        of.decoder = _struct(of)
    return of.decoder


def _struct(of: StructType) -> _Decode:
    strings = {name: each.always or each.pointer for name, each in of.fields.items() if _is_string(each.type)}
    others: dict[str, _Decode] = {}
    for name, each in of.fields.items():
        if name not in strings:
            others[name] = _late(each, others)
    always = tuple((name, _filler(each)) for name, each in of.fields.items() if each.always)
    keeps_of, other_of, is_open = strings.get, others.get, of.open

    def decode_struct(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _ODD
        out = {}
        for name, given in value.items():
            keeps_empty = keeps_of(name)
            if keeps_empty is not None:
                if type(given) is str:
                    if given or keeps_empty:
                        out[name] = given
                elif given is not None:
                    raise _ODD
                continue
            decode_other = other_of(name)
            if decode_other is None:
                if not is_open:
                    raise _ODD
                out[name] = given
            elif given is not None:
                given = decode_other(given)
                if given is not _DROP:
                    out[name] = given
        for name, zero in always:
            if name not in out:
                out[name] = zero()
        return out

    return decode_struct


def _is_string(of: Type) -> bool:
    return isinstance(of, ScalarType) and of.scalar is Scalar.STRING


def _late(of: Field, among: dict[str, _Decode]) -> _Decode:
    """A field's decoder that is compiled when first needed: types are recursive, and most of a kind's fields are never used."""

    def decode_late(value: Any) -> Any:
        among[of.name] = ready = _field(of)
        return ready(value)

    return decode_late


def _filler(of: Field) -> Callable[[], Any]:
    if isinstance(of.type, StructType) and of.zero is not None:
        return functools.partial(_empty_struct, of.type)
    zero = of.zero
    return lambda: zero


def _empty_struct(of: StructType) -> Any:
    return _compiled(of)({})


def _field(of: Field) -> _Decode:
    """Applies the presence rules: without a pointer or `always`, empty values are left out."""
    inner = _value(of.type)
    if of.always or of.pointer:
        return _or_null(inner) if isinstance(of.type, ListType | MapType) and of.name != "items" else inner
    if isinstance(of.type, StructType) or (isinstance(of.type, ScalarType) and of.type.scalar in leaves.STRUCTS_IN_GO):
        return _without_zero(inner, of.type)

    def decode_or_drop(value: Any) -> Any:
        given = inner(value)
        return given if given else _DROP

    return decode_or_drop


def _or_null(inner: _Decode) -> _Decode:
    """Lists that are written even when empty, except a List's items: `null`, because upstream's storage does not tell empty from none."""

    def decode_or_null(value: Any) -> Any:
        return inner(value) or None

    return decode_or_null


def _without_zero(inner: _Decode, of: Type) -> _Decode:
    """`omitzero` of a struct held by value."""

    def decode_or_drop(value: Any) -> Any:
        given = inner(value)
        return _DROP if given == strict.zero_of(of) else given

    return decode_or_drop


def _value(of: Type) -> _Decode:
    if isinstance(of, StructType):
        return _compiled(of)
    if isinstance(of, ListType):
        return _strings if _is_string(of.item) else _list(_value(of.item))
    if isinstance(of, MapType):
        return _string_map if _is_string(of.value) else _map(_value(of.value))
    return _SCALARS[of.scalar] if of.scalar is not Scalar.ANY else _any_of(of)


def _strings(value: Any) -> Any:
    if type(value) is not list:
        raise _ODD
    for each in value:
        if type(each) is not str:
            raise _ODD
    return value


def _list(item: _Decode) -> _Decode:
    def decode_list(value: Any) -> Any:
        if type(value) is not list or None in value:
            raise _ODD
        return [item(each) for each in value]

    return decode_list


def _string_map(value: Any) -> Any:
    if type(value) is not dict:
        raise _ODD
    for each in value.values():
        if type(each) is not str:
            raise _ODD
    return value


def _map(item: _Decode) -> _Decode:
    def decode_map(value: Any) -> Any:
        if type(value) is not dict:
            raise _ODD
        out = {}
        for key, each in value.items():
            if each is None:
                raise _ODD
            out[key] = item(each)
        return out

    return decode_map


def _int(low: int, high: int) -> _Decode:
    def decode_int(value: Any) -> Any:
        if type(value) is int and low <= value <= high:
            return value
        raise _ODD

    return decode_int


def _bool(value: Any) -> Any:
    if type(value) is bool:
        return value
    raise _ODD


def _float(value: Any) -> Any:
    if type(value) is int or type(value) is float:
        return value
    raise _ODD


def _text(canonical: Callable[[str], Any]) -> _Decode:
    def decode_text(value: Any) -> Any:
        if type(value) is not str:
            raise _ODD
        return canonical(value)

    return decode_text


def _quantity(value: Any) -> Any:
    if type(value) is str:
        return leaves.quantity(value)
    if type(value) is int:
        return leaves.quantity(str(value))
    raise _ODD


def _int_or_string(value: Any) -> Any:
    if type(value) is str or (type(value) is int and leaves.INT32[0] <= value <= leaves.INT32[1]):
        return value
    raise _ODD


def _same(value: Any) -> Any:
    return value


def _any_of(of: ScalarType) -> _Decode:
    """Free-form JSON as it is; the schemas of custom resources need the whole walk."""
    if of.go_name in strict.UNIONS:
        return functools.partial(_union, of)
    return _same


def _union(of: ScalarType, value: Any) -> Any:
    return strict.union(of, value)


_SCALARS: Mapping[Scalar, _Decode] = {
    Scalar.STRING: _text(_same),
    Scalar.INT32: _int(*leaves.INT32),
    Scalar.INT64: _int(*leaves.INT64),
    Scalar.FLOAT: _float,
    Scalar.BOOL: _bool,
    Scalar.BYTES: _text(leaves.base64),
    Scalar.QUANTITY: _quantity,
    Scalar.INT_OR_STRING: _int_or_string,
    Scalar.TIME: _text(leaves.time),
    Scalar.MICRO_TIME: _text(leaves.micro_time),
    Scalar.DURATION: _text(leaves.duration),
}
