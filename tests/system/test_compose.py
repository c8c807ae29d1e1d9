"""docker-compose.yml without Docker: each command is a command line of its component, and exactly these commands, started as local
processes, make a cluster. Changed are only paths (under a temporary directory), bind addresses (to loopback) and ports (to free ones).
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.settings import read as read_settings
from tests.system.client import Api
from tests.system.running import ROOT, Processes, free_port, wait_until
from wherry.plan import Options, Process, processes

COMPONENTS = [
    "apiserver",
    "access",
    "controller-manager",
    "scheduler",
    "cloud-controller-manager",
    "metrics-server",
    "kube-dns",
    "kubelet-1",
    "kubelet-2",
    "kubelet-3",
]
PARSERS = {
    "apiserver": "apiserver.settings",
    "controllers": "controllers.__main__",
    "kubelet": "kubelet.__main__",
    "kubelet.dns": "kubelet.dns.__main__",
    "wherry.access": "wherry.access",
}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def test_every_component_is_a_service(services: dict[str, Any]) -> None:
    assert list(services) == COMPONENTS
    entry = re.search(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert entry is not None
    assert yaml.safe_load(entry[1]) == ["python", "-m"]


@pytest.mark.parametrize("name", COMPONENTS)
def test_its_command_is_a_command_line_of_the_component(services: dict[str, Any], name: str) -> None:
    module, *arguments = services[name]["command"]
    parser: Callable[[], argparse.ArgumentParser] = importlib.import_module(PARSERS[module]).parser
    parser().parse_args(arguments)


def test_everybody_is_who_they_are_in_wherry_up_and_may_do_as_much(services: dict[str, Any], tmp_path: Path) -> None:
    server = read_settings([*services["apiserver"]["command"][1:]])
    planned = {each.name: each.command for each in processes(Options(tmp_path))}
    up = read_settings([*planned["apiserver"][3:]])
    for_people = {("admin", ("system:masters",)), ("wherry", ("system:masters",))}
    assert {(each.user, each.groups) for each in server.issue_kubeconfig} - for_people == {
        (each.user, each.groups) for each in up.issue_kubeconfig
    }
    assert server.authorization_mode == up.authorization_mode == ("Node", "RBAC")
    assert server.enable_admission_plugins == up.enable_admission_plugins == ("NodeRestriction",)
    for command in (services["controller-manager"]["command"], planned["controller-manager"]):
        assert "--use-service-account-credentials" in command


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_files_it_names_are_on_its_volumes(services: dict[str, Any], name: str) -> None:
    service = services[name]
    mounted = {volume.split(":")[1]: volume.endswith(":ro") for volume in service["volumes"]}
    for argument in service["command"]:
        for path in re.findall(r"=(/[\w/-]+)$", argument):
            top = "/" + path.split("/")[1]
            assert top in mounted, f"{argument}: {top} is no volume"
            assert not (mounted[top] and argument.startswith(("--issue-kubeconfig", "--data-dir"))), f"{argument}: {top} is read-only"


class Rewriter:
    """Makes a command of the file one for this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()

    def __call__(self, argument: str) -> str:
        text = re.sub(r"(=)(/(data|kubeconfigs)\b)", rf"\g<1>{self._directory}\g<2>", argument)
        text = text.replace("=0.0.0.0", "=127.0.0.1").replace("--node-ip=auto", "--node-ip=127.0.0.1")
        text = text.replace("--secure-port=6443", f"--secure-port={self.port}").replace("127.0.0.1:6443", f"127.0.0.1:{self.port}")
        text = re.sub(r"--advertise-host=(apiserver|metrics-server)", "--advertise-host=127.0.0.1", text)
        return re.sub(r"--(healthz-port|port)=\d+", r"--\1=0", text)

    def command(self, service: dict[str, Any]) -> list[str]:
        command = [self(each) for each in service["command"]]
        if command[0] == "kubelet":  # containers have a network namespace each, so there the default ports do not meet
            command += ["--port=0", "--healthz-port=0"]
        if command[0] == "kubelet.dns":
            command += ["--healthz-port=0", "--upstream="]
        if command[:2] == ["controllers", "metrics"]:
            command += ["--secure-port=0", "--healthz-port=0"]
        return command


@pytest.fixture(scope="module")
def composed(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Processes, Rewriter, Path]]:
    """The services as processes."""
    directory = tmp_path_factory.mktemp("compose")
    rewrite = Rewriter(directory)
    planned = []
    for name, service in services.items():
        command = rewrite.command(service)
        config = next((Path(each.partition("=")[2]) for each in command if each.startswith("--kubeconfig=")), None)
        planned.append(Process(name, (sys.executable, "-m", *command), directory / f"{name}.log", config))
    environment = {key: value for service in services.values() for key, value in (service.get("environment") or {}).items()}
    processes = Processes(planned, environment=environment)
    try:
        processes.start_all()
        yield processes, rewrite, directory
    finally:
        processes.stop()


def is_ready(node: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node.get("status", {}).get("conditions", []))


def test_the_services_make_a_cluster(composed: tuple[Processes, Rewriter, Path], services: dict[str, Any]) -> None:
    processes, rewrite, directory = composed
    wait_until((directory / "kubeconfigs" / "admin").exists, "the admin's kubeconfig is written")
    api = Api.of(directory / "kubeconfigs" / "admin")
    assert api.url == f"https://127.0.0.1:{rewrite.port}"
    wait_until(api.is_ready, "the API server is ready")
    wait_until(lambda: sum(map(is_ready, api.get("/api/v1/nodes")["items"])) == 3, "three nodes are Ready")
    assert sorted(node["metadata"]["name"] for node in api.get("/api/v1/nodes")["items"]) == ["wherry-1", "wherry-2", "wherry-3"]

    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}
    path = "/api/v1/namespaces/default"
    wait_until(lambda: api.call("GET", f"{path}/serviceaccounts/default").status == 200, "the controllers work")
    assert api.call("POST", f"{path}/pods", pod).status == 201
    wait_until(lambda: api.get(f"{path}/pods/web")["status"]["phase"] == "Running", "the pod runs")
    api_service = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
    wait_until(lambda: api.call("GET", api_service).status == 200 and "Passed" in json.dumps(api.get(api_service)), "metrics are served")
    assert [each["metadata"]["name"] for each in api.get("/apis/metrics.k8s.io/v1beta1/nodes")["items"]] == [
        "wherry-1",
        "wherry-2",
        "wherry-3",
    ]
    assert processes.ended() == {"access": 0}

    check, *command = services["apiserver"]["healthcheck"]["test"]
    assert (check, command[:3]) == ("CMD", ["python", "-m", "kube.client.probe"])
    argv = [sys.executable, *(rewrite(each) for each in command[1:])]
    well = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (well.returncode, well.stdout) == (0, "ok\n"), well.stderr
    processes.kill("apiserver")
    ill = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ill.returncode == 1
    assert ill.stderr.startswith("probe: ")
    assert "Traceback" not in ill.stderr
