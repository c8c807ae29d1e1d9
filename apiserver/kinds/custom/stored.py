"""A version's view of the store: what is stored is of the storage version, what comes out is of this one, by today's schema.

Values come out as this version would have written them: of whatever version they were stored in, with fields that its schema does not have
any more pruned and new defaults filled in, as upstream does when it reads from etcd. What this view wrote itself comes back as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.kinds.custom.version import Version
from apiserver.registry.encoding import Encoding
from apiserver.store.base import Deliver, Event, KeyValue, Page, Store, Subscription
from kube.objects import Object
from kube.resources import Resource


@dataclass(frozen=True, slots=True)
class _Own:
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

    # --- between the versions

    def _to_stored(self, value: bytes) -> bytes:
        return value if self._as_it_is else self._stored.start + value[len(self._encoding.start) :]

    def _read(self, kv: KeyValue) -> KeyValue:
        hint = kv.hint
        if type(hint) is _Own and hint.view is self:
            return KeyValue(kv.key, hint.value, kv.create_revision, kv.mod_revision, kv.lease, hint.obj)
        obj: Object = orjson.loads(kv.value)
        self._convert(obj)
        return KeyValue(kv.key, self._encoding.encode(obj), kv.create_revision, kv.mod_revision, kv.lease, obj)

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
        return Event(self._read(event.kv), event.deleted, self._read(event.previous) if event.previous is not None else None)

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
        return await self._store.create(key, self._to_stored(value), lease=lease, hint=_Own(self, value, hint))

    async def update(
        self, key: str, value: bytes, *, expected: int, lease: int = 0, hint: Any = None, previous: bytes | None = None
    ) -> int:
        return await self._store.update(key, self._to_stored(value), expected=expected, lease=lease, hint=_Own(self, value, hint))

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
