"""Informers: a collection of the API kept at hand, and word of every change to it.

An `Informer` lists (in pages), then watches from the list's resourceVersion, resumes from the last version it saw (bookmarks count), and
lists again when the server says that version is too old. Handlers are told of each difference once, in order, after the cache has changed.
It never gives up and never misses: whatever was deleted while nobody watched shows when the next list is compared.

`Informers` keeps one of each in a process. What keys mean is `kube.objects.key_of`. Source: client-go `tools/cache/reflector.go`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing

from kube.client.base import ConnectionFailed
from kube.client.cache import Cache, Keys, Objects
from kube.client.client import Client, WatchEvent
from kube.client.sharing import Sharing
from kube.errors import ApiError, Expired
from kube.objects import Object, key_of, resource_version_of
from kube.resources import Resource

Handler = Callable[[Object | None, Object | None], None]
"""(old, new): (None, new) for one added, (old, None) for one deleted."""

_log = logging.getLogger(__name__)

BACKOFF_S = 0.2
BACKOFF_S_MAX = 10.0
WATCH_S = (300, 600)
"""How long one watch is asked for: anything between, so that they do not all end at once."""
WATCH_GRACE_S = 60
"""A watch that goes on longer than asked for by this much is taken for dead."""
_TURN = 256
"""After so many events at a time, others get a turn on the loop."""


class Informer:
    """See the module. The objects it hands out are shared: nobody may change them."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Callable[[Object], Iterable[str]]] | None = None,
        rng: random.Random,
        page_limit: int = 500,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._client, self._rng = client, rng
        self._namespace, self._label_selector, self._field_selector = namespace, label_selector, field_selector
        self._page_limit = page_limit
        self._sharing = Sharing()
        self._cache = Cache(indexes or {})
        self._handlers: list[Handler] = []
        self._seen = ""  # the resourceVersion to go on from; "" = list first
        self._seen_number = 0
        self._unconfirmed: set[str] = set()  # keys of what `put` brought and no watch has shown yet
        self._put_meanwhile: dict[str, Object] = {}  # what `put` brought since it was clear that a list is needed
        self._backoff_s = BACKOFF_S
        self._complaint = ""
        self._is_useful = False  # whether the present watch has brought anything, or lasted

    # --- what is known ------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Object | None:
        return self._cache.get(key)

    def list(self, namespace: str | None = None) -> Objects:
        """Everything, or what is in one namespace."""
        return self._cache.list(namespace)

    def by_index(self, index: str, value: str) -> Objects:
        """What the index function of that name gave `value` for. Raises KeyError for an unknown index."""
        return self._cache.by_index(index, value)

    def keys(self) -> Keys:
        return self._cache.keys()

    def __len__(self) -> int:
        return len(self._cache)

    def has_seen(self, version: str) -> bool:
        """Whether the cache is sure to hold every change up to that resourceVersion. It may hold them all without knowing."""
        number = _number(version)
        return number is not None and bool(self._seen) and number <= self._seen_number

    def add_index(self, name: str, fn: Callable[[Object], Iterable[str]]) -> None:
        """Index what is there and what will be. Adding the same function again is fine; another one of that name is a ValueError."""
        self._cache.add_index(name, fn)

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of every change from now on, and at once of everything there is. What it raises is logged, no more."""
        self._handlers.append(handler)
        for obj in self._cache.list(None):
            self._tell(handler, None, obj)

    def put(self, obj: Object) -> None:
        """Take in what the server answered to a write of ours, ahead of the watch. Ignored unless that is sure to be news: its
        resourceVersion must be newer than both the cached one and what the watch has passed already. A list that is under way, and may
        have begun before the write, does not undo it."""
        version = _number(resource_version_of(obj))
        if not self.synced.is_set() or self._label_selector or self._field_selector or version is None:
            return
        if self._namespace and obj.get("metadata", {}).get("namespace") != self._namespace:
            return
        if version <= self._seen_number:
            return
        key = key_of(obj)
        old = self._cache.get(key)
        if old is not None and version <= (_number(resource_version_of(old)) or 0):
            return
        obj = {**obj, "metadata": {**obj["metadata"]}}  # the caller's own stays as it is
        self._keep(obj)
        if not self._seen:
            self._put_meanwhile[key] = obj
        self._unconfirmed.add(key)
        self._replace(key, obj)

    async def wait_synced(self) -> None:
        """Wait until the first list is in the cache and its handlers have been told."""
        await self.synced.wait()

    # --- keeping it so ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the cache as the server is, until cancelled."""
        while True:
            try:
                if not self._seen:
                    await self._list()
                self._is_useful = False
                await self._watch()
                if not self._is_useful:
                    await self._pause()
            except Expired:
                self._seen = ""
                if not self._is_useful:
                    await self._pause()
            except (ApiError, ConnectionFailed, TimeoutError) as error:
                self._complain(error)
                await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._backoff_s * (1 + self._rng.random()))
        self._backoff_s = min(self._backoff_s * 2, BACKOFF_S_MAX)

    def _complain(self, error: Exception) -> None:
        """Log a failure once, not at every attempt."""
        complaint = f"{type(error).__name__}: {error}"
        if complaint != self._complaint:
            _log.warning("%s: cannot list and watch: %s", self.resource.qualified, complaint)
            self._complaint = complaint

    def _useful(self) -> None:
        """All is well: the next failure is the first."""
        self._is_useful, self._backoff_s, self._complaint = True, BACKOFF_S, ""

    # --- listing ------------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """List everything and tell of what differs from the cache."""
        try:
            items, version = await self._pages(limit=self._page_limit)
        except Expired:  # a page came too late for its snapshot: all in one
            items, version = await self._pages(limit=0)
        self._take_list(items, _number(version) or 0)
        self._seen, self._seen_number = version, _number(version) or 0
        self.synced.set()

    async def _pages(self, *, limit: int) -> tuple[dict[str, Object], str]:
        """Every object by key, and the resourceVersion they are as of."""
        items: dict[str, Object] = {}
        continue_ = ""
        while True:
            page = await self._client.list(
                self.resource,
                namespace=self._namespace,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                limit=limit,
                continue_=continue_,
            )
            for obj in page.get("items") or ():
                self._keep(obj)
                items[key_of(obj)] = obj
            metadata = page.get("metadata") or {}
            continue_ = metadata.get("continue") or ""
            if not continue_:
                return items, metadata.get("resourceVersion") or ""
            await asyncio.sleep(0)

    def _take_list(self, items: dict[str, Object], version: int) -> None:
        newer = {key: obj for key, obj in self._put_meanwhile.items() if (_number(resource_version_of(obj)) or 0) > version}
        self._put_meanwhile.clear()
        items |= newer
        known = self._cache.keys()
        for key in known:
            if key not in items:
                self._replace(key, None)
        for key, obj in items.items():
            self._replace(key, obj)
        self._unconfirmed = set(newer)

    # --- watching -----------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Follow one watch to its end. Raises what ended it, unless the server just closed it."""
        asked_s = self._rng.randint(*WATCH_S)
        watch = self._client.watch(
            self.resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version=self._seen,
            timeout_s=asked_s,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(asked_s + WATCH_GRACE_S), aclosing(watch):
                await self._follow(watch)
        finally:
            if loop.time() - began > 1:
                self._useful()

    async def _follow(self, watch: AsyncIterator[WatchEvent]) -> None:
        count = 0
        async for event in watch:
            self._take_event(event)
            count += 1
            if count == 1:
                self._useful()
            if count % _TURN == 0:
                await asyncio.sleep(0)

    def _take_event(self, event: WatchEvent) -> None:
        obj = event.object
        version = resource_version_of(obj)
        number = _number(version)
        if event.type != "BOOKMARK" and not self._is_repeated(number):
            self._keep(obj)
            key = key_of(obj)
            if not self._is_older(key, number):
                self._unconfirmed.discard(key)
                self._replace(key, None if event.type == "DELETED" else obj)
        if version and not self._is_repeated(number):
            self._seen, self._seen_number = version, number or 0

    def _is_repeated(self, number: int | None) -> bool:
        """Whether the watch has been past this version already: every event of a watch is newer than the one before."""
        return number is not None and number <= self._seen_number

    def _is_older(self, key: str, number: int | None) -> bool:
        """Whether `put` has brought this version already, or a newer one."""
        if key not in self._unconfirmed or number is None:
            return False
        cached = self._cache.get(key)
        if cached is None:
            return False
        cached_number = _number(resource_version_of(cached)) or 0
        if number == cached_number:
            self._unconfirmed.discard(key)
        return number <= cached_number

    # --- telling ------------------------------------------------------------------------------------------------------

    def _keep(self, obj: Object) -> None:
        """Make it one for the cache. The items of lists do not say what they are; objects of the cache do. They have no managedFields:
        nobody here reads them, they are a third of a pod's memory, and an update without them leaves the server's as they are (upstream
        trims them, too). And they share what they have in common."""
        obj.get("metadata", {}).pop("managedFields", None)
        if "kind" not in obj:
            obj["kind"] = self.resource.kind
            obj["apiVersion"] = self.resource.api_version
        self._sharing.share(obj)

    def _replace(self, key: str, new: Object | None) -> None:
        """Change one key of the cache and tell everyone; nothing happens where nothing differs."""
        old = self._cache.get(key)
        if old is None and new is None:
            return
        if old is not None and new is not None:
            was, now = old.get("metadata", {}), new.get("metadata", {})
            if was.get("uid") != now.get("uid"):  # deleted and made again while nobody watched
                self._replace(key, None)
                old = None
            elif was.get("resourceVersion") == now.get("resourceVersion"):
                return
        self._cache.set(key, new)
        for handler in self._handlers:
            self._tell(handler, old, new)

    def _tell(self, handler: Handler, old: Object | None, new: Object | None) -> None:
        try:
            handler(old, new)
        except Exception:
            _log.exception("%s: a handler failed", self.resource.qualified)


def _number(version: str) -> int | None:
    """A resourceVersion as the number that it is, upstream promises (KEP-5504); None where it is not."""
    return int(version) if version.isdecimal() and len(version) < 40 else None


class Informers:
    """One shared informer for each (resource, namespace, selectors)."""

    def __init__(self, client: Client, *, rng: random.Random) -> None:
        self._client, self._rng = client, rng
        self._informers: dict[tuple[Resource, str | None, str, str], Informer] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._failed: asyncio.Future[None] | None = None

    def of(self, resource: Resource, *, label_selector: str = "", field_selector: str = "", namespace: str | None = None) -> Informer:
        """The informer for that; a new one is started at once when the others are running."""
        identity = (resource, namespace, label_selector, field_selector)
        found = self._informers.get(identity)
        if found is None:
            found = Informer(
                self._client,
                resource,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                rng=random.Random(self._rng.getrandbits(64)),
            )
            self._informers[identity] = found
            if self._failed is not None:
                self._start(found)
        return found

    async def run(self) -> None:
        """Run them all, until cancelled."""
        self._failed = asyncio.get_running_loop().create_future()
        for informer in self._informers.values():
            self._start(informer)
        try:
            await self._failed
        finally:
            self._failed = None
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks.clear()

    def _start(self, informer: Informer) -> None:
        task = asyncio.create_task(informer.run(), name=f"informer {informer.resource.qualified}")
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Informers end only by being cancelled; should one fail of a bug, all do, and loudly."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def wait_synced(self) -> None:
        """Wait until every informer asked for so far has its first list."""
        waited: set[int] = set()
        while todo := [each for each in self._informers.values() if id(each) not in waited]:
            for informer in todo:
                await informer.wait_synced()
                waited.add(id(informer))

    def scoped(self) -> Informers:
        """The same informers, through a view whose `wait_synced` waits only for those asked for through it."""
        return _Scoped(self)


class _Scoped(Informers):
    def __init__(self, whole: Informers) -> None:
        super().__init__(whole._client, rng=whole._rng)
        self._whole = whole

    def of(self, resource: Resource, *, label_selector: str = "", field_selector: str = "", namespace: str | None = None) -> Informer:
        found = self._whole.of(resource, label_selector=label_selector, field_selector=field_selector, namespace=namespace)
        self._informers[(resource, namespace, label_selector, field_selector)] = found
        return found

    async def run(self) -> None:
        raise RuntimeError("a scoped view is not run: run the informers it was made of")
