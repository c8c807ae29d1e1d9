"""docs/simulation.md is true: its examples do what it says."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kube.clock import LoopClock
from kube.objects import Object, is_condition_true
from kube.quantity import parse
from kubelet.runtime.base import ContainerConfig, SandboxConfig
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.stages.simulation import Simulation
from tests.virtual import virtual
from wherry import Cluster

TEXT = (Path(__file__).resolve().parents[2] / "docs/simulation.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
ALL: list[Object] = [each for block in BLOCKS for each in yaml.safe_load_all(block)]
OBJECTS: dict[str, Object] = {each["metadata"]["name"]: each for each in ALL if each["kind"] != "HorizontalPodAutoscaler"}
AUTOSCALERS = [each for each in ALL if each["kind"] == "HorizontalPodAutoscaler"]
STAGES = [each for each in OBJECTS.values() if each["kind"] == "Stage"]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=1) as made:
        yield made


def state_of(cluster: Cluster, name: str, container: str = "app") -> Object:
    statuses: list[Object] = cluster.client.get("Pod", name)["status"]["containerStatuses"]
    return next(each for each in statuses if each["name"] == container)


def waiting_for(cluster: Cluster, name: str, reason: str) -> Object:
    """The container's state once it waits for that reason."""

    def waiting() -> Object | None:
        found: Object | None = state_of(cluster, name)["state"].get("waiting")
        return found if found and found["reason"] == reason else None

    cluster.wait_for("Pod", name, lambda pod: pod["status"].get("containerStatuses"))
    return cluster.wait_until(waiting) or {}


def pod(
    name: str, image: str = "nginx", *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> Object:
    metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "app", "image": image}], **spec}}


def test_a_script_runs_with_its_environment_and_files(cluster: Cluster) -> None:
    cluster.apply([OBJECTS["config"], OBJECTS["script"]])
    cluster.wait_for("Pod", "script")
    assert cluster.client.logs("script") == "hello world\n"
    cluster.advance(seconds=61)
    assert cluster.client.get("Pod", "script")["status"]["phase"] == "Failed"
    assert state_of(cluster, "script")["state"]["terminated"]["exitCode"] == 3
    assert cluster.client.logs("script") == "hello world\nslow and steady\n"


def test_a_crash_loop_restarts_with_growing_pauses(cluster: Cluster) -> None:
    cluster.apply(OBJECTS["crash"])
    waiting_for(cluster, "crash", "CrashLoopBackOff")
    status = state_of(cluster, "crash")
    assert status["restartCount"] == 1, "the first restart is immediate"
    assert (status["lastState"]["terminated"]["exitCode"], status["lastState"]["terminated"]["message"]) == (1, "out of luck")
    restarts = []
    for _ in range(4):
        cluster.advance(minutes=1)
        restarts.append(state_of(cluster, "crash")["restartCount"])
    assert restarts == sorted(restarts)
    assert 4 <= restarts[-1] <= 6
    assert "ended with exit code 1" in cluster.client.logs("crash", previous=True)
    assert any(each["reason"] == "BackOff" for each in cluster.client.list("Event"))


def test_an_annotation_may_be_for_one_container(cluster: Cluster) -> None:
    cluster.apply(OBJECTS["helper-dies"])
    cluster.wait_for("Pod", "helper-dies")
    cluster.advance(seconds=11)
    end = state_of(cluster, "helper-dies", "helper")["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (137, "OOMKilled")
    assert "running" in state_of(cluster, "helper-dies")["state"]


def test_a_readiness_annotation_holds_until_it_is_taken_away(cluster: Cluster) -> None:
    cluster.apply(OBJECTS["not-ready"])
    cluster.advance(minutes=5)
    found = cluster.client.get("Pod", "not-ready")
    assert found["status"]["phase"] == "Running"
    assert not is_condition_true(found, "Ready")
    assert any(each["reason"] == "Unhealthy" for each in cluster.client.list("Event"))
    cluster.client.patch("Pod", "not-ready", {"metadata": {"annotations": {"wherry.dev/readiness": None}}})
    cluster.wait_for("Pod", "not-ready", timeout_s=1)


def test_a_failing_liveness_probe_restarts_the_container(cluster: Cluster) -> None:
    cluster.apply(OBJECTS["sick"])
    cluster.wait_for("Pod", "sick")
    cluster.advance(seconds=29)
    assert state_of(cluster, "sick")["restartCount"] == 0
    cluster.advance(seconds=60)
    assert state_of(cluster, "sick")["restartCount"] >= 1


def test_an_exec_probe_sees_the_containers_files(cluster: Cluster) -> None:
    cluster.apply(OBJECTS["file-probe"])
    cluster.advance(seconds=15)
    assert not is_condition_true(cluster.client.get("Pod", "file-probe"), "Ready")
    cluster.wait_for("Pod", "file-probe", timeout_s=15)


def test_images_that_no_registry_has_are_pulled_in_vain(cluster: Cluster) -> None:
    cluster.apply([OBJECTS["typo"], OBJECTS["denied"], OBJECTS["wrong-name"]])
    assert "not found" in waiting_for(cluster, "typo", "ErrImagePull")["message"]
    waiting_for(cluster, "typo", "ImagePullBackOff")
    assert "unauthorized: authentication required" in waiting_for(cluster, "denied", "ImagePullBackOff")["message"]
    waiting_for(cluster, "wrong-name", "InvalidImageName")


def test_what_happens_without_being_told_anything(cluster: Cluster) -> None:
    init = {"name": "init", "image": "busybox"}
    sidecar = {"name": "side", "image": "proxy", "restartPolicy": "Always"}
    cluster.apply(pod("web", initContainers=[init, sidecar], terminationGracePeriodSeconds=30))
    cluster.wait_for("Pod", "web", timeout_s=5)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}}
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "worker"}]}}
    cluster.apply({**job, "spec": {"template": template}})
    cluster.wait_for("Job", "once", "Complete", timeout_s=10)
    cluster.advance(hours=1)
    assert [each["restartCount"] for each in cluster.client.get("Pod", "web")["status"]["containerStatuses"]] == [0]
    assert "Wherry simulates this container" in cluster.client.logs("web", container="app")
    cluster.client.delete("Pod", "web")
    cluster.wait_for("Pod", "web", "delete", timeout_s=2)
    node = cluster.client.get("Node", "wherry-1")["status"]["capacity"]
    assert (node["cpu"], node["memory"], node["pods"]) == ("8", "32Gi", "110")


def test_a_container_that_stops_slowly_takes_its_time(cluster: Cluster) -> None:
    cluster.apply(pod("slow", annotations={"wherry.dev/stop-s": "20"}))
    cluster.wait_for("Pod", "slow")
    cluster.client.delete("Pod", "slow")
    cluster.advance(seconds=19)
    assert cluster.client.find("Pod", "slow") is not None
    cluster.wait_for("Pod", "slow", "delete", timeout_s=5)


def test_a_stage_makes_containers_end(tmp_path: Path) -> None:
    file = tmp_path / "stages.yaml"
    file.write_text(yaml.safe_dump_all(STAGES))
    with Cluster(nodes=1, stages=[file]) as cluster:
        cluster.apply([pod("flaky", labels={"flaky": "true"}), pod("steady"), pod("oom", annotations={"chaos": "oom"})])
        for name in ("flaky", "steady", "oom"):
            cluster.wait_for("Pod", name)
        cluster.advance(seconds=4)
        assert state_of(cluster, "oom")["restartCount"] == 0
        cluster.advance(seconds=15)
        assert state_of(cluster, "oom")["lastState"]["terminated"]["reason"] == "OOMKilled"
        assert state_of(cluster, "flaky")["restartCount"] == 0
        cluster.advance(seconds=22)
        assert state_of(cluster, "flaky")["lastState"]["terminated"]["exitCode"] == 137
        assert state_of(cluster, "steady")["restartCount"] == 0


def test_a_stage_in_place_of_a_default_one_makes_pulls_slow_or_fail() -> None:
    with Cluster(nodes=1, stages=OBJECTS["image-pull"]) as cluster:
        cluster.apply(
            [pod("slow", "slow.example.com/app:1"), pod("gone", "slow.example.com/app:gone"), pod("other", "other.example.com/app:1")]
        )
        cluster.wait_for("Pod", "other", timeout_s=1)
        cluster.advance(seconds=28)
        assert cluster.client.get("Pod", "slow")["status"]["phase"] == "Pending"
        cluster.wait_for("Pod", "slow", timeout_s=5)
        assert "slow.example.com/app:gone: not found" in waiting_for(cluster, "gone", "ErrImagePull")["message"]


def test_load_by_annotation_is_measured_and_answered_by_an_autoscaler() -> None:
    with Cluster(nodes=1, metrics=True) as cluster:
        cluster.apply([OBJECTS["web"], *AUTOSCALERS])
        cluster.wait_for("Deployment", "web", "Available")
        cluster.wait_for("Deployment", "web", lambda found: found is not None and found["spec"]["replicas"] == 4)
        cluster.wait_for("Deployment", "web", lambda found: found is not None and found["spec"]["replicas"] == 5)


def test_load_and_pages_of_metrics_by_kwoks_objects() -> None:
    with Cluster(nodes=1, metrics=True, stages=[OBJECTS["rush"], OBJECTS["busy"]]) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rush"}})
        cluster.wait_for("ServiceAccount", "default", "create", namespace="rush")
        for namespace in ("rush", "default"):
            cluster.apply(pod("app"), namespace=namespace)
            cluster.wait_for("Pod", "app", namespace=namespace)
        cluster.wait_for("APIService", "v1beta1.metrics.k8s.io", "Available")
        assert 100 <= milli(cluster, "rush") < 300
        cluster.advance(minutes=5)
        assert 590 <= milli(cluster, "rush") < 700
        cluster.advance(minutes=10)
        assert (milli(cluster, "rush"), milli(cluster, "default")) == (1100, 1)


def test_logs_begin_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_text("2025-12-31T23:59:59.5Z stderr F from a file\nplain\n")
    spec = {"selector": {"matchNames": ["app"]}, "logs": [{"containers": ["app"], "logsFile": str(file)}]}
    logs = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterLogs", "metadata": {"name": "file"}, "spec": spec}
    with Cluster(nodes=1, stages=logs) as cluster:
        cluster.apply([pod("app"), pod("other")])
        for name in ("app", "other"):
            cluster.wait_for("Pod", name)
        assert cluster.client.logs("app").startswith("from a file\nplain\nWherry simulates this container")
        assert cluster.client.logs("other").startswith("Wherry simulates this container")


@virtual
async def test_commands_have_the_environment_that_an_exec_names() -> None:
    runtime = SimulatedRuntime(clock=LoopClock(), rng=random.Random(1), simulation=Simulation.of([OBJECTS["shell"]]))
    for namespace, expected in (("default", b"hello /srv\n"), ("elsewhere", b" /\n")):
        of = pod("app")
        of["metadata"] |= {"namespace": namespace, "uid": namespace}
        sandbox = await runtime.run_pod_sandbox(SandboxConfig(of))
        container = await runtime.create_container(sandbox.id, ContainerConfig(of["spec"]["containers"][0], "ref"))
        await runtime.start_container(container)
        done = await runtime.exec_sync(container, ["sh", "-c", "echo $GREETING $(pwd)"], timeout_s=5)
        assert (done.exit_code, done.stdout.lstrip()) == (0, expected.lstrip())
    await runtime.close()


def milli(cluster: Cluster, namespace: str) -> int:
    """The CPU that the pod is said to use."""
    found = cluster.client.get(("metrics.k8s.io/v1beta1", "PodMetrics"), "app", namespace=namespace)
    return parse(found["containers"][0]["usage"]["cpu"]).milli_value()


def test_every_example_is_used_by_a_test() -> None:
    used = set(re.findall(r'OBJECTS\["([^"]+)"\]', Path(__file__).read_text())) | {each["metadata"]["name"] for each in STAGES}
    assert set(OBJECTS) == used
