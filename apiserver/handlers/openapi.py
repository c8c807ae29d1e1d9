"""`/openapi/v2` and `/openapi/v3`: documents made on first use, kept, and served with what caches need.

Pure: kinds and definitions in, answers out; when the kinds change (custom resources), make a new `OpenAPI`. v3's index gives each group
version a URL with a hash, under which the document never changes; the hash is of what a document is made from, so that asking for the
index makes none. Source: kube-openapi `handler`, `handler3`. What the documents say is in `openapi_v2.py` and `openapi_v3.py`.
"""

from __future__ import annotations

import gzip
import hashlib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs

import orjson

from apiserver.handlers import openapi_protobuf, openapi_v2, openapi_v3
from apiserver.handlers.openapi_paths import Operation, operations
from apiserver.handlers.openapi_schemas import V2, V3, Kept, Schema, custom_for_v2, published
from apiserver.handlers.request import JSON, Response
from apiserver.registry.kind import Kind
from kube.errors import NotAcceptable
from kube.resources import Resource
from kube.schema.definitions import Definitions

TITLE = "Kubernetes"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PROTOBUF_NAMES = frozenset({V2_PROTOBUF, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"})
_JSON_NAMES = frozenset({JSON, "*/*", "application/*"})
_GZIP_BYTES_MIN = 128 * 1024
_ONE_YEAR = "public, immutable, max-age=31536000"
_Kept = TypeVar("_Kept")


@dataclass(slots=True)
class _Document:
    """One document in one form."""

    body: bytes
    content_type: str
    etag: str = ""
    zipped: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.etag = f'"{hashlib.sha512(self.body).hexdigest().upper()}"'

    def gzip(self) -> bytes:
        if self.zipped is None:
            self.zipped = gzip.compress(self.body, compresslevel=1, mtime=0)
        return self.zipped


class OpenAPI:
    """The documents of one set of kinds. `version` is the server's (`v1.36.2`).

    `custom` are the schemas of custom resources, by the definition names that their kinds use, in OpenAPI v3. `before` are the documents
    of the kinds that there were: what it has of group versions whose kinds are the same objects is kept. `others` are the entries in v3's
    index of what others serve."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        definitions: Definitions,
        *,
        version: str,
        custom: Mapping[str, Schema] | None = None,
        before: OpenAPI | None = None,
        others: Mapping[str, Any] | None = None,
    ) -> None:
        self._others = dict(others or {})
        self._definitions = definitions
        self._version = version
        self._custom = dict(custom or {})
        self._kinds = _by_group_version(kinds)
        self._operations: dict[str, list[Operation]] = {}
        self._documents: dict[str, _Document] = {}
        self._schemas_v3: dict[str, Schema | None] = {}
        self._hashes: dict[str, str] = {}
        self._items_v2: dict[str, dict[str, Kept]] = {}
        self._schemas_v2: dict[str, tuple[Any, Kept]] = {}
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: OpenAPI) -> None:
        self._schemas_v3 = before._schemas_v3
        self._schemas_v2 = {name: kept for name, kept in before._schemas_v2.items() if kept[0] is self._source(name)}
        for path, kinds in self._kinds.items():
            known = before._kinds.get(path, ())
            if len(known) == len(kinds) and all(map(operator.is_, known, kinds)):
                _copy(path, before._operations, self._operations)
                _copy(path, before._documents, self._documents)
                _copy(path, before._hashes, self._hashes)
                _copy(path, before._items_v2, self._items_v2)

    def _of(self, path: str) -> list[Operation]:
        """The operations of a group version."""
        found = self._operations.get(path)
        if found is None:
            found = [each for each in operations(self._kinds[path]) if _v3_path(each.resource) == path]
            self._operations[path] = found
        return found

    def answer(self, path: str, query: str = "", headers: Mapping[str, str] | None = None) -> Response | None:
        """The answer to a GET; None for a path that is none of these documents. `headers` have lower-case names. Raises NotAcceptable."""
        given = headers or {}
        plain = path.rstrip("/")
        if plain == "/openapi/v2":
            return _served(self._v2(given.get("accept", "")), given)
        if plain == "/openapi/v3":
            _must_take_json(given.get("accept", ""))
            return _served(self._kept("index", lambda: orjson.dumps(self._index())), given)
        name = plain.removeprefix("/openapi/v3/")
        if name == plain or name not in self._kinds:
            return None
        _must_take_json(given.get("accept", ""))
        return self._v3_answer(name, query, given)

    def _v3_answer(self, name: str, query: str, headers: Mapping[str, str]) -> Response:
        asked = parse_qs(query).get("hash", [""])[0]
        if asked and asked != self._hash(name):
            return Response(301, b"", JSON, [("location", self._url(name)), ("cache-control", "no-cache, no-store")])
        document = self._kept(name, lambda: orjson.dumps(self.v3(name)))
        return _served(document, headers, cache_control=_ONE_YEAR if asked else "no-cache, private")

    # --- what they say

    def v2(self) -> Any:
        """The v2 document, made anew."""
        all_operations = [each for path in self._kinds for each in self._of(path)]
        known: dict[str, Kept] = {}
        waiting = {name for each in all_operations for name in (each.body, each.answer) if name}
        while waiting:
            name = waiting.pop()
            schema = self._schema_v2(name)
            if schema is not None:
                known[name] = schema
                waiting.update(schema.references - known.keys())
        paths: dict[str, Kept] = {}
        for path in self._kinds:
            if path not in self._items_v2:
                self._items_v2[path] = openapi_v2.path_items(self._of(path), known)
            for name, item in self._items_v2[path].items():
                paths[name] = Kept(paths[name] | item) if name in paths else item
        return openapi_v2.document(paths, known, title=TITLE, version=self._version)

    def _source(self, name: str) -> Any:
        return self._custom[name] if name in self._custom else self._definitions.raw.get(name)

    def _schema_v2(self, name: str) -> Kept | None:
        kept, source = self._schemas_v2.get(name), self._source(name)
        if kept is None and source is not None:
            kept = source, Kept(custom_for_v2(source) if name in self._custom else published(name, source, V2))
            self._schemas_v2[name] = kept
        return kept[1] if kept is not None else None

    def v3(self, name: str) -> Any:
        """The v3 document of a group version (`apis/apps/v1`), made anew. Raises KeyError."""
        return openapi_v3.document(self._of(name), self._schema_v3, title=TITLE, version=self._version)

    def _schema_v3(self, name: str) -> Schema | None:
        if name in self._custom:
            return self._custom[name]
        if name not in self._schemas_v3:
            raw = self._definitions.raw.get(name)
            self._schemas_v3[name] = None if raw is None else published(name, raw, V3)
        return self._schemas_v3[name]

    def _index(self) -> Any:
        paths = self._others | {name: {"serverRelativeURL": self._url(name)} for name in self._kinds}
        return {"paths": dict(sorted(paths.items()))}

    def _url(self, name: str) -> str:
        return f"/openapi/v3/{name}?hash={self._hash(name)}"

    def _hash(self, name: str) -> str:
        """Of everything that the document is made from; never made twice."""
        found = self._hashes.get(name)
        if found is None:
            here = self._of(name)
            own = {each: self._custom[each] for operation in here for each in (operation.body, operation.answer) if each in self._custom}
            source = repr((self._version, self._definitions.version, here)).encode() + orjson.dumps(own, option=orjson.OPT_SORT_KEYS)
            found = self._hashes[name] = hashlib.sha512(source).hexdigest().upper()
        return found

    def _v2(self, accept: str) -> _Document:
        for media in _media_types(accept):
            if media in _V2_PROTOBUF_NAMES:
                return self._kept("v2 protobuf", lambda: openapi_protobuf.encode(self.v2()), V2_PROTOBUF)
            if media in _JSON_NAMES:
                return self._kept("v2", lambda: orjson.dumps(self.v2()))
        raise _refusal()

    def _kept(self, name: str, make: Any, content_type: str = JSON) -> _Document:
        found = self._documents.get(name)
        if found is None:
            found = self._documents[name] = _Document(make(), content_type)
        return found


def _copy(key: str, source: Mapping[str, _Kept], target: dict[str, _Kept]) -> None:
    if key in source:
        target[key] = source[key]


def _by_group_version(kinds: Iterable[Kind]) -> dict[str, list[Kind]]:
    """The kinds that each document is about."""
    found: dict[str, list[Kind]] = {}
    for kind in kinds:
        for path in dict.fromkeys(_v3_path(each) for each in (kind.resource, *(each.resource for each in kind.conversions))):
            found.setdefault(path, []).append(kind)
    return found


def _v3_path(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _media_types(accept: str) -> list[str]:
    return [clause.partition(";")[0].strip() for clause in accept.split(",")] if accept.strip() else ["*/*"]


def _must_take_json(accept: str) -> None:
    if not _JSON_NAMES.intersection(_media_types(accept)):
        raise _refusal()


def _refusal() -> NotAcceptable:
    return NotAcceptable(f"only the following media types are accepted: {JSON}")


def _served(document: _Document, headers: Mapping[str, str], *, cache_control: str = "no-cache, private") -> Response:
    shown = [("etag", document.etag), ("vary", "Accept-Encoding, Accept"), ("cache-control", cache_control)]
    if headers.get("if-none-match") == document.etag:
        return Response(304, b"", document.content_type, shown)
    if len(document.body) >= _GZIP_BYTES_MIN and "gzip" in headers.get("accept-encoding", ""):
        return Response(200, document.gzip(), document.content_type, [*shown, ("content-encoding", "gzip")])
    return Response(200, document.body, document.content_type, shown)
