"""Several byte streams over one WebSocket: the `channel.k8s.io` family. The first byte of a message is the channel's number.

v5 adds a message `[255, channel]`, by which a client ends its side of a channel (stdin); the base64 variants are text messages with
the number as a digit.
Source: apimachinery `pkg/util/remotecommand/websocket.go`, streaming `pkg/httpstream/wsstream/conn.go`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence

from kubelet.server.buffer import ByteQueue
from kubelet.server.websocket import WebSocket, WebSocketError

V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
V4_BASE64 = "v4.base64.channel.k8s.io"
V1 = "channel.k8s.io"
V1_BASE64 = "base64.channel.k8s.io"
PROTOCOLS = (V5, V4, V4_BASE64, V1, V1_BASE64)
_CLOSE = 255


class Channel:
    """One stream of a `Channels`."""

    def __init__(self, owner: Channels, number: int) -> None:
        self.number, self.received = number, ByteQueue()
        self.ended = asyncio.Event()
        """The client has said that it sends no more (v5), or is gone."""
        self._owner = owner

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        return await self.received.get()

    async def write(self, data: bytes) -> None:
        await self._owner.send(self.number, data)

    async def close(self) -> None:
        """No more is written: the end of the connection says so (only clients send the closing message of v5)."""


class Channels:
    """`run` it in a task; it ends with the connection, which ends every channel's reading."""

    def __init__(self, socket: WebSocket, numbers: Sequence[int]) -> None:
        self._socket = socket
        self._is_base64 = "base64" in socket.protocol
        self.all = {number: Channel(self, number) for number in numbers}

    async def run(self) -> None:
        """Raises WebSocketError for a peer that breaks the protocol."""
        try:
            while (message := await self._socket.receive()) is not None:
                await self._take(message.data)
        finally:
            for channel in self.all.values():
                channel.received.close()
                channel.ended.set()

    async def _take(self, data: bytes) -> None:
        if not data:
            return
        number, payload = self._decoded(data)
        if number == _CLOSE and self._socket.protocol == V5:
            if channel := self.all.get(payload[0] if payload else -1):
                channel.received.close()
                channel.ended.set()
        elif channel := self.all.get(number):
            await channel.received.put(payload)

    def _decoded(self, data: bytes) -> tuple[int, bytes]:
        if not self._is_base64:
            return data[0], data[1:]
        try:
            return int(data[:1]), base64.b64decode(data[1:], validate=True)
        except (ValueError, binascii.Error) as error:
            raise WebSocketError(f"not a base64 channel message: {error}") from error

    async def send(self, number: int, data: bytes) -> None:
        if self._is_base64:
            await self._socket.send(str(number).encode() + base64.b64encode(data), is_text=True)
        else:
            await self._socket.send(bytes([number]) + data)

    async def close(self) -> None:
        await self._socket.close()


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a `run` task."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
