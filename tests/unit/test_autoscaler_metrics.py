"""Where a HorizontalPodAutoscaler asks for metrics, and what it makes of the answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from controllers.manager.horizontal_pod_autoscaler_metrics import (
    Measured,
    MetricsReader,
    NoMetrics,
    container_usage,
    custom_pods_path,
    custom_values,
    external_path,
    object_path,
    pod_usage,
    pods_path,
    told,
)
from controllers.manager.horizontal_pod_autoscaler_proposal import described_by_go
from controllers.manager.horizontal_pod_autoscaler_replicas import (
    PodMetric,
)
from kube.client.client import Client
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock
from kube.errors import ApiError, NotFound
from kube.objects import Object
from kube.resources import DEPLOYMENTS
from tests.fake_api import FakeApi
from tests.unit.autoscaling import CONTAINER, NOT_REGISTERED, NOW, PODS_METRIC, external, resource_metric
from tests.virtual import virtual

HITS = {"name": "hits", "selector": {"matchLabels": {"verb": "GET"}}}
FRONT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"}


def known(api_version: str, kind: str) -> Any:
    return DEPLOYMENTS if kind == "Deployment" else None


PATHS = {
    pods_path("ns", "a=b"): "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods?labelSelector=a%3Db",
    custom_pods_path("v1beta2", "ns", "a=b", HITS): (
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/*/hits?labelSelector=a%3Db&metricLabelSelector=verb%3DGET"
    ),
    object_path("v1beta1", "ns", FRONT, {"name": "hits"}, known): (
        "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/deployments.apps/front/hits"
    ),
    object_path("v1beta1", "ns", {"kind": "Namespace", "name": "ns"}, {"name": "hits"}, known): (
        "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/metrics/hits"
    ),
    external_path("ns", HITS): "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/hits?labelSelector=verb%3DGET",
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items())
def test_where_metrics_are_asked_for(path: str, expected: str) -> None:
    assert path == expected


def test_an_object_of_an_unknown_kind_has_no_metrics() -> None:
    with pytest.raises(NoMetrics, match='no matches for kind "Thing" in group "g"'):
        object_path("v1beta1", "ns", {"apiVersion": "g/v1", "kind": "Thing", "name": "x"}, {"name": "hits"}, known)


def measured(name: str, **usage: Mapping[str, str]) -> Object:
    containers = [{"name": each, "usage": dict(amounts)} for each, amounts in usage.items()]
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "timestamp": "2026-01-01T12:00:00Z",
        "window": "15.5s",
        "containers": containers,
    }


def test_a_pods_usage_is_its_containers_if_all_were_measured() -> None:
    items = [measured("p", a={"cpu": "100m"}, b={"cpu": "1500000n"}), measured("q", a={"cpu": "1"}, b={"memory": "1"}), measured("r")]
    assert pod_usage(items, "cpu") == {"p": PodMetric(102, NOW, 15.5)}
    assert container_usage(items[:1], "cpu", "a") == {"p": PodMetric(100, NOW, 15.5)}
    with pytest.raises(NoMetrics, match="container b not present in metrics for pod ns/r"):
        container_usage(items, "cpu", "b")


def test_custom_metrics_have_a_window_of_a_minute_unless_they_say() -> None:
    item = {"describedObject": {"name": "p"}, "timestamp": "2026-01-01T12:00:00Z", "value": "2500m"}
    assert custom_values([item, {**item, "describedObject": {"name": "q"}, "windowSeconds": 0}]) == {
        "p": PodMetric(2500, NOW, 60.0),
        "q": PodMetric(2500, NOW, 0.0),
    }


def test_answers_that_are_no_status_are_told_in_client_gos_words() -> None:
    asked = "get pods.metrics.k8s.io"
    plain = NotFound("404 page not found", reason="")
    assert told(plain, asked) == "the server could not find the requested resource (get pods.metrics.k8s.io)"
    unavailable = ApiError("service unavailable", code=503)
    assert told(unavailable, asked) == "the server is currently unable to handle the request (get pods.metrics.k8s.io)"
    assert told(NotFound('pods "x" not found'), asked) == 'pods "x" not found'
    assert told(OSError("connection refused"), asked) == "connection refused"


def test_selectors_are_shown_as_go_shows_them() -> None:
    assert described_by_go(None) == "nil"
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["x", "y"]}]}
    assert described_by_go(selector) == (
        "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},"
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}"
    )


# --- asking -------------------------------------------------------------------------------------------------------------------------

V1BETA1 = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns"
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns"


def custom(name: str, value: str) -> Object:
    return {"describedObject": {"name": name}, "timestamp": "2026-01-01T12:00:00Z", "value": value}


SERVED: dict[str, list[Object]] = {
    "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods": [measured("p0", app={"cpu": "100m"})],
    f"{CUSTOM}/pods/*/hits": [custom("p0", "10"), custom("p1", "20")],
    f"{CUSTOM}/deployments.apps/front/hits": [custom("front", "2500m")],
    f"{V1BETA1}/queue": [{"value": "10"}, {"value": "5"}],
    f"{V1BETA1}/empty": [],
}
OBJECT_OF_FRONT = {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": FRONT, "target": {}}}
READ: dict[str, tuple[Object, Measured | str]] = {
    "a resource": (resource_metric(), Measured({"p0": PodMetric(100, NOW, 15.5)})),
    "a resource of a container": (CONTAINER, Measured({"p0": PodMetric(100, NOW, 15.5)})),
    "pods": (PODS_METRIC, Measured({"p0": PodMetric(10_000, NOW, 60.0), "p1": PodMetric(20_000, NOW, 60.0)})),
    "an object": (OBJECT_OF_FRONT, Measured(value=2500)),
    "something outside": (external(), Measured(value=15_000)),
    "nothing outside": (external("empty"), "no metrics returned from external metrics API"),
}


@virtual
async def test_metrics_are_asked_of_who_serves_them() -> None:
    api = FakeApi(random.Random(1))
    for path, items in SERVED.items():
        api.put(path, {"items": items})
    client = Client(AsgiTransport(api), user_agent="test", clock=LoopClock(NOW))
    reader = MetricsReader(client)

    async def read(spec: Object) -> Measured | str:
        sample = await reader.read(spec, namespace="ns", selector="a=b", resource_of=known)
        return str(sample) if isinstance(sample, NoMetrics) else sample

    assert await read(PODS_METRIC) == str(NOT_REGISTERED)
    api.put("/apis/custom.metrics.k8s.io", {"versions": [{"version": "v1beta1"}]})
    assert {name: await read(spec) for name, (spec, _) in READ.items()} == {name: expected for name, (_, expected) in READ.items()}
    assert ("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/ns/pods?labelSelector=a%3Db") in api.requests
    await client.close()
