"""A loop in a thread of its own, and time that stands still between calls."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from wherry.loop_thread import LoopEnded, LoopThread, StandingTimeLoop


async def forever(ready: asyncio.Event) -> None:
    ready.set()
    await asyncio.get_running_loop().create_future()


async def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def thread() -> LoopThread:
    return LoopThread(forever, StandingTimeLoop, name="test")


def test_time_passes_only_while_a_call_waits_for_it(thread: LoopThread) -> None:
    thread.start()
    try:
        assert thread.call(now) == 0.0
        time.sleep(0.05)
        assert thread.call(now) == 0.0
        thread.call(lambda: asyncio.sleep(3600))
        assert thread.call(now) == pytest.approx(3600.0)
    finally:
        thread.stop()


def test_what_follows_at_once_has_happened_when_a_call_returns_what_takes_time_has_not(thread: LoopThread) -> None:
    seen: list[str] = []

    async def follow(name: str, delay_s: float) -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        await asyncio.sleep(delay_s)
        seen.append(name)

    tasks: set[asyncio.Task[None]] = set()

    async def begin() -> None:
        for name, delay_s in (("later", 1.0), ("now", 0.0)):
            tasks.add(asyncio.create_task(follow(name, delay_s)))

    thread.start()
    try:
        thread.call(begin)
        assert seen == ["now"]
        thread.call(lambda: asyncio.sleep(1.0))
        assert seen == ["now", "later"]
    finally:
        thread.stop()


def test_calls_from_many_threads_are_served_together(thread: LoopThread) -> None:
    thread.start()
    ended: list[float] = []

    def one(seconds: float) -> None:
        async def work() -> float:
            await asyncio.sleep(seconds)
            return seconds

        ended.append(thread.call(work))

    callers = [threading.Thread(target=one, args=(seconds,)) for seconds in (30.0, 10.0, 20.0)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    thread.stop()
    assert sorted(ended) == [10.0, 20.0, 30.0]


def test_without_any_timer_it_settles_too() -> None:
    async def settled() -> str:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StandingTimeLoop)
        await loop.settled()
        return "settled"

    with asyncio.Runner(loop_factory=StandingTimeLoop) as runner:
        assert runner.run(settled()) == "settled"


def test_errors_reach_the_caller_and_the_thread_goes_on(thread: LoopThread) -> None:
    async def fail() -> None:
        raise KeyError("lost")

    thread.start()
    try:
        with pytest.raises(KeyError, match="lost"):
            thread.call(fail)
        assert thread.call(now) == 0.0
    finally:
        thread.stop()


def test_a_main_that_fails_before_it_is_ready_fails_the_start() -> None:
    async def broken(ready: asyncio.Event) -> None:
        raise OSError("no way")

    thread = LoopThread(broken, StandingTimeLoop, name="broken")
    with pytest.raises(OSError, match="no way"):
        thread.start()
    assert not thread.is_running


def test_a_main_that_fails_later_ends_the_calls_under_way_and_tells_why() -> None:
    async def short(ready: asyncio.Event) -> None:
        ready.set()
        await asyncio.sleep(5)
        raise OSError("it broke")

    thread = LoopThread(short, StandingTimeLoop, name="short")
    thread.start()
    with pytest.raises(LoopEnded) as ended:
        thread.call(lambda: asyncio.sleep(10))
    assert "ended meanwhile" in str(ended.value)
    with pytest.raises(OSError, match="it broke"):
        thread.stop()
    with pytest.raises(LoopEnded):
        thread.call(now)


def test_stopping_cancels_main_and_a_second_time_does_nothing() -> None:
    ends: list[str] = []

    async def main(ready: asyncio.Event) -> None:
        try:
            await forever(ready)
        finally:
            await asyncio.sleep(30)  # time passes for what has to be tidied up
            ends.append("tidied")

    thread = LoopThread(main, StandingTimeLoop, name="tidy")
    thread.start()
    thread.stop()
    thread.stop()
    assert ends == ["tidied"]


def test_a_call_from_the_loops_own_thread_is_refused(thread: LoopThread) -> None:
    async def inside() -> None:
        thread.call(now)

    thread.start()
    try:
        with pytest.raises(RuntimeError, match="own thread"):
            thread.call(inside)
    finally:
        thread.stop()


def test_one_that_was_never_started_has_nothing_to_stop(thread: LoopThread) -> None:
    with pytest.raises(LoopEnded):
        thread.call(now)
    thread.stop()
