"""WebSockets of the client, against a server that is not ours (aiohttp's), and against servers that answer with something else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from apiserver.identity import Authority, server_context, write_private
from kube.client.client import Client
from kube.client.config import ClientConfig
from kube.client.transport import AsgiTransport, ConnectionFailed, HttpTransport
from kube.clock import RealClock
from kube.errors import ApiError, NotFound
from kube.resources import PODS
from kube.websocket import TOO_BIG, WebSocket, WebSocketError

V4 = "v4.channel.k8s.io"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server whose every answer is the handler's; its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listening(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does this with its one connection, and then closes it; its URL."""
    closed = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        writer.close()
        await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await closed.wait()


async def asked(client: Client, *protocols: str) -> WebSocket:
    return await client.websocket(PODS, "web", "portforward", namespace="ns", query={"ports": "80"}, protocols=protocols or (V4,))


def client_of(url: str) -> Client:
    return Client(HttpTransport(url), user_agent="tester/1.0", token="secret")


async def echo(request: web.Request) -> web.StreamResponse:
    """Says first how it was asked, then what it is told."""
    socket = web.WebSocketResponse(protocols=(V4,), max_msg_size=1 << 21)
    await socket.prepare(request)
    await socket.send_str(f"{request.path_qs} {request.headers['Authorization']} {request.headers['Sec-WebSocket-Protocol']}")
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data == b"ping me":
            await socket.ping(b"are you there")
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def test_messages_go_both_ways_and_everything_of_a_request_is_there() -> None:
    async with served(echo) as url:
        client = client_of(url)
        socket = await asked(client, V4, "v3.channel.k8s.io")
        assert socket.protocol == V4
        first = await socket.receive()
        assert first is not None
        assert (first.is_text, first.data) == (
            True,
            b"/api/v1/namespaces/ns/pods/web/portforward?ports=80 Bearer secret v4.channel.k8s.io, v3.channel.k8s.io",
        )
        for size in (0, 1, 125, 126, 65535, 65536, 300_000):
            await socket.send(b"x" * size)
            answer = await socket.receive()
            assert answer is not None
            assert answer.data == b"x" * size
        await socket.send(b"ping me")
        await socket.send(b"after the ping")
        answer = await socket.receive()
        assert answer is not None
        assert answer.data == b"after the ping"
        await socket.close()
        assert await socket.receive() is None
        socket.abort()
        with pytest.raises(OSError, match="closed"):
            await socket.send(b"too late")
        await client.close()


async def test_the_server_ends_it() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(V4,))
        await socket.prepare(request)
        await socket.close()
        return socket

    async with served(handler) as url:
        socket = await asked(client_of(url))
        assert await socket.receive() is None
        socket.abort()


async def test_a_message_that_is_too_large_is_refused() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=(V4,))
        await socket.prepare(request)
        await socket.send_bytes(b"x" * ((1 << 20) + 1))
        await socket.receive()
        return socket

    async with served(handler) as url:
        socket = await asked(client_of(url))
        with pytest.raises(WebSocketError) as caught:
            await socket.receive()
        assert caught.value.code == TOO_BIG
        socket.abort()


async def test_a_refusal_is_the_servers_error() -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        status = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": 'pods "web" not found'}
        return web.json_response(status, status=404)

    async with served(handler) as url:
        with pytest.raises(NotFound, match='pods "web" not found'):
            await asked(client_of(url))


async def test_a_refusal_in_chunks_is_read_whole() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in (b"no ", b"such ", b"luck"):
            await response.write(part)
        return response

    async with served(handler) as url:
        with pytest.raises(ApiError, match="no such luck"):
            await asked(client_of(url))


BAD = {
    "another accept": (b"Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: v4.channel.k8s.io", "another protocol"),
    "another protocol": (b"Upgrade: SPDY/3.1", "another protocol"),
}


@pytest.mark.parametrize(("headers", "says"), BAD.values(), ids=BAD.keys())
async def test_an_upgrade_that_is_none(headers: bytes, says: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + headers + b"\r\n\r\n")

    async with listening(answer) as url:
        with pytest.raises(ConnectionFailed, match=says):
            await asked(client_of(url))


async def test_a_subprotocol_that_nobody_asked_for() -> None:
    async with served(echo) as url:
        with pytest.raises(ConnectionFailed, match="subprotocol ''"):
            await asked(client_of(url), "v9.channel.k8s.io")


async def test_a_server_that_goes_without_a_word() -> None:
    async def go(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None: ...

    async with listening(go) as url:
        with pytest.raises(ConnectionFailed, match="GET /api/v1/namespaces/ns/pods/web/portforward"):
            await asked(client_of(url))


async def test_certificates_are_verified(tmp_path: Path) -> None:
    good, other = (Authority.load_or_create(tmp_path / name, RealClock()) for name in ("good", "other"))
    pair = good.issue("server", server_names=["127.0.0.1"])
    write_private(good.directory / "server.crt", pair.certificate)
    write_private(good.directory / "server.key", pair.key)
    context = server_context(good, "server")
    async with served(echo, tls=context) as url:
        with pytest.raises(ConnectionFailed, match="certificate"):
            await asked(Client.from_config(ClientConfig(server=url, ca_data=other.certificate_pem), user_agent="tester/1.0"))
        client = Client.from_config(ClientConfig(server=url, ca_data=good.certificate_pem, token="secret"), user_agent="tester/1.0")
        socket = await asked(client)
        assert await socket.receive() is not None
        socket.abort()


async def test_there_are_none_in_process() -> None:
    async def app(*_arguments: object) -> None: ...

    with pytest.raises(ConnectionFailed, match="over the network"):
        await asked(Client(AsgiTransport(app), user_agent="tester/1.0"))
