"""Whole decisions: their messages, what they share between alike pods, and preemption."""

from __future__ import annotations

import random
from typing import Any

import pytest

from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.schedule import Evaluations, schedule
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object
from tests.unit.scheduler_cluster import HOSTNAME, PROFILE, ZONE, decide, make_node, make_pod, make_snapshot, owned_by, taint

NOT_HELPFUL = "no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


def test_a_cluster_without_nodes() -> None:
    assert decide(make_pod("p"), make_snapshot([])).message == "no nodes available to schedule pods"


def test_reasons_are_counted_and_sorted_as_text() -> None:
    nodes = [make_node("a", cpu="1", memory="1Mi"), make_node("b", taints=[taint("x", "y")]), make_node("c", taints=[taint("z")])]
    decision = decide(make_pod("p", cpu="2", memory="1Gi"), make_snapshot(nodes))
    assert decision.message == (
        f"0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 2 node(s) had untolerated taint(s). {NOT_HELPFUL}"
    )
    assert decision.rejected_by == {"NodeResourcesFit", "TaintToleration"}


def test_nodes_that_preemption_could_free_are_told_apart() -> None:
    nodes = [make_node("a", cpu="2"), make_node("b", cpu="2"), make_node("c", unschedulable=True)]
    there = [make_pod("1", node="a", cpu="2"), make_pod("2", node="b", cpu="2")]
    decision = decide(make_pod("p", cpu="1"), make_snapshot(nodes, there))
    assert decision.message == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu."
        " no new claims to deallocate, preemption: 0/3 nodes are available:"
        " 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod."
    )


def test_a_pod_that_fits_says_nothing() -> None:
    decision = decide(make_pod("p"), make_snapshot([make_node("a")]))
    assert (decision.node, decision.feasible, decision.visited, decision.nodes, decision.rejections) == ("a", 1, 1, 1, {})


# Work shared between pods that are alike must change no answer.


class World:
    """A cluster that changes at random, and pods of a few kinds that are to go somewhere."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.snapshot = Snapshot()
        self.count = 0

    def change(self) -> None:
        rng, snapshot = self.rng, self.snapshot
        roll = rng.random()
        if roll < 0.45 or not snapshot.size:
            snapshot.set_node(self.node())
        elif roll < 0.52:
            snapshot.remove_node(rng.choice(sorted(snapshot.nodes)))
        elif roll < 0.72 and snapshot.pods:
            snapshot.remove_pod(rng.choice(sorted(snapshot.pods)))
        elif roll < 0.76:
            snapshot.set_namespace(None, {"metadata": {"name": "other", "labels": {"team": rng.choice("xy")}}})
        elif roll < 0.8:
            service = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": rng.choice("ab")}}}
            snapshot.workloads.service(None, service)
        else:
            pod = PodInfo(self.pod())
            snapshot.set_pod(PodInfo(self.pod(node=f"n{rng.randrange(14)}")))
            if rng.random() < 0.3:
                snapshot.nominate(pod, f"n{rng.randrange(12)}")

    def node(self) -> Object:
        rng = self.rng
        rest: dict[str, Any] = {}
        if rng.random() < 0.2:
            rest["taints"] = [taint("x", effect=rng.choice(("NoSchedule", "PreferNoSchedule")))]
        if rng.random() < 0.2:
            rest["images"] = [{"names": ["nginx:latest"], "sizeBytes": rng.randrange(100, 900) << 20}]
        if rng.random() < 0.1:
            rest["unschedulable"] = True
        return make_node(f"n{rng.randrange(12)}", cpu=str(rng.randint(1, 6)), zone=rng.choice(("", "1", "2", "3")), **rest)

    def pod(self, node: str = "") -> Object:
        rng = self.rng
        self.count += 1
        labels = {"app": rng.choice("ab")}
        spec: dict[str, Any] = {}
        selector = {"labelSelector": {"matchLabels": {"app": rng.choice("ab")}}}
        kind = rng.randrange(8)
        if kind == 0:
            when = rng.choice(("DoNotSchedule", "ScheduleAnyway"))
            spec["topologySpreadConstraints"] = [{"topologyKey": ZONE, "maxSkew": 1, "whenUnsatisfiable": when, **selector}]
        elif kind in (1, 2):
            which = "podAffinity" if kind == 1 else "podAntiAffinity"
            term = {
                "topologyKey": rng.choice((ZONE, HOSTNAME)),
                **selector,
                "namespaceSelector": rng.choice((None, {}, {"matchLabels": {"team": "x"}})),
            }
            preferred = [{"weight": 5, "podAffinityTerm": term}]
            how = rng.random() < 0.5
            spec["affinity"] = {
                which: {f"{'required' if how else 'preferred'}DuringSchedulingIgnoredDuringExecution": [term] if how else preferred}
            }
        elif kind == 3:
            spec["tolerations"] = [{"operator": "Exists"}]
        elif kind == 4:
            spec["priority"] = 10
        elif kind == 5:
            spec["container"] = {"ports": [{"hostPort": 80}]}
        namespace = rng.choice(("default", "default", "other"))
        return make_pod(f"p{self.count}", cpu=rng.choice(("", "500m", "2")), labels=labels, node=node, namespace=namespace, **spec)


@pytest.mark.parametrize("seed", range(12))
def test_shared_work_changes_no_answer(seed: int) -> None:
    world, memory = World(seed), Evaluations()
    kinds = [world.pod() for _ in range(10)]
    placed = 0
    for step in range(250):
        world.change()
        pod = world.rng.choice(kinds)
        shared = schedule(PodInfo(pod), world.snapshot, PROFILE, rng=random.Random(step), memory=memory)
        alone = schedule(PodInfo(pod), world.snapshot, PROFILE, rng=random.Random(step))
        assert (shared.node, shared.feasible, shared.visited) == (alone.node, alone.feasible, alone.visited)
        assert shared.rejections == alone.rejections
        assert shared.message == alone.message
        if shared.node is not None:
            placed += 1
            world.snapshot.advance(shared.visited)
            world.snapshot.assume(PodInfo(world.pod() | {"spec": pod["spec"]}), shared.node)
    assert placed > 20


def test_many_alike_pods_are_asked_about_once_per_change() -> None:
    snapshot, memory = make_snapshot([make_node(f"n{index}") for index in range(50)]), Evaluations()
    asked: list[str] = []
    plugin = next(each for each in PROFILE.filters if each.name == "NodeResourcesFit")
    original = type(plugin).filter

    def counting(self: Any, state: Any, node: Any) -> Any:
        asked.append(node.name)
        return original(self, state, node)

    type(plugin).filter = counting  # type: ignore[method-assign]
    try:
        for index in range(20):
            pod = PodInfo(make_pod(f"p{index}", cpu="100m", metadata=owned_by("ReplicaSet", "web")))
            decision = schedule(pod, snapshot, PROFILE, rng=random.Random(index), memory=memory)
            assert decision.node is not None
            snapshot.assume(pod, decision.node)
    finally:
        type(plugin).filter = original  # type: ignore[method-assign]
    assert len(asked) == 50 + 19


def test_alike_pods_that_fit_nowhere_share_the_decision_until_something_changes() -> None:
    snapshot, memory = make_snapshot([make_node("a", cpu="1")]), Evaluations()
    first = decide(make_pod("1", cpu="2"), snapshot, memory=memory)
    assert decide(make_pod("2", cpu="2"), snapshot, memory=memory) is first
    snapshot.set_node(make_node("a", cpu="2"))
    assert decide(make_pod("2", cpu="2"), snapshot, memory=memory).node == "a"


# Preemption.


def low(name: str, node: str, cpu: str = "1", **rest: Any) -> Object:
    return make_pod(name, node=node, cpu=cpu, **rest)


def high(name: str = "p", cpu: str = "1", **rest: Any) -> Object:
    return make_pod(name, cpu=cpu, priority=1000, **rest)


def victims(pod: Object, snapshot: Snapshot) -> tuple[str | None, list[str]]:
    result = decide(pod, snapshot).preemption
    assert result is not None
    return result.node, [victim.name for victim in result.victims]


def test_less_important_pods_make_room_and_no_more_of_them_than_needed() -> None:
    there = [low("small", "a"), low("other", "a"), low("middle", "a", priority=5), low("big", "a", priority=2000)]
    snapshot = make_snapshot([make_node("a", cpu="4")], there)
    assert victims(high(cpu="2"), snapshot) == ("a", ["small", "other"])
    decision = decide(high(cpu="2"), snapshot)
    assert decision.message == "0/1 nodes are available: 1 Insufficient cpu."


def test_of_equals_the_one_that_started_last_goes() -> None:
    old, new = ({"startTime": f"2026-01-01T0{hour}:00:00Z"} for hour in (1, 2))
    snapshot = make_snapshot([make_node("a", cpu="2")], [low("old", "a", status=old), low("new", "a", status=new)])
    assert victims(high(), snapshot) == ("a", ["new"])


def budget(allowed: int) -> Object:
    return {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}},
        "status": {"disruptionsAllowed": allowed},
    }


@pytest.mark.parametrize(
    ("pods", "allowed", "node"),
    [
        pytest.param([low("1", "a", labels={"app": "db"}), low("2", "b", priority=5)], 0, "b", id="budgets are kept where they can be"),
        pytest.param([low("1", "a", labels={"app": "db"}), low("2", "b", priority=5)], 1, "a", id="a budget with room is no obstacle"),
        pytest.param([low("1", "a", priority=3), low("2", "b", priority=5)], 0, "a", id="the least important victims"),
        pytest.param([low("1", "a", "500m"), low("2", "a", "500m"), low("3", "b")], 0, "b", id="the fewest victims"),
    ],
)
def test_the_node_where_it_hurts_least(pods: list[Object], allowed: int, node: str) -> None:
    snapshot = make_snapshot([make_node("a", cpu="1"), make_node("b", cpu="1")], pods)
    snapshot.budgets["default/b"] = budget(allowed)
    assert victims(high(), snapshot)[0] == node


def test_budgets_decide_who_of_a_node_goes() -> None:
    there = [low("protected", "a", labels={"app": "db"}), low("free", "a", priority=5)]
    snapshot = make_snapshot([make_node("a", cpu="2")], there)
    snapshot.budgets["default/b"] = budget(0)
    assert victims(high(), snapshot) == ("a", ["free"])
    snapshot.budgets["default/b"] = budget(1)
    assert victims(high(), snapshot) == ("a", ["protected"])


def test_a_pod_that_does_not_preempt_says_so() -> None:
    snapshot = make_snapshot([make_node("a", cpu="1")], [low("1", "a")])
    decision = decide(high(preemptionPolicy="Never"), snapshot)
    assert decision.message.endswith(" preemption: not eligible due to preemptionPolicy=Never.")


def test_who_has_preempted_waits_for_the_victims_to_be_gone() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    leaving = low("1", "a", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}, status={"conditions": [condition]})
    snapshot = make_snapshot([make_node("a", cpu="1"), make_node("b", cpu="1")], [leaving, low("2", "b")])
    decision = decide(high(status={"nominatedNodeName": "a"}), snapshot)
    assert decision.message.endswith(" preemption: not eligible due to a terminating pod on the nominated node.")
    assert decision.preemption is not None
    assert not decision.preemption.clears_nomination


def test_anti_affinity_can_be_preempted_away() -> None:
    away = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "x"}}}]
        }
    }
    snapshot = make_snapshot([make_node("a")], [low("x", "a", labels={"app": "x"}), low("y", "a")])
    assert victims(high(affinity=away), snapshot) == ("a", ["x"])
    assert decide(high(affinity=away), snapshot).node is None, "trying has changed nothing"


def test_room_that_was_promised_is_kept_from_others_but_not_from_the_more_important() -> None:
    snapshot = make_snapshot([make_node("a", cpu="1")])
    promised = PodInfo(high("promised"))
    snapshot.nominate(promised, "a")
    assert decide(make_pod("other", cpu="1"), snapshot).node is None
    assert decide(high("equal"), snapshot).node is None
    assert decide(make_pod("more", cpu="1", priority=2000), snapshot).node == "a"
    memory = Evaluations()
    assert decide(high("equal"), snapshot, memory=memory).node is None
    assert decide(high("promised"), snapshot, memory=memory).node == "a"
    assert decide(high("equal"), snapshot, memory=memory).node is None
    snapshot.nominate(promised, "")
    assert decide(make_pod("other", cpu="1"), snapshot).node == "a"
