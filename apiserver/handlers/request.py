"""One request as the handlers see it, and the answers they give. Knows HTTP and no kind."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from apiserver.pipeline.query import parse_query
from apiserver.pipeline.request_info import RequestInfo
from apiserver.registry.alike import Likeness
from apiserver.registry.kind import Context, User
from kube.clock import rfc3339
from kube.errors import ApiError, BadRequest, RequestEntityTooLarge
from kube.objects import Object
from kube.schema.gotime import GoTimeError, parse_duration

if TYPE_CHECKING:
    from apiserver.handlers.server import Server

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_BYTES_MAX: Final = 3 * 1024 * 1024
JSON: Final = "application/json"
YAML: Final = "application/yaml"
MANAGER_LENGTH_MAX: Final = 128
TIMEOUT_S_MAX: Final = 60.0
"""Upstream's --request-timeout."""
WARNINGS_LENGTH_MAX: Final = 4096
WARNING_LENGTH_MAX: Final = 256
"""How long each warning may be once all of them would be longer than that."""


@dataclass(slots=True)
class Response:
    """A complete answer; `content_type` "" sends none."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class StreamResponse:
    """An answer whose body comes in pieces; the iterator is closed when the client goes away."""

    status: int
    chunks: AsyncIterator[bytes]
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)


Answer = Response | StreamResponse


PAGE_NOT_FOUND: Final = Response(404, b"404 page not found\n", "text/plain; charset=utf-8")
"""What is answered where nobody serves a group or a version."""


def json_response(status: int, document: Any) -> Response:
    return Response(status, orjson.dumps(document))


class Request:
    """See the module. `server` holds what the handlers work with."""

    __slots__ = (
        "_body",
        "_query",
        "headers",
        "info",
        "likeness",
        "method",
        "receive",
        "scope",
        "sent",
        "server",
        "texts",
        "user",
        "warnings",
    )

    def __init__(self, scope: Scope, receive: Receive, info: RequestInfo, user: User, server: Server) -> None:
        self.scope, self.receive, self.info, self.user, self.server = scope, receive, info, user, server
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._query: dict[str, list[str]] | None = None
        self._body: bytes | None = None
        self.warnings: list[str] = []
        self.sent: Callable[[], Any] = dict
        """The body as it was parsed: see `Context.was_empty`."""
        self.texts: dict[str, bytes] = {}
        """See `Context.texts`."""
        self.likeness: Likeness | None = None
        """The body's place in the memory of its kind, where it has one."""

    @property
    def query(self) -> dict[str, list[str]]:
        if self._query is None:
            raw = self.scope["query_string"]
            self._query = parse_query(raw) if raw else {}
        return self._query

    def ask(self, query: dict[str, list[str]]) -> None:
        """Ask for something else than the client did: admission has changed it."""
        self._query = query

    def param(self, name: str) -> str:
        """The first value of a query parameter, "" where there is none."""
        values = self.query.get(name)
        return values[0] if values else ""

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    async def body(self) -> bytes:
        """The whole body. Raises RequestEntityTooLarge past 3 MiB, as soon as it is known."""
        if self._body is not None:
            return self._body
        length = self.headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > BODY_BYTES_MAX:
            raise _too_large()
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("the client closed the connection before the whole body was read")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > BODY_BYTES_MAX:
                raise _too_large()
            chunks.append(chunk)
            if not message.get("more_body"):
                break
        self._body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self._body

    def context(self, options: Object, *, verb: str = "") -> Context:
        """The Context of a write by this request."""
        now = self.server.clock.now()
        return Context(
            user=self.user,
            now=now,
            verb=verb or self.info.verb,
            subresource=self.info.subresource,
            dry_run=bool(options.get("dryRun")),
            field_manager=options.get("fieldManager") or self._agent(),
            timeout_s=self._timeout_s() if verb != "connect" else None,
            timestamp=rfc3339(now),
            warnings=self.warnings,
            sent=self.sent,
            texts=self.texts,
            likeness=self.likeness,
        )

    def _timeout_s(self) -> float:
        """How long this request may take: a minute, or less where `timeout` says so. Raises BadRequest."""
        given = self.param("timeout")
        if not given:
            return TIMEOUT_S_MAX
        try:
            asked = parse_duration(given) / 1e9
        except GoTimeError as error:
            raise BadRequest(f"invalid timeout specified in the request URL - {error}") from None
        return asked if 0 < asked < TIMEOUT_S_MAX else TIMEOUT_S_MAX

    def _agent(self) -> str:
        """The default field manager: the User-Agent up to its first slash."""
        agent = self.header(b"user-agent").split("/", 1)[0]
        if not agent.isprintable():
            agent = "".join(each for each in agent if each.isprintable())
        return agent[:MANAGER_LENGTH_MAX] or "unknown"


def _too_large() -> ApiError:
    return RequestEntityTooLarge(f"Request entity too large: limit is {BODY_BYTES_MAX}")


def warning_headers(warnings: list[str]) -> list[tuple[str, str]]:
    """`Warning: 299 - "..."`, one header each, duplicates once (RFC 7234, KEP-1693). What no header can hold is left out, what is too much
    is cut. Source: apiserver `pkg/endpoints/filters/warning.go`."""
    out = []
    for text in _fitting([each for each in dict.fromkeys(warnings) if each and not _control_re.search(each)]):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        out.append(("warning", f'299 - "{quoted}"'))
    return out


def _fitting(texts: list[str]) -> list[str]:
    if sum(map(len, texts)) <= WARNINGS_LENGTH_MAX:
        return texts
    fitting: list[str] = []
    length = 0
    for each in texts:
        if length >= WARNINGS_LENGTH_MAX:
            break
        fitting.append(each[:WARNING_LENGTH_MAX])
        length += len(fitting[-1])
    return fitting


_control_re: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CACHING: Final = (b"cache-control", b"no-cache, private")


def audit_id(scope: Scope) -> bytes:
    """What names this request in answers and audit events: the client's own Audit-Id, or a new one, once for each request."""
    found: bytes | None = scope.get("audit_id")
    if found is None:
        found = next((value for name, value in scope["headers"] if name == b"audit-id"), b"") or _new_audit_id()
        scope["audit_id"] = found
    return found


_PROCESS: Final = os.urandom(16).hex()
_count = itertools.count()


def _new_audit_id() -> bytes:
    """A UUID of this process and a number: as good a name as a random one, and made in a tenth of the time."""
    return b"%b%012x" % (_PREFIX, next(_count) & 0xFFFFFFFFFFFF)


_PREFIX: Final = f"{_PROCESS[:8]}-{_PROCESS[8:12]}-4{_PROCESS[13:16]}-a{_PROCESS[17:20]}-".encode()


def common_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What every answer carries. Source: apiserver `pkg/endpoints/filters/{cachecontrol,audit_init}.go`."""
    return [(b"audit-id", audit_id(scope)), _CACHING]


async def send_answer(answer: Answer, send: Send, scope: Scope, warnings: list[str]) -> None:
    """Put an answer on the wire."""
    if type(answer) is Response and answer.content_type and not answer.headers and not warnings and answer.status != 204:
        state = scope.get("state")
        whole = state.get("send_whole") if state else None
        if whole is not None and whole(send, answer.status, answer.content_type.encode(), audit_id(scope), answer.body):
            return
    headers = common_headers(scope)
    if any(name.lower() == "cache-control" for name, _ in answer.headers):
        headers.remove(_CACHING)
    if answer.content_type:
        headers.append((b"content-type", answer.content_type.encode()))
    headers += [(name.encode("latin-1"), value.encode("utf-8")) for name, value in (*answer.headers, *warning_headers(warnings))]
    if isinstance(answer, Response):
        if answer.status != 204:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": True})
    async for chunk in answer.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
