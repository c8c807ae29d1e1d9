"""A version's view of the store: what is stored is of the storage version, what comes out is of this one, by today's schema.

Values come out as this version would have written them: of whatever version they were stored in, with fields that its schema does not have
any more pruned and new defaults filled in, as upstream does when it reads from etcd. What this view wrote itself comes back as it is.
What is stored in other bytes than this view would write now is stale: a write that changes nothing writes it anew, which is how objects
get from one storage version to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.kinds.custom.version import Version
from apiserver.registry.encoding import Encoding
from apiserver.store.base import Deliver, Event, KeyValue, Page, Store, Subscription
from kube.errors import TooManyRequests
from kube.objects import Object
from kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Own:
    """What a view attaches to its writes: the value in its own version, and its decoded form."""

    view: StoredView
    value: bytes
    obj: Any


class StoredView:
    """The store as one version of a custom resource sees it. `versions` are all there are, by apiVersion."""

    def __init__(self, store: Store, resource: Resource, storage: Resource, versions: Mapping[str, Version]) -> None:
        self._store = store
        self._versions = versions
        self._own = versions[resource.api_version]
        self._encoding, self._stored = Encoding(resource), Encoding(storage)
        self._as_it_is = resource.version == storage.version
        self._stale: dict[str, int] = {}  # by key: the revision of what is stored in other bytes than it would be now
        self._is_retired = False

    def is_stale(self, key: str, revision: int) -> bool:
        """Whether what this view has read at that revision is stored in other bytes than it would write."""
        return self._stale.get(key) == revision

    def retire(self) -> None:
        """Write no more: another view has taken over, which may store another version."""
        self._is_retired = True

    def _check(self) -> None:
        if self._is_retired:
            raise TooManyRequests("storage is (re)initializing", details={"retryAfterSeconds": 1})

    # --- between the versions

    def _to_stored(self, value: bytes) -> bytes:
        return value if self._as_it_is else self._stored.start + value[len(self._encoding.start) :]

    def _read(self, kv: KeyValue) -> KeyValue:
        hint = kv.hint
        if type(hint) is Own and hint.view is self:
            self._note(kv, is_stale=False)
            return KeyValue(kv.key, hint.value, kv.create_revision, kv.mod_revision, kv.lease, hint.obj)
        obj: Object = orjson.loads(kv.value)
        self._convert(obj)
        value = self._encoding.encode(obj)
        self._note(kv, is_stale=self._to_stored(value) != kv.value)
        return KeyValue(kv.key, value, kv.create_revision, kv.mod_revision, kv.lease, obj)

    def _note(self, kv: KeyValue, *, is_stale: bool) -> None:
        """Of each key the newest revision counts: the past is read, too."""
        known = self._stale.get(kv.key)
        if is_stale and (known is None or known < kv.mod_revision):
            self._stale[kv.key] = kv.mod_revision
        elif known is not None and not is_stale and known <= kv.mod_revision:
            del self._stale[kv.key]

    def _convert(self, obj: Object) -> None:
        """Prune and default by the version it is stored in, then prune by this one. Objects of no known version count as this one's."""
        stored = self._versions.get(obj.get("apiVersion") or "", self._own)
        stored.prune(obj)
        stored.default(obj)
        if stored is not self._own:
            self._own.prune(obj)
        obj["kind"], obj["apiVersion"] = self._own.kind, self._own.api_version
        obj["metadata"].setdefault("generation", 1)

    def _event(self, event: Event) -> Event:
        previous = self._read(event.previous) if event.previous is not None else None
        read = Event(self._read(event.kv), event.deleted, previous)
        if event.deleted and self._stale.get(event.kv.key, event.kv.mod_revision + 1) <= event.kv.mod_revision:
            del self._stale[event.kv.key]
        return read

    # --- the store

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        found = await self._store.get(key, revision=revision)
        return self._read(found) if found is not None else None

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        page = await self._store.list(prefix, start=start, limit=limit, revision=revision)
        return Page([self._read(each) for each in page.items], page.revision, page.remaining)

    async def count(self, prefix: str) -> int:
        return await self._store.count(prefix)

    async def create(self, key: str, value: bytes, *, lease: int = 0, hint: Any = None) -> int:
        self._check()
        return await self._store.create(key, self._to_stored(value), lease=lease, hint=Own(self, value, hint))

    async def update(
        self, key: str, value: bytes, *, expected: int, lease: int = 0, hint: Any = None, previous: bytes | None = None
    ) -> int:
        self._check()
        return await self._store.update(key, self._to_stored(value), expected=expected, lease=lease, hint=Own(self, value, hint))

    async def delete(self, key: str, *, expected: int) -> int:
        return await self._store.delete(key, expected=expected)

    async def revision(self) -> int:
        return await self._store.revision()

    @property
    def newest(self) -> int | None:
        return self._store.newest

    def subscribe(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        def deliver_read(events: Sequence[Event]) -> None:
            deliver([self._event(each) for each in events])

        return self._store.subscribe(prefix, after=after, deliver=deliver_read)

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def grant_lease(self, ttl_s: int) -> int:
        return await self._store.grant_lease(ttl_s)

    async def close(self) -> None:
        """Nothing: the store is others', too."""
