"""Tests on virtual time: `@virtual` runs an async test on a `VirtualTimeLoop` and fails it when it leaves tasks behind.

An hour of sleeping costs nothing, and a test that would hang fails when `limit_s` virtual seconds are over. Use ordinary fixtures only:
async ones would run on another loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, overload

from kube.virtual import VirtualTimeLoop

P = ParamSpec("P")
T = TypeVar("T")

TWO_DAYS_S = 2 * 86400.0


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
    """Run `main()` on a fresh VirtualTimeLoop; AssertionError when it leaves tasks, TimeoutError after `limit_s` virtual seconds."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_guarded(main, limit_s))


async def _guarded(main: Callable[[], Coroutine[Any, Any, T]], limit_s: float) -> T:
    async with asyncio.timeout(limit_s):
        result = await main()
    await asyncio.sleep(0)  # what was cancelled last gets its turn to end
    left = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
    assert not left, f"the test left tasks running: {left}"
    return result
