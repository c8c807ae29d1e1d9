"""HTTP/1.1 from the client's side over a `Line`: request heads, answer heads, bodies in bounded pieces. Knows nothing of what it is for.

Strict in what it accepts of a backend: a line break inside a header, an endless head or a chunk that ends nowhere is a `BadAnswer`.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

from apiserver.handlers.backends import Line

COPY_BYTES: Final = 1 << 16
TRAILERS_MAX: Final = 100
INTERIM_MAX: Final = 16
HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINE: Final = re.compile(r"HTTP/1\.[01] (\d{3})(?: .*)?\Z", re.DOTALL)


class BadAnswer(Exception):
    """The backend did not answer, or not in HTTP; the text is as Go's."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer: names in lower case, repeated headers kept. `raw` is what it was read from."""

    status: int
    headers: tuple[tuple[str, str], ...]
    raw: bytes

    def get(self, name: str) -> str:
        """The header's values, joined; "" where there is none."""
        return ", ".join(value for key, value in self.headers if key == name)

    def end_to_end(self) -> list[tuple[str, str]]:
        """The headers that are for whoever asked, not for this connection."""
        named = {each.strip().lower() for each in self.get("connection").split(",")}
        return [(name, value) for name, value in self.headers if name not in HOP_BY_HOP and name not in named]


def request_head(method: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a request's head. Raises ValueError for what would break out of its line."""
    lines = [f"{method} {target} HTTP/1.1".encode(), *(name + b": " + value for name, value in headers)]
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise ValueError("a line break in a request's head")
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def read_head(line: Line, *, timeout_s: float) -> Head:
    """The answer's head; interim answers (100, 103) are skipped. Raises BadAnswer."""
    try:
        async with asyncio.timeout(timeout_s):
            for _ in range(INTERIM_MAX):
                head = parse_head(await line.reader.readuntil(b"\r\n\r\n"))
                if head.status >= 200 or head.status == 101:
                    return head
    except TimeoutError as error:
        raise BadAnswer("net/http: timeout awaiting response headers") from error
    except asyncio.IncompleteReadError as error:
        raise BadAnswer("unexpected EOF" if error.partial else "EOF") from error
    except asyncio.LimitOverrunError as error:
        raise BadAnswer("net/http: server response headers exceeded the limit") from error
    except OSError as error:
        raise BadAnswer(f"read: {(error.strerror or str(error) or 'connection reset by peer').lower()}") from error
    raise BadAnswer("net/http: too many 1xx informational responses")


def parse_head(raw: bytes) -> Head:
    """Raises BadAnswer."""
    first, *lines = raw.decode("utf-8", "replace").split("\r\n")
    found = _STATUS_LINE.match(first)
    if found is None:
        raise BadAnswer(f'net/http: HTTP/1.x transport connection broken: malformed HTTP response "{first[:100]}"')
    headers = []
    for each in lines:
        if not each:
            continue
        name, colon, value = each.partition(":")
        if not colon or not _TOKEN.match(name) or _CONTROL.search(value):
            raise BadAnswer("net/http: HTTP/1.x transport connection broken: malformed MIME header")
        headers.append((name.lower(), value.strip(" \t")))
    return Head(int(found[1]), tuple(headers), raw)


def has_body(head: Head, method: str) -> bool:
    """Whether a body follows the head of an answer to `method`."""
    return method != "HEAD" and head.status >= 200 and head.status not in (204, 304)


class Body:
    """The body of an answer, piece by piece; closing it closes the line. Iterating raises OSError where it ends too early, unless
    `lenient`: then that is just its end."""

    def __init__(self, line: Line, head: Head, method: str, *, lenient: bool = False) -> None:
        self._line, self._lenient = line, lenient
        self._pieces = _pieces(line.reader, head) if has_body(head, method) else _nothing()

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._pieces)
        except StopAsyncIteration:
            self._line.close()
            raise
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self._line.close()
            if self._lenient:
                raise StopAsyncIteration from None
            raise ConnectionResetError(f"the answer was cut off: {error}") from error

    async def aclose(self) -> None:
        self._line.close()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _pieces(reader: asyncio.StreamReader, head: Head) -> AsyncIterator[bytes]:
    encoding, length = head.get("transfer-encoding").lower(), head.get("content-length")
    if encoding == "chunked":
        while size := _chunk_size(await reader.readline()):
            async for piece in _exactly(reader, size):
                yield piece
            if await reader.readexactly(2) != b"\r\n":
                raise ValueError("a chunk does not end where it should")
        for _ in range(TRAILERS_MAX):
            if await reader.readline() in (b"\r\n", b"\n", b""):
                return
        raise ValueError("too many trailers")
    elif encoding:
        raise ValueError(f"unsupported transfer encoding: {encoding}")
    elif length:
        if not (length.isascii() and length.isdigit()):
            raise ValueError(f"bad Content-Length {length!r}")
        async for piece in _exactly(reader, int(length)):
            yield piece
    else:
        while piece := await reader.read(COPY_BYTES):
            yield piece


def _chunk_size(line: bytes) -> int:
    size = line.split(b";", 1)[0].strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
        raise ValueError("malformed chunked encoding")
    return int(size, 16)


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    while count:
        piece = await reader.read(min(count, COPY_BYTES))
        if not piece:
            raise ConnectionResetError("unexpected EOF")
        count -= len(piece)
        yield piece


async def read_text(body: Body, *, bytes_max: int, timeout_s: float) -> str:
    """The beginning of a body as text, whatever of it comes in time; the line is closed."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for piece in body:
                parts.append(piece)
                size += len(piece)
                if size >= bytes_max:
                    break
    except (OSError, TimeoutError):
        pass
    finally:
        await body.aclose()
    return b"".join(parts)[:bytes_max].decode("utf-8", "replace")
