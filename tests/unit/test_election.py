"""Leader election between candidates on virtual time: never two at once, never none for long."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest

from kube.client.client import Client
from kube.client.transport import AsgiTransport
from kube.clock import LoopClock, parse_time
from kube.objects import Object
from kube.runtime.election import LeadershipLost, lead
from tests.fake_api import FakeApi
from tests.virtual import virtual

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/thing"


class Leading(list[str]):
    """Who leads now; `overlaps` are those who ever did at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.overlaps: list[list[str]] = []

    def begin(self, identity: str) -> None:
        self.append(identity)
        if len(self) > 1:
            self.overlaps.append([*self])


class Candidate:
    """One replica, with a network of its own that can be cut."""

    def __init__(self, api: FakeApi, identity: str, leading: Leading, **rest: Any) -> None:
        self.api, self.identity, self.leading = api, identity, leading
        self.is_cut = self.is_slow = self.loses_answers = False
        self.told: list[str] = []
        self.leaders: list[str] = []
        self.work_s = rest.pop("work_s", 1e6)
        self.fails = rest.pop("fails", False)
        self.slow_end_s = rest.pop("slow_end_s", 0)
        client = Client(AsgiTransport(self), user_agent=identity)
        self.task = asyncio.create_task(
            lead(
                client,
                name="thing",
                identity=identity,
                clock=LoopClock(),
                rng=random.Random(identity),
                on_started=self.work,
                on_new_leader=self.leaders.append,
                events=self,
                **rest,
            )
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.is_cut:
            return
        if self.is_slow:
            await asyncio.sleep(1000)
        await self.api(scope, receive, _nowhere if self.loses_answers and scope["method"] == "PUT" else send)

    def record(self, obj: Object, type: str, reason: str, message: str) -> None:
        self.told.append(f"{obj['kind']} {obj['metadata']['name']} {type} {reason}: {message}")

    async def work(self) -> None:
        self.leading.begin(self.identity)
        try:
            await asyncio.sleep(self.work_s)
            if self.fails:
                raise RuntimeError("a mistake")
        finally:
            ends = asyncio.get_running_loop().time() + self.slow_end_s
            while asyncio.get_running_loop().time() < ends:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(ends - asyncio.get_running_loop().time())
            self.leading.remove(self.identity)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


async def _nowhere(_message: Any) -> None:
    """An answer that is lost on its way."""


def spec(api: FakeApi) -> Object:
    found: Object = api.objects[LEASE]["spec"]
    return found


@virtual
async def test_the_first_leads_renews_and_writes_the_lease_as_upstream() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one = Candidate(api, "one", leading)
    await asyncio.sleep(0.1)
    acquired = spec(api)
    assert leading == ["one"]
    assert {**acquired, "acquireTime": 0, "renewTime": 0} == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "leaseTransitions": 0,
        "acquireTime": 0,
        "renewTime": 0,
    }
    await asyncio.sleep(60)
    renewed = spec(api)
    assert renewed["acquireTime"] == acquired["acquireTime"]
    passed = (parse_time(renewed["renewTime"]) or LoopClock().now()) - (parse_time(acquired["renewTime"]) or LoopClock().now())
    assert 57 <= passed.total_seconds() <= 61
    assert sum(method == "PUT" for method, _ in api.requests) == 30
    await one.stop()
    released = spec(api)
    assert (released["holderIdentity"], released["leaseDurationSeconds"], released["leaseTransitions"]) == ("", 1, 0)
    assert one.told == [
        "Lease thing Normal LeaderElection: one became leader",
        "Lease thing Normal LeaderElection: one stopped leading",
    ]


@virtual
async def test_a_leader_that_stops_is_followed_within_a_retry_period() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one = Candidate(api, "one", leading)
    await asyncio.sleep(1)
    two = Candidate(api, "two", leading)
    await asyncio.sleep(100)
    assert leading == ["one"]
    await one.stop()
    await asyncio.sleep(4.5)
    assert leading == ["two"]
    assert spec(api)["leaseTransitions"] == 1
    assert two.leaders == ["one", "", "two"] or two.leaders == ["one", "two"]
    await two.stop()


@virtual
async def test_a_leader_that_is_killed_is_followed_when_its_lease_is_over_and_not_before() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one, two = Candidate(api, "one", leading), Candidate(api, "two", leading)
    await asyncio.sleep(30)
    assert leading == ["one"]
    one.is_cut = True
    await one.stop()
    assert spec(api)["holderIdentity"] == "one"
    await asyncio.sleep(12)
    assert leading == []
    await asyncio.sleep(8)
    assert leading == ["two"]
    assert spec(api)["leaseTransitions"] == 1
    await two.stop()


@pytest.mark.parametrize("fault", ["is_cut", "is_slow"])
def test_a_leader_cut_off_from_the_server_stops_before_the_next_one_starts(fault: str) -> None:
    @virtual
    async def check() -> None:
        api, leading = FakeApi(random.Random(0)), Leading()
        one, two = Candidate(api, "one", leading), Candidate(api, "two", leading)
        await asyncio.sleep(30)
        began = asyncio.get_running_loop().time()
        setattr(one, fault, True)
        with pytest.raises(LeadershipLost):
            await one.task
        lost_s = asyncio.get_running_loop().time() - began
        assert 8 <= lost_s <= 20.5  # the deadline counts from the last renewal; releasing may take as long again
        assert "one" not in leading
        await asyncio.sleep(15)
        assert leading == ["two"]
        await two.stop()

    check()


@virtual
async def test_short_troubles_do_not_end_a_leadership() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one, two = Candidate(api, "one", leading), Candidate(api, "two", leading)
    await asyncio.sleep(30)
    for _ in range(20):
        one.is_cut = True
        await asyncio.sleep(6)
        one.is_cut = False
        await asyncio.sleep(6)
        assert leading == ["one"]
    assert two.leaders == ["one"]
    await one.stop()
    await two.stop()


@pytest.mark.parametrize("seed", range(10))
def test_there_are_never_two_leaders_and_never_none_for_long(seed: int) -> None:
    @virtual
    async def check() -> None:
        rng = random.Random(seed)
        api, leading = FakeApi(rng), Leading()
        candidates = [Candidate(api, f"c{number}", leading) for number in range(3)]
        for turn in range(40):
            victim = rng.choice(candidates)
            victim.is_cut = rng.random() < 0.5
            await asyncio.sleep(rng.random() * 30)
            for each in [*candidates]:
                if each.task.done():
                    assert isinstance(each.task.exception(), LeadershipLost)
                    candidates.remove(each)
                    candidates.append(Candidate(api, f"d{turn}", leading))
        for each in candidates:
            each.is_cut = False
        await asyncio.sleep(60)
        assert len(leading) == 1
        assert leading.overlaps == []
        for each in candidates:
            each.task.cancel()
        await asyncio.wait([each.task for each in candidates])

    check()


@virtual
async def test_work_that_ends_ends_the_leadership_and_work_that_fails_too() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one = Candidate(api, "one", leading, work_s=30)
    await one.task
    assert spec(api)["holderIdentity"] == ""
    two = Candidate(api, "two", leading, work_s=30, fails=True)
    with pytest.raises(RuntimeError, match="a mistake"):
        await two.task
    assert spec(api)["holderIdentity"] == ""


@virtual
async def test_a_lease_taken_away_by_hand_ends_the_leadership() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one = Candidate(api, "one", leading)
    await asyncio.sleep(5)
    lease = api.objects[LEASE]
    api.put(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": "someone"}})
    with pytest.raises(LeadershipLost):
        await one.task
    assert spec(api)["holderIdentity"] == "someone"


@virtual
async def test_a_leader_that_is_told_to_end_while_it_stops_ends_as_told() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one = Candidate(api, "one", leading, slow_end_s=5)
    await asyncio.sleep(5)
    one.is_cut = True
    await asyncio.sleep(11)  # its lease is lost, and its work takes its time to end
    one.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one.task
    assert leading == []


@virtual
async def test_a_lease_is_released_even_after_renewals_whose_answers_were_lost() -> None:
    api, leading = FakeApi(random.Random(0)), Leading()
    one = Candidate(api, "one", leading)
    await asyncio.sleep(5)
    one.loses_answers = True
    await asyncio.sleep(3)
    one.loses_answers = False
    await one.stop()
    assert spec(api)["holderIdentity"] == ""


@virtual
async def test_times_that_make_no_sense_are_refused() -> None:
    one = Candidate(FakeApi(random.Random(0)), "one", Leading(), lease_duration_s=10)
    with pytest.raises(ValueError, match="renew_deadline_s"):
        await one.task
