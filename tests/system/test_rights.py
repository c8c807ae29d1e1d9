"""`wherry up` lets nobody do more than they must: its components meet no refusal, and a node gets nowhere with what is not its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.client import Api
from tests.system.running import Up, free_port, running_up, wait_until

DEFAULT = "/api/v1/namespaces/default"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
SCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A cluster that nobody else asks for what they may not have."""
    with running_up(tmp_path_factory.mktemp("rights") / "data", f"--secure-port={free_port()}") as running:
        yield running


@pytest.fixture
def admin(up: Up) -> Api:
    return Api.of(up.kubeconfig)


def of_node(up: Up, name: str) -> Api:
    return Api.of(up.data_dir / "kubeconfigs" / name)


def made(api: Api, path: str, obj: dict[str, Any]) -> None:
    answer = api.call("POST", path, obj)
    assert answer.status == 201, answer.body


def refusals(api: Api) -> list[str]:
    """What the server has refused so far."""
    return re.findall(r'^apiserver_request_total\{code="403".*$', api.call("GET", "/metrics").body.decode(), re.MULTILINE)


def template(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "nginx", "resources": {"requests": {"cpu": "10m"}}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec}}


def test_the_components_do_their_work_and_meet_no_refusal(up: Up, admin: Api) -> None:
    wait_until(lambda: admin.call("GET", f"{DEFAULT}/serviceaccounts/default").status == 200, "pods can be made")
    made(admin, f"{DEFAULT}/secrets", {"metadata": {"name": "own"}, "stringData": {"a": "b"}})
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    made(admin, f"{DEFAULT}/persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": storage})
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "s", "secret": {"secretName": "own"}}]
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", volumes=volumes)}
    made(admin, DEPLOYMENT.rpartition("/")[0], {"metadata": {"name": "web"}, "spec": spec})
    job: dict[str, Any] = {"ttlSecondsAfterFinished": 0, "template": template("once", restartPolicy="Never")}
    job["template"]["spec"]["containers"][0]["command"] = ["echo", "done"]
    made(admin, JOBS, {"metadata": {"name": "once"}, "spec": job})
    service = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}
    made(admin, f"{DEFAULT}/services", {"metadata": {"name": "web"}, "spec": service})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    made(admin, SCALERS, {"metadata": {"name": "web"}, "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 4}})
    made(admin, "/api/v1/namespaces", {"metadata": {"name": "short"}})

    wait_until(lambda: admin.get(DEPLOYMENT)["status"].get("availableReplicas") == 3, "the autoscaler's three replicas are there")
    wait_until(lambda: "ingress" in admin.get(f"{DEFAULT}/services/web")["status"]["loadBalancer"], "the load balancer has an address")
    wait_until(lambda: admin.call("GET", f"{JOBS}/once").status == 404, "the job was done, and its time is over")
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert admin.call("PATCH", f"{DEFAULT}/persistentvolumeclaims/data", grown, headers=MERGE).status == 200
    claim = f"{DEFAULT}/persistentvolumeclaims/data"
    wait_until(lambda: admin.get(claim)["status"]["capacity"] == {"storage": "2Gi"}, "the claim has grown")
    assert admin.call("DELETE", "/api/v1/namespaces/short").status == 200
    wait_until(lambda: admin.call("GET", "/api/v1/namespaces/short").status == 404, "the namespace is gone")
    pod = admin.get(f"{DEFAULT}/pods?labelSelector=app%3Dweb")["items"][0]["metadata"]["name"]
    assert admin.call("DELETE", f"{DEFAULT}/pods/{pod}").status == 200
    wait_until(lambda: admin.call("GET", f"{DEFAULT}/pods/{pod}").status == 404, "a pod is gone")

    assert refusals(admin) == []
    logs = {each.name: each.read_text() for each in (up.data_dir / "logs").glob("*.log")}
    assert {"apiserver.log", "controller-manager.log", "kubelet-wherry-1.log"} <= logs.keys()
    assert [name for name, text in logs.items() if "orbidden" in text] == []


def test_a_node_reads_its_own_secrets_and_no_others(up: Up, admin: Api) -> None:
    made(admin, f"{DEFAULT}/secrets", {"metadata": {"name": "of-one"}, "stringData": {"a": "b"}})
    volume = {"name": "s", "secret": {"secretName": "of-one"}}
    made(admin, f"{DEFAULT}/pods", {**template("one", volumes=[volume], nodeName="wherry-1"), "metadata": {"name": "one"}})
    secret = f"{DEFAULT}/secrets/of-one"
    assert of_node(up, "wherry-1").get(secret)["data"] == {"a": "Yg=="}
    refused = of_node(up, "wherry-2").call("GET", secret)
    assert refused.status == 403
    assert refused.json()["message"].endswith("no relationship found between node 'wherry-2' and this object")
    assert of_node(up, "wherry-1").call("GET", f"{DEFAULT}/secrets").status == 403


def test_a_node_changes_itself_alone(up: Up) -> None:
    label = {"metadata": {"labels": {"example.com/a": "b"}}}
    assert of_node(up, "wherry-1").call("PATCH", "/api/v1/nodes/wherry-1", label, headers=MERGE).status == 200
    refused = of_node(up, "wherry-1").call("PATCH", "/api/v1/nodes/wherry-2", label, headers=MERGE)
    assert refused.json()["message"] == 'nodes "wherry-2" is forbidden: node "wherry-1" is not allowed to modify node "wherry-2"'


@pytest.mark.parametrize("user", ["scheduler", "controller-manager", "cloud", "metrics-server", "kube-dns"])
def test_no_component_is_an_administrator(up: Up, user: str) -> None:
    api = of_node(up, user)
    assert api.call("DELETE", "/api/v1/namespaces/default").status == 403
    assert api.call("POST", f"{DEFAULT}/pods", {**template("p"), "metadata": {"name": "p"}}).status == 403


def test_the_kubeconfigs_are_in_nobody_elses_reach(up: Up) -> None:
    files: list[Path] = list((up.data_dir / "kubeconfigs").iterdir())
    assert len(files) == 8
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
