"""The scheduler at work against a stand-in of the API: binding, failing, telling, preempting."""

from __future__ import annotations

import asyncio

from controllers.scheduler.scheduler import BINDS_MAX
from kube.client.base import ConnectionFailed
from kube.errors import Conflict, InternalError
from kube.objects import Object, condition_of
from kube.resources import NAMESPACES, NODES, PODS
from tests.unit.scheduler_api import FakeApi, scheduling
from tests.unit.scheduler_cluster import HOSTNAME, make_node, make_pod, taint
from tests.virtual import virtual

FITS_NOT = (
    "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available:"
    " 1 Preemption is not helpful for scheduling."
)


def node_of(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))


@virtual
async def test_a_pod_gets_its_node_and_an_event() -> None:
    async with scheduling(make_node("a")) as (api, scheduler):
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(0.1)
        assert node_of(api.pod("p")) == "a"
        assert api.events == [("p", "Normal", "Scheduled", "Successfully assigned default/p to a")]
        assert not scheduler.snapshot.assumed
        assert len(scheduler.queue) == 0


@virtual
async def test_only_its_own_pods_are_scheduled_and_all_others_counted() -> None:
    async with scheduling(make_node("a", cpu="2")) as (api, _):
        api.put(PODS, make_pod("other", cpu="1") | {"spec": make_pod("other", cpu="1")["spec"] | {"schedulerName": "mine"}})
        api.put(PODS, make_pod("bound", node="a", cpu="1"))
        api.put(PODS, make_pod("done", node="a", cpu="1", status={"phase": "Succeeded"}))
        api.put(PODS, make_pod("first", cpu="1"))
        await asyncio.sleep(0.1)
        api.put(PODS, make_pod("second", cpu="1"))
        await asyncio.sleep(0.1)
        assert [node_of(api.pod(name)) for name in ("other", "first", "second")] == ["", "a", ""]


@virtual
async def test_a_pod_that_fits_nowhere_says_so_and_is_placed_when_it_does() -> None:
    async with scheduling(make_node("a", cpu="1")) as (api, scheduler):
        api.put(PODS, make_pod("p", cpu="2", metadata={"name": "p", "namespace": "default", "uid": "u", "generation": 3}))
        await asyncio.sleep(5)
        assert condition_of(api.pod("p"), "PodScheduled") == {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": FITS_NOT,
            "observedGeneration": 3,
            "lastProbeTime": None,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        assert api.events == [("p", "Warning", "FailedScheduling", FITS_NOT)]
        decision = scheduler.decisions["default/p"]
        assert decision.rejections["a"].plugin == "NodeResourcesFit"
        api.put(NODES, make_node("a", cpu="1", labels={"x": "y"}))
        await asyncio.sleep(5)
        assert len(api.events) == 1, "labels do not help, so it was not tried again"
        api.put(NODES, make_node("b", cpu="2"))
        await asyncio.sleep(5)
        assert node_of(api.pod("p")) == "b"
        assert not scheduler.decisions
        assert len(api.patches) == 1


@virtual
async def test_the_condition_changes_only_with_the_reasons_and_keeps_its_time() -> None:
    async with scheduling(make_node("a", cpu="1")) as (api, _):
        api.put(PODS, make_pod("p", cpu="2"))
        await asyncio.sleep(10)
        api.put(NODES, make_node("b", cpu="4", taints=[taint("x")]))
        await asyncio.sleep(10)
        first, *_, last = [status["conditions"][0] for _, status in api.patches]
        assert last["message"].startswith("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s).")
        assert last["lastTransitionTime"] == first["lastTransitionTime"]


@virtual
async def test_room_that_is_freed_is_given_to_who_waits() -> None:
    async with scheduling(make_node("a", cpu="1")) as (api, _):
        api.put(PODS, make_pod("first", cpu="1"))
        await asyncio.sleep(1)
        api.put(PODS, make_pod("second", cpu="1"))
        await asyncio.sleep(30)
        assert node_of(api.pod("second")) == ""
        api.put(PODS, {**api.pod("first"), "status": {"phase": "Succeeded"}})
        await asyncio.sleep(1)
        assert node_of(api.pod("second")) == "a"


@virtual
async def test_the_node_is_counted_as_taken_while_the_bind_is_under_way() -> None:
    api = FakeApi()
    api.bind_delay_s = 1
    async with scheduling(make_node("a", cpu="1"), make_node("b", cpu="1"), api=api) as (_, scheduler):
        for name in "pqr":
            api.put(PODS, make_pod(name, cpu="1"))
        await asyncio.sleep(0.5)
        assert len(scheduler.snapshot.assumed) == 2
        await asyncio.sleep(5)
        assert sorted(node_of(api.pod(name)) for name in "pqr") == ["", "a", "b"]


@virtual
async def test_binds_are_many_at_a_time_but_not_too_many() -> None:
    api = FakeApi()
    api.bind_delay_s = 1
    async with scheduling(make_node("a", pods="500", cpu="500", memory="500Gi"), api=api):
        for number in range(100):
            api.put(PODS, make_pod(f"p{number}"))
        await asyncio.sleep(5)
        assert api.binding_most == BINDS_MAX
        assert len(api.binds) == 100


@virtual
async def test_a_failed_bind_frees_the_node_and_is_tried_again() -> None:
    api = FakeApi()
    api.refusals = [InternalError("out of luck"), ConnectionFailed("no answer")]
    async with scheduling(make_node("a", cpu="1"), api=api):
        api.put(PODS, make_pod("p", cpu="1"))
        await asyncio.sleep(0.5)
        condition = condition_of(api.pod("p"), "PodScheduled")
        assert condition is not None
        assert condition["reason"] == "SchedulerError"
        assert condition["message"] == 'binding rejected: running Bind plugin "DefaultBinder": out of luck'
        assert node_of(api.pod("p")) == ""
        await asyncio.sleep(5)
        assert node_of(api.pod("p")) == "a"


@virtual
async def test_a_bind_that_someone_else_was_quicker_with_is_left_alone() -> None:
    api = FakeApi()
    api.bind_delay_s = 0.2
    async with scheduling(make_node("a", cpu="1"), make_node("b", cpu="1"), api=api) as (_, scheduler):
        api.put(PODS, make_pod("p", cpu="1"))
        await asyncio.sleep(0.1)
        assumed = scheduler.snapshot.pods["default/p"].node_name
        other = "b" if assumed == "a" else "a"
        api.put(PODS, make_pod("p", cpu="1", node=other))
        await asyncio.sleep(1)
        assert node_of(api.pod("p")) == other
        assert not api.events
        api.put(PODS, make_pod("q", cpu="1"))
        await asyncio.sleep(1)
        assert node_of(api.pod("q")) == assumed, "what was assumed is forgotten"


@virtual
async def test_a_pod_deleted_while_it_is_bound_leaves_nothing_behind() -> None:
    api = FakeApi()
    api.bind_delay_s = 0.2
    async with scheduling(make_node("a", cpu="1"), api=api) as (_, scheduler):
        api.put(PODS, make_pod("p", cpu="1"))
        await asyncio.sleep(0.1)
        api.remove(PODS, "default/p")
        await asyncio.sleep(1)
        assert not scheduler.snapshot.pods
        assert not scheduler.snapshot.assumed
        assert len(scheduler.queue) == 0
        assert not api.events


@virtual
async def test_pods_that_are_being_deleted_are_skipped() -> None:
    async with scheduling(make_node("a")) as (api, _):
        api.put(
            PODS, make_pod("p", metadata={"name": "p", "namespace": "default", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"})
        )
        await asyncio.sleep(1)
        assert api.events == [("p", "Warning", "FailedScheduling", "skip schedule deleting pod: default/p")]
        assert not api.binds


@virtual
async def test_affinity_to_a_pod_that_comes_later() -> None:
    near = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "x"}}}]}
    async with scheduling(make_node("a"), make_node("b")) as (api, _):
        api.put(PODS, make_pod("follower", affinity={"podAffinity": near}))
        await asyncio.sleep(10)
        assert node_of(api.pod("follower")) == ""
        api.put(PODS, make_pod("leader", labels={"app": "x"}))
        await asyncio.sleep(1)
        assert node_of(api.pod("follower")) == node_of(api.pod("leader")) != ""


@virtual
async def test_gated_pods_are_not_touched_before_their_gates_are_gone() -> None:
    async with scheduling(make_node("a")) as (api, _):
        api.put(PODS, make_pod("p", schedulingGates=[{"name": "g"}]))
        await asyncio.sleep(400)
        assert not api.patches
        assert not api.events
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(1)
        assert node_of(api.pod("p")) == "a"


@virtual
async def test_preemption_deletes_the_less_important_and_gives_their_room_to_the_pod() -> None:
    async with scheduling(make_node("a", cpu="1"), make_node("b", cpu="1", unschedulable=True)) as (api, scheduler):
        api.put(PODS, make_pod("low", cpu="1"))
        await asyncio.sleep(1)
        api.put(PODS, make_pod("high", cpu="1", priority=100))
        await asyncio.sleep(1)
        assert node_of(api.pod("high")) == "a"
        assert "default/low" not in api.objects[PODS]
        disruption = next(status["conditions"][0] for name, status in api.patches if name == "low")
        assert disruption["type"] == "DisruptionTarget"
        assert disruption["reason"] == "PreemptionByScheduler"
        assert disruption["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
        assert ("low", "Normal", "Preempted", "Preempted by pod uid-high on node a") in api.events
        assert not scheduler.snapshot.nominations


@virtual
async def test_promised_room_is_not_given_to_another_while_victims_take_their_time() -> None:
    class SlowApi(FakeApi):
        async def delete(self, resource: object, name: str, *, namespace: str = "", uid: str = "", **_: object) -> Object:
            pod = self.objects[PODS][f"{namespace}/{name}"]
            self.put(PODS, {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:30Z"}})
            return {}

    api = SlowApi()
    async with scheduling(make_node("a", cpu="1"), api=api):
        api.put(PODS, make_pod("low", cpu="1"))
        await asyncio.sleep(1)
        api.put(PODS, make_pod("high", cpu="1", priority=100))
        await asyncio.sleep(1)
        assert api.pod("high")["status"]["nominatedNodeName"] == "a"
        api.put(PODS, make_pod("cheeky", cpu="1", priority=50))
        await asyncio.sleep(20)
        api.remove(PODS, "default/low")
        await asyncio.sleep(5)
        assert node_of(api.pod("high")) == "a"
        assert node_of(api.pod("cheeky")) == ""


@virtual
async def test_a_conflict_is_tried_again() -> None:
    api = FakeApi()
    api.refusals = [Conflict("try again")]
    async with scheduling(make_node("a"), api=api):
        api.put(NAMESPACES, {"metadata": {"name": "default"}})
        api.put(PODS, make_pod("p"))
        await asyncio.sleep(3)
        assert node_of(api.pod("p")) == "a"


@virtual
async def test_the_most_important_of_many_come_first() -> None:
    async with scheduling() as (api, _):
        for number in range(6):
            api.put(PODS, make_pod(f"p{number}", cpu="1", priority=number))
        await asyncio.sleep(1)
        assert api.events[0][3] == "no nodes available to schedule pods"
        api.put(NODES, make_node("a", cpu="2"))
        await asyncio.sleep(30)
        assert api.binds == ["p5", "p4"]
