"""Logs and upgraded connections, through a listening server to a kubelet on the other side."""

from __future__ import annotations

import asyncio
import errno

import pytest

from apiserver.handlers import backends
from tests.component.connecting import PODS, Heard, Site, add_node, add_pod, answering, ok, said, site, until

KUBELET = "10.0.0.5:10250"
LOG = f"{PODS}/web/log"


async def with_pod(found: Site) -> Site:
    await add_node(found)
    await add_pod(found)
    return found


def lines_open(found: Site) -> int:
    gate: backends.Gate = found.built.server.extra["gate"]
    return gate.open


async def test_a_log_comes_from_the_nodes_kubelet_which_is_told_which_node() -> None:
    async with site() as found:
        await with_pod(found)
        kubelet = await found.backend(KUBELET, answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\none\ntwo\n"))
        answer = await found.call("GET", f"{LOG}?tailLines=2&follow=true&pretty=true")
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, "text/plain", b"one\ntwo\n")
        (heard,) = kubelet.heard
        assert heard.line == "GET /containerLogs/default/web/c?follow=true&tailLines=2 HTTP/1.1"
        assert heard.headers == {"host": "n1", "connection": "close"}
        assert found.backends.asked == [(KUBELET, "n1", True)]
        await until(lambda: kubelet.open == 0)
        assert lines_open(found) == 0


async def test_a_pod_that_runs_nowhere_has_no_log() -> None:
    async with site() as found:
        await add_pod(found, node="", address="")
        answer = await found.call("GET", LOG)
        assert (answer.status, answer.body, answer.headers.get("content-type")) == (204, b"", None)


async def test_options_are_judged_before_the_pod_is_looked_for() -> None:
    async with site() as found:
        answer = await found.call("GET", f"{PODS}/none/log?tailLines=-1")
        assert answer.status == 422
        assert answer.json()["message"].startswith('PodLogOptions "none" is invalid: tailLines: Invalid value: -1')
        assert (await found.call("GET", f"{PODS}/none/log")).status == 404
        assert (await found.call("POST", f"{PODS}/none/log")).status == 405


async def test_a_kubelet_that_is_not_there_is_named() -> None:
    async with site() as found:
        await with_pod(found)
        found.backends.at[KUBELET] = ConnectionRefusedError(errno.ECONNREFUSED, "x")
        status = (await found.call("GET", f"{LOG}?previous=true")).json()
        url = "https://10.0.0.5:10250/containerLogs/default/web/c?previous=true"
        assert status["message"] == f'Get "{url}": dial tcp 10.0.0.5:10250: connect: connection refused'
        assert (status["code"], "reason" in status) == (500, False)
        assert lines_open(found) == 0


async def test_a_node_that_is_gone_is_not_found() -> None:
    async with site() as found:
        await add_pod(found, node="ghost", address="")
        answer = await found.call("GET", LOG)
        assert (answer.status, answer.json()["message"]) == (404, 'nodes "ghost" not found')


KUBELET_SAYS = {
    "not started yet": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 7\r\n\r\nwaiting", 400, "waiting"),
    "not there": (b"HTTP/1.1 404 Not Found\r\n\r\nno", 404, "the server could not find the requested resource ( pods/log web)"),
    "broken": (b"HTTP/1.1 500 Oops\r\n\r\nwhy", 500, "Internal error occurred: why"),
    "nothing": (b"", 500, 'Get "https://10.0.0.5:10250/containerLogs/default/web/c": EOF'),
    "nonsense": (b"220 hello\r\n\r\n", 500, "malformed HTTP response"),
}


@pytest.mark.parametrize(("raw", "status", "message"), KUBELET_SAYS.values(), ids=KUBELET_SAYS.keys())
async def test_what_a_kubelet_refuses(raw: bytes, status: int, message: str) -> None:
    async with site() as found:
        await with_pod(found)
        kubelet = await found.backend(KUBELET, answering(raw))
        answer = await found.call("GET", LOG)
        assert answer.status == status
        assert message in answer.json()["message"]
        await until(lambda: kubelet.open == 0)
        assert lines_open(found) == 0


async def _follow(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
    await reader.read()  # until the server has gone


async def test_a_followed_log_comes_at_once_and_ends_with_its_client() -> None:
    async with site() as found:
        await with_pod(found)
        kubelet = await found.backend(KUBELET, _follow)
        reader, writer = await found.open("GET", f"{LOG}?follow=true")
        async with asyncio.timeout(20):
            assert b"first" in await reader.readuntil(b"first\n")
        assert (kubelet.open, lines_open(found)) == (1, 1)
        writer.close()
        await until(lambda: kubelet.open == 0 and lines_open(found) == 0)


async def _silent(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_client_that_leaves_before_the_kubelet_answers_leaves_nothing_behind() -> None:
    async with site() as found:
        await with_pod(found)
        kubelet = await found.backend(KUBELET, _silent)
        _, writer = await found.open("GET", LOG)
        await until(lambda: kubelet.open == 1)
        writer.close()
        await until(lambda: kubelet.open == 0 and lines_open(found) == 0)


async def test_a_log_far_ahead_of_its_reader_waits() -> None:
    sent = 0

    async def flood(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 200_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with site() as found:
        await with_pod(found)
        kubelet = await found.backend(KUBELET, flood)
        reader, writer = await found.open("GET", LOG)
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != sent:  # until nothing moves any more
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 50_000_000
        writer.close()
        await until(lambda: kubelet.open == 0)


# --- exec and its like ----------------------------------------------------------------------------------------------------

UPGRADE = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")


async def _echo(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nwelcome;")
    while data := await reader.read(100):
        writer.write(data.upper())
        await writer.drain()


async def test_an_upgraded_connection_passes_bytes_both_ways() -> None:
    async with site() as found:
        await with_pod(found)
        kubelet = await found.backend(KUBELET, _echo)
        reader, writer = await found.open("POST", f"{PODS}/web/exec?command=ls&command=-l&stdout=true&container=c", *UPGRADE)
        assert (await said(reader)).status == 101
        assert await reader.readexactly(8) == b"welcome;"
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        (heard,) = kubelet.heard
        assert heard.line == "POST /exec/default/web/c?command=ls&command=-l&output=1 HTTP/1.1"
        assert (heard.headers["host"], "authorization" in heard.headers) == ("n1", False)
        assert lines_open(found) == 1
        writer.close()
        await until(lambda: kubelet.open == 0 and lines_open(found) == 0)


async def test_the_kubelets_end_is_the_clients_end() -> None:
    async with site() as found:
        await with_pod(found)
        await found.backend(KUBELET, answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbye"))
        reader, _ = await found.open("GET", f"{PODS}/web/attach?stdout=1", *UPGRADE)
        assert (await said(reader)).status == 101
        async with asyncio.timeout(20):
            assert await reader.read() == b"bye"
        await until(lambda: lines_open(found) == 0)


STREAM_ERRORS = {
    "no upgrade": ("POST", f"{PODS}/web/exec?command=ls", (), 400, "Upgrade request required"),
    "a method for something else": ("PUT", f"{PODS}/web/exec?command=ls", UPGRADE, 405, "does not allow this method"),
    "no such pod": ("POST", f"{PODS}/none/exec?command=ls", UPGRADE, 404, 'pods "none" not found'),
    "no such container": ("POST", f"{PODS}/web/attach?container=x", UPGRADE, 400, "container x is not valid for pod web"),
    "a pod that runs nowhere": ("POST", f"{PODS}/idle/portforward", UPGRADE, 400, "pod idle does not have a host assigned"),
    "no kubelet": (
        "GET",
        f"{PODS}/web/portforward?ports=80",
        UPGRADE,
        500,
        "error dialing backend: dial tcp 10.0.0.5:10250: connect: connection refused",
    ),
}


@pytest.mark.parametrize(("method", "path", "headers", "status", "message"), STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
async def test_what_cannot_be_streamed(method: str, path: str, headers: tuple[str, ...], status: int, message: str) -> None:
    async with site() as found:
        await with_pod(found)
        await add_pod(found, "idle", node="", address="")
        found.backends.at[KUBELET] = ConnectionRefusedError(errno.ECONNREFUSED, "x")
        reader, _ = await found.open(method, path, *headers)
        answer = await said(reader)
        assert (answer.status, message in answer.json()["message"]) == (status, True), answer.body
        if headers:  # nobody can send a second request where an upgrade was asked for and refused
            assert answer.headers["connection"] == "close"
            async with asyncio.timeout(20):
                assert await reader.read() == b""
        assert found.built.server.extra.get("gate", backends.Gate()).open == 0


async def test_a_kubelet_that_refuses_the_upgrade_is_passed_on() -> None:
    async with site() as found:
        await with_pod(found)
        refusal = b'HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 25\r\n\r\ncontainer not found ("c")'
        await found.backend(KUBELET, answering(refusal))
        reader, _ = await found.open("POST", f"{PODS}/web/exec?command=ls", *UPGRADE)
        answer = await said(reader)
        assert (answer.status, answer.body) == (404, b'container not found ("c")')
        await until(lambda: lines_open(found) == 0)


async def test_a_kubelet_that_just_answers_has_not_upgraded() -> None:
    async with site() as found:
        await with_pod(found)
        await found.backend(KUBELET, answering(ok()))
        reader, _ = await found.open("POST", f"{PODS}/web/exec?command=ls", *UPGRADE)
        status = (await said(reader)).json()
        assert (status["message"], status["code"]) == ("invalid upgrade response: status code 200", 500)
