"""As much of HTTP/1.1 as our small servers need: bounded request heads, answers, chunked bodies. No framework: exec and port-forward take
the raw connection over after the head."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

HEAD_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 1 << 20
HEAD_S_MAX: Final = 30.0
BODY_S_MAX: Final = 30.0
TEXT: Final = "text/plain; charset=utf-8"
_DIGITS_MAX: Final = 12
_PHRASES: Final = {int(each): each.phrase for each in HTTPStatus}
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class BadRequest(Exception):
    """The request cannot be understood, or not be met; `status` is the answer's. The connection ends with it."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and its headers. The path is unquoted segment by segment; header names are lower-case, repeated ones joined.
    `target` and `fields` are the same as they were sent: not unquoted, not joined."""

    method: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    is_http_1_0: bool = False
    target: str = ""
    fields: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def value(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        found = self.values(name)
        return found[-1] if found else default

    def flag(self, *names: str) -> bool:
        """Whether any of these parameters is true ("1", "true")."""
        return any(self.value(name).lower() in ("1", "true") for name in names)

    def words(self, header: str) -> list[str]:
        """A header's comma-separated items."""
        return [each.strip() for each in self.headers.get(header, "").split(",") if each.strip()]

    @property
    def upgrade(self) -> str:
        """`spdy/3.1`, `websocket`, or "" when no upgrade is asked for."""
        wants = any(each.lower() == "upgrade" for each in self.words("connection"))
        return self.headers.get("upgrade", "").lower() if wants else ""


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next request's head; None when the peer has gone. Raises BadRequest, TimeoutError, OSError."""
    try:
        async with asyncio.timeout(HEAD_S_MAX):
            raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequest("the request head is cut short") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise BadRequest("the request head is too large", status=431) from error
    return parse_head(raw)


def parse_head(raw: bytes) -> Head:
    """Raises BadRequest."""
    if len(raw) > HEAD_BYTES_MAX:
        raise BadRequest("the request head is too large", status=431)
    first, *lines = raw.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0") or not parts[1].startswith("/"):
        raise BadRequest("malformed request line")
    fields = []
    headers: dict[str, str] = {}
    for line in lines:
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest("malformed header")
        key, value = name.lower(), value.strip()
        fields.append((name, value))
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    path, _, query = parts[1].partition("?")
    segments = tuple(unquote(each) for each in path.strip("/").split("/"))
    parameters = tuple(parse_qsl(query, keep_blank_values=True))
    return Head(parts[0], segments, parameters, headers, parts[2] == "HTTP/1.0", parts[1], tuple(fields))


async def skip_body(head: Head, reader: asyncio.StreamReader) -> None:
    """Read and drop a request's body. Raises BadRequest for one that is too large or chunked, TimeoutError, EOFError."""
    if "transfer-encoding" in head.headers:
        raise BadRequest("a chunked request body is not accepted here", status=411)
    length = head.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest("malformed Content-Length")
    if len(length) > _DIGITS_MAX or int(length) > BODY_BYTES_MAX:
        raise BadRequest("the request body is too large", status=413)
    if int(length):
        async with asyncio.timeout(BODY_S_MAX):
            await reader.readexactly(int(length))


class Answer:
    """Writes one response, without its body where the request was a HEAD. After `start_chunks`, `chunk` and `end`."""

    def __init__(self, writer: asyncio.StreamWriter, *, keeps_alive: bool = False) -> None:
        self.writer, self.keeps_alive = writer, keeps_alive
        self.is_to_head = self.has_started = False

    async def send(self, status: int, body: bytes, content_type: str = TEXT, *, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})})
        if not self.is_to_head:
            self.writer.write(body)
        await self.writer.drain()

    async def send_text(self, status: int, text: str) -> None:
        await self.send(status, text.encode())

    async def send_json(self, value: Any) -> None:
        await self.send(200, json.dumps(value).encode(), "application/json")

    async def start_chunks(self, content_type: str = TEXT) -> None:
        self._head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        if data and not self.is_to_head:
            self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self.writer.drain()

    async def end(self) -> None:
        if not self.is_to_head:
            self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()

    async def switch(self, headers: Mapping[str, str]) -> None:
        """101: from here on the connection speaks another protocol."""
        self.keeps_alive = False
        self._head(101, {"Connection": "Upgrade", **headers})
        await self.writer.drain()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.has_started = True
        own = {"Date": http_date(time.time())}
        if status != 101:
            own["Connection"] = "keep-alive" if self.keeps_alive else "close"
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}", *(f"{name}: {value}" for name, value in {**own, **headers}.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def http_date(moment_s: float) -> str:
    """As RFC 9110 writes dates, whatever the locale: `Sun, 06 Nov 1994 08:49:37 GMT`. `moment_s`: since 1970."""
    at = time.gmtime(moment_s)
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year} {clock} GMT"
