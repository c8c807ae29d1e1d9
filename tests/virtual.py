"""Tests on virtual time: `@virtual` runs an async test on a `VirtualTimeLoop` and fails it when it leaves tasks behind.

An hour of sleeping costs nothing. A test that would wait for ever fails when `limit_s` virtual seconds are over, one that spins without
letting time pass after HANG_S real ones. Use ordinary fixtures only: async ones would run on another loop.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ParamSpec, TypeVar, overload

from kube.virtual import VirtualTimeLoop

P = ParamSpec("P")
T = TypeVar("T")

TWO_DAYS_S = 2 * 86400.0
HANG_S = 120
"""Far beyond what any test takes; only a loop that never ends meets it."""


@overload
def virtual(test: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, T]: ...


@overload
def virtual(*, limit_s: float) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, T]]: ...


def virtual(test: Callable[..., Any] | None = None, /, *, limit_s: float = TWO_DAYS_S) -> Any:
    """Decorates an async test, with or without arguments."""
    if test is None:
        return functools.partial(_on_virtual_time, limit_s=limit_s)
    return _on_virtual_time(test, limit_s=limit_s)


def _on_virtual_time(test: Callable[..., Coroutine[Any, Any, T]], *, limit_s: float) -> Callable[..., T]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> T:
        return run_virtual(functools.partial(test, *args, **kwargs), limit_s=limit_s)

    return run


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]], *, limit_s: float = TWO_DAYS_S) -> T:
    """Run `main()` on a fresh VirtualTimeLoop. AssertionError when it leaves tasks or uncaught errors, TimeoutError after `limit_s`."""
    with _ended_when_hanging(), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_guarded(main, limit_s))


async def _guarded(main: Callable[[], Coroutine[Any, Any, T]], limit_s: float) -> T:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(_complaint(context)))
    async with asyncio.timeout(limit_s):
        result = await main()
    await asyncio.sleep(0)  # what was cancelled last gets its turn to end
    left = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    assert not left, f"the test left tasks running: {left}"
    assert not complaints, f"the loop met errors nobody caught: {complaints}"
    return result


def _complaint(context: dict[str, Any]) -> str:
    """What the loop says of an exception in a callback, or in a task that nobody awaited."""
    return f"{context.get('message')}: {context.get('exception')!r}"


@contextmanager
def _ended_when_hanging() -> Iterator[None]:
    """Raise TimeoutError in the midst of whatever spins, after HANG_S real seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hang(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test hangs: {HANG_S} real seconds are over")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
