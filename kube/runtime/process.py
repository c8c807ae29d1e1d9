"""Being a process: run until a signal, log, serve health. `HealthServer` and `set_up_logging` are at home in `health.py` and `logs.py`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from kube.runtime.garbage import settle
from kube.runtime.health import HealthServer
from kube.runtime.logs import set_up_logging

__all__ = ["CannotRun", "HealthServer", "run_until_signal", "set_up_logging"]

_log = logging.getLogger(__name__)


class CannotRun(Exception):
    """A problem that the user can solve; the text is one line that says what is wrong and where (a flag, a file)."""


def run_until_signal(main: Callable[[], Coroutine[Any, Any, None]], *, name: str = "") -> int:
    """Run `main()` to its end, or cancel it at SIGINT or SIGTERM (a second one ends the process at once). The exit code:
    0 when it ended or was told to, 1 when it failed. A CannotRun is one line on stderr, `<name>: <text>`; any other failure is logged."""
    settle()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_signal(main))
    except Exception as error:
        problem = _users_problem(error)
        if problem is not None:
            print(f"{name or Path(sys.argv[0]).name}: {problem}", file=sys.stderr)
            return 1
        _log.critical("%s: %s", type(error).__name__, error, exc_info=error)
        return 1
    return 0


def _users_problem(error: BaseException) -> CannotRun | None:
    """The CannotRun that `error` is, or that is all that a group of errors holds."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, CannotRun) else None


def cannot_listen(host: str, port: int, error: OSError, flags: str) -> CannotRun:
    """What to say when a server's address cannot be had; `flags` is what to change."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    return CannotRun(f"cannot listen on {host}:{port}: {reason}. Choose another with {flags}")


async def _until_signal(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    task = asyncio.create_task(main(), name="main")
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, _signalled, task, each)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _signalled(task: asyncio.Task[None], which: signal.Signals) -> None:
    if task.cancelling():
        os._exit(128 + which)
    _log.info("%s: stopping", which.name)
    task.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
