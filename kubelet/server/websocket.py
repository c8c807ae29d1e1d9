"""WebSocket, the kubelet's side: the handshake, and a pipe through messages. Frames and messages are at home in `kube/websocket.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kube.http.exchange import Answer, BadRequest, Head
from kube.websocket import (
    BINARY,
    CLOSE,
    MESSAGE_BYTES_MAX,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    Message,
    WebSocket,
    WebSocketError,
    accept_of,
    frame,
    masked,
)

__all__ = [
    "BINARY",
    "CLOSE",
    "MESSAGE_BYTES_MAX",
    "NORMAL",
    "PING",
    "PONG",
    "PROTOCOL_ERROR",
    "TEXT",
    "TOO_BIG",
    "Message",
    "WebSocket",
    "WebSocketError",
    "WebSocketPipe",
    "accept_headers",
    "chosen_protocol",
    "frame",
    "masked",
    "upgrade",
]


def chosen_protocol(head: Head, supported: Sequence[str]) -> str:
    """The first of the client's subprotocols that is supported; "" when it names none. Raises BadRequest when it names only others."""
    offered = head.words("sec-websocket-protocol")
    if not offered:
        return ""
    found = next((each for each in offered if each in supported), None)
    if found is None:
        raise BadRequest(f"none of the subprotocols is supported: {', '.join(offered)}")
    return found


def accept_headers(head: Head, protocol: str) -> dict[str, str]:
    """The headers of the 101. Raises BadRequest."""
    key = head.headers.get("sec-websocket-key", "")
    if head.method != "GET" or not key:
        raise BadRequest("not a WebSocket handshake")
    if head.headers.get("sec-websocket-version") != "13":
        raise BadRequest("WebSocket version 13 is required")
    chosen = {"Sec-WebSocket-Protocol": protocol} if protocol else {}
    return {"Upgrade": "websocket", "Sec-WebSocket-Accept": accept_of(key)} | chosen


async def upgrade(head: Head, answer: Answer, reader: asyncio.StreamReader, supported: Sequence[str]) -> WebSocket:
    """Answer the handshake. Raises BadRequest."""
    protocol = chosen_protocol(head, supported)
    await answer.switch(accept_headers(head, protocol))
    return WebSocket(reader, answer.writer, protocol)


class WebSocketPipe:
    """A byte pipe through binary messages, boundaries not kept: what tunnels SPDY (`SPDY/3.1+portforward.k8s.io`)."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket, self._left = socket, bytearray()

    async def read_exactly(self, count: int) -> bytes:
        while len(self._left) < count:
            message = await self._socket.receive()
            if message is None:
                raise EOFError
            self._left += message.data
        data = bytes(self._left[:count])
        del self._left[:count]
        return data

    async def write(self, data: bytes) -> None:
        await self._socket.send(data)
