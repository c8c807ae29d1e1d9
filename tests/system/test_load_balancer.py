"""Services of type LoadBalancer as people use them: `kubectl expose`, and their address answers on this machine."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.system.client import Api
from tests.system.components import running_components
from tests.system.kubectl import Kubectl
from tests.system.running import Processes, free_port, wait_until
from tests.system.test_leaders import TERMS
from tests.system.walk import jsonpath, rolled_out
from wherry.plan import Options, processes

CLOUD = "cloud-controller-manager"
INGRESS = "{.status.loadBalancer.ingress[0]"
LIMIT_S = 10.0


def exposed(kubectl: Kubectl, name: str, port: int) -> str:
    """A new Service of the Deployment `web`, and the address that it has been given."""
    kubectl("expose", "deployment", "web", f"--name={name}", "--type=LoadBalancer", f"--port={port}", "--target-port=80")
    wait_until(lambda: jsonpath(kubectl, INGRESS + ".ip}", "service", name) != "", f"the Service {name} has an address")
    return jsonpath(kubectl, INGRESS + ".ip}", "service", name)


def page(address: str, port: int) -> str:
    """The pod whose page comes; "" where the connection is closed without an answer. Raises ConnectionRefusedError."""
    connection = http.client.HTTPConnection(address, port, timeout=LIMIT_S)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        named = re.search(r"^pod: +\S+/(\S+)$", answer.read().decode(), re.MULTILINE)
        assert (answer.status, named is not None) == (200, True)
        return named[1] if named else ""
    except ConnectionRefusedError:
        raise
    except (ConnectionResetError, http.client.RemoteDisconnected):
        return ""
    finally:
        connection.close()


def is_free(address: str, port: int) -> bool:
    try:
        socket.create_server((address, port)).close()
    except OSError:
        return False
    return True


def pods(kubectl: Kubectl) -> set[str]:
    return set(jsonpath(kubectl, "{.items[*].metadata.name}", "pods", "--selector=app=web").split())


def test_expose_and_the_address_answers(web: Kubectl) -> None:
    port = free_port()
    address = exposed(web, "web", port)
    assert address.startswith("127.100.0.")
    assert [row[3] for row in web("get", "service", "web", "--no-headers").rows] == [address]
    assert jsonpath(web, INGRESS + ".ports}", "service", "web") == ""
    wait_until(lambda: {page(address, port) for _ in range(6)} == pods(web), "each pod has its turn")

    web("scale", "deployment/web", "--replicas=0")
    wait_until(lambda: page(address, port) == "", "there is nothing behind it")
    web("scale", "deployment/web", "--replicas=2")
    rolled_out(web, "web")
    wait_until(lambda: {page(address, port) for _ in range(4)} == pods(web), "it answers as before")

    other = exposed(web, "other", port)
    assert other != address
    wait_until(lambda: page(other, port) in pods(web), "the same port of another address answers")

    web("delete", "service", "web")
    with pytest.raises(ConnectionRefusedError):
        page(address, port)
    assert is_free(address, port)
    assert page(other, port) in pods(web)


def test_a_port_that_is_taken_is_said_where_people_look(web: Kubectl) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = int(taken.getsockname()[1])
        exposed(web, "web", port)
        assert jsonpath(web, INGRESS + ".ports[0].error}", "service", "web") == "wherry.io/PortInUse"
        wait_until(lambda: "PortInUse" in web("describe", "service", "web").out, "describe shows the event")
        assert re.search(
            rf"Warning +PortInUse .*port {port} of 127\.100\.\S+ is in use by another program", web("describe", "service", "web").out
        )


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[Processes, Options]]:
    """A cluster with two cloud controller managers, of which one leads."""
    options = Options(data_dir=tmp_path / "data", secure_port=free_port(), nodes=1)
    planned = [each for each in processes(options) if each.is_needed_first]
    [cloud] = [each for each in processes(options) if each.name == CLOUD]
    for number in (1, 2):
        name = f"{CLOUD} {number}"
        planned.append(replace(cloud, name=name, command=(*cloud.command, *TERMS), log=cloud.log.with_name(f"{name}.log")))
    with running_components(options, planned) as running:
        yield running, options


def test_only_the_leader_listens_and_the_next_one_takes_over(replicas: tuple[Processes, Options]) -> None:
    running, options = replicas
    api, port = Api.of(options.data_dir / "kubeconfig"), free_port()
    services, pod = "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/pods"
    wait_until(lambda: api.call("GET", "/api/v1/namespaces/default/serviceaccounts/default").status == 200, "pods can be made")
    container = {"name": "main", "image": "nginx"}
    assert api.call("POST", pod, {"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": [container]}}).status == 201
    spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": port, "targetPort": 80}]}
    assert api.call("POST", services, {"metadata": {"name": "web"}, "spec": spec}).status == 201

    def ingress() -> list[dict[str, str]]:
        found: list[dict[str, str]] = api.get(f"{services}/web")["status"]["loadBalancer"].get("ingress", [])
        return found

    wait_until(lambda: ingress() != [], "the Service has an address")
    address = ingress()[0]["ip"]
    wait_until(lambda: page(address, port) == "web", "it answers")
    listening = f"listening on {address} port {port}"
    [first] = [each for each in (f"{CLOUD} 1", f"{CLOUD} 2") if listening in running.log(each)]
    [second] = {f"{CLOUD} 1", f"{CLOUD} 2"} - {first}
    os.kill(running.pid(first), signal.SIGTERM)
    wait_until(lambda: running.ended() == {first: 0}, "the leader has ended")
    wait_until(lambda: listening in running.log(second), "the other one listens")
    assert page(address, port) == "web"
    assert ingress() == [{"ip": address, "ipMode": "VIP"}]
