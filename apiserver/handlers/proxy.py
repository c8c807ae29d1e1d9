"""The reverse proxy behind pods/{name}/proxy, services/{name}/proxy and nodes/{name}/proxy: every method, both bodies streamed.

What belongs to one connection only stays there (hop-by-hop headers, the client's credentials), a Location that leads back to the backend
is led back here, and upgrades are passed through. Read `proxy_target.py` for where it goes.
Source: apimachinery `pkg/util/proxy/upgradeaware.go` and `transport.go`, Go's `httputil.ReverseProxy`.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from apiserver.handlers import proxy_target
from apiserver.handlers.backends import DialError, Line
from apiserver.handlers.client_watch import cancelled, while_there
from apiserver.handlers.http_exchange import HOP_BY_HOP, BadAnswer, Body, Head, has_body, read_head, request_head
from apiserver.handlers.proxy_target import Target
from apiserver.handlers.request import Answer, Request, Response, StreamResponse
from apiserver.handlers.upgrade import is_upgrade, pass_through
from kube.errors import BadRequest, MethodNotAllowed, ServiceUnavailable

HEAD_S_MAX: Final = 600.0
"""How long a backend may think before it begins to answer (long polls do)."""
METHODS: Final = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"))
_OURS: Final = frozenset((b"authorization", b"content-length", b"expect", b"host", b"x-forwarded-for", b"x-forwarded-uri"))
_CORS: Final = tuple(f"access-control-allow-{name}" for name in ("credentials", "headers", "methods", "origin"))
PATH_SAFE: Final = "$&+,/:;=@"


async def serve(request: Request, plural: str) -> Answer:
    """Pass the request on and its answer back. Raises ApiError; Upgraded when the connection was taken over."""
    if request.method not in METHODS:
        raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})
    target = await proxy_target.find(request, plural)
    path = subpath(request.scope["path"], request.info.rest)
    query = request.scope["query_string"]
    if any(byte <= 0x20 or byte == 0x7F for byte in query):
        raise BadRequest("invalid character in the query")
    suffix = f"?{query.decode('latin-1')}" if query else ""
    url = (quote(path, safe=PATH_SAFE) or "/") + suffix
    if is_upgrade(request):
        return await pass_through(request, target.connect, url, [*_headers(request, target, path), *upgrade_headers(request)])
    if not path and request.method in ("GET", "HEAD"):
        return Response(301, b"", "", [("location", f"{quote(request.scope['path'], safe=PATH_SAFE)}/{suffix}")])
    return await _exchange(request, target, path, url)


def subpath(path: str, rest: str) -> str:
    """The path that the backend is asked for: "" for the proxy itself without a slash at the end; dots are resolved within it."""
    if not rest:
        return "/" if path.endswith("/") else ""
    cleaned = "/" + posixpath.normpath(f"/{rest}").lstrip("/")
    return cleaned + ("/" if path.endswith("/") and not cleaned.endswith("/") else "")


def prefix(path: str, rest: str) -> str:
    """The part of the request's path that names the proxy."""
    parts = path.strip("/").split("/")
    return "/" + "/".join(parts[: len(parts) - (len(rest.split("/")) if rest else 0)])


# --- headers ----------------------------------------------------------------------------------------------------------------


def _headers(request: Request, target: Target, path: str) -> list[tuple[bytes, bytes]]:
    """What the backend is told, but for the body and the connection."""
    host = target.host_header.encode() or request.headers.get(b"host") or target.authority.encode()
    uri = prefix(request.scope["path"], request.info.rest) + path
    return [(b"Host", host), *passed_on(request), (b"X-Forwarded-Uri", quote(uri, safe=PATH_SAFE).encode())]


def passed_on(request: Request) -> list[tuple[bytes, bytes]]:
    """The request's headers that are neither for this server nor for the connection to it, and on whose behalf they are sent."""
    given: list[tuple[bytes, bytes]] = request.scope["headers"]
    named = {each.strip().lower() for name, value in given if name == b"connection" for each in value.split(b",")}
    dropped = named | _OURS | {each.encode() for each in HOP_BY_HOP}
    kept = [(name, value) for name, value in given if name not in dropped and not name.startswith(b"impersonate-")]
    client = request.scope.get("client")
    before = request.headers.get(b"x-forwarded-for")
    chain = [each for each in (before, str(client[0]).encode() if client else b"") if each]
    return [*kept, (b"X-Forwarded-For", b", ".join(chain))] if chain else kept


def upgrade_headers(request: Request) -> list[tuple[bytes, bytes]]:
    return [(b"Connection", b"Upgrade"), (b"Upgrade", request.headers[b"upgrade"])]


def answer_headers(head: Head, target: Target, *, client_host: str, within: str) -> list[tuple[str, str]]:
    """What the client is told, but for the content type: `within` is the path of the proxy."""
    out = []
    for name, value in head.end_to_end():
        if name in ("content-type", "date") or name in _CORS:  # the server has its own Date
            continue
        if name == "content-length" and (head.get("transfer-encoding") or not has_body(head, "GET")):
            continue
        out.append((name, relocated(value, target.authority, client_host, within) if name == "location" else value))
    return out


# deviates: links in HTML pages are not rewritten; only Location is
def relocated(location: str, backend: str, client_host: str, within: str) -> str:
    """A Location that leads to the backend, led through the proxy; others stay."""
    try:
        url = urlsplit(location)
    except ValueError:
        return location
    if url.netloc not in ("", backend, client_host) or not url.path.startswith("/"):
        return location
    scheme, netloc = (url.scheme, url.netloc) if url.netloc == client_host else ("", "")
    path = url.path
    if not path.startswith(within):
        path = within + "/" + posixpath.normpath(path).lstrip("/")
        path = path.rstrip("/") + ("/" if url.path.endswith("/") else "")
    return urlunsplit((scheme, netloc, path, url.query, url.fragment))


# --- one exchange -------------------------------------------------------------------------------------------------------------


class _Upload:
    """The request's body on its way; listens for the client's leaving from beginning to end."""

    def __init__(self, request: Request, line: Line) -> None:
        self._receive, self._line = request.receive, line
        self._is_chunked = b"transfer-encoding" in request.headers
        self.task = asyncio.get_running_loop().create_task(self._run(), name="proxy upload")

    async def receive(self) -> MutableMapping[str, Any]:
        """In place of the request's own `receive`, which this has taken over."""
        await asyncio.shield(self.task)
        return {"type": "http.disconnect"}

    async def _run(self) -> None:
        """Ends when the client goes."""
        takes = True
        while (message := await self._receive())["type"] != "http.disconnect":
            if takes:
                takes = await self._send(message.get("body") or b"", is_last=not message.get("more_body"))

    async def _send(self, data: bytes, *, is_last: bool) -> bool:
        """Whether more is wanted: a backend that has heard enough closes its side."""
        try:
            if data:
                self._line.writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)
            if is_last and self._is_chunked:
                self._line.writer.write(b"0\r\n\r\n")
            await self._line.writer.drain()
        except (OSError, RuntimeError):
            return False
        return not is_last


class _Proxied(Body):
    """An answer's body that ends its request's upload, too."""

    def __init__(self, line: Line, head: Head, method: str, upload: _Upload) -> None:
        super().__init__(line, head, method)
        self._upload = upload

    async def aclose(self) -> None:
        await super().aclose()
        await cancelled(self._upload.task)


async def _exchange(request: Request, target: Target, path: str, url: str) -> Answer:
    head, body = await exchange(request, target, url, _headers(request, target, path))
    client_host = request.header(b"host")
    out = answer_headers(head, target, client_host=client_host, within=prefix(request.scope["path"], request.info.rest))
    return StreamResponse(head.status, body, head.get("content-type"), out)


async def exchange(
    request: Request, target: Target, url: str, headers: list[tuple[bytes, bytes]], *, head_s_max: float = HEAD_S_MAX
) -> tuple[Head, Body]:
    """The head and the body of the target's answer to this request, sent with `headers` and its own body. Raises ServiceUnavailable."""
    headers = [*headers, (b"Connection", b"close")]
    length = request.headers.get(b"content-length")
    if b"transfer-encoding" in request.headers:
        headers.append((b"Transfer-Encoding", b"chunked"))
    elif length is not None or request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"Content-Length", length or b"0"))
    line: Line = await _connected(request, target)
    upload = None
    try:
        line.writer.write(request_head(request.method, url, headers))
        upload = _Upload(request, line)
        reading = read_head(line, timeout_s=head_s_max)
        head = await while_there(request, reading, undo=lambda _: None, leaving=upload.task)
        if head.status == 101:
            raise BadAnswer("the backend changed the protocol without being asked")
    except BaseException as error:
        line.close()
        if upload is not None:
            await cancelled(upload.task)
        if isinstance(error, BadAnswer):
            raise ServiceUnavailable(f"error trying to reach service: {error}") from error
        raise
    request.receive = upload.receive
    return head, _Proxied(line, head, request.method, upload)


async def _connected(request: Request, target: Target) -> Line:
    """A line to the target. Raises ServiceUnavailable."""
    try:
        return await target.connect()
    except DialError as error:
        raise ServiceUnavailable(f"error trying to reach service: {error}") from error
