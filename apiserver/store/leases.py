"""Leases in memory: which keys hang on which lease, and a timer each. The backend persists them and deletes the keys.

Times are wall time, so that a lease that ran out while the store was closed has run out when it is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apiserver.store.base import StoreError
from kube.clock import Clock

_TIMER_MIN_S = 0.001


class Leases:
    """`expire(lease)` is called on the loop when a lease's time is up; the lease stays known until `drop`."""

    def __init__(self, clock: Clock, expire: Callable[[int], None]) -> None:
        self._clock, self._expire = clock, expire
        self._keys: dict[int, set[str]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._ended: set[int] = set()
        self._last = 0

    def next_id(self) -> int:
        self._last += 1
        return self._last

    def expiry(self, ttl_s: int) -> float:
        """When a lease granted now for `ttl_s` seconds ends, as seconds since 1970. Raises ValueError."""
        if ttl_s <= 0:
            raise ValueError(f"a lease lasts at least one second, not {ttl_s}")
        return self._clock.now().timestamp() + ttl_s

    def add(self, lease: int, expires_at: float) -> None:
        """Know `lease` from now on and start its timer."""
        self._last = max(self._last, lease)
        self._keys[lease] = set()
        self._arm(lease, expires_at)

    def check(self, lease: int) -> None:
        """Raises StoreError for a lease that is not (or no longer) there; 0 means none and is fine."""
        if lease and (lease not in self._keys or lease in self._ended):
            raise StoreError(f"there is no lease {lease} (it was never granted, or its time is up)")

    def move(self, key: str, old: int, new: int) -> None:
        """`key` hung on `old` and now hangs on `new` (0: none)."""
        if old == new:
            return
        if old in self._keys:
            self._keys[old].discard(key)
        if new in self._keys:
            self._keys[new].add(key)

    def keys(self, lease: int) -> list[str]:
        """Its keys in order, so that expiry is the same from run to run."""
        return sorted(self._keys.get(lease, ()))

    def retry(self, lease: int, delay_s: float) -> None:
        """Call `expire` again later: the deletes could not be written."""
        self._arm(lease, self._clock.now().timestamp() + delay_s)

    def end(self, lease: int) -> None:
        """Its time is up: from now on no key may be put on it, while those that are there are being deleted."""
        self._ended.add(lease)

    def drop(self, lease: int) -> None:
        """Its keys are gone: forget it."""
        self._keys.pop(lease, None)
        self._ended.discard(lease)
        timer = self._timers.pop(lease, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _arm(self, lease: int, expires_at: float) -> None:
        delay_s = max(expires_at - self._clock.now().timestamp(), _TIMER_MIN_S)
        self._timers[lease] = asyncio.get_running_loop().call_later(delay_s, self._due, lease, expires_at)

    def _due(self, lease: int, expires_at: float) -> None:
        if self._clock.now().timestamp() < expires_at:  # the wall clock was set back, or rounding
            self._arm(lease, expires_at)
            return
        self._timers.pop(lease, None)
        self._expire(lease)
