"""Times and durations as Go reads and writes them, down to its error messages.

Source: Go's `time` package and apimachinery's `meta/v1` Time, MicroTime and Duration. Not here: what time it is (`kube.clock`).
"""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

RFC3339 = "2006-01-02T15:04:05Z07:00"
RFC3339_MICRO = "2006-01-02T15:04:05.000000Z07:00"

_ELEMENTS = (
    ("2006", re.compile(r"\d{4}", re.ASCII)),
    ("-", re.compile("-")),
    ("01", re.compile(r"\d{2}", re.ASCII)),
    ("-", re.compile("-")),
    ("02", re.compile(r"\d{2}", re.ASCII)),
    ("T", re.compile("T")),
    ("15", re.compile(r"\d{2}", re.ASCII)),
    (":", re.compile(":")),
    ("04", re.compile(r"\d{2}", re.ASCII)),
    (":", re.compile(":")),
    ("05", re.compile(r"\d{2}", re.ASCII)),
)
_FRACTION = re.compile(r"[.,](\d+)", re.ASCII)
_MICROS = re.compile(r"[.,](\d{6})", re.ASCII)
_ZONE = re.compile(r"Z|([+-])(\d{2}):(\d{2})", re.ASCII)

_UNITS_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]*)", re.ASCII)
_INT64_MAX = 2**63 - 1


class GoTimeError(ValueError):
    """Not a time or a duration; the text is Go's."""


def parse_time(text: str, layout: str = RFC3339) -> datetime:
    """Go's time.Parse for the two layouts of the API; in UTC, cut to microseconds. Years are those Python knows (1 to 9999)."""
    position = 0
    numbers: list[int] = []
    for element, pattern in _ELEMENTS:
        found = pattern.match(text, position)
        if found is None:
            raise _unparsed(text, layout, position, element)
        if element not in "-T:":
            numbers.append(int(found[0]))
            _check_range(text, element, numbers)
        position = found.end()
    micros = 0
    fraction = (_MICROS if layout == RFC3339_MICRO else _FRACTION).match(text, position)
    if fraction is not None:
        micros = int(fraction[1][:6].ljust(6, "0"))
        position = fraction.end()
    elif layout == RFC3339_MICRO:
        raise _unparsed(text, layout, position, ".000000")
    return _in_utc(text, layout, position, numbers, micros)


def _in_utc(text: str, layout: str, position: int, numbers: list[int], micros: int) -> datetime:
    zone = _ZONE.match(text, position)
    if zone is None:
        raise _unparsed(text, layout, position, "Z07:00")
    if zone.end() != len(text):
        raise GoTimeError(f"parsing time {_quoted(text)}: extra text: {_quoted(text[zone.end() :])}")
    offset = timedelta()
    if zone[1]:
        hours, minutes = int(zone[2]), int(zone[3])
        if hours > 24 or minutes > 60:
            raise GoTimeError(f"parsing time {_quoted(text)}: time zone offset {'hour' if hours > 24 else 'minute'} out of range")
        offset = timedelta(hours=hours, minutes=minutes) * (1 if zone[1] == "+" else -1)
    year, month, day = numbers[:3]
    if day < 1 or day > calendar.monthrange(max(year, 1), month)[1]:
        raise GoTimeError(f"parsing time {_quoted(text)}: day out of range")
    try:
        return datetime(*numbers, micros, tzinfo=UTC) - offset  # type: ignore[arg-type, misc]
    except (ValueError, OverflowError):
        raise GoTimeError(f"parsing time {_quoted(text)}: year out of range") from None


def _check_range(text: str, element: str, numbers: list[int]) -> None:
    value = numbers[-1]
    name, wrong = {
        "01": ("month", not 1 <= value <= 12),
        "15": ("hour", value >= 24),
        "04": ("minute", value >= 60),
        "05": ("second", value >= 60),
    }.get(element, ("", False))
    if wrong:
        raise GoTimeError(f"parsing time {_quoted(text)}: {name} out of range")


def _unparsed(text: str, layout: str, position: int, element: str) -> GoTimeError:
    return GoTimeError(f'parsing time {_quoted(text)} as "{layout}": cannot parse {_quoted(text[position:])} as "{element}"')


def _quoted(text: str) -> str:
    """Go's time package quotes bytewise: what is not printable ASCII is written as \\x.. of its UTF-8."""
    out = []
    for each in text:
        if each in '"\\':
            out.append("\\" + each)
        elif " " <= each < "\x7f":
            out.append(each)
        else:
            out.extend(f"\\x{byte:02x}" for byte in each.encode("utf-8", "replace"))
    return '"' + "".join(out) + '"'


def format_time(when: datetime) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def format_micro_time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def parse_duration(text: str) -> int:
    """Go's time.ParseDuration: `1h15m30.5s`, in nanoseconds. Raises GoTimeError."""
    quoted = _quoted(text)
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0
    if not rest:
        raise GoTimeError(f"time: invalid duration {quoted}")
    total, position = 0, 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or not (part[1] or part[2]):
            raise GoTimeError(f"time: invalid duration {quoted}")
        if not part[3]:
            raise GoTimeError(f"time: missing unit in duration {quoted}")
        unit = _UNITS_NS.get(part[3])
        if unit is None:
            raise GoTimeError(f"time: unknown unit {_quoted(part[3])} in duration {quoted}")
        fraction = (part[2] or "")[:18]
        total += int((part[1] or "0")[:40]) * unit + (int(fraction or 0) * unit // 10 ** len(fraction))
        if total > _INT64_MAX + (sign < 0):
            raise GoTimeError(f"time: invalid duration {quoted}")
        position = part.end()
    return sign * total


def format_duration(nanos: int) -> str:
    """Go's Duration.String: `1h0m0.5s`, `1.5ms`, `0s`."""
    if nanos == 0:
        return "0s"
    sign, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    if rest < 10**9:
        unit, size = ("ns", 1) if rest < 1_000 else ("µs", 1_000) if rest < 10**6 else ("ms", 10**6)
        return f"{sign}{_decimal(rest, size)}{unit}"
    minutes, seconds = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    out = f"{_decimal(seconds, 10**9)}s"
    if hours or minutes:
        out = f"{minutes}m{out}"
    if hours:
        out = f"{hours}h{out}"
    return sign + out


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)
