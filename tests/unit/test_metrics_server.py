"""The metrics server: what it reads, what it answers, whom it believes, how it makes itself known."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.metrics import documents, registration
from controllers.metrics.access import FrontProxy, User, front_proxy_in
from controllers.metrics.kubelets import address_of
from controllers.metrics.registration import Place
from controllers.metrics.server import Answer, MetricsServer, Request, asked_for
from controllers.metrics.summaries import Summaries
from controllers.metrics.summary import PodUsage, Summary, Usage, read_summary
from kube.client.client import Client
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock
from kube.errors import NotFound
from kube.objects import Object
from tests.fake_api import FakeApi
from tests.virtual import virtual

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
STAMP = "2026-01-01T12:00:00Z"
ADMIN = User("admin", ("system:masters",))


def stats(cpu: int | None, memory: int | None) -> Object:
    return {"cpu": {"time": STAMP, "usageNanoCores": cpu}, "memory": {"workingSetBytes": memory}}


def summary_of(*pods: tuple[str, Sequence[tuple[str, int | None, int | None]]]) -> Object:
    measured = [
        {
            "podRef": {"name": name, "namespace": "ns", "uid": name},
            "containers": [{"name": container, **stats(cpu, memory)} for container, cpu, memory in containers],
        }
        for name, containers in pods
    ]
    return {"node": {"nodeName": "n1", **stats(250_000_000, 1 << 30)}, "pods": measured}


def test_a_summary_has_the_pods_that_were_measured_whole() -> None:
    found = read_summary(
        summary_of(("a", [("x", 5, 6), ("y", 7, 8)]), ("b", [("x", None, 6)]), ("c", [("x", 1, 2), ("y", 3, None)]), ("d", []))
    )
    assert found.node == Usage(250_000_000, 1 << 30)
    assert found.pods == {("ns", "a"): PodUsage({"x": Usage(5, 6), "y": Usage(7, 8)}, NOW)}


@pytest.mark.parametrize("document", [None, [], {}, {"node": 1}, {"node": {}, "pods": [{"containers": [{**stats(1, 1), "name": "x"}]}]}])
def test_what_is_no_summary_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a summary"):
        read_summary(document)


USAGES = {
    "whole units": (Usage(2_000_000_000, 1 << 30), {"cpu": "2", "memory": "1Gi"}),
    "thousandths": (Usage(250_000_000, 10 << 20), {"cpu": "250m", "memory": "10Mi"}),
    "billionths": (Usage(1_234_567, 12_345), {"cpu": "1234567n", "memory": "12345"}),
    "nothing": (Usage(0, 0), {"cpu": "0", "memory": "0"}),
}


@pytest.mark.parametrize(("usage", "shown"), USAGES.values(), ids=USAGES.keys())
def test_usage_is_shown_in_quantities(usage: Usage, shown: dict[str, str]) -> None:
    assert usage.quantities == shown


def test_a_table_has_a_column_for_each_resource_and_sums_containers() -> None:
    pod = {"metadata": {"name": "p", "namespace": "ns"}}
    usage = PodUsage({"a": Usage(100_000_000, 1 << 20), "b": Usage(150_000_000, 1 << 20)}, NOW)
    item = documents.pod_metrics(pod, usage, NOW, window_s=15)
    shown = documents.table("pods", [item])
    assert [each["name"] for each in shown["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert shown["rows"][0]["cells"] == ["p", "250m", "2Mi", "15s"]
    assert shown["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert documents.table("pods", [item], include="Object")["rows"][0]["object"]["kind"] == "PodMetrics"
    assert "object" not in documents.table("pods", [item], include="None")["rows"][0]
    assert documents.table("nodes", [])["rows"] == []


# --- requests -----------------------------------------------------------------------------------------------------------------------

PATHS = {
    "/apis/metrics.k8s.io/v1beta1/nodes": ("nodes", "", ""),
    "/apis/metrics.k8s.io/v1beta1/nodes/n1": ("nodes", "", "n1"),
    "/apis/metrics.k8s.io/v1beta1/pods": ("pods", "", ""),
    "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods": ("pods", "ns", ""),
    "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods/p": ("pods", "ns", "p"),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_what_a_path_is_about(path: str, expected: tuple[str, str, str]) -> None:
    asked = asked_for(path, "")
    assert asked is not None
    assert (asked.plural, asked.namespace, asked.name) == expected


@pytest.mark.parametrize("path", ["services", "pods/p", "namespaces/ns/nodes", "nodes/n1/status", "namespaces/ns", "namespaces"])
def test_other_paths_of_the_group_are_nothing(path: str) -> None:
    with pytest.raises(NotFound):
        asked_for(f"/apis/metrics.k8s.io/v1beta1/{path}", "")


class World:
    """An API server with two nodes and their pods, whose agents answer; `asked` are the nodes that were."""

    def __init__(self) -> None:
        self.api = FakeApi(random.Random(1))
        self.clock = LoopClock(NOW)
        self.asked: list[str] = []
        self.down: set[str] = set()
        for name in ("n1", "n2"):
            self.api.put(f"/api/v1/nodes/{name}", {"metadata": {"name": name, "labels": {"zone": name}}})
        for name, node in (("a", "n1"), ("b", "n2"), ("c", "")):
            metadata = {"name": name, "namespace": "ns", "labels": {"app": name}}
            self.api.put(f"/api/v1/namespaces/ns/pods/{name}", {"metadata": metadata, "spec": {"nodeName": node}})
        client = Client(AsgiTransport(self.api), user_agent="test", clock=self.clock)
        self.summaries = Summaries(self.ask, clock=self.clock)
        self.server = MetricsServer(client, self.summaries, clock=self.clock)

    async def ask(self, node: Object) -> bytes:
        name = node["metadata"]["name"]
        self.asked.append(name)
        await asyncio.sleep(0.1)
        if name in self.down:
            raise ConnectionRefusedError("refused")
        return json.dumps(summary_of(("a" if name == "n1" else "b", [("app", 100_000_000, 1 << 20)]))).encode()

    async def get(self, path: str, *, user: User | None = ADMIN, **given: Any) -> Answer:
        path, _, query = path.partition("?")
        start = "" if path.startswith("/") else "/apis/metrics.k8s.io/v1beta1/"
        return await self.server.answer(Request(given.pop("method", "GET"), start + path, query, given, user))

    async def names(self, path: str) -> list[str]:
        return [each["metadata"]["name"] for each in json.loads((await self.get(path)).body)["items"]]


@virtual
async def test_nodes_and_pods_are_listed_and_got() -> None:
    world = World()
    assert await world.names("nodes") == ["n1", "n2"]
    assert await world.names("namespaces/ns/pods") == ["a", "b"], "one that runs nowhere has not been measured"
    assert json.loads((await world.get("namespaces/ns/pods/a")).body) == {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "a", "namespace": "ns", "creationTimestamp": STAMP, "labels": {"app": "a"}},
        "timestamp": STAMP,
        "window": "15s",
        "containers": [{"name": "app", "usage": {"cpu": "100m", "memory": "1Mi"}}],
    }
    missing = await world.get("namespaces/ns/pods/c")
    assert (missing.status, json.loads(missing.body)["message"]) == (404, 'podmetrics.metrics.k8s.io "ns/c" not found')
    table = await world.get("nodes", accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert [each["cells"] for each in json.loads(table.body)["rows"]] == [["n1", "250m", "1Gi", "15s"], ["n2", "250m", "1Gi", "15s"]]


@virtual
async def test_a_node_is_asked_once_in_a_while_and_only_if_somebody_wants_to_know() -> None:
    world = World()
    await asyncio.sleep(100)
    assert world.asked == []
    await asyncio.gather(*(world.get("namespaces/ns/pods/a") for _ in range(5)))
    assert world.asked == ["n1"]
    await asyncio.sleep(14)
    await world.get("nodes")
    assert world.asked == ["n1", "n2"]
    await asyncio.sleep(2)
    await world.get("nodes/n1")
    assert world.asked == ["n1", "n2", "n1"]


@virtual
async def test_a_node_that_does_not_answer_is_left_out() -> None:
    world = World()
    world.down.add("n1")
    assert await world.names("nodes") == ["n2"]
    assert await world.names("namespaces/ns/pods") == ["b"]
    assert (await world.get("nodes/n1")).status == 404


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "nobody": ({"user": None}, 401, "Unauthorized"),
    "a write": ({"method": "POST"}, 405, "the server does not allow this method on the requested resource"),
    "a watch": ({"path": "nodes?watch=true"}, 405, 'watch is not supported on resources of kind "nodes.metrics.k8s.io"'),
    "another resource": ({"path": "services"}, 404, "the server could not find the requested resource"),
}


@virtual
async def test_what_is_refused() -> None:
    world = World()
    for given, status, message in REFUSED.values():
        answer = await world.get(given.get("path", "nodes"), **{key: value for key, value in given.items() if key != "path"})
        assert (answer.status, json.loads(answer.body)["message"]) == (status, message)
    assert world.asked == []


@virtual
async def test_the_api_server_decides_who_may_and_is_asked_once_in_a_while() -> None:
    world = World()
    reviews: list[Object] = []

    async def create(_resource: object, review: Object) -> Object:
        reviews.append(review["spec"])
        return {"status": {"allowed": review["spec"]["user"] == "reader"}}

    world.server._authorizer.client.create = create  # type: ignore[method-assign, assignment]
    reader = User("reader", ("devs",), "7", (("scopes", ("a",)),))
    assert (await world.get("namespaces/ns/pods", user=reader)).status == 200
    assert (await world.get("namespaces/ns/pods", user=reader)).status == 200
    place = {"group": "metrics.k8s.io", "version": "v1beta1", "resource": "pods", "verb": "list", "namespace": "ns"}
    assert reviews == [{"user": "reader", "groups": ["devs"], "uid": "7", "extra": {"scopes": ["a"]}, "resourceAttributes": place}]
    denied = await world.get("nodes/n1", user=replace(reader, name="other"))
    message = 'User "other" cannot get resource "nodes" in API group "metrics.k8s.io" at the cluster scope'
    assert (denied.status, json.loads(denied.body)["message"]) == (403, f'nodes.metrics.k8s.io "n1" is forbidden: {message}')
    assert (await world.get("/apis", user=replace(reader, name="other"))).status == 403


@virtual
async def test_documents_are_those_of_the_group() -> None:
    world = World()
    aggregated = await world.get("/apis", accept=documents.AGGREGATED_TYPE)
    assert aggregated.content_type == documents.AGGREGATED_TYPE
    assert json.loads(aggregated.body)["items"][0]["versions"][0]["resources"][1]["scope"] == "Namespaced"
    for path, kind in {
        "/apis": "APIGroupList",
        "/apis/metrics.k8s.io": "APIGroup",
        "/apis/metrics.k8s.io/v1beta1": "APIResourceList",
    }.items():
        assert json.loads((await world.get(path)).body)["kind"] == kind
    path = json.loads((await world.get("/openapi/v3")).body)["paths"]["apis/metrics.k8s.io/v1beta1"]["serverRelativeURL"]
    assert "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics" in json.loads((await world.get(path)).body)["components"]["schemas"]
    assert (await world.get("/healthz", user=None)).body == b"ok"
    assert (await world.get("/elsewhere")).status == 404


# --- whom it believes ---------------------------------------------------------------------------------------------------------------

PROXY = FrontProxy("PEM", ("front-proxy-client",), ("X-Remote-User",), ("X-Remote-Uid",), ("X-Remote-Group",), ("X-Remote-Extra-",))


def certificate(name: str) -> Object:
    return {"subject": ((("organizationName", "x"),), (("commonName", name),))}


CERTIFICATES = {
    "the front proxy's": (PROXY, certificate("front-proxy-client"), True),
    "another of its CA": (PROXY, certificate("other"), False),
    "none": (PROXY, None, False),
    "any of its CA, where no name is asked for": (replace(PROXY, allowed_names=()), certificate("other"), True),
    "none, even so": (replace(PROXY, allowed_names=()), None, False),
}


@pytest.mark.parametrize(("proxy", "shown", "expected"), CERTIFICATES.values(), ids=CERTIFICATES.keys())
def test_who_is_the_front_proxy(proxy: FrontProxy, shown: Object | None, expected: bool) -> None:
    assert proxy.is_it(shown) is expected


def test_who_asks_is_in_the_headers() -> None:
    headers = [("x-remote-user", "u"), ("X-Remote-Group", "a"), ("X-REMOTE-GROUP", "b"), ("X-Remote-Extra-Example.com%2Fk", "v")]
    assert PROXY.user_in([*headers, ("X-Remote-Uid", "7")]) == User("u", ("a", "b"), "7", (("example.com/k", ("v",)),))
    assert PROXY.user_in([("X-Remote-Group", "system:masters")]) is None


def test_whom_to_believe_is_in_a_config_map() -> None:
    data = {
        "requestheader-client-ca-file": "PEM",
        "requestheader-allowed-names": '["front-proxy-client"]',
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    }
    assert front_proxy_in({"data": data}) == PROXY
    with pytest.raises(ValueError, match="the API server has no front proxy"):
        front_proxy_in({"data": {"client-ca-file": "PEM"}})


# --- where it is, and where nodes are ---------------------------------------------------------------------------------------------------


def registered(place: Place) -> dict[str, Object]:
    return {resource.kind: obj for resource, obj in registration.objects(place)}


def test_at_an_address_it_is_behind_an_endpoint_slice() -> None:
    found = registered(Place("192.0.2.7", 4443, "PEM"))
    assert found["Service"]["spec"]["ports"][0]["port"] == found["APIService"]["spec"]["service"]["port"] == 443
    assert found["EndpointSlice"]["endpoints"][0]["addresses"] == ["192.0.2.7"]
    assert found["EndpointSlice"]["ports"][0]["port"] == 4443
    assert found["APIService"]["spec"]["caBundle"] == "UEVN"


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "localhost"), ("metrics-server", "metrics-server")])
def test_at_a_name_or_on_loopback_it_is_an_external_name(host: str, name: str) -> None:
    found = registered(Place(host, 4443))
    assert "EndpointSlice" not in found
    assert found["Service"]["spec"] == {"type": "ExternalName", "externalName": name}
    assert found["APIService"]["spec"]["service"]["port"] == 4443
    assert found["APIService"]["spec"]["insecureSkipTLSVerify"] is True


ADDRESSES: dict[str, tuple[list[Object], tuple[str, int]]] = {
    "inside first": ([{"type": "Hostname", "address": "h"}, {"type": "InternalIP", "address": "10.0.0.1"}], ("10.0.0.1", 10250)),
    "a name if there is nothing else": ([{"type": "Hostname", "address": "h"}], ("h", 10250)),
}


@pytest.mark.parametrize(("addresses", "expected"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_where_a_node_is(addresses: list[Object], expected: tuple[str, int]) -> None:
    assert address_of({"status": {"addresses": addresses}}) == expected
    port = {"kubeletEndpoint": {"Port": 4}}
    assert address_of({"status": {"addresses": addresses, "daemonEndpoints": port}})[1] == 4


def test_a_node_without_an_address_is_nowhere() -> None:
    with pytest.raises(ValueError, match="no address"):
        address_of({"status": {}})


def test_a_summary_may_lack_the_node() -> None:
    assert documents.node_metrics({"metadata": {"name": "n"}}, Summary(None, None), NOW, window_s=15) is None
