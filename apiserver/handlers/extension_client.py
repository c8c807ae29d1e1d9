"""What the server itself asks an extension API server: whether it is there, what it serves, how that looks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apiserver.handlers import extension_target
from apiserver.handlers.backends import DialError, joined, open_extension
from apiserver.handlers.extension_target import trust_of
from apiserver.handlers.http_exchange import BadAnswer, Body, read_head, request_head
from apiserver.handlers.remote_user import user_headers
from apiserver.handlers.server import Server
from apiserver.registry.kind import User
from kube.errors import ApiError
from kube.objects import Object

AGGREGATOR: Final = User("system:kube-aggregator", ("system:masters",))
"""Who the server is to extension API servers: somebody who may everything."""
TIMEOUT_S: Final = 5.0
BODY_BYTES_MAX: Final = 16 << 20


class NoAnswer(Exception):
    """The extension API server did not answer; the text says why, and where it was looked for."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; `url` is where it came from."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(server: Server, api_service: Object, path: str, *, accept: str = "", etag: str = "", user: User = AGGREGATOR) -> Reply:
    """GET `path` of one of the servers behind an APIService. Raises NoAnswer, and Unreachable when its Service leads nowhere."""
    host, port = extension_target.find(server.registries, api_service["spec"]["service"], server.rng, endpoints=server.aggregator_routing)
    authority = joined(host, port)
    url = f"https://{authority}{path}"
    headers = [(b"Host", authority.encode()), (b"Connection", b"close"), (b"User-Agent", b"kube-apiserver (wherry)"), *user_headers(user)]
    if accept:
        headers.append((b"Accept", accept.encode()))
    if etag:
        headers.append((b"If-None-Match", etag.encode()))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            line = await open_extension(server, host, port, trust_of(api_service))
            try:
                line.writer.write(request_head("GET", path, headers))
                head = await read_head(line, timeout_s=TIMEOUT_S)
                body = await _whole(Body(line, head, "GET"))
            finally:
                line.close()
    except TimeoutError as error:
        why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise NoAnswer(f'failing or missing response from {url}: Get "{url}": {why}') from error
    except (DialError, BadAnswer, OSError, ValueError, ApiError) as error:
        raise NoAnswer(f'failing or missing response from {url}: Get "{url}": {error}') from error
    return Reply(url, head.status, {name: head.get(name) for name in ("content-type", "etag")}, body)


async def _whole(body: Body) -> bytes:
    parts, size = [], 0
    async for piece in body:
        parts.append(piece)
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise ValueError(f"the answer has more than {BODY_BYTES_MAX} bytes")
    return b"".join(parts)
