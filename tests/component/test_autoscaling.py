"""Autoscaling in a whole cluster, on virtual time: load is simulated, measured, and answered with replicas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kube.objects import Object, condition_of
from wherry import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=1, metrics=True) as made:
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
    assert (found["status"], found["reason"]) == ("True", "ReadyForNewScale")


def test_replicas_out_of_bounds_are_brought_within(cluster: Cluster) -> None:
    cluster.apply([deployment(replicas=1), autoscaler(minReplicas=3)])
    cluster.advance(seconds=16)
    assert cluster.client.get("Deployment", "web")["spec"]["replicas"] == 3
    events = [each for each in cluster.client.list("Event") if each["reason"] == "SuccessfulRescale"]
    assert [each["message"] for each in events] == ["New size: 3; reason: Current number of replicas below Spec.MinReplicas"]
    assert events[0]["source"]["component"] == "horizontal-pod-autoscaler"


def replicas(cluster: Cluster) -> int:
    return int(cluster.client.get("Deployment", "web")["spec"]["replicas"])


def test_load_is_answered_with_replicas_and_its_end_with_fewer(cluster: Cluster) -> None:
    cluster.apply([deployment(replicas=2), autoscaler()])
    cluster.wait_for("Deployment", "web", "Available")
    cluster.advance(minutes=2)
    assert replicas(cluster) == 2, "a tenth of the request is used, but what was recommended of late counts"
    load(cluster, "180m")
    cluster.advance(minutes=2)
    assert replicas(cluster) == 4
    found = cluster.client.get("HorizontalPodAutoscaler", "web")["status"]
    assert (found["currentReplicas"], found["currentMetrics"][0]["resource"]["name"]) == (4, "cpu")
    load(cluster, "10m")
    cluster.advance(minutes=4)
    assert replicas(cluster) == 4
    cluster.advance(minutes=4)
    assert replicas(cluster) == 1
    reasons = [each["message"] for each in cluster.client.list("Event") if each["reason"] == "SuccessfulRescale"]
    assert "New size: 4; reason: cpu resource utilization (percentage of request) above target" in reasons
    assert "New size: 1; reason: All metrics below target" in reasons


def load(cluster: Cluster, cpu: str) -> None:
    """Have each pod use so much from now on."""
    for pod in cluster.client.list("Pod"):
        cluster.client.patch("Pod", pod["metadata"]["name"], {"metadata": {"annotations": {"wherry.dev/usage-cpu": cpu}}})


def test_without_a_metrics_server_it_says_so() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply([deployment(), autoscaler()])
        cluster.advance(seconds=16)
        active = condition(cluster, "ScalingActive") or {}
        assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
        why = "the server could not find the requested resource (get pods.metrics.k8s.io)"
        assert active["message"].endswith(f"unable to fetch metrics from resource metrics API: {why}")


def test_a_metrics_server_that_died_makes_its_group_unavailable(cluster: Cluster) -> None:
    api_service = "v1beta1.metrics.k8s.io"
    cluster.wait_for("APIService", api_service, "Available")
    cluster.kill("metrics-server")
    cluster.wait_for("APIService", api_service, "Available=False", timeout_s=60)
    cluster.revive("metrics-server")
    cluster.wait_for("APIService", api_service, "Available", timeout_s=60)
