"""How a load balancer reaches backends: port-forwards over WebSockets, and addresses."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from controllers.cloud import dialing
from controllers.cloud.balancing import Backend
from controllers.cloud.dialing import BackendFailed, Dialer, ForwardPipe
from kube import websocket
from kube.client.client import Client
from kube.client.transport import HttpTransport
from kube.http.exchange import Answer, Head
from kube.websocket import WebSocket, frame
from kubelet.server.websocket import upgrade
from tests.unit.test_client_websocket import V4, listening, refuse, served

HEADS = (b"\x00" + struct.pack("<H", 80), b"\x01" + struct.pack("<H", 80))
POD = Backend("10.0.0.1", 80, "ns", "web")


class Wire:
    """What the client sends; its end is the end of what the client reads."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.sent, self.transport, self._reader = b"", self, reader

    def write(self, data: bytes) -> None:
        self.sent += data

    async def drain(self) -> None: ...

    def abort(self) -> None:
        if not self._reader.at_eof():
            self._reader.feed_eof()


def pipe_with(*messages: bytes, ends: bool = False, silent_s: float = 60.0, answered_s: float = 60.0) -> tuple[ForwardPipe, Wire]:
    reader = asyncio.StreamReader()
    for each in messages:
        reader.feed_data(frame(websocket.BINARY, each))
    if ends:
        reader.feed_eof()
    wire = Wire(reader)
    socket = WebSocket(reader, wire, V4, is_client=True)  # type: ignore[arg-type]
    return ForwardPipe(socket, silent_s=silent_s, answered_s=answered_s), wire


async def test_it_begins_when_both_channels_have_named_the_port() -> None:
    pipe, _ = pipe_with(HEADS[0], b"\x00early", HEADS[1] + b"", b"\x00late", b"\x00", b"", b"\x02nobody's", b"\x01", b"\x00end", ends=True)
    await pipe.begin()
    assert [await pipe.read() for _ in range(4)] == [b"early", b"late", b"end", b""]


async def test_what_is_written_is_masked_and_on_channel_0() -> None:
    pipe, wire = pipe_with(*HEADS)
    await pipe.begin()
    await pipe.write(b"hello")
    assert wire.sent[:2] == bytes((0x80 | websocket.BINARY, 0x80 | 6))
    assert websocket.masked(wire.sent[6:], wire.sent[2:6]) == b"\x00hello"


ERRORS = {
    "nothing listens there": ("an error occurred forwarding 80 -> 80: dial tcp4 127.0.0.1:80: connect: connection refused", True),
    "anything else": ("an error occurred forwarding 80 -> 80: read: connection reset by peer", False),
}


@pytest.mark.parametrize(("text", "refused"), ERRORS.values(), ids=ERRORS.keys())
async def test_what_comes_on_channel_1_is_the_failure(text: str, refused: bool) -> None:
    pipe, _ = pipe_with(*HEADS, b"\x01" + text.encode())
    await pipe.begin()
    with pytest.raises(BackendFailed, match="an error occurred forwarding") as caught:
        await pipe.read()
    assert caught.value.refused is refused


async def test_one_that_ends_before_it_begins_has_failed() -> None:
    pipe, _ = pipe_with(HEADS[0], ends=True)
    with pytest.raises(BackendFailed, match="before it began"):
        await pipe.begin()


async def test_a_kubelet_that_breaks_the_protocol_has_failed() -> None:
    pipe, _ = pipe_with(*HEADS, b"\x00" + b"x" * websocket.MESSAGE_BYTES_MAX)
    await pipe.begin()
    with pytest.raises(BackendFailed, match="too large"):
        await pipe.read()


async def test_after_the_clients_end_an_answer_is_waited_for_until_the_backend_is_silent() -> None:
    pipe, wire = pipe_with(*HEADS, answered_s=0.02)
    await pipe.begin()
    await pipe.write(b"a question")
    await pipe.end()
    wire._reader.feed_data(frame(websocket.BINARY, b"\x00the answer"))
    async with asyncio.timeout(20):
        assert [await pipe.read(), await pipe.read()] == [b"the answer", b""]


async def test_a_question_that_is_never_answered_is_given_up_in_the_end() -> None:
    pipe, _ = pipe_with(*HEADS, silent_s=0.02)
    await pipe.begin()
    await pipe.write(b"a question")
    await pipe.end()
    async with asyncio.timeout(20):
        assert await pipe.read() == b""


# --- dialing ----------------------------------------------------------------------------------------------------------


def dialer(url: str, how: Any = "port-forward") -> Dialer:
    return Dialer(Client(HttpTransport(url), user_agent="tester", token="secret"), how)


async def test_a_pod_is_reached_through_the_api() -> None:
    async def handler(head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        assert (head.segments[-2:], head.query) == (("web", "portforward"), (("ports", "80"),))
        socket = await upgrade(head, answer, reader, (V4,))
        for each in HEADS:
            await socket.send(each)
        while (message := await socket.receive()) is not None:
            await socket.send(message.data.upper())

    async with served(handler) as url:
        pipe = await dialer(url)(POD)
        await pipe.write(b"hello")
        assert await pipe.read() == b"HELLO"
        pipe.abort()
        assert await pipe.read() == b""


async def test_a_refusal_of_the_api_names_the_reason() -> None:
    async with served(refuse) as url:
        with pytest.raises(BackendFailed, match='pods "web" not found') as caught:
            await dialer(url)(POD)
        assert caught.value.refused


@pytest.mark.parametrize("how", ["port-forward", "pod-ip"])
async def test_what_is_no_pod_is_called_at_its_address_and_pods_are_where_that_is_asked_for(how: str) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")

    async with listening(greet) as url:
        port = int(url.rpartition(":")[2])
        pod = {"namespace": "ns", "pod": "web"} if how == "pod-ip" else {}
        pipe = await dialer("http://127.0.0.1:1", how)(Backend("127.0.0.1", port, **pod))
        assert [await pipe.read(), await pipe.read()] == [b"hello", b""]
        pipe.abort()


async def test_nobody_there() -> None:
    async with listening(_nothing) as url:
        port = int(url.rpartition(":")[2])
        (await dialer(url, "pod-ip")(Backend("127.0.0.1", port))).abort()
    with pytest.raises(BackendFailed, match=r"(?i)connect"):
        await dialer(url, "pod-ip")(Backend("127.0.0.1", port))


async def _nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None: ...


async def test_one_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "CONNECT_S", 0.05)
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set()

    async with listening(silent) as url:
        with pytest.raises(BackendFailed, match="no connection within"):
            await dialer(url)(POD)
        await gone.wait()
