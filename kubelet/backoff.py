"""Waiting longer after each failure: the back-off of restarted containers and of image pulls. Pure, on seconds.

As client-go `util/flowcontrol/backoff.go`: 10 s, doubling to 5 minutes, forgotten when the last failure is over 10 minutes (twice the
maximum) ago. Upstream's first restart is immediate; the back-off counts from the second one.
"""

from __future__ import annotations

from dataclasses import dataclass

INITIAL_S = 10.0
MAX_S = 300.0


@dataclass(frozen=True, slots=True)
class BackOff:
    """`updated_s`: when it was last lengthened, on the same clock as every other number here."""

    delay_s: float
    updated_s: float


def following(entry: BackOff | None, *, event_s: float, now_s: float) -> BackOff:
    """The back-off after one more failure at `event_s`."""
    if entry is None or has_expired(entry, event_s):
        return BackOff(INITIAL_S, now_s)
    return BackOff(min(entry.delay_s * 2, MAX_S), now_s)


def has_expired(entry: BackOff, event_s: float) -> bool:
    return event_s - entry.updated_s > 2 * MAX_S


def waits_until(entry: BackOff | None, *, event_s: float, now_s: float) -> float | None:
    """Until when a thing that failed at `event_s` has to wait, or None when it may go on at once."""
    if entry is None or has_expired(entry, event_s):
        return None
    until_s = event_s + entry.delay_s
    return until_s if now_s < until_s else None


def go_duration(seconds: float) -> str:
    """`1m20s`, `796ms`, `1.594s`: how Go prints a duration of whole milliseconds."""
    millis = round(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
