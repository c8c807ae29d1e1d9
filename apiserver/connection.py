"""uvicorn's HTTP/1.1 protocol, with two things that ASGI does not carry: the client's certificate, and raw upgraded connections.

`scope["state"]["peer_certificate"]` is the verified client certificate (DER), if there is one. `scope["state"]["take_over"]` hands the
connection over as an asyncio reader and writer, for requests with an Upgrade header (exec, attach, port-forward: SPDY or
WebSocket, ended by the kubelet and passed through here byte by byte).

`scope["state"]["send_whole"]` sends an answer that is there as a whole, head and body in one write; it is a short cut for the two ASGI
messages, and declines (False) whatever is out of the ordinary.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from apiserver.handlers.resources import NOT_ALLOWED
from kube.errors import ApiError, MethodNotAllowed

READ_BYTES_MAX = 1 << 18
_COPIED_BYTES_MAX = 1 << 16
_HEAD = b"%baudit-id: %b\r\ncache-control: no-cache, private\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"


class Connection(HttpToolsProtocol):
    """One client connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        self._early: bytearray | None = None
        self._defaults: tuple[Any, bytes] = (None, b"")
        own = {"peer_certificate": certificate, "take_over": self.take_over, "send_whole": self.send_whole}
        self.app_state = {**self.app_state, **own}

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

    def send_whole(self, send: Any, status: int, content_type: bytes, audit_id: bytes, body: bytes) -> bool:
        """Send this answer, with the headers that all have, as uvicorn would. `send` is the request's ASGI callable; what comes in was
        constant, or a header's value when it was read."""
        cycle = getattr(send, "__self__", None)
        if type(cycle) is not RequestResponseCycle or cycle.response_started or cycle.scope["method"] == "HEAD" or self.flow.write_paused:
            return False
        if cycle.disconnected:
            return True
        listed, defaults = self._defaults
        if listed is not self.server_state.default_headers:  # made anew each second, with the date
            listed = self.server_state.default_headers
            defaults = b"".join([b"%b: %b\r\n" % header for header in listed])
            self._defaults = (listed, defaults)
        closing = b"" if cycle.keep_alive else b"connection: close\r\n"
        head = _HEAD % (defaults, audit_id, content_type, len(body), closing)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        if len(body) < _COPIED_BYTES_MAX:
            self.transport.write(STATUS_LINE[status] + head + body)
        else:
            self.transport.write(STATUS_LINE[status] + head)
            self.transport.write(body)
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

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
