"""`/openapi/v2` and `/openapi/v3`: documents made on first use, kept, and served with what caches need.

Pure: kinds and definitions in, answers out; when the kinds change (custom resources), make a new `OpenAPI`. v3's index gives each group
version a URL with a hash, under which the document never changes; the hash is of what a document is made from, so that asking for the
index makes none. Source: kube-openapi `handler`, `handler3`. What the documents say is in `openapi_v2.py` and `openapi_v3.py`.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

from apiserver.handlers import openapi_protobuf, openapi_v2, openapi_v3
from apiserver.handlers.openapi_paths import Operation, operations
from apiserver.handlers.openapi_schemas import V2, V3, Schema, custom_for_v2, published, references
from apiserver.handlers.request import JSON, Response
from apiserver.registry.kind import Kind
from kube.errors import NotAcceptable
from kube.schema.definitions import Definitions

TITLE = "Kubernetes"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_PROTOBUF_NAMES = frozenset({V2_PROTOBUF, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"})
_JSON_NAMES = frozenset({JSON, "*/*", "application/*"})
_GZIP_BYTES_MIN = 128 * 1024
_ONE_YEAR = "public, immutable, max-age=31536000"


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

    `custom` are the schemas of custom resources, by the definition names that their kinds use, in OpenAPI v3."""

    def __init__(
        self, kinds: Iterable[Kind], definitions: Definitions, *, version: str, custom: Mapping[str, Schema] | None = None
    ) -> None:
        self._definitions = definitions
        self._version = version
        self._custom = dict(custom or {})
        self._by_path: dict[str, list[Operation]] = {}
        for each in operations(kinds):
            self._by_path.setdefault(_v3_path(each), []).append(each)
        self._documents: dict[str, _Document] = {}
        self._schemas_v3: dict[str, Schema | None] = {}
        self._hashes: dict[str, str] = {}

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
        if name == plain or name not in self._by_path:
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
        all_operations = [each for here in self._by_path.values() for each in here]
        known: dict[str, Schema] = {}
        waiting = {name for each in all_operations for name in (each.body, each.answer) if name}
        while waiting:
            name = waiting.pop()
            schema = self._schema_v2(name)
            if schema is not None:
                known[name] = schema
                waiting.update(each for each in references(schema, V2) if each not in known)
        return openapi_v2.document(all_operations, known, title=TITLE, version=self._version)

    def _schema_v2(self, name: str) -> Schema | None:
        if name in self._custom:
            custom: Schema = custom_for_v2(self._custom[name])
            return custom
        raw = self._definitions.raw.get(name)
        return None if raw is None else published(name, raw, V2)

    def v3(self, name: str) -> Any:
        """The v3 document of a group version (`apis/apps/v1`), made anew. Raises KeyError."""
        return openapi_v3.document(self._by_path[name], self._schema_v3, title=TITLE, version=self._version)

    def _schema_v3(self, name: str) -> Schema | None:
        if name in self._custom:
            return self._custom[name]
        if name not in self._schemas_v3:
            raw = self._definitions.raw.get(name)
            self._schemas_v3[name] = None if raw is None else published(name, raw, V3)
        return self._schemas_v3[name]

    def _index(self) -> Any:
        return {"paths": {name: {"serverRelativeURL": self._url(name)} for name in sorted(self._by_path)}}

    def _url(self, name: str) -> str:
        return f"/openapi/v3/{name}?hash={self._hash(name)}"

    def _hash(self, name: str) -> str:
        """Of everything that the document is made from; never made twice."""
        found = self._hashes.get(name)
        if found is None:
            here = self._by_path[name]
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


def _v3_path(operation: Operation) -> str:
    resource = operation.resource
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
