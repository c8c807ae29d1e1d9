"""Cutting a stream of bytes into lines, wherever its chunks begin and end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from kube.client.base import ConnectionFailed

LINE_BYTES_MAX = 64 << 20
"""A line longer than this is taken for a broken stream."""


async def lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The lines, without their ends; empty ones are left out, and so is a last one that was never ended: it was cut off.

    Raises ConnectionFailed for a line without end."""
    begun: list[bytes] = []
    begun_bytes = 0
    async with aclosing(cast("AsyncGenerator[bytes, None]", chunks)):
        async for chunk in chunks:
            first, *rest = chunk.split(b"\n")
            if not rest:
                begun.append(first)
                begun_bytes += len(first)
                if begun_bytes > LINE_BYTES_MAX:
                    raise ConnectionFailed(f"a line is longer than {LINE_BYTES_MAX} bytes")
                continue
            whole = b"".join((*begun, first)) if begun else first
            last = rest.pop()
            begun, begun_bytes = ([last] if last else []), len(last)
            if whole:
                yield whole
            for line in rest:
                if line:
                    yield line
