"""Cron expressions: when a schedule is due next. Pure.

Five fields (minute, hour, day of month, month, day of week) with `*`, `?`, lists, ranges, steps and names; `@hourly` and the like;
`@every 1h30m`. A day matches when both day fields match, or, if neither is a star, when either does.
Source: github.com/robfig/cron v3, which upstream uses with its standard parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

YEARS_MAX = 5
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class ScheduleError(ValueError):
    """A schedule or a time zone that cannot be read."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed expression. `every_s` is set for `@every`, which counts from the last time rather than by the clock."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = True
    """Whether one of the two day fields is a star, so that both must match."""
    zone: tzinfo = UTC
    every_s: int = 0

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`; None when there is none within five years (the 30th of February)."""
        if self.every_s:
            return (moment + timedelta(seconds=self.every_s)).replace(microsecond=0)
        local = moment.astimezone(self.zone).replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=1)
        limit = local.year + YEARS_MAX
        while local.year <= limit:
            local, is_due = self._step(local)
            if is_due:
                due = local.replace(tzinfo=self.zone)
                if due.astimezone(UTC) > moment and _exists(due):
                    return due.astimezone(UTC)
                local += timedelta(minutes=1)
        return None

    def _step(self, local: datetime) -> tuple[datetime, bool]:
        """The time itself when it matches; otherwise a later one before which nothing matches."""
        if local.month not in self.months:
            return _next_month(local), False
        if not self._is_day(local):
            return local.replace(hour=0, minute=0) + timedelta(days=1), False
        if local.hour not in self.hours:
            return local.replace(minute=0) + timedelta(hours=1), False
        if local.minute not in self.minutes:
            return local + timedelta(minutes=1), False
        return local, True

    def _is_day(self, local: datetime) -> bool:
        by_month, by_week = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (by_month and by_week) if self.any_day else (by_month or by_week)


def _next_month(local: datetime) -> datetime:
    first = local.replace(day=1, hour=0, minute=0)
    return (first + timedelta(days=32)).replace(day=1)


def _exists(moment: datetime) -> bool:
    """Whether that time is on the clock at all: when summer time begins, an hour is not."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) == moment.replace(tzinfo=None)


def zone_of(name: str) -> tzinfo:
    """The time zone of that name. Raises ScheduleError."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # brings how Python was built, half a megabyte

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError(f"unknown time zone {name}") from error


def parse(text: str, zone: tzinfo = UTC) -> Schedule:
    """The schedule that `text` describes. `TZ=` or `CRON_TZ=` in front outranks `zone`. Raises ScheduleError."""
    if text.startswith(("TZ=", "CRON_TZ=")):
        head, _, text = text.partition(" ")
        zone = zone_of(head.partition("=")[2])
    text = text.strip()
    if text.startswith("@every "):
        return Schedule(every_s=max(1, int(_duration_s(text.removeprefix("@every ")))), zone=zone)
    fields = _WORDS.get(text, text).split()
    if text.startswith("@") and text not in _WORDS:
        raise ScheduleError(f"unrecognized descriptor: {text}")
    if len(fields) != 5:
        raise ScheduleError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minutes, hours, days, months, weekdays = fields
    return Schedule(
        minutes=_field(minutes, 0, 59),
        hours=_field(hours, 0, 23),
        days=_field(days, 1, 31),
        months=_field(months, 1, 12, _MONTHS),
        weekdays=_field(weekdays, 0, 6, _DAYS),
        any_day=_is_star(days) or _is_star(weekdays),
        zone=zone,
    )


def _is_star(text: str) -> bool:
    """Whether the field says "any"; with a step (`*/2`) it does not."""
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def _field(text: str, low: int, high: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    return frozenset(number for part in text.split(",") for number in _range(part, low, high, names or {}))


def _range(text: str, low: int, high: int, names: Mapping[str, int]) -> range:
    span, slash, step_text = text.partition("/")
    first_text, dash, last_text = span.partition("-")
    step = _number(step_text, {}) if slash else 1
    if first_text in ("*", "?") and not dash:
        first, last = low, high
    else:
        first = _number(first_text, names)
        last = _number(last_text, names) if dash else high if slash else first
    if first < low:
        raise ScheduleError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise ScheduleError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise ScheduleError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {text}")
    return range(first, last + 1, step)


def _number(text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdecimal()):
        raise ScheduleError(f"failed to parse int from {text}")
    return int(text)


def _duration_s(text: str) -> float:
    """A Go duration: 1h30m."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScheduleError(f"failed to parse duration @every {text}")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
