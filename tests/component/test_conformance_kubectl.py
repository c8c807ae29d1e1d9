"""Upstream's conformance tests of kubectl: the newest real one there is, against a cluster in this process. Skipped where there is none."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kube.objects import Object
from tests.component.test_conformance_custom_resources import ANYTHING, definition, version
from tests.system.kubectl import ENDS, NONE_INSTALLED, Kubectl
from wherry import Cluster

pytestmark = pytest.mark.skipif(not ENDS, reason=NONE_INSTALLED)
GROUP = "e2e.example.com"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for all of the module; keep to names of your own."""
    with Cluster(nodes=1, time="real") as made:
        yield made


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(ENDS[-1], cluster.kubeconfig, tmp_path_factory.mktemp("home"))


def controller(name: str, replicas: int, image: str = "agnhost:2") -> Object:
    labels = {"app": name}
    container = {"name": "primary", "image": image, "ports": [{"name": "server", "containerPort": 6379}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": labels, "template": template}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name, "labels": labels}, "spec": spec}


def running(cluster: Cluster, name: str, count: int) -> list[str]:
    """The names of the controller's pods, once so many run."""

    def are_there() -> list[Object]:
        found = cluster.client.list("Pod", label_selector=f"app={name}")
        up = [each for each in found if each["status"].get("phase") == "Running" and not each["metadata"].get("deletionTimestamp")]
        return up if len(up) == len(found) == count else []

    return [each["metadata"]["name"] for each in cluster.wait_until(are_there, what=f"{count} pods of {name}")]


def test_versions_and_the_server(kubectl: Kubectl) -> None:
    assert "v1" in kubectl("api-versions").out.splitlines()
    info = re.sub(r"\x1b\[[0-9;]*m", "", kubectl("cluster-info").out)
    assert info.startswith("Kubernetes control plane is running at https://")
    both = json.loads(kubectl("version", "-o", "json").out)
    for each in ("clientVersion", "serverVersion"):
        assert {"major", "minor", "gitVersion", "gitCommit", "platform"} <= set(both[each])


def test_a_controller_is_created_scaled_described_exposed_and_annotated(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=json.dumps(controller("primary", 2)))
    running(cluster, "primary", 2)
    for replicas in (1, 2):
        kubectl("scale", "rc", "primary", f"--replicas={replicas}", "--timeout=1m")
        pods = running(cluster, "primary", replicas)
    described = kubectl("describe", "pod", pods[0]).out
    for line in (
        "Name: +primary-",
        "Namespace: +default",
        r"Node: +\S",
        "Labels: +app=primary",
        "Status: +Running",
        "IP: +10",
        "Controlled By: +ReplicationController/primary",
        "Image: +agnhost:2",
        "State: +Running",
    ):
        assert re.search(f"^ *{line}", described, re.MULTILINE), line
    of_rc = kubectl("describe", "rc", "primary").out
    for line in (
        "Name: +primary",
        "Selector: +app=primary",
        "Replicas: +2 current / 2 desired",
        "Pods Status: +2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
    ):
        assert re.search(f"^{line}", of_rc, re.MULTILINE), line

    kubectl("expose", "rc", "primary", "--name=rm2", "--port=1234", "--target-port=6379")
    kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=6379")
    for name, port in (("rm2", 1234), ("rm3", 2345)):
        service = cluster.client.get("Service", name)
        assert (service["spec"]["ports"][0]["port"], service["spec"]["ports"][0]["targetPort"]) == (port, 6379)
        ends = cluster.wait_for("Endpoints", name, lambda found: found.get("subsets"))
        assert [each["port"] for each in ends["subsets"][0]["ports"]] == [6379]
    of_service = kubectl("describe", "service", "rm2").out
    for line in ("Name: +rm2", "Labels: +app=primary", "Type: +ClusterIP", "IP: +10", "Port: +<unset>  1234/TCP", "Endpoints: +10"):
        assert re.search(f"^{line}", of_service, re.MULTILINE), line
    assert re.search(r"^Conditions:$", kubectl("describe", "node", "wherry-1").out, re.MULTILINE)
    assert re.search(r"^Status: +Active", kubectl("describe", "namespace", "default").out, re.MULTILINE)

    for pod in pods:
        kubectl("patch", "pod", pod, "-p", '{"metadata":{"annotations":{"x":"y"}}}')
    assert [each["metadata"]["annotations"]["x"] for each in cluster.client.list("Pod", label_selector="app=primary")] == ["y", "y"]


def test_a_pod_is_run_labelled_replaced_and_dry_run(cluster: Cluster, kubectl: Kubectl) -> None:
    kubectl("run", "e2e-pod", "--image=httpd:2", "--labels=run=e2e-pod")
    assert [each["image"] for each in cluster.wait_for("Pod", "e2e-pod")["spec"]["containers"]] == ["httpd:2"]
    token = kubectl("exec", "e2e-pod", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token").out
    assert token.count(".") == 2, "a token is there when somebody goes in"
    kubectl("label", "pods", "e2e-pod", "testing-label=testing-label-value")
    assert kubectl("get", "pod", "-L", "testing-label", "e2e-pod").out.split()[-1] == "testing-label-value"
    kubectl("label", "pods", "e2e-pod", "testing-label-")
    assert "testing-label-value" not in kubectl("get", "pod", "-L", "testing-label", "e2e-pod").out
    patch = '{"spec":{"containers":[{"name":"e2e-pod","image":"busybox:1"}]}}'
    kubectl("patch", "pod", "e2e-pod", "-p", patch, "--dry-run=server")
    pod = json.loads(kubectl("get", "pod", "e2e-pod", "-o", "json").out)
    assert pod["spec"]["containers"][0]["image"] == "httpd:2", "a dry run changes nothing"
    pod["spec"]["containers"][0]["image"] = "busybox:1"
    kubectl("replace", "-f", "-", stdin=json.dumps(pod))
    after = cluster.client.get("Pod", "e2e-pod")
    assert (after["spec"]["containers"][0]["image"], after["metadata"]["uid"]) == ("busybox:1", pod["metadata"]["uid"])
    pod["metadata"].pop("resourceVersion")
    kubectl("replace", "--force", "-f", "-", stdin=json.dumps(pod))
    assert cluster.client.get("Pod", "e2e-pod")["metadata"]["uid"] != pod["metadata"]["uid"]


def test_the_difference_to_what_is_there(kubectl: Kubectl) -> None:
    labels = {"app": "diff"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "httpd:2"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    body: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "diff"}, "spec": spec}
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:1"
    found = kubectl("diff", "-f", "-", stdin=json.dumps(body), code=1).out
    assert re.search(r"^-\s+- image: httpd:2$", found, re.MULTILINE)
    assert re.search(r"^\+\s+- image: busybox:1$", found, re.MULTILINE)


def test_a_log_in_part(cluster: Cluster, kubectl: Kubectl) -> None:
    command = ["sh", "-c", "echo first; echo second; sleep 9999"]
    spec = {"containers": [{"name": "c", "image": "busybox:1", "command": command}]}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "logs"}, "spec": spec})
    cluster.wait_for("Pod", "logs")
    assert kubectl("logs", "logs").out == "first\nsecond\n"
    assert kubectl("logs", "logs", "--tail=1").out == "second\n"
    assert kubectl("logs", "logs", "--limit-bytes=1").out == "f"
    (line,) = kubectl("logs", "logs", "--tail=1", "--timestamps").out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z second$", line)
    assert kubectl("logs", "logs", "--since=24h").out == "first\nsecond\n"
    assert kubectl("logs", "logs", "--since-time=2100-01-01T00:00:00Z").out == ""


class _Unix(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def versions(connection: http.client.HTTPConnection) -> list[str]:
    connection.request("GET", "/api")
    found: list[str] = json.loads(connection.getresponse().read())["versions"]
    connection.close()
    return found


def test_the_proxy_listens_at_any_port_and_at_a_socket(kubectl: Kubectl) -> None:
    with kubectl.following("proxy", "--port=0", "--disable-filter") as proxy:
        lines = proxy.until(lambda lines: any("Starting to serve on" in line for line in lines))
        port = int(next(line for line in lines if "Starting to serve on" in line).rpartition(":")[2])
        assert versions(http.client.HTTPConnection("127.0.0.1", port)) == ["v1"]
    path = kubectl.home / "proxy.sock"
    with kubectl.following("proxy", f"--unix-socket={path}") as proxy:
        proxy.until(lambda lines: any("Starting to serve on" in line for line in lines))
        assert versions(_Unix(path)) == ["v1"]


# --- kubectl and the OpenAPI of custom resources ----------------------------------------------------------------------------------------


EMBEDDED: Object = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
LOOSE: Object = {"type": "object", "description": "What is wanted", "x-kubernetes-preserve-unknown-fields": True}
BARS: Object = {
    "type": "array",
    "description": "List of Bars and their specs.",
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "Name of Bar."},
            "age": {"type": "string", "description": "Age of Bar."},
            "feeling": {"type": "string", "enum": ["Great", "Down"]},
        },
    },
}
STRICT: Object = {
    "type": "object",
    "description": "Foo for Testing",
    "properties": {"spec": {"type": "object", "properties": {"bars": BARS}}},
}


def defined(cluster: Cluster, plural: str, schema: Object) -> str:
    """A definition whose kind is served; its kind."""
    made = definition(plural, version("v1", schema))
    cluster.apply({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **made})
    kind = plural.capitalize()
    cluster.wait_until(lambda: cluster.client.raw("GET", f"/apis/{GROUP}/v1/{plural}"), what=f"{plural} are served")
    return kind


def custom(kind: str, **rest: object) -> str:
    return json.dumps({"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "test-cr"}, **rest})


@pytest.mark.parametrize(
    ("plural", "schema", "body", "field", "explained"),
    [
        pytest.param("roots", ANYTHING, {"a": {"b": 1}}, "", "KIND: +Roots", id="at the root"),
        pytest.param(
            "specs", {"type": "object", "properties": {"spec": LOOSE}}, {"spec": {"a": {"b": 1}}}, "", "DESCRIPTION:", id="in an object"
        ),
        pytest.param(
            "embeds",
            {"type": "object", "properties": {"spec": EMBEDDED}},
            {"spec": {"apiVersion": "v1", "kind": "Pod", "a": 1}},
            ".spec",
            "KIND: +Embeds",
            id="in an embedded object",
        ),
    ],
)
def test_unknown_fields_are_accepted_where_they_are_kept(
    cluster: Cluster, kubectl: Kubectl, plural: str, schema: Object, body: dict[str, object], field: str, explained: str
) -> None:
    kind = defined(cluster, plural, schema)
    kubectl("create", "--validate=strict", "-f", "-", stdin=custom(kind, **body))
    kubectl("delete", plural, "test-cr")
    kubectl("apply", "--validate=strict", "-f", "-", stdin=custom(kind, **body))
    kept = json.loads(kubectl("get", plural, "test-cr", "-o", "json").out)
    assert {key: kept[key] for key in body} == body
    assert re.search(explained, kubectl("explain", f"{plural}{field}").out)


def test_what_does_not_fit_the_schema_is_rejected_and_explained(cluster: Cluster, kubectl: Kubectl) -> None:
    kind = defined(cluster, "stricts", STRICT)
    good, bad, lacking = ({"bars": [each]} for each in ({"name": "b", "age": "1"}, {"name": "b", "unknown": "x"}, {"age": "1"}))
    kubectl("create", "-f", "-", stdin=custom(kind, spec=good))
    kubectl("apply", "-f", "-", stdin=custom(kind, spec=good))
    kubectl("delete", "stricts", "test-cr")
    for verb in ("create", "apply"):
        assert "unknown field" in kubectl(verb, "-f", "-", stdin=custom(kind, spec=bad), code=1).err
        assert re.search("[Rr]equired|missing", kubectl(verb, "-f", "-", stdin=custom(kind, spec=lacking), code=1).err)
        wrong = {"bars": [{"name": "b", "feeling": "None"}]}
        assert "Unsupported value" in kubectl(verb, "-f", "-", stdin=custom(kind, spec=wrong), code=1).err
    assert re.search(r"DESCRIPTION:\s+Foo for Testing", kubectl("explain", "stricts").out)
    assert re.search(r"List of Bars and their specs\.", kubectl("explain", "stricts.spec.bars").out)
    inner = kubectl("explain", "stricts.spec.bars.name").out
    assert re.search(r"Name of Bar\.", inner)
    assert kubectl("explain", "stricts.spec.bars2", code=1).err.endswith("does not exist\n")
