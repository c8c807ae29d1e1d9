"""Upstream's conformance test of logs over WebSockets, through a listening server to a kubelet on the other side."""

from __future__ import annotations

import asyncio
import base64

import pytest

from tests.component.connecting import PODS, Site, Streams, add_node, add_pod, answering, said, site, until

LOG = f"{PODS}/web/log"
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
WITHIN_S = 20.0


async def opened(found: Site, query: str = "", *headers: str) -> tuple[Streams, dict[str, str]]:
    """A connection whose handshake is over; the answer's headers."""
    streams = await found.open("GET", LOG + query, *HANDSHAKE, *headers)
    answer = await said(streams[0])
    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "that of the RFC's own example"
    return streams, answer.headers


async def messages(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """(kind, data) of each message, up to the goodbye."""
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(WITHIN_S):
        while not found or found[-1][0] != 8:
            first, size = await reader.readexactly(2)
            size = int.from_bytes(await reader.readexactly(2)) if size == 126 else size
            found.append((first & 0x0F, await reader.readexactly(size)))
    return found


@pytest.mark.parametrize(
    ("asked", "chosen", "kind"),
    [
        pytest.param("", None, 2, id="no protocol"),
        pytest.param("other, binary.k8s.io", "binary.k8s.io", 2, id="binary"),
        pytest.param("base64.binary.k8s.io", "base64.binary.k8s.io", 1, id="base64"),
    ],
)
async def test_a_log_comes_in_messages(asked: str, chosen: str | None, kind: int) -> None:
    text = b"container is alive\n" + b"x" * 300
    async with site() as found:
        await add_node(found)
        await add_pod(found)
        kubelet = await found.backend("10.0.0.5:10250", answering(ANSWER + text))
        (reader, _), headers = await opened(found, "?container=c", *([f"Sec-WebSocket-Protocol: {asked}"] if asked else []))
        assert headers.get("sec-websocket-protocol") == chosen
        *sent, goodbye = await messages(reader)
        assert {each for each, _ in sent} == {kind}
        assert b"".join(base64.b64decode(data) if kind == 1 else data for _, data in sent) == text
        assert goodbye == (8, b"\x03\xe8")
        await until(lambda: kubelet.open == 0)


async def test_a_client_that_says_goodbye_ends_a_followed_log() -> None:
    async with site() as found:
        await add_node(found)
        await add_pod(found)

        async def slow(_heard: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(ANSWER + b"first\n")
            await writer.drain()
            await reader.read()

        kubelet = await found.backend("10.0.0.5:10250", slow)
        (reader, writer), _ = await opened(found, "?follow=true")
        async with asyncio.timeout(WITHIN_S):
            assert await reader.readexactly(8) == b"\x82\x06first\n"
        writer.write(b"\x89\x82\x01\x02\x03\x04" + bytes([ord("h") ^ 1, ord("i") ^ 2]))  # a ping, masked as clients do
        async with asyncio.timeout(WITHIN_S):
            assert await reader.readexactly(4) == b"\x8a\x02hi"
        writer.write(b"\x88\x80\x00\x00\x00\x00")
        async with asyncio.timeout(WITHIN_S):
            assert await reader.read() == b""
        await until(lambda: kubelet.open == 0)


async def test_what_is_no_handshake_is_refused() -> None:
    async with site() as found:
        await add_node(found)
        await add_pod(found)
        await found.backend("10.0.0.5:10250", answering(ANSWER + b"x"))
        reader, _ = await found.open("GET", LOG, "Upgrade: websocket", "Connection: Upgrade")
        assert (await said(reader)).status == 400
