"""A connection that has ended lets go of its transport, and takes what still comes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from apiserver.ended_connection import ServedConnection


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


class App:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.failed: BaseException | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.go.wait()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
        except Exception as error:
            self.failed = error


def connected(app: App) -> tuple[ServedConnection, Transport]:
    config = uvicorn.Config(app, http=ServedConnection, ws="none", lifespan="off", log_config=None)
    config.load()
    transport = Transport()
    connection = ServedConnection(config, ServerState(), {})
    connection.connection_made(transport)
    return connection, transport


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
ENDS: dict[str, tuple[bytes, bool, Exception | None]] = {
    "before any request": (b"", False, None),
    "in the middle of a request": (REQUEST, False, None),
    "after a request": (REQUEST, True, None),
    "broken, after a request": (REQUEST, True, ConnectionResetError()),
}


@pytest.mark.parametrize(("sent", "answered", "error"), ENDS.values(), ids=ENDS.keys())
async def test_the_transport_goes_at_once(sent: bytes, answered: bool, error: Exception | None) -> None:
    app = App()
    connection, transport = connected(app)
    if sent:
        connection.data_received(sent)
    if answered:
        app.go.set()
        await asyncio.sleep(0.01)
        assert transport.written.endswith(b"ok")
    gone = weakref.ref(transport)
    gc.collect()
    gc.disable()
    try:
        connection.connection_lost(error)
        del transport
        assert gone() is None
    finally:
        gc.enable()
    app.go.set()
    await asyncio.sleep(0.01)
    assert app.failed is None, "an answer that comes too late is dropped"
