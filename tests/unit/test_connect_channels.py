"""The end of a remote command over WebSocket channels: what is said last, and by whom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kube.http.exchange import Answer, Head
from kubelet.server import channels, remote_command, websocket
from tests.virtual import virtual

Client = Callable[[asyncio.StreamReader], Coroutine[Any, Any, None]]


class Wire:
    """A writer that keeps what is written, as messages."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def frames(self) -> list[tuple[int, bytes]]:
        """(opcode, payload) of what came after the handshake."""
        _, _, rest = bytes(self.data).partition(b"\r\n\r\n")
        found = []
        while rest:
            size, start = rest[1], 2
            if size == 126:
                size, start = int.from_bytes(rest[2:4], "big"), 4
            found.append((rest[0] & 15, rest[start : start + size]))
            rest = rest[start + size :]
        return found


async def run(protocol: str, client: Client, *, query: str = "input=1&output=1") -> tuple[Wire, float]:
    """A command that ends at once, and says so; what went over the wire, and when its end was told."""
    pairs = tuple((key, value) for key, _, value in (each.partition("=") for each in query.split("&")))
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "k"}
    head = Head("GET", ("exec",), pairs, headers | {"sec-websocket-protocol": protocol})
    wire: Any = Wire()
    reader = asyncio.StreamReader()

    async def work(streams: remote_command.CommandStreams) -> int:
        await streams.write_stdout(b"out")
        return 0

    serving = asyncio.create_task(remote_command.serve(head, Answer(wire), reader, work))
    talking = asyncio.create_task(client(reader))
    closed_at = 0.0
    started = asyncio.get_running_loop().time()
    while not closed_at:
        await asyncio.sleep(0.001)
        if wire.frames()[-1:] and wire.frames()[-1][0] == websocket.CLOSE:
            closed_at = asyncio.get_running_loop().time() - started
    await talking
    reader.feed_eof()
    await serving
    return wire, closed_at


def said(*data: bytes) -> Client:
    """A client that sends these messages after 20 ms each."""

    async def client(reader: asyncio.StreamReader) -> None:
        for each in data:
            await asyncio.sleep(0.02)
            reader.feed_data(websocket.frame(websocket.BINARY, each, mask=b"mask"))

    return client


@pytest.mark.parametrize("protocol", channels.PROTOCOLS)
@virtual
async def test_the_server_never_sends_the_closing_message(protocol: str) -> None:
    """It is the client's alone: kubectl says `Unknown stream id 255` of one that comes from a server."""
    wire, _ = await run(protocol, said(b"\xff\x00"))
    *messages, last = wire.frames()
    numbers = {int(chr(payload[0])) if "base64" in protocol else payload[0] for _, payload in messages}
    assert numbers <= {1, 3}
    assert last == (websocket.CLOSE, websocket.NORMAL.to_bytes(2, "big"))


@virtual
async def test_the_status_comes_before_the_end() -> None:
    wire, _ = await run(channels.V5, said(b"\xff\x00"))
    assert [payload for _, payload in wire.frames()[:2]] == [b"\x01", b"\x01out"]
    assert json.loads(wire.frames()[2][1][1:])["status"] == "Success"


WAITS: dict[str, tuple[str, str, Client, float]] = {
    "until stdin has ended": (channels.V5, "input=1&output=1", said(b"\0data", b"\0data", b"\xff\0"), 0.06),
    "but not for ever": (channels.V5, "input=1&output=1", said(b"\0data"), remote_command.STDIN_S),
    "nor where nothing is sent": (channels.V5, "output=1", said(), 0.0),
    "nor at a terminal": (channels.V5, "input=1&output=1&tty=1", said(), 0.0),
    "nor where a client cannot say so": (channels.V4, "input=1&output=1", said(), 0.0),
}


@pytest.mark.parametrize(("protocol", "query", "client", "expected_s"), WAITS.values(), ids=WAITS.keys())
@virtual
async def test_the_connection_closes_when_the_client_has_sent_its_stdin(
    protocol: str, query: str, client: Client, expected_s: float
) -> None:
    _, closed_s = await run(protocol, client, query=query)
    assert closed_s == pytest.approx(expected_s, abs=0.005)
