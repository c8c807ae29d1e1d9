"""Reading Kubernetes' protobuf bodies: client-go's typed clients send their objects so (kubectl from 1.32 on, upstream's components).

Only the wire form is dealt with here: `loads` gives what the JSON body would have held, zero values included, and the decoder of
`decode.py` does the rest. Answers are never protobuf: such clients accept JSON, too. `protobuf.json` has, for each definition, its field
numbers with names and wire types ("" = an embedded struct, `*` repeated, `%` map). Source: the envelope of apimachinery
`runtime/serializer/protobuf`, the field numbers of the API's `generated.proto` files.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from kube.clock import rfc3339, rfc3339_micro

MAGIC: Final = b"k8s\x00"
DEPTH_MAX: Final = 200
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
Fields = dict[int, tuple[str, str]]


class ProtobufError(ValueError):
    """Not a protobuf body of Kubernetes, or one of a type that is not known."""


@cache
def _tables() -> dict[str, Fields]:
    raw = orjson.loads(files(__package__).joinpath("protobuf.json").read_bytes())
    return {name: {int(number): (field, kind) for number, (field, kind) in fields.items()} for name, fields in raw.items()}


def names(definition: str) -> list[str]:
    """The names of a definition's fields in the order of its Go struct, those of embedded structs in their place; none if it is unknown."""
    out: list[str] = []
    for name, kind in _tables().get(definition, {}).values():
        out += [name] if name else names(kind)
    return out


def envelope(body: bytes) -> tuple[str, str, bytes]:
    """(apiVersion, kind, the object's own bytes). Raises ProtobufError."""
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message")
    api_version = kind = ""
    raw = b""
    for number, value in _walk(body, len(MAGIC), len(body)):
        if number == 1 and isinstance(value, bytes):
            for inner, text in _walk(value, 0, len(value)):
                if inner == 1 and isinstance(text, bytes):
                    api_version = _text(text)
                elif inner == 2 and isinstance(text, bytes):
                    kind = _text(text)
        elif number == 2 and isinstance(value, bytes):
            raw = value
    return api_version, kind, raw


def loads(raw: bytes, definition: str) -> dict[str, Any]:
    """The object that `raw` holds, in JSON's terms. `definition` is its OpenAPI name. Raises ProtobufError."""
    try:
        out = _message(raw, definition, 0)
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError, orjson.JSONDecodeError) as error:
        raise ProtobufError(f"unexpected EOF or malformed field ({error})") from error
    if not isinstance(out, dict):
        raise ProtobufError(f"{definition} is no object")
    return out


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("a string is not UTF-8") from error


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= end or shift > 63:
            raise ProtobufError("unexpected EOF")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def _walk(data: bytes, at: int, end: int) -> list[tuple[int, int | bytes]]:
    """The fields of one message: number and raw value. Raises ProtobufError."""
    out: list[tuple[int, int | bytes]] = []
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint(data, at, end)
        elif wire == 2:
            size, at = _varint(data, at, end)
            if at + size > end:
                raise ProtobufError("unexpected EOF")
            value = data[at : at + size]
            at += size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > end:
                raise ProtobufError("unexpected EOF")
            value = data[at : at + size]
            at += size
        else:
            raise ProtobufError(f"illegal wire type {wire}")
        if number == 0:
            raise ProtobufError("illegal tag 0")
        out.append((number, value))
    return out


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ProtobufError("wrong wire type for a number")
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("wrong wire type")
    return value


def _message(data: bytes, definition: str, depth: int) -> Any:
    special = _SPECIAL.get(definition)
    if special is not None:
        return special(data)
    fields = _tables().get(definition)
    if fields is None:
        raise ProtobufError(f"no protobuf form of {definition} is known")
    if depth > DEPTH_MAX:
        raise ProtobufError("nested too deeply")
    if len(fields) == 1 and fields.get(1) == ("items", "*s"):  # a named list of strings (ExtraValue, Verbs, PodSignature, ...)
        return [_text(_bytes(value)) for _, value in _walk(data, 0, len(data))]
    out: dict[str, Any] = {}
    for number, value in _walk(data, 0, len(data)):
        known = fields.get(number)
        if known is None:
            continue
        name, kind = known
        if kind[0] == "*":
            out.setdefault(name, []).append(_value(value, kind[1:], depth))
        elif kind[0] == "%":
            entry = dict(_walk(_bytes(value), 0, len(_bytes(value))))
            inner = entry.get(2)
            out.setdefault(name, {})[_text(_bytes(entry.get(1, b"")))] = (
                _empty(kind[1:]) if inner is None else _value(inner, kind[1:], depth)
            )
        elif name:
            out[name] = _value(value, kind, depth)
        else:
            out.update(_value(value, kind, depth))
    return out


def _empty(kind: str) -> Any:
    return {"s": "", "y": "", "i": 0, "b": False, "d": 0.0}.get(kind) if len(kind) == 1 else _message(b"", kind, 0)


def _value(value: int | bytes, kind: str, depth: int) -> Any:
    if kind == "s":
        return _text(_bytes(value))
    if kind == "i":
        return _signed(value)
    if kind == "b":
        return bool(value)
    if kind == "y":
        return base64.b64encode(_bytes(value)).decode()
    if kind == "d":
        return struct.unpack("<d", _bytes(value))[0]
    return _message(_bytes(value), kind, depth + 1)


# --- leaves that have a form of their own ---------------------------------------------------------------------------------


def _moment(data: bytes) -> datetime | None:
    parts = dict(_walk(data, 0, len(data)))
    if not parts:
        return None
    seconds, nanos = _signed(parts.get(1, 0)), _signed(parts.get(2, 0))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=nanos // 1000)


def _time(data: bytes) -> str | None:
    found = _moment(data)
    return rfc3339(found) if found is not None else None


def _micro_time(data: bytes) -> str | None:
    found = _moment(data)
    return rfc3339_micro(found) if found is not None else None


def _quantity(data: bytes) -> str:
    return _text(_bytes(dict(_walk(data, 0, len(data))).get(1, b""))) or "0"


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_walk(data, 0, len(data)))
    if parts.get(1):
        return _text(_bytes(parts.get(3, b"")))
    return _signed(parts.get(2, 0))


def _duration(data: bytes) -> str:
    """As Go prints a time.Duration (`1h0m0s`); the decoder makes the canonical form of any."""
    nanoseconds = _signed(dict(_walk(data, 0, len(data))).get(1, 0))
    seconds, rest = divmod(abs(nanoseconds), 1_000_000_000)
    text = f"{seconds}.{rest:09d}".rstrip("0").rstrip(".") + "s"
    return f"-{text}" if nanoseconds < 0 else text


def _raw_json(data: bytes) -> Any:
    raw = _bytes(dict(_walk(data, 0, len(data))).get(1, b""))
    return orjson.loads(raw) if raw else None


_SPECIAL: Final[dict[str, Callable[[bytes], Any]]] = {
    f"{_META}Time": _time,
    f"{_META}MicroTime": _micro_time,
    f"{_META}Duration": _duration,
    f"{_META}FieldsV1": _raw_json,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _raw_json,
}
