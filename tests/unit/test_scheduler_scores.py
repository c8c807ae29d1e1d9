"""Which of the feasible nodes is preferred, and the numbers behind it."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.scheduler.plugins.node_resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from controllers.scheduler.plugins.normalize import normalized
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.schedule import feasible_wanted
from kube.objects import Object
from tests.unit.scheduler_cluster import HOSTNAME, ZONE, decide, make_node, make_pod, make_snapshot, owned_by, placements, taint

MB = 1 << 20
APP = {"app": "web"}


@pytest.mark.parametrize(
    ("pod", "there", "node", "least_allocated", "balanced"),
    [
        pytest.param(("3000m", "5000"), [], ("4000m", "10000"), 37, 87, id="upstream's case of one pod on an empty node"),
        pytest.param(("3000m", "5000"), [], ("6000m", "10000"), 50, 100, id="equal shares are balanced"),
        pytest.param(("3000m", "5000"), [("3000m", "5000")], ("10000m", "20000"), 45, 95, id="those that are there count"),
        pytest.param(("1", "1Gi"), [], ("0", "0"), 0, 100, id="a node that has nothing"),
    ],
)
def test_resources(pod: Any, there: Any, node: Any, least_allocated: int, balanced: int) -> None:
    others = [make_pod(f"there-{index}", node="n", cpu=cpu, memory=memory) for index, (cpu, memory) in enumerate(there)]
    snapshot = make_snapshot([make_node("n", cpu=node[0], memory=node[1])], others)
    asking = PodInfo(make_pod("p", cpu=pod[0], memory=pod[1]))
    assert NodeResourcesFit().score(asking, snapshot.nodes["n"]) == least_allocated
    assert NodeResourcesBalancedAllocation().score(asking, snapshot.nodes["n"]) == balanced


def test_pods_that_ask_for_nothing_are_spread_all_the_same() -> None:
    snapshot = make_snapshot([make_node("a"), make_node("b")], [make_pod("there", node="a")])
    assert placements(make_pod("p"), snapshot) == {"b"}


def test_equal_nodes_are_chosen_by_chance_alone() -> None:
    assert placements(make_pod("p"), make_snapshot([make_node(name) for name in "abc"])) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("scores", "reverse", "expected"),
    [
        ([1, 2, 4], False, [25, 50, 100]),
        ([1, 2, 4], True, [75, 50, 0]),
        ([0, 0], False, [0, 0]),
        ([0, 0], True, [100, 100]),
        ([1, 3], False, [33, 100]),
    ],
)
def test_normalizing(scores: list[int], reverse: bool, expected: list[int]) -> None:
    assert normalized(scores, reverse=reverse) == expected


def test_preferred_nodes_are_preferred() -> None:
    preferred = [
        {"weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}},
        {"weight": 1, "preference": {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}},
    ]
    pod = make_pod("p", affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
    nodes = [make_node("a"), make_node("b", labels={"gpu": ""}), make_node("c", labels={"disk": "ssd"})]
    assert placements(pod, make_snapshot(nodes)) == {"c"}
    assert placements(pod, make_snapshot(nodes[:2])) == {"b"}


def test_soft_taints_put_off() -> None:
    nodes = [make_node("a", taints=[taint("x", effect="PreferNoSchedule")]), make_node("b")]
    assert placements(make_pod("p"), make_snapshot(nodes)) == {"b"}
    tolerant = make_pod("p", tolerations=[{"key": "x", "operator": "Exists"}])
    assert placements(tolerant, make_snapshot(nodes)) == {"a", "b"}


def test_images_that_are_there_draw_pods_by_their_size() -> None:
    image = {"names": ["nginx:latest", "nginx@sha256:0"], "sizeBytes": 900 * MB}
    snapshot = make_snapshot([make_node("a", images=[image]), make_node("b")])
    assert placements(make_pod("p"), snapshot) == {"a"}
    snapshot.set_node(make_node("a", images=[image | {"sizeBytes": 10 * MB}]))
    assert placements(make_pod("p"), snapshot) == {"a", "b"}


def weighted(weight: int, *, away: bool = False, key: str = ZONE) -> Object:
    term = {"weight": weight, "podAffinityTerm": {"topologyKey": key, "labelSelector": {"matchLabels": APP}}}
    return {"podAntiAffinity" if away else "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}


ZONES = [make_node("a", zone="1"), make_node("b", zone="2")]


def test_preferred_company_and_preferred_distance() -> None:
    there = make_pod("there", node="a", labels=APP)
    assert placements(make_pod("p", affinity=weighted(50)), make_snapshot(ZONES, [there])) == {"a"}
    assert placements(make_pod("p", affinity=weighted(50, away=True)), make_snapshot(ZONES, [there])) == {"b"}


def test_what_pods_that_are_there_prefer_counts_too() -> None:
    shy = make_pod("shy", node="a", affinity=weighted(50, away=True))
    assert placements(make_pod("p", labels=APP), make_snapshot(ZONES, [shy])) == {"b"}
    needs = {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ZONE, "labelSelector": {"matchLabels": APP}}]}
    }
    needy = make_pod("needy", node="a", affinity=needs)
    assert placements(make_pod("p", labels=APP), make_snapshot(ZONES, [needy])) == {"a"}


def soft(key: str) -> list[Object]:
    return [{"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": APP}}]


def test_soft_spreading_prefers_the_emptier_zone() -> None:
    nodes = [make_node("a", zone="1"), make_node("b", zone="1"), make_node("c", zone="2"), make_node("d")]
    pods = [make_pod("1", node="a", labels=APP), make_pod("2", node="b", labels=APP), make_pod("3", node="c", labels=APP)]
    pods += [make_pod(f"load-{n}", node="c", cpu="500m") for n in range(2)]
    assert placements(make_pod("p", labels=APP, topologySpreadConstraints=soft(ZONE)), make_snapshot(nodes, pods)) == {"c"}
    assert "c" not in placements(make_pod("p", labels=APP), make_snapshot(nodes, pods)), "it is the fullest"


def test_replicas_are_spread_by_default_where_something_selects_them() -> None:
    pods = [make_pod(f"w{n}", node="a", labels=APP) for n in range(3)] + [make_pod("load", node="b", cpu="350m", memory="610Mi")]
    nodes = [make_node("a", cpu="64", memory="256Gi"), make_node("b", cpu="64", memory="256Gi")]
    snapshot = make_snapshot(nodes, pods)
    replica = make_pod("p", labels=APP, metadata=owned_by("ReplicaSet", "web"))
    assert "a" in placements(replica, snapshot), "the ReplicaSet is not known"
    owner = {"kind": "ReplicaSet", "metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"matchLabels": APP}}}
    snapshot.workloads.owner(None, owner)
    assert placements(replica, snapshot) == {"b"}
    snapshot.workloads.owner(owner, None)
    service = {"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": APP}}
    snapshot.workloads.service(None, service)
    assert placements(replica, snapshot) == {"b"}
    snapshot.workloads.service(service, None)
    assert "a" in placements(replica, snapshot)


def test_default_spreading_works_on_nodes_without_zones() -> None:
    nodes = [make_node("a"), make_node("b")]
    snapshot = make_snapshot(nodes, [make_pod("w", node="a", labels=APP, cpu="1m", memory="1"), make_pod("load", node="b", cpu="20m")])
    snapshot.workloads.service(None, {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": APP}})
    assert placements(make_pod("p", labels=APP), snapshot) == {"b"}


@pytest.mark.parametrize(
    ("nodes", "percentage", "wanted"),
    [(10, 0, 10), (99, 30, 99), (100, 0, 100), (1000, 0, 420), (5000, 0, 500), (6000, 0, 300), (1000, 40, 400), (1000, 100, 1000)],
)
def test_of_many_nodes_not_all_are_looked_at(nodes: int, percentage: int, wanted: int) -> None:
    assert feasible_wanted(nodes, percentage) == wanted


def test_every_node_gets_its_turn_and_each_search_is_of_all_zones() -> None:
    snapshot = make_snapshot([make_node(f"n{index:03}", zone=str(index // 100)) for index in range(300)])
    seen: set[str] = set()
    for index in range(600):
        decision = decide(make_pod(f"p{index}"), snapshot, seed=index)
        assert decision.node is not None
        assert decision.visited == decision.feasible == feasible_wanted(300, 0) == 144
        visited = snapshot.order()[snapshot.next_start :][:90]
        zones = {node.zone[1] for slot in visited if (node := snapshot.slots[slot]) is not None}
        assert len(visited) < 3 or len(zones) == 3
        snapshot.advance(decision.visited)
        seen.add(decision.node)
    assert len(seen) > 250


def test_the_host_name_is_a_topology_like_any_other() -> None:
    pods = [make_pod("1", node="a", labels=APP, cpu="1m", memory="1")]
    assert placements(make_pod("p", labels=APP, topologySpreadConstraints=soft(HOSTNAME)), make_snapshot(ZONES, pods)) == {"b"}
