"""Starts processes, keeps them running, and stops every one of them. Knows nothing of Kubernetes.

Children get no terminal signals of their own (each has its own session) and die with the supervisor, even if that is killed with -9
(PR_SET_PDEATHSIG, where the kernel has it). One that ends unasked is started again, with growing pauses; one that keeps ending fails
the whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

from wherry.plan import Process

STOP_S: Final = 10.0
RESTARTS_MAX: Final = 5
RESTART_WINDOW_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1


class ComponentFailed(Exception):
    """A process ended, and ended again when it was restarted. The text names it and shows the end of its log."""


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def log_tail(process: Process, lines: int = 8) -> str:
    """The end of a process's log."""
    try:
        data = process.log.read_bytes()[-4096:]
    except OSError:
        return ""
    return "\n".join(data.decode(errors="replace").splitlines()[-lines:])


class Supervisor:
    """Runs processes until `stop`. `say(text)` is told what happens, `changed(pids)` the process ids after one was started again."""

    def __init__(self, say: Callable[[str], None], changed: Callable[[dict[str, int]], None] = lambda pids: None) -> None:
        self._say, self._changed = say, changed
        self.restarts = False
        """Whether one that ends is started again. Not at first: what cannot even start would only fail once more."""
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Ends with ComponentFailed when a process cannot be kept running."""

    async def start(self, process: Process) -> None:
        """Start one process and watch over it from now on."""
        self._running[process.name] = await self._spawn(process)
        self._watching[process.name] = asyncio.create_task(self._watch(process), name=f"watch {process.name}")

    async def _spawn(self, process: Process) -> asyncio.subprocess.Process:
        process.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(process.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *process.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        finally:
            os.close(handle)

    async def _watch(self, process: Process) -> None:
        ends: list[float] = []
        loop = asyncio.get_running_loop()
        while True:
            code = await self._running[process.name].wait()
            if self._stopping:
                return
            now = loop.time()
            ends = [each for each in ends if now - each < RESTART_WINDOW_S] + [now]
            if len(ends) > RESTARTS_MAX or not self.restarts:
                if not self.failed.done():
                    why = f"{process.name} ended with {code}. Its log, {process.log}, ends with:\n{log_tail(process)}"
                    self.failed.set_exception(ComponentFailed(why))
                return
            pause = 0.2 * 2 ** (len(ends) - 1)
            self._say(f"{process.name} ended with {code}; starting it again in {pause:.1f} s (log: {process.log})")
            await asyncio.sleep(pause)
            if self._stopping:
                return
            self._running[process.name] = await self._spawn(process)
            self._changed(self.pids())

    def pids(self) -> dict[str, int]:
        """The process ids by name."""
        return {name: running.pid for name, running in self._running.items()}

    async def stop(self) -> None:
        """Stop everything, the last started first: SIGTERM, and SIGKILL for what has not ended after ten seconds."""
        self._stopping = True
        for task in self._watching.values():
            task.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)
        names = list(reversed(self._running))
        components = [name for name in names if name != "apiserver"]
        await self._end(components)
        await self._end([name for name in names if name == "apiserver"])

    async def _end(self, names: Sequence[str]) -> None:
        alive = [self._running[name] for name in names if self._running[name].returncode is None]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not alive:
            return
        _, pending = await asyncio.wait([asyncio.create_task(each.wait()) for each in alive], timeout=STOP_S)
        for process in alive if pending else ():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
