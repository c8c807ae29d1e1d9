"""A container's log in memory, and which part of a log someone asked for. Bounded: the oldest lines go first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from kubelet.runtime.base import LogOptions

LINES_MAX = 10_000
_SPARE = 1.25
"""When a log is so many times longer than it may be, its oldest lines go."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, without its line break."""

    time: datetime
    stream: str
    text: str


def formatted(line: LogLine, options: LogOptions) -> bytes:
    """The line as `kubectl logs` prints it."""
    stamp = line.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ") if options.timestamps else ""
    return f"{stamp}{line.text}\n".encode()


def wanted(lines: Iterable[LogLine], options: LogOptions) -> list[LogLine]:
    """The lines that `options` asks for (all but follow and limit_bytes)."""
    found = [each for each in lines if _is_wanted(each, options)]
    if options.tail_lines is None:
        return found
    return found[-options.tail_lines :] if options.tail_lines > 0 else []


def _is_wanted(line: LogLine, options: LogOptions) -> bool:
    if options.stream and line.stream != options.stream:
        return False
    return options.since_time is None or line.time >= options.since_time


class MemoryLog:
    """Appended by the container, read by any number of followers."""

    __slots__ = ("_closed", "_count", "_lines", "_lines_max", "_waiters")

    def __init__(self, *, lines_max: int = LINES_MAX) -> None:
        self._lines: list[LogLine] = []
        """Not a deque: most logs are short, and an empty deque takes 700 bytes."""
        self._lines_max = lines_max
        self._count = 0
        self._closed = False
        self._waiters: list[asyncio.Future[None]] = []

    def append(self, line: LogLine) -> None:
        self._lines.append(line)
        self._count += 1
        if len(self._lines) > _SPARE * self._lines_max:
            self._lines = self.lines()
        self._wake()

    def close(self) -> None:
        """Nothing more will come: followers end."""
        self._closed = True
        self._wake()

    def lines(self) -> list[LogLine]:
        return self._lines[-self._lines_max :]

    async def read(self, options: LogOptions) -> AsyncGenerator[bytes, None]:
        """The log in pieces; see `RuntimeService.logs`."""
        left = options.limit_bytes
        async with aclosing(self._selected(options)) as selected:
            async for line in selected:
                data = formatted(line, options)
                if left is not None and len(data) >= left:
                    yield data[:left]
                    return
                left = None if left is None else left - len(data)
                yield data

    async def _selected(self, options: LogOptions) -> AsyncGenerator[LogLine, None]:
        seen = self._count
        for line in wanted(self.lines(), options):
            yield line
        while options.follow and (self._count > seen or not self._closed):
            if self._count == seen:
                await self._changed()
            fresh = min(self._count - seen, self._lines_max)
            seen = self._count
            for line in self._lines[len(self._lines) - fresh :]:
                if _is_wanted(line, options):
                    yield line

    async def _changed(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        if not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
