"""What profiles that differ from the default decide, and several of them at work."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controllers.scheduler.config.arguments import ScoringStrategy, UtilizationShapePoint
from controllers.scheduler.config.file import parse_configuration
from controllers.scheduler.config.models import KubeSchedulerConfiguration
from controllers.scheduler.config.reading import read
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.default import Parts
from controllers.scheduler.plugins.resource_scoring import along, balance, strategy_of, used_and_there
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.profiles import profiles_of
from kube.client.client import Client
from kube.resources import PODS
from tests.unit.scheduler_api import scheduling
from tests.unit.scheduler_cluster import decide, make_node, make_pod, make_snapshot, owned_by
from tests.virtual import virtual

CLIENT = Client.__new__(Client)


def configured(*profiles: dict[str, Any], **rest: Any) -> KubeSchedulerConfiguration:
    head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    return parse_configuration({**head, "profiles": list(profiles), **rest})


def profile(plugin: str = "", plugins: dict[str, Any] | None = None, **args: Any) -> Profile:
    told = {"plugins": plugins or {}, "pluginConfig": [{"name": plugin, "args": args}] if plugin else []}
    return profiles_of(configured(told), Parts(CLIENT))[0]


SHAPE = [{"utilization": 0, "score": 0}, {"utilization": 70, "score": 10}, {"utilization": 100, "score": 1}]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        pytest.param({}, 62, id="least allocated: the mean of what is free"),
        pytest.param({"type": "MostAllocated"}, 37, id="most allocated: the mean of what is in use"),
        pytest.param(
            {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}]}, 43, id="weighted"
        ),
        pytest.param({"type": "MostAllocated", "resources": [{"name": "example.com/gpu"}]}, 50, id="an extended resource"),
        pytest.param({"type": "MostAllocated", "resources": [{"name": "example.com/other"}]}, 0, id="one that nobody has"),
        pytest.param(
            {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": SHAPE}}, 53, id="along a shape: cpu 71, memory 35"
        ),
    ],
)
def test_strategies_score_what_is_in_use(strategy: dict[str, Any], expected: int) -> None:
    told = read(ScoringStrategy, strategy)
    node = NodeInfo("a")
    node.set_node(make_node("a", cpu="4", memory="8Gi", allocatable={"example.com/gpu": "4"}))
    node.add_pod(PodInfo(make_pod("there", cpu="1", memory="1Gi", requests={"example.com/gpu": "1"})))
    pod = PodInfo(make_pod("p", cpu="1", memory="1Gi", requests={"example.com/gpu": "1"}))
    assert strategy_of(told)(used_and_there([(each.name, each.weight) for each in told.resources], pod, node)) == expected


def test_a_shape_is_level_before_its_first_and_after_its_last_point() -> None:
    shape = [UtilizationShapePoint(utilization=20, score=2), UtilizationShapePoint(utilization=60, score=10)]
    assert [along(shape, each) for each in (0, 20, 40, 60, 100)] == [20, 20, 60, 100, 100]


def test_balance_is_of_as_many_resources_as_there_are() -> None:
    assert balance([(1, 4, 1)]) == 100
    assert balance([(1, 4, 1), (3, 4, 1)]) == 75
    assert balance([(0, 4, 1), (4, 4, 1), (2, 4, 1)]) == 59


def test_most_allocated_fills_the_node_that_is_fuller() -> None:
    packing = profile("NodeResourcesFit", scoringStrategy={"type": "MostAllocated"})
    snapshot = make_snapshot([make_node("a"), make_node("b")], [make_pod("there", node="a", cpu="1", memory="1Gi")])
    pod = make_pod("p", cpu="1", memory="1Gi")
    assert decide(pod, snapshot, profile=packing).node == "a"
    assert decide(pod, snapshot).node == "b"


def test_resources_that_are_ignored_need_not_be_there() -> None:
    pod = make_pod("p", requests={"example.com/gpu": "1", "other.org/card": "1"})
    snapshot = make_snapshot([make_node("a")])
    both = profile("NodeResourcesFit", ignoredResources=["example.com/gpu"], ignoredResourceGroups=["other.org"])
    assert decide(pod, snapshot, profile=both).node == "a"
    only = decide(pod, snapshot, profile=profile("NodeResourcesFit", ignoredResources=["example.com/gpu"]))
    assert only.rejections["a"].reasons == ("Insufficient other.org/card",)


def test_nodes_must_have_the_added_affinity_too() -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}
    enforced = profile("NodeAffinity", addedAffinity={"requiredDuringSchedulingIgnoredDuringExecution": required})
    nodes = [make_node("a"), make_node("b", labels={"disk": "ssd"}), make_node("c", labels={"disk": "ssd", "x": "y"})]
    decision = decide(make_pod("p", nodeSelector={"x": "y"}), make_snapshot(nodes), profile=enforced)
    assert decision.node == "c"
    decision = decide(make_pod("p"), make_snapshot(nodes[:1]), profile=enforced)
    assert decision.rejections["a"].reasons == ("node(s) didn't match scheduler-enforced node affinity",)


def test_nodes_that_the_added_affinity_prefers_score_more() -> None:
    preferred = [{"weight": 5, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}]
    leaning = profile("NodeAffinity", addedAffinity={"preferredDuringSchedulingIgnoredDuringExecution": preferred})
    snapshot = make_snapshot([make_node("a"), make_node("b", labels={"disk": "ssd"})])
    assert {decide(make_pod("p"), snapshot, profile=leaning, seed=seed).node for seed in range(20)} == {"b"}


def test_default_constraints_may_refuse_nodes() -> None:
    constraint = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
    spreading = profile("PodTopologySpread", defaultingType="List", defaultConstraints=[constraint])
    snapshot = make_snapshot([make_node("a", zone="z"), make_node("b")], [])
    snapshot.workloads.service(None, {"metadata": {"name": "s", "namespace": "default"}, "spec": {"selector": {"app": "web"}}})
    decision = decide(make_pod("p", labels={"app": "web"}), snapshot, profile=spreading)
    assert decision.node == "a", "b has no zone"
    assert decide(make_pod("p"), make_snapshot([make_node("b")]), profile=spreading).node == "b", "it belongs to nothing"


def test_an_empty_list_of_default_constraints_is_none() -> None:
    none = profile("PodTopologySpread", defaultingType="List")
    snapshot = make_snapshot([make_node("a")])
    snapshot.workloads.owner(None, {"kind": "ReplicaSet", "metadata": {"name": "r"}, "spec": {"selector": {"matchLabels": {"a": "b"}}}})
    pod = PodInfo(make_pod("p", metadata=owned_by("ReplicaSet", "r")))
    assert all(plugin.score_tally(pod, snapshot) is None for plugin, _ in none.score_tallies if plugin.name == "PodTopologySpread")


def _likes(key: str, **rest: Any) -> dict[str, Any]:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
    return {"affinity": {"podAffinity": {key: [term if not rest else {**rest, "podAffinityTerm": term}]}}}


@pytest.mark.parametrize(
    ("args", "spec", "expected"),
    [
        pytest.param({}, _likes("requiredDuringSchedulingIgnoredDuringExecution"), {"a"}, id="who requires it draws it"),
        pytest.param(
            {"hardPodAffinityWeight": 0}, _likes("requiredDuringSchedulingIgnoredDuringExecution"), {"a", "b"}, id="not with weight 0"
        ),
        pytest.param({}, _likes("preferredDuringSchedulingIgnoredDuringExecution", weight=9), {"a"}, id="who prefers it draws it"),
        pytest.param(
            {"ignorePreferredTermsOfExistingPods": True},
            _likes("preferredDuringSchedulingIgnoredDuringExecution", weight=9),
            {"a", "b"},
            id="not where that is ignored",
        ),
    ],
)
def test_what_those_who_are_there_like_may_count_or_not(args: dict[str, Any], spec: dict[str, Any], expected: set[str]) -> None:
    told = profile("InterPodAffinity", **args)
    snapshot = make_snapshot([make_node("a"), make_node("b")], [make_pod("there", node="a", **spec)])
    web = make_pod("p", labels={"app": "web"})
    only = profile("InterPodAffinity", plugins={"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "InterPodAffinity"}]}}, **args)
    assert {decide(web, snapshot, profile=only, seed=seed).node for seed in range(30)} == expected
    assert told.score_tallies


def test_a_plugin_that_is_disabled_has_no_say() -> None:
    careless = profile(plugins={"filter": {"disabled": [{"name": "NodeResourcesFit"}]}})
    assert decide(make_pod("p", cpu="100"), make_snapshot([make_node("a")]), profile=careless).node == "a"


@virtual
async def test_every_pod_gets_the_profile_that_it_names() -> None:
    packing = {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
    balance_off = {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}}
    config = configured({}, {"schedulerName": "packer", "pluginConfig": [packing], "plugins": balance_off})
    async with scheduling(make_node("a"), make_node("b"), config=config) as (api, _):
        api.put(PODS, make_pod("there", node="a", cpu="1", memory="1Gi"))
        await asyncio.sleep(0.1)
        api.put(PODS, make_pod("packed", cpu="1", memory="1Gi", schedulerName="packer"))
        await asyncio.sleep(0.1)
        api.put(PODS, make_pod("spread", cpu="1", memory="1Gi"))
        api.put(PODS, make_pod("other", schedulerName="nobody"))
        await asyncio.sleep(0.1)
        assert [api.pod(name)["spec"].get("nodeName") for name in ("packed", "spread", "other")] == ["a", "b", None]
        assert api.sources == {"packed": "packer", "spread": "default-scheduler"}
