"""The watch cache of one resource: its current objects, its last changes, and its watchers. Fed by the store's subscription.

Because the store tells subscribers before it answers the writer, what is read here is never older than what this process has
acknowledged. Everything is bounded: the history by count and bytes (older changes are replayed from the store's log while it has
them), each watcher by a number of changes: one that falls further behind is cut off with 410 and never waited for.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import orjson

from apiserver.registry.encoding import Encoding
from apiserver.registry.kind import Kind
from apiserver.store.base import Compacted, Event, KeyValue, Store, Subscription
from kube.errors import Expired, TooManyRequests
from kube.objects import Object

HISTORY_CHANGES_MAX: Final = 4096
HISTORY_BYTES_MAX: Final = 16 * 1024 * 1024
WATCHER_CHANGES_MAX: Final = 10_000

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


class Entry:
    """One object at one revision: its stored bytes, and what selectors ask for."""

    __slots__ = ("create_revision", "fields", "key", "labels", "name", "namespace", "revision", "value")

    def __init__(
        self, key: str, value: bytes, revision: int, create_revision: int, obj: Object, selectable: dict[str, Callable[[Object], str]]
    ) -> None:
        meta = obj["metadata"]
        self.key, self.value, self.revision, self.create_revision = key, value, revision, create_revision
        self.namespace: str = meta.get("namespace", "")
        self.name: str = meta["name"]
        self.labels: dict[str, str] = dict(meta.get("labels") or ())
        self.fields: tuple[str, ...] = tuple([get(obj) for get in selectable.values()])


class Change:
    """One write as watchers see it. `encoded` keeps each form of it that some watcher has asked for."""

    __slots__ = ("encoded", "entry", "previous", "revision", "type")

    def __init__(self, kind: str, entry: Entry, previous: Entry | None) -> None:
        self.type, self.entry, self.previous, self.revision = kind, entry, previous, entry.revision
        self.encoded: dict[Any, bytes] = {}


class Watcher:
    """One watch: the changes not yet sent. `ready` is set while there are some, or when it was cut off."""

    __slots__ = ("_cache", "after", "changes", "cut_off", "name", "namespace", "ready", "subscription")

    def __init__(self, cache: ResourceCache, namespace: str, name: str, after: int = 0) -> None:
        self._cache, self.namespace, self.name, self.after = cache, namespace, name, after
        self.changes: list[Change] = []
        self.ready = asyncio.Event()
        self.cut_off = False
        self.subscription: Subscription | None = None
        """While it reads the store's log itself, being older than the history."""

    @property
    def is_lost(self) -> bool:
        """The log has ended under it: nothing more will come."""
        return self.subscription is not None and self.subscription.failed is not None

    def offer(self, change: Change) -> None:
        entry = change.entry
        if entry.revision <= self.after:
            return
        if (self.namespace and entry.namespace != self.namespace) or (self.name and entry.name != self.name):
            return
        if len(self.changes) >= WATCHER_CHANGES_MAX:
            self.cut_off = True
            self.changes.clear()
            self._cache.drop(self)
        else:
            self.changes.append(change)
        self.ready.set()

    def take(self) -> list[Change]:
        """All waiting changes, oldest first."""
        taken, self.changes = self.changes, []
        self.ready.clear()
        return taken

    def close(self) -> None:
        self._cache.drop(self)


class ResourceCache:
    """See the module. `start` before use."""

    def __init__(self, kind: Kind, store: Store) -> None:
        self.kind, self._store = kind, store
        self.encoding = Encoding(kind.resource)
        self.prefix = kind.storage_prefix
        self._selectable = dict(kind.selectable)
        self.field_index = {name: i for i, name in enumerate(self._selectable)}
        self._namespaces: dict[str, dict[str, Entry]] = {}
        self._names: dict[str, list[str]] = {}
        self._sorted_prefixes: list[str] = []  # each namespace and a slash: as keys sort (`a-b/` before `a/`)
        self._count = 0
        self._history: deque[Change] = deque()
        self._history_bytes = 0
        self._history_start = 0  # changes after this revision are all in the history
        self.revision = 0
        self._watchers: dict[Watcher, None] = {}
        self._late: set[Watcher] = set()  # those still in the log
        self._subscription: Subscription | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_retired = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load what the store holds, then follow it. Safe to call again; concurrent callers share one load."""
        if self._subscription is not None and self._subscription.failed is None:
            return
        if self._is_retired:
            raise TooManyRequests("storage is (re)initializing", details={"retryAfterSeconds": 1})
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._load())
        try:
            await asyncio.shield(self._starting)
        finally:
            if self._starting is not None and self._starting.done():
                self._starting = None

    async def _load(self) -> None:
        page = await self._store.list(self.prefix)
        self._namespaces.clear()
        self._names.clear()
        self._sorted_prefixes.clear()
        self._count = 0
        for kv in page.items:
            self._put(self._entry(kv))
        self.revision = self._history_start = page.revision
        self._history.clear()
        self._history_bytes = 0
        for watcher in list(self._watchers):
            watcher.cut_off = True
            watcher.ready.set()
        self._watchers.clear()
        self._subscription = self._store.subscribe(self.prefix, after=page.revision, deliver=self._deliver)

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
        for watcher in [*self._watchers, *self._late]:
            watcher.ready.set()

    def retire(self) -> None:
        """Close for good: the resource is gone, or served anew with another schema. Later readers are told to try again."""
        self._is_retired = True
        self.close()

    async def catch_up(self) -> int:
        """The newest revision there is, once everything up to it is in this cache: what a consistent read is a read of."""
        if self._subscription is None or self._subscription.failed is not None:
            await self.start()
        self.revision = max(self.revision, await self._store.revision())
        return self.revision

    # --- reading --------------------------------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> Entry | None:
        group = self._namespaces.get(namespace)
        return group.get(name) if group is not None else None

    def entries(self, namespace: str = "") -> Iterator[Entry]:
        """In key order: one namespace, or all."""
        for each in [namespace] if namespace else [prefix[:-1] for prefix in self._sorted_prefixes]:
            group = self._namespaces.get(each)
            if group:
                for name in self._names[each]:
                    yield group[name]

    def count(self, namespace: str = "") -> int:
        return len(self._namespaces.get(namespace, ())) if namespace else self._count

    def object_of(self, entry: Entry) -> Object:
        """A fresh, complete object; the caller may change it."""
        return self.encoding.decode(entry.value, entry.revision)

    def field(self, entry: Entry, name: str) -> str:
        """The value of a selectable field. KeyError for a field this kind does not offer."""
        if name == "metadata.name":
            return entry.name
        if name == "metadata.namespace":
            return entry.namespace
        return entry.fields[self.field_index[name]]

    def key(self, namespace: str, name: str) -> str:
        return f"{self.prefix}{namespace}/{name}" if namespace else f"{self.prefix}{name}"

    # --- watching -------------------------------------------------------------------------------------------------

    async def watch(self, namespace: str, name: str, after: int) -> Watcher:
        """Every change after revision `after` (which is at most the present one). Raises Expired where the store has forgotten them."""
        watcher = Watcher(self, namespace, name, after)
        if after >= self._history_start:
            self._follow(watcher)
            return watcher
        try:
            watcher.subscription = self._store.subscribe(self.prefix, after=after, deliver=lambda events: self._offer_all(watcher, events))
        except Compacted as error:
            raise Expired(f"too old resource version: {after} ({error.oldest})") from error
        if not watcher.cut_off:
            self._late.add(watcher)
            self._join(watcher)
        else:
            watcher.subscription.cancel()
        return watcher

    def _follow(self, watcher: Watcher) -> None:
        for change in self._history:
            watcher.offer(change)
        if not watcher.cut_off:
            self._watchers[watcher] = None

    def _join(self, watcher: Watcher) -> None:
        """Leave the log where the history has the rest: from there on, each change is made once for all watchers."""
        if watcher in self._late and watcher.after >= self._history_start and not watcher.cut_off:
            self._late.discard(watcher)
            if watcher.subscription is not None:
                watcher.subscription.cancel()
                watcher.subscription = None
            self._follow(watcher)

    def _offer_all(self, watcher: Watcher, events: Sequence[Event]) -> None:
        """What a watcher from before the history gets, straight from the store's log."""
        for event in events:
            previous = self._entry(event.previous) if event.previous else None
            kind = DELETED if event.deleted else ADDED if previous is None else MODIFIED
            watcher.offer(Change(kind, self._entry(event.kv), previous))
        watcher.after = events[-1].kv.mod_revision
        self._join(watcher)

    def drop(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)
        self._late.discard(watcher)
        if watcher.subscription is not None:
            watcher.subscription.cancel()

    @property
    def watchers(self) -> int:
        return len(self._watchers) + len(self._late)

    # --- following the store --------------------------------------------------------------------------------------

    def _entry(self, kv: KeyValue) -> Entry:
        obj = kv.hint if kv.hint is not None else orjson.loads(kv.value)
        return Entry(kv.key, kv.value, kv.mod_revision, kv.create_revision, obj, self._selectable)

    def _put(self, entry: Entry) -> Entry | None:
        group = self._namespaces.get(entry.namespace)
        if group is None:
            group = self._namespaces[entry.namespace] = {}
            self._names[entry.namespace] = []
            insort(self._sorted_prefixes, f"{entry.namespace}/")
        previous = group.get(entry.name)
        group[entry.name] = entry
        if previous is None:
            insort(self._names[entry.namespace], entry.name)
            self._count += 1
        return previous

    def _remove(self, namespace: str, name: str) -> Entry | None:
        group = self._namespaces.get(namespace)
        previous = group.pop(name, None) if group else None
        if previous is None or group is None:
            return None
        names = self._names[namespace]
        del names[bisect_left(names, name)]
        self._count -= 1
        if not group:
            del self._namespaces[namespace], self._names[namespace]
            self._sorted_prefixes.remove(f"{namespace}/")
        return previous

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            kv = event.kv
            if event.deleted:
                namespace, _, name = kv.key[len(self.prefix) :].rpartition("/")
                previous = self._remove(namespace, name)
                if previous is None:
                    continue
                entry = Entry.__new__(Entry)
                entry.key, entry.value, entry.revision, entry.create_revision = (
                    kv.key,
                    previous.value,
                    kv.mod_revision,
                    previous.create_revision,
                )
                entry.namespace, entry.name, entry.labels, entry.fields = namespace, name, previous.labels, previous.fields
                change = Change(DELETED, entry, previous)
            else:
                entry = self._entry(kv)
                previous = self._put(entry)
                change = Change(ADDED if previous is None else MODIFIED, entry, previous)
            self.revision = max(self.revision, kv.mod_revision)
            self._remember(change)
            for watcher in list(self._watchers):
                watcher.offer(change)

    def _remember(self, change: Change) -> None:
        self._history.append(change)
        self._history_bytes += len(change.entry.value)
        while len(self._history) > HISTORY_CHANGES_MAX or self._history_bytes > HISTORY_BYTES_MAX:
            old = self._history.popleft()
            self._history_bytes -= len(old.entry.value)
            self._history_start = old.revision
