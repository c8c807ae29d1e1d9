"""Cluster DNS as people meet it: `dig` on the machine (here dnspython), `nslookup` through `kubectl exec`, Services that come and go, and
processes that are killed. Nobody upstream is asked for anything.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.system.client import Api
from tests.system.kubectl import ENDS, parameters
from tests.system.running import Up, running_up, wait_until

DEFAULT = "/api/v1/namespaces/default"
ZONE = "default.svc.cluster.local"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running_up(tmp_path_factory.mktemp("dns") / "data", "--secure-port=0", "--nodes=1", "--dns-upstream=") as running:
        api = Api.of(running.kubeconfig)
        pod = {"metadata": {"name": "client"}, "spec": {"containers": [{"name": "c", "image": "busybox", "command": ["sleep", "3600"]}]}}
        wait_until(lambda: api.call("POST", f"{DEFAULT}/pods", pod).status == 201, "a pod is made")
        wait_until(lambda: api.get(f"{DEFAULT}/pods/client")["status"]["phase"] == "Running", "the pod runs")
        wait_until(lambda: answers(running, f"kubernetes.{ZONE}") == ["10.0.0.1"], "DNS answers")
        yield running


def asked(up: Up, name: str, type_: str = "A", *, over_tcp: bool = False) -> dns.message.Message:
    """What is answered at the address that `wherry up` prints. Raises OSError, DNSException."""
    found = re.search(r"dig @(\S+) -p (\d+) ", up.printed)
    assert found is not None, up.printed
    ask = dns.query.tcp if over_tcp else dns.query.udp
    return ask(dns.message.make_query(name, type_), found[1], port=int(found[2]), timeout=5)


def answers(up: Up, name: str, type_: str = "A", *, over_tcp: bool = False) -> list[str]:
    """The data of the records, in some order; its code where there are none, and "" where nobody answers."""
    try:
        response = asked(up, name, type_, over_tcp=over_tcp)
    except (OSError, EOFError, dns.exception.DNSException):
        return [""]
    return sorted(each.to_text() for records in response.answer for each in records) or [dns.rcode.to_text(response.rcode())]


def run_in_pod(up: Up, program: Path, *command: str) -> tuple[str, int]:
    """(stdout, exit code) of a command in the pod `client`."""
    argv = [str(program), f"--kubeconfig={up.kubeconfig}", "exec", "client", "--", *command]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout, done.returncode


def killed(up: Up, name: str) -> None:
    """Kill -9 a component, and wait until it is there again."""
    before = up.recorded()[name]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: up.recorded().get(name, before) != before, f"{name} is started again")


def service(name: str, **spec: Any) -> Any:
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}], **spec}}


def test_the_machine_asks_over_udp_and_tcp(up: Up) -> None:
    for over_tcp in (False, True):
        assert answers(up, f"kubernetes.{ZONE}", over_tcp=over_tcp) == ["10.0.0.1"]
        assert answers(up, f"none.{ZONE}", over_tcp=over_tcp) == ["NXDOMAIN"]
    assert answers(up, "www.example.com") == ["REFUSED"], "there is nobody to ask"
    wait_until(lambda: answers(up, "kube-dns.kube-system.svc.cluster.local") == ["10.0.0.10"], "it has a name itself")
    assert answers(up, "10.0.0.10.in-addr.arpa", "PTR") == ["kube-dns.kube-system.svc.cluster.local."]
    assert answers(up, "_dns._udp.kube-dns.kube-system.svc.cluster.local", "SRV") == ["0 100 53 kube-dns.kube-system.svc.cluster.local."]
    assert answers(up, "dns-version.cluster.local", "TXT") == ['"1.1.0"']


def test_services_come_and_go(up: Up) -> None:
    api = Api.of(up.kubeconfig)
    assert api.call("POST", f"{DEFAULT}/services", service("web", clusterIP="None", selector={"app": "web"})).status == 201
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
    spec = {"replicas": 2, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": template}
    sets = "/apis/apps/v1/namespaces/default/statefulsets"
    assert api.call("POST", sets, {"metadata": {"name": "web"}, "spec": spec}).status == 201
    wait_until(lambda: len(answers(up, f"web.{ZONE}")) == 2, "both replicas are found")
    pods = {name: api.get(f"{DEFAULT}/pods/{name}")["status"]["podIP"] for name in ("web-0", "web-1")}
    assert answers(up, f"web.{ZONE}") == sorted(pods.values())
    for name, address in pods.items():
        assert answers(up, f"{name}.web.{ZONE}") == [address]
        assert answers(up, ".".join(reversed(address.split("."))) + ".in-addr.arpa", "PTR") == [f"{name}.web.{ZONE}."]
    assert len(answers(up, f"_http._tcp.web.{ZONE}", "SRV")) == 2
    scale = {"spec": {"replicas": 1}}
    assert api.call("PATCH", f"{sets}/web", scale, headers={"Content-Type": "application/merge-patch+json"}).status == 200
    wait_until(lambda: answers(up, f"web.{ZONE}") == [pods["web-0"]], "one replica is left")
    assert api.call("DELETE", f"{DEFAULT}/services/web").status == 200
    wait_until(lambda: answers(up, f"web.{ZONE}") == ["NXDOMAIN"], "the Service is gone")


@pytest.mark.parametrize("program", parameters(ENDS))
def test_nslookup_in_a_pod(up: Up, program: Path) -> None:
    resolv = "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.0.0.10\noptions ndots:5\n"
    assert run_in_pod(up, program, "cat", "/etc/resolv.conf") == (resolv, 0)
    server = "Server:    10.0.0.10\nAddress 1: 10.0.0.10 kube-dns.kube-system.svc.cluster.local\n\n"
    wait_until(lambda: run_in_pod(up, program, "nslookup", "kubernetes")[0].startswith(server), "the Service kube-dns is known")
    found = f"{server}Name:      kubernetes.default\nAddress 1: 10.0.0.1 kubernetes.{ZONE}\n"
    assert run_in_pod(up, program, "nslookup", "kubernetes.default") == (found, 0)
    assert run_in_pod(up, program, "nslookup", "none") == (server, 1)
    assert run_in_pod(up, program, "getent", "hosts", "kubernetes") == (f"10.0.0.1        kubernetes.{ZONE}\n", 0)
    assert run_in_pod(up, program, "dig", "+short", "+tcp", f"kubernetes.{ZONE}") == ("10.0.0.1\n", 0)


@pytest.mark.parametrize("program", parameters(ENDS[-1:]))
def test_names_are_found_again_when_processes_have_died(up: Up, program: Path) -> None:
    killed(up, "kube-dns")
    killed(up, "kubelet wherry-1")
    wait_until(lambda: answers(up, f"kubernetes.{ZONE}") == ["10.0.0.1"], "DNS answers at the same address")
    found = (f"10.0.0.1        kubernetes.{ZONE}\n", 0)
    wait_until(lambda: run_in_pod(up, program, "getent", "hosts", "kubernetes") == found, "the pod that was there finds names")
