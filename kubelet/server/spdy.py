"""SPDY/3.1, the server's side: frames, compressed headers, streams. What kubectl up to 1.30 speaks for exec, attach and port-forward.

Bounded: frames, headers, streams and what each stream holds unread. A stream whose reader is slow holds the whole connection up, as
in upstream's moby/spdystream, which has no flow control; for that reason windows are kept only with a peer that shows it does (by a
SETTINGS initial window or a WINDOW_UPDATE). Source: the SPDY protocol, draft 3.1; the header dictionary is its section 2.6.10.1.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Mapping
from typing import Protocol

from kubelet.server.buffer import ByteQueue

FRAME_BYTES_MAX = 1 << 20
HEADER_BYTES_MAX = 64 * 1024
STREAMS_MAX = 1_000
WRITE_BYTES = 32 * 1024
"""Data is sent in frames of at most this much."""
WINDOW = 64 * 1024

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 1
PROTOCOL_ERROR, REFUSED_STREAM = 1, 3
_INITIAL_WINDOW = 7
_VERSION = 3

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization "
    "cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range "
    "content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified "
    "location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding "
    "upgrade user-agent vary via warning www-authenticate method get status"
)
_MORE_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found"
    "500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,public"
    "privatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS.split(), *_MORE_WORDS)) + _TAIL.encode()


class SpdyError(Exception):
    """The peer broke the protocol, or a bound; the connection is of no more use."""


class Pipe(Protocol):
    """What carries the frames: a TLS connection, or a WebSocket."""

    async def read_exactly(self, count: int) -> bytes:
        """Raises EOFError (IncompleteReadError is one) at the end."""
        ...

    async def write(self, data: bytes) -> None: ...


class StreamPipe:
    """A Pipe over an asyncio connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read_exactly(self, count: int) -> bytes:
        return await self._reader.readexactly(count)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class HeaderCodec:
    """Header blocks of one connection: each direction is one zlib stream with the dictionary."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(wbits=zlib.MAX_WBITS, zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS, zdict=DICTIONARY)

    def encode(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for each in (name.lower().encode(), value.encode()):
                parts.append(struct.pack(">I", len(each)) + each)
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def decode(self, block: bytes) -> dict[str, str]:
        """Names in lower case. Raises SpdyError."""
        try:
            raw = self._inflate.decompress(block, HEADER_BYTES_MAX)
        except zlib.error as error:
            raise SpdyError(f"cannot decompress headers: {error}") from error
        if self._inflate.unconsumed_tail:
            raise SpdyError("the headers are too large")
        try:
            return _pairs(raw)
        except struct.error as error:
            raise SpdyError("the header block is cut short") from error


def _pairs(raw: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from(">I", raw)
    at, words = 4, []
    for _ in range(2 * count):
        (length,) = struct.unpack_from(">I", raw, at)
        word = raw[at + 4 : at + 4 + length]
        if len(word) != length:
            raise SpdyError("the header block is cut short")
        words.append(word.decode("utf-8", "replace"))
        at += 4 + length
    return {name.lower(): value for name, value in zip(words[::2], words[1::2], strict=True)}


class SpdyStream:
    """One stream that the peer opened. Reading and writing end independently."""

    def __init__(self, connection: SpdyConnection, stream_id: int, headers: Mapping[str, str]) -> None:
        self.id, self.headers = stream_id, headers
        self._connection = connection
        self._received = ByteQueue()
        self._write_closed = False
        self.window = connection.initial_window

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        data = await self._received.get()
        if data:
            await self._connection.consumed(self, len(data))
        return data

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), WRITE_BYTES):
            if self._write_closed:
                return
            await self._connection.send_data(self, data[at : at + WRITE_BYTES])

    async def close(self) -> None:
        """No more is written; the peer may still send."""
        if not self._write_closed:
            self._write_closed = True
            await self._connection.send_fin(self)

    async def reset(self) -> None:
        self._write_closed = True
        self._received.discard()
        await self._connection.send_reset(self.id, REFUSED_STREAM)

    # --- for the connection ---------------------------------------------------------------------------------------------

    async def took(self, data: bytes) -> None:
        await self._received.put(data)

    def ended(self) -> None:
        self._received.close()

    def was_reset(self) -> None:
        self._write_closed = True
        self._received.discard()


class SpdyConnection:
    """`run` it in a task; take new streams from `accept`. Everything ends when the peer goes or breaks the protocol."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe, self._codec = pipe, HeaderCodec()
        self._streams: dict[int, SpdyStream] = {}
        self._accepted: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._last_id = 0
        self._sending = asyncio.Lock()
        self._window_moved = asyncio.Event()
        self.initial_window = WINDOW
        self._has_windows = False
        self.is_closed = False

    async def accept(self) -> SpdyStream | None:
        """The next stream that the peer opens, answered already; None when the connection has ended."""
        return await self._accepted.get()

    async def run(self) -> None:
        """Read frames until the end. Raises SpdyError for a peer that breaks the protocol (it has been told), never for one that goes."""
        try:
            while await self._frame():
                pass
        except (EOFError, OSError):
            pass
        except SpdyError:
            await self._go_away(PROTOCOL_ERROR)
            raise
        finally:
            self._end()

    async def close(self) -> None:
        """Tell the peer that this is the end."""
        if not self.is_closed:
            await self._go_away(0)

    def forget(self, stream: SpdyStream) -> None:
        """Both sides of the stream are done with."""
        self._streams.pop(stream.id, None)

    def _end(self) -> None:
        self.is_closed = True
        for stream in self._streams.values():
            stream.ended()
        self._window_moved.set()
        self._accepted.put_nowait(None)

    # --- reading ----------------------------------------------------------------------------------------------------------

    async def _frame(self) -> bool:
        """One frame; False when the peer says goodbye."""
        first, second = struct.unpack(">II", await self._pipe.read_exactly(8))
        flags, length = second >> 24, second & 0xFFFFFF
        if length > FRAME_BYTES_MAX:
            raise SpdyError(f"a frame of {length} bytes is too large")
        payload = await self._pipe.read_exactly(length) if length else b""
        if not first >> 31:
            await self._data(first & 0x7FFFFFFF, flags, payload)
            return True
        version, kind = (first >> 16) & 0x7FFF, first & 0xFFFF
        if version != _VERSION:
            raise SpdyError(f"SPDY version {version} is not understood")
        try:
            return await self._control(kind, flags, payload)
        except struct.error as error:
            raise SpdyError(f"a frame of type {kind} is cut short") from error

    async def _control(self, kind: int, flags: int, payload: bytes) -> bool:
        if kind == SYN_STREAM:
            await self._syn_stream(flags, payload)
        elif kind == RST_STREAM:
            self._reset(struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF)
        elif kind == SETTINGS:
            self._settings(payload)
        elif kind == PING:
            if struct.unpack_from(">I", payload)[0] % 2:
                await self._send(PING, 0, payload[:4])
        elif kind == WINDOW_UPDATE:
            self._window_update(*struct.unpack_from(">II", payload))
        elif kind in (SYN_REPLY, HEADERS):
            self._codec.decode(payload[4:])
            if flags & FLAG_FIN:
                self._fin(struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF)
        return kind != GOAWAY

    async def _syn_stream(self, flags: int, payload: bytes) -> None:
        stream_id = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
        headers = self._codec.decode(payload[10:])
        if stream_id % 2 == 0 or stream_id <= self._last_id:
            raise SpdyError(f"stream id {stream_id} is out of order")
        self._last_id = stream_id
        if len(self._streams) >= STREAMS_MAX:
            await self.send_reset(stream_id, REFUSED_STREAM)
            return
        stream = self._streams[stream_id] = SpdyStream(self, stream_id, headers)
        if flags & FLAG_FIN:
            stream.ended()
        await self._send(SYN_REPLY, 0, struct.pack(">I", stream_id) + self._codec.encode({}))
        self._accepted.put_nowait(stream)

    async def _data(self, stream_id: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        await stream.took(payload)
        if flags & FLAG_FIN:
            stream.ended()

    def _fin(self, stream_id: int) -> None:
        if stream := self._streams.get(stream_id):
            stream.ended()

    def _reset(self, stream_id: int) -> None:
        if stream := self._streams.pop(stream_id, None):
            stream.was_reset()
            self._window_moved.set()

    # --- flow control, with peers that have it ------------------------------------------------------------------------------

    def _settings(self, payload: bytes) -> None:
        (count,) = struct.unpack_from(">I", payload)
        for index in range(min(count, 100)):
            key, value = struct.unpack_from(">II", payload, 4 + 8 * index)
            if key & 0xFFFFFF == _INITIAL_WINDOW:
                self._has_windows = True
                for stream in self._streams.values():
                    stream.window += value - self.initial_window
                self.initial_window = value
                self._window_moved.set()

    def _window_update(self, stream_id: int, delta: int) -> None:
        self._has_windows = True
        if stream := self._streams.get(stream_id & 0x7FFFFFFF):
            stream.window += delta & 0x7FFFFFFF
        self._window_moved.set()

    async def consumed(self, stream: SpdyStream, count: int) -> None:
        if self._has_windows and not self.is_closed:
            await self._send(WINDOW_UPDATE, 0, struct.pack(">II", stream.id, count))

    # --- writing ----------------------------------------------------------------------------------------------------------

    async def send_data(self, stream: SpdyStream, data: bytes) -> None:
        while self._has_windows and stream.window < len(data) and not self.is_closed and stream.id in self._streams:
            self._window_moved.clear()
            await self._window_moved.wait()
        if self.is_closed:
            raise ConnectionResetError("the SPDY connection has ended")
        stream.window -= len(data)
        await self._write(struct.pack(">II", stream.id, len(data)) + data)

    async def send_fin(self, stream: SpdyStream) -> None:
        if not self.is_closed:
            await self._write(struct.pack(">II", stream.id, FLAG_FIN << 24))

    async def send_reset(self, stream_id: int, status: int) -> None:
        if not self.is_closed:
            await self._send(RST_STREAM, 0, struct.pack(">II", stream_id, status))

    async def _go_away(self, status: int) -> None:
        try:
            await self._send(GOAWAY, 0, struct.pack(">II", self._last_id, status))
        except OSError:
            pass

    async def _send(self, kind: int, flags: int, payload: bytes) -> None:
        head = struct.pack(">II", (1 << 31) | (_VERSION << 16) | kind, (flags << 24) | len(payload))
        await self._write(head + payload)

    async def _write(self, frame: bytes) -> None:
        async with self._sending:
            await self._pipe.write(frame)
