"""The leaves that Go decodes by hand: text in, canonical value out. Shared by the fast path (`decode.py`) and the slow one (`strict.py`).

Each function takes a JSON string's text and raises LeafError with upstream's message. Times and quantities repeat a lot, so their results
are cached.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from functools import lru_cache

from kube import quantity as quantities
from kube.schema import gotime
from kube.schema.types import Scalar

INT32 = (-(2**31), 2**31 - 1)
INT64 = (-(2**63), 2**63 - 1)

STRUCTS_IN_GO = frozenset(
    {Scalar.QUANTITY, Scalar.INT_OR_STRING, Scalar.TIME, Scalar.MICRO_TIME, Scalar.DURATION, Scalar.ANY},
)
"""Leaves that are structs in Go: `omitempty` alone never leaves them out when they are held by value."""

ZEROES: dict[Scalar, object] = {
    Scalar.STRING: "",
    Scalar.INT32: 0,
    Scalar.INT64: 0,
    Scalar.FLOAT: 0,
    Scalar.BOOL: False,
    Scalar.BYTES: None,
    Scalar.QUANTITY: "0",
    Scalar.INT_OR_STRING: 0,
    Scalar.TIME: None,
    Scalar.MICRO_TIME: None,
    Scalar.DURATION: "0s",
    Scalar.ANY: None,
}
"""What Go writes for an empty leaf."""

_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
_SHORT = 64  # longer texts are not worth caching
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


class LeafError(ValueError):
    """The text of a leaf is wrong; the message is upstream's, without any path."""


@lru_cache(maxsize=8192)
def _quantity(text: str) -> str:
    return quantities.canonical(text)


def quantity(text: str) -> str:
    try:
        return _quantity(text) if len(text) < _SHORT else quantities.canonical(text)
    except quantities.QuantityError as wrong:
        raise LeafError(str(wrong)) from None


@lru_cache(maxsize=4096)
def _time(text: str) -> str | None:
    when = gotime.parse_time(text)
    return None if when.replace(microsecond=0) == _ZERO_TIME else gotime.format_time(when)


def time(text: str) -> str | None:
    """metav1.Time: whole seconds, UTC; None for Go's zero time."""
    try:
        return _time(text)
    except gotime.GoTimeError as wrong:
        raise LeafError(str(wrong)) from None


def micro_time(text: str) -> str | None:
    """metav1.MicroTime: exactly six digits of fraction are asked for, and written."""
    try:
        when = gotime.parse_time(text, gotime.RFC3339_MICRO)
    except gotime.GoTimeError as wrong:
        raise LeafError(str(wrong)) from None
    return None if when == _ZERO_TIME else gotime.format_micro_time(when)


def duration(text: str) -> str:
    try:
        return gotime.format_duration(gotime.parse_duration(text))
    except gotime.GoTimeError as wrong:
        raise LeafError(str(wrong)) from None


def base64(text: str) -> str:
    """Standard base64 as Go's decoder takes it (line breaks are skipped), written canonically."""
    plain = text.replace("\r", "").replace("\n", "") if "\n" in text or "\r" in text else text
    try:
        return binascii.b2a_base64(binascii.a2b_base64(plain, strict_mode=True), newline=False).decode("ascii")
    except (binascii.Error, ValueError):
        raise LeafError(f"illegal base64 data at input byte {_wrong_byte(text)}") from None


def _wrong_byte(text: str) -> int:
    """Where Go's decoder gives up: the first byte that cannot be, or the end of a quantum that is not whole."""
    data = text.encode("utf-8", "replace").decode("latin-1")
    digits = 0
    for at, each in enumerate(data):
        if each in "\r\n":
            continue
        if each == "=":
            return _wrong_padding(data, at, digits)
        if _NOT_BASE64.match(each):
            return at
        digits += 1
    return len(data) - digits % 4


def _wrong_padding(data: str, at: int, digits: int) -> int:
    """`at` is the first `=`. Two digits of a quantum ask for two of them, three for one; nothing may follow."""
    if digits % 4 < 2:
        return at
    after = at + 1
    while after < len(data) and data[after] in "\r\n":
        after += 1
    if digits % 4 == 2:
        if after == len(data):
            return len(data)
        if data[after] != "=":
            return after - 1
        after += 1
        while after < len(data) and data[after] in "\r\n":
            after += 1
    return after
