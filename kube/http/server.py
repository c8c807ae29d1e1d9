"""Connections: taken up to a bound, served one request after the other, ended with the server. What is answered is the handler's business.

What a request and an answer are is in `exchange.py`. With TLS, who asks is `peer_certificate`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from kube.http.exchange import HEAD_BYTES_MAX, Answer, BadRequest, Head, read_head

Handler = Callable[[Head, Answer, asyncio.StreamReader], Awaitable[None]]
"""Answers one request whose body, if it has one, is still to be read or skipped. May raise BadRequest, OSError, EOFError, TimeoutError."""
BACKLOG: Final = 128
LINGER_S, LINGER_BYTES_MAX = 2.0, 4 << 20
_UNREAD: Final = frozenset({411, 413, 431})
"""Refusals after which more of the request is still coming."""
_log = logging.getLogger(__name__)


class HttpServer:
    """`start` it, `stop` it. Connections beyond `connections_max` are closed at once; an answer that takes longer than `answer_s_max`
    (None: whatever it takes) ends its connection."""

    def __init__(self, handler: Handler, *, connections_max: int, answer_s_max: float | None = None) -> None:
        self._handler, self._connections_max, self._answer_s_max = handler, connections_max, answer_s_max
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen. The real port (0 lets the system choose). Raises OSError."""
        self._server = await asyncio.start_server(self.connected, host, port, ssl=tls, limit=HEAD_BYTES_MAX, backlog=BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, of our own port or another; returns when it has ended. The reader's limit is HEAD_BYTES_MAX."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= self._connections_max:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except TimeoutError as error:
            _log.debug("connection ended: too slow: %s", error)
            writer.transport.abort()  # a peer that does not read would never let it close
        except (OSError, EOFError) as error:
            _log.debug("connection ended: %s", error)
        except asyncio.CancelledError:
            pass  # asyncio would log the cancellation of a connection's task as an error
        except Exception:
            _log.exception("a connection failed")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keeps_alive = True
        while keeps_alive:
            answer = Answer(writer)
            try:
                head = await read_head(reader)
                if head is None:
                    return
                answer.is_to_head = head.method == "HEAD"
                answer.keeps_alive = not head.upgrade and head.headers.get("connection", "").lower() != "close" and not head.is_http_1_0
                async with asyncio.timeout(self._answer_s_max):
                    await self._handler(head, answer, reader)
            except BadRequest as error:
                answer.keeps_alive = False
                if not answer.has_started:
                    await answer.send_text(error.status, str(error))
                if error.status in _UNREAD:
                    await _linger(reader, writer)
            keeps_alive = answer.keeps_alive


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take in what is still coming, for a while: a connection that is closed on it is reset, and our answer lost on its way."""
    if writer.can_write_eof():
        writer.write_eof()
    left = LINGER_BYTES_MAX
    async with asyncio.timeout(LINGER_S):
        while left > 0 and (data := await reader.read(1 << 16)):
            left -= len(data)


def peer_certificate(answer: Answer) -> Mapping[str, Any] | None:
    """The verified certificate of who asks, as `SSLObject.getpeercert` gives it; None without TLS or without one."""
    tls = answer.writer.get_extra_info("ssl_object")
    return (tls.getpeercert() or None) if tls is not None else None
