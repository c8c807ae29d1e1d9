"""Decoding what is an object in memory already: the results of strategic merge patches and of apply.

Upstream turns these into Go types with another converter than JSON's, which takes other things and words its errors differently: whole
floats are integers, integers wrap around, the first error (in the order of the structs) ends it, and unknown fields are told in
alphabetical order. Source: apimachinery `runtime/converter.go`. JSON bodies, JSON patches and merge patches go through `decode.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from kube.schema import leaves, strict
from kube.schema.decode import Decoded, decode_clean
from kube.schema.field_order import rank_of
from kube.schema.strict import DecodeError, Pairs
from kube.schema.types import ListType, MapType, Scalar, ScalarType, StructType, Type

_SOURCE = {str: "string", bool: "bool", int: "int64", float: "float64", dict: "map", list: "slice"}
_KINDS = {
    Scalar.STRING: "string",
    Scalar.INT32: "int32",
    Scalar.INT64: "int64",
    Scalar.FLOAT: "float64",
    Scalar.BOOL: "bool",
}


def convert(of: StructType, value: Any) -> Decoded:
    """As `decode.decode`, with the rules and messages of the converter. Raises DecodeError."""
    found = decode_clean(of, value)
    if found is not None:
        return found
    if of.walk is not None:
        return Decoded(*of.walk(value))
    out, unknown = _Converter().whole(of, value)
    return Decoded(out, sorted(unknown))


class _Converter(strict.Walk):
    def members(self, of: StructType, value: dict[str, Any] | Pairs) -> Iterable[tuple[str, Any]]:
        """In the order of the Go struct, unknown ones last."""
        rank = rank_of(of)
        return sorted(dict(value).items(), key=lambda member: rank.get(member[0], len(rank)) if member[0] in of.fields else sys.maxsize)

    def wrong(self, of: Type, value: Any, *, is_number: bool = False, otherwise: Any = None) -> Any:
        if isinstance(of, ScalarType) and is_number and isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(of, value)
        raise leaves.LeafError(_message(of, value))

    def _number(self, of: ScalarType, value: float) -> Any:
        if of.scalar is Scalar.FLOAT:
            return value
        if value != int(value):
            raise leaves.LeafError(f"cannot convert float64 to {of.go_name}")
        bits = 32 if of.scalar is Scalar.INT32 else 64
        if not -(2**63) <= value < 2**63:
            value = -(2**63)  # what the processor makes of a float that is too large
        return (int(value) + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))

    def _bytes(self, of: ScalarType, value: Any) -> Any:
        if not isinstance(value, str):
            return self.wrong(of, value)
        try:
            return leaves.base64(value)
        except leaves.LeafError as wrong:
            raise leaves.LeafError(f"error decoding from json: {wrong}") from None

    def type_error(self, value: str, go_type: str) -> str:
        return f"json: cannot unmarshal {value} into Go value of type {go_type}"


def _message(of: Type, value: Any) -> str:
    source = _SOURCE.get(type(value), "string")
    if isinstance(of, StructType):
        return f"cannot restore struct from: {source}"
    if isinstance(of, MapType):
        return f"cannot restore map from {source}"
    if isinstance(of, ListType) or of.scalar is Scalar.BYTES:
        return f"cannot restore slice from {source}"
    if of.scalar is Scalar.STRING and source == "int64":
        return f"cannot convert int64 to {of.go_name}"
    return f"unrecognized type: {_KINDS.get(of.scalar, 'struct')}"


__all__ = ["DecodeError", "convert"]
