"""Watch streams: JSON lines, one per change, encoded once for all watchers who see the same form.

Order of a stream: the initial objects as ADDED (where the client asked for none or the newest state), then every change in revision
order, bookmarks in between, to the end: the client's time-out, its going away, the server's stop, or 410 for one who cannot keep up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import orjson

from apiserver.handlers.negotiation import Form, negotiate_stream
from apiserver.handlers.options import ListOptions, list_options, too_large, version_number
from apiserver.handlers.read import shown
from apiserver.handlers.request import Request, StreamResponse
from apiserver.handlers.table import include_policy, partial, table
from apiserver.registry.cache import ADDED, DELETED, Change, Entry, Watcher
from apiserver.registry.registry import Served
from kube.errors import ApiError, BadRequest, Expired, Timeout
from kube.objects import Object
from kube.schema.strict import zero_of

TIMEOUT_MIN_S: Final = 1800
CHUNK_CHANGES_MAX: Final = 500
BOOKMARK_BEFORE_END_S: Final = 2.0
CLOCK_SLACK_S: Final = 0.001
"""Timers may come this much early."""
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


async def watch(request: Request, served: Served) -> StreamResponse:
    """GET with watch=1, of a collection or of one object. Raises what a list raises, and Expired for a version that is forgotten."""
    form = negotiate_stream(request.header(b"accept"))
    options = list_options(request, served)
    include = include_policy(request.param("includeObject")) if form.as_ == "Table" else ""
    name = request.info.name
    if name and not options.field_selector.is_empty and options.name != name:
        raise BadRequest("fieldSelector metadata.name doesn't match requested name")
    stream = _Stream(request, served, form, options, include, name)
    try:
        await stream.open()
    except (Expired, Timeout) as error:
        return StreamResponse(200, _refusal(error))
    return StreamResponse(200, stream.chunks())


async def _refusal(error: ApiError) -> AsyncIterator[bytes]:
    """A watch that cannot begin at its version says so in an event of its own: upstream answers no such request with a failure."""
    yield _error_line(error)


def _error_line(error: ApiError) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": error.status}) + b"\n"


class _Stream:
    """One watch. `open` fails early (the answer is then a Status); `chunks` is the body."""

    def __init__(self, request: Request, served: Served, form: Form, options: ListOptions, include: str, name: str) -> None:
        self._request, self._served, self._form, self._options, self._include = request, served, form, options, include
        self._cache = served.registry.cache
        self._namespace = (request.info.namespace or options.namespace) if served.registry.resource.namespaced else ""
        self._name = name or options.name
        self._initial: list[Entry] = []
        self._bookmark_initial = False
        self._watcher: Watcher | None = None
        self._columns_sent = False
        self._form_key = (served.resource.version, form.as_, form.version, include)
        self._shares = (self._form_key, self._namespace, self._name) if form.as_ != "Table" and not options.selects else None
        self._start_revision = 0
        self._is_due = False

    async def open(self) -> None:
        cache, options = self._cache, self._options
        asked = version_number(options.resource_version)
        current = await cache.catch_up()
        if options.send_initial_events and asked > current:
            raise too_large(asked, current)
        wants_state = options.send_initial_events if options.send_initial_events is not None else asked == 0
        if wants_state:
            self._initial = [
                entry
                for entry in cache.entries(self._namespace)
                if (not self._name or entry.name == self._name) and (not options.selects or options.matches(cache, entry))
            ]
        self._start_revision = current
        after = current if wants_state or asked == 0 else asked  # a version of the future: nothing is sent until it is past
        self._watcher = await cache.watch(self._namespace, self._name, after, field=options.exact_field(cache))
        self._bookmark_initial = bool(options.bookmarks and options.send_initial_events)

    async def chunks(self) -> AsyncIterator[bytes]:
        watcher, server = self._watcher, self._request.server
        assert watcher is not None
        loop = asyncio.get_running_loop()
        timeout = self._options.timeout_s
        end = loop.time() + (timeout if timeout else TIMEOUT_MIN_S * (1 + server.rng.random()))
        timer = loop.call_at(self._next_bookmark(end), self._due)
        try:
            for start in range(0, len(self._initial), CHUNK_CHANGES_MAX):
                lines = [self._line(ADDED, Change(ADDED, entry, None)) for entry in self._initial[start : start + CHUNK_CHANGES_MAX]]
                yield b"".join(lines)
            self._initial = []
            if self._bookmark_initial:
                yield self._bookmark(self._start_revision, initial_end=True)
            while not server.stopping:
                await watcher.ready.wait()
                changes, is_due, self._is_due = watcher.take(), self._is_due, False
                for start in range(0, len(changes), CHUNK_CHANGES_MAX):
                    chunk = self._chunk(changes[start : start + CHUNK_CHANGES_MAX] if len(changes) > CHUNK_CHANGES_MAX else changes)
                    if chunk:
                        yield chunk
                if watcher.cut_off or watcher.is_lost:
                    yield _error_line(Expired("too old resource version: the watcher fell too far behind"))
                    break
                if watcher.ended:
                    break
                if is_due:
                    if loop.time() + CLOCK_SLACK_S >= end:
                        break
                    timer = loop.call_at(self._next_bookmark(end), self._due)
                    if self._options.bookmarks and (revision := await self._passed()):
                        yield self._bookmark(revision)
        finally:
            timer.cancel()
            watcher.close()

    def _next_bookmark(self, end: float) -> float:
        """In about a minute, and shortly before the end, so that who watches on can begin close to it; then at the end."""
        server, now = self._request.server, asyncio.get_running_loop().time()
        at = min(now + server.bookmark_s * (0.9 + 0.2 * server.rng.random()), end - BOOKMARK_BEFORE_END_S)
        return at if at > now + CLOCK_SLACK_S else end

    def _due(self) -> None:
        """It is time for a bookmark, or for the end."""
        assert self._watcher is not None
        self._is_due = True
        self._watcher.ready.set()

    async def _passed(self) -> int:
        """The revision up to which everything has been sent, so that a client may go on from it; 0 where something waits to be sent."""
        watcher = self._watcher
        assert watcher is not None
        try:
            revision = await self._cache.catch_up()
        except ApiError:  # what has happened cannot be converted: the watch is about to end
            return 0
        waits = watcher.changes or watcher.subscription is not None or revision < watcher.after
        return 0 if waits else revision

    def _chunk(self, changes: list[Change]) -> bytes:
        """The lines of some changes. Those who watch the same in the same form share it."""
        if self._shares is None:
            return b"".join(self._lines(changes))
        chunk = self._cache.shared(self._shares, changes)
        if chunk is None:
            chunk = b"".join(self._lines(changes))
            self._cache.share(self._shares, changes, chunk)
        return chunk

    def _lines(self, changes: list[Change]) -> list[bytes]:
        """The lines of some changes for this watcher: selectors decide whether one is ADDED, MODIFIED, DELETED or none to it."""
        options, cache = self._options, self._cache
        if not options.selects:
            return [self._line(change.type, change) for change in changes]
        out = []
        for change in changes:
            before = change.previous is not None and options.matches(cache, change.previous)
            now = change.type != DELETED and options.matches(cache, change.entry)
            if now:
                out.append(self._line("MODIFIED" if before else ADDED, change))
            elif before:
                out.append(self._line(DELETED, change))
        return out

    def _line(self, kind: str, change: Change) -> bytes:
        key = (kind, self._form_key) if self._form.as_ != "Table" else (kind, self._form_key, self._columns_sent)
        line = change.encoded.get(key)
        if line is None:
            line = change.encoded[key] = self._encode(kind, change)
        self._columns_sent = True
        return line

    def _encode(self, kind: str, change: Change) -> bytes:
        entry = change.entry
        value = entry.value
        if kind == DELETED and change.type != DELETED and change.previous is not None:
            value = change.previous.value  # it left the selection: its last state that was in it, at the revision of the change
        encoding = self._cache.encoding
        if not self._form.as_ and self._served.conversion is None:
            body = encoding.served(value, entry.revision)
        else:
            body = orjson.dumps(self._shape(encoding.decode(value, entry.revision)))
        return b"".join((b'{"type":"', kind.encode(), b'","object":', body, b"}\n"))

    def _shape(self, obj: Object) -> Object:
        if self._form.as_ == "Table":
            return self._table(obj)
        return partial(obj, self._form, self._served.registry.kind) if self._form.as_ else shown(self._served, obj)

    def _table(self, obj: Object) -> Object:
        """A Table of one row; only the first of a stream has the columns."""
        return table(
            self._served.registry.kind,
            [obj],
            self._request.server.clock.now(),
            metadata={"resourceVersion": obj["metadata"]["resourceVersion"]},
            include=self._include,
            version=self._form.version,
            columns=not self._columns_sent,
            shown=lambda each: shown(self._served, each),
        )

    def _bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(revision)}
        if initial_end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        obj = self._shape({**_empty(self._served), "metadata": metadata})
        self._columns_sent = True
        return orjson.dumps({"type": "BOOKMARK", "object": obj}) + b"\n"


def _empty(served: Served) -> Object:
    """An object of the hub version with nothing in it, as Go writes one."""
    registry, resource = served.registry, served.registry.resource
    obj: Object = {"kind": resource.kind, "apiVersion": resource.api_version, **zero_of(registry.type)}
    scale = registry.kind.scale
    if scale is not None and "spec" in obj and scale.replicas_path == ("spec", "replicas"):
        obj["spec"]["replicas"] = 0  # upstream's internal types hold it by value
    return obj
