"""The watch cache of one resource: its current objects, its last changes, and its watchers. Fed by the store's subscription.

Because the store tells subscribers before it answers the writer, what is read here is never older than what this process has
acknowledged. Everything is bounded: the history by count and bytes (older changes are replayed from the store's log while it has
them), each watcher by a number of changes: one that falls further behind is cut off with 410 and never waited for. Who is told of
which change, and when: `watchers.py`.
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import orjson

from apiserver.registry.encoding import Encoding
from apiserver.registry.kind import Kind
from apiserver.registry.watchers import Scope, Watcher, Watchers
from apiserver.store.base import Compacted, Deliver, Event, KeyValue, Store, Subscription
from kube.errors import Expired, TooManyRequests
from kube.objects import Object

HISTORY_CHANGES_MAX: Final = 1024
HISTORY_BYTES_MAX: Final = 4 * 1024 * 1024
ENCODED_CHANGES_MAX: Final = 256
"""How many of the last changes keep their encoded forms: who is up to date shares them, who comes from the past makes their own."""

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"


class Entry:
    """One object at one revision: its stored bytes, and what selectors ask for.

    `labels` and `fields` (in the order of the kind's selectable fields) are read from the bytes when they are first asked for: most of what
    a starting server loads is only ever listed."""

    __slots__ = ("_selectable", "create_revision", "fields", "key", "labels", "name", "namespace", "revision", "value")
    labels: dict[str, str]
    fields: tuple[str, ...]

    def __init__(
        self, key: str, prefix: str, value: bytes, revision: int, create_revision: int, selectable: dict[str, Callable[[Object], str]]
    ) -> None:
        self.key, self.value, self.revision, self.create_revision = key, value, revision, create_revision
        namespace, _, self.name = key[len(prefix) :].rpartition("/")
        self.namespace = sys.intern(namespace)
        self._selectable = selectable

    def learn(self, obj: Object, like: Entry | None = None) -> None:
        """Take labels and fields from the object itself, where it is at hand. What is equal in `like`, an entry that has learned, is held
        once."""
        labels: dict[str, str] = obj["metadata"].get("labels") or {}
        fields = tuple([get(obj) for get in self._selectable.values()])
        if like is None:
            self.labels, self.fields = dict(labels), fields
        else:
            self.labels = like.labels if labels == like.labels else dict(labels)
            self.fields = tuple([old if old == new else new for old, new in zip(like.fields, fields, strict=True)])

    def __getattr__(self, attribute: str) -> Any:
        if attribute not in ("labels", "fields"):
            raise AttributeError(attribute)
        self.learn(orjson.loads(self.value))
        return getattr(self, attribute)


class Change:
    """One write as watchers see it. `encoded` keeps each form of it that some watcher has asked for."""

    __slots__ = ("encoded", "entry", "previous", "revision", "type")

    def __init__(self, kind: str, entry: Entry, previous: Entry | None) -> None:
        self.type, self.entry, self.previous, self.revision = kind, entry, previous, entry.revision
        self.encoded: dict[Any, bytes] = {}


class Follow(Protocol):
    """How the changes of present objects are heard of: `Store.subscribe`, or what a view of the store has in its place."""

    def __call__(self, prefix: str, *, after: int, deliver: Deliver) -> Subscription: ...


class ResourceCache:
    """See the module. `start` before use."""

    def __init__(self, kind: Kind, store: Store, follow: Follow | None = None) -> None:
        self.kind, self._store = kind, store
        self._follow_store: Follow = follow or store.subscribe
        self.encoding = Encoding(kind.resource)
        self.prefix = kind.storage_prefix
        self._selectable = dict(kind.selectable)
        self.field_index = {name: i for i, name in enumerate(self._selectable)}
        self._namespaces: dict[str, dict[str, Entry]] = {}
        self._names: dict[str, list[str]] = {}
        self._sorted_prefixes: list[str] = []  # each namespace and a slash: as keys sort (`a-b/` before `a/`)
        self._count = 0
        self.changes = 0
        """Goes up with every change: what somebody has worked out from the objects here is good as long as it stays."""
        self._learned: Entry | None = None  # the last that learned from an object
        self._history: deque[Change] = deque()
        self._history_bytes = 0
        self._history_start = 0  # changes after this revision are all in the history
        self.revision = 0
        self._watchers = Watchers()
        self._subscription: Subscription | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_retired = False

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Load what the store holds, then follow it. Safe to call again; concurrent callers share one load."""
        if self._subscription is not None and self._subscription.failed is None:
            return
        self._check()
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._load())
        try:
            await asyncio.shield(self._starting)
        finally:
            if self._starting is not None and self._starting.done():
                self._starting = None

    def _check(self) -> None:
        if self._is_retired:
            raise TooManyRequests("storage is (re)initializing", details={"retryAfterSeconds": 1})

    async def _load(self) -> None:
        page = await self._store.list(self.prefix)
        self._check()
        self._namespaces.clear()
        self._names.clear()
        self._sorted_prefixes.clear()
        self._count = 0
        for kv in page.items:
            self._put(self.entry_of(kv))
        self.changes += 1
        self.revision = self._history_start = page.revision
        self._history.clear()
        self._history_bytes = 0
        self._watchers.cut_off_all()
        self._subscription = self._follow_store(self.prefix, after=page.revision, deliver=self._deliver)

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
        self._watchers.end()

    def retire(self) -> None:
        """Close for good: the resource is gone, or served anew with another schema. Later readers are told to try again."""
        self._is_retired = True
        self.close()

    async def catch_up(self) -> int:
        """The newest revision there is, once everything up to it is in this cache: what a consistent read is a read of."""
        if self._subscription is None or self._subscription.failed is not None:
            await self.start()
        newest = self._store.newest
        if newest is None:
            newest = await self._store.revision()
        if newest > self.revision:
            self.revision = newest
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
                yield from map(group.__getitem__, self._names[each])

    def count(self, namespace: str = "") -> int:
        return len(self._namespaces.get(namespace, ())) if namespace else self._count

    @property
    def is_known_empty(self) -> bool:
        """Whether there is nothing, as far as this process has been told; False as long as the cache does not follow the store."""
        return not self._count and self._subscription is not None and self._subscription.failed is None

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

    async def watch(self, namespace: str, name: str, after: int, *, field: Scope | None = None) -> Watcher:
        """Every change after revision `after` (which is at most the present one). Raises Expired where the store has forgotten them.

        `field` (a selectable field and its value): only changes of objects that have or had that need be told."""
        watcher = Watcher(self._watchers, namespace, name, after, field)
        if after >= self._history_start:
            self._follow(watcher)
            return watcher
        try:
            watcher.subscription = self._store.subscribe(self.prefix, after=after, deliver=lambda events: self._offer_all(watcher, events))
        except Compacted as error:
            raise Expired(f"too old resource version: {after} ({error.oldest})") from error
        if not watcher.cut_off:
            self._watchers.late.add(watcher)
            self._join(watcher)
        else:
            watcher.subscription.cancel()
        return watcher

    def _follow(self, watcher: Watcher) -> None:
        missed = self._since(watcher.after)
        if missed and watcher.offer(missed):
            watcher.ready.set()
        if not watcher.cut_off:
            self._watchers.add(watcher)

    def since(self, revision: int) -> list[Change] | None:
        """The changes after a revision, oldest first; None where they are not all remembered."""
        return self._since(revision) if revision >= self._history_start else None

    def _since(self, revision: int) -> list[Change]:
        """The changes of the history that are newer than `revision`."""
        found: list[Change] = []
        for change in reversed(self._history):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

    def _join(self, watcher: Watcher) -> None:
        """Leave the log where the history has the rest: from there on, each change is made once for all watchers."""
        if watcher in self._watchers.late and watcher.after >= self._history_start and not watcher.cut_off:
            self._watchers.late.discard(watcher)
            if watcher.subscription is not None:
                watcher.subscription.cancel()
                watcher.subscription = None
            self._follow(watcher)

    def _offer_all(self, watcher: Watcher, events: Sequence[Event]) -> None:
        """What a watcher from before the history gets, straight from the store's log; nothing when that has ended."""
        if not events:
            watcher.ready.set()
            return
        changes = []
        for event in events:
            previous = self.entry_of(event.previous) if event.previous else None
            kind = DELETED if event.deleted else ADDED if previous is None else MODIFIED
            changes.append(Change(kind, self.entry_of(event.kv), previous))
        if watcher.offer(changes):
            watcher.ready.set()
        watcher.after = events[-1].kv.mod_revision
        self._join(watcher)

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    def shared(self, key: Any, changes: Sequence[Change]) -> bytes | None:
        """See `Watchers.shared`."""
        return self._watchers.shared(key, changes)

    def share(self, key: Any, changes: Sequence[Change], chunk: bytes) -> None:
        """See `Watchers.share`."""
        self._watchers.share(key, changes, chunk)

    # --- following the store --------------------------------------------------------------------------------------

    def entry_of(self, kv: KeyValue) -> Entry:
        """An entry of what the store holds, whether or not it is the present one."""
        entry = Entry(kv.key, self.prefix, kv.value, kv.mod_revision, kv.create_revision, self._selectable)
        if kv.hint is not None:
            entry.learn(kv.hint, self._learned)
            self._learned = entry
        return entry

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
        """The next events. None at all: the subscription has failed; who watches begins anew, and finds out why."""
        if not events:
            self._watchers.end()
            return
        changes = []
        for event in events:
            kv = event.kv
            if event.deleted:
                namespace, _, name = kv.key[len(self.prefix) :].rpartition("/")
                previous = self._remove(namespace, name)
                if previous is None:
                    continue
                entry = Entry(kv.key, self.prefix, previous.value, kv.mod_revision, previous.create_revision, self._selectable)
                entry.labels, entry.fields = previous.labels, previous.fields
                change = Change(DELETED, entry, previous)
            else:
                entry = self.entry_of(kv)
                previous = self._put(entry)
                change = Change(ADDED if previous is None else MODIFIED, entry, previous)
            self.revision = max(self.revision, kv.mod_revision)
            self._remember(change)
            changes.append(change)
        if changes:
            self.changes += 1
            self._watchers.tell(changes, self.field_index)

    def _remember(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > ENCODED_CHANGES_MAX:
            self._history[-ENCODED_CHANGES_MAX - 1].encoded.clear()
        self._history_bytes += len(change.entry.value)
        while len(self._history) > HISTORY_CHANGES_MAX or self._history_bytes > HISTORY_BYTES_MAX:
            old = self._history.popleft()
            self._history_bytes -= len(old.entry.value)
            self._history_start = old.revision


__all__ = ["ADDED", "DELETED", "MODIFIED", "Change", "Entry", "ResourceCache", "Watcher"]
