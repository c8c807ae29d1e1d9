"""Time as an argument. Nothing in Wherry reads the machine's clock but through a `Clock`.

`Clock` is wall time (for timestamps) and monotonic time (for intervals). Sleeping is `asyncio.sleep`, time-outs are
`asyncio.timeout`: on a `VirtualTimeLoop` (see `kube/virtual.py`) those run on virtual time, and `LoopClock` follows the loop.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time."""

    def now(self) -> datetime:
        """The wall time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class LoopClock:
    """Follows the running event loop's time, so that it is virtual where the loop is. Starts at `start`."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._zero = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=asyncio.get_running_loop().time() - self._zero)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class SteadyClock:
    """Wall time as it was when this was made, and monotonic since: for telling how long ago something was, whoever sets the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._start, self._zero = clock, clock.now(), clock.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic() - self._zero)

    def monotonic(self) -> float:
        return self._clock.monotonic()


def rfc3339(moment: datetime) -> str:
    """`2026-01-01T00:00:00Z`: the form of metav1.Time (whole seconds, UTC)."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return at.isoformat(timespec="seconds")[:19] + "Z"  # a tenth of what strftime costs, on the path of every write


def rfc3339_micro(moment: datetime) -> str:
    """`2026-01-01T00:00:00.000000Z`: the form of metav1.MicroTime."""
    at = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str | None) -> datetime | None:
    """A metav1.Time or MicroTime as an aware datetime; None for None or an empty string. Raises ValueError."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
