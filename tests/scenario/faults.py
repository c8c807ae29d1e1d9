"""Faults between a component and the API server, by a seed: lost requests, lost answers, refusals, cut watches, deaths in mid-request; and
a clock whose wall time jumps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from kube.client.transport import Answer, ConnectionFailed, StreamAnswer, Transport
from kube.clock import LoopClock
from kube.errors import Conflict, InternalError, TooManyRequests


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each fault happens, per request."""

    lost_request: float = 0.02
    lost_answer: float = 0.02
    """The server did it, and the client never learns."""
    conflict: float = 0.02
    refused: float = 0.02
    """429 with Retry-After."""
    failed: float = 0.02
    """500."""
    slow: float = 0.05
    cut_stream: float = 0.3
    """A watch that ends after a few chunks."""


@dataclass(slots=True)
class Fuse:
    """Stops the request after the next `requests` ones dead: before it reaches the server or, with `is_done`, after the server has done it.
    Whoever lives to see the fuse `over` has lost its connection. `agent` is whose requests count (the beginning of the User-Agent)."""

    agent: str
    requests: int
    is_done: bool
    blown: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def blows(self, headers: Mapping[str, str]) -> bool:
        if self.blown.is_set() or not headers.get("user-agent", "").startswith(self.agent):
            return False
        self.requests -= 1
        if self.requests < 0:
            self.blown.set()
        return self.blown.is_set()

    async def hold(self) -> None:
        await self.over.wait()
        raise ConnectionFailed("connection reset")


class FaultyTransport:
    """A transport that lets `rng` decide what goes wrong. `calm` stops all faults."""

    def __init__(self, inner: Transport, rng: random.Random, rates: Rates | None = None) -> None:
        self._inner, self._rng, self._rates = inner, rng, rates or Rates()
        self.calm = False
        self.fuse: Fuse | None = None

    def _happens(self, rate: float) -> bool:
        return not self.calm and self._rng.random() < rate

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        fuse = self.fuse if self.fuse is not None and self.fuse.blows(headers) else None
        if fuse is not None and not fuse.is_done:
            await fuse.hold()
        rates = self._rates
        if self._happens(rates.slow):
            await asyncio.sleep(self._rng.uniform(0.01, 3))
        if self._happens(rates.lost_request):
            raise ConnectionFailed("the request was lost")
        if self._happens(rates.refused):
            refusal = TooManyRequests("Too many requests, please try again later.", details={"retryAfterSeconds": 1})
            return Answer(429, {"retry-after": "1", "content-type": "application/json"}, orjson.dumps(refusal.status))
        if self._happens(rates.failed):
            return Answer(500, {"content-type": "application/json"}, orjson.dumps(InternalError("the disk had a cold").status))
        if method in ("PUT", "PATCH") and self._happens(rates.conflict):
            return Answer(409, {"content-type": "application/json"}, orjson.dumps(Conflict("the object has been modified").status))
        answer = await self._inner.request(method, target, headers=headers, body=body, timeout_s=timeout_s)
        if fuse is not None:
            await fuse.hold()
        if self._happens(rates.lost_answer):
            raise ConnectionFailed("the answer was lost")
        return answer

    @asynccontextmanager
    async def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AsyncIterator[StreamAnswer]:
        if self._happens(self._rates.lost_request):
            raise ConnectionFailed("the watch was refused")
        async with self._inner.stream(method, target, headers=headers) as answer:
            yield _CutStream(answer, self._rng.randrange(1, 20)) if self._happens(self._rates.cut_stream) else answer

    async def close(self) -> None:
        await self._inner.close()


class _CutStream:
    """A streamed answer that breaks off after some chunks, in the middle of one."""

    def __init__(self, inner: StreamAnswer, chunks: int) -> None:
        self._inner, self._chunks = inner, chunks

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._inner.headers

    async def read(self) -> bytes:
        return await self._inner.read()

    async def chunks(self) -> AsyncIterator[bytes]:
        left = self._chunks
        async for chunk in self._inner.chunks():
            if left <= 0:
                yield chunk[: len(chunk) // 2]
                raise ConnectionFailed("the watch was cut")
            left -= 1
            yield chunk


class JumpingClock(LoopClock):
    """A clock whose wall time is set forward and back, as people and NTP do. Monotonic time is not."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)
