"""The virtual loop, and the decorator that tests run on it with."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from kube.clock import LoopClock
from kube.virtual import VirtualTimeLoop
from tests.virtual import run_virtual, virtual


@virtual
async def test_a_year_of_sleep_is_over_at_once() -> None:
    clock = LoopClock()
    began, before = time.process_time(), clock.now()
    await asyncio.sleep(365 * 86400 / 250)  # within the limit of a test
    assert (clock.now() - before).total_seconds() == pytest.approx(365 * 86400 / 250)
    assert time.process_time() - began < 1


@virtual
async def test_timers_go_off_in_their_order_and_at_their_time() -> None:
    loop = asyncio.get_running_loop()
    heard: list[tuple[str, float]] = []

    async def after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        heard.append((name, loop.time()))

    await asyncio.gather(after(30, "c"), after(10, "a"), after(20, "b"))
    assert heard == [("a", 10), ("b", 20), ("c", 30)]


@virtual
async def test_time_outs_run_on_virtual_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 3600


@virtual
async def test_time_stands_still_while_a_thread_works() -> None:
    loop = asyncio.get_running_loop()
    done = threading.Event()
    ticker = asyncio.create_task(asyncio.sleep(1000))
    await asyncio.sleep(1)
    waiting = loop.run_in_executor(None, done.wait, 10)
    await asyncio.sleep(0)
    done.set()
    assert await waiting
    assert loop.time() == 1
    await ticker


@virtual
async def test_sockets_still_wake_it() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"x")
        assert await loop.sock_recv(ours, 1) == b"x"
        assert loop.time() == 0


def test_a_limit_holds_time_back_until_it_is_advanced() -> None:
    loop = VirtualTimeLoop(limit=10)
    heard: list[float] = []
    loop.call_later(5, lambda: heard.append(loop.time()))
    loop.call_later(15, lambda: heard.append(loop.time()))
    loop.call_later(9, loop.stop)
    loop.run_forever()
    assert heard == [5]
    loop.advance(6)
    loop.call_later(7, loop.stop)
    loop.run_forever()
    assert heard == [5, 15]
    loop.close()


def test_a_test_that_leaves_a_task_fails() -> None:
    async def leave() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(5), name="left over")

    with pytest.raises(AssertionError, match="left over"):
        run_virtual(leave)


def test_a_test_in_which_a_callback_fails_fails() -> None:
    def mistake() -> None:
        raise ValueError("a mistake")

    async def call() -> None:
        asyncio.get_running_loop().call_later(5, mistake)
        await asyncio.sleep(10)

    with pytest.raises(AssertionError, match="a mistake"):
        run_virtual(call)


def test_a_test_that_would_wait_for_ever_fails() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run_virtual(wait, limit_s=50)


def test_what_a_test_answers_and_raises_comes_through() -> None:
    @virtual(limit_s=5)
    async def answer(number: int) -> int:
        if number < 0:
            raise ValueError("negative")
        return number

    assert answer(3) == 3
    with pytest.raises(ValueError, match="negative"):
        answer(-1)
