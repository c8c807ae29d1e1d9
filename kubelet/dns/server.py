"""DNS over UDP and TCP, on one port. What is answered is the responder's business; here is what bounds it."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

UDP_PENDING_MAX = 2_000
"""Questions over UDP that are being answered; more are dropped, as a full socket would."""
CONNECTIONS_MAX = 200
QUERIES_MAX = 128
"""Questions on one connection (miekg/dns: MaxTCPQueries)."""
IDLE_S = 8.0
"""How long a connection may ask nothing (miekg/dns)."""
QUERY_BYTES_MAX = 4_096
"""More than any question needs."""
BIND_TRIES = 10
_log = logging.getLogger(__name__)


class Responds(Protocol):
    """Answers one message; None says nothing."""

    async def respond(self, wire: bytes, *, over_udp: bool) -> bytes | None: ...


class DnsServer:
    """`start` it, `stop` it."""

    def __init__(self, responder: Responds, *, connections_max: int = CONNECTIONS_MAX, idle_s: float = IDLE_S) -> None:
        self._responder, self._connections_max, self._idle_s = responder, connections_max, idle_s
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._pending: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen on both. The real port: with 0, one that is free for both. Raises OSError."""
        for attempt in range(BIND_TRIES):
            self._tcp = await asyncio.start_server(self._connected, host, port, limit=QUERY_BYTES_MAX)
            found = int(self._tcp.sockets[0].getsockname()[1])
            try:
                self._udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, found))
                return found
            except OSError:
                self._tcp.close()
                if port or attempt + 1 == BIND_TRIES:
                    raise
        raise AssertionError

    async def stop(self) -> None:
        """Stop listening, and answer nobody any more."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        tasks = [*self._connections, *self._pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- UDP ----------------------------------------------------------------------------------------------------------------

    def datagram(self, data: bytes, sender: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        """A message has come."""
        if len(self._pending) >= UDP_PENDING_MAX:
            return
        task = asyncio.get_running_loop().create_task(self._answer(data, sender, transport))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _answer(self, data: bytes, sender: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        answer = await self._respond(data, over_udp=True)
        if answer is not None and not transport.is_closing():
            transport.sendto(answer, sender)

    async def _respond(self, data: bytes, *, over_udp: bool) -> bytes | None:
        try:
            return await self._responder.respond(data, over_udp=over_udp)
        except Exception:
            _log.exception("a question could not be answered: %s", data[:QUERY_BYTES_MAX].hex())
            return None

    # --- TCP ----------------------------------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= self._connections_max:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(QUERIES_MAX):
            async with asyncio.timeout(self._idle_s):
                length = int.from_bytes(await reader.readexactly(2), "big")
                if length > QUERY_BYTES_MAX:
                    return
                data = await reader.readexactly(length)
            answer = await self._respond(data, over_udp=False)
            if answer is None:
                return
            async with asyncio.timeout(self._idle_s):
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.datagram(data, addr, self._transport)
