"""KWOK's expressions, ResourceUsage and Metric objects: what is said, what it comes to, and what is refused."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kube.client.client import Client
from kube.client.informer import Informers
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock
from kube.objects import Object
from kubelet.__main__ import main as kubelet_main
from kubelet.runtime.base import ContainerStats
from kubelet.runtime.simulated_log import read_line
from kubelet.runtime.simulated_usage import usage_of
from kubelet.server.pages import page
from kubelet.server.statistics import resource_metrics
from kubelet.simulation_objects import follow
from kubelet.stages.expression import Expression, Unanswered, World
from kubelet.stages.inside import Shell, first
from kubelet.stages.metric import compiled_metric
from kubelet.stages.query import StageError
from kubelet.stages.simulation import Simulation, documents
from kubelet.stages.usage import UsageSet, compiled_usage
from tests.fake_api import FakeApi
from tests.virtual import virtual

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def pod(name: str = "p", namespace: str = "ns", **annotations: str) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": "2026-01-01T11:58:00Z"}
    return {"metadata": {**metadata, **({"annotations": annotations} if annotations else {})}, "spec": {"containers": [{"name": "app"}]}}


def world(of: Object | None = None) -> World:
    objects = {"pod": of or pod(), "container": {"name": "app"}, "node": {"metadata": {"name": "n1"}}}
    return World(NOW, lambda: 0.25, objects, lambda _of, resource, container: float(len(resource + container)))


# --- expressions ----------------------------------------------------------------------------------------------------------------------

NUMBERS: dict[str, tuple[str, float]] = {
    "a quantity": ('Quantity("90m")', 0.09),
    "of memory": ('Quantity("1Ki")', 1024.0),
    "arithmetic": ("(1 + 2) * 3.0 - 4 / 8", 8.5),
    "a remainder": ("7 % 4", 3.0),
    "a minus": ("-pod.SinceSecond()", -120.0),
    "a choice": ("1 < 2 ? 3 : 4", 3.0),
    "the age of a pod": ("pod.SinceSecond()", 120.0),
    "the same, as a function": ("SinceSecond(pod)", 120.0),
    "the time": ("UnixSecond(Now()) - UnixSecond(pod.metadata.creationTimestamp)", 120.0),
    "chance": ("Rand()", 0.25),
    "usage": ('pod.Usage("cpu", container.name)', 6.0),
    "a truth": ('has(pod.metadata.name) && pod.metadata.name.startsWith("p")', 1.0),
    "nothing is in nothing": ('"x" in pod.metadata.annotations ? 1 : 2', 2.0),
    "a list": ("node.metadata.name in ['n1', 'n2'] ? size([1, 2]) : 0", 2.0),
    "an index": ("[1, 2][1]", 2.0),
    "conversions": ('int("3") + double("0.5")', 3.5),
    "KWOK's own": (
        '"kwok.x-k8s.io/usage-cpu" in pod.metadata.annotations\n'
        '? Quantity(pod.metadata.annotations["kwok.x-k8s.io/usage-cpu"])\n: Quantity("1m")',
        0.001,
    ),
}


@pytest.mark.parametrize(("text", "expected"), NUMBERS.values(), ids=NUMBERS.keys())
def test_an_expressions_number(text: str, expected: float) -> None:
    assert Expression(text).number(world()) == pytest.approx(expected)


def test_an_annotation_is_read() -> None:
    text = '"kwok.x-k8s.io/usage-cpu" in pod.metadata.annotations ? Quantity(pod.metadata.annotations["kwok.x-k8s.io/usage-cpu"]) : 0.0'
    assert Expression(text).number(world(pod(**{"kwok.x-k8s.io/usage-cpu": "250m"}))) == 0.25


REFUSED = {
    "a function that there is not": ("Sin(1.0)", "function 'Sin' is not understood"),
    "a variable that there is not": ("deployment.metadata.name", "there is no 'deployment', only node, pod, container"),
    "a loop": ("[1, 2].map(x, x * 2)", "Comprehension is not understood"),
    "what is no expression": ("1 +", "Syntax error"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_an_expression_that_is_not_understood_is_refused_when_it_is_read(text: str, why: str) -> None:
    with pytest.raises(StageError) as caught:
        Expression(text)
    assert why in str(caught.value)


@pytest.mark.parametrize("text", ["pod.metadata.name", "pod.metadata.nothing + 1", "1 / 0", 'Quantity("x")', "UnixSecond(pod)"])
def test_an_expression_without_a_number_says_so(text: str) -> None:
    with pytest.raises(Unanswered):
        Expression(text).number(world())


# --- usage ----------------------------------------------------------------------------------------------------------------------------


def resource_usage(*usages: Object, kind: str = "ClusterResourceUsage", name: str = "u", namespace: str = "", **spec: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": {"usages": list(usages), **spec}}


def cpu(value: str, *containers: str) -> Object:
    return {"usage": {"cpu": {"value": value}}, **({"containers": list(containers)} if containers else {})}


OF_CPU: dict[str, tuple[list[Object], Object, int]] = {
    "a value for all": ([resource_usage(cpu("250m"))], pod(), 250),
    "a value for one container": ([resource_usage(cpu("1"), cpu("2", "app"))], pod(), 2000),
    "not for this namespace": ([resource_usage(cpu("1"), selector={"matchNamespaces": ["x"]})], pod(), 1),
    "for this name": ([resource_usage(cpu("1"), selector={"matchNames": ["p"]})], pod(), 1000),
    "the pod's own comes first": (
        [resource_usage(cpu("1")), resource_usage(cpu("2"), kind="ResourceUsage", name="p", namespace="ns")],
        pod(),
        2000,
    ),
    "another pod's does not": ([resource_usage(cpu("2"), kind="ResourceUsage", name="q", namespace="ns")], pod(), 1),
    "an annotation comes before all": ([resource_usage(cpu("1"))], pod(**{"wherry.dev/usage-cpu": "3"}), 3000),
    "KWOK's annotation as well": ([], pod(**{"kwok.x-k8s.io/usage-cpu": "40m"}), 40),
    "an annotation that is no amount counts for nothing": ([], pod(**{"wherry.dev/usage-cpu": "much"}), 1),
    "an expression without a value as well": (
        [resource_usage({"usage": {"cpu": {"expression": 'Quantity(pod.metadata.annotations["x"])'}}})],
        pod(),
        1,
    ),
}


@pytest.mark.parametrize(("objects", "of", "milli"), OF_CPU.values(), ids=OF_CPU.keys())
def test_what_a_container_uses(objects: list[Object], of: Object, milli: int) -> None:
    usages = UsageSet(map(compiled_usage, objects))
    nanos, memory = usage_of(of, of["spec"]["containers"][0], usages, node_name="n1", now=NOW, rng=random.Random(1))
    assert (nanos, memory) == (milli * 1_000_000, 10 << 20)


def test_without_being_told_it_is_a_share_of_the_requests() -> None:
    container = {"name": "app", "resources": {"requests": {"cpu": "200m", "memory": "64Mi"}}}
    assert usage_of(pod(), container, UsageSet(), node_name="n1", now=NOW, rng=random.Random(1)) == (20_000_000, 32 << 20)


def inside(kind: str, **spec: Any) -> Object:
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": {"name": "p", "namespace": "ns"}, "spec": spec}


WRONG: dict[str, tuple[Object, str]] = {
    "a resource": (resource_usage({"usage": {"gpu": {"value": "1"}}}), "usage of 'gpu' is not understood"),
    "an amount": (resource_usage({"usage": {"cpu": {"value": "much"}}}), "value 'much'"),
    "nothing": (resource_usage({"usage": {"cpu": {}}}), "a usage needs a value or an expression"),
    "Attach": ({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Attach", "metadata": {"name": "e"}}, "it would act on this machine"),
    "a user of the machine": (
        inside("Exec", execs=[{"local": {"securityContext": {"runAsUser": 0}}}]),
        "simulated containers have one user",
    ),
    "a target that is nowhere": (inside("Exec", execs=[{}]), "an exec target needs `local`"),
    "a previous log": (inside("Logs", logs=[{"previousLogsFile": "/x"}]), "previousLogsFile is not understood"),
    "no log": (inside("ClusterLogs", logs=[{}]), "a log needs a logsFile"),
    "another kind": (
        {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Thing", "metadata": {"name": "e"}},
        "kind 'Thing' is not understood",
    ),
}


@pytest.mark.parametrize(("obj", "why"), WRONG.values(), ids=WRONG.keys())
def test_objects_that_are_not_understood_are_refused(obj: Object, why: str) -> None:
    with pytest.raises(StageError, match=why):
        Simulation.of([obj])


def test_a_pods_own_comes_first_and_a_containers_own() -> None:
    logs = [
        inside("ClusterLogs", logs=[{"logsFile": "/all"}]),
        inside("Logs", logs=[{"logsFile": "/pod"}, {"logsFile": "/side", "containers": ["side"]}]),
    ]
    found = Simulation.of(logs).logs
    assert [str(first(found, pod(), name)) for name in ("app", "side")] == ["/pod", "/side"]
    assert str(first(found, pod("q"), "app")) == "/all"
    execs = Simulation.of([inside("ClusterExec", execs=[{"containers": ["x"], "local": {}}])]).execs
    assert (first(execs, pod(), "x"), first(execs, pod(), "app")) == (Shell(), None)


LINES = {
    "2025-12-31T23:59:59.5Z stderr F a b": ("stderr", "a b", 2025),
    "2025-12-31T23:59:59.5Z stdout P ": ("stdout", "", 2025),
    "2025-99-31T23:59:59Z stdout F x": ("stdout", "2025-99-31T23:59:59Z stdout F x", 2026),
    "just text": ("stdout", "just text", 2026),
}


@pytest.mark.parametrize(("text", "expected"), LINES.items())
def test_a_line_of_a_log_file(text: str, expected: tuple[str, str, int]) -> None:
    line = read_line(text, NOW)
    assert (line.stream, line.text, line.time.year) == expected


def test_a_file_that_is_not_understood_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Attach\nmetadata: {name: l}\n")
    with pytest.raises(StageError, match=r"x\.yaml: kind 'Attach' is not understood"):
        documents(file)


def test_a_simulation_follows_its_objects() -> None:
    simulation = Simulation()
    one = resource_usage(cpu("1"))
    simulation.put(one)
    assert simulation.usages.amount(pod(), {"name": "app"}, "cpu", world()) == 1.0
    simulation.put(resource_usage(cpu("2")))
    assert simulation.usages.amount(pod(), {"name": "app"}, "cpu", world()) == 2.0
    with pytest.raises(StageError):
        simulation.put(resource_usage({"usage": {"cpu": {}}}))
    assert not simulation.usages, "what cannot be understood replaces what was"
    simulation.put(one)
    simulation.remove(one)
    assert not simulation.usages
    assert simulation.stages.has("Image"), "the defaults stay"


@virtual
async def test_custom_resources_are_followed_and_what_is_not_understood_counts_for_nothing() -> None:
    api = FakeApi(random.Random(1))
    client = Client(AsgiTransport(api), user_agent="test", clock=LoopClock(NOW))
    informers, simulation = Informers(client, rng=random.Random(1)), Simulation()
    follow(simulation, informers, ["ClusterResourceUsage", "Stage"])
    running = asyncio.create_task(informers.run())
    path = "/apis/kwok.x-k8s.io/v1alpha1/clusterresourceusages/u"

    def amount() -> float | None:
        return simulation.usages.amount(pod(), {"name": "app"}, "cpu", world())

    found: list[float | None] = []
    try:
        for wanted in (cpu("1"), cpu("2"), {"usage": {"gpu": {"value": "1"}}}, cpu("3")):
            api.put(path, resource_usage(wanted))
            await asyncio.sleep(5)
            found.append(amount())
        api.remove(path)
        await asyncio.sleep(5)
        found.append(amount())
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await client.close()
    assert found == [1.0, 2.0, None, 3.0, None]


FLAGS = {
    "a file that is not there": (["--stages", "/nowhere.yaml"], "kubelet: --stages", 1),
    "a kind that is read from files only": (["--enable-crds", "Stage,Logs"], "'Logs' is not one of Stage, ResourceUsage", 2),
}


@pytest.mark.parametrize(("arguments", "text", "code"), FLAGS.values(), ids=FLAGS.keys())
def test_flags_that_cannot_be_used_are_told(
    arguments: list[str], text: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kubelet", "--kubeconfig=x", "--hostname-override=n1", *arguments])
    try:
        found = kubelet_main()
    except SystemExit as error:
        found = int(error.code or 0)
    assert found == code
    assert text in capsys.readouterr().err


# --- pages ----------------------------------------------------------------------------------------------------------------------------


def metric(*series: Object, path: str = "/metrics/nodes/{nodeName}/metrics/x") -> Object:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Metric",
        "metadata": {"name": "m"},
        "spec": {"path": path, "metrics": list(series)},
    }


def stats(nanos: int = 250_000_000, used: int = 90_000_000_000) -> ContainerStats:
    return ContainerStats("id", "app", "p", NOW, used, nanos, 1 << 20, NOW)


def test_a_page_has_a_line_for_each_object_of_a_dimension() -> None:
    labels = [{"name": "pod", "value": "pod.metadata.name"}]
    of = metric(
        {"name": "node_cores", "kind": "gauge", "value": 'node.Usage("cpu")', "help": "How much."},
        {"name": "pod_seconds", "kind": "counter", "dimension": "pod", "labels": labels, "value": 'pod.CumulativeUsage("cpu")'},
        {"name": "bytes", "kind": "gauge", "dimension": "container", "labels": labels, "value": 'pod.Usage("memory", container.name)'},
        {"name": "nothing", "kind": "gauge", "value": "pod.metadata.name"},
        {"name": "h", "kind": "histogram", "buckets": [{"le": 2, "value": "3"}, {"le": 1, "value": "1", "hidden": True}]},
    )
    node = {"metadata": {"name": "n1"}}
    assert page(compiled_metric(of), node, [pod()], [stats()], NOW, random.Random(1)).splitlines() == [
        "# HELP node_cores How much.",
        "# TYPE node_cores gauge",
        "node_cores 0.25",
        "# TYPE pod_seconds counter",
        'pod_seconds{pod="p"} 90',
        "# TYPE bytes gauge",
        'bytes{pod="p"} 1048576',
        "# TYPE h histogram",
        'h_bucket{le="2"} 4',
        'h_bucket{le="+Inf"} 4',
        "h_sum 5",
        "h_count 4",
    ]


def test_a_path_names_its_node() -> None:
    found = compiled_metric(metric())
    assert found.node_in("/metrics/nodes/n1/metrics/x") == "n1"
    assert found.node_in("/metrics/nodes/n1/metrics/y") is None
    assert found.node_in("/metrics/nodes/a/b/metrics/x") is None
    assert found.node_in("/metrics/nodes//metrics/x") is None


BAD: dict[str, tuple[Object, str]] = {
    "a path without a node": (metric(path="/metrics/x"), "it must begin with /metrics/"),
    "another kind": (metric({"name": "a", "kind": "summary", "value": "1"}), "kind 'summary' is not understood"),
    "no value": (metric({"name": "a", "kind": "gauge"}), "it needs a value"),
    "a name that is none": (metric({"name": "a b", "kind": "gauge", "value": "1"}), "is none that Prometheus has"),
    "a dimension": (metric({"name": "a", "kind": "gauge", "value": "1", "dimension": "rack"}), "dimension 'rack'"),
}


@pytest.mark.parametrize(("obj", "why"), BAD.values(), ids=BAD.keys())
def test_a_metric_that_is_not_understood_is_refused(obj: Object, why: str) -> None:
    with pytest.raises(StageError, match=why):
        compiled_metric(obj)


def test_counters_keep_every_digit_and_say_when_containers_began() -> None:
    text = resource_metrics([pod()], [stats(used=123_456_789_012_345)])
    stamp = int(NOW.timestamp() * 1000)
    assert f'container_cpu_usage_seconds_total{{container="app",namespace="ns",pod="p"}} 123456.789012345 {stamp}' in text
    assert f'container_start_time_seconds{{container="app",namespace="ns",pod="p"}} {int(NOW.timestamp())} {stamp}' in text
    assert f"node_cpu_usage_seconds_total 123456.789012345 {stamp}" in text
