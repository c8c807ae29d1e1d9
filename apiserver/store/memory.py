"""The store in memory, for tests: a plain log and the versions of each key. No threads, no tasks; nothing survives `close`.

Writes never suspend: when `create` returns, `deliver` has run, and no other task has run in between. Read `base.py` first.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from apiserver.store.base import (
    Compacted,
    Deliver,
    Event,
    FutureRevision,
    KeyExists,
    KeyValue,
    Page,
    RevisionMismatch,
    StoreUnavailable,
    Subscription,
)
from apiserver.store.keyspace import SortedKeys
from apiserver.store.leases import Leases
from apiserver.store.subscribers import Subscribers
from kube.clock import Clock


class MemoryStore:
    """See the module and `base.Store`. Make it on the running event loop (lease timers live there)."""

    def __init__(self, clock: Clock) -> None:
        self._revision = 1
        self._compacted = 0
        self._current: dict[str, KeyValue] = {}
        self._keys = SortedKeys()
        self._log: list[Event] = []
        """Every write after the compacted revision, in revision order."""
        self._versions: dict[str, list[Event]] = {}
        self._subscribers = Subscribers()
        self._leases = Leases(clock, self._expire)
        self._closed = False

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        self._check_readable(revision)
        return self._at(key, revision) if revision else self._current.get(key)

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        self._check_readable(revision)
        if not revision or revision == self._revision:
            keys, remaining = self._keys.page(prefix, start, limit)
            return Page([self._current[key] for key in keys], self._revision, remaining)
        there = {key: kv for key in self._versions if (kv := self._at(key, revision)) is not None}
        keys, remaining = SortedKeys(there).page(prefix, start, limit)
        return Page([there[key] for key in keys], revision, remaining)

    async def count(self, prefix: str) -> int:
        self._check_open()
        return self._keys.count(prefix)

    async def create(self, key: str, value: bytes, *, lease: int = 0, hint: Any = None) -> int:
        self._check_open()
        if key in self._current:
            raise KeyExists(key)
        self._leases.check(lease)
        return self._put(key, value, lease, hint)

    async def update(
        self, key: str, value: bytes, *, expected: int, lease: int = 0, hint: Any = None, previous: bytes | None = None
    ) -> int:
        self._check_expected(key, expected)
        self._leases.check(lease)
        return self._put(key, value, lease, hint)

    async def delete(self, key: str, *, expected: int) -> int:
        self._check_expected(key, expected)
        return self._remove(key)

    async def revision(self) -> int:
        return self.newest

    @property
    def newest(self) -> int:
        self._check_open()
        return self._revision

    def subscribe(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        self._check_open()
        if after < self._compacted:
            raise Compacted(self._compacted)
        subscriber = self._subscribers.new(prefix, after, deliver)
        first = bisect_right(self._log, after, key=lambda event: event.kv.mod_revision)
        self._subscribers.join(subscriber)
        subscriber.tell(self._log[first:])
        return subscriber

    async def compact(self, revision: int) -> None:
        self._check_open()
        if revision <= self._compacted:
            raise Compacted(self._compacted)
        if revision > self._revision:
            raise FutureRevision(self._revision)
        self._compacted = revision
        del self._log[: bisect_right(self._log, revision, key=lambda event: event.kv.mod_revision)]
        self._versions = {key: kept for key, versions in self._versions.items() if (kept := _since(versions, revision))}

    async def grant_lease(self, ttl_s: int) -> int:
        self._check_open()
        lease = self._leases.next_id()
        self._leases.add(lease, self._leases.expiry(ttl_s))
        return lease

    async def close(self) -> None:
        self._closed = True
        self._leases.close()
        self._subscribers.fail_all(StoreUnavailable("the store is closed"))

    def _at(self, key: str, revision: int) -> KeyValue | None:
        versions = self._versions.get(key, [])
        position = bisect_right(versions, revision, key=lambda event: event.kv.mod_revision)
        if position == 0 or versions[position - 1].deleted:
            return None
        return versions[position - 1].kv

    def _put(self, key: str, value: bytes, lease: int, hint: Any) -> int:
        previous = self._current.get(key)
        revision = self._revision = self._revision + 1
        created = previous.create_revision if previous else revision
        if previous is None:
            self._keys.add(key)
        self._leases.move(key, previous.lease if previous else 0, lease)
        kv = self._current[key] = KeyValue(key, value, created, revision, lease)
        told = kv if hint is None else KeyValue(key, value, created, revision, lease, hint)
        self._publish(Event(kv, deleted=False, previous=previous), Event(told, deleted=False, previous=previous))
        return revision

    def _remove(self, key: str) -> int:
        previous = self._current.pop(key)
        self._keys.remove(key)
        self._leases.move(key, previous.lease, 0)
        revision = self._revision = self._revision + 1
        last = KeyValue(key, previous.value, previous.create_revision, revision, previous.lease)
        event = Event(last, deleted=True, previous=previous)
        self._publish(event, event)
        return revision

    def _publish(self, kept: Event, told: Event) -> None:
        """Log one event (without its hint) and tell it (with)."""
        self._log.append(kept)
        self._versions.setdefault(kept.kv.key, []).append(kept)
        self._subscribers.publish((told,))

    def _expire(self, lease: int) -> None:
        for key in self._leases.keys(lease):
            self._remove(key)
        self._leases.drop(lease)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _check_readable(self, revision: int) -> None:
        self._check_open()
        if revision > self._revision:
            raise FutureRevision(self._revision)
        if revision and revision < self._compacted:
            raise Compacted(self._compacted)

    def _check_expected(self, key: str, expected: int) -> None:
        self._check_open()
        current = self._current.get(key)
        if current is None or current.mod_revision != expected:
            raise RevisionMismatch(key, current)


def _since(versions: list[Event], compacted: int) -> list[Event]:
    """What of a key's versions is still needed to answer for `compacted` and later."""
    last = bisect_right(versions, compacted, key=lambda event: event.kv.mod_revision) - 1
    if last >= 0 and versions[last].deleted:
        last += 1
    return versions[max(last, 0) :]
