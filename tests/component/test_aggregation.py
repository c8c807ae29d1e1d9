"""API aggregation: an extension API server behind an APIService, through a listening server."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from apiserver.front_proxy import CLIENT, FrontProxy, published
from apiserver.handlers.backends import Trust
from apiserver.identity import Authority
from apiserver.serving import KubeletConnections
from kube.clock import RealClock
from kube.objects import Object, condition_of
from tests.component.connecting import Heard, Said, Site, Streams, ok, read_body, site, until

WHERE = "10.1.1.1:8443"
GROUP = "/apis/ext.example.com"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
API_SERVICE = f"{API_SERVICES}/v1.ext.example.com"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
THINGS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "ext.example.com/v1",
    "resources": [
        {"name": "things", "singularName": "thing", "namespaced": True, "kind": "Thing", "verbs": ["get", "list"], "shortNames": ["th"]},
        {"name": "things/status", "singularName": "", "namespaced": True, "kind": "Thing", "verbs": ["get"]},
    ],
}
OPENAPI = {"paths": {"apis/ext.example.com/v1": {"serverRelativeURL": "/openapi/v3/apis/ext.example.com/v1?hash=ABC"}}}
AGGREGATED = "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def in_json(document: Any) -> bytes:
    return ok(orjson.dumps(document)).replace(b"text/plain", b"application/json")


class Extension:
    """An extension API server: what it answers by path; everything else is 404."""

    def __init__(self, answers: Mapping[str, bytes] | None = None) -> None:
        self.answers = {f"{GROUP}/v1": in_json(THINGS), "/openapi/v3": in_json(OPENAPI), **(answers or {})}
        self.heard: list[Heard] = []

    async def __call__(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(heard, reader)
        self.heard.append(heard)
        path = heard.line.split()[1].partition("?")[0]
        writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        await writer.drain()

    def last(self, path: str) -> Heard:
        return [each for each in self.heard if each.line.split()[1] == path][-1]


def api_service(**spec: Any) -> Object:
    reference = {"namespace": "default", "name": "svc", "port": 443}
    known = {"group": "ext.example.com", "version": "v1", "groupPriorityMinimum": 500, "versionPriority": 10, "service": reference}
    return {"metadata": {"name": "v1.ext.example.com"}, "spec": {**known, "insecureSkipTLSVerify": True, **spec}}


async def set_up(found: Site, extension: Extension | None = None, **spec: Any) -> Extension:
    """A Service without a selector, its endpoint, and the APIService; returns when that is available."""
    extension = extension or Extension()
    await found.backend(WHERE, extension)
    await found.put(SERVICES, {"metadata": {"name": "svc"}, "spec": {"ports": [{"port": 443}]}})
    labels = {"kubernetes.io/service-name": "svc"}
    endpoints = {"endpoints": [{"addresses": ["10.1.1.1"]}], "ports": [{"name": "", "port": 8443}]}
    await found.put(SLICES, {"metadata": {"name": "svc-1", "labels": labels}, "addressType": "IPv4", **endpoints})
    await found.put(API_SERVICES, api_service(**spec))
    await until_condition(found, "True", "Passed")
    return extension


async def until_condition(found: Site, status: str, reason: str) -> Object:
    async with asyncio.timeout(20):
        while True:
            condition = condition_of((await found.call("GET", API_SERVICE)).json(), "Available")
            if condition is not None and (condition["status"], condition["reason"]) == (status, reason):
                return condition
            await asyncio.sleep(0.01)


async def until_in_discovery(found: Site, freshness: str) -> Object:
    async with asyncio.timeout(20):
        while True:
            items = (await found.call("GET", "/apis", b"", AGGREGATED)).json()["items"]
            versions = [version for each in items if each["metadata"]["name"] == "ext.example.com" for version in each["versions"]]
            if versions and versions[0]["freshness"] == freshness:
                entry: Object = versions[0]
                return entry
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_requests_are_passed_on_with_their_bodies_and_who_asks(method: str) -> None:
    path = f"{GROUP}/v1/namespaces/default/things/a"
    async with site() as found:
        extension = await set_up(found, Extension({path: ok(b"it", "X-Extra: yes")}))
        forged = ("X-Remote-User: root", "X-Remote-Group: system:masters", "x-remote-extra-scopes: all")
        answer = await found.call(method, f"{path}?a=b", b"body" if method != "GET" else b"", "Accept: x/y", *forged)
        assert (answer.status, answer.body, answer.headers["x-extra"]) == (200, b"it", "yes")
        heard = extension.last(f"{path}?a=b")
        assert heard.line.split()[0] == method
        assert heard.body == (b"body" if method != "GET" else b"")
        told = {name: value for name, value in heard.headers.items() if name.startswith("x-remote-")}
        assert told == {"x-remote-user": "admin", "x-remote-group": "system:authenticated"}, "the last of the groups, and nothing forged"
        assert "authorization" not in heard.headers
        assert (heard.headers["accept"], heard.headers["host"], heard.headers["x-forwarded-host"]) == ("x/y", WHERE, WHERE)
        assert heard.headers["x-forwarded-uri"] == path


async def test_whoever_is_impersonated_asks_and_nothing_else_is_told() -> None:
    async with site() as found:
        extension = await set_up(found, Extension({f"{GROUP}/v1/things": ok(b"it")}))
        who = ("Impersonate-User: ann", "Impersonate-Group: system:masters", "Impersonate-Uid: 7")
        wanted = (*who, "Impersonate-Extra-acme.com%2fTeam: red")
        assert (await found.call("GET", f"{GROUP}/v1/things", b"", *wanted)).status == 200
        heard = extension.last(f"{GROUP}/v1/things").headers
        told = {name: value for name, value in heard.items() if name.startswith(("x-remote-", "impersonate-"))}
        extra = {"x-remote-extra-acme.com%2fteam": "red"}
        assert told == {"x-remote-user": "ann", "x-remote-group": "system:authenticated", "x-remote-uid": "7", **extra}


async def test_an_answer_that_streams_is_passed_on_as_it_comes() -> None:
    more = asyncio.Event()

    class Watch(Extension):
        async def __call__(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if "watch=1" not in heard.line:
                return await super().__call__(heard, reader, writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await writer.drain()
            await more.wait()
            writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
            await writer.drain()

    async with site() as found:
        await set_up(found, Watch())
        reader, _ = await found.open("GET", f"{GROUP}/v1/things?watch=1", "Connection: close")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        assert await reader.readuntil(b"first\r\n") == b"5\r\nfirst\r\n"
        more.set()
        assert b"second" in await reader.readuntil(b"0\r\n\r\n")


async def test_an_upgrade_is_passed_through_and_says_who_asks() -> None:
    class Upgrades(Extension):
        async def __call__(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if "upgrade" not in heard.headers:
                return await super().__call__(heard, reader, writer)
            self.heard.append(heard)
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            writer.write(await reader.readexactly(4))
            await writer.drain()

    async with site() as found:
        extension = await set_up(found, Upgrades())
        reader, writer = await found.open("GET", f"{GROUP}/v1/things/a/shell", "Connection: Upgrade", "Upgrade: echo")
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        assert extension.heard[-1].headers["x-remote-user"] == "admin"


async def test_a_redirect_is_not_passed_on() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example.com/\r\nContent-Length: 0\r\n\r\n"
    async with site() as found:
        await set_up(found, Extension({f"{GROUP}/v1/things": moved}))
        answer = await found.call("GET", f"{GROUP}/v1/things")
        assert (answer.status, answer.body) == (502, b"the backend attempted to redirect this request, which is not permitted\n")


async def test_a_server_that_has_gone_is_unavailable_and_stale_until_it_is_back() -> None:
    async with site() as found:
        extension = await set_up(found)
        await until_in_discovery(found, "Current")
        backend = found.backends.at[WHERE]
        found.backends.at[WHERE] = ConnectionRefusedError(111, "refused")
        answer = await found.call("GET", f"{GROUP}/v1/things")
        text = f"error trying to reach service: dial tcp {WHERE}: connect: connection refused\n".encode()
        assert (answer.status, answer.body, answer.headers["content-type"]) == (503, text, "text/plain; charset=utf-8")
        await touch(found, "1")
        condition = await until_condition(found, "False", "FailedDiscoveryCheck")
        url = f"https://{WHERE}{GROUP}/v1"
        why = f"dial tcp {WHERE}: connect: connection refused"
        assert condition["message"] == f'failing or missing response from {url}: Get "{url}": {why}'
        assert (await found.call("GET", f"{GROUP}/v1/things")).body == b"service unavailable\n"
        assert "resources" not in await until_in_discovery(found, "Stale")
        found.backends.at[WHERE] = backend
        await until_condition(found, "True", "Passed")
        await until_in_discovery(found, "Current")
        assert extension.heard


async def touch(found: Site, value: str) -> None:
    """Have the APIService looked at now, and not in half a minute."""
    body = orjson.dumps({"metadata": {"annotations": {"touched": value}}})
    assert (await found.call("PATCH", API_SERVICE, body, "Content-Type: application/merge-patch+json")).status == 200


async def test_a_server_that_answers_with_an_error_fails_its_check() -> None:
    async with site() as found:
        extension = await set_up(found)
        extension.answers[f"{GROUP}/v1"] = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
        await touch(found, "1")
        condition = await until_condition(found, "False", "FailedDiscoveryCheck")
        url = f"https://{WHERE}{GROUP}/v1"
        assert condition["message"] == f"failing or missing response from {url}: bad status from {url}: 500"


async def test_the_group_is_in_discovery_until_its_api_service_is_removed() -> None:
    async with site() as found:
        extension = await set_up(found)
        entry = await until_in_discovery(found, "Current")
        nothing = {"group": "", "version": "", "kind": "Thing"}
        assert entry["resources"] == [
            {
                "resource": "things",
                "responseKind": nothing,
                "scope": "Namespaced",
                "singularResource": "thing",
                "verbs": ["get", "list"],
                "shortNames": ["th"],
                "subresources": [{"subresource": "status", "responseKind": nothing, "verbs": ["get"]}],
            }
        ]
        assert extension.last(f"{GROUP}/v1").headers["x-remote-user"] == "system:kube-aggregator"
        groups = (await found.call("GET", "/apis")).json()["groups"]
        version = {"groupVersion": "ext.example.com/v1", "version": "v1"}
        assert groups[-1] == {"name": "ext.example.com", "versions": [version], "preferredVersion": version}
        assert (await found.call("GET", GROUP)).json()["name"] == "ext.example.com"
        assert (await found.call("GET", f"{GROUP}/v1")).json() == THINGS
        assert (await found.call("DELETE", API_SERVICE)).status == 200
        await until(lambda: not found.built.server.extra["extensions"].by_name)
        assert (await found.call("GET", GROUP)).status == 404


async def test_aggregated_discovery_is_taken_where_the_server_has_it() -> None:
    resource = {"resource": "things", "scope": "Cluster", "verbs": ["list"]}
    items = [{"metadata": {"name": "ext.example.com"}, "versions": [{"version": "v1", "resources": [resource], "freshness": "Current"}]}]
    document = in_json({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items})
    form = b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    async with site() as found:
        await set_up(found, Extension({"/apis": document.replace(b"application/json", form)}))
        entry = await until_in_discovery(found, "Current")
        assert entry["resources"] == [{**resource, "responseKind": {"group": "", "version": "", "kind": ""}}]


async def test_its_openapi_is_in_the_index_and_asked_of_it() -> None:
    path = "/openapi/v3/apis/ext.example.com/v1"
    async with site() as found:
        extension = await set_up(found, Extension({path: in_json({"openapi": "3.0.0"})}))
        await until_in_discovery(found, "Current")
        paths = (await found.call("GET", "/openapi/v3")).json()["paths"]
        assert paths["apis/ext.example.com/v1"] == OPENAPI["paths"]["apis/ext.example.com/v1"]
        assert "apis/apps/v1" in paths
        assert (await found.call("GET", f"{path}?hash=ABC")).json() == {"openapi": "3.0.0"}
        assert extension.last(f"{path}?hash=ABC")


async def test_an_external_name_is_dialled_at_the_port_of_the_reference() -> None:
    async with site() as found:
        await found.backend("ext.test:8443", Extension())
        await found.put(SERVICES, {"metadata": {"name": "svc"}, "spec": {"type": "ExternalName", "externalName": "ext.test"}})
        reference = {"namespace": "default", "name": "svc", "port": 8443}
        await found.put(API_SERVICES, api_service(service=reference))
        await until_condition(found, "True", "Passed")
        assert (await found.call("GET", f"{GROUP}/v1")).json() == THINGS


# --- TLS --------------------------------------------------------------------------------------------------------------------


class Redirected(KubeletConnections):
    """The server's real connections, but every extension server is at one local port."""

    def __init__(self, directory: Path, port: int) -> None:
        clock = RealClock()
        self.proxy = FrontProxy.load_or_create(directory / "front-proxy", clock)
        super().__init__(Authority.load_or_create(directory / "pki", clock), self.proxy)
        self.to = port

    async def extension(self, host: str, port: int, trust: Trust) -> Streams:
        return await super().extension("127.0.0.1", self.to, trust)


async def over_tls(directory: Path, *, server_name: str, bundle: str = "own", **spec: Any) -> tuple[Object, list[str], Said]:
    """The condition of an APIService whose server has a certificate for `server_name`, the names of the client certificates that it
    saw, and the answer to one request."""
    clock = RealClock()
    extension, other = (Authority.load_or_create(directory / name, clock) for name in ("extension", "other"))
    extension.kept("server", "server", server_names=[server_name], client=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(extension.directory / "server.crt", extension.directory / "server.key")
    seen: list[str] = []
    answers = Extension()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            subject = (writer.get_extra_info("peercert") or {}).get("subject") or ()
            seen.extend(value for part in subject for key, value in part if key == "commonName")
            first = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[0]
            await answers(Heard(first, {}), reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async with site() as found, await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        connections = found.built.server.kubelets = Redirected(directory, server.sockets[0].getsockname()[1])
        context.load_verify_locations(cadata=connections.proxy.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        ca = {"own": extension, "other": other}[bundle].certificate_pem
        trusted = {"caBundle": base64.b64encode(ca).decode(), "insecureSkipTLSVerify": False}
        await found.put(SERVICES, {"metadata": {"name": "svc"}, "spec": {"type": "ExternalName", "externalName": "ext.test"}})
        await found.put(API_SERVICES, api_service(**{**trusted, **spec}))
        async with asyncio.timeout(20):
            while (condition := condition_of((await found.call("GET", API_SERVICE)).json(), "Available")) is None:
                await asyncio.sleep(0.01)
        return condition, seen, await found.call("GET", f"{GROUP}/v1")


async def test_the_front_proxys_certificate_is_shown_to_a_server_that_is_who_it_should_be(tmp_path: Path) -> None:
    condition, seen, answer = await over_tls(tmp_path, server_name="svc.default.svc")
    assert (condition["status"], condition["reason"]) == ("True", "Passed")
    assert set(seen) == {CLIENT}
    assert answer.json() == THINGS


@pytest.mark.parametrize(
    ("server_name", "bundle", "why"),
    [("svc.default.svc", "other", "x509: certificate signed by unknown authority"), ("elsewhere.default.svc", "own", "svc.default.svc")],
    ids=["a certificate of another CA", "a certificate for another name"],
)
async def test_a_server_that_is_not_who_it_should_be_is_not_asked(tmp_path: Path, server_name: str, bundle: str, why: str) -> None:
    condition, seen, answer = await over_tls(tmp_path, server_name=server_name, bundle=bundle)
    assert condition["reason"] == "FailedDiscoveryCheck"
    assert "tls: failed to verify certificate" in condition["message"]
    assert why in condition["message"]
    assert seen == []
    assert (answer.status, answer.body) == (503, b"service unavailable\n")


async def test_a_server_that_is_trusted_blindly_may_be_anybody(tmp_path: Path) -> None:
    blind: dict[str, Any] = {"caBundle": None, "insecureSkipTLSVerify": True}
    condition, seen, _ = await over_tls(tmp_path, server_name="elsewhere", **blind)
    assert condition["reason"] == "Passed"
    assert set(seen) == {CLIENT}


def test_extension_servers_are_told_whom_to_trust() -> None:
    assert published("PEM") == {
        "requestheader-allowed-names": '["front-proxy-client"]',
        "requestheader-client-ca-file": "PEM",
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-username-headers": '["X-Remote-User"]',
    }
