"""As much of HTTP/1.1 as a kubelet server needs: bounded request heads, answers, chunked bodies. No framework: exec and port-forward take
the raw connection over after the head."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 1 << 20
HEAD_S_MAX = 30.0


class BadRequest(Exception):
    """The request cannot be understood; `status` is the answer's."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and its headers. The path is unquoted segment by segment; header names are lower-case, repeated ones joined."""

    method: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    is_http_1_0: bool = False

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
    headers: dict[str, str] = {}
    for line in lines:
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest("malformed header")
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    url = urlsplit(parts[1])
    segments = tuple(unquote(each) for each in url.path.strip("/").split("/"))
    query = tuple(parse_qsl(url.query, keep_blank_values=True))
    return Head(parts[0], segments, query, headers, parts[2] == "HTTP/1.0")


async def skip_body(head: Head, reader: asyncio.StreamReader) -> None:
    """Read and drop a request's body. Raises BadRequest for one that is too large or chunked."""
    if "transfer-encoding" in head.headers:
        raise BadRequest("a chunked request body is not accepted here", status=411)
    length = head.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise BadRequest("the request body is too large", status=413)
    await reader.readexactly(int(length))


class Answer:
    """Writes one response. After `start_chunks`, `chunk` and `end`."""

    def __init__(self, writer: asyncio.StreamWriter, *, keeps_alive: bool = False) -> None:
        self.writer, self.keeps_alive = writer, keeps_alive
        self.has_started = False

    async def send(self, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self._head(status, {"Content-Type": content_type, "Content-Length": str(len(body))})
        self.writer.write(body)
        await self.writer.drain()

    async def send_text(self, status: int, text: str) -> None:
        await self.send(status, text.encode())

    async def send_json(self, value: Any) -> None:
        await self.send(200, json.dumps(value).encode(), "application/json")

    async def start_chunks(self, content_type: str = "text/plain; charset=utf-8") -> None:
        self._head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        if data:
            self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def switch(self, headers: Mapping[str, str]) -> None:
        """101: from here on the connection speaks another protocol."""
        self.keeps_alive = False
        self._head(101, {"Connection": "Upgrade", **headers})
        await self.writer.drain()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.has_started = True
        own = {"Date": formatdate(usegmt=True)}
        if status != 101:
            own["Connection"] = "keep-alive" if self.keeps_alive else "close"
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in {**own, **headers}.items())]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
