"""Connections that change their protocol (SPDY, WebSocket): the backend's answer decides, and then bytes pass both ways unread.

The kubelet, or whatever is behind the proxy, ends the protocol. Source: apimachinery `pkg/util/proxy/upgradeaware.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from apiserver.handlers.backends import DialError, Line, Streams, keep_alive
from apiserver.handlers.client_watch import cancelled, while_there
from apiserver.handlers.http_exchange import COPY_BYTES, BadAnswer, Body, Head, read_head, read_text, request_head
from apiserver.handlers.request import Request, Response
from kube.errors import ApiError, BadRequest, NotImplementedByServer

HEAD_S_MAX: Final = 60.0
TEXT_BYTES_MAX: Final = 50_000
TEXT_S_MAX: Final = 10.0

Headers = Sequence[tuple[bytes, bytes]]
Open = Callable[[], Any]
"""async () -> Line. Raises DialError."""


class Upgraded(Exception):
    """The connection was taken over; there is no answer to send."""


def is_upgrade(request: Request) -> bool:
    """Whether the client wants to change the protocol."""
    connection = request.headers.get(b"connection", b"").lower()
    return b"upgrade" in request.headers and b"upgrade" in connection


async def pass_through(request: Request, connect: Open, target: str, headers: Headers) -> Response:
    """Ask the backend to change the protocol; pass bytes both ways if it does (raising Upgraded at the end), else answer what it
    answered. Raises ApiError."""
    if not is_upgrade(request):
        raise BadRequest("Upgrade request required")
    take_over: Callable[[], Streams] | None = request.scope.get("state", {}).get("take_over")
    if take_over is None:
        raise NotImplementedByServer("this connection cannot be upgraded (it runs in process, without sockets)")
    line, head = await while_there(request, _asked(request, connect, target, headers), undo=_drop)
    if head.status != 101:
        body = Body(line, head, request.method)
        if head.status < 400:
            await body.aclose()
            raise ApiError(f"invalid upgrade response: status code {head.status}", code=500, reason="")
        text = await read_text(body, bytes_max=TEXT_BYTES_MAX, timeout_s=TEXT_S_MAX)
        return Response(head.status, text.encode(), head.get("content-type"))
    try:
        reader, writer = take_over()
        keep_alive(writer)
        writer.write(head.raw)
        await both_ways((reader, writer), (line.reader, line.writer))
    finally:
        line.close()
    raise Upgraded


def _drop(asked: tuple[Line, Head]) -> None:
    asked[0].close()


async def _asked(request: Request, connect: Open, target: str, headers: Headers) -> tuple[Line, Head]:
    try:
        line: Line = await connect()
    except DialError as error:
        raise ApiError(f"error dialing backend: {error}", code=500, reason="") from error
    try:
        line.writer.write(request_head(request.method, target, headers))
        return line, await read_head(line, timeout_s=HEAD_S_MAX)
    except BadAnswer as error:
        line.close()
        raise ApiError(str(error), code=500, reason="") from error
    except BaseException:
        line.close()
        raise


async def both_ways(client: Streams, backend: Streams) -> None:
    """Copy bytes in both directions until the backend ends; a client that only closes its sending side still gets the rest."""
    loop = asyncio.get_running_loop()
    copies = loop.create_task(_copy(client[0], backend[1])), loop.create_task(_copy(backend[0], client[1]))
    try:
        await asyncio.wait(copies[1:])
    finally:
        await cancelled(*copies)
        client[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(COPY_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()  # TLS cannot close one side only
    except (OSError, RuntimeError):
        writer.close()
