"""`wherry explain pod`: the answer is the scheduler's own, with every plugin's reasons and points."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from controllers.scheduler.evaluation import Evaluation
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.schedule import schedule
from kube.client.config import ClientConfig, write_kubeconfig
from kube.objects import Object
from kube.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from tests.unit.scheduler_cluster import make_node, make_pod, taint
from wherry import Cluster
from wherry.explain import ROWS_MAX, explain, show, summary
from wherry.explanation import PROFILE, Explanation, explained, snapshot_of


def answer(pod: Object, nodes: Sequence[Object], pods: Sequence[Object] = ()) -> Explanation:
    return explained(pod, {NODES: nodes, PODS: [*pods, pod]})


def printed(explanation: Explanation, width: int = 160) -> str:
    console = Console(width=width, highlight=False, no_color=True)
    with console.capture() as capture:
        show(explanation, console)
    return capture.get()


def test_every_plugin_that_refuses_a_node_is_named_not_only_the_first() -> None:
    nodes = [make_node("a", cpu="1", taints=[taint("gpu", "yes")]), make_node("b", cpu="1")]
    found = answer(make_pod("web", cpu="3"), nodes)
    by_node = {each.node: [no.plugin for no in each.refusals] for each in found.verdicts}
    assert by_node == {"a": ["TaintToleration", "NodeResourcesFit"], "b": ["NodeResourcesFit"]}
    assert found.decision.node is None
    assert found.decision.message.startswith("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s).")


def test_a_lack_of_room_is_told_in_numbers() -> None:
    pods = [make_pod("other", cpu="600m", memory="1Gi", node="a")]
    found = answer(make_pod("web", cpu="2", memory="9Gi"), [make_node("a", cpu="1")], pods)
    assert found.verdicts[0].refusals[0].detail == "asks for 2 cpu, 400m free; asks for 9Gi memory, 7Gi free"


def test_the_points_of_the_plugins_add_up_to_what_the_scheduler_counts() -> None:
    nodes = [make_node(name, zone=f"z{at % 2}", cpu=str(2 + at)) for at, name in enumerate("abcd")]
    nodes.append(make_node("e", taints=[taint("slow", effect="PreferNoSchedule")]))
    pods = [make_pod(f"old-{node}", cpu="1", labels={"app": "web"}, node=node) for node in "aab"]
    near = {"weight": 10, "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}}
    spread = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    pod = make_pod(
        "web",
        cpu="500m",
        labels={"app": "web"},
        affinity={"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [near]}},
        topologySpreadConstraints=[{**spread, "labelSelector": {"matchLabels": {"app": "web"}}}],
    )
    found = answer(pod, nodes, pods)
    snapshot = snapshot_of({NODES: nodes, PODS: pods}, without="")
    evaluation = Evaluation(PodInfo(pod), PROFILE, snapshot)
    slots = [snapshot.nodes[each.node].slot for each in found.verdicts]
    assert [each.total for each in found.verdicts] == evaluation.totals(slots)
    assert {"TaintToleration", "PodTopologySpread", "InterPodAffinity", "NodeResourcesFit"} <= set(found.weights)
    assert schedule(PodInfo(pod), snapshot, PROFILE, rng=random.Random(1)).node in found.best


def test_pods_with_claims_are_explained_by_the_volumes_there_are() -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    pod, nodes = make_pod("web", volumes=volumes), [make_node("a"), make_node("b")]
    missing = answer(pod, nodes)
    assert missing.decision.message.startswith('0/2 nodes are available: persistentvolumeclaim "data" not found.')
    assert {no.plugin for each in missing.verdicts for no in each.refusals} == {"VolumeRestrictions", "VolumeBinding", "VolumeZone"}
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    done = {"pv.kubernetes.io/bind-completed": "yes"}
    claim = {"metadata": {"name": "data", "namespace": "default", "annotations": done}, "spec": {"volumeName": "disk"}, "status": {}}
    disk = {"metadata": {"name": "disk"}, "spec": {"nodeAffinity": affinity}, "status": {}}
    found = explained(pod, {NODES: nodes, PODS: [pod], PERSISTENT_VOLUME_CLAIMS: [claim], PERSISTENT_VOLUMES: [disk]})
    assert found.decision.node == "b"
    assert [no.reasons for no in found.verdicts[-1].refusals] == [("node(s) had volume node affinity conflict",)]


def test_a_pod_that_is_bound_is_weighed_as_if_it_were_not() -> None:
    found = answer(make_pod("web", cpu="3", node="a", status={"phase": "Running"}), [make_node("a"), make_node("b", cpu="1")])
    assert [(each.node, bool(each.refusals)) for each in found.verdicts] == [("a", False), ("b", True)]
    lines = summary(found)
    assert lines[0] == "[bold]pod default/web[/] is Running, bound to [bold]a[/]"
    assert lines[1] == "were it scheduled now, it would go to [green]a[/]"


def test_room_that_was_promised_to_a_more_important_pod_is_no_room() -> None:
    promised = make_pod("first", cpu="3", priority=10, status={"nominatedNodeName": "a"})
    found = answer(make_pod("web", cpu="2"), [make_node("a")], [promised])
    assert [no.plugin for no in found.verdicts[0].refusals] == ["NodeResourcesFit"]


def test_preemption_names_the_node_and_the_victims() -> None:
    found = answer(make_pod("web", cpu="3", priority=10), [make_node("a")], [make_pod("small", cpu="2", node="a")])
    assert summary(found)[-1] == "it would make room for itself on [yellow]a[/] by preempting default/small"


def test_a_gated_pod_is_said_to_wait_for_its_gates() -> None:
    found = answer(make_pod("web", schedulingGates=[{"name": "example.com/later"}]), [make_node("a")])
    assert "not tried yet[/]: waiting for scheduling gates: \\[example.com/later]" in summary(found)[1]
    assert summary(found)[-1] == "it can go to [green]a[/]"


def test_a_pod_of_another_scheduler_is_said_to_wait_for_that() -> None:
    assert "it waits for the scheduler mine" in summary(answer(make_pod("web", schedulerName="mine"), [make_node("a")]))[1]


def test_equally_good_nodes_are_left_to_chance() -> None:
    found = answer(make_pod("web"), [make_node(name) for name in "abcdef"])
    assert found.best == ["a", "b", "c", "d", "e", "f"]
    assert summary(found)[-1] == "it can go to [green]a, b, c, d and 2 more[/], which are equally good: chance decides"


def test_without_nodes_it_says_so() -> None:
    assert summary(answer(make_pod("web"), []))[-1] == "[red]no nodes available to schedule pods[/]"


def test_the_tables_show_refusals_and_points() -> None:
    text = printed(answer(make_pod("web", cpu="2"), [make_node("big"), make_node("small", cpu="1"), make_node("off", unschedulable=True)]))
    rows = [line.split() for line in text.splitlines()]
    assert ["off", "NodeUnschedulable", "node(s)", "were", "unschedulable"] in rows
    assert ["small", "NodeResourcesFit", "Insufficient", "cpu", "(asks", "for", "2", "cpu,", "1", "free)"] in rows
    assert next(row for row in rows if row[:1] == ["big"])[1].isdigit()


def test_of_a_thousand_nodes_those_refused_alike_share_a_row() -> None:
    nodes = [make_node(f"n{at:04}", cpu=f"{at % 7 + 1}00m") for at in range(1000)]
    text = printed(answer(make_pod("web", cpu="3"), nodes))
    assert len(text.splitlines()) < ROWS_MAX + 5
    assert "n0000, n0001, n0002, n0003 and 996 more" in text


def test_names_are_not_taken_for_markup() -> None:
    text = printed(answer(make_pod("web", schedulerName="[bold]x[/]"), [make_node("a")]))
    assert "[bold]x[/]" in text


async def test_a_server_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        write_kubeconfig(tmp_path / "kubeconfig", ClientConfig(server=url))
        assert await explain(tmp_path, "default", "web") == 1
    assert capsys.readouterr().err.startswith(f"wherry: the API server at {url} does not answer (")


async def test_without_a_cluster_it_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explain(tmp_path / "none", "default", "web") == 1
    assert capsys.readouterr().err == f"wherry: no cluster has been started in {tmp_path / 'none'}; `wherry up` starts one\n"


def test_it_explains_a_pod_of_a_running_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Cluster(nodes=2, time="real") as cluster:
        spec = {"containers": [{"name": "app", "image": "nginx", "resources": {"requests": {"cpu": "100"}}}]}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "big"}, "spec": spec})
        assert asyncio.run(explain(cluster.kubeconfig.parent, "default", "big")) == 0
        said = capsys.readouterr().out
        assert "pod default/big is Pending, not bound to a node" in said
        assert "wherry-1, wherry-2" in said
        assert "NodeResourcesFit" in said
        assert asyncio.run(explain(cluster.kubeconfig.parent, "default", "small")) == 1
        assert capsys.readouterr().err == 'wherry: pods "small" not found (namespace default)\n'
