"""A WebSocket client that speaks of channels. Nothing here is a test."""

from __future__ import annotations

import asyncio
import struct

from kubelet.server import websocket
from kubelet.server.server import KubeletServer
from tests.unit.kubelet_serving import TOKEN, connect


class WebSocketClient:
    """The client's side: masked frames out, plain frames in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, server: KubeletServer, path: str, protocol: str) -> WebSocketClient:
        lines = [
            f"GET {path} HTTP/1.1",
            f"Authorization: Bearer {TOKEN}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Sec-WebSocket-Protocol: {protocol}",
        ]
        reader, writer, answered = await connect(server, "\n".join(lines))
        found = answered.status, answered.headers.get("sec-websocket-protocol")
        assert found == (101, protocol), f"answered {found}"
        return cls(reader, writer)

    def send(self, data: bytes, *, is_text: bool = False) -> None:
        self.writer.write(websocket.frame(websocket.TEXT if is_text else websocket.BINARY, data, mask=b"abcd"))

    async def message(self) -> bytes | None:
        """The next message; None when the server closes."""
        async with asyncio.timeout(20):
            try:
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack(">H", await self.reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
                payload = await self.reader.readexactly(length)
            except EOFError:
                return None
        return None if first & 0x0F == websocket.CLOSE else payload

    async def channels(self) -> dict[int, bytes]:
        """Everything until the end, by channel."""
        found: dict[int, bytes] = {}
        while (message := await self.message()) is not None:
            found[message[0]] = found.get(message[0], b"") + message[1:]
        self.writer.close()
        return found

    # --- as a pipe for SPDY

    async def read_exactly(self, count: int) -> bytes:
        self.left = getattr(self, "left", b"")
        while len(self.left) < count:
            message = await self.message()
            if message is None:
                raise EOFError
            self.left += message
        data, self.left = self.left[:count], self.left[count:]
        return data
