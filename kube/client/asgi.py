"""Calling an ASGI app in the same process: no sockets, true streaming, virtual time. Made to cost little.

A plain request runs in the caller's own task. A stream runs the app in a task; what it sends waits in a bounded buffer, and the app's
`send` waits when its reader is far behind. Leaving the stream tells the app `http.disconnect` and then cancels its task.
Imported as `kube.client.transport.AsgiTransport`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from kube.client.base import Answer, ConnectionFailed, StreamAnswer

Message = MutableMapping[str, Any]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_log = logging.getLogger(__name__)
_BUFFER_BYTES = 1 << 20
"""How far an app may be ahead of its reader before its `send` waits."""
_TURNS = 5
"""How many rounds of the loop an app has to end by itself when its client has gone."""


class AsgiTransport:
    """Requests to `app`. An exception that the app lets out is logged and answered 500, as a server would."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._streams: set[_AsgiStream] = set()
        self._closed = False

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        if self._closed:
            raise ConnectionFailed("the transport is closed")
        await asyncio.sleep(0)  # however fast the app answers, everyone else gets a turn
        exchange = _Exchange(body)
        try:
            async with asyncio.timeout(timeout_s):
                await self._app(_scope(method, target, headers), exchange.receive, exchange.send)
        except TimeoutError as error:
            raise ConnectionFailed(f"{method} {target.partition('?')[0]}: it took too long") from error
        except Exception as error:
            return exchange.broken(method, target, error)
        if not exchange.done:
            raise ConnectionFailed(f"{method} {target.partition('?')[0]}: the app ended without a whole answer")
        return Answer(exchange.status, exchange.headers, b"".join(exchange.parts))

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        if self._closed:
            raise ConnectionFailed("the transport is closed")
        stream = _AsgiStream(method, target)
        self._streams.add(stream)
        try:
            stream.start(self._app, _scope(method, target, headers))
            await stream.head()
            yield stream
        finally:
            self._streams.discard(stream)
            await stream.close()

    async def close(self) -> None:
        self._closed = True
        for stream in list(self._streams):
            await stream.close()


def _scope(method: str, target: str, headers: Mapping[str, str]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    encoded = [(b"host", b"localhost")]
    encoded += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(path) if "%" in path else path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": encoded,
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 443),
        "extensions": {},
    }


def _decoded(headers: Any) -> dict[str, str]:
    """Names in lower case, repeated headers joined, as the network's transport has them."""
    decoded: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        decoded[key] = f"{decoded[key]}, {text}" if key in decoded else text
    return decoded


class _Exchange:
    """One request whose answer is collected whole."""

    __slots__ = ("_answered", "_body", "done", "headers", "parts", "status")

    def __init__(self, body: bytes | None) -> None:
        self._body: bytes | None = body or b""
        self._answered: asyncio.Future[None] | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.done = False

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.done:  # the client stays until it has its answer
            if self._answered is None:
                self._answered = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._answered)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = _decoded(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            if part := message.get("body"):
                self.parts.append(part)
            self.done = not message.get("more_body", False)
            if self.done:
                _wake(self._answered)

    def broken(self, method: str, target: str, error: Exception) -> Answer:
        """What a client sees of an app that let an exception out."""
        _log.error("%s %s: the app failed", method, target.partition("?")[0], exc_info=error)
        if self.done:
            return Answer(self.status, self.headers, b"".join(self.parts))
        if self.status:
            raise ConnectionFailed(f"{method} {target.partition('?')[0]}: the answer was cut off") from error
        return Answer(500, {"content-type": "text/plain"}, b"Internal Server Error")


class _AsgiStream:
    """One request whose answer is read while the app still sends. One reader."""

    def __init__(self, method: str, target: str) -> None:
        self._what = f"{method} {target.partition('?')[0]}"
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._parts: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended = False  # the app has sent its last part, or will send no more
        self._failure: ConnectionFailed | None = None
        self._closed = False  # the reader has gone
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def start(self, app: App, scope: dict[str, Any]) -> None:
        self._gone = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(app, scope), name=self._what)

    async def head(self) -> None:
        while not self.status and not self._ended:
            await self._wait_for_app()
        if not self.status:
            raise self._failure or ConnectionFailed(f"{self._what}: the app ended without an answer")

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._waiting_bytes -= len(part)
                if self._writer is not None and self._waiting_bytes < _BUFFER_BYTES:
                    _wake(self._writer)
                yield part
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return
            await self._wait_for_app()

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def close(self) -> None:
        """Tell the app that its client has gone, then cancel it."""
        if not self._ended:
            self._failure = ConnectionFailed(f"{self._what}: the stream was closed")
        self._closed = self._ended = True
        for future in (self._gone, self._writer, self._reader):
            _wake(future)
        task = self._task
        if task is None or task.done():
            return
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def _wait_for_app(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
            if not self._ended:
                self._failure = ConnectionFailed(f"{self._what}: the app ended without a whole answer")
        except asyncio.CancelledError:
            self._failure = self._failure or ConnectionFailed(f"{self._what}: the app was cancelled")
        except Exception as error:
            if not self._closed:
                _log.error("%s: the app failed", self._what, exc_info=error)
            self._failure = self._failure or ConnectionFailed(f"{self._what}: the answer was cut off")
        finally:
            self._ended = True
            _wake(self._reader)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        assert self._gone is not None
        await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._closed:
            return  # as servers do: what is sent to nobody is dropped
        if message["type"] == "http.response.start":
            self.headers = _decoded(message.get("headers", ()))
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            if part := message.get("body"):
                self._parts.append(part)
                self._waiting_bytes += len(part)
            self._ended = not message.get("more_body", False)
            if self._ended:
                _wake(self._gone)
        _wake(self._reader)
        if self._waiting_bytes >= _BUFFER_BYTES:
            await self._wait_for_reader()

    async def _wait_for_reader(self) -> None:
        while self._waiting_bytes >= _BUFFER_BYTES and not self._closed:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
