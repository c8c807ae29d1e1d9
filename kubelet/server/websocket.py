"""WebSocket (RFC 6455), the server's side: handshake, frames, ping and close. Messages are bounded; extensions are not offered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from kubelet.server.http import Answer, BadRequest, Head

MESSAGE_BYTES_MAX = 1 << 20
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR, TOO_BIG = 1000, 1002, 1009
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketError(Exception):
    """The peer broke the protocol, or a bound; `code` is the close code that it was told."""

    def __init__(self, message: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    is_text: bool
    data: bytes


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
    accept = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()
    return {"Upgrade": "websocket", "Sec-WebSocket-Accept": accept} | ({"Sec-WebSocket-Protocol": protocol} if protocol else {})


async def upgrade(head: Head, answer: Answer, reader: asyncio.StreamReader, supported: Sequence[str]) -> WebSocket:
    """Answer the handshake. Raises BadRequest."""
    protocol = chosen_protocol(head, supported)
    await answer.switch(accept_headers(head, protocol))
    return WebSocket(reader, answer.writer, protocol)


class WebSocket:
    """One connection after its handshake. One reader at a time; any number of writers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: str = "") -> None:
        self.protocol = protocol
        self._reader, self._writer = reader, writer
        self._sending = asyncio.Lock()
        self._close_sent = False

    async def receive(self) -> Message | None:
        """The next message, put together; None when the peer has closed or gone. Raises WebSocketError."""
        parts: list[bytes] = []
        kind = 0
        while True:
            try:
                is_final, opcode, payload = await self._frame()
            except (EOFError, OSError):
                return None
            if opcode >= CLOSE:
                if not await self._control(opcode, payload):
                    return None
                continue
            if (opcode == 0) is (kind == 0):
                raise await self._failed("a continuation without a beginning, or the other way round")
            kind = kind or opcode
            parts.append(payload)
            if sum(map(len, parts)) > MESSAGE_BYTES_MAX:
                raise await self._failed("the message is too large", TOO_BIG)
            if is_final:
                return Message(kind == TEXT, b"".join(parts))

    async def send(self, data: bytes, *, is_text: bool = False) -> None:
        await self._send(TEXT if is_text else BINARY, data)

    async def close(self, code: int = NORMAL) -> None:
        """Say goodbye; nothing can be sent after that."""
        if not self._close_sent:
            try:
                await self._send(CLOSE, struct.pack(">H", code))
            except OSError:
                pass
            self._close_sent = True

    # --- frames -----------------------------------------------------------------------------------------------------------

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._reader.readexactly(2)
        opcode, length = first & 0x0F, second & 0x7F
        if first & 0x70:
            raise await self._failed("reserved bits are set")
        if opcode not in (0, TEXT, BINARY, CLOSE, PING, PONG):
            raise await self._failed(f"opcode {opcode} is not known")
        if not second & 0x80:
            raise await self._failed("a client's frames must be masked")
        if opcode >= CLOSE and (length > 125 or not first & 0x80):
            raise await self._failed("a control frame is too large or fragmented")
        if length == 126:
            (length,) = struct.unpack(">H", await self._reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
        if length > MESSAGE_BYTES_MAX:
            raise await self._failed("the message is too large", TOO_BIG)
        mask = await self._reader.readexactly(4)
        return bool(first & 0x80), opcode, masked(await self._reader.readexactly(length), mask)

    async def _control(self, opcode: int, payload: bytes) -> bool:
        """Answer a control frame; False when the peer closes."""
        if opcode == CLOSE:
            await self.close()
            return False
        if opcode == PING:
            try:
                await self._send(PONG, payload)
            except OSError:
                return False
        return True

    async def _failed(self, why: str, code: int = PROTOCOL_ERROR) -> WebSocketError:
        await self.close(code)
        return WebSocketError(why, code)

    async def _send(self, opcode: int, data: bytes) -> None:
        if self._close_sent:
            raise ConnectionResetError("the WebSocket is closed")
        async with self._sending:
            self._writer.write(frame(opcode, data))
            await self._writer.drain()


def masked(data: bytes, mask: bytes) -> bytes:
    """Apply (or take off) a client's mask."""
    if not data:
        return data
    length = len(data)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")


def frame(opcode: int, data: bytes, *, mask: bytes = b"") -> bytes:
    """One final frame; clients give a mask of four bytes."""
    flag, length = (0x80 if mask else 0), len(data)
    if length < 126:
        head = struct.pack(">BB", 0x80 | opcode, flag | length)
    elif length < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, flag | 126, length)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, flag | 127, length)
    return head + mask + (masked(data, mask) if mask else data)


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
