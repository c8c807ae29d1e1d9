"""`wherry up` and its sisters, as a person uses them: what they print, what they leave behind, and that nothing keeps running."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.client import Api
from tests.system.running import Up, free_port, running_up, wait_until, wherry
from wherry.state import process_start

LOOPS = ["controller-manager", "scheduler", "cloud-controller-manager"]
COMPONENTS = ["apiserver", *LOOPS, "kubelet wherry-1", "kubelet wherry-2", "kubelet wherry-3", "metrics-server", "kube-dns"]
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"


def deployment(name: str, replicas: int) -> dict[str, object]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def uids(api: Api) -> dict[str, str]:
    """What makes the cluster the same cluster: the uids of its nodes and pods, by name."""
    objects = [each for path in ("/api/v1/nodes", PODS) for each in api.get(path)["items"]]
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in objects}


def available(api: Api) -> bool:
    return bool(api.get(f"{DEPLOYMENTS}/web").get("status", {}).get("availableReplicas") == 3)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def up(data_dir: Path) -> Iterator[Up]:
    """A `wherry up` of the test's own, on a port that it chooses itself."""
    with running_up(data_dir, "--secure-port=0") as running:
        yield running


def test_it_says_what_it_starts_and_ctrl_c_leaves_nothing_behind(up: Up) -> None:
    lines = [re.sub(r" \(?(after )?\d+\.\d s\)?", "", line).split() for line in up.printed.splitlines() if line]
    url = Api.of(up.kubeconfig).url
    assert lines[0][:7] == ["starting", "a", "cluster", "of", "3", "simulated", "nodes"]
    assert lines[1] == ["+", "apiserver", "serving", "on", url]
    assert sorted(lines[2:5]) == [["+", "node", f"wherry-{number}", "Ready"] for number in (1, 2, 3)]
    assert lines[5] == ["3", "nodes", "Ready.", "Ctrl-C", "stops", "it."]
    assert f"export KUBECONFIG={up.kubeconfig}\n" in up.printed
    assert (up.kubeconfig.stat().st_mode & 0o777, up.data_dir.stat().st_mode & 0o777) == (0o600, 0o700)
    assert sorted(up.recorded()) == sorted(COMPONENTS)
    assert sorted(up.alive()) == sorted(COMPONENTS)

    assert up.interrupt() == 0
    assert up.alive() == []
    assert "stopping ..." in up.printed
    assert wherry("status", f"--data-dir={up.data_dir}").returncode == 1


def test_a_second_up_on_the_same_directory_is_refused(up: Up) -> None:
    second = wherry("up", f"--data-dir={up.data_dir}", "--secure-port=0")
    assert second.returncode == 1
    assert (second.stdout, second.stderr.count("\n")) == ("", 1)
    assert f"this cluster is running already (process {up.process.pid}" in second.stderr
    assert sorted(up.alive()) == sorted(COMPONENTS)


def test_up_again_finds_the_cluster_as_it_was(data_dir: Path) -> None:
    port = free_port()
    with running_up(data_dir, f"--secure-port={port}") as up:
        api = Api.of(up.kubeconfig)
        assert api.call("POST", DEPLOYMENTS, deployment("web", 3)).status == 201
        wait_until(lambda: available(api), "three replicas are available")
        before = uids(api)
        assert up.interrupt() == 0
    with running_up(data_dir, f"--secure-port={port}") as up:
        api = Api.of(up.kubeconfig)
        wait_until(lambda: available(api), "three replicas are available again")
        assert uids(api) == before
        assert {pod["status"]["phase"] for pod in api.get(PODS)["items"]} == {"Running"}


def test_detach_status_kubectl_down(data_dir: Path) -> None:
    flag = f"--data-dir={data_dir}"
    try:
        started = wherry("up", flag, f"--secure-port={free_port()}", "--detach")
        assert started.returncode == 0, started.stderr
        assert "3 nodes Ready" in started.stdout
        assert "`wherry down` stops it." in started.stdout
        run = json.loads((data_dir / "run.json").read_text())
        pids = [run["pid"], *run["children"].values()]
        status = wherry("status", flag)
        assert status.returncode == 0, status.stdout + status.stderr
        assert "3 of 3 nodes Ready" in status.stdout
        assert [line.split()[-2] for line in status.stdout.splitlines() if line.startswith(tuple(COMPONENTS))] == ["running"] * len(
            COMPONENTS
        )
        down = wherry("down", flag)
        assert (down.returncode, down.stdout) == (0, "stopped\n"), down.stderr
        assert [pid for pid in pids if process_start(pid)] == []
    finally:
        wherry("down", flag)
    again = wherry("down", flag)
    assert (again.returncode, again.stderr) == (1, f"wherry: no cluster is running in {data_dir}\n")


def test_wherry_kubectl(cluster: Up, kubectl_installed: None) -> None:
    ran = wherry("kubectl", "--data-dir", str(cluster.data_dir), "get", "nodes", "--no-headers", "-o", "name")
    assert ran.stdout.split() == ["node/wherry-1", "node/wherry-2", "node/wherry-3"], ran.stderr
    failed = wherry("kubectl", "--data-dir", str(cluster.data_dir), "get", "node", "nobody")
    assert (failed.returncode, failed.stderr) == (1, 'Error from server (NotFound): nodes "nobody" not found\n')
    nothing = wherry("kubectl", "--data-dir", str(cluster.data_dir / "other"), "get", "nodes")
    assert nothing.returncode == 1
    assert "`wherry up` starts one" in nothing.stderr


@pytest.mark.parametrize("name", ["apiserver", "controller-manager", "kubelet wherry-2"])
def test_a_component_that_dies_is_started_again(up: Up, name: str) -> None:
    api = Api.of(up.kubeconfig)
    os.kill(up.recorded()[name], signal.SIGKILL)
    wait_until(lambda: f"{name} ended with -9" in up.printed, "it says so")
    wait_until(lambda: api.is_ready(), "the API server is ready again, where it was")
    assert api.call("POST", DEPLOYMENTS, deployment("web", 3)).status == 201
    wait_until(lambda: available(api), "three replicas are available")
    wait_until(lambda: wherry("status", f"--data-dir={up.data_dir}").returncode == 0, "status knows the new process")
    assert up.interrupt() == 0


def test_the_children_end_even_if_up_is_killed(up: Up) -> None:
    up.process.kill()
    up.process.wait()
    wait_until(lambda: up.alive() == [], "the components have ended", within_s=30)
    assert wherry("status", f"--data-dir={up.data_dir}").returncode == 1
