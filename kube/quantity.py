"""Quantities (`500m`, `1.5Gi`, `1e3`): exact numbers that remember how they were written.

`parse` takes what a JSON value can be and gives an immutable `Quantity`; `str` gives the text that upstream would store. Numbers
are whole multiples of a nano, as Python integers: there is no floating point and no overflow. Not here: which resources may have
fractions (that is validation). Source: apimachinery `pkg/api/resource/quantity.go`, including its habit of keeping some texts as they
were given (`1E3`, `+5Gi`, `001`) and of losing suffixes beyond E.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
NUMERIC_WRONG = "unable to parse numeric part of quantity"
SUFFIX_WRONG = "unable to parse quantity's suffix"

NANO, MICRO, MILLI = -9, -6, -3

_SPLIT = re.compile(r"([+-]?)0*+([0-9]*+)(?:\.([0-9]*+))?([eEinumkKMGTP]*+[-+]?[0-9]*+)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {exponent // 10: suffix for suffix, exponent in _BINARY.items()} | {0: ""}
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]+)", re.ASCII)
_INT64_MAX = 2**63 - 1
_DIGITS_MAX = 4000
"""deviates: numbers of more digits than this are refused (upstream has no bound but the size of the request)."""
_EXPONENT_MAX = 400
"""Beyond this the value of a quantity (not its text) is capped, so that `1e999999999` costs nothing."""


class QuantityError(ValueError):
    """Not a quantity; the text is upstream's."""


class Format(StrEnum):
    """How a quantity was written, and will be again."""

    DECIMAL_SI = "DecimalSI"
    BINARY_SI = "BinarySI"
    DECIMAL_EXPONENT = "DecimalExponent"


class Quantity:
    """An exact amount. Immutable, hashable; compares and is equal by amount alone (`1` == `1000m`)."""

    __slots__ = ("_text", "format", "nano")

    def __init__(self, nano: int, format: Format = Format.DECIMAL_SI, text: str = "") -> None:
        self.nano = nano
        """The amount in billionths."""
        self.format = format
        self._text = text

    def __str__(self) -> str:
        if not self._text:
            self._text = _canonical(self.nano, NANO, self.format)
        return self._text

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __le__(self, other: Quantity) -> bool:
        return self.nano <= other.nano

    def __gt__(self, other: Quantity) -> bool:
        return self.nano > other.nano

    def __ge__(self, other: Quantity) -> bool:
        return self.nano >= other.nano

    def __bool__(self) -> bool:
        return self.nano != 0

    def __add__(self, other: Quantity) -> Quantity:
        """The sum, in this one's format; in the other's where this one is zero."""
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        """The difference, with the format rule of addition."""
        return Quantity(self.nano - other.nano, self.format if self.nano else other.format)

    def __mul__(self, factor: int) -> Quantity:
        return Quantity(self.nano * factor, self.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nano, self.format)

    def compare(self, other: Quantity) -> int:
        """-1, 0 or 1."""
        return (self.nano > other.nano) - (self.nano < other.nano)

    def value(self) -> int:
        """Whole units, rounded away from zero."""
        return _away_from_zero(self.nano, 10**9)

    def milli_value(self) -> int:
        """Thousandths, rounded away from zero."""
        return _away_from_zero(self.nano, 10**6)

    def is_whole(self) -> bool:
        """Whether it has no fraction."""
        return self.nano % 10**9 == 0

    def rounded_up(self, scale: int) -> Quantity:
        """Rounded away from zero to a multiple of 10**scale (MILLI, say); itself, text and all, where it is one already."""
        unit = int(10 ** (scale - NANO))
        if self.nano % unit == 0:
            return self
        return Quantity(_away_from_zero(self.nano, unit) * unit, self.format)


def from_value(value: int, format: Format = Format.DECIMAL_SI) -> Quantity:
    """Whole units as a quantity."""
    return Quantity(value * 10**9, format)


def from_milli(value: int, format: Format = Format.DECIMAL_SI) -> Quantity:
    """Thousandths as a quantity."""
    return Quantity(value * 10**6, format)


ZERO = Quantity(0, Format.DECIMAL_SI, "0")


def parse(value: str | int | float | None) -> Quantity:
    """The quantity of a JSON string or number (null is zero). Raises QuantityError, also for what is of another type."""
    if type(value) is str:
        return _parse_text(value)
    if value is None:
        return ZERO
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(FORMAT_WRONG)
    if isinstance(value, int) and abs(value) >= 10**_DIGITS_MAX:
        raise QuantityError(NUMERIC_WRONG)
    return _parse_text(str(value))


def canonical(value: str | int | float | None) -> str:
    """The text that upstream stores for a JSON value. Raises QuantityError."""
    return str(parse(value))


def total(quantities: Iterable[Quantity]) -> Quantity:
    """The sum, in the format of the first that is not zero."""
    out = ZERO
    for each in quantities:
        out = out + each
    return out


# --- reading ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32768)
def _parse_text(text: str) -> Quantity:
    text = text.strip()
    found = _SPLIT.fullmatch(text) if text else None
    if found is None:
        raise QuantityError(FORMAT_WRONG)
    sign, num, denom, suffix = found.group(1), found.group(2) or "0", found.group(3) or "", found.group(4)
    format, exponent = _interpret(suffix)
    if len(num) + len(denom) > _DIGITS_MAX:
        raise QuantityError(NUMERIC_WRONG)
    short = _parse_short(text, sign, num, denom, format, exponent)
    return short if short is not None else _parse_long(text[: found.start(4)], sign, num, denom, format, exponent)


def _interpret(suffix: str) -> tuple[Format, int]:
    """The format of a suffix and its exponent (of ten, or of two for BinarySI)."""
    if suffix in _DECIMAL:
        return Format.DECIMAL_SI, _DECIMAL[suffix]
    if suffix in _BINARY:
        return Format.BINARY_SI, _BINARY[suffix]
    found = _EXPONENT.fullmatch(suffix)
    if found is None or len(suffix) > 30 or not -(2**63) <= int(found[1]) < 2**63:
        raise QuantityError(SUFFIX_WRONG)
    return Format.DECIMAL_EXPONENT, (int(found[1]) + 2**31) % 2**32 - 2**31  # upstream keeps 32 bits


def _parse_short(text: str, sign: str, num: str, denom: str, format: Format, exponent: int) -> Quantity | None:
    """Upstream's fast path, for numbers that surely fit 64 bits. It keeps the given text where it looks canonical."""
    scale, mantissa = exponent, 1
    precision = 18 - len(num) - len(denom)
    if format is Format.BINARY_SI:
        scale, mantissa = 0, 1 << exponent
        precision = -1 if denom else 15 - len(num) - exponent * 3 // 10 - 1
    scale -= len(denom)
    if precision < 0 or scale < NANO:
        return None
    digits = num + denom
    value = int(digits)
    if value * mantissa > _INT64_MAX:
        return None
    keep = value & 7 != 0 if format is Format.BINARY_SI else scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"
    amount = -value * mantissa if sign == "-" else value * mantissa
    return Quantity(_to_nano(amount, scale), format, text if keep else _canonical(amount, scale, format))


def _parse_long(value: str, sign: str, num: str, denom: str, format: Format, exponent: int) -> Quantity:
    """Upstream's slow path: any number of digits; what is smaller than a nano becomes one."""
    if not any(each.isdigit() for each in value):
        raise QuantityError(NUMERIC_WRONG)
    amount, scale = int(num + denom), -len(denom)
    if format is Format.BINARY_SI:
        amount <<= exponent
    else:
        scale += exponent
    if amount and scale < NANO:
        drop = NANO - scale
        amount, scale = (1 if drop > len(num) + len(denom) + 20 else _away_from_zero(amount, 10**drop)), NANO
    if format is Format.BINARY_SI:
        if amount > _INT64_MAX * 10**-scale:
            amount, scale = _INT64_MAX, 0
        if 0 < amount < 10**-scale:
            format = Format.DECIMAL_SI
    if sign == "-":
        amount = -amount
    return Quantity(_to_nano(amount, scale), format, _canonical(amount, scale, format))


def _to_nano(amount: int, scale: int) -> int:
    shift = min(scale, _EXPONENT_MAX) - NANO
    return int(amount * 10**shift) if shift >= 0 else 0


# --- writing ----------------------------------------------------------------------------------------------------------


def _canonical(amount: int, scale: int, format: Format) -> str:
    """The text of amount * 10**scale: no fraction, the largest suffix that loses nothing."""
    if amount == 0:
        return "0"
    if format is Format.BINARY_SI:
        whole = _binary_whole(amount, scale)
        if whole is not None:
            return _with_factor(whole, 1024, _BINARY_SUFFIX)
        format = Format.DECIMAL_SI
    amount, times = _without_factors(amount, 10)
    exponent = scale + times
    amount, exponent = amount * 10 ** (exponent % 3), exponent - exponent % 3
    if format is Format.DECIMAL_EXPONENT:
        return f"{amount}e{exponent}" if exponent else str(amount)
    return f"{amount}{_DECIMAL_SUFFIX.get(exponent, '')}"


def _binary_whole(amount: int, scale: int) -> int | None:
    """The whole number to write with a binary suffix; None where decimal is due (a fraction, or less than 1024)."""
    if scale < 0:
        amount, rest = divmod(amount, 10**-scale)
        if rest:
            return None
    else:
        amount *= 10 ** min(scale, _EXPONENT_MAX)
    return amount if abs(amount) >= 1024 else None


def _with_factor(amount: int, factor: int, suffixes: dict[int, str]) -> str:
    amount, times = _without_factors(amount, factor)
    return f"{amount}{suffixes.get(times, '')}"


def _without_factors(amount: int, factor: int) -> tuple[int, int]:
    """(rest, times) so that amount == rest * factor**times, with times as large as can be."""
    times = 0
    while True:
        rest, remainder = divmod(amount, factor)
        if remainder:
            return amount, times
        amount, times = rest, times + 1


def _away_from_zero(amount: int, unit: int) -> int:
    return -(-amount // unit) if amount > 0 else amount // unit
