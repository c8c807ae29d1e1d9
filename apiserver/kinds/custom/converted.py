"""The store as one version of a custom resource sees it whose versions a webhook converts. Read `stored.py` first.

Of a version that is not stored, what is written is converted twice: to the version that is stored, which is written, and back, which is
what the writer is answered (a webhook may leave things out); what is read is converted once, and remembered for a while. What is stored in
the version that is asked for never meets the webhook. Source: apiextensions-apiserver `apiserver/customresource_handler.go`
(crdConversionRESTOptionsGetter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from apiserver.kinds.custom.converter import Converter
from apiserver.kinds.custom.following import Following
from apiserver.kinds.custom.stored import Own, StoredView
from apiserver.kinds.custom.version import Version
from apiserver.registry.converting import Prepared
from apiserver.store.base import Deliver, Event, KeyValue, Page, Store, Subscription
from kube.objects import Object
from kube.resources import Resource

REMEMBERED_BYTES_MAX: Final = 4 << 20
_Events = list[Event]


class ConvertedView(StoredView):
    """See the module; a `ConvertingStore`."""

    def __init__(self, store: Store, resource: Resource, storage: Resource, versions: Mapping[str, Version], converter: Converter) -> None:
        super().__init__(store, resource, storage, versions)
        self._storage = versions[storage.api_version]
        self._converter = converter
        self._remembered: dict[tuple[str, int], bytes] = {}  # what was converted, by key and revision; the oldest comes first
        self._remembered_bytes = 0
        self._main: Following | None = None

    # --- reading

    async def _read_all(self, kvs: Sequence[KeyValue]) -> list[KeyValue]:
        """What is stored, as this version sees it: one call for all that has to be converted. Raises ApiError."""
        begun = [self._begun(each) for each in kvs]
        others = [each for each in begun if not isinstance(each, KeyValue)]
        if not others:
            return [each for each in begun if isinstance(each, KeyValue)]
        made = iter(await self._converter.convert(others, self._own.api_version))
        return [each if isinstance(each, KeyValue) else self._finished(kv, next(made)) for kv, each in zip(kvs, begun, strict=True)]

    def _begun(self, kv: KeyValue) -> KeyValue | Object:
        """As this version sees it; or, where the webhook has to be asked, the object as it is stored."""
        hint = kv.hint
        if type(hint) is Own and hint.view is self:
            return kv._replace(value=hint.value, hint=hint.obj)
        value = self._remembered.get((kv.key, kv.mod_revision))
        if value is not None:
            return kv._replace(value=value, hint=orjson.loads(value))
        obj: Object = orjson.loads(kv.value)
        stored = self._versions.get(obj.get("apiVersion") or "")
        if stored is not None:
            stored.prune(obj)
            stored.default(obj)
        obj["metadata"].setdefault("generation", 1)
        if stored is not self._own:
            return obj
        return kv._replace(value=self._encoding.encode(obj), hint=obj)

    def _finished(self, kv: KeyValue, obj: Object) -> KeyValue:
        self._own.prune(obj)
        value = self._encoding.encode(obj)
        self._remember(kv.key, kv.mod_revision, value)
        return kv._replace(value=value, hint=obj)

    def _remember(self, key: str, revision: int, value: bytes) -> None:
        if self._remembered.setdefault((key, revision), value) is value:
            self._remembered_bytes += len(value)
        while self._remembered_bytes > REMEMBERED_BYTES_MAX:
            oldest = next(iter(self._remembered))
            self._remembered_bytes -= len(self._remembered.pop(oldest))

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        found = await self._store.get(key, revision=revision)
        return (await self._read_all([found]))[0] if found is not None else None

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        page = await self._store.list(prefix, start=start, limit=limit, revision=revision)
        return Page(await self._read_all(page.items), page.revision, page.remaining)

    # --- writing

    async def prepare(self, obj: Object) -> Prepared:
        if self._as_it_is:
            return Prepared(obj, self._encoding.encode(obj))
        meta = obj["metadata"]
        revision = meta.pop("resourceVersion", None)
        (written,) = await self._converter.convert([obj], self._storage.api_version)
        self._storage.prune(written)
        stored = self._stored.encode(written)
        read: Object = orjson.loads(stored)
        self._storage.default(read)
        # deviates: a write whose outcome a conversion webhook does not convert back is not made; upstream makes it, then tells of it
        (back,) = await self._converter.convert([read], self._own.api_version)
        self._own.prune(back)
        obj.clear()
        obj.update(back)
        if revision is not None:
            obj["metadata"]["resourceVersion"] = revision
        return Prepared(obj, stored)

    async def is_stored_as(self, key: str, revision: int, prepared: Prepared) -> bool:
        found = await self._store.get(key)
        return found is not None and found.mod_revision == revision and _sorted(found.value) == _sorted(prepared.stored)

    async def create(self, key: str, value: bytes, *, lease: int = 0, hint: Any = None) -> int:
        self._check()
        revision = await self._store.create(key, hint.stored, lease=lease, hint=Own(self, value, hint.obj))
        self._wrote(key, revision, value)
        return revision

    async def update(
        self, key: str, value: bytes, *, expected: int, lease: int = 0, hint: Any = None, previous: bytes | None = None
    ) -> int:
        self._check()
        revision = await self._store.update(key, hint.stored, expected=expected, lease=lease, hint=Own(self, value, hint.obj))
        self._wrote(key, revision, value)
        return revision

    def _wrote(self, key: str, revision: int, value: bytes) -> None:
        if not self._as_it_is:
            self._remember(key, revision, value)

    async def in_version(self, obj: Object, api_version: str) -> Object:
        meta = obj["metadata"]
        kept = {name: meta[name] for name in ("managedFields", "resourceVersion") if name in meta}
        sent = {**obj, "metadata": {name: value for name, value in meta.items() if name not in kept}}
        (made,) = await self._converter.convert([sent], api_version)
        self._versions[api_version].prune(made)
        made["metadata"].update(kept)
        return made

    # --- following

    @property
    def newest(self) -> int | None:
        return None if self._main is not None and self._main.waits else self._store.newest

    async def revision(self) -> int:
        """Once everything up to it is delivered to who follows. Raises ApiError where that cannot be."""
        newest = await self._store.revision()
        if self._main is not None:
            await self._main.until(newest)
        return newest

    def follow(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        self._main = Following(self._now_at_once, self._now, deliver)
        self._main.begin(self._store, prefix, after)
        return self._main

    def subscribe(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription:
        following = Following(lambda _events: None, self._whole, deliver)
        following.begin(self._store, prefix, after)
        return following

    def _now_at_once(self, events: Sequence[Event]) -> _Events | None:
        """What the events leave there, if that can be told without the webhook."""
        found: _Events = []
        for each in events:
            kv = each.kv if each.deleted else self._begun(each.kv)
            if not isinstance(kv, KeyValue):
                return None
            found.append(Event(kv, each.deleted, None))
        return found

    async def _now(self, events: Sequence[Event]) -> _Events:
        made = iter(await self._read_all([each.kv for each in events if not each.deleted]))
        return [Event(each.kv if each.deleted else next(made), each.deleted, None) for each in events]

    async def _whole(self, events: Sequence[Event]) -> _Events:
        """Events with what was before: of a deletion, that is what is gone, too."""
        wanted = [kv for each in events for kv in (each.previous, None if each.deleted else each.kv) if kv is not None]
        made = iter(await self._read_all(wanted))
        found: _Events = []
        for each in events:
            previous = next(made) if each.previous is not None else None
            if each.deleted:
                assert previous is not None
                kv = previous._replace(mod_revision=each.kv.mod_revision)
            else:
                kv = next(made)
            found.append(Event(kv, each.deleted, previous))
        return found


def _sorted(value: bytes) -> bytes:
    """JSON, whatever order its members are in."""
    return orjson.dumps(orjson.loads(value), option=orjson.OPT_SORT_KEYS)
