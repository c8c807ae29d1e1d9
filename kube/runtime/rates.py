"""How fast something may be done: token buckets and exponential back-off. Pure: time is an argument."""

from __future__ import annotations


class TokenBucket:
    """Lets `burst` through at once and `qps` a second in the long run (golang.org/x/time/rate)."""

    __slots__ = ("_at", "_burst", "_qps", "_tokens")

    def __init__(self, *, qps: float, burst: int) -> None:
        self._qps, self._burst = qps, burst
        self._tokens = float(burst)
        self._at: float | None = None

    def _refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._qps)
        self._at = now if self._at is None else max(self._at, now)

    def reserve(self, now: float) -> float:
        """Take a token, of the future if need be: how many seconds to wait for it."""
        self._refill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._qps)

    def take(self, now: float) -> bool:
        """Take a token where there is one; whether there was."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def backoff_s(failures: int, *, base_s: float, max_s: float) -> float:
    """base_s, doubled for every failure before this one, up to max_s."""
    return max_s if failures > 60 else min(base_s * 2**failures, max_s)
