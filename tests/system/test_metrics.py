"""`kubectl top` against a cluster as people start it: nodes and pods, from the nodes' own statistics through the metrics server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.client import Api
from tests.system.kubectl import ENDS, parameters
from tests.system.running import Up, running_up, wait_until

API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("metrics") / "data", "--secure-port=0", "--nodes=2") as running:
        api = Api.of(running.kubeconfig)
        wait_until(lambda: is_available(api), "metrics.k8s.io is available")
        requests = {"cpu": "500m", "memory": "64Mi"}
        container = {"name": "app", "image": "nginx", "resources": {"requests": requests}}
        annotations = {"wherry.dev/usage-cpu": "250m", "kwok.x-k8s.io/usage-memory": "48Mi"}
        metadata = {"name": "busy", "labels": {"app": "busy"}, "annotations": annotations}
        wait_until(
            lambda: api.call("POST", PODS, {"metadata": metadata, "spec": {"containers": [container]}}).status == 201, "a pod is made"
        )
        wait_until(lambda: api.get(f"{PODS}/busy")["status"]["phase"] == "Running", "the pod runs")
        yield running


def is_available(api: Api) -> bool:
    found = api.call("GET", API_SERVICE)
    return found.status == 200 and any(each["status"] == "True" for each in api.get(API_SERVICE).get("status", {}).get("conditions", []))


def top(program: Path, up: Up, *arguments: str) -> list[list[str]]:
    """The rows, once there is something in them: what a node has said is good for some seconds."""
    command = [str(program), f"--kubeconfig={up.kubeconfig}", "top", *arguments, "--no-headers"]
    rows: list[list[str]] = []

    def ran() -> bool:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        rows[:] = [line.split() for line in done.stdout.splitlines()]
        return done.returncode == 0 and bool(rows)

    wait_until(ran, f"{' '.join(arguments)} are measured")
    return rows


@pytest.mark.parametrize("program", parameters(ENDS))
def test_kubectl_top_shows_what_pods_and_nodes_use(program: Path, up: Up) -> None:
    assert top(program, up, "pods") == [["busy", "250m", "48Mi"]]
    assert top(program, up, "pods", "--containers", "--selector=app=busy") == [["busy", "app", "250m", "48Mi"]]
    nodes = {name: (cpu, percent, memory) for name, cpu, percent, memory, _ in top(program, up, "nodes")}
    assert sorted(nodes) == ["wherry-1", "wherry-2"]
    assert sorted(nodes.values()) == [("0m", "0%", "0Mi"), ("250m", "3%", "48Mi")]


@pytest.mark.parametrize("program", parameters(ENDS))
def test_the_group_is_in_discovery_and_explained(program: Path, up: Up) -> None:
    def run(*arguments: str) -> str:
        command = [str(program), f"--kubeconfig={up.kubeconfig}", f"--cache-dir={up.data_dir / 'cache'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    listed = run("api-resources", "--api-group=metrics.k8s.io", "-o", "name").split()
    assert listed == ["nodes.metrics.k8s.io", "pods.metrics.k8s.io"]
    assert "NodeMetrics" in run("explain", "nodes", "--api-version=metrics.k8s.io/v1beta1")
    assert json.loads(run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/busy"))["kind"] == "PodMetrics"
