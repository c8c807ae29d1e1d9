"""Permit with waiting, PostBind, and what ends a wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controllers.scheduler.framework import Rejection, Wait
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.scheduler import Scheduler
from kube.resources import PODS
from tests.unit.scheduler_api import FakeApi, scheduling
from tests.unit.scheduler_cluster import make_node, make_pod
from tests.virtual import virtual


class Doorkeeper:
    """Lets pods with the label `wait` wait, and remembers who was bound."""

    name = "Doorkeeper"

    def __init__(self, name: str = "Doorkeeper", timeout_s: float = 60) -> None:
        self.name, self.timeout_s = name, timeout_s
        self.bound: list[tuple[str, str]] = []

    def permit(self, pod: PodInfo, node: str) -> Rejection | Wait | None:
        return Wait(self.timeout_s) if "wait" in pod.labels else None

    def post_bind(self, pod: PodInfo, node: str) -> None:
        self.bound.append((pod.name, node))


@asynccontextmanager
async def guarded(*keepers: Doorkeeper) -> AsyncIterator[tuple[FakeApi, Scheduler]]:
    """A scheduler with one node of one cpu, and these Permit plugins."""
    async with scheduling(make_node("a", cpu="1")) as (api, scheduler):
        (profile,) = scheduler.profiles.values()
        profile.permit, profile.post_bind = list(keepers), list(keepers)
        api.put(PODS, make_pod("p", cpu="1", labels={"wait": ""}))
        await asyncio.sleep(1)
        yield api, scheduler


@virtual
async def test_a_pod_waits_with_its_node_taken_until_everybody_allows_it() -> None:
    first, second = Doorkeeper(), Doorkeeper("Second")
    async with guarded(first, second) as (api, scheduler):
        waiting = scheduler.waiting.get("default/p")
        assert waiting is not None
        assert waiting.pending == {"Doorkeeper", "Second"}
        assert scheduler.snapshot.assumed == {"default/p"}
        api.put(PODS, make_pod("other"))
        await asyncio.sleep(1)
        assert api.binds == ["other"], "nobody else has to wait"
        waiting.allow("Doorkeeper")
        await asyncio.sleep(1)
        assert waiting.pending == {"Second"}
        waiting.allow("Second")
        await asyncio.sleep(1)
        assert api.pod("p")["spec"]["nodeName"] == "a"
        assert first.bound == [("other", "a"), ("p", "a")]
        assert not list(scheduler.waiting)


@virtual
async def test_time_is_up_and_the_pod_is_tried_again_when_something_happens() -> None:
    async with guarded(Doorkeeper(timeout_s=60), Doorkeeper("Second", timeout_s=5)) as (api, scheduler):
        await asyncio.sleep(3)
        assert api.events == []
        await asyncio.sleep(2)
        message = "0/1 nodes are available: 1 rejected due to timeout after waiting 5s at plugin Second."
        assert api.events == [("p", "Warning", "FailedScheduling", message)]
        assert not scheduler.snapshot.assumed


@virtual
async def test_a_pod_that_is_rejected_goes_back_to_the_queue() -> None:
    async with guarded(Doorkeeper()) as (api, scheduler):
        waiting = scheduler.waiting.get("default/p")
        assert waiting is not None
        waiting.reject("Doorkeeper", "not today")
        await asyncio.sleep(0.1)
        assert api.events == [("p", "Warning", "FailedScheduling", "0/1 nodes are available: 1 not today.")]
        assert len(scheduler.queue) == 1


@virtual
async def test_a_pod_that_is_deleted_while_it_waits_leaves_nothing_behind() -> None:
    async with guarded(Doorkeeper()) as (api, scheduler):
        api.remove(PODS, "default/p")
        await asyncio.sleep(1)
        assert not list(scheduler.waiting)
        assert not scheduler.snapshot.pods
        assert len(scheduler.queue) == 0
        assert api.events == []


@virtual
async def test_a_waiting_pod_is_preempted_by_refusing_it_only() -> None:
    async with guarded(Doorkeeper()) as (api, _):
        api.put(PODS, make_pod("high", cpu="1", priority=10))
        await asyncio.sleep(5)
        assert api.pod("high")["spec"]["nodeName"] == "a"
        assert "default/p" in api.objects[PODS]
        assert not api.pod("p")["spec"].get("nodeName")
