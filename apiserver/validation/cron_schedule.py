"""Whether a text is a cron schedule, and what is wrong with it in the words of upstream's parser (github.com/robfig/cron v3, standard).

Five fields of lists of ranges with steps (`*/5 9-17 * * MON-FRI`), words (`@hourly`) and intervals (`@every 1h30m`). When a schedule is
due is the CronJob controller's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kube.errors import quoted

_INT64_MAX = 2**63 - 1
_WORDS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})


class CronError(ValueError):
    """Not a schedule; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class _Field:
    low: int
    high: int
    names: tuple[str, ...] = ()  # the first stands for `low`


_FIELDS = (
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31),
    _Field(1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field(0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def check_schedule(text: str) -> None:
    """Raises CronError."""
    if not text:
        raise CronError("empty spec string")
    if text.startswith("@"):
        _check_word(text)
        return
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronError(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    for part, field in zip(parts, _FIELDS, strict=True):
        for span in filter(None, part.split(",")):
            _check_range(span, field)


def _check_word(text: str) -> None:
    if text.startswith("@every "):
        try:
            check_duration(text.removeprefix("@every "))
        except CronError as problem:
            raise CronError(f"failed to parse duration {text}: {problem}") from None
    elif text not in _WORDS:
        raise CronError(f"unrecognized descriptor: {text}")


def _check_range(text: str, field: _Field) -> None:
    span, *steps = text.split("/")
    ends = span.split("-")
    if ends[0] in ("*", "?"):
        low, high = field.low, field.high
    elif len(ends) > 2:
        raise CronError(f"too many hyphens: {text}")
    else:
        low = _value(ends[0], field)
        high = _value(ends[1], field) if len(ends) == 2 else low
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    step = 1
    if steps:
        step = _number(steps[0])
        high = field.high if len(ends) == 1 else high
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
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise CronError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if len(text) > 20 or abs(int(text)) > _INT64_MAX:
        raise CronError(f"failed to parse int from {text}: strconv.Atoi: parsing {quoted(text)}: value out of range")
    if int(text) < 0:
        raise CronError(f"negative number ({text}) not allowed: {text}")
    return int(text)


# --- durations --------------------------------------------------------------------------------------------------------

_UNITS = frozenset({"ns", "us", "µs", "μs", "ms", "s", "m", "h"})
_duration_part_re = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")


def check_duration(text: str) -> None:
    """Whether Go's time.ParseDuration reads it (`1h30m`, `500ms`). Raises CronError with Go's words."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if not rest:
        raise CronError(f"time: invalid duration {quoted(text)}")
    while rest and text.lstrip("+-") != "0":
        part = _duration_part_re.match(rest)
        assert part is not None
        whole, fraction, unit = part.group(1), part.group(2) or "", part.group(3)
        if (not whole and fraction in ("", ".")) or len(whole) > 18:
            raise CronError(f"time: invalid duration {quoted(text)}")
        if not unit:
            raise CronError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS:
            raise CronError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        rest = rest[part.end() :]
