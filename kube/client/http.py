"""Requests over the network: a pool of kept-alive HTTP/1.1 connections. Imported as `kube.client.transport.HttpTransport`.

Not here: what happens on one connection (`connection.py`). A request that met a connection which the server had just closed is sent again
on a fresh one where that is safe (GET, PUT, DELETE); everything else that fails is the caller's to judge.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from kube.client.base import Answer, ConnectionFailed, StreamAnswer
from kube.client.connection import Connection, encode_request
from kube.client.websocket import HEAD_BYTES_MAX, shake_hands
from kube.websocket import WebSocket

_CONNECT_S = 30.0
_IDLE_S = 60.0
"""A connection idle for longer is not used again: kube-apiserver closes them after 90 s, and a request should seldom meet that."""
REQUESTS_MAX = 24
"""How many requests are under way at once, streams aside. More would not be answered sooner, but be refused by the server's own limit
(429) and cost a TLS handshake each."""
_REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))


class HttpTransport:
    """Requests to one server, over at most `limit` connections at once, `requests_max` of them for other than streams; who comes then
    waits. For one event loop, of real time.

    `server_url` may have a path, which every target is appended to. `find` says where each new connection is to lead, if not where the URL
    says; what it raises, requests raise. An answer of more than `answer_bytes_max` bytes is none, and at most `idle_max` connections wait
    for further requests. Raises ValueError for what is no http(s) URL."""

    def __init__(
        self,
        server_url: str,
        ssl_context: ssl.SSLContext | None = None,
        *,
        limit: int = 1024,
        requests_max: int = REQUESTS_MAX,
        idle_max: int = 1024,
        tls_server_name: str | None = None,
        find: Callable[[], tuple[str, int]] | None = None,
        answer_bytes_max: int | None = None,
    ) -> None:
        url = urlsplit(server_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"{server_url!r} is not an http(s) URL")
        self._host, self._port = url.hostname, url.port or (443 if url.scheme == "https" else 80)
        self._find = find or (lambda: (self._host, self._port))
        self._host_header = url.netloc.rpartition("@")[2]
        self._prefix = url.path.rstrip("/")
        self._ssl = (ssl_context or ssl.create_default_context()) if url.scheme == "https" else None
        self._tls_name = (tls_server_name or url.hostname) if self._ssl else None
        self._limit, self._idle_max, self._answer_bytes_max = limit, idle_max, answer_bytes_max
        self._turns = asyncio.Semaphore(requests_max)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._connecting = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._request(method, self._prefix + target, headers, body)
        except TimeoutError as error:
            raise _named(method, target, "it took too long") from error
        except OSError as error:
            raise _named(method, target, error) from error

    async def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        encoded = encode_request(method, target, self._host_header, headers, body)
        async with self._turns:
            while True:
                connection = await self._acquire()
                try:
                    connection.send(method, encoded, is_stream=False)
                    await connection.wait_whole()
                    return Answer(connection.status, connection.headers, b"".join(connection.parts))
                except ConnectionFailed:
                    if not (connection.was_stale and method in _REPEATABLE):
                        raise
                finally:
                    self._release(connection)

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        encoded = encode_request(method, self._prefix + target, self._host_header, headers, None)
        try:
            connection = await self._begin_stream(method, encoded)
        except OSError as error:
            raise _named(method, target, error) from error
        try:
            yield _HttpStream(connection, method, target)
        finally:
            self._release(connection)

    async def _begin_stream(self, method: str, encoded: bytes) -> Connection:
        while True:
            connection = await self._acquire()
            try:
                connection.send(method, encoded, is_stream=True)
                await connection.wait_head()
            except BaseException as error:
                self._release(connection)
                if isinstance(error, ConnectionFailed) and connection.was_stale and method in _REPEATABLE:
                    continue
                raise
            return connection

    async def websocket(self, target: str, *, headers: Mapping[str, str], protocols: Sequence[str]) -> WebSocket:
        """A WebSocket over a connection of its own, which counts for no limit here and which the caller ends (`abort`).

        Raises NotUpgraded with the answer where the server refuses, ConnectionFailed where none comes in time."""

        def request(more: Mapping[str, str]) -> bytes:
            return encode_request("GET", self._prefix + target, self._host_header, {**headers, **more}, None)

        try:
            async with asyncio.timeout(_CONNECT_S):
                host, port = self._find()
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=self._ssl, server_hostname=self._tls_name, limit=HEAD_BYTES_MAX
                )
                try:
                    return await shake_hands(reader, writer, request, protocols)
                except BaseException:
                    writer.transport.abort()
                    raise
        except TimeoutError as error:
            raise _named("GET", target, "it took too long") from error
        except (OSError, EOFError) as error:
            raise _named("GET", target, error) from error

    async def close(self) -> None:
        self._closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        connections = list(self._open)
        for connection in connections:
            connection.fail("the transport is closed")
        await asyncio.gather(*(connection.closed for connection in connections))

    # --- the pool -----------------------------------------------------------------------------------------------------

    async def _acquire(self) -> Connection:
        """A connection for one request, an idle one where there is one. Raises OSError."""
        while True:
            if self._closed:
                raise ConnectionFailed("the transport is closed")
            oldest = asyncio.get_running_loop().time() - _IDLE_S
            while self._idle:
                connection = self._idle.pop()
                if connection.is_open and connection.idle_since >= oldest:
                    return connection
                connection.fail("it was idle for too long")
            if len(self._open) + self._connecting < self._limit:
                return await self._connect()
            await self._wait_for_turn()

    async def _wait_for_turn(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._next_turn()  # it was ours, and we are leaving
            raise

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            host, port = self._find()
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop, self._answer_bytes_max), host, port, ssl=self._ssl, server_hostname=self._tls_name
                )
        except BaseException as error:
            self._next_turn()
            if isinstance(error, TimeoutError):
                raise ConnectionFailed("the server could not be reached in time") from error
            raise
        finally:
            self._connecting -= 1
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._forget(connection))
        if self._closed:
            connection.fail("the transport is closed")
            raise ConnectionFailed("the transport is closed")
        return connection

    def _forget(self, connection: Connection) -> None:
        """The connection is closed, by whomever."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next_turn()

    def _release(self, connection: Connection) -> None:
        """The request is over, one way or the other: keep the connection if it is good for another."""
        if connection.reusable and not self._closed and len(self._idle) < self._idle_max:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
            self._next_turn()
        else:
            connection.fail("the request is over")

    def _next_turn(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class _HttpStream:
    def __init__(self, connection: Connection, method: str, target: str) -> None:
        self._connection, self._method, self._target = connection, method, target
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while (part := await self._connection.next_part()) is not None:
                yield part
        except ConnectionFailed as error:
            raise _named(self._method, self._target, error) from error

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])


def _named(method: str, target: str, why: object) -> ConnectionFailed:
    return ConnectionFailed(f"{method} {target.partition('?')[0]}: {str(why) or type(why).__name__}")
