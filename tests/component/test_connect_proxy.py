"""The proxies of pods, services and nodes, through a listening server to backends on the other side."""

from __future__ import annotations

import asyncio
import errno
import ssl
from pathlib import Path

import pytest

from apiserver.front_proxy import FrontProxy
from apiserver.handlers import backends
from apiserver.identity import Authority, KeyPair
from apiserver.serving import KubeletConnections
from kube.clock import RealClock
from kube.objects import Object
from tests.component.connecting import (
    PODS,
    Heard,
    Site,
    Streams,
    add_node,
    add_pod,
    answering,
    ok,
    read_body,
    said,
    site,
    until,
)

POD = "10.1.0.7:8080"
WEB = f"{PODS}/web/proxy"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


async def with_pod(found: Site) -> Site:
    await add_node(found)
    await add_pod(found)
    return found


def lines_open(found: Site) -> int:
    gate: backends.Gate = found.built.server.extra.get("gate", backends.Gate())
    return gate.open


# --- pods -----------------------------------------------------------------------------------------------------------------


async def _mirror(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = await read_body(heard, reader)
    writer.write(ok(body, "X-Own: 1", "Connection: X-Gone", "X-Gone: 1", "Access-Control-Allow-Origin: *", "Date: then"))
    await writer.drain()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_goes_through_with_its_body(method: str) -> None:
    async with site() as found:
        await with_pod(found)
        backend = await found.backend(POD, _mirror)
        answer = await found.call(
            method, f"{WEB}/a%20b/?x=1&y=%2F", b"some text", "Content-Type: text/x-mine", "X-Asked: 2", "TE: trailers"
        )
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"some text", "text/plain")
        assert answer.headers["x-own"] == "1"
        assert not {"x-gone", "access-control-allow-origin"} & set(answer.headers)
        assert answer.headers["date"] != "then"
        (heard,) = backend.heard
        assert heard.line == f"{method} /a%20b/?x=1&y=%2F HTTP/1.1"
        told = heard.headers
        assert (told["content-type"], told["x-asked"], told["content-length"], told["connection"]) == ("text/x-mine", "2", "9", "close")
        assert (told["host"], told["x-forwarded-for"], told["x-forwarded-uri"]) == ("the-api:6443", "127.0.0.1", f"{WEB}/a%20b/")
        assert not {"authorization", "te"} & set(told)
        await until(lambda: backend.open == 0 and lines_open(found) == 0)


async def test_head_is_answered_without_a_body() -> None:
    async with site() as found:
        await with_pod(found)
        await found.backend(POD, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"))
        answer = await found.call("HEAD", f"{WEB}/")
        assert (answer.status, answer.headers["content-length"], "content-type" in answer.headers) == (200, "1234", False)
        assert (await found.call("TRACE", f"{WEB}/")).status == 405


async def test_the_proxy_itself_leads_to_its_root() -> None:
    async with site() as found:
        await with_pod(found)
        backend = await found.backend(POD, answering(ok()))
        answer = await found.call("GET", f"{WEB}?x=1")
        assert (answer.status, answer.headers["location"], backend.heard) == (301, f"{WEB}/?x=1", [])
        await found.call("POST", WEB, b"x")
        assert backend.heard[0].line == "POST / HTTP/1.1"


async def test_a_redirect_comes_back_through_the_proxy() -> None:
    async with site() as found:
        await with_pod(found)
        await found.backend(POD, answering(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"))
        answer = await found.call("GET", f"{WEB}/private")
        assert (answer.status, answer.headers["location"]) == (302, f"{WEB}/login")


async def test_a_chunked_upload_and_an_answer_that_begins_meanwhile() -> None:
    async def echo(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        assert heard.headers["transfer-encoding"] == "chunked"
        while size := int(await reader.readline(), 16):
            writer.write((await reader.readexactly(size)).upper())
            await reader.readexactly(2)
        await writer.drain()

    async with site() as found:
        await with_pod(found)
        backend = await found.backend(POD, echo)
        reader, writer = await found.open("POST", f"{WEB}/echo", "Transfer-Encoding: chunked")
        async with asyncio.timeout(20):
            writer.write(b"5\r\nfirst\r\n")
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert b"FIRST" in await reader.readuntil(b"FIRST\r\n")
            writer.write(b"6\r\nsecond\r\n")
            assert b"SECOND" in await reader.readuntil(b"SECOND\r\n")
            writer.write(b"0\r\n\r\n")
            assert await reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
        await until(lambda: backend.open == 0 and lines_open(found) == 0)


async def test_large_bodies_go_through_whole() -> None:
    async with site() as found:
        await with_pod(found)
        await found.backend(POD, _mirror)
        body = bytes(range(256)) * 40_000  # more than the API itself takes
        assert (await found.call("PUT", f"{WEB}/big", body)).body == body


async def test_a_backend_that_has_heard_enough_is_still_heard() -> None:
    async def refuse(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await asyncio.sleep(0.2)

    async with site() as found:
        await with_pod(found)
        await found.backend(POD, refuse)
        answer = await found.call("PUT", f"{WEB}/big", b"x" * 20_000)
        assert (answer.status, answer.body) == (413, b"big")
        await until(lambda: lines_open(found) == 0)


async def test_an_answer_that_is_cut_off_does_not_look_whole() -> None:
    async with site() as found:
        await with_pod(found)
        await found.backend(POD, answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
        reader, _ = await found.open("GET", f"{WEB}/")
        with pytest.raises(asyncio.IncompleteReadError):
            await said(reader)
        await until(lambda: lines_open(found) == 0)


async def _silent(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_client_that_leaves_while_the_backend_thinks_leaves_nothing_behind() -> None:
    async with site() as found:
        await with_pod(found)
        backend = await found.backend(POD, _silent)
        _, writer = await found.open("POST", f"{WEB}/", "Content-Length: 5")
        writer.write(b"he")
        await until(lambda: backend.open == 1)
        writer.close()
        await until(lambda: backend.open == 0 and lines_open(found) == 0)


UNREACHABLE = {
    "refused": (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "dial tcp 10.1.0.7:8080: connect: connection refused"),
    "no answer in time": (TimeoutError(), "dial tcp 10.1.0.7:8080: i/o timeout"),
}


@pytest.mark.parametrize(("error", "text"), UNREACHABLE.values(), ids=UNREACHABLE.keys())
async def test_a_backend_that_cannot_be_reached(error: OSError, text: str) -> None:
    async with site() as found:
        await with_pod(found)
        found.backends.at[POD] = error
        status = (await found.call("GET", f"{WEB}/")).json()
        assert (status["code"], status["reason"]) == (503, "ServiceUnavailable")
        assert status["message"] == f"error trying to reach service: {text}"
        assert lines_open(found) == 0


async def test_a_backend_that_does_not_speak_http() -> None:
    async with site() as found:
        await with_pod(found)
        for raw in (b"", b"220 smtp\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"):
            await found.backend(POD, answering(raw))
            status = (await found.call("GET", f"{WEB}/")).json()
            assert (status["code"], status["message"].partition(":")[0]) == (503, "error trying to reach service")
        await until(lambda: lines_open(found) == 0)


WHERE: dict[str, tuple[str, tuple[str, str, bool]]] = {
    "the first port": ("web", ("10.1.0.7:8080", "", False)),
    "another port": ("web:81", ("10.1.0.7:81", "", False)),
    "https": ("https:web:8443", ("10.1.0.7:8443", "", True)),
    "https on the first port": ("https:web:", ("10.1.0.7:8080", "", True)),
    "no port at all": ("bare", ("10.1.0.8:80", "", False)),
    "no port at all, https": ("https:bare:", ("10.1.0.8:443", "", True)),
}


@pytest.mark.parametrize(("name", "asked"), WHERE.values(), ids=WHERE.keys())
async def test_where_a_pods_name_leads(name: str, asked: tuple[str, str, bool]) -> None:
    async with site() as found:
        await with_pod(found)
        await add_pod(found, "bare", address="10.1.0.8", port=0)
        await found.backend(asked[0], answering(ok()))
        assert (await found.call("GET", f"{PODS}/{name}/proxy/")).body == b"ok"
        assert found.backends.asked == [asked]


REFUSED_PODS = {
    "loopback": ("127.0.0.1", "web", 400, "address not allowed"),
    "link-local": ("169.254.169.254", "web", 400, "address not allowed"),
    "no address": ("", "web", 400, "address not allowed"),
    "loopback, another port": ("127.0.0.1", "web:6443", 400, "address not allowed"),
    "no port of this world": ("10.1.0.7", "web:99999", 400, 'invalid pod request "web:99999"'),
    "a port by name": ("10.1.0.7", "web:http", 400, 'invalid pod request "web:http"'),
    "a scheme of another world": ("10.1.0.7", "ftp:web:1", 400, 'invalid pod request "ftp:web:1"'),
    "no such pod": ("10.1.0.7", "none", 404, 'pods "none" not found'),
}


@pytest.mark.parametrize(("address", "name", "code", "message"), REFUSED_PODS.values(), ids=REFUSED_PODS.keys())
async def test_addresses_that_nobody_is_led_to(address: str, name: str, code: int, message: str) -> None:
    async with site() as found:
        await add_node(found)
        await add_pod(found, address=address)
        answer = await found.call("GET", f"{PODS}/{name}/proxy/")
        assert (answer.status, answer.json()["message"]) == (code, message)
        assert found.backends.asked == []


async def test_a_simulated_pod_says_that_it_is_one() -> None:
    async with site() as found:
        await add_node(found, runtime="wherry-simulated://1.0")
        await add_pod(found)
        answer = await found.call("GET", f"{WEB}/")
        assert (answer.status, 'pod "web" is simulated' in answer.json()["message"]) == (503, True)
        assert found.backends.asked == []


async def test_a_websocket_passes_through() -> None:
    async def chat(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data.upper())

    async with site() as found:
        await with_pod(found)
        backend = await found.backend(POD, chat)
        reader, writer = await found.open(
            "GET", f"{WEB}/chat?room=1", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k"
        )
        assert (await said(reader)).status == 101
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        (heard,) = backend.heard
        assert heard.line == "GET /chat?room=1 HTTP/1.1"
        assert (heard.headers["upgrade"], heard.headers["connection"], heard.headers["sec-websocket-key"]) == ("websocket", "Upgrade", "k")
        assert "authorization" not in heard.headers
        writer.close()
        await until(lambda: backend.open == 0 and lines_open(found) == 0)


# --- services ---------------------------------------------------------------------------------------------------------------


async def with_service(found: Site, *endpoints: Object) -> None:
    await with_pod(found)
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    await found.put(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": {"ports": ports}})
    await found.put(
        SLICES,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "shop-1", "labels": {"kubernetes.io/service-name": "shop"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": list(endpoints),
        },
    )


def endpoint(address: str = "10.1.0.7", pod: str = "web", *, ready: bool = True) -> Object:
    return {
        "addresses": [address],
        "conditions": {"ready": ready},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": pod},
    }


@pytest.mark.parametrize(("name", "tls"), [("shop:http", False), ("shop:80", False), ("https:shop:http", True), ("https:shop:80", True)])
async def test_a_service_leads_to_a_ready_endpoint(name: str, tls: bool) -> None:
    async with site() as found:
        await with_service(found, endpoint("10.1.0.9", "gone"), endpoint(ready=False), endpoint())
        await found.backend(POD, answering(ok()))
        assert (await found.call("GET", f"{SERVICES}/{name}/proxy/x")).body == b"ok"
        assert found.backends.asked == [(POD, "", tls)]


REFUSED_SERVICES = {
    "a port that it has not": ("shop:81", 503, 'no service port 81 found for service "shop"'),
    "a port name that it has not": ("shop:https", 503, 'no endpoints available for service "shop:https"'),
    "its only port has a name": ("shop", 503, 'no endpoints available for service "shop"'),
    "no such service": ("none", 404, 'services "none" not found'),
    "no such service, by port": ("none:80", 404, 'services "none" not found'),
    "a name no service can have": ("a,b", 404, 'services "a,b" not found'),
}


@pytest.mark.parametrize(("name", "code", "message"), REFUSED_SERVICES.values(), ids=REFUSED_SERVICES.keys())
async def test_a_service_that_leads_nowhere(name: str, code: int, message: str) -> None:
    async with site() as found:
        await with_service(found, endpoint())
        answer = await found.call("GET", f"{SERVICES}/{name}/proxy/")
        assert (answer.status, answer.json()["message"]) == (code, message)


@pytest.mark.parametrize("each", [endpoint(ready=False), endpoint("10.9.9.9"), endpoint(pod="gone"), {"addresses": ["10.9.9.9"]}])
async def test_an_endpoint_that_is_not_its_pods_address_is_not_led_to(each: Object) -> None:
    async with site() as found:
        await with_service(found, each)
        answer = await found.call("GET", f"{SERVICES}/shop:http/proxy/")
        assert (answer.status, answer.json()["message"]) == (503, 'no endpoints available for service "shop:http"')
        assert found.backends.asked == []


# --- nodes ------------------------------------------------------------------------------------------------------------------


def tls_context(pair: KeyPair, ca: bytes, directory: Path) -> ssl.SSLContext:
    file = directory / "pair.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    context.load_verify_locations(cadata=ca.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class Redirected(KubeletConnections):
    """The server's real connections, but every address leads to one local port."""

    def __init__(self, authority: Authority, port: int) -> None:
        super().__init__(authority, FrontProxy.load_or_create(authority.directory / "front-proxy", RealClock()))
        self.to = port

    async def open(self, host: str, port: int, node: str) -> Streams:
        return await super().open("127.0.0.1", self.to, node)


async def node_proxy(directory: Path, *, groups: list[str], address: str) -> tuple[int, str, list[Heard]]:
    """What a GET of a node's /stats/summary says, where the kubelet's certificate has these groups."""
    authority = Authority.load_or_create(directory / "pki", RealClock())
    pair = authority.issue("system:node:n1", groups, server_names=["n1"])
    heard: list[Heard] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = (await reader.readuntil(b"\r\n\r\n")).decode()
            heard.append(Heard(raw.split("\r\n")[0], {"host": raw.partition("Host: ")[2].split("\r\n")[0]}))
            writer.write(ok(b"summary"))
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    context = tls_context(pair, authority.certificate_pem, directory)
    async with site() as found, await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as kubelet:
        await add_node(found, address=address)
        found.built.server.kubelets = Redirected(authority, kubelet.sockets[0].getsockname()[1])
        answer = await found.call("GET", "/api/v1/nodes/n1/proxy/stats/summary")
        await until(lambda: lines_open(found) == 0)
        is_text = answer.headers["content-type"] == "text/plain"
        return answer.status, answer.body.decode() if is_text else answer.json()["message"], heard


@pytest.mark.parametrize("address", ["10.0.0.5", "127.0.0.1"])
async def test_a_nodes_kubelet_is_asked_by_the_nodes_name(tmp_path: Path, address: str) -> None:
    status, text, heard = await node_proxy(tmp_path, groups=["system:nodes"], address=address)
    assert (status, text) == (200, "summary")
    assert [(each.line, each.headers["host"]) for each in heard] == [("GET /stats/summary HTTP/1.1", "n1")]


async def test_somebody_elses_server_on_loopback_is_told_nothing(tmp_path: Path) -> None:
    assert await node_proxy(tmp_path, groups=["system:masters"], address="127.0.0.1") == (400, "address not allowed", [])


async def test_a_server_that_is_no_kubelet_is_told_nothing(tmp_path: Path) -> None:
    status, text, heard = await node_proxy(tmp_path, groups=[], address="10.0.0.5")
    assert (status, heard) == (503, [])
    assert text.endswith("the certificate of 10.0.0.5:10250 is not a node's (organization system:nodes)")


REFUSED_NODES = {
    "loopback, nobody there": ("127.0.0.1", "n1", 400, "address not allowed"),
    "loopback, another port": ("127.0.0.1", "n1:6443", 400, "address not allowed"),
    "a name for loopback": ("localhost", "n1", 400, "address not allowed"),
    "nobody there": ("10.0.0.5", "n1", 503, "error trying to reach service: dial tcp 10.0.0.5:10250: connect: connection refused"),
    "no such node": ("10.0.0.5", "n2", 404, 'nodes "n2" not found'),
    "a scheme of another world": ("10.0.0.5", "ftp:n1:1", 400, 'invalid node request "ftp:n1:1"'),
}


@pytest.mark.parametrize(("address", "name", "code", "message"), REFUSED_NODES.values(), ids=REFUSED_NODES.keys())
async def test_a_node_that_is_not_led_to(address: str, name: str, code: int, message: str) -> None:
    async with site() as found:
        await add_node(found, address=address)
        found.backends.at[f"{address}:10250"] = ConnectionRefusedError(errno.ECONNREFUSED, "x")
        answer = await found.call("GET", f"/api/v1/nodes/{name}/proxy/healthz")
        assert (answer.status, answer.json()["message"]) == (code, message)


async def test_another_port_of_a_node_is_no_kubelet() -> None:
    async with site() as found:
        await add_node(found)
        await found.backend("10.0.0.5:9100", answering(ok(b"metrics")))
        assert (await found.call("GET", "/api/v1/nodes/https:n1:9100/proxy/metrics")).body == b"metrics"
        assert found.backends.asked == [("10.0.0.5:9100", "", True)]
