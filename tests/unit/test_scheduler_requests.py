"""The arithmetic of what pods ask for."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.requests import pod_requests
from kube.pod_amounts import pod_requests as kube_pod_requests
from tests.unit.scheduler_cluster import make_pod


def c(cpu: str = "", memory: str = "", **rest: Any) -> dict[str, Any]:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"name": rest.get("name", "c"), "resources": {"requests": requests}, **rest}


def sidecar(cpu: str) -> dict[str, Any]:
    return c(cpu, restartPolicy="Always")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": [c("2", "1Gi"), c("1", "1Gi")]}, {"cpu": 3000, "memory": 2 << 30}, id="containers add up"),
        pytest.param({"containers": [c("1")], "initContainers": [c("3"), c("2")]}, {"cpu": 3000}, id="the largest init container counts"),
        pytest.param({"containers": [c("4")], "initContainers": [c("3")]}, {"cpu": 4000}, id="smaller init containers do not count"),
        pytest.param({"containers": [c("1")], "initContainers": [sidecar("2")]}, {"cpu": 3000}, id="sidecars run beside containers"),
        pytest.param(
            {"containers": [c("1")], "initContainers": [sidecar("1"), c("5")]},
            {"cpu": 6000},
            id="sidecars run beside later init containers",
        ),
        pytest.param(
            {"containers": [c("1")], "initContainers": [c("5"), sidecar("1")]}, {"cpu": 5000}, id="sidecars do not run beside earlier ones"
        ),
        pytest.param(
            {"containers": [c("1")], "overhead": {"cpu": "250m", "memory": "64Mi"}},
            {"cpu": 1250, "memory": 64 << 20},
            id="overhead is added",
        ),
        pytest.param(
            {"containers": [c("1", "1Gi")], "resources": {"requests": {"cpu": "5"}}},
            {"cpu": 5000, "memory": 1 << 30},
            id="pod-level requests replace the sum",
        ),
        pytest.param(
            {"containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": "2"}}}]},
            {"example.com/gpu": 2},
            id="extended resources",
        ),
        pytest.param({"containers": [c("0.1"), c("1.5m")]}, {"cpu": 102}, id="fractions of a thousandth are rounded up"),
        pytest.param({"containers": [c()]}, {}, id="nothing is asked for"),
    ],
)
def test_requests(spec: dict[str, Any], expected: dict[str, int]) -> None:
    assert pod_requests({"spec": spec}) == expected


INFEASIBLE = {"conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]}


@pytest.mark.parametrize("of", [kube_pod_requests, pod_requests])
@pytest.mark.parametrize(
    ("asked", "actual", "allocated", "more", "expected"),
    [
        pytest.param("1", "3", "2", {}, 3000, id="the larger of old and new"),
        pytest.param("4", "3", "2", {}, 4000, id="what is to come counts"),
        pytest.param("4", "1", "2", INFEASIBLE, 2000, id="but not what cannot be done"),
    ],
)
def test_a_pod_that_is_being_resized(of: Any, asked: str, actual: str, allocated: str, more: dict[str, Any], expected: int) -> None:
    has = {"resources": {"requests": {"cpu": actual}}, "allocatedResources": {"cpu": allocated}}
    pod = make_pod("p", cpu=asked, status={"containerStatuses": [{"name": "main", **has}], **more})
    assert _milli_cpu(of(pod)) == expected
    whole = make_pod("p", cpu="500m", status={**has, **more})
    whole["spec"]["resources"] = {"requests": {"cpu": asked}}
    assert _milli_cpu(of(whole)) == expected, "the pod as a whole"


def _milli_cpu(requests: Any) -> int:
    cpu = requests["cpu"]
    return cpu if isinstance(cpu, int) else int(cpu.milli_value())


@pytest.mark.parametrize(
    ("containers", "cpu", "memory"),
    [
        pytest.param([c(), c()], 200, 400 << 20, id="each container without requests counts as a little"),
        pytest.param([c("1"), c(memory="1Gi")], 1100, (1 << 30) + (200 << 20), id="only what is left out is made up"),
        pytest.param([c("1", "1Gi")], 1000, 1 << 30, id="nothing is made up where all is given"),
    ],
)
def test_what_a_pod_counts_for_in_scores(containers: list[Any], cpu: int, memory: int) -> None:
    pod = PodInfo(make_pod("p") | {"spec": {"containers": containers}})
    assert (pod.scored_cpu, pod.scored_memory) == (cpu, memory)


def test_replicas_have_one_signature_and_others_another() -> None:
    def signature(name: str, **rest: Any) -> bytes:
        return PodInfo(make_pod(name, **rest)).signature

    assert signature("a", cpu="1", volumes=[{"name": "kube-api-access-x"}]) == signature(
        "b", cpu="1", volumes=[{"name": "kube-api-access-y"}]
    )
    different = [
        signature("a"),
        signature("a", cpu="1"),
        signature("a", labels={"a": "b"}),
        signature("a", namespace="other"),
        signature("a", priority=1),
        signature("a", tolerations=[{"operator": "Exists"}]),
        signature("a", nodeSelector={"a": "b"}),
        signature("a", container={"image": "other"}),
        signature("a", container={"ports": [{"hostPort": 80}]}),
        signature("a", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
    ]
    assert len(set(different)) == len(different)
