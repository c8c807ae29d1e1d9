"""One HTTP/1.1 connection of the client: writes a request, reads its answer, may do so again. Parsing is httptools'.

Chosen over a general client because a control loop's requests are small and many: this costs a third of aiohttp's CPU time per request.
Not here: which connection a request goes over (`http.py`), redirects, proxies, compression, upgrades.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

import httptools

from kube.client.base import ConnectionFailed

BUFFER_BYTES = 1 << 20
"""How much of a stream may wait for its reader before the socket is read no further."""

_UNFIT = re.compile(r"[\x00-\x20\x7f-\uffff]")
_LINE_END = re.compile(r"[\r\n\0]")


def encode_request(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The bytes of a request. Raises ValueError for a target or header that would be another request."""
    if _UNFIT.search(target):
        raise ValueError(f"{target!r} is not a quoted path and query")
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {host}\r\n"]
    for name, value in headers.items():
        if _LINE_END.search(value):
            raise ValueError(f"the header {name} holds a line end")
        lines.append(f"{name}: {value}\r\n")
    if body is not None or method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(body or b'')}\r\n")
    lines.append("\r\n")
    head = "".join(lines).encode("latin-1")
    return head + body if body else head


class Connection(asyncio.Protocol):
    """A connection; used by one request at a time. `reusable` says whether it is good for another one. A whole answer of more than
    `answer_bytes_max` bytes ends it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, answer_bytes_max: int | None = None) -> None:
        self._loop = loop
        self._answer_bytes_max = answer_bytes_max
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._failure: ConnectionFailed | None = None
        self._is_lost = False
        self.idle_since = 0.0
        self.answers = 0
        """How many whole answers it has brought."""
        self.closed: asyncio.Future[None] = loop.create_future()
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: deque[bytes] = deque()
        self.is_whole = False
        self._has_head = False
        self._has_begun = False
        self._keep_alive = False
        self._until_eof = False
        self._waiting_bytes = self._answer_bytes = 0
        self._is_paused = False
        self._is_stream = False
        self._method = ""
        self._waiter: asyncio.Future[None] | None = None

    # --- for the transport --------------------------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        return self.is_whole and self._keep_alive and not self._is_lost and self._failure is None

    @property
    def is_open(self) -> bool:
        return not self._is_lost and self._failure is None and self._transport is not None and not self._transport.is_closing()

    @property
    def was_stale(self) -> bool:
        """Whether it ended before a byte of the answer, having been used before: the server had most likely closed it already."""
        return self._failure is not None and not self._has_begun and self.answers > 0

    def send(self, method: str, request: bytes, *, is_stream: bool) -> None:
        """Begin a request."""
        assert self._transport is not None
        self._reset()
        self._method, self._is_stream = method, is_stream
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)

    async def wait_head(self) -> None:
        """Wait for status and headers. Raises ConnectionFailed."""
        while not self._has_head:
            await self._wait()

    async def wait_whole(self) -> None:
        """Wait for the whole answer. Raises ConnectionFailed."""
        while not self.is_whole:
            await self._wait()

    async def next_part(self) -> bytes | None:
        """The next part of the body as it arrives; None after the last. Raises ConnectionFailed where it was cut off."""
        while not self.parts:
            if self.is_whole:
                return None
            await self._wait()
        part = self.parts.popleft()
        self._waiting_bytes -= len(part)
        if self._is_paused and self._waiting_bytes < BUFFER_BYTES and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return part

    def fail(self, why: str) -> None:
        """End the connection and whatever waits for it."""
        if self._failure is None:
            self._failure = ConnectionFailed(why)
        self._wake()
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._failure is not None:
            raise ConnectionFailed(str(self._failure))
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- called by the loop -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._parser is None:  # nobody asked for anything
            self.fail("the server sent something unasked")
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.fail(f"the answer is not HTTP: {error}")

    def eof_received(self) -> bool:
        self._ended("the server closed the connection")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        self._ended(f"the connection was lost: {error}" if error else "the server closed the connection")
        if not self.closed.done():
            self.closed.set_result(None)

    def _ended(self, why: str) -> None:
        if self._until_eof and self._has_head and not self.is_whole and self._failure is None:
            self.is_whole = True
        if self._failure is None:
            self._keep_alive = False
            if not self.is_whole:
                self._failure = ConnectionFailed(why)
        self._wake()

    # --- called by the parser -----------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._count(len(name) + len(value))
        before = self.headers.get(key)
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return  # an informational answer: the real one follows
        self._has_head = True
        self._until_eof = "content-length" not in self.headers and "transfer-encoding" not in self.headers
        if self._method == "HEAD":
            self._keep_alive = False
            self.is_whole = True
        if self._is_stream or self.is_whole:
            self._wake()

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)
        if self._is_stream:
            self._waiting_bytes += len(body)
            if self._waiting_bytes >= BUFFER_BYTES and not self._is_paused and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
            self._wake()
        else:
            self._count(len(body))

    def _count(self, size: int) -> None:
        self._answer_bytes += size
        if self._answer_bytes_max is not None and self._answer_bytes > self._answer_bytes_max:
            self.fail(f"the answer has more than {self._answer_bytes_max} bytes")

    def on_message_complete(self) -> None:
        if self._failure is not None:
            return  # it was too much before it was over
        if self.status < 200:
            self.headers = {}
            return
        self._keep_alive = self._method != "HEAD" and self._parser.should_keep_alive()
        self._parser = None
        self.is_whole = True
        self.answers += 1
        self._wake()
