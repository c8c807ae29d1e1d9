"""GET of one object and of lists. Bytes are joined, not encoded anew, unless another form or version is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from apiserver.handlers import continue_token
from apiserver.handlers.negotiation import Form, error_media, negotiate
from apiserver.handlers.options import ListOptions, list_options, parse_version, too_large, version_number
from apiserver.handlers.request import YAML, Answer, Request, Response, StreamResponse
from apiserver.handlers.table import include_policy, partial, table, version_of
from apiserver.handlers.write_options import read_bool
from apiserver.registry.cache import Entry
from apiserver.registry.registry import Served
from apiserver.store.base import Compacted, FutureRevision
from kube.errors import ApiError, BadRequest, Expired, NotAcceptable
from kube.objects import Object
from kube.schema import goyaml_dump

PIECE_ITEMS: Final = 200
"""How many items of a list are made and sent at once: some 600 kB of pods."""


def shown(served: Served, obj: Object) -> Object:
    """An object of the hub in the version that was asked for (converted in place)."""
    if served.conversion is not None:
        served.conversion.from_hub(obj)
        obj["kind"], obj["apiVersion"] = served.resource.kind, served.resource.api_version
    return obj


def document(form: Form, status: int, value: Any) -> Response:
    """An answer in the media type that was asked for."""
    if form.media == YAML:
        return Response(status, goyaml_dump.dump(value), YAML)
    return Response(status, orjson.dumps(value))


def error_response(error: ApiError, accept: str) -> Response:
    """A failure as its Status, in the media type that was asked for."""
    headers = list(error.headers.items())
    wait_s = (error.details or {}).get("retryAfterSeconds")
    if wait_s and "Retry-After" not in error.headers:
        headers.append(("Retry-After", str(wait_s)))
    answer = document(Form(error_media(accept)), error.http_code, error.status)
    answer.headers += headers
    return answer


def object_response(
    request: Request, served: Served, obj: Object, *, status: int = 200, body: bytes | None = None, tables: bool = True
) -> Response:
    """An object (in the hub version) as the client wants it; `body` is its JSON where the server has it already."""
    form = negotiate(request.header(b"accept"), tables=tables)
    if form.as_ == "PartialObjectMetadataList":
        raise _no_list(served)
    if not form.as_ and form.media != YAML and body is not None and served.conversion is None:
        return Response(status, body)
    if form.as_ == "Table":
        return document(form, status, _table(request, served, form, [obj], version_of(obj)))
    if form.as_ == "PartialObjectMetadata":
        return document(form, status, partial(obj, form, served.registry.kind))
    return document(form, status, shown(served, obj))


def _table(request: Request, served: Served, form: Form, objects: Iterable[Object], metadata: Object) -> Object:
    include, now = include_policy(request.param("includeObject")), request.server.clock.now()
    return table(
        served.registry.kind, objects, now, metadata=metadata, include=include, version=form.version, shown=lambda obj: shown(served, obj)
    )


def _no_list(served: Served) -> ApiError:
    """One object, asked for as a list of metadata."""
    if served.registry.kind.custom is not None:
        return ApiError("content is not a list", code=500, reason="")  # unstructured content is looked into, not at its type
    what = f"{_internal(served)}.{served.resource.kind}"
    return NotAcceptable(f"you requested PartialObjectMetadataList, but the requested object is not a list (*{what})")


def _internal(served: Served) -> str:
    """How upstream's messages call the internal package of a group."""
    group = served.resource.group
    return group.split(".", 1)[0] if group else "core"


async def get(request: Request, served: Served, *, tables: bool = True) -> Response:
    """GET of one object, or of a subresource that is the object (status)."""
    form = negotiate(request.header(b"accept"), tables=tables)
    registry, info = served.registry, request.info
    _check_no_export(request)
    await check_version(request, served)
    cache = registry.cache
    namespace = info.namespace if registry.resource.namespaced else ""
    entry = await registry.entry(namespace, info.name)
    if not form.as_ and form.media != YAML and served.conversion is None:
        return Response(200, cache.encoding.served(entry.value, entry.revision))
    return object_response(request, served, cache.object_of(entry), tables=tables)


async def check_version(request: Request, served: Served) -> None:
    """A GET waits until the server is as new as it asks for. Raises Timeout, and ApiError for what is no resourceVersion."""
    version = version_number(request.param("resourceVersion"))
    if version and version > (current := await served.registry.cache.catch_up()):
        raise too_large(version, current, cached=served.registry.kind.is_cached)


def _check_no_export(request: Request) -> None:
    """Clients of long ago asked for objects to be exported; they are told that this is no more. Raises BadRequest."""
    if "export" in request.query and read_bool(request.param("export")):
        raise BadRequest("the export parameter, deprecated since v1.14, is no longer supported")


async def list_(request: Request, served: Served) -> Answer:
    """GET of a collection."""
    form = negotiate(request.header(b"accept"))
    options = list_options(request, served)
    namespace = request.info.namespace if served.registry.resource.namespaced else ""
    entries, metadata = await select(served, options, namespace)
    if len(entries) > PIECE_ITEMS and _is_as_stored(served, form):
        return _long_list(served, entries, metadata)
    return list_response(request, served, form, entries, metadata)


def list_response(request: Request, served: Served, form: Form, entries: list[Entry], metadata: Object) -> Response:
    """A list of entries in the wanted form. Raises NotAcceptable."""
    cache, kind = served.registry.cache, served.registry.kind
    if form.as_ == "PartialObjectMetadata":
        what = f"{_internal(served)}.{kind.list_kind}" if kind.custom is None else "unstructured.UnstructuredList"
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list (*{what})")
    if _is_as_stored(served, form):
        return Response(200, b"".join((_list_head(served, metadata), _items(served, entries), b"]}")))
    if kind.custom is not None and not form.as_:
        metadata = {"continue": "", **metadata}
    if form.as_ == "Table":
        return document(form, 200, _table(request, served, form, map(cache.object_of, entries), metadata))
    if form.as_ == "PartialObjectMetadataList":
        items = [partial(cache.object_of(entry), form, kind) for entry in entries]
        api_version = f"meta.k8s.io/{form.version}"
        value = {"kind": "PartialObjectMetadataList", "apiVersion": api_version, "metadata": metadata, "items": items or None}
        return document(form, 200, value)
    objects = (shown(served, cache.object_of(entry)) for entry in entries)
    dropped = ("kind", "apiVersion") if kind.custom is None else ()
    plain = [{key: value for key, value in obj.items() if key not in dropped} for obj in objects]
    return document(form, 200, {"kind": kind.list_kind, "apiVersion": served.resource.api_version, "metadata": metadata, "items": plain})


def _is_as_stored(served: Served, form: Form) -> bool:
    """Whether the answer is a join of stored bytes."""
    return not form.as_ and form.media != YAML and served.conversion is None


def _list_head(served: Served, metadata: Object) -> bytes:
    """A list up to its first item."""
    kind = served.registry.kind
    if kind.custom is not None:
        metadata = {"continue": "", **metadata}
    start = f'{{"kind":"{kind.list_kind}","apiVersion":"{served.resource.api_version}","metadata":'
    return b"".join((start.encode(), orjson.dumps(metadata), b',"items":['))


def _items(served: Served, entries: Sequence[Entry]) -> bytes:
    encoding = served.registry.cache.encoding
    head, cut = encoding.item_head if served.registry.kind.custom is None else encoding.head, encoding.cut
    parts: list[bytes] = []
    for each in entries:
        parts += (b",", head, b"%d" % each.revision, b'",', each.value[cut:])
    return b"".join(parts[1:])


def _long_list(served: Served, entries: list[Entry], metadata: Object) -> StreamResponse:
    """A list made, encrypted and sent piece by piece, so that its client can read while the rest is made. Nothing holds it whole."""
    encoding, head = served.registry.cache.encoding, _list_head(served, metadata)
    item_bytes = encoding.item_bytes if served.registry.kind.custom is None else encoding.served_bytes
    size = len(head) + sum([item_bytes(each.value, each.revision) for each in entries]) + len(entries) - 1 + len(b"]}")

    async def pieces() -> AsyncIterator[bytes]:
        before = head
        for at in range(0, len(entries), PIECE_ITEMS):
            yield b"".join((before, _items(served, entries[at : at + PIECE_ITEMS])))
            before = b","
        yield b"]}"

    return StreamResponse(200, pieces(), headers=[("content-length", str(size))])


async def select(served: Served, options: ListOptions, namespace: str) -> tuple[list[Entry], Object]:
    """The entries a list answers with, and the list's metadata. Raises Expired, BadRequest, Timeout."""
    cache = served.registry.cache
    current = await cache.catch_up()
    if options.resource_version == "0":
        options = replace(options, limit=0)  # upstream's watch cache answers these whole
    if options.continue_:
        if options.resource_version and options.resource_version != "0":
            raise BadRequest("specifying resource version is not allowed when using continue")
        revision, start = continue_token.decode(options.continue_)
        revision = current if revision == continue_token.INCONSISTENT else revision
        return await _at_revision(served, options, namespace, revision, start)
    asked = parse_version(options.resource_version) if options.resource_version else 0
    exact = options.resource_version_match == "Exact" or (
        asked and options.limit and not options.resource_version_match and not _is_single(served, options, namespace)
    )
    if asked > current:
        raise too_large(asked, current, cached=served.registry.kind.is_cached and not exact)
    if exact and asked and asked < current:
        return await _at_revision(served, options, namespace, asked, "")
    return _present(served, options, namespace, asked if exact else current)


def _is_single(served: Served, options: ListOptions, namespace: str) -> bool:
    """Whether the selector leaves one key only: then it is looked up, not listed."""
    return bool(options.name) and served.registry.resource.namespaced is bool(_within(served, options, namespace))


def _within(served: Served, options: ListOptions, namespace: str) -> str:
    """The namespace to look in: the path's, or else the one that the field selector leaves; "" for all."""
    return namespace or (options.namespace if served.registry.resource.namespaced else "")


def _present(served: Served, options: ListOptions, namespace: str, revision: int) -> tuple[list[Entry], Object]:
    cache = served.registry.cache
    metadata: Object = {"resourceVersion": str(revision)}
    within = _within(served, options, namespace)
    if _is_single(served, options, namespace):
        found = cache.get(within, options.name)
        return [found] if found is not None and options.matches(cache, found) else [], metadata
    if not options.limit:
        if not options.selects:
            return list(cache.entries(within)), metadata
        return options.select(cache, cache.entries(within)), metadata
    out: list[Entry] = []
    for entry in cache.entries(within):
        if len(out) == options.limit:
            _go_on(metadata, options, cache.prefix, namespace, out[-1], revision, rest=cache.count(within) - options.limit)
            break
        if not options.selects or options.matches(cache, entry):
            out.append(entry)
    return out, metadata


def _go_on(metadata: Object, options: ListOptions, prefix: str, namespace: str, last: Entry, revision: int, *, rest: int) -> None:
    """Say where a full page is to be gone on from. There is a next page wherever there is another key, whether it is selected or not;
    how many there are left (`rest`) is told where nothing is selected."""
    metadata["continue"] = continue_token.encode(revision, last.key.removeprefix(_prefix(prefix, namespace)))
    if not options.selects:
        metadata["remainingItemCount"] = rest


def _prefix(prefix: str, namespace: str) -> str:
    return f"{prefix}{namespace}/" if namespace else prefix


async def _at_revision(served: Served, options: ListOptions, namespace: str, revision: int, start: str) -> tuple[list[Entry], Object]:
    """A list as of an older revision, from the store's log; pages until `limit` matching entries are found."""
    registry = served.registry
    cache = registry.cache
    prefix = _prefix(cache.prefix, namespace)
    out: list[Entry] = []
    key = prefix + start
    metadata: Object = {"resourceVersion": str(revision)}
    while True:
        try:
            page = await registry.store.list(prefix, start=key, limit=options.limit + 1 if options.limit else 0, revision=revision)
        except Compacted as error:
            raise _expired(options, key.removeprefix(prefix)) from error
        except FutureRevision as error:
            raise too_large(revision, error.current, cached=False) from error
        for index, kv in enumerate(page.items):
            if options.limit and len(out) == options.limit:
                rest = len(page.items) - index + page.remaining
                _go_on(metadata, options, cache.prefix, namespace, out[-1], revision, rest=rest)
                return out, metadata
            entry = cache.entry_of(kv)
            if not options.selects or options.matches(cache, entry):
                out.append(entry)
        if not page.remaining or not page.items:
            return out, metadata
        key = page.items[-1].key + "\0"


class _PageExpired(Expired):
    """410 for a continue token, with another token to go on with all the same."""

    # the reason that goes over the wire is Expired's; these two keep this class out of the way of `kube.errors.from_status`
    code, reason = 0, "PageExpired"

    def __init__(self, message: str, token: str) -> None:
        super().__init__(message, code=Expired.code, reason=Expired.reason)
        self._token = token

    @property
    def status(self) -> Object:
        return {**super().status, "metadata": {"continue": self._token}}


def _expired(options: ListOptions, start: str) -> Expired:
    if options.continue_:
        return _PageExpired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
            "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided "
            "token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was "
            "returned and now may show up in the list.",
            continue_token.encode(continue_token.INCONSISTENT, start.removesuffix("\0")),
        )
    return Expired("The resourceVersion for the provided list is too old.")
