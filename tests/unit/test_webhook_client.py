"""Calling webhooks: where they are, what their answers say, and what is said when they do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from apiserver.handlers.extension_target import Address, Unreachable
from apiserver.registry.webhooks import CallFailed, NoWebhooks
from apiserver.webhook_client import ANSWER_BYTES_MAX, TARGETS_MAX, UNUSED_S, WebhookClient, address_of, answer_of
from kube.client.base import Answer
from kube.clock import RealClock
from kube.objects import Object
from tests.virtual import virtual
from tests.webhook_server import Raw, WebhookServer, webhook_server

SERVICE = {"name": "hook", "namespace": "default"}

PLACES: dict[str, tuple[Object, str, str]] = {
    "a URL": ({"url": "https://hooks.test:8443/mutate"}, "https://hooks.test:8443", "/mutate"),
    "a URL without a path": ({"url": "https://hooks.test"}, "https://hooks.test", "/"),
    "a URL that ends in a slash": ({"url": "https://hooks.test/a/b/"}, "https://hooks.test", "/a/b"),
    "a URL that goes back": ({"url": "https://hooks.test/a//../b"}, "https://hooks.test", "/b"),
    "a URL with escapes": ({"url": "https://hooks.test/a%20b"}, "https://hooks.test", "/a%20b"),
    "a Service": ({"service": SERVICE}, "https://hook.default.svc:443", "/"),
    "a Service with port and path": ({"service": {**SERVICE, "port": 9443, "path": "/x/y"}}, "https://hook.default.svc:9443", "/x/y"),
}


@pytest.mark.parametrize(("config", "server", "path"), PLACES.values(), ids=PLACES.keys())
def test_where_a_webhook_is(config: Object, server: str, path: str) -> None:
    found = address_of(config)
    assert (found.server, found.path, found.service is not None) == (server, path, "service" in config)


def said(body: bytes, status: int = 200, content_type: str = "application/json") -> Answer:
    return Answer(status, {"content-type": content_type}, body)


REFUSED = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not you","reason":"Forbidden","code":403}'
PROBLEMS: dict[str, tuple[Answer, str, int | None]] = {
    "nothing at all": (said(b""), "0-length response with status code: 200 and content type: application/json", None),
    "half a document": (said(b'{"a":'), "couldn't get version/kind; json parse error: unexpected end of JSON input", None),
    "a text": (
        said(b"hello"),
        "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type "
        'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }',
        None,
    ),
    "a Status": (said(REFUSED, 403), "not you", 403),
    "not found": (said(b"404 page not found", 404, "text/plain"), "the server could not find the requested resource", 404),
    "an error": (
        said(b'it\'s "broken"\n', 500, "text/plain"),
        'an error on the server ("it\'s \\"broken\\"") has prevented the request from succeeding',
        500,
    ),
    "an error in a document": (said(b"{}", 500), 'an error on the server ("unknown") has prevented the request from succeeding', 500),
    "not allowed to": (said(b" go away ", 403, "text/html; charset=utf-8"), "go away", 403),
    "no acceptable form": (
        said(b"", 406, "text/plain"),
        "the server was unable to respond with a content type that the client supports",
        406,
    ),
    "a redirect": (said(b"", 302), "the server responded with the status code 302 but did not return more information", 302),
    "too busy": (said(b"", 503), "the server is currently unable to handle the request", 503),
}


@pytest.mark.parametrize(("answer", "text", "code"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_an_answer_that_is_none(answer: Answer, text: str, code: int | None) -> None:
    with pytest.raises(CallFailed) as caught:
        answer_of(answer)
    assert str(caught.value) == text
    assert (caught.value.status.http_code if caught.value.status is not None else None) == code


def test_a_status_that_comes_with_a_good_code_is_an_answer() -> None:
    assert answer_of(said(REFUSED, 200))["message"] == "not you"


@pytest.mark.parametrize("body", [b'{"kind":"AdmissionReview","x":1}', b"kind: AdmissionReview\nx: 1\n"], ids=["JSON", "YAML"])
def test_an_answer_is_a_document(body: bytes) -> None:
    assert answer_of(said(body)) == {"kind": "AdmissionReview", "x": 1}


class Where:
    """Where Services lead."""

    def __init__(self, address: Address | str) -> None:
        self.address, self.asked = address, 0

    def __call__(self, reference: Object) -> Address:
        self.asked += 1
        if isinstance(self.address, str):
            raise Unreachable(self.address)
        return self.address


@asynccontextmanager
async def set_up(directory: Path, where: Where | None = None, **rest: Any) -> AsyncIterator[tuple[WebhookServer, WebhookClient]]:
    client = WebhookClient(where or Where("nowhere"), RealClock())
    async with webhook_server(directory, **rest) as server:
        server.answers["/ok"] = lambda document: {"kind": "Answer", "to": document}
        try:
            yield server, client
        finally:
            await client.close()


async def test_a_webhook_is_called_over_a_connection_that_is_kept(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (server, client):
        for number in range(3):
            assert await client.post(server.config("/ok"), {"n": number}, timeout_s=9.5) == {"kind": "Answer", "to": {"n": number}}
        assert len(server.connections) == 1
        head = server.posted[0].head
        assert (head.method, head.target, head.headers["content-type"]) == ("POST", "/ok?timeout=10s", "application/json")
        assert head.headers["host"] == f"127.0.0.1:{server.port}"
        assert "authorization" not in head.headers


async def test_a_webhook_behind_a_service_is_called_by_the_name_of_the_service(tmp_path: Path) -> None:
    where = Where(("127.0.0.1", 0))
    async with set_up(tmp_path, where) as (server, client):
        where.address = ("127.0.0.1", server.port)
        config = {"service": {**SERVICE, "path": "/ok"}, "caBundle": server.bundle}
        for _ in range(2):
            await client.post(config, {}, timeout_s=10)
        assert where.asked == 1, "only a new connection looks for an endpoint"
        assert server.posted[0].head.headers["host"] == "hook.default.svc:443"
        where.address = 'no endpoints available for service "hook"'
        with pytest.raises(CallFailed) as caught:
            await client.post({**config, "service": {**SERVICE, "port": 8443}}, {}, timeout_s=10)
        url = "https://hook.default.svc:8443/?timeout=10s"
        assert str(caught.value) == f'Post "{url}": no endpoints available for service "hook"'


async def test_many_calls_are_under_way_at_once(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (server, client):
        everybody = asyncio.Barrier(40)

        async def wait(_document: Any) -> Any:
            await everybody.wait()
            return {}

        server.answers["/wait"] = wait
        calls = [client.post(server.config("/wait"), {}, timeout_s=30) for _ in range(40)]
        assert await asyncio.gather(*calls) == [{}] * 40


async def test_who_is_not_trusted_is_not_called(tmp_path: Path) -> None:
    async with set_up(tmp_path / "a") as (server, client), webhook_server(tmp_path / "b") as stranger:
        url = f"https://127.0.0.1:{server.port}/ok?timeout=5s"
        with pytest.raises(CallFailed) as caught:
            await client.post(server.config("/ok", caBundle=stranger.bundle), {}, timeout_s=5)
        assert str(caught.value) == f'Post "{url}": tls: failed to verify certificate: x509: certificate signed by unknown authority'
        with pytest.raises(CallFailed, match="unknown authority"):
            await client.post(server.config("/ok", caBundle=""), {}, timeout_s=5)
        with pytest.raises(CallFailed, match="unable to load root certificates"):
            await client.post(server.config("/ok", caBundle="bm9uZQ=="), {}, timeout_s=5)
        assert not server.posted
        assert not stranger.posted


async def test_a_certificate_must_be_for_the_name(tmp_path: Path) -> None:
    async with set_up(tmp_path, names=("elsewhere.test",)) as (server, client):
        with pytest.raises(CallFailed, match="tls: failed to verify certificate: x509: "):
            await client.post(server.config("/ok"), {}, timeout_s=5)
        assert not server.posted


async def test_a_server_that_trusts_nobody_else_may_bring_its_own_certificate(tmp_path: Path) -> None:
    from base64 import b64encode

    async with set_up(tmp_path) as (server, client):
        own = b64encode((tmp_path / "hook.crt").read_bytes()).decode()
        assert await client.post(server.config("/ok", caBundle=own), {}, timeout_s=5) == {"kind": "Answer", "to": {}}


async def test_what_is_said_when_nobody_answers(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (server, client):
        config = server.config("/ok")
    with pytest.raises(CallFailed) as caught:
        await client.post(config, {}, timeout_s=5)
    port = server.port
    expected = f'Post "https://127.0.0.1:{port}/ok?timeout=5s": dial tcp 127.0.0.1:{port}: connect: connection refused'
    assert str(caught.value) == expected
    with pytest.raises(CallFailed, match=r'"https://127\.0\.0\.1:\d+/ok\?timeout=1m30s": dial tcp'):
        await client.post(config, {}, timeout_s=90)
    await client.close()


async def test_who_thinks_for_too_long_is_not_waited_for(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (server, client):
        server.answers["/slow"] = lambda _: asyncio.sleep(60)
        with pytest.raises(CallFailed) as caught:
            await client.post(server.config("/slow"), {}, timeout_s=0.05)
        assert str(caught.value) == f'Post "https://127.0.0.1:{server.port}/slow?timeout=1s": context deadline exceeded'
        assert await client.post(server.config("/ok"), {}, timeout_s=5) == {"kind": "Answer", "to": {}}


async def test_answers_are_bounded_and_redirects_not_followed(tmp_path: Path) -> None:
    async with set_up(tmp_path) as (server, client):
        server.answers["/large"] = lambda _: Raw(b'"' + b"x" * ANSWER_BYTES_MAX + b'"')
        with pytest.raises(CallFailed, match=f"the answer has more than {ANSWER_BYTES_MAX} bytes"):
            await client.post(server.config("/large"), {}, timeout_s=30)
        server.answers["/moved"] = lambda _: Raw(b"", 307, headers={"Location": "/ok"})
        with pytest.raises(CallFailed, match="the server responded with the status code 307"):
            await client.post(server.config("/moved"), {}, timeout_s=30)
        assert not server.documents("/ok")


class Ticking(RealClock):
    """Real time, and some more."""

    more_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.more_s


async def test_webhooks_that_nobody_calls_are_forgotten(tmp_path: Path) -> None:
    clock = Ticking()
    client = WebhookClient(Where("nowhere"), clock)

    def known() -> list[str]:
        return [server.partition("//")[2] for server, _ in client._targets]

    async def call(name: str) -> None:
        with pytest.raises(CallFailed, match="nowhere"):
            await client.post({"service": {"name": name, "namespace": "default"}, "caBundle": bundle}, {}, timeout_s=5)

    async with webhook_server(tmp_path) as server:
        bundle = server.bundle
        await call("old")
        clock.more_s = UNUSED_S + 1
        await call("new")
        assert known() == ["new.default.svc:443"]
        for number in range(TARGETS_MAX + 5):
            await call(f"n{number}")
        assert len(known()) == TARGETS_MAX
        assert known()[-1] == f"n{TARGETS_MAX + 4}.default.svc:443"
    await client.close()


@virtual
async def test_on_a_virtual_clock_time_stands_still_while_a_webhook_thinks(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    async with set_up(tmp_path) as (server, client):
        assert await client.post(server.config("/ok"), {"n": 1}, timeout_s=5) == {"kind": "Answer", "to": {"n": 1}}
        server.answers["/never"] = lambda _: asyncio.get_running_loop().create_future()
        with pytest.raises(CallFailed, match="context deadline exceeded"):
            await client.post(server.config("/never"), {}, timeout_s=0.2)
        assert loop.time() == before


async def test_without_sockets_every_call_fails() -> None:
    with pytest.raises(CallFailed, match="no way to reach webhooks"):
        await NoWebhooks().post({}, {}, timeout_s=1)
