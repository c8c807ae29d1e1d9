"""A load generator: raw HTTP/1.1 over TLS on a few keep-alive connections, one request at a time on each. Costs little, measures all."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave. Times in seconds."""

    requests: int
    failed: int
    elapsed_s: float
    latencies_s: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.elapsed_s if self.elapsed_s else 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, headers: dict[str, str]) -> None:
        self._reader, self._writer = reader, writer
        self._common = "".join(f"{name}: {value}\r\n" for name, value in {"Host": host, **headers}.items())

    @classmethod
    async def open(cls, host: str, port: int, context: ssl.SSLContext | None, headers: dict[str, str]) -> Connection:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=1 << 26)
        return cls(reader, writer, f"{host}:{port}", headers)

    async def request(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\n{self._common}"
        if body:
            head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        at = answer.lower().find(b"content-length:")
        if at < 0:
            raise ValueError("an answer without Content-Length")
        length = int(answer[at + 15 : answer.index(b"\r\n", at)])
        return status, await self._reader.readexactly(length) if length else b""

    def close(self) -> None:
        self._writer.close()


Make = Callable[[int], tuple[str, str, bytes, str]]
"""From a request's number to (method, path, body, content type)."""


async def run(connections: list[Connection], count: int, make: Make) -> Result:
    """Make `count` requests over the connections, as fast as they are answered."""
    numbers: Iterator[int] = iter(range(count))
    latencies: list[float] = []
    failed = 0

    async def one(connection: Connection) -> None:
        nonlocal failed
        for number in numbers:
            method, path, body, content_type = make(number)
            begin = time.perf_counter()
            status, _ = await connection.request(method, path, body, content_type)
            latencies.append(time.perf_counter() - begin)
            failed += status >= 400

    begin = time.perf_counter()
    await asyncio.gather(*(one(each) for each in connections))
    return Result(count, failed, time.perf_counter() - begin, latencies)
