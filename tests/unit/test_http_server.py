"""The small HTTP server: its connections, its bounds, what it does to whoever breaks the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kube.http.exchange import HEAD_BYTES_MAX, HEAD_S_MAX, Answer, BadRequest, Head, http_date, parse_head, skip_body
from kube.http.server import Handler, HttpServer
from tests.virtual import virtual

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
    await skip_body(head, reader)
    await answer.send_text(200, head.target)


@asynccontextmanager
async def serving(handler: Handler = echo, *, connections_max: int = 10) -> AsyncIterator[int]:
    server = HttpServer(handler, connections_max=connections_max)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.close()


async def answer_to(raw: bytes, *, handler: Handler = echo) -> bytes:
    """All that a server sends until it closes the connection."""
    async with serving(handler) as port, connected(port) as (reader, writer):
        writer.write(raw)
        return await reader.read()


REFUSED = {
    "garbage": (b"\x00\x01\r\n\r\n", b"400"),
    "a head that does not end": (b"GET /" + b"x" * HEAD_BYTES_MAX * 2, b"431"),
    "a head that is cut short": (b"GET / HTTP/1.1\r\nHost", b"400"),
    "a chunked body": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
    "a body too large": (b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", b"413"),
    "a body larger than any number": (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
    "a length that is no number": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
    "a length in other digits": ("POST / HTTP/1.1\r\nContent-Length: ²\r\n\r\n".encode("latin-1"), b"400"),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
}


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_understood_is_refused_and_the_connection_closed(raw: bytes, status: bytes) -> None:
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(raw)
        if writer.can_write_eof() and b"\r\n\r\n" not in raw:
            writer.write_eof()
        answered = await reader.read()
    assert answered.split(b" ")[1] == status
    assert b"Connection: close" in answered


async def test_a_connection_is_kept_for_the_next_request_until_one_says_close() -> None:
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(b"POST /a?b=%20 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nConnection: close\r\n\r\n")
        answered = await reader.read()
    first, second = answered.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert b"Connection: keep-alive" in first
    assert first.endswith(b"\r\n\r\n/a?b=%20")
    assert b"Connection: close" in second
    assert second.endswith(b"\r\n\r\n/c")


async def test_a_client_of_the_old_protocol_is_answered_once() -> None:
    assert b"Connection: close" in await answer_to(b"GET / HTTP/1.0\r\n\r\n")


async def test_the_answer_to_a_head_has_no_body() -> None:
    async def streamed(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await answer.start_chunks()
        await answer.chunk(b"data")
        await answer.end()
        answer.keeps_alive = False

    assert (await answer_to(b"HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n")).partition(b"\r\n\r\n")[2] == b""
    assert (await answer_to(b"HEAD /x HTTP/1.1\r\n\r\n", handler=streamed)).partition(b"\r\n\r\n")[2] == b""
    assert (await answer_to(b"GET /x HTTP/1.1\r\n\r\n", handler=streamed)).partition(b"\r\n\r\n")[2] == b"4\r\ndata\r\n0\r\n\r\n"


async def test_a_handler_that_fails_is_logged_and_costs_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        raise RuntimeError("broken handler")

    assert await answer_to(b"GET / HTTP/1.1\r\n\r\n", handler=broken) == b""
    assert "broken handler" in caplog.text


async def test_connections_beyond_the_bound_are_closed_and_the_others_served_on() -> None:
    async with serving(connections_max=1) as port, connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n/")
        async with connected(port) as (late, _):
            assert await late.read() == b""
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n/")


class Writer:
    """What of a StreamWriter a server uses: nothing is sent, and nothing can be while it is `full`."""

    def __init__(self, *, full: bool = False) -> None:
        self.is_full, self.was_aborted, self.transport = full, False, self

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None:
        if self.is_full:
            await asyncio.get_running_loop().create_future()

    def close(self) -> None: ...

    def abort(self) -> None:
        self.was_aborted = True


SLOW = {
    "a head that never comes": (b"", False),
    "a head in pieces": (b"GET / HTTP/1.1\r\nHost: x\r\n", False),
    "a body that never comes": (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", False),
    "an answer that nobody reads": (b"GET / HTTP/1.1\r\n\r\n", True),
}


@pytest.mark.parametrize(("raw", "full"), SLOW.values(), ids=SLOW.keys())
@virtual
async def test_whoever_is_too_slow_is_cut_off(raw: bytes, full: bool) -> None:
    server = HttpServer(echo, connections_max=1, answer_s_max=HEAD_S_MAX + 5)
    reader, writer = asyncio.StreamReader(limit=HEAD_BYTES_MAX), Writer(full=full)
    reader.feed_data(raw)
    serving = asyncio.ensure_future(server.connected(reader, writer))  # type: ignore[arg-type]
    await asyncio.sleep(HEAD_S_MAX - 1)
    assert not serving.done()
    await asyncio.sleep(10)
    assert serving.done()
    assert writer.was_aborted


@virtual
async def test_stopping_ends_connections_that_wait() -> None:
    server = HttpServer(echo, connections_max=1)
    serving = asyncio.ensure_future(server.connected(asyncio.StreamReader(), Writer()))  # type: ignore[arg-type]
    await asyncio.sleep(1)
    await server.stop()
    assert serving.done()


def test_what_was_sent_is_kept_beside_what_it_means() -> None:
    head = parse_head(b"GET //a%2Fb//?x=1&x=%202 HTTP/1.1\r\nX-Group: a, b\r\nx-group: c\r\n\r\n")
    assert head.target == "//a%2Fb//?x=1&x=%202"
    assert head.fields == (("X-Group", "a, b"), ("x-group", "c"))
    assert head.headers == {"x-group": "a, b, c"}
    assert (head.segments, head.values("x")) == (("a/b",), ["1", " 2"])


@pytest.mark.parametrize("target", [b"//[", b"/[::1", b"/a://b]"])
def test_a_path_is_no_address(target: bytes) -> None:
    assert parse_head(b"GET " + target + b" HTTP/1.1\r\n\r\n").target.encode() == target


def test_a_bad_request_says_400_unless_told() -> None:
    assert (BadRequest("x").status, BadRequest("x", status=404).status) == (400, 404)


def test_dates_are_in_english_and_utc() -> None:
    assert http_date(784111777.9) == "Sun, 06 Nov 1994 08:49:37 GMT"
