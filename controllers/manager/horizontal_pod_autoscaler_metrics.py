"""Where an autoscaler's metrics come from: metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io, served by whoever has
registered for them (API aggregation). The paths and the readings are pure; `MetricsReader` asks.

Source: upstream `pkg/controller/podautoscaler/metrics/client.go`, k8s.io/metrics `pkg/client`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from kube.client.client import Client
from kube.clock import parse_time
from kube.errors import ApiError
from kube.labels import from_object as selector_from
from kube.objects import Object, name_of, namespace_of
from kube.quantity import QuantityError, parse
from kube.resources import Resource
from kube.schema.gotime import GoTimeError, parse_duration

from .horizontal_pod_autoscaler_replicas import PodMetric

RESOURCE_GROUP, CUSTOM_GROUP, EXTERNAL_GROUP = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
CUSTOM_WINDOW_S = 60.0
"""The window of a custom metric that does not say."""
SOURCES = {
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "External": "external",
}
"""The field of each type of metric."""


class NoMetrics(Exception):
    """The metrics cannot be had; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured for one metric: of each pod, or one value for all. In thousandths."""

    pods: Mapping[str, PodMetric] | None = None
    value: int = 0


Sample = Measured | NoMetrics
ResourceOf = Callable[[str, str], Resource | None]
"""(API version, kind) -> the resource, None for one that is not known."""


# --- where to ask ---------------------------------------------------------------------------------------------------------------


def pods_path(namespace: str, selector: str) -> str:
    """The usage of the pods of a selector."""
    return f"/apis/{RESOURCE_GROUP}/v1beta1/namespaces/{namespace}/pods" + _query(labelSelector=selector)


def custom_pods_path(version: str, namespace: str, selector: str, metric: Object) -> str:
    """A custom metric of each pod of a selector."""
    path = f"/apis/{CUSTOM_GROUP}/{version}/namespaces/{namespace}/pods/*/{quote(metric['name'])}"
    return path + _query(labelSelector=selector, metricLabelSelector=_selector(metric))


def object_path(version: str, namespace: str, described: Object, metric: Object, resource_of: ResourceOf) -> str:
    """A custom metric of one object. Raises NoMetrics for one of an unknown kind."""
    api_version, kind = described.get("apiVersion") or "", described.get("kind", "")
    query = _query(metricLabelSelector=_selector(metric))
    start, name = f"/apis/{CUSTOM_GROUP}/{version}", quote(described["name"])
    group = api_version.rpartition("/")[0]
    if kind == "Namespace" and not group:
        return f"{start}/namespaces/{name}/metrics/{quote(metric['name'])}{query}"
    found = resource_of(api_version, kind)
    if found is None:
        raise NoMetrics(f"unable to fetch metrics from custom metrics API: {no_kind(group, kind)}")
    return f"{start}/namespaces/{namespace}/{found.qualified}/{name}/{quote(metric['name'])}{query}"


def external_path(namespace: str, metric: Object) -> str:
    """A metric of something outside."""
    return f"/apis/{EXTERNAL_GROUP}/v1beta1/namespaces/{namespace}/{quote(metric['name'])}" + _query(labelSelector=_selector(metric))


def no_kind(group: str, kind: str) -> str:
    """What upstream says of a kind that no group has."""
    return f'no matches for kind "{kind}" in group "{group}"'


def _selector(metric: Object) -> str:
    return str(selector_from(metric["selector"])) if metric.get("selector") else ""


def _query(**parameters: str) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else ""


# --- what the answers say ---------------------------------------------------------------------------------------------------------


def pod_usage(items: Iterable[Object], resource: str) -> dict[str, PodMetric]:
    """The usage of the pods of which every container has been measured."""
    found: dict[str, PodMetric] = {}
    for item in items:
        usages = [(each.get("usage") or {}).get(resource) for each in item.get("containers") or ()]
        if usages and all(each is not None for each in usages):
            found[name_of(item)] = _pod_metric(item, sum(parse(each).milli_value() for each in usages))
    return found


def container_usage(items: Iterable[Object], resource: str, container: str) -> dict[str, PodMetric]:
    """The usage of one container of each pod. Raises NoMetrics for a pod without it."""
    found: dict[str, PodMetric] = {}
    for item in items:
        named = next((each for each in item.get("containers") or () if each.get("name") == container), None)
        if named is None:
            where = f"{namespace_of(item)}/{name_of(item)}"
            raise NoMetrics(f"failed to get container metrics: container {container} not present in metrics for pod {where}")
        usage = (named.get("usage") or {}).get(resource)
        if usage is not None:
            found[name_of(item)] = _pod_metric(item, parse(usage).milli_value())
    return found


def _pod_metric(item: Object, value: int) -> PodMetric:
    return PodMetric(value, parse_time(item.get("timestamp")), parse_duration(item.get("window") or "0s") / 1e9)


def custom_values(items: Iterable[Object]) -> dict[str, PodMetric]:
    """The values of a custom metric, by the name of what they are about."""
    found: dict[str, PodMetric] = {}
    for item in items:
        window_s = item.get("windowSeconds")
        metric = PodMetric(
            parse(item.get("value")).milli_value(),
            parse_time(item.get("timestamp")),
            CUSTOM_WINDOW_S if window_s is None else float(window_s),
        )
        found[str((item.get("describedObject") or {}).get("name", ""))] = metric
    return found


# --- asking -----------------------------------------------------------------------------------------------------------------------


class MetricsReader:
    """Asks for what an autoscaler's metrics need."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, spec: Object, *, namespace: str, selector: str, resource_of: ResourceOf) -> Sample:
        """The sample of one of an autoscaler's metrics."""
        source = spec.get(SOURCES.get(spec.get("type", ""), "")) or {}
        try:
            return await self._read(spec.get("type", ""), source, namespace, selector, resource_of)
        except NoMetrics as error:
            return error
        except (QuantityError, GoTimeError, KeyError, TypeError, AttributeError) as error:
            return NoMetrics(f"unable to read the metrics: {type(error).__name__}: {error}")

    async def _read(self, kind: str, source: Object, namespace: str, selector: str, resource_of: ResourceOf) -> Measured:
        if kind in ("Resource", "ContainerResource"):
            name = source.get("name", "")
            items = await self._items("resource", pods_path(namespace, selector), f"get pods.{RESOURCE_GROUP}")
            container = source.get("container", "")
            return Measured(container_usage(items, name, container) if kind == "ContainerResource" else pod_usage(items, name))
        if kind == "Pods":
            version, metric = await self._custom_version(), source["metric"]
            path = custom_pods_path(version, namespace, selector, metric)
            return Measured(custom_values(await self._items("custom", path, f"get pods.{CUSTOM_GROUP} *")))
        if kind == "Object":
            version, metric = await self._custom_version(), source["metric"]
            path = object_path(version, namespace, source["describedObject"], metric, resource_of)
            values = custom_values(await self._items("custom", path, f"get {CUSTOM_GROUP}"))
            return Measured(value=next(iter(values.values())).value)
        if kind == "External":
            metric = source["metric"]
            items = await self._items("external", external_path(namespace, metric), f"get {metric['name']}.{EXTERNAL_GROUP}")
            return Measured(value=sum(parse(each.get("value")).milli_value() for each in items))
        return Measured()

    async def _items(self, api: str, path: str, asked: str) -> list[Object]:
        """The items of a list of metrics; there must be some. Raises NoMetrics."""
        try:
            answer = await self._client.raw("GET", path)
            items: list[Object] = json.loads(answer.body).get("items") or []
        except (ApiError, OSError, ValueError) as error:
            raise NoMetrics(f"unable to fetch metrics from {api} metrics API: {told(error, asked)}") from error
        if not items:
            raise NoMetrics(f"no metrics returned from {api} metrics API")
        return items

    async def _custom_version(self) -> str:
        """The version of custom.metrics.k8s.io that is served. Raises NoMetrics."""
        try:
            group: Any = json.loads((await self._client.raw("GET", f"/apis/{CUSTOM_GROUP}")).body)
            served = [each.get("version") for each in group.get("versions") or ()]
        except (ApiError, OSError, ValueError):
            served = []
        found = next((each for each in CUSTOM_VERSIONS if each in served), "")
        if not found:
            raise NoMetrics(f"unable to fetch metrics from custom metrics API: no custom metrics API ({CUSTOM_GROUP}) registered")
        return found


_GENERIC = {
    401: "the server has asked for the client to provide credentials",
    403: "forbidden",
    404: "the server could not find the requested resource",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


def told(error: Exception, asked: str) -> str:
    """A failure in client-go's words: those of the server's Status, or for an answer that is none, generic ones and what was asked."""
    if not isinstance(error, ApiError):
        return str(error)
    if error.http_reason:
        return error.message
    generic = _GENERIC.get(error.http_code)
    return f"{generic} ({asked})" if generic else error.message
