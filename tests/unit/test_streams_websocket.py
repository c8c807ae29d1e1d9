"""Exec and attach over WebSockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from kubelet.server import channels
from tests.unit.kubelet_serving import query, serving
from tests.unit.websocket_client import WebSocketClient


async def test_exec_over_a_websocket() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command=["sh", "-c", "echo out; echo err >&2; exit 3"], output="1", error="1")
        client = await WebSocketClient.open(server, path, channels.V5)
        found = await client.channels()
        assert (found[1], found[2]) == (b"out\n", b"err\n")
        assert json.loads(found[3])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_stdin_ends_with_the_closing_message_of_v5() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client = await WebSocketClient.open(server, "/exec/default/web/c?" + query(command="cat", input="1", output="1"), channels.V5)
        client.send(b"\x00" + b"x" * 100_000)
        client.send(b"\xff\x00")
        found = await client.channels()
        assert len(found[1]) == 100_000
        assert json.loads(found[3])["status"] == "Success"


async def test_a_terminal_echoes_and_prompts() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command="sh", input="1", output="1", tty="1")
        client = await WebSocketClient.open(server, path, channels.V4)
        client.send(b'\x04{"Width":80,"Height":24}')
        client.send(b"\x00echo hi\r")
        client.send(b"\x00exit\r")
        found = await client.channels()
        assert found[1] == b"/ # echo hi\r\nhi\r\n/ # exit\r\n"


async def test_base64_channels_and_plain_error_texts_of_v1() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        path = "/exec/default/web/c?" + query(command="false", output="1")
        client = await WebSocketClient.open(server, path, channels.V1)
        assert (await client.channels())[3] == b"command terminated with non-zero exit code: exit status 1"
        client = await WebSocketClient.open(server, path.replace("false", "true"), channels.V4_BASE64)
        assert (await client.message()) == b"1"
        status = await client.message()
        assert status is not None
        assert status.startswith(b"3")


async def test_an_unknown_subprotocol_is_refused() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        with pytest.raises(AssertionError, match="400"):
            await WebSocketClient.open(server, "/exec/default/web/c?command=ls&output=1", "v9.channel.k8s.io")


async def test_attach_shows_the_log_and_ends_with_the_container() -> None:
    async with serving() as (agents, server):
        worker = await agents.add("talks", "echo hello; sleep 3600")
        client = await WebSocketClient.open(server, "/attach/default/talks/c?output=1", channels.V5)
        assert await client.message() == b"\x01"
        assert await client.message() == b"\x01hello\n"
        (container,) = await agents.runtime.list_containers(worker.uid)
        await agents.runtime.stop_container(container.id, timeout_s=0)
        assert json.loads((await client.channels())[3])["status"] == "Success"


async def test_a_client_that_goes_ends_its_command() -> None:
    async with serving() as (agents, server):
        await agents.add("web")
        client = await WebSocketClient.open(server, "/exec/default/web/c?command=sleep&command=3600&output=1", channels.V5)
        assert await client.message() == b"\x01"
        client.writer.close()
        async with asyncio.timeout(20):
            while server._http._connections:
                await asyncio.sleep(0.01)
