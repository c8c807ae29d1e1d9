"""Autoscaling in a whole cluster, on virtual time: load is simulated, measured, and answered with replicas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kube.objects import Object, condition_of
from wherry import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=1) as made:
        yield made


def deployment(name: str = "web", replicas: int = 1, **annotations: str) -> Object:
    labels = {"app": name}
    container = {"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "200m", "memory": "64Mi"}}}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def autoscaler(name: str = "web", **spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    utilization = {"type": "Utilization", "averageUtilization": 50}
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": utilization}}]
    known = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 6, "metrics": metrics}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": {**known, **spec}}


def condition(cluster: Cluster, kind: str) -> Object | None:
    return condition_of(cluster.client.get("HorizontalPodAutoscaler", "web"), kind)


def test_an_autoscaler_without_its_target_waits_for_it(cluster: Cluster) -> None:
    cluster.apply(autoscaler())
    able = cluster.wait_until(lambda: condition(cluster, "AbleToScale"))
    assert (able["status"], able["reason"]) == ("False", "FailedGetScale") if able else False
    cluster.apply(deployment())
    cluster.advance(seconds=16)
    found = condition(cluster, "AbleToScale") or {}
    assert (found["status"], found["reason"]) == ("True", "SucceededGetScale")


def test_replicas_out_of_bounds_are_brought_within(cluster: Cluster) -> None:
    cluster.apply([deployment(replicas=1), autoscaler(minReplicas=3)])
    cluster.advance(seconds=16)
    assert cluster.client.get("Deployment", "web")["spec"]["replicas"] == 3
    events = [each for each in cluster.client.list("Event") if each["reason"] == "SuccessfulRescale"]
    assert [each["message"] for each in events] == ["New size: 3; reason: Current number of replicas below Spec.MinReplicas"]
    assert events[0]["source"]["component"] == "horizontal-pod-autoscaler"
