"""Durations, moments and patterns as text; literals of them are looked at when an expression is compiled.

Source: cel-go `cel/validator.go`, `common/types/{duration,timestamp}.go`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kube.cel.syntax import CelError
from kube.cel.values import Duration, Timestamp
from kube.go_regexp import regexp_problem
from kube.regexps import Pattern, compiled
from kube.schema.gotime import GoTimeError
from kube.schema.gotime import parse_duration as go_duration

_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9})[0-9]*)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_SECOND: Final = 1_000_000_000
_DURATION_MAX: Final = 315_576_000_000 * _SECOND


def parse_duration(text: str) -> Duration:
    """Raises CelError."""
    try:
        nanos = go_duration(text)
    except GoTimeError as error:
        raise CelError(str(error)) from None
    if abs(nanos) > _DURATION_MAX:
        raise CelError("range")
    return Duration(nanos)


@functools.lru_cache(maxsize=1024)
def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339. Raises CelError."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"')
    *parts, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
    except ValueError:
        raise CelError(f'parsing time "{text}": out of range') from None
    offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    made = Timestamp((since.days * 86400 + since.seconds - offset) * _SECOND + int((fraction or "").ljust(9, "0")))
    if offset:
        made.zone = offset // 60
    return made


@functools.lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """Raises CelError."""
    found, problem = compiled(text), regexp_problem(text)
    if problem or found is None:
        raise CelError(problem or f"error parsing regexp: `{text}`")
    return found


def is_one(parse: Callable[[Any], object]) -> Callable[[Any], bool]:
    """Whether a text is what `parse` takes."""

    def check(text: Any) -> bool:
        try:
            parse(text)
        except CelError:
            return False
        return True

    return check


SECONDS: Final = range(-62_135_596_800, 253_402_300_800)
"""What a timestamp can be, since 1970: the years 1 to 9999."""

LITERALS: Final[Mapping[str, Callable[[str], bool]]] = {
    "duration": is_one(parse_duration),
    "timestamp": is_one(parse_timestamp),
    "matches": is_one(pattern),
}
