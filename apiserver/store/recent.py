"""The newest events of a store, in memory, so that a subscription a little in the past costs no disk. Bounded in number and bytes."""

from __future__ import annotations

from collections import deque
from itertools import islice

from apiserver.store.base import Event


class Recent:
    """Every event after `before`, without a gap (each revision is one event). Hints are not kept: hand in events without."""

    def __init__(self, before: int, *, events_max: int, bytes_max: int) -> None:
        self.before = before
        self._events_max, self._bytes_max = events_max, bytes_max
        self._events: deque[Event] = deque()
        self._bytes = 0

    def add(self, event: Event) -> None:
        """The event of the next revision."""
        self._events.append(event)
        self._bytes += _bytes(event)
        while len(self._events) > self._events_max or (self._bytes > self._bytes_max and len(self._events) > 1):
            self._drop_first()

    def after(self, revision: int) -> list[Event]:
        """The events newer than `revision`, which must not be older than `before`."""
        return list(islice(self._events, max(revision - self.before, 0), None))

    def value(self, revision: int) -> bytes | None:
        """What was written at `revision`; None when that is not remembered."""
        position = revision - self.before - 1
        return self._events[position].kv.value if 0 <= position < len(self._events) else None

    def forget(self, revision: int) -> None:
        """Drop what is not newer than `revision`."""
        while self._events and self.before < revision:
            self._drop_first()

    def _drop_first(self) -> None:
        event = self._events.popleft()
        self._bytes -= _bytes(event)
        self.before = event.kv.mod_revision


def _bytes(event: Event) -> int:
    return len(event.kv.value) + (len(event.previous.value) if event.previous else 0)
