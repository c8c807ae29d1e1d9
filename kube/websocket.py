"""WebSocket (RFC 6455): frames, messages, ping and close, for either side. Messages are bounded; extensions are not understood.

Not here: the handshake. The client's is `kube/client/websocket.py`, a server's is its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import struct
from dataclasses import dataclass
from typing import Final

MESSAGE_BYTES_MAX: Final = 1 << 20
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR, TOO_BIG = 1000, 1002, 1009
_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketError(Exception):
    """The peer broke the protocol, or a bound; `code` is the close code that it was told."""

    def __init__(self, message: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    is_text: bool
    data: bytes


def accept_of(key: str) -> str:
    """What a server answers (Sec-WebSocket-Accept) to a client's Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()).decode()


class WebSocket:
    """One connection after its handshake. One reader at a time; any number of writers. A client masks its frames and takes only such as
    are not masked, a server the other way round."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, protocol: str = "", *, is_client: bool = False) -> None:
        self.protocol = protocol
        self._reader, self._writer, self._is_client = reader, writer, is_client
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
        """Send one message; waits while the peer reads no further. Raises OSError when the connection is closed."""
        await self._send(TEXT if is_text else BINARY, data)

    async def close(self, code: int = NORMAL) -> None:
        """Say goodbye; nothing can be sent after that."""
        if not self._close_sent:
            try:
                await self._send(CLOSE, struct.pack(">H", code))
            except OSError:
                pass
            self._close_sent = True

    def abort(self) -> None:
        """End the connection at once, whatever waits to be sent."""
        self._close_sent = True
        self._writer.transport.abort()

    # --- frames -----------------------------------------------------------------------------------------------------------

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._reader.readexactly(2)
        opcode, length, is_masked = first & 0x0F, second & 0x7F, bool(second & 0x80)
        if first & 0x70:
            raise await self._failed("reserved bits are set")
        if opcode not in (0, TEXT, BINARY, CLOSE, PING, PONG):
            raise await self._failed(f"opcode {opcode} is not known")
        if is_masked is self._is_client:
            raise await self._failed("a server's frames must not be masked" if self._is_client else "a client's frames must be masked")
        if opcode >= CLOSE and (length > 125 or not first & 0x80):
            raise await self._failed("a control frame is too large or fragmented")
        if length == 126:
            (length,) = struct.unpack(">H", await self._reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self._reader.readexactly(8))
        if length > MESSAGE_BYTES_MAX:
            raise await self._failed("the message is too large", TOO_BIG)
        mask = await self._reader.readexactly(4) if is_masked else b""
        payload = await self._reader.readexactly(length)
        return bool(first & 0x80), opcode, masked(payload, mask) if mask else payload

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
            self._writer.write(frame(opcode, data, mask=os.urandom(4) if self._is_client else b""))
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
