"""What a transport is: it carries one request and gives one answer. The page to read before `http.py` and `asgi.py`.

A transport knows bytes, status codes and headers; objects and errors are `client.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class ConnectionFailed(OSError):
    """No (whole) answer came. Whether the server did what it was asked to is not known."""


@dataclass(slots=True)
class Answer:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamAnswer(Protocol):
    """An answer whose body is still coming; header names are in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, cut anywhere; ends where the server ends it. Raises ConnectionFailed where it was cut off."""
        ...

    async def read(self) -> bytes:
        """The rest of the body."""
        ...


class Transport(Protocol):
    """Sends one request, gives one answer. `target` is path and query, already quoted."""

    async def request(
        self, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float | None = 60
    ) -> Answer:
        """The answer, whatever its status. Raises ConnectionFailed when none came (in time)."""
        ...

    def stream(self, method: str, target: str, *, headers: Mapping[str, str]) -> AbstractAsyncContextManager[StreamAnswer]:
        """The answer as soon as its head is there; leaving the context ends the request. Raises ConnectionFailed."""
        ...

    async def close(self) -> None:
        """End all connections. Requests under way fail with ConnectionFailed."""
        ...
