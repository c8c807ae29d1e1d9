"""uvicorn's HTTP/1.1 protocol, with two things that ASGI does not carry: the client's certificate, and raw upgraded connections.

`scope["state"]["peer_certificate"]` is the verified client certificate (DER), if there is one. `scope["state"]["take_over"]` hands the
connection over as an asyncio reader and writer, for requests with an Upgrade header (exec, attach, port-forward: SPDY or
WebSocket, ended by the kubelet and passed through here byte by byte).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apiserver.handlers.resources import NOT_ALLOWED
from kube.errors import ApiError, MethodNotAllowed

READ_BYTES_MAX = 1 << 18


class Connection(HttpToolsProtocol):
    """One client connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        self._early: bytearray | None = None
        self.app_state = {**self.app_state, "peer_certificate": certificate, "take_over": self.take_over}

    def _should_upgrade(self) -> bool:
        return False

    def _unsupported_upgrade_warning(self) -> None:
        return

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            if len(self._early) + len(data) > READ_BYTES_MAX:
                self.transport.pause_reading()
            self._early += data
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self._refuse(MethodNotAllowed(NOT_ALLOWED, details={}))
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as upgrade:
            self._early = bytearray(data[upgrade.args[0] :] if upgrade.args else b"")
            self.cycle.keep_alive = False  # where the upgrade is refused, nothing more can be read from this connection

    def _refuse(self, error: ApiError) -> None:
        """Answer what never becomes a request, and end the connection. (A method that the parser does not know has no place in ASGI.)"""
        body = orjson.dumps(error.status)
        lines = [f"HTTP/1.1 {error.http_code} {HTTPStatus(error.http_code).phrase}", "content-type: application/json"]
        lines += [f"content-length: {len(body)}", "connection: close", "", ""]
        self.transport.write("\r\n".join(lines).encode() + body)
        self.transport.close()

    def take_over(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The raw connection, what was sent ahead included. From here on the caller answers, and closes."""
        reader = asyncio.StreamReader(limit=READ_BYTES_MAX, loop=self.loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self.loop)
        if self._early:
            reader.feed_data(bytes(self._early))
        self._early = None
        self.connections.discard(self)
        self.cycle.disconnected = True  # nothing more is sent through ASGI
        transport: Any = self.transport
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        return reader, asyncio.StreamWriter(transport, protocol, reader, self.loop)
