"""What the API server does with requests that are wrong in every way, over a raw HTTPS connection: the answer says what is wrong and where,
nothing is stored, and the server lives.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.system.client import Answer, Api
from tests.system.running import Up, wait_until

NAMESPACE = "bad-input"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
KEPT = f"{CONFIG_MAPS}/kept"
STRICT = "?fieldValidation=Strict"
UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY, YAML = "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/yaml"


def config_map(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, **fields}


def deployment(**fields: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "nginx", "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": {"app": "bad"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"app": "bad"}}, "template": template, **fields}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "bad"}, "spec": spec}


def pod(**container: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "nginx", **container}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"}, "spec": {"containers": containers}}


def raw(data: str) -> bytes:
    """A ConfigMap whose `data` is this text."""
    return b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad"},"data":' + data.encode() + b"}"


def nested(opening: str, closing: str, depth: int) -> bytes:
    return raw(opening * depth + "1" + closing * depth)


ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

BODIES = [
    (
        "that is cut off",
        CONFIG_MAPS,
        b'{"kind": ',
        400,
        UNRECOGNIZED + "couldn't get version/kind; json parse error: unexpected end of JSON input",
    ),
    ("that is empty", CONFIG_MAPS, b"", 400, "unexpected end of JSON input (<empty>)"),
    ("that is not JSON", CONFIG_MAPS, b"hello", 400, "invalid character 'h' looking for beginning of value"),
    ("that is a list", CONFIG_MAPS, b"[]", 400, "json: cannot unmarshal array into Go value"),
    ("that is a number", CONFIG_MAPS, b"7", 400, "json: cannot unmarshal number into Go value"),
    ("that is an empty object", CONFIG_MAPS, b"{}", 422, "metadata.name: Required value: name or generateName is required"),
    (
        "that is not UTF-8",
        CONFIG_MAPS,
        raw("{}").replace(b"bad", b"bad-\xff"),
        422,
        'metadata.name: Invalid value: "bad-\ufffd": a lowercase RFC 1123',
    ),
    ("of four megabytes", CONFIG_MAPS, raw(json.dumps({"a": "x" * (4 << 20)})), 413, "Request entity too large: limit is 3145728"),
    (
        "of more than an object may be",
        CONFIG_MAPS,
        config_map(data={"a": "x" * (2 << 20)}),
        422,
        "Too long: may not be more than 1048576 bytes",
    ),
    ("of 100,000 nested lists", CONFIG_MAPS, nested("[", "]", 100_000), 400, "exceeded max depth"),
    ("of 100,000 nested objects", CONFIG_MAPS, nested('{"a":', "}", 100_000), 400, "exceeded max depth"),
    ("of a wrong kind", CONFIG_MAPS, config_map(kind="Pod"), 400, 'Pod in version "v1" cannot be handled as a ConfigMap'),
    ("of an unknown kind", CONFIG_MAPS, config_map(kind="Nonsense"), 400, 'no kind "Nonsense" is registered for version "v1"'),
    ("of a wrong version", CONFIG_MAPS, config_map(apiVersion="apps/v1"), 400, 'no kind "ConfigMap" is registered for version "apps/v1"'),
    (
        "with a bad name",
        CONFIG_MAPS,
        config_map(metadata={"name": "Bad_Name"}),
        422,
        'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123',
    ),
    (
        "for another namespace",
        CONFIG_MAPS,
        config_map(metadata={"name": "bad", "namespace": "other"}),
        400,
        "the namespace of the provided object",
    ),
    ("with an unknown field", DEPLOYMENTS + STRICT, deployment(replicaz=3), 400, 'strict decoding error: unknown field "spec.replicaz"'),
    (
        "with two unknown fields",
        PODS + STRICT,
        pod(imag="x", nam="y"),
        400,
        'unknown field "spec.containers[0].imag", unknown field "spec.containers[0].nam"',
    ),
    ("with a field twice", CONFIG_MAPS + STRICT, raw('{"a":"1","a":"2"}'), 400, 'strict decoding error: duplicate field "data.a"'),
    (
        "with text for a number",
        DEPLOYMENTS,
        deployment(replicas="3"),
        400,
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    ),
    ("with a fraction for a number", DEPLOYMENTS, deployment(replicas=1.5), 400, "DeploymentSpec.spec.replicas of type int32"),
    ("with too large a number", DEPLOYMENTS, deployment(replicas=1 << 40), 400, "DeploymentSpec.spec.replicas of type int32"),
    (
        "with a negative number",
        DEPLOYMENTS,
        deployment(replicas=-1),
        422,
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (
        "whose selector selects nothing",
        DEPLOYMENTS,
        deployment(selector={"matchLabels": {"x": "y"}}),
        422,
        "spec.template.metadata.labels: Invalid value",
    ),
    ("with a bad quantity", PODS, pod(resources={"limits": {"cpu": "lots"}}), 400, "quantities must match the regular expression"),
    (
        "with a bad port",
        PODS,
        pod(ports=[{"containerPort": 70000}]),
        422,
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535",
    ),
    ("without an image", PODS, pod(image=""), 422, "spec.containers[0].image: Required value"),
    ("for a namespace that is not there", CONFIG_MAPS.replace(NAMESPACE, "nowhere"), config_map(), 404, 'namespaces "nowhere" not found'),
    (
        "with a bad fieldValidation",
        CONFIG_MAPS + "?fieldValidation=Maybe",
        config_map(),
        422,
        'fieldValidation: Unsupported value: "Maybe"',
    ),
    ("with a bad dryRun", CONFIG_MAPS + "?dryRun=Some", config_map(), 422, 'dryRun: Unsupported value: ["Some"]'),
]

REQUESTS = [
    ("YAML nested too deep", "POST", CONFIG_MAPS, YAML, b"{a: " * 20_000 + b"1" + b"}" * 20_000, 400, "exceeded max depth"),
    ("YAML of a billion laughs", "POST", CONFIG_MAPS, YAML, ALIASES.encode(), 400, "excessive aliasing"),
    ("an unknown content type", "POST", CONFIG_MAPS, "text/plain", b"hello", 415, "the body of the request was in an unknown format"),
    (
        "a PUT under another name",
        "PUT",
        KEPT,
        "application/json",
        config_map(),
        400,
        "the name of the object (bad) does not match the name on the URL (kept)",
    ),
    (
        "a patch of a wrong type",
        "PATCH",
        KEPT,
        MERGE,
        {"data": 7},
        422,
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string",
    ),
    ("a patch that is cut off", "PATCH", KEPT, STRATEGIC, b'{"a', 400, "unexpected end of JSON input"),
    ("a JSON patch that is no list", "PATCH", KEPT, JSON_PATCH, {}, 400, "error decoding patch: json: cannot unmarshal object"),
    (
        "a JSON patch with an unknown op",
        "PATCH",
        KEPT,
        JSON_PATCH,
        [{"op": "dance", "path": "/data"}],
        422,
        "the server rejected our request",
    ),
    (
        "a JSON patch whose test fails",
        "PATCH",
        KEPT,
        JSON_PATCH,
        [{"op": "test", "path": "/data/a", "value": "2"}],
        422,
        "the server rejected our request",
    ),
    ("a patch without a type", "PATCH", KEPT, "application/json", {}, 415, "Unsupported Media Type"),
    ("an apply without a manager", "PATCH", KEPT, APPLY, {}, 422, "fieldManager: Required value: is required for apply patch"),
    ("an apply that is cut off", "PATCH", KEPT + "?fieldManager=me", APPLY, b"a: [", 400, "error decoding YAML: "),
    (
        "a bad propagation policy",
        "DELETE",
        KEPT,
        "application/json",
        {"propagationPolicy": "Sideways"},
        422,
        'propagationPolicy: Unsupported value: "Sideways"',
    ),
    ("DeleteOptions that are cut off", "DELETE", KEPT, "application/json", b'{"gra', 400, "unexpected end of JSON input"),
    (
        "a DELETE of another uid",
        "DELETE",
        KEPT,
        "application/json",
        {"preconditions": {"uid": "1"}},
        409,
        "the UID in the precondition (1) does not match the UID in record (",
    ),
    ("a bad limit", "GET", CONFIG_MAPS + "?limit=abc", "", None, 400, 'strconv.ParseInt: parsing "abc": invalid syntax'),
    ("a bad resourceVersion", "GET", CONFIG_MAPS + "?resourceVersion=abc", "", None, 400, 'resourceVersion: Invalid value: "abc"'),
    (
        "a bad label selector",
        "GET",
        CONFIG_MAPS + "?labelSelector=a%3D%3D%3Db",
        "",
        None,
        400,
        "unable to parse requirement: found '=', expected: identifier",
    ),
    ("a bad field selector", "GET", CONFIG_MAPS + "?fieldSelector=data.a%3Db", "", None, 400, '"data.a" is not a known field selector'),
    ("a bad continue token", "GET", CONFIG_MAPS + "?limit=1&continue=garbage", "", None, 400, "invalid continue token"),
    ("an unknown resource", "GET", "/api/v1/nonsense", "", None, 404, "the server could not find the requested resource"),
    ("a name of strange bytes", "GET", f"{CONFIG_MAPS}/%00", "", None, 404, 'configmaps "\x00" not found'),
    ("a method that is not there", "TRACE", CONFIG_MAPS, "", None, 405, "the server does not allow this method on the requested resource"),
]


@pytest.fixture(scope="module")
def api(cluster: Up) -> Iterator[Api]:
    """The API, with a namespace that holds one ConfigMap, `kept`."""
    api = Api.of(cluster.kubeconfig)
    assert api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}).status == 201
    assert api.call("POST", CONFIG_MAPS, {**config_map(data={"a": "1"}), "metadata": {"name": "kept"}}).status == 201
    wait_until(lambda: api.call("GET", f"{CONFIG_MAPS}/kube-root-ca.crt").status == 200, "the namespace has all that belongs in it")
    wait_until(lambda: api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default").status == 200, "it has an account")
    yield api
    api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def versions(api: Api) -> dict[str, str]:
    """Everything in the namespace, with its version."""
    objects = [each for path in (CONFIG_MAPS, DEPLOYMENTS, PODS) for each in api.get(path)["items"]]
    return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in objects}


def refused(api: Api, answer: Answer, status: int, text: str) -> None:
    """It is refused with a Status that says `text`, and nothing is stored."""
    assert answer.status == status, answer.body[:1000]
    body = answer.json()
    assert (body["kind"], body["status"], body["code"]) == ("Status", "Failure", status)
    assert text in body["message"]
    if status == 422 and ": " in text and text.partition(":")[0].startswith(("spec.", "metadata.")):
        assert text.partition(":")[0] in [cause["field"] for cause in body["details"]["causes"]]


@pytest.fixture
def nothing_stored(api: Api) -> Iterator[None]:
    before = versions(api)
    yield
    assert versions(api) == before
    assert api.is_ready()


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(("path", "body", "status", "text"), [pytest.param(*case[1:], id=f"a body {case[0]}") for case in BODIES])
def test_creating_from(api: Api, path: str, body: object, status: int, text: str) -> None:
    refused(api, api.call("POST", path, body), status, text)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "status", "text"), [pytest.param(*case[1:], id=case[0]) for case in REQUESTS]
)
def test_asking_with(api: Api, method: str, path: str, content_type: str, body: object, status: int, text: str) -> None:
    refused(api, api.call(method, path, body, headers={"Content-Type": content_type} if content_type else {}), status, text)


@pytest.mark.usefixtures("nothing_stored")
def test_an_unknown_field_is_only_warned_of_by_default(api: Api) -> None:
    answer = api.call("POST", DEPLOYMENTS + "?dryRun=All", deployment(replicaz=3))
    assert answer.status == 201
    assert "replicaz" not in answer.json()["spec"]
    assert answer.headers["warning"] == '299 - "unknown field \\"spec.replicaz\\""'


def conversation(api: Api, *sent: bytes) -> bytes:
    """What comes back when these bytes are sent over TLS and the sending side is closed."""
    address = urlsplit(api.url)
    with (
        socket.create_connection((str(address.hostname), address.port), timeout=20) as plain,
        api.context.wrap_socket(plain, server_hostname=address.hostname) as secure,
    ):
        try:
            for each in sent:
                secure.sendall(each)
            secure.unwrap()
        except (ssl.SSLError, OSError):
            pass  # the server may have hung up first
        received = b""
        try:
            while data := secure.recv(65536):
                received += data
        except (ssl.SSLError, OSError):
            pass
        return received


POST = f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
GARBAGE = [
    ("bytes that are no HTTP", [b"\x00\x01\x02 nonsense\r\n\r\n"]),
    ("a request line without end", [b"GET /" + b"x" * 300_000]),
    ("headers without end", [b"GET / HTTP/1.1\r\n", *[b"X-Header: " + b"x" * 1000 + b"\r\n"] * 300]),
    ("a body shorter than promised", [POST + b"Content-Length: 1000\r\n\r\n", raw("{}")]),
    ("a negative length", [POST + b"Content-Length: -1\r\n\r\n", raw("{}")]),
    ("two lengths", [POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", raw("{}")]),
    ("a chunk that is no number", [POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", raw("{}")]),
]


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("sent", [pytest.param(case[1], id=case[0]) for case in GARBAGE])
def test_the_server_survives(api: Api, sent: list[bytes]) -> None:
    answer = conversation(api, *sent)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]


@pytest.mark.usefixtures("nothing_stored")
def test_a_body_without_end_is_cut_off(api: Api) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = conversation(api, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 128)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 "), answer[:200]


@pytest.mark.usefixtures("nothing_stored")
def test_plain_http_on_the_secure_port(api: Api) -> None:
    address = urlsplit(api.url)
    with socket.create_connection((str(address.hostname), address.port), timeout=20) as plain:
        plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert b"200" not in plain.recv(1000)
        except ConnectionResetError:
            pass
