"""The client's side of a WebSocket handshake (RFC 6455, section 4.1), on a connection that is there. After it: `kube/websocket.py`.

`Client.websocket` is the way to one: it knows the server, its certificates and who we are.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httptools

from kube.client.base import Answer, ConnectionFailed
from kube.websocket import WebSocket, accept_of

HEAD_BYTES_MAX: Final = 64 * 1024
REFUSAL_BYTES_MAX: Final = 64 * 1024
"""How much of a refusal's body is read."""


class NotUpgraded(Exception):
    """The server answered with something else than 101: `answer`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the server answered {answer.status}")
        self.answer = answer


async def shake_hands(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: Callable[[Mapping[str, str]], bytes],
    protocols: Sequence[str],
) -> WebSocket:
    """Ask for one of these subprotocols; `request` makes the bytes of a GET with these headers in addition to its own.

    Raises NotUpgraded, ConnectionFailed for an answer that is none to what was asked, and OSError or EOFError. The caller closes."""
    key = base64.b64encode(os.urandom(16)).decode()
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": key}
    writer.write(request({**headers, "sec-websocket-protocol": ", ".join(protocols)}))
    answer = await _answer(reader)
    if answer.status != 101:
        raise NotUpgraded(answer)
    if answer.headers.get("upgrade", "").lower() != "websocket" or answer.headers.get("sec-websocket-accept") != accept_of(key):
        raise ConnectionFailed("the server changed to another protocol than WebSocket")
    protocol = answer.headers.get("sec-websocket-protocol", "")
    if protocol not in protocols:
        raise ConnectionFailed(f"the server chose the subprotocol {protocol!r} of {', '.join(protocols)}")
    return WebSocket(reader, writer, protocol, is_client=True)


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """The answer's head, and its body unless it is a 101. What follows a 101 stays unread."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ConnectionFailed("the head of the answer is too large") from error
    parsed = _Parsed()
    parsed.feed(head)
    while parsed.status != 101 and not parsed.is_whole and len(parsed.body) < REFUSAL_BYTES_MAX:
        data = await reader.read(REFUSAL_BYTES_MAX)
        if not data:
            break
        parsed.feed(data)
    return Answer(parsed.status, parsed.headers, bytes(parsed.body[:REFUSAL_BYTES_MAX]))


class _Parsed:
    """One answer, as httptools tells of it."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_whole = False
        self._parser: Any = httptools.HttpResponseParser(self)

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise ConnectionFailed(f"the answer is not HTTP: {error}") from error

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True
