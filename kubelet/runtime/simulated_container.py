"""One simulated container: its state, its log, and how it ends. `simulated.py` owns it; nothing here knows of CRI calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from kube.clock import rfc3339
from kube.objects import Object
from kubelet.runtime.base import ContainerConfig, ContainerState, ContainerStatus
from kubelet.runtime.log import LogLine, MemoryLog

KILLED_EXIT_CODE = 137
TERMINATED_EXIT_CODE = 143
_NONE: Object = {}
_MESSAGE_CHARS_MAX, _FALLBACK_CHARS_MAX, _MESSAGE_LINES_MAX = 4096, 2048, 80


@dataclass(slots=True, eq=False)
class SimulatedContainer:
    """Its status changes only through `run`, `end`; `on_end` is called once, when it has ended."""

    id: str
    sandbox_id: str
    pod_uid: str
    config: ContainerConfig
    image: str
    created_at: datetime
    now: Callable[[], datetime]
    on_end: Callable[[SimulatedContainer], None]
    state: ContainerState = ContainerState.CREATED
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log: MemoryLog = field(default_factory=MemoryLog)
    timer: asyncio.TimerHandle | asyncio.Task[None] | None = None
    """What will happen to it by itself."""
    ends: list[asyncio.Future[None]] = field(default_factory=list)
    files: MutableMapping[str, str] = field(default_factory=dict)
    """What its volumes hold and its commands wrote: path -> text."""
    quiet: bool = False
    cpu_core_nanos: int = 0
    """What it has used so far, up to `counted_at`."""
    counted_at: datetime | None = None
    _status: ContainerStatus | None = None

    @property
    def name(self) -> str:
        return str(self.config.container["name"])

    @property
    def spec(self) -> Object:
        return self.config.container

    def status(self) -> ContainerStatus:
        if self._status is None:
            self._status = ContainerStatus(
                id=self.id,
                name=self.name,
                attempt=self.config.attempt,
                sandbox_id=self.sandbox_id,
                pod_uid=self.pod_uid,
                image=self.image,
                image_ref=self.config.image_ref,
                state=self.state,
                created_at=self.created_at,
                started_at=self.started_at,
                finished_at=self.finished_at,
                exit_code=self.exit_code,
                reason=self.reason,
                message=self.message,
                log_path=self.config.log_path,
                resources=self.spec.get("resources") or _NONE,
            )
        return self._status

    def count(self, nano_cores: int) -> int:
        """Goes on counting its CPU up to now, at that rate since the last time; what it has used in all."""
        now = self.now()
        since = self.counted_at or self.started_at or now
        self.cpu_core_nanos += int(nano_cores * max((now - since).total_seconds(), 0.0))
        self.counted_at = now
        return self.cpu_core_nanos

    def hold(self, spec: Object) -> None:
        """Its spec, equal to the one it has, is held there now."""
        self.config = replace(self.config, container=spec)
        if self._status is not None:
            self._status = replace(self._status, resources=spec.get("resources") or _NONE)

    def resize(self, resources: Object) -> None:
        """It has these requests and limits from now on."""
        self.config, self._status = replace(self.config, container={**self.spec, "resources": resources}), None

    def say(self, text: str, stream: str = "stdout") -> None:
        """Lines into its log."""
        now = self.now()
        for line in text.splitlines() or [""]:
            self.log.append(LogLine(now, stream, line))

    def run(self, *, quiet: bool) -> None:
        """It runs from now on. `quiet` when it has things of its own to say."""
        self.state, self.started_at, self._status = ContainerState.RUNNING, self.now(), None
        self.quiet = quiet
        if not quiet:
            self.say(f"Wherry simulates this container: image {self.spec.get('image')} started at {rfc3339(self.started_at)}")

    def restored(self, status: ContainerStatus, *, quiet: bool) -> None:
        """It is what `status` says, from before the agent's restart."""
        self.state, self.started_at, self.finished_at = status.state, status.started_at, status.finished_at
        self.exit_code, self.reason, self.message = status.exit_code, status.reason, status.message
        self._status = replace(status, resources=self.spec.get("resources") or _NONE)
        self.quiet = quiet
        if status.state is ContainerState.EXITED:
            self.log.close()

    def end(self, exit_code: int, *, reason: str = "", message: str = "") -> None:
        """It has ended. Does nothing when it had already."""
        if self.state is ContainerState.EXITED:
            return
        self.cancel_timer()
        self.state, self.finished_at, self._status = ContainerState.EXITED, self.now(), None
        self.exit_code = exit_code
        self.reason, self.message = reason or ("Completed" if exit_code == 0 else "Error"), message or self._last_words()
        if not self.quiet:
            self.say(f"Wherry simulates this container: ended with exit code {exit_code} ({self.reason})")
        self.log.close()
        for waiter in self.ends:
            if not waiter.done():
                waiter.set_result(None)
        self.ends.clear()
        self.on_end(self)

    def _last_words(self) -> str:
        """The termination message: what the container wrote to its file for that, or the end of its log if it is to be that."""
        written = self.files.get(self.spec.get("terminationMessagePath") or "/dev/termination-log", "")
        if not written and self.exit_code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            written = "".join(f"{line.text}\n" for line in self.log.lines()[-_MESSAGE_LINES_MAX:])
            return written[-_FALLBACK_CHARS_MAX:]
        return written[:_MESSAGE_CHARS_MAX]

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def ended(self) -> None:
        """Returns when it has ended."""
        if self.state is ContainerState.EXITED:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ends.append(waiter)
        await waiter
