"""Who is tried when: priority, back-off, events, gates."""

from __future__ import annotations

import asyncio

import pytest

from controllers.scheduler.framework import ClusterEvent
from controllers.scheduler.queue import QueuedPod, SchedulingQueue, Where
from tests.unit.scheduler_cluster import PROFILE, make_pod
from tests.virtual import virtual

FIT = frozenset(("NodeResourcesFit",))


async def names(queue: SchedulingQueue, count: int) -> list[str]:
    return [(await queue.pop()).info.name for _ in range(count)]


async def popped_within(queue: SchedulingQueue, seconds: float) -> QueuedPod | None:
    try:
        async with asyncio.timeout(seconds):
            return await queue.pop()
    except TimeoutError:
        return None


@virtual
async def test_the_important_come_first_then_those_that_came_first() -> None:
    queue = SchedulingQueue(PROFILE)
    for name, priority in (("a", 0), ("b", 10), ("c", 0), ("d", 10)):
        queue.put(make_pod(name, priority=priority))
        await asyncio.sleep(1)
    assert await names(queue, 4) == ["b", "d", "a", "c"]


@virtual
async def test_a_pod_that_fits_nowhere_waits_for_an_event_that_matters() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("a"))
    queue.give_back(await queue.pop(), FIT)
    await asyncio.sleep(20)
    queue.move(ClusterEvent.NODE_LABEL)
    assert await popped_within(queue, 20) is None
    queue.move(ClusterEvent.POD_DELETE)
    again = await popped_within(queue, 0.1)
    assert again is not None
    assert again.attempts == 2


@virtual
async def test_a_pod_that_no_plugin_rejected_is_tried_after_any_event() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("a"))
    queue.give_back(await queue.pop(), frozenset())
    queue.move(ClusterEvent.NODE_LABEL)
    assert await popped_within(queue, 0.1) is not None


@virtual
async def test_nobody_waits_for_more_than_five_minutes() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("a"))
    queue.give_back(await queue.pop(), FIT)
    assert await popped_within(queue, 299) is None
    assert await popped_within(queue, 2) is not None


@virtual
async def test_back_off_lets_others_go_first_and_is_skipped_when_there_are_none() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("impatient", priority=100))
    queue.give_back(await queue.pop(), FIT)
    queue.put(make_pod("other"))
    queue.move(ClusterEvent.NODE_ADD)
    backing_off = queue.get("default/impatient")
    assert backing_off is not None
    assert backing_off.where is Where.BACKOFF
    assert await names(queue, 2) == ["other", "impatient"]


@virtual
async def test_after_errors_the_back_off_doubles_up_to_ten_seconds_and_is_waited_out() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("a"))
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    for _ in range(6):
        queue.give_back(await queue.pop(), frozenset(), error=True)
        began = loop.time()
        queued = await queue.pop()
        waits.append(round(loop.time() - began, 3))
        queue.give_back(queued, frozenset(), error=True)
        queue._leave(queued)
        queue._activate(queued)
    assert waits[0] == 1
    assert max(waits) == 10
    assert waits == sorted(waits)


@virtual
async def test_gated_pods_wait_for_their_gates() -> None:
    queue = SchedulingQueue(PROFILE)
    gated = make_pod("a", schedulingGates=[{"name": "g"}])
    queue.put(gated)
    queue.move(~ClusterEvent(0))
    assert queue.sizes()[Where.GATED] == 1
    assert await popped_within(queue, 1000) is None
    queue.put(make_pod("a"))
    assert await names(queue, 1) == ["a"]


@virtual
async def test_a_changed_pod_is_tried_again_but_not_for_its_status() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("a", cpu="5"))
    queue.give_back(await queue.pop(), FIT)
    queue.put(make_pod("a", cpu="5", status={"conditions": [{"type": "PodScheduled"}]}))
    assert await popped_within(queue, 20) is None
    queue.put(make_pod("a", cpu="1"))
    again = await popped_within(queue, 1)
    assert again is not None
    assert again.info.cpu == 1000


@virtual
async def test_removed_pods_never_come_out() -> None:
    queue = SchedulingQueue(PROFILE)
    for name in "abc":
        queue.put(make_pod(name))
    queue.remove("default/a")
    given_back = await queue.pop()
    queue.give_back(given_back, FIT)
    queue.remove(given_back.info.key)
    queue.move(ClusterEvent.POD_DELETE)
    assert await names(queue, 1) == ["c"]
    assert [each.info.name for each in queue._pods.values()] == ["c"]
    taken = queue.get("default/c")
    assert taken is not None
    queue.remove("default/c")
    queue.give_back(taken, FIT)
    assert len(queue) == 0, "who is gone is not taken back"


@virtual
async def test_a_pod_made_again_under_its_name_is_another() -> None:
    queue = SchedulingQueue(PROFILE)
    queue.put(make_pod("a"))
    old = await queue.pop()
    queue.put(make_pod("a", metadata={"name": "a", "namespace": "default", "uid": "other"}))
    queue.give_back(old, FIT)
    new = await queue.pop()
    assert new.info.uid == "other"
    assert new.attempts == 1


@pytest.mark.parametrize(
    ("plugins", "event", "wakes"),
    [
        (("NodeResourcesFit",), ClusterEvent.POD_DELETE, True),
        (("NodeResourcesFit",), ClusterEvent.NODE_ALLOCATABLE, True),
        (("NodeResourcesFit",), ClusterEvent.NODE_TAINT, False),
        (("TaintToleration",), ClusterEvent.NODE_TAINT, True),
        (("TaintToleration",), ClusterEvent.POD_DELETE, False),
        (("NodeAffinity", "NodeResourcesFit"), ClusterEvent.NODE_LABEL, True),
        (("InterPodAffinity",), ClusterEvent.POD_ADD, True),
        (("PodTopologySpread",), ClusterEvent.NODE_DELETE, True),
        (("NodePorts",), ClusterEvent.POD_DELETE, True),
        (("NodeUnschedulable",), ClusterEvent.NODE_TAINT, True),
    ],
)
def test_each_plugin_names_what_may_help(plugins: tuple[str, ...], event: ClusterEvent, wakes: bool) -> None:
    assert bool(PROFILE.wakes(frozenset(plugins)) & event) is wakes


@virtual
async def test_back_off_is_as_long_as_the_queue_is_told() -> None:
    queue = SchedulingQueue(PROFILE, backoff_s=5, backoff_s_max=7)
    queue.put(make_pod("p"))
    for expected in (5, 7, 7):
        queue.give_back(await queue.pop(), frozenset(), error=True)
        assert await popped_within(queue, expected - 0.1) is None
        await asyncio.sleep(0.1)
