"""WebSockets of the client: a handshake, messages both ways, and servers that answer with something else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apiserver.identity import Authority, server_context, write_private
from kube.client.client import Client
from kube.client.config import ClientConfig
from kube.client.transport import AsgiTransport, ConnectionFailed, HttpTransport
from kube.clock import RealClock
from kube.errors import ApiError, NotFound
from kube.http.exchange import Answer, Head
from kube.http.server import Handler, HttpServer
from kube.resources import PODS
from kube.websocket import PING, PONG, PROTOCOL_ERROR, TOO_BIG, WebSocket, WebSocketError, frame, masked
from kubelet.server.websocket import accept_headers, upgrade

V4 = "v4.channel.k8s.io"


@asynccontextmanager
async def served(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server whose every answer is the handler's; its URL."""
    server = HttpServer(handler, connections_max=10)
    port = await server.start("127.0.0.1", 0, tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await server.stop()
        await asyncio.sleep(0)


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


async def echo(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
    """Says first how it was asked, then what it is told."""
    socket = await upgrade(head, answer, reader, (V4,))
    query = "&".join(f"{name}={value}" for name, value in head.query)
    asked = f"/{'/'.join(head.segments)}?{query} {head.headers['authorization']} {head.headers['sec-websocket-protocol']}"
    await socket.send(asked.encode(), is_text=True)
    while (message := await socket.receive()) is not None:
        await socket.send(message.data)


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
        await socket.close()
        assert await socket.receive() is None
        socket.abort()
        with pytest.raises(OSError, match="closed"):
            await socket.send(b"too late")
        await client.close()


async def test_pings_are_answered_and_fragments_put_together() -> None:
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handler(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await upgrade(head, answer, reader, (V4,))
        first = bytearray(frame(2, b"in two "))
        first[0] &= 0x7F
        answer.writer.write(bytes(first) + frame(PING, b"there?") + frame(0, b"parts"))
        seen.set_result(await reader.readexactly(2 + 4 + 6))

    async with served(handler) as url:
        socket = await asked(client_of(url))
        message = await socket.receive()
        assert message is not None
        assert message.data == b"in two parts"
        pong = await seen
        assert (pong[:2], masked(pong[6:], pong[2:6])) == (bytes((0x80 | PONG, 0x80 | 6)), b"there?")
        socket.abort()


async def test_the_server_ends_it() -> None:
    async def handler(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await (await upgrade(head, answer, reader, (V4,))).close()

    async with served(handler) as url:
        socket = await asked(client_of(url))
        assert await socket.receive() is None
        socket.abort()


WRONG = {
    "a message that is too large": (frame(2, b"x" * ((1 << 20) + 1)), TOO_BIG),
    "a masked frame": (frame(2, b"x", mask=b"mask"), PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("sent", "code"), WRONG.values(), ids=WRONG.keys())
async def test_a_server_that_breaks_the_protocol(sent: bytes, code: int) -> None:
    async def handler(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await upgrade(head, answer, reader, (V4,))
        answer.writer.write(sent)
        await reader.read()

    async with served(handler) as url:
        socket = await asked(client_of(url))
        with pytest.raises(WebSocketError) as caught:
            await socket.receive()
        assert caught.value.code == code
        socket.abort()


NOT_FOUND = b'{"kind":"Status","status":"Failure","reason":"NotFound","code":404,"message":"pods \\"web\\" not found"}'


async def refuse(_head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
    """As the API server does when there is no such pod."""
    await answer.send(404, NOT_FOUND, "application/json")


async def test_a_refusal_is_the_servers_error() -> None:
    async with served(refuse) as url:
        with pytest.raises(NotFound, match='pods "web" not found'):
            await asked(client_of(url))


async def test_a_refusal_in_chunks_is_read_whole() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b"3\r\nno \r\n", b"5\r\nsuch \r\n", b"4\r\nluck\r\n", b"0\r\n\r\n"):
            writer.write(part)
            await writer.drain()

    async with listening(answer) as url:
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
    async def handler(head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
        await answer.switch(accept_headers(head, "v9.channel.k8s.io"))

    async with served(handler) as url:
        with pytest.raises(ConnectionFailed, match=r"subprotocol 'v9\.channel"):
            await asked(client_of(url))


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
