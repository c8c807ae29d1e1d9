"""`wherry.Cluster` and the pytest fixture `cluster`: time, waiting, many at once, and that what the documentation shows runs."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kube.errors import AlreadyExists, Invalid, NotFound
from kube.objects import Object
from wherry import Cluster
from wherry.cluster import ClusterError, NotRunning
from wherry.sync_client import UnknownKind

pytest_plugins = ("pytester",)

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = BLOCK.findall((ROOT / "docs/python-api.md").read_text())


def deployment(replicas: int, name: str = "web", image: str = "nginx") -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "nginx"}], **spec},
    }


# --- time -----------------------------------------------------------------------------------------------------------------


def test_time_stands_still_between_calls() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(pod("web"))
        before = cluster.clock.now()
        versions = [each["metadata"]["resourceVersion"] for each in cluster.client.list("Pod")]
        time.sleep(0.3)
        assert cluster.clock.now() == before
        assert [each["metadata"]["resourceVersion"] for each in cluster.client.list("Pod")] == versions
        assert cluster.client.get("Pod", "web")["status"]["phase"] == "Pending"


def test_after_a_call_everything_that_is_due_has_happened() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(deployment(3))
        assert [each["spec"]["replicas"] for each in cluster.client.list("ReplicaSet")] == [3]


def test_advancing_lets_all_that_falls_due_happen_in_order() -> None:
    start = datetime(2030, 5, 1, 11, 30, tzinfo=UTC)
    job = {
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "busybox", "command": ["true"]}]}}}
    }
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "hourly"},
        "spec": {"schedule": "0 * * * *", "jobTemplate": job},
    }
    with Cluster(nodes=1, start_time=start) as cluster:
        cluster.apply(cron)
        cluster.clock.advance(hours=1)
        assert (cluster.clock.now() - start).total_seconds() == pytest.approx(3600, abs=1)
        cluster.advance(timedelta(hours=1))
        ran = [(each["metadata"]["creationTimestamp"], each["status"].get("succeeded")) for each in cluster.client.list("Job")]
        assert ran == [("2030-05-01T12:00:00Z", 1), ("2030-05-01T13:00:00Z", 1)]


def test_time_does_not_go_back() -> None:
    with Cluster(nodes=0) as cluster, pytest.raises(ValueError, match="does not go back"):
        cluster.advance(seconds=-1)


def world(seed: int) -> dict[str, list[Object]]:
    with Cluster(nodes=2, seed=seed) as cluster:
        cluster.apply(deployment(5))
        cluster.wait_for("Deployment", "web", "rollout")
        cluster.client.patch("Deployment", "web", {"spec": {"replicas": 2}})
        cluster.advance(minutes=10)
        return {
            kind: cluster.client.list(kind, namespace=None) for kind in ("Pod", "ReplicaSet", "Event", "Node", "Lease", "EndpointSlice")
        }


def test_the_same_seed_and_calls_give_the_same_cluster() -> None:
    first, second, other = world(1), world(1), world(2)
    assert first == second
    assert [each["metadata"]["name"] for each in first["Pod"]] != [each["metadata"]["name"] for each in other["Pod"]]


def test_many_clusters_run_at_the_same_time_and_know_nothing_of_each_other() -> None:
    found: dict[int, list[str]] = {}

    def one(number: int) -> None:
        with Cluster(nodes=1, seed=number) as cluster:
            cluster.apply(deployment(number + 1, name=f"web-{number}"))
            cluster.wait_for("Deployment", f"web-{number}", "rollout")
            found[number] = [each["metadata"]["labels"]["app"] for each in cluster.client.list("Pod", namespace=None)]

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [f"web-{number}"] * (number + 1) for number in range(6)}


# --- waiting --------------------------------------------------------------------------------------------------------------


def test_waiting_in_vain_tells_what_is_wrong() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(deployment(1, image="nginx:nonexistent"))
        before = cluster.clock.now()
        with pytest.raises(TimeoutError) as raised:
            cluster.wait_for("deploy", "web", "Available", timeout_s=90)
        assert 90 <= (cluster.clock.now() - before).total_seconds() < 91
        text = str(raised.value)
        assert text.startswith("deploy web: not within 90 s of the cluster's time: Available; it is: replicas=1")
        assert "Available=False (MinimumReplicasUnavailable" in text
        assert "app: ImagePullBackOff" in text
        assert "warning: Pod default/web-" in text


def test_what_a_function_answers_is_what_waiting_for_it_answers() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(deployment(2))
        pods = cluster.wait_until(lambda: [each for each in cluster.client.list("Pod") if each["status"].get("phase") == "Running"])
        assert {each["kind"] for each in pods} == {"Pod"}
        found = cluster.wait_for("Pod", pods[0]["metadata"]["name"], lambda each: each["status"].get("podIP"))
        assert found["status"]["podIP"].startswith("10.244.")


def test_an_error_in_the_function_reaches_who_waits() -> None:
    with Cluster(nodes=0) as cluster, pytest.raises(ZeroDivisionError):
        cluster.wait_until(lambda: 1 // 0)


# --- manifests and kinds ----------------------------------------------------------------------------------------------------


def test_manifests_are_text_paths_objects_and_lists(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b2}\n"
    )
    (tmp_path / "c.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [config_map("c")]}))
    (tmp_path / "notes.txt").write_text("not a manifest")
    with Cluster(nodes=0) as cluster:
        cluster.apply(json.dumps(config_map("a")))
        cluster.apply(tmp_path)
        cluster.apply(str(tmp_path / "c.json"), namespace="kube-system")
        cluster.apply([config_map("d"), config_map("e")])
        cluster.apply(config_map("d", changed="yes"))
        names = {each["metadata"]["name"]: each.get("data") for each in cluster.client.list("cm")}
        assert {"a", "b", "b2", "c", "d", "e"} <= set(names)
        assert names["d"] == {"changed": "yes"}
        assert cluster.client.get("ConfigMap", "c", namespace="kube-system")["kind"] == "ConfigMap"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        pytest.param("kind: Pod\n", "no apiVersion or no kind", id="an object without an apiVersion is refused"),
        pytest.param("- a\n- b\n", "no apiVersion or no kind", id="a list of words is refused"),
        pytest.param("a: [\n", "not YAML", id="text that is no YAML is refused"),
        pytest.param("none.yaml", "none.yaml", id="a path that is not there is refused"),
    ],
)
def test_what_is_no_manifest_is_refused(source: str, error: str) -> None:
    with Cluster(nodes=0) as cluster, pytest.raises((ValueError, OSError), match=error):
        cluster.apply(source)


def test_kinds_are_named_as_kubectl_names_them_or_by_api_version() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(deployment(0))
        named: list[Any] = ["Deployment", "deployments", "deploy", "deployments.apps", ("apps/v1", "Deployment")]
        assert {cluster.client.get(each, "web")["metadata"]["uid"] for each in [*named, deployment(0)]} == {
            cluster.client.list("deploy")[0]["metadata"]["uid"]
        }
        assert cluster.client.resource("events").group == ""
        assert cluster.client.get("node", "wherry-1")["kind"] == "Node"
        with pytest.raises(UnknownKind, match="'Deplyment'"):
            cluster.client.get("Deplyment", "web")
        with pytest.raises(UnknownKind, match=r"example\.com/v1/Widget"):
            cluster.client.get(("example.com/v1", "Widget"), "web")
        with pytest.raises(ValueError, match="which one"):
            cluster.client.get("Deployment")


CUSTOM = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: greetings.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: greetings, singular: greeting, kind: Greeting}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: example.com/v1
kind: Greeting
metadata: {name: hello}
spec: {text: Good morning}
"""


def test_a_custom_resource_is_applied_together_with_its_definition() -> None:
    with Cluster(nodes=0) as cluster:
        cluster.apply(CUSTOM)
        assert cluster.client.get("greetings", "hello")["spec"] == {"text": "Good morning"}


def test_objects_are_created_changed_and_deleted() -> None:
    with Cluster(nodes=0) as cluster:
        client = cluster.client
        made = client.create(config_map("a", one="1"))
        with pytest.raises(AlreadyExists):
            client.create(config_map("a"))
        client.patch("ConfigMap", "a", {"data": {"two": "2"}})
        assert client.patch(made, {"data": {"one": None}})["data"] == {"two": "2"}
        current = client.get(made)
        assert client.update({**current, "data": {"three": "3"}})["data"] == {"three": "3"}
        client.delete(made)
        assert client.find(made) is None
        with pytest.raises(NotFound):
            client.delete(made)
        with pytest.raises(Invalid):
            client.apply(config_map("Not_A_Name"))
        with pytest.raises(TypeError, match="needs a patch"):
            client.patch("ConfigMap", "a")


# --- what simulated pods do ---------------------------------------------------------------------------------------------------


def test_stages_change_what_simulated_pods_do(tmp_path: Path) -> None:
    stage: Object = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "image-pull"},
        "spec": {
            "resourceRef": {"apiGroup": "wherry.dev/v1", "kind": "Image"},
            "selector": {"matchExpressions": []},
            "delay": {"durationMilliseconds": 300_000},
            "next": {},
        },
    }
    (tmp_path / "stage.json").write_text(json.dumps(stage))
    for stages in ([stage], tmp_path / "stage.json"):
        with Cluster(nodes=1, stages=stages) as cluster:
            cluster.apply(pod("web"))
            cluster.advance(seconds=290)
            assert cluster.client.get("Pod", "web")["status"]["phase"] == "Pending"
            cluster.wait_for("Pod", "web", timeout_s=20)


# --- faults -----------------------------------------------------------------------------------------------------------------


def test_a_killed_component_does_nothing_until_it_is_revived() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.kill("kube-scheduler")
        cluster.apply(pod("web"))
        cluster.advance(minutes=1)
        assert "nodeName" not in cluster.client.get("Pod", "web")["spec"]
        cluster.revive("kube-scheduler")
        cluster.wait_for("Pod", "web")
        with pytest.raises(ValueError, match="no component 'kube-proxy'"):
            cluster.kill("kube-proxy")


def test_a_dead_kubelet_makes_its_nodes_unready() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.kill("kubelet")
        cluster.wait_for("Node", "wherry-1", "Ready=Unknown", timeout_s=120)


def test_what_was_there_is_there_after_a_restart_of_the_server() -> None:
    with Cluster(nodes=1) as cluster:
        cluster.apply(deployment(2))
        cluster.restart_server(down_s=3)
        cluster.wait_for("Deployment", "web", "rollout")


# --- real time ----------------------------------------------------------------------------------------------------------------


def test_in_real_time_other_programs_come_in_over_https() -> None:
    with Cluster(nodes=1, time="real") as cluster:
        assert abs((cluster.clock.now() - datetime.now(UTC)).total_seconds()) < 60
        assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
        from kube.client.config import load_kubeconfig, ssl_context

        config = load_kubeconfig(cluster.kubeconfig)
        assert config.server == cluster.url
        with urllib.request.urlopen(f"{cluster.url}/api/v1/nodes", context=ssl_context(config)) as answer:
            assert [each["metadata"]["name"] for each in json.load(answer)["items"]] == ["wherry-1"]
        stranger = ssl.create_default_context(cadata=(config.ca_data or b"").decode())
        with pytest.raises(urllib.error.HTTPError, match=r"40[13]"):
            urllib.request.urlopen(f"{cluster.url}/api/v1/nodes", context=stranger)
        cluster.apply(pod("web"))
        cluster.wait_for("Pod", "web")
        with pytest.raises(ClusterError, match="real time cannot be advanced"):
            cluster.advance(hours=1)
    assert not cluster._endpoint or not cluster._endpoint.kubeconfig.exists()


def test_without_real_time_there_is_no_port_and_it_says_why() -> None:
    with Cluster(nodes=0) as cluster:
        with pytest.raises(ClusterError, match='time="real"'):
            _ = cluster.kubeconfig
        with pytest.raises(ClusterError, match='time="real"'):
            _ = cluster.url


# --- life ---------------------------------------------------------------------------------------------------------------------


def test_a_cluster_that_does_not_run_says_so() -> None:
    cluster = Cluster(nodes=0)
    with pytest.raises(NotRunning):
        _ = cluster.client
    with pytest.raises(NotRunning):
        cluster.advance(hours=1)
    with cluster:
        client = cluster.client
        with pytest.raises(ClusterError, match="started once"):
            cluster.start()
    for use in (lambda: client.list("Pod"), lambda: cluster.advance(hours=1), lambda: cluster.client):
        with pytest.raises(NotRunning):
            use()
    cluster.stop()


def test_it_leaves_no_threads_behind() -> None:
    before = threading.active_count()
    with Cluster(nodes=1):
        assert threading.active_count() > before
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"time": "fast"}, "time='fast'", id="a mode of time that there is not"),
        pytest.param({"nodes": -1}, "nodes=-1", id="fewer than no nodes"),
        pytest.param({"nodes": "three"}, "nodes='three'", id="a word for a number of nodes"),
        pytest.param({"start_time": datetime(2026, 1, 1)}, "time zone", id="a start without a time zone"),
        pytest.param({"start_time": datetime(2026, 1, 1, tzinfo=UTC), "time": "real"}, "real time", id="a start of real time"),
        pytest.param({"controllers": ["no-such"]}, "no-such", id="a controller that there is not"),
        pytest.param({"stages": [{"kind": "Stage"}]}, "not a Stage", id="a Stage that is none"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        Cluster(**options)


def test_what_fails_at_the_start_reaches_who_starts() -> None:
    before = threading.active_count()
    with pytest.raises(ExceptionGroup) as raised:
        Cluster(nodes=["a", "a"]).start()
    assert "each once" in str(raised.value.exceptions[0])
    assert threading.active_count() == before


# --- pytest -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_documentation_run(number: int, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(EXAMPLES[number])
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes.pop("passed", 0) + outcomes.pop("skipped", 0) == EXAMPLES[number].count("\ndef test_")
    assert not outcomes


def test_the_fixture_takes_its_nodes_from_marker_command_line_and_configuration(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ncluster_nodes = 2\naddopts = --strict-markers\n")
    pytester.makepyfile("""
        import os, pytest

        def nodes(cluster):
            return len(cluster.client.list("Node", namespace=None))

        def test_default(cluster):
            assert nodes(cluster) == int(os.environ["EXPECTED"])

        @pytest.mark.cluster(nodes=["red", "blue"], scheduler=False)
        def test_marker(cluster):
            assert {each["metadata"]["name"] for each in cluster.client.list("Node")} == {"red", "blue"}
    """)
    with pytest.MonkeyPatch.context() as patch:
        for expected, flags in (("2", []), ("1", ["--cluster-nodes=1"])):
            patch.setenv("EXPECTED", expected)
            pytester.runpytest_inprocess("-p", "no:asyncio", *flags).assert_outcomes(passed=2)


def test_a_failed_test_shows_its_cluster_and_a_wrong_marker_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.cluster(nodes=0)
        def test_fails(cluster):
            cluster.apply('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lonely"}, '
                          '"spec": {"containers": [{"name": "a", "image": "b"}]}}')
            cluster.advance(seconds=1)
            assert False

        @pytest.mark.cluster(5)
        def test_wrong(cluster): ...

        @pytest.mark.cluster(colour="red")
        def test_unknown(cluster): ...
    """)
    result = pytester.runpytest_inprocess("-p", "no:asyncio")
    result.assert_outcomes(failed=1, errors=2)
    result.stdout.fnmatch_lines_random(
        [
            "*wherry: cluster*",
            "pod default/lonely: Pending, *node=none",
            "warning: Pod default/lonely: FailedScheduling: no nodes available to schedule pods",
            "*keyword arguments only*",
            "*the fixture `cluster`: *colour*",
        ]
    )


def test_the_plugin_imports_nothing_of_the_cluster_before_a_test_wants_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_light():
            assert "wherry.pytest_plugin" in sys.modules
            heavy = {"apiserver", "controllers", "kubelet", "kube", "fastapi", "wherry.cluster"}
            assert not heavy & set(sys.modules)
    """)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
