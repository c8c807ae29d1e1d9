"""The client over real connections: pools, framing, and servers that close, die or flood."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import orjson
import pytest

from kube.client.client import Client
from kube.client.transport import AsgiTransport, ConnectionFailed, HttpTransport
from kube.errors import NotFound
from kube.http.exchange import Answer, Head
from kube.http.server import Handler, HttpServer
from kube.resources import PODS
from kube.runtime import metrics
from tests.unit.asking import ROLES, Echo
from tests.unit.test_client_streams import line


async def serve(handler: Handler) -> tuple[HttpServer, str]:
    server = HttpServer(handler, connections_max=100)
    return server, f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"


async def body_of(head: Head, reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int(head.headers.get("content-length", "0")))


async def test_the_network_carries_the_same_requests_and_answers() -> None:
    async def handler(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        if head.value("watch"):
            await answer.start_chunks()
            for number in range(3):
                await answer.chunk(line("ADDED", number=number))
            await answer.chunk(b'{"type":')
            await answer.end()
        elif head.segments[-1] == "missing":
            await answer.send(404, orjson.dumps({"kind": "Status", "code": 404, "reason": "NotFound", "message": "no"}))
        else:
            seen = {"target": head.target, "method": head.method, "agent": head.headers["user-agent"]}
            body = (await body_of(head, reader)).decode()
            await answer.send(200, orjson.dumps(seen | {"body": body}), "application/json", headers={"X-Thing": "1"})

    server, url = await serve(handler)
    transport = HttpTransport(url)
    client = Client(transport, user_agent="tester/1.0")
    try:
        got = await client.get(ROLES, "system:a/b")
        assert got["target"] == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb"
        assert got["agent"] == "tester/1.0"
        assert (await client.create(PODS, {"a": 1}, namespace="default"))["body"] == '{"a":1}'
        with pytest.raises(NotFound):
            await client.get(PODS, "missing", namespace="default")
        answer = await client.raw("GET", "/x?a=%2F")
        assert answer.headers["x-thing"] == "1"
        assert orjson.loads(answer.body)["target"] == "/x?a=%2F"
        assert [event.object["number"] async for event in client.watch(PODS)] == [0, 1, 2]
    finally:
        await client.close()
        await server.stop()


async def test_no_server_is_connection_failed_and_names_the_request() -> None:
    async def handler(_head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
        await answer.send_text(200, "")

    server, url = await serve(handler)
    await server.stop()
    transport = HttpTransport(url)
    with pytest.raises(ConnectionFailed, match="POST /x"):
        await transport.request("POST", "/x?secret", headers={})
    with pytest.raises(ConnectionFailed, match="GET /y"):
        async with transport.stream("GET", "/y", headers={}):
            pass
    await transport.close()
    with pytest.raises(ConnectionFailed, match="closed"):
        await transport.request("GET", "/", headers={})


async def test_a_server_that_dies_in_the_midst_of_a_stream_is_connection_failed() -> None:
    async def handler(_head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
        await answer.start_chunks()
        await answer.chunk(line("ADDED"))
        answer.writer.transport.abort()

    server, url = await serve(handler)
    client = Client(HttpTransport(url), user_agent="tester")
    try:
        async with aclosing(client.watch(PODS)) as watch:
            await anext(watch)
            with pytest.raises(ConnectionFailed):
                await anext(watch)
    finally:
        await client.close()
        await server.stop()


class Scripted:
    """A raw server: for each connection, what it answers to each request in turn; None closes the connection."""

    def __init__(self, *connections: list[bytes | None]) -> None:
        self.connections, self.requests = list(connections), list[bytes]()
        self.accepted = 0

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        for answer in self.connections.pop(0):
            if answer is None:
                break
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        else:
            await reader.read()  # until the client leaves
        writer.close()


def http(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body])


CUT: list[tuple[str, bytes]] = [
    ("a body shorter than announced", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}"),
    ("chunks without an end", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    ("half a head", b"HTTP/1.1 200 O"),
    ("something else than HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    ("an upgrade nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    ("nothing", b""),
]


@pytest.mark.parametrize("answer", [each[1] for each in CUT], ids=[each[0] for each in CUT])
async def test_an_answer_that_is_not_whole_is_none(answer: bytes) -> None:
    server = Scripted([answer, None], [answer, None])
    transport = HttpTransport(await server.start())
    with pytest.raises(ConnectionFailed, match="GET /x: "):
        await transport.request("GET", "/x", headers={})
    with pytest.raises(ConnectionFailed):
        async with transport.stream("GET", "/x", headers={}) as stream:
            await stream.read()
    await transport.close()
    await server.stop()


async def test_answers_are_read_however_they_are_framed() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    empty = b"HTTP/1.1 204 No Content\r\nWarning: 299 - a\r\nWarning: 299 - b\r\n\r\n"
    continued = b"HTTP/1.1 100 Continue\r\n\r\n" + http(b"[1]")
    server = Scripted([http(b"{}"), chunks, empty, continued, b"HTTP/1.1 200 OK\r\n\r\nto the end", None])
    transport = HttpTransport(await server.start())
    answers = [await transport.request("GET", f"/{number}", headers={"a": "b"}) for number in range(5)]
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"{}"),
        (200, b"{}"),
        (204, b""),
        (200, b"[1]"),
        (200, b"to the end"),
    ]
    assert answers[2].headers == {"warning": "299 - a, 299 - b"}
    assert server.accepted == 1
    assert server.requests[4].startswith(b"GET /4 HTTP/1.1\r\nhost: 127.0.0.1:")
    await transport.close()
    await server.stop()


async def test_a_connection_the_server_closed_is_replaced_where_that_is_safe() -> None:
    server = Scripted([http(b"1"), b"", None], [http(b"2"), b"", None], [http(b"3")])
    transport = HttpTransport(await server.start())
    assert [(await transport.request("GET", "/", headers={})).body for _ in range(2)] == [b"1", b"2"]
    with pytest.raises(ConnectionFailed):
        await transport.request("POST", "/", headers={}, body=b"{}")
    assert (await transport.request("POST", "/", headers={}, body=b"{}")).body == b"3"
    await transport.close()
    await server.stop()


async def test_no_more_connections_than_allowed_and_everyone_gets_a_turn() -> None:
    under_way = most = 0

    async def handler(head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        await answer.send_json({"path": head.target})

    server, url = await serve(handler)
    transport = HttpTransport(url, limit=3)
    answers = await asyncio.gather(*(transport.request("GET", f"/{number}", headers={}) for number in range(60)))
    assert [orjson.loads(answer.body)["path"] for answer in answers] == [f"/{number}" for number in range(60)]
    assert most == 3
    waiting = [asyncio.create_task(transport.request("GET", "/", headers={})) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:10]:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["CancelledError"] * 10 + ["Answer"] * 10
    await transport.close()
    await server.stop()


async def test_a_server_far_ahead_of_its_reader_waits() -> None:
    sent = 0

    async def handler(_head: Head, answer: Answer, _reader: asyncio.StreamReader) -> None:
        nonlocal sent
        await answer.start_chunks()
        for _ in range(1000):
            await answer.chunk(b"x" * 99_999 + b"\n")
            sent += 100_000
        await answer.end()

    server, url = await serve(handler)
    transport = HttpTransport(url)
    async with transport.stream("GET", "/", headers={}) as stream:
        chunks = stream.chunks()
        assert await anext(chunks)
        await asyncio.sleep(0.3)
        assert sent < 30_000_000  # what the kernel's buffers and ours hold
        assert sum([len(chunk) async for chunk in chunks]) > 99_000_000
    await transport.close()
    await server.stop()


@pytest.mark.parametrize("target", ["/a b", "/x HTTP/1.1\r\nevil: 1", "/\x00", "/é"])
async def test_a_target_that_would_be_another_request_is_refused(target: str) -> None:
    transport = HttpTransport("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="not a quoted path"):
        await transport.request("GET", target, headers={})
    with pytest.raises(ValueError, match="line end"):
        await transport.request("GET", "/", headers={"x": "a\r\nb: c"})
    with pytest.raises(ValueError, match="http"):
        HttpTransport("ftp://x")


async def test_requests_are_counted_under_upstreams_name() -> None:
    client = Client(AsgiTransport(Echo((404, {"kind": "Status", "code": 404}))), user_agent="x", host="counted:6443")
    with pytest.raises(NotFound):
        await client.get(PODS, "web")
    assert 'rest_client_requests_total{code="404",host="counted:6443",method="GET"} 1' in metrics.exposition().decode()
