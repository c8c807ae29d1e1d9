"""What is known for a while: the backend of a client, which backends have just failed. Bounded; the oldest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable
from typing import Final, Generic, TypeVar

from kube.clock import Clock

REMEMBERED_MAX: Final = 10_000
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, each until its time is up."""

    def __init__(self, clock: Clock, *, most: int = REMEMBERED_MAX) -> None:
        self._clock, self._most = clock, most
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def put(self, key: K, value: V, for_s: float) -> None:
        """Know it from now on for so long."""
        self._known[key] = (self._clock.monotonic() + for_s, value)
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def get(self, key: K) -> V | None:
        until, value = self._known.get(key, (0.0, None))
        if value is not None and until > self._clock.monotonic():
            return value
        self._known.pop(key, None)
        return None

    def keys(self) -> Collection[K]:
        """All whose time is not up."""
        now = self._clock.monotonic()
        for key in [key for key, (until, _) in self._known.items() if until <= now]:
            del self._known[key]
        return self._known.keys()
