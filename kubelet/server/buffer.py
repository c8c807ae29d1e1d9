"""A bounded byte queue between a connection's reader and whoever consumes one of its streams."""

from __future__ import annotations

import asyncio
from collections import deque

BYTES_MAX = 1 << 20
"""What one stream may hold before its connection is read no further."""


class ByteQueue:
    """Bytes in order. `put` waits while it is full, `get` while it is empty; after `close` what is left can still be read."""

    def __init__(self, *, bytes_max: int = BYTES_MAX) -> None:
        self._max = bytes_max
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._changed = asyncio.Event()

    async def put(self, data: bytes) -> None:
        """Add bytes; what comes after `close` is dropped."""
        while self._size >= self._max and not self._closed:
            await self._wait()
        if data and not self._closed:
            self._parts.append(data)
            self._size += len(data)
            self._changed.set()

    async def get(self) -> bytes:
        """The next bytes; b"" at the end."""
        while not self._parts:
            if self._closed:
                return b""
            await self._wait()
        data = self._parts.popleft()
        self._size -= len(data)
        self._changed.set()
        return data

    def close(self) -> None:
        """No more is coming."""
        self._closed = True
        self._changed.set()

    def discard(self) -> None:
        """Nobody will read any more."""
        self._parts.clear()
        self._size = 0
        self.close()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
