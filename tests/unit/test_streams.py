"""The wire protocols of exec, attach and port-forward: SPDY/3.1, WebSocket and their channels, frame by frame."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.http.exchange import BadRequest, Head, parse_head
from kubelet.server import channels, spdy, websocket
from kubelet.server.buffer import ByteQueue
from kubelet.server.remote_command import CommandStreams, chosen_spdy_protocol, status_of_exit
from kubelet.server.spdy import DICTIONARY, HeaderCodec, SpdyConnection, SpdyError
from kubelet.server.websocket import WebSocket, WebSocketError, frame, masked
from tests.virtual import virtual

# --- request heads --------------------------------------------------------------------------------------------------------------


def test_a_head_is_read() -> None:
    lines = [
        b"POST /exec/ns/pod/c?command=sh&command=-c&input=1&tty=true HTTP/1.1",
        b"Connection: Upgrade",
        b"Upgrade: SPDY/3.1",
        b"X: a",
        b"X: b",
    ]
    head = parse_head(b"\r\n".join(lines) + b"\r\n\r\n")
    assert (head.method, head.segments) == ("POST", ("exec", "ns", "pod", "c"))
    assert head.values("command") == ["sh", "-c"]
    assert head.flag("input")
    assert head.flag("stdin", "tty")
    assert not head.flag("output")
    assert head.upgrade == "spdy/3.1"
    assert head.words("x") == ["a", "b"]


def test_path_segments_are_unquoted_one_by_one() -> None:
    assert parse_head(b"GET /containerLogs/a%2Fb/c HTTP/1.1\r\n\r\n").segments == ("containerLogs", "a/b", "c")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET x HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\na : b\r\n\r\n",
    ],
)
def test_a_malformed_head_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_head(raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_a_bad_request(raw: bytes) -> None:
    try:
        parse_head(raw)
    except BadRequest:
        pass


# --- byte queues ------------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_full_queue_holds_its_writer_up() -> None:
    queue = ByteQueue(bytes_max=3)
    await queue.put(b"abc")
    writing = asyncio.ensure_future(queue.put(b"d"))
    await asyncio.sleep(1)
    assert not writing.done()
    assert await queue.get() == b"abc"
    await writing
    queue.close()
    assert [await queue.get(), await queue.get()] == [b"d", b""]
    await queue.put(b"too late")
    assert await queue.get() == b""


@virtual
async def test_discarding_a_queue_lets_its_writer_go() -> None:
    queue = ByteQueue(bytes_max=1)
    await queue.put(b"a")
    writing = asyncio.ensure_future(queue.put(b"b"))
    await asyncio.sleep(1)
    queue.discard()
    await writing
    assert await queue.get() == b""


# --- SPDY -------------------------------------------------------------------------------------------------------------------------


def test_the_header_dictionary_is_the_protocols() -> None:
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_headers_survive_the_way_there_and_back() -> None:
    here, there = HeaderCodec(), HeaderCodec()
    for number in range(3):
        assert there.decode(here.encode({"StreamType": "data", "port": str(number)})) == {"streamtype": "data", "port": str(number)}


def test_headers_that_are_too_large_are_refused() -> None:
    with pytest.raises(SpdyError, match="too large"):
        HeaderCodec().decode(HeaderCodec().encode({"a": "x" * 100_000}))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_headers_or_an_error(block: bytes) -> None:
    try:
        HeaderCodec().decode(block)
    except SpdyError:
        pass


class Pipe:
    """Both ends of a connection in memory: `feed` what the peer sends, `sent` is what it gets."""

    def __init__(self) -> None:
        self.reader, self.sent = asyncio.StreamReader(), b""

    def feed(self, *frames: bytes) -> None:
        for each in frames:
            self.reader.feed_data(each)

    async def read_exactly(self, count: int) -> bytes:
        return await self.reader.readexactly(count)

    async def write(self, data: bytes) -> None:
        self.sent += data

    def frames(self) -> list[tuple[int, int, int, bytes]]:
        """What was sent: (frame type or -1 for data, stream id of a data frame, flags, payload)."""
        found, at = [], 0
        while at < len(self.sent):
            first, second = struct.unpack_from(">II", self.sent, at)
            length = second & 0xFFFFFF
            payload = self.sent[at + 8 : at + 8 + length]
            found.append((first & 0xFFFF if first >> 31 else -1, 0 if first >> 31 else first, second >> 24, payload))
            at += 8 + length
        return found


def control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", (1 << 31) | (3 << 16) | kind, (flags << 24) | len(payload)) + payload


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">II", stream, (flags << 24) | len(payload)) + payload


class Peer:
    """The client's side."""

    def __init__(self) -> None:
        self.codec = HeaderCodec()

    def open(self, stream: int, flags: int = 0, **headers: str) -> bytes:
        return control(spdy.SYN_STREAM, struct.pack(">IIBB", stream, 0, 0, 0) + self.codec.encode(headers), flags)


async def connected(*frames: bytes) -> tuple[Pipe, SpdyConnection, asyncio.Task[None]]:
    pipe = Pipe()
    pipe.feed(*frames)
    connection = SpdyConnection(pipe)
    return pipe, connection, asyncio.ensure_future(connection.run())


@virtual
async def test_a_stream_is_answered_read_and_written() -> None:
    pipe, connection, running = await connected(Peer().open(1, streamType="stdin"), data(1, b"hello"), data(1, b" there", spdy.FLAG_FIN))
    stream = await connection.accept()
    assert stream is not None
    assert stream.headers == {"streamtype": "stdin"}
    assert [await stream.read(), await stream.read(), await stream.read()] == [b"hello", b" there", b""]
    await stream.write(b"x" * 40_000)
    await stream.close()
    await stream.write(b"after the end")
    kinds = [(kind, number, flags, len(payload)) for kind, number, flags, payload in pipe.frames()][1:]
    assert kinds == [(-1, 1, 0, 32768), (-1, 1, 0, 40_000 - 32768), (-1, 1, 1, 0)]
    assert pipe.frames()[0][0] == spdy.SYN_REPLY
    pipe.reader.feed_eof()
    await running
    assert await connection.accept() is None


@virtual
async def test_pings_are_answered_and_goodbyes_heard() -> None:
    pipe, connection, running = await connected(control(spdy.PING, struct.pack(">I", 7)), control(spdy.GOAWAY, struct.pack(">II", 0, 0)))
    await running
    assert pipe.frames() == [(spdy.PING, 0, 0, struct.pack(">I", 7))]
    assert connection.is_closed


@virtual
async def test_a_stream_that_is_reset_ends() -> None:
    pipe, connection, running = await connected(Peer().open(1), data(1, b"lost"), control(spdy.RST_STREAM, struct.pack(">II", 1, 5)))
    stream = await connection.accept()
    assert stream is not None
    await asyncio.sleep(0)
    assert await stream.read() == b""
    pipe.reader.feed_eof()
    await running


@virtual
async def test_windows_are_kept_with_a_peer_that_has_them() -> None:
    small = control(spdy.SETTINGS, struct.pack(">III", 1, 7, 10))
    pipe, connection, running = await connected(small, Peer().open(1), data(1, b"abc"))
    stream = await connection.accept()
    assert stream is not None
    assert await stream.read() == b"abc"
    assert (spdy.WINDOW_UPDATE, 0, 0, struct.pack(">II", 1, 3)) in pipe.frames()
    await stream.write(b"0123456789")
    writing = asyncio.ensure_future(stream.write(b"more"))
    await asyncio.sleep(1)
    assert not writing.done()
    pipe.feed(control(spdy.WINDOW_UPDATE, struct.pack(">II", 1, 10)))
    await writing
    assert pipe.frames()[-1] == (-1, 1, 0, b"more")
    pipe.reader.feed_eof()
    await running


@virtual
async def test_writing_fails_once_the_peer_has_gone() -> None:
    pipe, connection, running = await connected(Peer().open(1))
    stream = await connection.accept()
    assert stream is not None
    pipe.reader.feed_eof()
    await running
    with pytest.raises(OSError, match="ended"):
        await stream.write(b"x")


BROKEN = {
    "a frame that is too large": struct.pack(">II", 1, (1 << 24) - 1),
    "another version": struct.pack(">II", (1 << 31) | (2 << 16) | 1, 0),
    "an even stream id": Peer().open(2),
    "a frame that is cut short": control(spdy.SYN_STREAM, b"\0"),
    "headers that are no zlib": control(spdy.SYN_STREAM, struct.pack(">IIBB", 1, 0, 0, 0) + b"garbage"),
}


@pytest.mark.parametrize("frames", BROKEN.values(), ids=BROKEN.keys())
@virtual
async def test_a_peer_that_breaks_the_protocol_is_told_and_left(frames: bytes) -> None:
    pipe, connection, running = await connected(frames)
    with pytest.raises(SpdyError):
        await running
    assert pipe.frames()[-1][0] == spdy.GOAWAY
    assert connection.is_closed


@virtual
async def test_a_stream_id_is_not_used_twice() -> None:
    peer = Peer()
    _, _, running = await connected(peer.open(3), peer.open(1))
    with pytest.raises(SpdyError, match="out of order"):
        await running


@virtual
async def test_there_are_only_so_many_streams() -> None:
    peer = Peer()
    pipe, _, running = await connected(*(peer.open(2 * number + 1) for number in range(spdy.STREAMS_MAX + 1)))
    pipe.reader.feed_eof()
    await running
    assert pipe.frames()[-1][0] == spdy.RST_STREAM


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=30), st.integers(0, 3)), max_size=5))
def test_any_frames_end_in_an_orderly_way(frames: list[tuple[int, bytes, int]]) -> None:
    async def scenario() -> None:
        pipe, connection, running = await connected(*(control(kind, payload, flags) for kind, payload, flags in frames))
        pipe.reader.feed_eof()
        await asyncio.gather(running, return_exceptions=True)
        assert running.exception() is None or isinstance(running.exception(), SpdyError)
        assert connection.is_closed

    asyncio.run(scenario())


# --- WebSocket ----------------------------------------------------------------------------------------------------------------------


class Writer:
    """What of an asyncio.StreamWriter is used."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    async def drain(self) -> None:
        pass


MASK = b"\x01\x02\x03\x04"


def socket_with(*frames: bytes, protocol: str = "", ends: bool = True) -> tuple[WebSocket, Writer]:
    reader, writer = asyncio.StreamReader(), Writer()
    for each in frames:
        reader.feed_data(each)
    if ends:
        reader.feed_eof()
    return WebSocket(reader, writer, protocol), writer  # type: ignore[arg-type]


def head(**headers: str) -> Head:
    return Head("GET", ("x",), (), {key.replace("_", "-"): value for key, value in headers.items()})


def test_the_handshake_is_the_rfcs() -> None:
    asked = head(sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", sec_websocket_version="13")
    answered = websocket.accept_headers(asked, "v5.channel.k8s.io")
    assert answered["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answered["Sec-WebSocket-Protocol"] == "v5.channel.k8s.io"


@pytest.mark.parametrize("asked", [head(), head(sec_websocket_key="x"), head(sec_websocket_key="x", sec_websocket_version="8")])
def test_a_bad_handshake_is_refused(asked: Head) -> None:
    with pytest.raises(BadRequest):
        websocket.accept_headers(asked, "")


def test_the_first_subprotocol_that_is_known_is_chosen() -> None:
    asked = head(sec_websocket_protocol="v9.channel.k8s.io, v5.channel.k8s.io, v4.channel.k8s.io")
    assert websocket.chosen_protocol(asked, channels.PROTOCOLS) == "v5.channel.k8s.io"
    assert websocket.chosen_protocol(head(), channels.PROTOCOLS) == ""
    with pytest.raises(BadRequest):
        websocket.chosen_protocol(head(sec_websocket_protocol="v9"), channels.PROTOCOLS)


def test_masking_is_its_own_inverse() -> None:
    assert masked(masked(b"hello world", MASK), MASK) == b"hello world"
    assert masked(b"", MASK) == b""


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
@virtual
async def test_messages_of_every_size_arrive(size: int) -> None:
    socket, writer = socket_with(frame(websocket.BINARY, b"x" * size, mask=MASK))
    message = await socket.receive()
    assert message is not None
    assert message.data == b"x" * size
    assert await socket.receive() is None
    await socket.send(b"y" * size)
    assert writer.sent == frame(websocket.BINARY, b"y" * size)


@virtual
async def test_fragments_are_put_together_and_pings_answered_in_between() -> None:
    first = bytearray(frame(websocket.TEXT, b"hel", mask=MASK))
    first[0] &= 0x7F
    socket, writer = socket_with(bytes(first), frame(websocket.PING, b"p", mask=MASK), frame(0, b"lo", mask=MASK))
    message = await socket.receive()
    assert message == websocket.Message(True, b"hello")
    assert writer.sent == frame(websocket.PONG, b"p")


@virtual
async def test_a_close_is_answered() -> None:
    socket, writer = socket_with(frame(websocket.CLOSE, struct.pack(">H", 1000), mask=MASK), ends=False)
    assert await socket.receive() is None
    assert writer.sent == frame(websocket.CLOSE, struct.pack(">H", 1000))
    with pytest.raises(OSError, match="closed"):
        await socket.send(b"x")


WRONG = {
    "an unmasked frame": (frame(websocket.BINARY, b"x"), websocket.PROTOCOL_ERROR),
    "an unknown opcode": (frame(5, b"x", mask=MASK), websocket.PROTOCOL_ERROR),
    "a continuation of nothing": (frame(0, b"x", mask=MASK), websocket.PROTOCOL_ERROR),
    "a large ping": (frame(websocket.PING, b"x" * 126, mask=MASK), websocket.PROTOCOL_ERROR),
    "a message that is too large": (struct.pack(">BBQ", 0x82, 0xFF, 1 << 40), websocket.TOO_BIG),
    "reserved bits": (b"\xf2\x80" + MASK, websocket.PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("frames", "code"), WRONG.values(), ids=WRONG.keys())
@virtual
async def test_a_client_that_breaks_the_protocol_is_told(frames: bytes, code: int) -> None:
    socket, writer = socket_with(frames)
    with pytest.raises(WebSocketError) as caught:
        await socket.receive()
    assert caught.value.code == code
    assert writer.sent == frame(websocket.CLOSE, struct.pack(">H", code))


# --- channels -----------------------------------------------------------------------------------------------------------------------


@virtual
async def test_channels_share_a_websocket() -> None:
    frames = [frame(websocket.BINARY, each, mask=MASK) for each in (b"\x00in", b"\x04{}", b"\x09nobody", b"", b"\xff\x00", b"\x00late")]
    socket, writer = socket_with(*frames, protocol=channels.V5)
    both = channels.Channels(socket, [0, 1, 4])
    await both.run()
    assert [await both.all[0].read(), await both.all[0].read()] == [b"in", b""]
    assert await both.all[4].read() == b"{}"
    await both.all[1].write(b"out")
    await both.all[1].close()
    assert writer.sent == frame(websocket.BINARY, b"\x01out")


@virtual
async def test_base64_channels_are_text() -> None:
    sent = b"0" + base64.b64encode(b"in")
    socket, writer = socket_with(frame(websocket.TEXT, sent, mask=MASK), protocol=channels.V4_BASE64)
    both = channels.Channels(socket, [0, 1])
    await both.run()
    assert await both.all[0].read() == b"in"
    await both.all[1].write(b"out")
    assert writer.sent == frame(websocket.TEXT, b"1" + base64.b64encode(b"out"))


@virtual
async def test_text_that_is_no_base64_ends_the_connection() -> None:
    socket, _ = socket_with(frame(websocket.TEXT, b"0!!", mask=MASK), protocol=channels.V4_BASE64)
    with pytest.raises(WebSocketError):
        await channels.Channels(socket, [0]).run()


# --- remote commands ------------------------------------------------------------------------------------------------------------------

CHOICES: dict[str, tuple[str, Any]] = {
    "the newest that is known": ("v9.channel.k8s.io, v4.channel.k8s.io, v3.channel.k8s.io", "v4.channel.k8s.io"),
    "none offered": ("", ""),
    "none known": ("v9.channel.k8s.io", BadRequest),
}


@pytest.mark.parametrize(("offered", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_chosen_spdy_protocol(offered: str, expected: Any) -> None:
    supported = ("v4.channel.k8s.io", "v3.channel.k8s.io")
    if expected is BadRequest:
        with pytest.raises(BadRequest):
            chosen_spdy_protocol(head(x_stream_protocol_version=offered), supported)
    else:
        assert chosen_spdy_protocol(head(x_stream_protocol_version=offered), supported) == expected


def test_the_exit_code_is_a_status() -> None:
    assert status_of_exit(0) == {"metadata": {}, "status": "Success"}
    failed = status_of_exit(3)
    assert (failed["reason"], failed["details"]) == ("NonZeroExitCode", {"causes": [{"reason": "ExitCode", "message": "3"}]})


class Resizes:
    def __init__(self, *sent: bytes) -> None:
        self._sent = list(sent)

    async def read(self) -> bytes:
        return self._sent.pop(0) if self._sent else b""

    async def write(self, data: bytes) -> None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError


@virtual
async def test_terminal_sizes_come_in_any_pieces() -> None:
    streams = CommandStreams(
        {"resize": Resizes(b'{"Width":80,"Hei', b'ght":24}', b'{"Width":1,"Height":2}{"Width":3,"Height":4}')}, tty=True
    )
    assert await streams.next_resize() == (80, 24)
    assert await streams.next_resize() == (3, 4)
