"""Watches and other streams of the client, and apps that are asked in process."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from kube.client.client import WatchEvent
from kube.client.lines import LINE_BYTES_MAX, lines
from kube.client.transport import AsgiTransport, ConnectionFailed
from kube.errors import ApiError, Expired
from kube.resources import PODS
from tests.unit.asking import POD, Echo, client_of
from tests.virtual import virtual


async def chunked(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_lines_are_whole_wherever_the_chunks_are_cut() -> None:
    whole = b'{"a":1}\n\n{"b":"x y"}\r\n{"c":[]}\n{"cut'
    expected = [b'{"a":1}', b'{"b":"x y"}\r', b'{"c":[]}']
    rng = random.Random(0)
    assert [line async for line in lines(chunked(whole))] == expected
    assert [line async for line in lines(chunked(*(bytes([byte]) for byte in whole)))] == expected
    for _ in range(200):
        cuts = sorted(rng.randrange(len(whole)) for _ in range(rng.randrange(8)))
        parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        assert [line async for line in lines(chunked(*parts))] == expected


async def test_a_line_without_end_is_given_up() -> None:
    part = b"x" * (LINE_BYTES_MAX // 8)
    with pytest.raises(ConnectionFailed, match="longer than"):
        async for _ in lines(chunked(*[part] * 9)):
            pass


class Watched:
    """An app whose watch sends what it is told to, and notices when its client has gone."""

    def __init__(self) -> None:
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.is_disconnected = self.is_cancelled = False
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        leaving = asyncio.create_task(receive())
        leaving.add_done_callback(self._left)
        try:
            while (part := await self.parts.get()) is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                self.sent += len(part)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        finally:
            leaving.cancel()

    def _left(self, task: asyncio.Task[Any]) -> None:
        self.is_disconnected = not task.cancelled() and task.result()["type"] == "http.disconnect"


def line(type: str, **obj: Any) -> bytes:
    return orjson.dumps({"type": type, "object": obj}) + b"\n"


@virtual
async def test_the_first_event_of_a_watch_is_there_before_the_second_is_sent() -> None:
    app = Watched()
    async with aclosing(client_of(app).watch(PODS)) as watch:
        await app.parts.put(line("ADDED", name="a"))
        assert await anext(watch) == WatchEvent("ADDED", {"name": "a"})
        await app.parts.put(line("DELETED", name="a")[:10])
        await asyncio.sleep(3600)
        await app.parts.put(line("DELETED", name="a")[10:])
        assert await anext(watch) == WatchEvent("DELETED", {"name": "a"})
        await app.parts.put(None)
        assert [event async for event in watch] == []


@virtual
async def test_leaving_a_watch_tells_the_app_and_ends_its_task() -> None:
    app = Watched()
    async with aclosing(client_of(app).watch(PODS)) as watch:
        await app.parts.put(line("ADDED"))
        await anext(watch)
    assert app.is_disconnected
    assert app.is_cancelled


@virtual
async def test_closing_the_transport_ends_its_streams_with_connection_failed() -> None:
    app = Watched()
    client = client_of(app)
    async with aclosing(client.watch(PODS)) as watch:
        waiting = asyncio.create_task(anext(watch))
        await asyncio.sleep(1)
        await client.close()
        with pytest.raises(ConnectionFailed):
            await waiting
    with pytest.raises(ConnectionFailed, match="closed"):
        await client.create(PODS, POD)


@virtual
async def test_errors_of_a_watch_are_raised() -> None:
    app = Watched()
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    await app.parts.put(line("ERROR", **gone))
    with pytest.raises(Expired, match="too old"):
        [event async for event in client_of(app).watch(PODS)]
    with pytest.raises(Expired):
        [event async for event in client_of(Echo((410, gone))).watch(PODS)]
    await app.parts.put(b"<html>\n")
    with pytest.raises(ConnectionFailed, match="not an event"):
        [event async for event in client_of(app).watch(PODS)]


@virtual
async def test_an_app_far_ahead_of_its_reader_waits() -> None:
    app = Watched()
    big = line("ADDED", data="x" * 100_000)
    for _ in range(100):
        await app.parts.put(big)
    await app.parts.put(None)
    count = 0
    async for _ in client_of(app).watch(PODS):
        await asyncio.sleep(1)
        count += 1
        assert app.sent <= (count + 12) * len(big)
    assert count == 100


@virtual
async def test_an_app_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("late"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise RuntimeError("a mistake")

    client = client_of(broken)
    with pytest.raises(ApiError) as caught:
        await client.create(PODS, POD)
    assert caught.value.http_code == 500
    with pytest.raises(ConnectionFailed, match="cut off"):
        await client.raw("POST", "/late")
    with pytest.raises(ConnectionFailed):
        [event async for event in client.watch(PODS)]
    assert "a mistake" in caplog.text


@virtual
async def test_an_app_that_waits_for_its_client_to_go_is_told_when_all_is_answered() -> None:
    heard: list[str] = []

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        leaving = asyncio.create_task(receive())
        await asyncio.sleep(1)
        assert not leaving.done()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
        heard.append((await leaving)["type"])

    client = client_of(waits)
    await client.get(PODS, "web")
    assert [event async for event in client.watch(PODS)] == []
    await asyncio.sleep(1)
    assert heard == ["http.disconnect"] * 2


@virtual
async def test_a_request_that_takes_too_long_is_given_up() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    transport = AsgiTransport(slow)
    with pytest.raises(ConnectionFailed, match="too long"):
        await transport.request("POST", "/", headers={}, timeout_s=5)
    assert asyncio.get_running_loop().time() == 5


async def test_an_in_process_request_costs_little() -> None:
    client = client_of(Echo())
    began = time.process_time()
    for _ in range(2000):
        await client.get(PODS, "web", namespace="default")
    assert (time.process_time() - began) / 2000 < 200e-6  # CPU time; 15 us where this was written
