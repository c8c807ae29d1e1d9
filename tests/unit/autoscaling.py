"""Pods and their metrics for HorizontalPodAutoscalers. Nothing here is a test."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from controllers.manager.horizontal_pod_autoscaler_metrics import NoMetrics
from controllers.manager.horizontal_pod_autoscaler_replicas import PodMetric
from kube.clock import rfc3339
from kube.objects import Object

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


AN_HOUR_AGO = ago(hours=1)


def pod(
    name: str,
    *,
    phase: str = "Running",
    ready: str | None = "True",
    started: datetime | None = AN_HOUR_AGO,
    changed: datetime | None = None,
    request: str | None = "1",
    deleting: bool = False,
) -> Object:
    """A pod that has been ready for most of an hour, unless said otherwise."""
    since = rfc3339(changed or ago(minutes=50))
    conditions = [] if ready is None else [{"type": "Ready", "status": ready, "lastTransitionTime": since}]
    resources = {"requests": {"cpu": request, "memory": "1Mi"}} if request else {}
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": {"a": "b"}, **({"deletionTimestamp": since} if deleting else {})},
        "spec": {"containers": [{"name": "app", "resources": resources}]},
        "status": {"phase": phase, "conditions": conditions, **({"startTime": rfc3339(started)} if started else {})},
    }


def metrics(*values: int | None, window_s: float = 60, at: datetime = NOW) -> dict[str, PodMetric]:
    """Of pods p0, p1, ...; None for one that was not measured."""
    return {f"p{index}": PodMetric(value, at, window_s) for index, value in enumerate(values) if value is not None}


def pods(count: int, **given: Any) -> list[Object]:
    return [pod(f"p{index}", **given) for index in range(count)]


def resource_metric(percent: int = 50, name: str = "cpu") -> Object:
    return {"type": "Resource", "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}}}


def external(name: str = "queue", **target: Any) -> Object:
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


NOT_REGISTERED = NoMetrics("unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered")
PODS_METRIC = {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
CONTAINER = {
    "type": "ContainerResource",
    "containerResource": {"name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 50}},
}


POLICIES = [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]
ALL_AT_ONCE = [{"type": "Percent", "value": 100, "periodSeconds": 15}]


def behavior(up: Mapping[str, Any] | None = None, down: Mapping[str, Any] | None = None) -> Object:
    """The defaults, and what is given."""
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": POLICIES, **(up or {})},
        "scaleDown": {"selectPolicy": "Max", "policies": ALL_AT_ONCE, **(down or {})},
    }
