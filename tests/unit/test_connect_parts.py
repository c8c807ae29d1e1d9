"""The pure parts of what goes through the server: options, addresses, paths, headers, HTTP answers."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.handlers import backends, pod_log, proxy, proxy_target
from apiserver.handlers.http_exchange import BadAnswer, Body, Head, parse_head, read_head, request_head
from apiserver.handlers.pod_options import command_query, container_of, log_options, port_query
from apiserver.settings import NODE_ADDRESS_TYPES
from kube.errors import ApiError, BadRequest, Invalid
from kube.objects import Object


def pod(*names: str, init: tuple[str, ...] = (), ephemeral: tuple[str, ...] = ()) -> Object:
    groups = {"containers": names, "initContainers": init, "ephemeralContainers": ephemeral}
    return {"metadata": {"name": "web"}, "spec": {key: [{"name": each} for each in group] for key, group in groups.items()}}


# --- options ------------------------------------------------------------------------------------------------------------

CHOICES: dict[str, tuple[Object, str, str]] = {
    "the only container needs no name": (pod("c"), "", "c"),
    "the only main container, beside init containers": (pod("c", init=("i",)), "", "c"),
    "an init container by name": (pod("c", init=("i",)), "i", "i"),
    "an ephemeral container by name": (pod("c", ephemeral=("e",)), "e", "e"),
}
REFUSED_CHOICES: dict[str, tuple[Object, str, str]] = {
    "several": (pod("a", "b"), "", "a container name must be specified for pod web, choose one of: [a b]"),
    "several, init containers named first and ephemeral ones last": (
        pod("a", "b", init=("i",), ephemeral=("e",)),
        "",
        "a container name must be specified for pod web, choose one of: [i a b e]",
    ),
    "one that is not there": (pod("a"), "x", "container x is not valid for pod web"),
}


@pytest.mark.parametrize(("of", "asked", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_the_container_that_is_meant(of: Object, asked: str, expected: str) -> None:
    assert container_of(of, asked) == expected


@pytest.mark.parametrize(("of", "asked", "message"), REFUSED_CHOICES.values(), ids=REFUSED_CHOICES.keys())
def test_a_container_that_cannot_be_meant(of: Object, asked: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        container_of(of, asked)
    assert caught.value.message == message


def query(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in filter(None, text.split("&")):
        key, _, value = part.partition("=")
        found.setdefault(key, []).append(value)
    return found


LOG_QUERIES = {
    "nothing": ("", ""),
    "the container is in the path": ("container=c", ""),
    "false is not passed on": ("follow=false&previous=0&timestamps=False", ""),
    "an empty flag is true": ("follow=&tailLines=0", "?follow=true&tailLines=0"),
    "everything, in upstream's order": (
        "tailLines=3&follow=1&limitBytes=9&sinceSeconds=4&timestamps=true&previous=yes",
        "?follow=true&limitBytes=9&previous=true&sinceSeconds=4&tailLines=3&timestamps=true",
    ),
    "a time": ("sinceTime=2026-01-01T00:00:00%2B01:00".replace("%2B", "+"), "?sinceTime=2025-12-31T23%3A00%3A00Z"),
    "what nobody knows": ("color=blue", ""),
}


@pytest.mark.parametrize(("asked", "passed_on"), LOG_QUERIES.values(), ids=LOG_QUERIES.keys())
def test_what_the_kubelet_is_asked_for_a_log(asked: str, passed_on: str) -> None:
    assert log_options(query(asked), "web").query() == passed_on


LOG_PROBLEMS = {
    "negative tail": ("tailLines=-1", ["tailLines: Invalid value: -1: must be greater than or equal to 0"]),
    "no bytes": ("limitBytes=0", ["limitBytes: Invalid value: 0: must be greater than 0"]),
    "no seconds": ("sinceSeconds=0", ["sinceSeconds: Invalid value: 0: must be greater than 0"]),
    "two beginnings": (
        "sinceSeconds=0&sinceTime=2026-01-01T00:00:00Z",
        ["[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"],
    ),
    "a stream": ("stream=Stdout", ["stream: Forbidden: may not be specified"]),
    "several at once": (
        "limitBytes=-2&tailLines=-1&stream=x",
        [
            "tailLines: Invalid value: -1: must be greater than or equal to 0",
            "limitBytes: Invalid value: -2: must be greater than 0",
            "stream: Forbidden: may not be specified",
        ],
    ),
}


@pytest.mark.parametrize(("asked", "texts"), LOG_PROBLEMS.values(), ids=LOG_PROBLEMS.keys())
def test_log_options_that_are_not_allowed(asked: str, texts: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        log_options(query(asked), "web")
    status = caught.value.status
    assert [f"{each['field']}: {each['message']}" for each in status["details"]["causes"]] == texts
    assert (status["details"]["kind"], status["details"]["name"]) == ("PodLogOptions", "web")


UNREADABLE = {
    "a word for a number": ("tailLines=few", 'strconv.ParseInt: parsing "few": invalid syntax'),
    "nothing for a number": ("limitBytes=", 'strconv.ParseInt: parsing "": invalid syntax'),
    "too large a number": ("tailLines=9223372036854775808", 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
    "no time": ("sinceTime=now", 'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"'),
}


@pytest.mark.parametrize(("asked", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_log_options_that_cannot_be_read(asked: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        log_options(query(asked), "web")
    assert caught.value.message == message


def test_what_the_kubelet_is_asked_for_a_command() -> None:
    asked = query("command=ls&command=-l&stdin=true&stdout=1&stderr=false&tty=0&container=c")
    assert command_query(asked, with_command=True) == "?command=ls&command=-l&input=1&output=1"
    assert command_query(asked, with_command=False) == "?input=1&output=1"
    assert command_query({}, with_command=True) == ""


def test_ports_are_read_from_one_or_many_values() -> None:
    assert port_query(query("ports=80,443&ports=8080")) == "?port=80%2C443%2C8080"
    assert port_query({}) == ""
    with pytest.raises(BadRequest, match="invalid syntax"):
        port_query(query("ports=http"))
    with pytest.raises(BadRequest, match="value out of range"):
        port_query(query("ports=65536"))


# --- addresses ----------------------------------------------------------------------------------------------------------

PROXYABLE = {"10.0.0.1": True, "8.8.8.8": True, "fd00::1": True, "100.64.0.1": True}
PROXYABLE |= dict.fromkeys(("127.0.0.1", "127.8.8.8", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1"), False)
PROXYABLE |= dict.fromkeys(("255.255.255.255", "::ffff:127.0.0.1", "::ffff:169.254.1.1", "", "localhost", "10.0.0.1:80"), False)


@pytest.mark.parametrize(("address", "expected"), PROXYABLE.items(), ids=PROXYABLE.keys())
def test_addresses_that_may_be_proxied_to(address: str, expected: bool) -> None:
    assert backends.is_proxyable(address) is expected


async def test_a_name_for_a_loopback_address_is_seen_through() -> None:
    assert await backends.proxyable_addresses("localhost") == []
    assert await backends.proxyable_addresses("10.1.2.3") == ["10.1.2.3"]


def node(addresses: list[tuple[str, str]], port: int = 0) -> Object:
    status = {"addresses": [{"type": kind, "address": address} for kind, address in addresses]}
    return {"metadata": {"name": "n"}, "status": status | ({"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}} if port else {})}


def test_where_a_nodes_kubelet_listens() -> None:
    both = [("Hostname", "n"), ("InternalIP", "10.0.0.5")]
    assert backends.kubelet_in(node(both, 4711), ["InternalIP", "Hostname"]).authority == "10.0.0.5:4711"
    assert backends.kubelet_in(node(both), NODE_ADDRESS_TYPES).authority == "n:10250"
    assert backends.kubelet_in(node([("InternalIP", "fd00::5")]), NODE_ADDRESS_TYPES).authority == "[fd00::5]:10250"
    with pytest.raises(ApiError) as caught:
        backends.kubelet_in(node([("Moon", "far")]), NODE_ADDRESS_TYPES)
    assert caught.value.status["message"] == "no preferred addresses found; known addresses: [{Moon far}]"
    assert (caught.value.status["code"], "reason" in caught.value.status) == (500, False)


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "certificate has expired"
    return error


DIALS: dict[str, tuple[BaseException, str]] = {
    "refused": (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "dial tcp 10.0.0.5:80: connect: connection refused"),
    "no route": (OSError(errno.EHOSTUNREACH, "x"), "dial tcp 10.0.0.5:80: connect: no route to host"),
    "no network": (OSError(errno.ENETUNREACH, "x"), "dial tcp 10.0.0.5:80: connect: network is unreachable"),
    "ours took too long": (TimeoutError(), "dial tcp 10.0.0.5:80: i/o timeout"),
    "the kernel's took too long": (TimeoutError(errno.ETIMEDOUT, "x"), "dial tcp 10.0.0.5:80: connect: connection timed out"),
    "no such name": (socket.gaierror(-2, "x"), "dial tcp: lookup 10.0.0.5: no such host"),
    "reset": (ConnectionResetError(), "EOF"),
    "another CA": (verification(19), "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
    "expired": (verification(10), "tls: failed to verify certificate: x509: certificate has expired"),
}


@pytest.mark.parametrize(("error", "text"), DIALS.values(), ids=DIALS.keys())
def test_failed_connections_are_worded_as_in_go(error: BaseException, text: str) -> None:
    assert backends.dial_words("10.0.0.5", 80, error) == text


NAMES = {
    "web": ("", "web", ""),
    "web:80": ("", "web", "80"),
    "web:http": ("", "web", "http"),
    "https:web:443": ("https", "web", "443"),
    ":web:": ("", "web", ""),
    "https:web:": ("https", "web", ""),
}


@pytest.mark.parametrize(("text", "parts"), NAMES.items(), ids=NAMES.keys())
def test_scheme_name_and_port(text: str, parts: tuple[str, str, str]) -> None:
    assert proxy_target.split("pod", text) == parts


@pytest.mark.parametrize("text", ["ftp:web:80", "https::80", ":80", "a:b:c:d", ""])
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(BadRequest, match=f'invalid service request "{text}"'):
        proxy_target.split("service", text)


def slice_of(*endpoints: Object, ports: list[Object] | None = None) -> Object:
    return {"metadata": {"namespace": "ns"}, "ports": ports or [{"name": "http", "port": 8080}], "endpoints": list(endpoints)}


def endpoint(address: str, **rest: Any) -> Object:
    return {"addresses": [address], "targetRef": {"kind": "Pod", "namespace": "ns", "name": f"p-{address}"}, **rest}


def test_only_ready_endpoints_that_are_pods_of_the_namespace_count() -> None:
    slices = [
        slice_of(endpoint("1"), endpoint("2", conditions={"ready": False}), endpoint("3", conditions={"ready": True})),
        slice_of(endpoint("4", targetRef=None), endpoint("5", targetRef={"kind": "Pod", "namespace": "other", "name": "x"})),
        slice_of(endpoint("6"), ports=[{"port": 80}]),
    ]
    assert proxy_target.ready_endpoints(slices, "http") == [("p-1", "1", 8080), ("p-3", "3", 8080)]
    assert proxy_target.ready_endpoints(slices, "") == [("p-6", "6", 80)]
    assert proxy_target.ready_endpoints(slices, "https") == []


# --- paths and headers ------------------------------------------------------------------------------------------------------

BASE = "/api/v1/namespaces/d/pods/p/proxy"
PATHS = {
    "the proxy itself": ("", "", ""),
    "its root": ("/", "", "/"),
    "below": ("/a/b", "a/b", "/a/b"),
    "with a slash at the end": ("/a/b/", "a/b", "/a/b/"),
    "up, but not out": ("/a/../../../b", "a/../../../b", "/b"),
    "double slashes": ("//a//b", "/a//b", "/a/b"),
}


@pytest.mark.parametrize(("below", "rest", "expected"), PATHS.values(), ids=PATHS.keys())
def test_the_path_that_the_backend_is_asked_for(below: str, rest: str, expected: str) -> None:
    assert proxy.subpath(BASE + below, rest) == expected
    assert proxy.prefix(BASE + below, rest) == BASE


LOCATIONS = {
    "a path": ("/login?x=1", f"{BASE}/login?x=1"),
    "a path with a slash": ("/login/", f"{BASE}/login/"),
    "the backend's own address": ("http://10.0.0.1:80/login", f"{BASE}/login"),
    "the host that the client knows": ("http://localhost:8001/login", f"http://localhost:8001{BASE}/login"),
    "through the proxy already": (f"{BASE}/login", f"{BASE}/login"),
    "relative": ("login", "login"),
    "elsewhere": ("https://example.com/login", "https://example.com/login"),
    "nonsense": ("http://[", "http://["),
}


@pytest.mark.parametrize(("location", "expected"), LOCATIONS.values(), ids=LOCATIONS.keys())
def test_a_location_leads_back_through_the_proxy(location: str, expected: str) -> None:
    assert proxy.relocated(location, "10.0.0.1:80", "localhost:8001", BASE) == expected


def test_what_belongs_to_the_connection_stays_there() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: d\r\n"
        b"Access-Control-Allow-Origin: *\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n"
        b"Location: /x\r\n\r\n"
    )
    target = proxy_target.Target("10.0.0.1:80", connect=lambda: asyncio.sleep(0))  # type: ignore[arg-type, return-value]
    found = proxy.answer_headers(parse_head(raw), target, client_host="", within="/p")
    assert found == [("set-cookie", "a"), ("set-cookie", "b"), ("location", "/p/x")]


def test_a_request_head_is_one_head() -> None:
    assert request_head("GET", "/a", [(b"Host", b"n")]) == b"GET /a HTTP/1.1\r\nHost: n\r\n\r\n"
    for target, value in (("/a\r\nX: 1", b"n"), ("/a", b"n\nX: 1"), ("/a", b"\0")):
        with pytest.raises(ValueError):
            request_head("GET", target, [(b"Host", value)])


# --- answers ----------------------------------------------------------------------------------------------------------------


class FakeLine:
    """As much of a Line as reading needs."""

    def __init__(self, data: bytes, *, limit: int = 1 << 16) -> None:
        self.reader = asyncio.StreamReader(limit=limit)
        self.reader.feed_data(data)
        self.reader.feed_eof()
        self.closed = False

    def close(self) -> None:
        self.closed = True


OK = b"HTTP/1.1 200 OK\r\n"
BODIES = {
    "by length": (OK + b"Content-Length: 5\r\n\r\nhellomore", b"hello"),
    "to the end": (OK + b"\r\nhello", b"hello"),
    "in chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n", b"hello"),
    "none by its status": (b"HTTP/1.1 204 No Content\r\n\r\nx", b""),
    "after an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", b"ok"),
    "larger than what is buffered": (OK + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000, b"x" * 300_000),
}


async def read(data: bytes, method: str = "GET", **rest: Any) -> tuple[FakeLine, bytes]:
    line: Any = FakeLine(data)
    body = Body(line, await read_head(line, timeout_s=5), method, **rest)
    return line, b"".join([piece async for piece in body])


@pytest.mark.parametrize(("data", "expected"), BODIES.values(), ids=BODIES.keys())
async def test_bodies(data: bytes, expected: bytes) -> None:
    line, found = await read(data)
    assert found == expected
    assert line.closed


async def test_an_answer_to_head_has_no_body() -> None:
    assert (await read(OK + b"Content-Length: 5\r\n\r\n", "HEAD"))[1] == b""


BROKEN_BODIES = {
    "short of its length": b"Content-Length: 5\r\n\r\nhe",
    "a chunk cut off": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a chunk that does not end": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    "an encoding nobody knows": b"Transfer-Encoding: gzip\r\n\r\nx",
    "a length that is no number": b"Content-Length: -1\r\n\r\nx",
}


@pytest.mark.parametrize("data", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
async def test_a_body_that_is_cut_off_is_no_whole_one(data: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        await read(OK + data)
    line, _ = await read(OK + data, lenient=True)  # but the end of a log all the same
    assert line.closed


BROKEN_HEADS = {
    "nothing": (b"", "EOF"),
    "half of it": (b"HTTP/1.1 200", "unexpected EOF"),
    "another protocol": (b"220 smtp ready\r\n\r\n", "malformed HTTP response"),
    "no colon": (OK + b"what\r\n\r\n", "malformed MIME header"),
    "a line break in a value": (OK + b"A: b\nC: d\r\n\r\n", "malformed MIME header"),
    "a name with a blank": (OK + b"A b: c\r\n\r\n", "malformed MIME header"),
    "one without end": (OK + b"A: " + b"x" * 100_000, "exceeded the limit"),
    "nothing but interim answers": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20, "too many 1xx"),
}


@pytest.mark.parametrize(("data", "text"), BROKEN_HEADS.values(), ids=BROKEN_HEADS.keys())
async def test_a_head_that_is_none(data: bytes, text: str) -> None:
    line: Any = FakeLine(data)
    with pytest.raises(BadAnswer, match=text):
        await read_head(line, timeout_s=5)


REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "400 is the kubelet's text": (400, {"message": "text", "reason": "BadRequest", "code": 400}),
    "404 hides it": (
        404,
        {
            "message": "the server could not find the requested resource ( pods/log web)",
            "reason": "NotFound",
            "details": {"name": "web", "kind": "pods/log"},
            "code": 404,
        },
    ),
    "500 wraps it": (
        500,
        {
            "message": "Internal error occurred: text",
            "reason": "InternalError",
            "details": {"causes": [{"message": "text"}]},
            "code": 500,
        },
    ),
    "502 quotes it": (
        502,
        {
            "message": 'an error on the server ("text") has prevented the request from succeeding ( pods/log web)',
            "reason": "InternalError",
            "details": {"name": "web", "kind": "pods/log"},
            "code": 502,
        },
    ),
}


@pytest.mark.parametrize(("code", "expected"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_kubelets_refusal_of_a_log(code: int, expected: dict[str, Any]) -> None:
    status = pod_log.refusal(code, "text", "web").status
    assert status == {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", **expected}


# --- lines ------------------------------------------------------------------------------------------------------------------


async def test_lines_are_counted_and_closed_once() -> None:
    aborted = []
    transport = SimpleNamespace(abort=lambda: aborted.append(1))
    writer: Any = SimpleNamespace(transport=transport, get_extra_info=lambda name: None)
    gate = backends.Gate()
    gate.enter()
    line = backends.Line((asyncio.StreamReader(), writer), gate)
    line.close()
    line.close()
    assert (gate.open, aborted) == (0, [1])
    gate.open = backends.LINES_MAX
    with pytest.raises(ApiError) as caught:
        gate.enter()
    assert caught.value.http_code == 429


def test_a_head_knows_its_headers() -> None:
    head = Head(200, (("a", "1"), ("a", "2")), b"")
    assert (head.get("a"), head.get("b")) == ("1, 2", "")
