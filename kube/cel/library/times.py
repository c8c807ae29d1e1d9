"""Parts of moments and of lengths of time. Source: cel-go `common/types/{timestamp,duration}.go`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kube.cel.syntax import CelError
from kube.cel.values import Duration, Timestamp, no_overload

_OFFSET: Final = re.compile(r"([+-]?)([0-9]{2}):([0-9]{2})")
_MILLI: Final = 1_000_000


def _at(moment: Timestamp, zone: str) -> datetime:
    if not zone or zone == "UTC":
        return moment.moment()
    found = _OFFSET.fullmatch(zone)
    if found is not None:
        minutes = int(found[2]) * 60 + int(found[3])
        return moment.moment().astimezone(timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes)))
    try:
        return moment.moment().astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        raise CelError(f"unknown time zone {zone}") from None


def _part(read: Callable[[datetime], int], of_duration: Callable[[int], int] | None = None) -> Callable[..., int]:
    def get(value: Any, zone: str = "") -> int:
        if isinstance(value, Duration) and of_duration is not None:
            return of_duration(int(value))
        if not isinstance(value, Timestamp):
            raise no_overload()
        return read(_at(value, zone))

    return get


def _whole(unit: int) -> Callable[[int], int]:
    return lambda nanos: abs(nanos) // unit * (-1 if nanos < 0 else 1)


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "getFullYear": _part(lambda at: at.year),
    "getMonth": _part(lambda at: at.month - 1),
    "getDate": _part(lambda at: at.day),
    "getDayOfMonth": _part(lambda at: at.day - 1),
    "getDayOfWeek": _part(lambda at: at.isoweekday() % 7),
    "getDayOfYear": _part(lambda at: at.timetuple().tm_yday - 1),
    "getHours": _part(lambda at: at.hour, _whole(3600 * 1000 * _MILLI)),
    "getMinutes": _part(lambda at: at.minute, _whole(60 * 1000 * _MILLI)),
    "getSeconds": _part(lambda at: at.second, _whole(1000 * _MILLI)),
    "getMilliseconds": _part(lambda at: at.microsecond // 1000, _whole(_MILLI)),
}
