"""What nodes do again and again: when it comes, and what happens when it fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from kube.errors import NotFound
from kubelet.beats import RETRY_S, UNDER_WAY_MAX, Beats
from tests.virtual import virtual


def now_s() -> float:
    return asyncio.get_running_loop().time()


def noting(moments: list[float]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def note() -> None:
        moments.append(now_s())

    return note


async def run_for(beats: Beats, seconds: float) -> None:
    running = asyncio.ensure_future(beats.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@virtual
async def test_beats_come_at_once_then_each_at_a_moment_of_its_own_then_every_period() -> None:
    beats = Beats(random.Random(1))
    many: list[list[float]] = [[] for _ in range(100)]
    for moments in many:
        beats.add(noting(moments), period_s=10, name="beat")
    await run_for(beats, 35)
    assert all(first == 0 and second < 10 for first, second, *_ in many)
    assert len({second for _, second, *_ in many}) == 100
    for moments in many:
        assert [later - earlier for earlier, later in pairwise(moments[1:])] == pytest.approx([10.0] * (len(moments) - 2))
        assert len(moments) in (4, 5)


@virtual
async def test_a_beat_that_takes_long_holds_up_no_other_and_comes_a_period_after_its_end() -> None:
    beats = Beats(random.Random(1))
    slow: list[float] = []
    quick: list[float] = []

    async def take_long() -> None:
        slow.append(now_s())
        await asyncio.sleep(100)

    beats.add(take_long, period_s=10, name="slow")
    beats.add(noting(quick), period_s=10, name="quick")
    await run_for(beats, 250)
    assert len(quick) in (25, 26)
    assert 100 <= slow[1] < 110
    assert slow[2] == pytest.approx(slow[1] + 110)


@virtual
async def test_a_beat_that_fails_comes_again_soon_and_goes_on() -> None:
    beats = Beats(random.Random(1))
    moments: list[float] = []

    async def fail_thrice() -> None:
        moments.append(now_s())
        if len(moments) <= 3:
            raise NotFound("not now")

    beats.add(fail_thrice, period_s=1000, name="beat")
    await run_for(beats, 3 * RETRY_S[1] + 2000)
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert all(RETRY_S[0] <= pause <= RETRY_S[1] for pause in pauses[:3])
    assert len(moments) in (5, 6)


@virtual
async def test_what_is_nobodys_fault_but_the_codes_ends_them_all() -> None:
    beats = Beats(random.Random(1))
    moments: list[float] = []

    async def break_down() -> None:
        await asyncio.sleep(5)
        raise ZeroDivisionError

    beats.add(break_down, period_s=10, name="broken")
    beats.add(noting(moments), period_s=1, name="whole")
    with pytest.raises(ExceptionGroup) as caught:
        await beats.run()
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]
    assert now_s() == 5
    before = len(moments)
    await asyncio.sleep(10)
    assert len(moments) == before


@virtual
async def test_so_many_are_under_way_at_a_time_and_all_have_their_turn() -> None:
    beats = Beats(random.Random(1))
    under_way: set[int] = set()
    most, calls = 0, [0] * 100

    def beat(number: int) -> Callable[[], Coroutine[Any, Any, None]]:
        async def call() -> None:
            nonlocal most
            under_way.add(number)
            most = max(most, len(under_way))
            await asyncio.sleep(0.5)
            under_way.discard(number)
            calls[number] += 1

        return call

    for number in range(100):
        beats.add(beat(number), period_s=10, name="beat")
    await run_for(beats, 1.75)
    assert calls == [1] * UNDER_WAY_MAX * 3 + [0] * (100 - UNDER_WAY_MAX * 3)
    assert most == UNDER_WAY_MAX
