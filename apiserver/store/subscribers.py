"""Who is told of which events: the live subscriptions of a backend, and the routing of an event to those of its prefix.

Backends read the past themselves (from their log) and hand it to a subscription's `tell`; from then on `publish` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from apiserver.store.base import Deliver, Event, StoreError

_ROUTES_MAX = 4096


class Subscriber:
    """A running delivery (see `base.Subscription`). `told` is the revision up to which nothing is missing."""

    __slots__ = ("_all", "_deliver", "cancelled", "failed", "prefix", "ready", "told")

    def __init__(self, everyone: Subscribers, prefix: str, after: int, deliver: Deliver) -> None:
        self._all, self._deliver = everyone, deliver
        self.prefix, self.told = prefix, after
        self.failed: StoreError | None = None
        self.cancelled = False
        self.ready: asyncio.Future[None] | None = None
        """While the past is still being read from disk: done when it has been told, or never will be."""

    @property
    def ended(self) -> bool:
        return self.cancelled or self.failed is not None

    def cancel(self) -> None:
        self.cancelled = True
        self._all.remove(self)

    def fail(self, reason: StoreError) -> None:
        """End it from the store's side."""
        if not self.ended:
            self.failed = reason
        self._all.remove(self)

    def tell(self, events: Sequence[Event]) -> None:
        """Deliver those of `events` that are of the prefix and new; `events` is in revision order and leaves nothing out after `told`."""
        told = self.told
        fresh = [event for event in events if event.kv.mod_revision > told and event.kv.key.startswith(self.prefix)]
        if events:
            self.told = max(told, events[-1].kv.mod_revision)
        if fresh and not self.ended:
            self._hand_over(fresh)

    def _hand_over(self, events: list[Event]) -> None:
        try:
            self._deliver(events)
        except Exception as error:  # the protocol forbids it; one bad subscriber must not lose the others' events
            asyncio.get_running_loop().call_exception_handler({"message": f"a subscriber of {self.prefix!r} raised", "exception": error})


class Subscribers:
    """All subscriptions of one store. Used on the event loop's thread only."""

    def __init__(self) -> None:
        self._all: list[Subscriber] = []
        self._routes: dict[str, tuple[Subscriber, ...]] = {}

    def new(self, prefix: str, after: int, deliver: Deliver) -> Subscriber:
        """A subscription that is not told anything yet: `join` makes it live."""
        return Subscriber(self, prefix, after, deliver)

    def join(self, subscriber: Subscriber) -> None:
        self._all.append(subscriber)
        self._routes.clear()

    def remove(self, subscriber: Subscriber) -> None:
        if subscriber.ready is not None and not subscriber.ready.done():
            subscriber.ready.set_result(None)
        if subscriber in self._all:
            self._all.remove(subscriber)
            self._routes.clear()

    def fail_all(self, reason: StoreError) -> None:
        for subscriber in list(self._all):
            subscriber.fail(reason)

    def concerned(self, key: str) -> tuple[Subscriber, ...]:
        """The subscriptions whose prefix may match `key`: all those that agree with its folder."""
        folder = key[: key.rfind("/") + 1]
        found = self._routes.get(folder)
        if found is None:
            if len(self._routes) >= _ROUTES_MAX:
                self._routes.clear()
            found = tuple(one for one in self._all if folder.startswith(one.prefix) or one.prefix.startswith(folder))
            self._routes[folder] = found
        return found

    def publish(self, events: Sequence[Event]) -> None:
        """Tell everyone concerned who is not still reading the past. `events` are the next ones, in revision order."""
        grouped: dict[Subscriber, list[Event]] = {}
        for event in events:
            for subscriber in self.concerned(event.kv.key):
                if subscriber.ready is None:
                    grouped.setdefault(subscriber, []).append(event)
        for subscriber, own in grouped.items():
            subscriber.tell(own)
