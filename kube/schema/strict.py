"""The slow, exact decoder: walks a JSON value as Go's decoder does, and tells what is wrong in its words.

`decode.py` calls it when its fast path meets anything unusual: unknown or repeated fields, wrong types, nulls in lists, odd numbers.
Rules that matter (source: `sigs.k8s.io/json`, a strict fork of Go's encoding/json): names match by case; a wrong type is remembered, the
rest is still read, and the first one is the error; a leaf that decodes itself (times, quantities) fails at once and wins; what is inside
an unknown field is not looked at. `unstructured.py` is its other voice, for patches.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from kube.schema import definitions, leaves
from kube.schema.goquote import quote
from kube.schema.types import ListType, MapType, Scalar, ScalarType, StructType, Type

UNIONS = frozenset({"v1.JSONSchemaPropsOrArray", "v1.JSONSchemaPropsOrBool", "v1.JSONSchemaPropsOrStringArray"})
"""The leaves of CustomResourceDefinitions that may hold a whole schema: Go decodes them by hand, without strictness."""

_JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_BYTE = ScalarType(Scalar.INT32, "uint8")
_DIGITS_MAX = 20
_ERRORS_MAX = 100  # upstream stops collecting there


class DecodeError(ValueError):
    """A body that is no object of its type; the message is upstream's."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object whose keys may repeat, in order."""


class Number(float):
    """A JSON number that is not a plain integer, with the text it was written as."""

    text: str

    @classmethod
    def of(cls, text: str) -> Number:
        out = cls(text)
        out.text = text
        return out


def parse(text: str) -> Any:
    """JSON for `walk`: objects as `Pairs`, and numbers that remember their text. Raises ValueError and RecursionError."""
    return json.loads(text, object_pairs_hook=Pairs, parse_float=Number.of, parse_int=whole)


def whole(text: str) -> int | Number:
    """A JSON integer; one that no Go integer can hold stays as it was written."""
    return int(text) if len(text) <= _DIGITS_MAX else Number.of(text)


def plain(value: Any) -> Any:
    """What `parse` gave, as ordinary dicts and floats; the last of repeated keys counts."""
    if isinstance(value, Pairs):
        return {key: plain(each) for key, each in value}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, Number) else value


def walk(of: StructType, value: Any) -> tuple[Any, list[str]]:
    """(canonical value, strict errors in order). Raises DecodeError."""
    if of.walk is not None:
        return of.walk(value)
    return Walk().whole(of, value)


def union(of: ScalarType, value: Any) -> Any:
    """A leaf of `UNIONS` in its canonical form. Raises leaves.LeafError."""
    return Walk().union(of, value)


def zero_of(of: Type) -> Any:
    """What Go writes for an empty one held by value."""
    if isinstance(of, StructType):
        return Walk().struct(of, {})
    return leaves.ZEROES[of.scalar] if isinstance(of, ScalarType) else None


class Mismatch(leaves.LeafError):
    """A leaf that Go decodes by hand, of a wrong JSON type: told like any wrong type, but it ends the decoding."""

    def __init__(self, value: str, go_type: str) -> None:
        super().__init__(value)
        self.value = value
        self.go_type = go_type


class Walk:
    """One decoding: where it is, what it has found."""

    def __init__(self) -> None:
        self.path: list[str] = []  # as strict errors write it: `spec`, `.containers`, `[0]`
        self.stack: list[str] = []  # as type errors write it: field names only
        self.inside = ""  # the Go name of the innermost struct
        self.first_error: str = ""
        self.strict_errors: dict[str, None] = {}

    def whole(self, of: StructType, value: Any) -> tuple[Any, list[str]]:
        try:
            out = self.value(of, value)
        except Mismatch as wrong:
            raise DecodeError(self.type_error(wrong.value, wrong.go_type)) from None
        except leaves.LeafError as wrong:
            raise DecodeError(str(wrong)) from None
        if self.first_error:
            raise DecodeError(self.first_error)
        return out, list(self.strict_errors)

    # --- what can hold others

    def value(self, of: Type, value: Any) -> Any:
        """Go's value for `value`; a wrong type is remembered and gives the zero value."""
        if isinstance(of, StructType):
            if isinstance(value, dict | Pairs):
                return self.struct(of, value)
            if value is not None:
                self.wrong(of, value)
            return zero_of(of)
        if isinstance(of, ListType):
            return self.list(of, value)
        if isinstance(of, MapType):
            return self.map(of, value)
        return self.leaf(of, value)

    def struct(self, of: StructType, value: dict[str, Any] | Pairs) -> dict[str, Any]:
        out: dict[str, Any] = {}
        seen: set[str] = set()
        outside = self.inside
        for name, given in self.members(of, value):
            field = of.fields.get(name)
            if field is None:
                if of.open:
                    out[name] = plain(given)
                else:
                    self._strict("unknown", name)
                continue
            if name in seen:
                self._strict("duplicate", name)
            seen.add(name)
            self._enter(name, embedded=field.embedded)
            self.inside = of.go_name.rpartition(".")[2]
            decoded = self.value(field.type, given) if given is not None else _null(field.type, pointer=field.pointer)
            self._leave(embedded=field.embedded)
            self.inside = outside
            if name in out and isinstance(decoded, dict) and isinstance(field.type, StructType | MapType):
                decoded = {**out[name], **decoded}  # Go decodes a repeated key into the same struct or map
            out.pop(name, None)
            if field.always and isinstance(field.type, ListType | MapType) and name != "items":
                decoded = decoded or None  # upstream's storage does not tell an empty list from none
            if field.always or (given is not None if field.pointer else not _is_empty(field.type, decoded)):
                out[name] = decoded
        for name, field in of.fields.items():
            if field.always and (name not in out):
                out[name] = _null(field.type, pointer=field.pointer)
        return out

    def members(self, _of: StructType, value: dict[str, Any] | Pairs) -> Iterable[tuple[str, Any]]:
        """The members of a struct's object, in the order in which they are decoded."""
        return _items(value)

    def list(self, of: ListType, value: Any) -> Any:
        if not isinstance(value, list) or isinstance(value, Pairs):
            if value is not None:
                self.wrong(of, value)
            return None
        out = []
        for index, each in enumerate(value):
            self.path.append(f"[{index}]")
            out.append(zero_of(of.item) if each is None else self.value(of.item, each))
            self.path.pop()
        return out

    def map(self, of: MapType, value: Any) -> Any:
        if not isinstance(value, dict | Pairs):
            if value is not None:
                self.wrong(of, value)
            return None
        out: dict[str, Any] = {}
        for key, each in _items(value):
            if key in out:
                self._strict("duplicate", key)
            self.path.append(f".{key}" if self.path else key)
            out[key] = _null_in_map(of.value) if each is None else self.value(of.value, each)
            self.path.pop()
        return out

    # --- leaves

    def leaf(self, of: ScalarType, value: Any) -> Any:
        if of.scalar is Scalar.ANY:
            return self.union(of, value) if of.go_name in UNIONS else plain(value)
        if value is None:
            return leaves.ZEROES[of.scalar]
        decode = getattr(self, f"_{of.scalar.name.lower()}")
        return decode(of, value)

    def _string(self, of: ScalarType, value: Any) -> Any:
        return value if isinstance(value, str) else self.wrong(of, value, otherwise="")

    def _bool(self, of: ScalarType, value: Any) -> Any:
        return value if isinstance(value, bool) else self.wrong(of, value, otherwise=False)

    def _int32(self, of: ScalarType, value: Any) -> Any:
        return value if _is_int(value, leaves.INT32) else self.wrong(of, value, is_number=True, otherwise=0)

    def _int64(self, of: ScalarType, value: Any) -> Any:
        return value if _is_int(value, leaves.INT64) else self.wrong(of, value, is_number=True, otherwise=0)

    def _float(self, of: ScalarType, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
            return float(value) if isinstance(value, Number) else value
        return self.wrong(of, value, is_number=True, otherwise=0)

    def _byte(self, value: Any) -> int:
        if value is None:
            return 0
        return int(value) if _is_int(value, (0, 255)) else int(self.wrong(_BYTE, value, is_number=True, otherwise=0))

    def _bytes(self, of: ScalarType, value: Any) -> Any:
        if isinstance(value, list) and not isinstance(value, Pairs):  # bytes are numbers, too
            return b64encode(bytes([self._byte(each) for each in value])).decode()
        if not isinstance(value, str):
            return self.wrong(of, value)
        try:
            return leaves.base64(value)
        except leaves.LeafError as wrong:
            self.first_error = self.first_error or str(wrong)
            return None

    def _quantity(self, _of: ScalarType, value: Any) -> Any:
        return leaves.quantity(value if isinstance(value, str) else _text(value))

    def _intstr(self, _of: ScalarType, value: Any) -> Any:
        if isinstance(value, str) or _is_int(value, leaves.INT32):
            return value
        raise Mismatch(_kind(value, is_number=True), "int32")

    _int_or_string = _intstr

    def _time(self, _of: ScalarType, value: Any) -> Any:
        return leaves.time(_must_be_string(value))

    def _micro_time(self, _of: ScalarType, value: Any) -> Any:
        return leaves.micro_time(_must_be_string(value))

    def _duration(self, _of: ScalarType, value: Any) -> Any:
        return leaves.duration(_must_be_string(value))

    def union(self, of: ScalarType, value: Any) -> Any:
        """Source: apiextensions `v1/marshal.go`; schemas inside are decoded without strictness."""
        if isinstance(value, dict | Pairs):
            inner = Walk()
            out = inner.value(json_schema(), value)
            return _inner(inner, out)
        if of.go_name == "v1.JSONSchemaPropsOrBool":
            if isinstance(value, bool):
                return value
            raise leaves.LeafError("boolean or JSON schema expected")
        if not isinstance(value, list) or not value:
            return None
        item: Type = ScalarType(Scalar.STRING, "string") if of.go_name == "v1.JSONSchemaPropsOrStringArray" else json_schema()
        inner = Walk()
        return _inner(inner, inner.list(ListType(item, go_name=f"[]{item.go_name}"), value))

    # --- telling

    def _enter(self, name: str, *, embedded: str) -> None:
        self.path.append(f".{name}" if self.path else name)
        if embedded:
            self.stack.append(embedded)
        self.stack.append(name)

    def _leave(self, *, embedded: str) -> None:
        self.path.pop()
        self.stack.pop()
        if embedded:
            self.stack.pop()

    def _strict(self, what: str, name: str) -> None:
        if len(self.strict_errors) < _ERRORS_MAX:
            path = f"{''.join(self.path)}.{name}" if self.path else name
            self.strict_errors[f"{what} field {quote(path)}"] = None

    def wrong(self, of: Type, value: Any, *, is_number: bool = False, otherwise: Any = None) -> Any:
        """Remembers a wrong type; gives the value to go on with."""
        self.first_error = self.first_error or self.type_error(_kind(value, is_number=is_number), of.go_name)
        return otherwise

    def type_error(self, value: str, go_type: str) -> str:
        if not self.stack:
            return f"json: cannot unmarshal {value} into Go value of type {go_type}"
        return f"json: cannot unmarshal {value} into Go struct field {self.inside}.{'.'.join(self.stack)} of type {go_type}"


def _inner(walk: Walk, out: Any) -> Any:
    """The result of a decoder inside the decoder: its error ends the outer one."""
    if walk.first_error:
        raise leaves.LeafError(walk.first_error)
    return out


def json_schema() -> StructType:
    """The type of a CustomResourceDefinition's schemas."""
    return definitions.load().type(_JSON_SCHEMA)


def _items(value: dict[str, Any] | Pairs) -> Iterable[tuple[str, Any]]:
    return value if isinstance(value, Pairs) else value.items()


def _null(of: Type, *, pointer: bool) -> Any:
    return None if pointer else zero_of(of)


def _null_in_map(of: Type) -> Any:
    """`null` as a map's value: Go's zero value, after the trip through the storage that makes nil bytes empty ones."""
    return "" if isinstance(of, ScalarType) and of.scalar is Scalar.BYTES else zero_of(of)


def _is_empty(of: Type, decoded: Any) -> bool:
    """Whether `omitempty` (or, for structs, `omitzero`) leaves it out."""
    if isinstance(of, StructType) or (isinstance(of, ScalarType) and of.scalar in leaves.STRUCTS_IN_GO):
        return bool(decoded == zero_of(of))
    return not decoded


def _is_int(value: Any, bounds: tuple[int, int]) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and bounds[0] <= value <= bounds[1]


def _must_be_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Mismatch(_kind(value, is_number=False), "string")


def _kind(value: Any, *, is_number: bool) -> str:
    """What messages call a JSON value; numbers are told with their text only to fields that are numbers."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict | Pairs):
        return "object"
    if isinstance(value, list):
        return "array"
    return f"number {_text(value)}" if is_number else "number"


def _text(value: Any) -> str:
    """A JSON value as its text: what the decoders of leaves are given."""
    if isinstance(value, Number):
        return value.text
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
