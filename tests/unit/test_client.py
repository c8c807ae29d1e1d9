"""The client and its transports: paths, errors, retries, and streams that are cut anywhere."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from aiohttp import web

from kube.client.client import ATTEMPTS_MAX, Client, PatchKind, WatchEvent
from kube.client.lines import LINE_BYTES_MAX, lines
from kube.client.transport import AsgiTransport, ConnectionFailed, HttpTransport
from kube.errors import ApiError, Expired, NotFound, ServiceUnavailable, TooManyRequests
from kube.objects import Object
from kube.resources import DEPLOYMENTS, NODES, PODS, Resource
from kube.runtime import metrics
from tests.virtual import virtual

ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)


class Echo:
    """An app that remembers what it was asked and answers what it was told to."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers) or [(200, {})]
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: dict[str, str] = {}
        self.answer_headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        self.asked.append((scope["method"], target, orjson.loads(body) if body else None))
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await send({"type": "http.response.start", "status": status, "headers": self.answer_headers})
        await send({"type": "http.response.body", "body": answer if isinstance(answer, bytes) else orjson.dumps(answer)})


def client_of(app: Any) -> Client:
    return Client(AsgiTransport(app), user_agent="tester/1.0", token="s3cret", rng=random.Random(0))


POD: Object = {"metadata": {"name": "web", "namespace": "default"}}
D = "/api/v1/namespaces/default/pods"
REQUESTS: list[tuple[str, Any, tuple[str, str, Any]]] = [
    ("get", lambda c: c.get(PODS, "web", namespace="default"), ("GET", f"{D}/web", None)),
    ("get of a version", lambda c: c.get(NODES, "n", resource_version="0"), ("GET", "/api/v1/nodes/n?resourceVersion=0", None)),
    ("get of a subresource", lambda c: c.get(PODS, "web", namespace="default", subresource="status"), ("GET", f"{D}/web/status", None)),
    (
        "get of a name with odd characters",
        lambda c: c.get(ROLES, "system:a/b %"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb%20%25", None),
    ),
    ("list of a group", lambda c: c.list(DEPLOYMENTS), ("GET", "/apis/apps/v1/deployments", None)),
    (
        "list with everything",
        lambda c: c.list(
            PODS,
            namespace="default",
            label_selector="a in (b)",
            field_selector="x=y",
            limit=5,
            continue_="to/ken",
            resource_version="7",
            resource_version_match="Exact",
        ),
        (
            "GET",
            f"{D}?labelSelector=a+in+%28b%29&fieldSelector=x%3Dy&limit=5&resourceVersion=7&resourceVersionMatch=Exact&continue=to%2Fken",
            None,
        ),
    ),
    ("create in the object's namespace", lambda c: c.create(PODS, POD), ("POST", D, POD)),
    (
        "create of a subresource, tried only",
        lambda c: c.create(PODS, {}, namespace="default", name="web", subresource="binding", dry_run=True, field_manager="me"),
        ("POST", f"{D}/web/binding?dryRun=All&fieldManager=me", {}),
    ),
    ("update of the status", lambda c: c.update(PODS, POD, subresource="status"), ("PUT", f"{D}/web/status", POD)),
    ("patch", lambda c: c.patch(PODS, "web", {"a": 1}, namespace="default"), ("PATCH", f"{D}/web", {"a": 1})),
    (
        "apply by force",
        lambda c: c.apply(PODS, POD, field_manager="me", force=True),
        ("PATCH", f"{D}/web?fieldManager=me&force=true", POD),
    ),
    ("delete", lambda c: c.delete(PODS, "web", namespace="default"), ("DELETE", f"{D}/web", None)),
    (
        "delete with everything",
        lambda c: c.delete(PODS, "web", namespace="default", propagation_policy="Orphan", grace_period_s=0, uid="u", resource_version="5"),
        (
            "DELETE",
            f"{D}/web",
            {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "propagationPolicy": "Orphan",
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u", "resourceVersion": "5"},
            },
        ),
    ),
    (
        "delete of a collection",
        lambda c: c.delete_collection(PODS, namespace="default", label_selector="a=b"),
        ("DELETE", f"{D}?labelSelector=a%3Db", None),
    ),
]


@pytest.mark.parametrize(("act", "asked"), [each[1:] for each in REQUESTS], ids=[each[0] for each in REQUESTS])
def test_what_is_asked_of_the_server(act: Any, asked: tuple[str, str, Any]) -> None:
    @virtual
    async def ask() -> None:
        app = Echo()
        await act(client_of(app))
        assert app.asked == [asked]

    ask()


@virtual
async def test_every_request_says_who_asks_and_patches_what_they_are() -> None:
    app = Echo()
    client = client_of(app)
    await client.patch(PODS, "web", [], namespace="default", kind=PatchKind.JSON)
    assert app.headers["user-agent"] == "tester/1.0"
    assert app.headers["authorization"] == "Bearer s3cret"
    assert app.headers["content-type"] == "application/json-patch+json"
    client.set_token("")
    await client.get(PODS, "web")
    assert "authorization" not in app.headers


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(name: str) -> None:
    @virtual
    async def ask() -> None:
        app = Echo()
        with pytest.raises(ValueError, match="cannot be a name"):
            await client_of(app).delete(PODS, name, namespace="default")
        assert app.asked == []

    ask()


@virtual
async def test_a_refusal_is_raised_as_its_own_class_with_all_its_status() -> None:
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "no", "details": {"name": "web"}}
    with pytest.raises(NotFound) as caught:
        await client_of(Echo((404, status))).get(PODS, "web")
    assert (caught.value.message, caught.value.details) == ("no", {"name": "web"})
    with pytest.raises(ServiceUnavailable, match="out of order"):
        await client_of(Echo((503, b"out of order"))).raw("GET", "/readyz")
    with pytest.raises(ApiError, match="answered 418"):
        await client_of(Echo((418, b""))).get(PODS, "web")
    with pytest.raises(ConnectionFailed, match="not JSON"):
        await client_of(Echo((200, b"<html>"))).get(PODS, "web")


@virtual
async def test_a_server_that_asks_to_come_back_later_is_asked_again_then() -> None:
    busy = (429, {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "busy"})
    app = Echo(busy, busy, (200, {"done": True}))
    app.answer_headers = [(b"Retry-After", b"2")]
    assert await client_of(app).create(PODS, POD) == {"done": True}
    assert len(app.asked) == 3
    assert 4 <= asyncio.get_running_loop().time() <= 5


@virtual
async def test_patience_has_an_end_and_an_eviction_has_none() -> None:
    app = Echo((429, {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "busy"}))
    app.answer_headers = [(b"retry-after", b"1")]
    with pytest.raises(TooManyRequests):
        await client_of(app).get(PODS, "web")
    assert len(app.asked) == ATTEMPTS_MAX
    app.asked.clear()
    with pytest.raises(TooManyRequests):
        await client_of(app).create(PODS, {}, namespace="default", name="web", subresource="eviction")
    assert len(app.asked) == 1


@virtual
async def test_a_lost_connection_is_tried_again_for_reads_and_never_for_writes() -> None:
    class Lossy(Echo):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if len(self.asked) >= 2:
                await super().__call__(scope, receive, send)
            else:
                self.asked.append((scope["method"], "", None))

    app = Lossy()
    await client_of(app).get(PODS, "web")
    assert len(app.asked) == 3
    app.asked.clear()
    with pytest.raises(ConnectionFailed):
        await client_of(app).create(PODS, POD)
    assert len(app.asked) == 1


# --- streams ----------------------------------------------------------------------------------------------------------


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


# --- over the network -------------------------------------------------------------------------------------------------


async def serve(handler: Any) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_the_network_carries_the_same_requests_and_answers() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            response = web.StreamResponse()
            await response.prepare(request)
            for number in range(3):
                await response.write(line("ADDED", number=number))
            await response.write(b'{"type":')
            return response
        if request.path.endswith("missing"):
            return web.json_response({"kind": "Status", "code": 404, "reason": "NotFound", "message": "no"}, status=404)
        seen = {"target": request.raw_path, "method": request.method, "agent": request.headers["User-Agent"]}
        return web.json_response(seen | {"body": (await request.read()).decode()}, headers={"X-Thing": "1"})

    runner, url = await serve(handler)
    transport = HttpTransport(url)
    client = Client(transport, user_agent="tester/1.0")
    try:
        got = await client.get(ROLES, "system:a/b")
        assert got["target"] == "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%2Fb"
        assert got["agent"] == "tester/1.0"
        assert (await client.create(PODS, {"a": 1}, namespace="default"))["body"] == '{"a":1}'
        with pytest.raises(NotFound):
            await client.get(PODS, "missing", namespace="default")
        answer = await client.raw("GET", "/x?a=%2F")
        assert answer.headers["x-thing"] == "1"
        assert orjson.loads(answer.body)["target"] == "/x?a=%2F"
        assert [event.object["number"] async for event in client.watch(PODS)] == [0, 1, 2]
    finally:
        await client.close()
        await runner.cleanup()


async def test_no_server_is_connection_failed_and_names_the_request() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    runner, url = await serve(handler)
    await runner.cleanup()
    transport = HttpTransport(url)
    with pytest.raises(ConnectionFailed, match="POST /x"):
        await transport.request("POST", "/x?secret", headers={})
    with pytest.raises(ConnectionFailed, match="GET /y"):
        async with transport.stream("GET", "/y", headers={}):
            pass
    await transport.close()
    with pytest.raises(ConnectionFailed, match="closed"):
        await transport.request("GET", "/", headers={})


async def test_a_server_that_dies_in_the_midst_of_a_stream_is_connection_failed() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line("ADDED"))
        assert request.transport is not None
        request.transport.abort()
        return response

    runner, url = await serve(handler)
    client = Client(HttpTransport(url), user_agent="tester")
    try:
        async with aclosing(client.watch(PODS)) as watch:
            await anext(watch)
            with pytest.raises(ConnectionFailed):
                await anext(watch)
    finally:
        await client.close()
        await runner.cleanup()


class Scripted:
    """A raw server: for each connection, what it answers to each request in turn; None closes the connection."""

    def __init__(self, *connections: list[bytes | None]) -> None:
        self.connections, self.requests = list(connections), list[bytes]()
        self.accepted = 0

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        for answer in self.connections.pop(0):
            if answer is None:
                break
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        else:
            await reader.read()  # until the client leaves
        writer.close()


def http(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body])


CUT: list[tuple[str, bytes]] = [
    ("a body shorter than announced", b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}"),
    ("chunks without an end", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    ("half a head", b"HTTP/1.1 200 O"),
    ("something else than HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    ("an upgrade nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    ("nothing", b""),
]


@pytest.mark.parametrize("answer", [each[1] for each in CUT], ids=[each[0] for each in CUT])
async def test_an_answer_that_is_not_whole_is_none(answer: bytes) -> None:
    server = Scripted([answer, None], [answer, None])
    transport = HttpTransport(await server.start())
    with pytest.raises(ConnectionFailed, match="GET /x: "):
        await transport.request("GET", "/x", headers={})
    with pytest.raises(ConnectionFailed):
        async with transport.stream("GET", "/x", headers={}) as stream:
            await stream.read()
    await transport.close()
    await server.stop()


async def test_answers_are_read_however_they_are_framed() -> None:
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    empty = b"HTTP/1.1 204 No Content\r\nWarning: 299 - a\r\nWarning: 299 - b\r\n\r\n"
    continued = b"HTTP/1.1 100 Continue\r\n\r\n" + http(b"[1]")
    server = Scripted([http(b"{}"), chunks, empty, continued, b"HTTP/1.1 200 OK\r\n\r\nto the end", None])
    transport = HttpTransport(await server.start())
    answers = [await transport.request("GET", f"/{number}", headers={"a": "b"}) for number in range(5)]
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"{}"),
        (200, b"{}"),
        (204, b""),
        (200, b"[1]"),
        (200, b"to the end"),
    ]
    assert answers[2].headers == {"warning": "299 - a, 299 - b"}
    assert server.accepted == 1
    assert server.requests[4].startswith(b"GET /4 HTTP/1.1\r\nhost: 127.0.0.1:")
    await transport.close()
    await server.stop()


async def test_a_connection_the_server_closed_is_replaced_where_that_is_safe() -> None:
    server = Scripted([http(b"1"), b"", None], [http(b"2"), b"", None], [http(b"3")])
    transport = HttpTransport(await server.start())
    assert [(await transport.request("GET", "/", headers={})).body for _ in range(2)] == [b"1", b"2"]
    with pytest.raises(ConnectionFailed):
        await transport.request("POST", "/", headers={}, body=b"{}")
    assert (await transport.request("POST", "/", headers={}, body=b"{}")).body == b"3"
    await transport.close()
    await server.stop()


async def test_no_more_connections_than_allowed_and_everyone_gets_a_turn() -> None:
    under_way = most = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return web.json_response({"path": request.path})

    runner, url = await serve(handler)
    transport = HttpTransport(url, limit=3)
    answers = await asyncio.gather(*(transport.request("GET", f"/{number}", headers={}) for number in range(60)))
    assert [orjson.loads(answer.body)["path"] for answer in answers] == [f"/{number}" for number in range(60)]
    assert most == 3
    waiting = [asyncio.create_task(transport.request("GET", "/", headers={})) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:10]:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["CancelledError"] * 10 + ["Answer"] * 10
    await transport.close()
    await runner.cleanup()


async def test_a_server_far_ahead_of_its_reader_waits() -> None:
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x" * 99_999 + b"\n")
            sent += 100_000
        return response

    runner, url = await serve(handler)
    transport = HttpTransport(url)
    async with transport.stream("GET", "/", headers={}) as stream:
        chunks = stream.chunks()
        assert await anext(chunks)
        await asyncio.sleep(0.3)
        assert sent < 30_000_000  # what the kernel's buffers and ours hold
        assert sum([len(chunk) async for chunk in chunks]) > 99_000_000
    await transport.close()
    await runner.cleanup()


@pytest.mark.parametrize("target", ["/a b", "/x HTTP/1.1\r\nevil: 1", "/\x00", "/é"])
async def test_a_target_that_would_be_another_request_is_refused(target: str) -> None:
    transport = HttpTransport("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="not a quoted path"):
        await transport.request("GET", target, headers={})
    with pytest.raises(ValueError, match="line end"):
        await transport.request("GET", "/", headers={"x": "a\r\nb: c"})
    with pytest.raises(ValueError, match="http"):
        HttpTransport("ftp://x")


async def test_requests_are_counted_under_upstreams_name() -> None:
    client = Client(AsgiTransport(Echo((404, {"kind": "Status", "code": 404}))), user_agent="x", host="counted:6443")
    with pytest.raises(NotFound):
        await client.get(PODS, "web")
    assert 'rest_client_requests_total{code="404",host="counted:6443",method="GET"} 1.0' in metrics.exposition().decode()
