"""Cron schedules as CronJobs write them: `*/5 9-17 * * MON-FRI`, `@hourly`, `@every 1h30m`.

`parse` gives a `Schedule`, which knows when it is due next. Five fields, minutes first; a day matches when either the day of the month or
the weekday does, if both are restricted. Not here: time zones of CronJobs (hand in times of the zone that counts) and who runs what.
Source: the standard parser of github.com/robfig/cron v3, which the messages follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from kube.errors import quoted


class CronError(ValueError):
    """Not a schedule; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class _Field:
    low: int
    high: int
    names: tuple[str, ...] = ()  # the first stands for `low`


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 6, _WEEKDAYS))
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_YEARS_AHEAD = 5
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is due: at the times of five sets, or each `every_s` seconds (0: the sets count). `*_any`: the field was a star."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    day_any: bool = False
    weekday_any: bool = False
    every_s: int = 0

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time after `moment`, in its time zone; None when there is none within five years (31 February)."""
        if self.every_s:
            return moment.replace(microsecond=0) + timedelta(seconds=self.every_s)
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        last_year = moment.year + _YEARS_AHEAD
        while day.year <= last_year:
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if self._day_matches(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = day.replace(hour=hour, minute=minute)
                        if due > moment:
                            return due
            day += timedelta(days=1)
        return None

    def _day_matches(self, day: datetime) -> bool:
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (of_month and of_week) if self.day_any or self.weekday_any else (of_month or of_week)


def parse(text: str) -> Schedule:
    """Raises CronError."""
    if not text:
        raise CronError("empty spec string")
    if text.startswith("@"):
        return _descriptor(text)
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronError(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    sets, stars = zip(*(_parse_field(part, field) for part, field in zip(parts, _FIELDS, strict=True)), strict=True)
    return Schedule(*sets, day_any=stars[2], weekday_any=stars[4])


def _descriptor(text: str) -> Schedule:
    if text in _MACROS:
        return parse(_MACROS[text])
    if text.startswith("@every "):
        try:
            duration_s = parse_duration_s(text.removeprefix("@every "))
        except CronError as problem:
            raise CronError(f"failed to parse duration {text}: {problem}") from None
        return Schedule(every_s=max(int(duration_s), 1))
    raise CronError(f"unrecognized descriptor: {text}")


def _parse_field(text: str, field: _Field) -> tuple[frozenset[int], bool]:
    values: set[int] = set()
    star = False
    for part in filter(None, text.split(",")):
        found, is_star = _parse_range(part, field)
        values |= found
        star |= is_star
    return frozenset(values), star


def _parse_range(text: str, field: _Field) -> tuple[set[int], bool]:
    span, *steps = text.split("/")
    ends = span.split("-")
    star = ends[0] in ("*", "?")
    if star:
        low, high = field.low, field.high
    elif len(ends) > 2:
        raise CronError(f"too many hyphens: {text}")
    else:
        low = _value(ends[0], field)
        high = _value(ends[1], field) if len(ends) == 2 else low
    step = 1
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    if steps:
        step = _number(steps[0])
        high = field.high if len(ends) == 1 else high
        star = star and step <= 1
    _check_range(text, low, high, step, field)
    return set(range(low, high + 1, step)), star


def _check_range(text: str, low: int, high: int, step: int, field: _Field) -> None:
    if low < field.low:
        raise CronError(f"beginning of range ({low}) below minimum ({field.low}): {text}")
    if high > field.high:
        raise CronError(f"end of range ({high}) above maximum ({field.high}): {text}")
    if low > high:
        raise CronError(f"beginning of range ({low}) beyond end of range ({high}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")


def _value(text: str, field: _Field) -> int:
    name = text.lower()
    return field.names.index(name) + field.low if name in field.names else _number(text)


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise CronError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if len(text) > 20 or abs(int(text)) > _INT64_MAX:
        raise CronError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: value out of range")
    if int(text) < 0:
        raise CronError(f"negative number ({text}) not allowed: {text}")
    return int(text)


# --- durations --------------------------------------------------------------------------------------------------------

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)", re.ASCII)


def parse_duration_s(text: str) -> float:
    """Go's time.ParseDuration (`1h30m`, `500ms`), in seconds. Raises CronError with Go's words."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    if not rest:
        raise CronError(f"time: invalid duration {quoted(text)}")
    total_s = 0.0
    while rest:
        part = _DURATION_PART.match(rest)
        assert part is not None
        whole, fraction, unit = part.group(1), part.group(2) or "", part.group(3)
        if not whole and fraction in ("", "."):
            raise CronError(f"time: invalid duration {quoted(text)}")
        if not unit:
            raise CronError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS_S:
            raise CronError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        total_s += float((whole or "0") + (fraction if fraction != "." else "")) * _UNITS_S[unit]
        rest = rest[part.end() :]
    if total_s * 1e9 > _INT64_MAX:
        raise CronError(f"time: invalid duration {quoted(text)}")
    return -total_s if text.startswith("-") else total_s
