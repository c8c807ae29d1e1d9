"""port-forward: many connections to ports of a pod over one connection to the client.

    SPDY/3.1, or SPDY tunnelled through a WebSocket (`SPDY/3.1+portforward.k8s.io`, kubectl 1.31 on): streams come in pairs, `data` and
        `error`, with the headers port and requestid; what goes wrong is a text on the error stream
    WebSocket `v4.channel.k8s.io` (client libraries): `?ports=8080`; for port i, channel 2i is the data and 2i+1 the errors, and both
        begin with the port in two bytes, little-endian

Source: `k8s.io/kubelet/pkg/cri/streaming/portforward`, client-go `tools/portforward`.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from kube.http.exchange import Answer, BadRequest, Head
from kubelet.runtime.base import ByteStream, CRIError
from kubelet.server import channels, remote_command, spdy, websocket

log = logging.getLogger(__name__)

SPDY_PROTOCOL = "portforward.k8s.io"
TUNNEL_PROTOCOL = "SPDY/3.1+portforward.k8s.io"
PAIR_S_MAX = 30.0
"""How long the second stream of a pair may take."""
PORTS_MAX = 100

Forward = Callable[[int, ByteStream], Awaitable[None]]
"""Copies bytes between a stream and a port of the pod. Raises CRIError."""


async def serve(head: Head, answer: Answer, reader: asyncio.StreamReader, forward: Forward) -> None:
    """Upgrade the connection and forward until the client goes. Raises BadRequest before the upgrade."""
    if head.upgrade == "spdy/3.1":
        connection, _ = await remote_command.upgrade_spdy(head, answer, reader, (SPDY_PROTOCOL,))
        await _SpdyForwarder(connection, forward).run()
    elif head.upgrade == "websocket" and TUNNEL_PROTOCOL in head.words("sec-websocket-protocol"):
        socket = await websocket.upgrade(head, answer, reader, (TUNNEL_PROTOCOL,))
        await _SpdyForwarder(spdy.SpdyConnection(websocket.WebSocketPipe(socket)), forward).run()
        await socket.close()
    elif head.upgrade == "websocket":
        await _serve_channels(head, answer, reader, forward)
    else:
        raise BadRequest("Upgrade request required")


def port_of(text: str) -> int:
    """Raises BadRequest."""
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise BadRequest(f"invalid port: {text!r}")
    return int(text)


# --- SPDY ---------------------------------------------------------------------------------------------------------------------


class _SpdyForwarder:
    """Pairs the streams of one connection and forwards each pair."""

    def __init__(self, connection: spdy.SpdyConnection, forward: Forward) -> None:
        self._connection, self._forward = connection, forward
        self._halves: dict[str, spdy.SpdyStream] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        reading = asyncio.get_running_loop().create_task(self._connection.run(), name="spdy")
        try:
            while (stream := await self._connection.accept()) is not None:
                await self._take(stream)
        finally:
            for timer in self._timers.values():
                timer.cancel()
            for task in self._tasks:
                task.cancel()
            reading.cancel()
            await asyncio.gather(reading, *self._tasks, return_exceptions=True)

    async def _take(self, stream: spdy.SpdyStream) -> None:
        """A new stream: half of a pair, or the other half."""
        kind = stream.headers.get("streamtype", "").lower()
        request = stream.headers.get("requestid") or stream.headers.get("port", "")
        other = self._halves.pop(request, None)
        if kind not in ("data", "error") or (other is not None and other.headers.get("streamtype", "").lower() == kind):
            await stream.reset()
            return
        if other is None:
            self._halves[request] = stream
            self._timers[request] = asyncio.get_running_loop().call_later(PAIR_S_MAX, self._halves.pop, request, None)
            return
        self._timers.pop(request).cancel()
        data, error = (stream, other) if kind == "data" else (other, stream)
        task = asyncio.get_running_loop().create_task(self._pair(data, error), name="port-forward")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pair(self, data: spdy.SpdyStream, error: spdy.SpdyStream) -> None:
        try:
            try:
                await self._forward(port_of(data.headers.get("port", "")), data)
            except (CRIError, BadRequest) as problem:
                await error.write(f"an error occurred forwarding: {problem}".encode())
            await data.close()
            await error.close()
        except OSError as problem:
            log.debug("port-forward ended: %s", problem)
        finally:
            self._connection.forget(data)
            self._connection.forget(error)


# --- WebSocket channels ---------------------------------------------------------------------------------------------------------


async def _serve_channels(head: Head, answer: Answer, reader: asyncio.StreamReader, forward: Forward) -> None:
    ports = [port_of(part) for value in (*head.values("port"), *head.values("ports")) for part in value.split(",")]
    if not ports or len(ports) > PORTS_MAX:
        raise BadRequest(f"query parameter 'ports' must name 1 to {PORTS_MAX} ports")
    socket = await websocket.upgrade(head, answer, reader, (channels.V4, channels.V4_BASE64, channels.V1, channels.V1_BASE64))
    both = channels.Channels(socket, range(2 * len(ports)))
    reading = asyncio.get_running_loop().create_task(both.run(), name="websocket")
    pairs = [_channel_pair(port, both.all[2 * index], both.all[2 * index + 1], forward) for index, port in enumerate(ports)]
    work = asyncio.get_running_loop().create_task(_all(pairs), name="port-forward")
    try:
        await asyncio.wait([work, reading], return_when=asyncio.FIRST_COMPLETED)
        await both.close()
    finally:
        work.cancel()
        reading.cancel()
        await asyncio.gather(work, reading, return_exceptions=True)


async def _all(pairs: list[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*pairs)


async def _channel_pair(port: int, data: channels.Channel, error: channels.Channel, forward: Forward) -> None:
    try:
        for each in (data, error):
            await each.write(struct.pack("<H", port))
        try:
            await forward(port, data)
        except CRIError as problem:
            await error.write(f"an error occurred forwarding {port} -> {port}: {problem}".encode())
    except OSError as problem:
        log.debug("port-forward ended: %s", problem)
