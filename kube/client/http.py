"""Requests over the network, with aiohttp behind. Imported as `kube.client.transport.HttpTransport`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from kube.client.base import Answer, ConnectionFailed, StreamAnswer

_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_CONNECT_S = 30.0
_IDLE_S = 4.0
"""Kept-alive connections are dropped before uvicorn's five seconds are over, so that a request seldom meets a closing one."""


class HttpTransport:
    """HTTP/1.1 over kept-alive connections, at most `limit` at once. The session begins on the loop of the first request."""

    def __init__(
        self, server_url: str, ssl_context: ssl.SSLContext | None = None, *, limit: int = 1024, tls_server_name: str | None = None
    ) -> None:
        self._server = server_url.rstrip("/")
        self._ssl = ssl_context
        self._limit = limit
        self._tls_server_name = tls_server_name or None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConnectionFailed("the transport is closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._limit, ssl=self._ssl if self._ssl is not None else True, keepalive_timeout=_IDLE_S, ttl_dns_cache=60
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=("Accept-Encoding", "Content-Type")
            )
        return self._session

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        try:
            async with self._opened().request(
                method,
                URL(self._server + target, encoded=True),
                headers=headers,
                data=body,
                timeout=timeout,
                allow_redirects=False,
                server_hostname=self._tls_server_name,
            ) as response:
                return Answer(response.status, _lower(response.headers), await response.read())
        except _FAILURES as error:
            raise _failure(method, target, error) from error

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        try:
            response = await self._opened().request(
                method,
                URL(self._server + target, encoded=True),
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                server_hostname=self._tls_server_name,
                read_bufsize=2**18,
            )
        except _FAILURES as error:
            raise _failure(method, target, error) from error
        try:
            yield _HttpStream(method, target, response)
        finally:
            response.close()  # not released: the rest of the body is of no interest

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # aiohttp closes its sockets in the loop's next round


class _HttpStream:
    def __init__(self, method: str, target: str, response: aiohttp.ClientResponse) -> None:
        self._method, self._target, self._response = method, target, response
        self.status = response.status
        self.headers = _lower(response.headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except _FAILURES as error:
            raise _failure(self._method, self._target, error) from error

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except _FAILURES as error:
            raise _failure(self._method, self._target, error) from error


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _failure(method: str, target: str, error: BaseException) -> ConnectionFailed:
    if isinstance(error, ConnectionFailed):
        return error
    why = "it took too long" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return ConnectionFailed(f"{method} {target.partition('?')[0]}: {why}")
