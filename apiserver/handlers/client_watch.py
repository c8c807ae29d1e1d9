"""Waiting for a backend no longer than the client waits for us. An ASGI server tells of a client that left only to whoever asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from apiserver.handlers.request import Request
from kube.errors import ApiError

T = TypeVar("T")


class ClientGone(ApiError):
    """The client has closed the connection: the answer goes nowhere (499, as proxies log it)."""

    code, reason = 499, ""

    def __init__(self) -> None:
        super().__init__("the client closed the connection before it was answered")


async def until_gone(request: Request) -> None:
    """Return when the client has gone; what is left of its request's body is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def while_there(
    request: Request, work: Coroutine[Any, Any, T], *, undo: Callable[[T], None], leaving: asyncio.Task[None] | None = None
) -> T:
    """The result of `work`. Raises ClientGone, the work cancelled, when the client leaves first. `undo` gets a result that nobody is
    left to take. `leaving`: a task that ends when the client goes, if somebody else listens to it already; it is left running."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work)
    own = loop.create_task(until_gone(request)) if leaving is None else leaving
    try:
        await asyncio.wait((working, own), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    except BaseException:
        await cancelled(working)
        if not working.cancelled() and working.exception() is None:
            undo(working.result())
        raise
    finally:
        if leaving is None:
            await cancelled(own)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what is not done yet, and wait for it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
