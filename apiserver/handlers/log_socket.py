"""A log over a WebSocket, for clients in browsers: each piece is a message, and the end of the log is the end of the connection.

Source: apimachinery `pkg/util/httpstream/wsstream/stream.go` (Reader); the frames are RFC 6455's. Of what the client sends only pings and
its goodbye count.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import AsyncIterator, Callable
from typing import Final

from apiserver.handlers.backends import Streams
from apiserver.handlers.client_watch import cancelled
from apiserver.handlers.request import Request
from apiserver.handlers.upgrade import Upgraded, is_upgrade
from kube.errors import BadRequest, NotImplementedByServer

BASE64: Final = "base64.binary.k8s.io"
PROTOCOLS: Final = ("binary.k8s.io", BASE64)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_FRAME_BYTES_MAX: Final = 1 << 20


def is_wanted(request: Request) -> bool:
    """Whether the client asks for a WebSocket."""
    return is_upgrade(request) and request.headers.get(b"upgrade", b"").lower() == b"websocket"


async def send(request: Request, pieces: AsyncIterator[bytes]) -> None:
    """Send all pieces, until their end or the client's; then raises Upgraded. Raises ApiError where no WebSocket can be had."""
    key = request.headers.get(b"sec-websocket-key", b"")
    if not key or request.headers.get(b"sec-websocket-version") != b"13":
        raise BadRequest("not a websocket handshake")
    take_over: Callable[[], Streams] | None = request.scope.get("state", {}).get("take_over")
    if take_over is None:
        raise NotImplementedByServer("this connection cannot be upgraded (it runs in process, without sockets)")
    asked = [each.strip() for each in request.headers.get(b"sec-websocket-protocol", b"").decode("latin-1").split(",")]
    protocol = next((each for each in asked if each in PROTOCOLS), "")
    reader, writer = take_over()
    writer.write(_handshake(key, protocol))
    sending = asyncio.ensure_future(_send(pieces, writer, as_text=protocol == BASE64))
    leaving = asyncio.ensure_future(_goodbye(reader, writer))
    try:
        await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancelled(sending, leaving)
        writer.close()
    raise Upgraded


def _handshake(key: bytes, protocol: str) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    chosen = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n".encode("latin-1")


async def _send(pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter, *, as_text: bool) -> None:
    try:
        async for piece in pieces:
            writer.write(_frame(_TEXT, base64.b64encode(piece)) if as_text else _frame(_BINARY, piece))
            await writer.drain()
        writer.write(_frame(_CLOSE, struct.pack("!H", 1000)))
        await writer.drain()
    except OSError:
        pass


def _frame(kind: int, data: bytes) -> bytes:
    """One whole message, not masked, as servers send it."""
    size = len(data)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size) if size < 1 << 16 else b"\x7f" + struct.pack("!Q", size)
    return bytes([0x80 | kind]) + length + data


async def _goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers pings; returns when the client closes, or goes, or sends what clients may not."""
    try:
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            size = int.from_bytes(await reader.readexactly({126: 2, 127: 8}[size])) if size > 125 else size
            if first & 0x0F == _CLOSE or size > _FRAME_BYTES_MAX or not second & 0x80:
                return
            mask, data = await reader.readexactly(4), await reader.readexactly(size)
            if first & 0x0F == _PING:
                writer.write(_frame(_PONG, bytes(each ^ mask[at % 4] for at, each in enumerate(data))))
    except (OSError, EOFError):
        return
