"""Exec and port-forward over SPDY, and port-forward through WebSockets."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

from kubelet.server import channels, port_forward, spdy
from kubelet.server.server import KubeletServer
from tests.unit.kubelet_serving import TOKEN, connect, query, serving
from tests.unit.websocket_client import WebSocketClient


class SpdyClient:
    """The client's side of a SPDY connection."""

    def __init__(self, read_exactly: Any, write: Any) -> None:
        self._read, self._write = read_exactly, write
        self._codec, self._next = spdy.HeaderCodec(), 1
        self.received: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def open(self, **headers: str) -> int:
        stream, self._next = self._next, self._next + 2
        self._control(spdy.SYN_STREAM, struct.pack(">IIBB", stream, 0, 0, 0) + self._codec.encode(headers))
        return stream

    def _control(self, kind: int, payload: bytes) -> None:
        self._write(struct.pack(">II", (1 << 31) | (3 << 16) | kind, len(payload)) + payload)

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        self._write(struct.pack(">II", stream, ((1 if fin else 0) << 24) | len(data)) + data)

    async def until_ended(self, *streams: int) -> None:
        """Read frames until these streams have ended."""
        async with asyncio.timeout(20):
            while set(streams) - self.ended:
                await self._frame()

    async def _frame(self) -> None:
        first, second = struct.unpack(">II", await self._read(8))
        payload = await self._read(second & 0xFFFFFF)
        if first >> 31:
            return
        self.received[first] = self.received.get(first, b"") + payload
        if second >> 24 & spdy.FLAG_FIN:
            self.ended.add(first)


async def spdy_client(server: KubeletServer, path: str, protocol: str) -> tuple[SpdyClient, asyncio.StreamWriter]:
    lines = [f"POST {path} HTTP/1.1", f"Authorization: Bearer {TOKEN}", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
    lines.append(f"X-Stream-Protocol-Version: {protocol}")
    reader, writer, answered = await connect(server, "\n".join(lines))
    assert (answered.status, answered.headers.get("x-stream-protocol-version")) == (101, protocol.split(",")[0])
    return SpdyClient(reader.readexactly, writer.write), writer


async def test_exec_over_spdy() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command=["sh", "-c", "echo out; echo err >&2; exit 3"], output="1", error="1")
        client, writer = await spdy_client(server, path, "v4.channel.k8s.io,v3.channel.k8s.io")
        error, out, err = client.open(streamType="error"), client.open(streamType="stdout"), client.open(streamType="stderr")
        await client.until_ended(error, out, err)
        assert (client.received[out], client.received[err]) == (b"out\n", b"err\n")
        assert json.loads(client.received[error])["reason"] == "NonZeroExitCode"
        writer.close()


async def test_much_goes_both_ways_over_spdy() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client, writer = await spdy_client(
            server, "/exec/default/web/c?" + query(command="cat", input="1", output="1"), "v4.channel.k8s.io"
        )
        error, stdin, out = client.open(streamType="error"), client.open(streamType="stdin"), client.open(streamType="stdout")
        for _ in range(30):
            client.send(stdin, b"x" * 100_000)
        client.send(stdin, b"", fin=True)
        await client.until_ended(error, out)
        assert len(client.received[out]) == 3_000_000
        assert json.loads(client.received[error])["status"] == "Success"
        writer.close()


async def test_port_forward_over_spdy() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client, writer = await spdy_client(server, "/portForward/default/web", port_forward.SPDY_PROTOCOL)
        for request in ("0", "1"):
            error = client.open(streamType="error", port="8080", requestID=request)
            stream = client.open(streamType="data", port="8080", requestID=request)
            client.send(stream, b"GET / HTTP/1.1\r\n\r\n")
            await client.until_ended(stream, error)
            assert client.received[stream].startswith(b"HTTP/1.1 200 OK")
            assert client.received.get(error, b"") == b""
        writer.close()


async def test_port_forward_through_a_websocket_tunnel() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        tunnel = await WebSocketClient.open(server, "/portForward/default/web", port_forward.TUNNEL_PROTOCOL)
        client = SpdyClient(tunnel.read_exactly, tunnel.send)
        error = client.open(streamType="error", port="80", requestID="0")
        stream = client.open(streamType="data", port="80", requestID="0")
        client.send(stream, b"GET / HTTP/1.1\r\n\r\n")
        await client.until_ended(stream, error)
        assert b"Wherry simulates this pod" in client.received[stream]
        tunnel.writer.close()


async def test_port_forward_over_websocket_channels() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client = await WebSocketClient.open(server, "/portForward/default/web?ports=80,8080", channels.V4)
        client.send(b"\x02GET / HTTP/1.1\r\n\r\n")
        client.send(b"\x00GET / HTTP/1.1\r\n\r\n")
        found = await client.channels()
        assert found[0].startswith(struct.pack("<H", 80) + b"HTTP/1.1 200 OK")
        assert found[2].startswith(struct.pack("<H", 8080) + b"HTTP/1.1 200 OK")
        assert (found[1], found[3]) == (struct.pack("<H", 80), struct.pack("<H", 8080))


async def test_a_bad_port_is_told_on_the_error_stream() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client, writer = await spdy_client(server, "/portForward/default/web", port_forward.SPDY_PROTOCOL)
        error = client.open(streamType="error", port="0", requestID="0")
        stream = client.open(streamType="data", port="0", requestID="0")
        await client.until_ended(stream, error)
        assert b"invalid port" in client.received[error]
        writer.close()
