"""Probes of one pod's containers: when to ask, and what the answers amount to. The runtime carries them out (`RuntimeService.probe`).

No task waits between two probes, only a timer; and a container whose runtime promises that the answer stays (`ProbeResult.steady`) is
not asked again. Upstream: `pkg/kubelet/prober/worker.go`. deviates: the first probe comes right after initialDelaySeconds, not at the next
tick of the period.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kube.clock import Clock
from kube.objects import Object
from kubelet.runtime.base import CRIError, ProbeResult, RuntimeService

KINDS = ("startup", "readiness", "liveness")

Failed = Callable[[str, str, str], None]
"""(container, kind, output): a probe has failed once."""


@dataclass(slots=True)
class _Probe:
    """One probe of one running container."""

    kind: str
    container: str
    container_id: str
    spec: Object
    started_at: datetime
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    last: bool | None = None
    in_a_row: int = 0
    result: bool | None = None
    """None until a threshold is reached."""
    is_asleep: bool = False

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()


class Prober:
    """All probes of one pod. `changed()` is called when a result changes, `failed(...)` at every failure."""

    def __init__(self, runtime: RuntimeService, clock: Clock, *, changed: Callable[[], None], failed: Failed) -> None:
        self._runtime, self._clock, self._changed, self._failed = runtime, clock, changed, failed
        self._probes: dict[tuple[str, str], _Probe] = {}

    # --- which containers ----------------------------------------------------------------------------------------------

    def watch(self, container: Object, container_id: str, started_at: datetime, *, was_ready: bool = False) -> None:
        """A container runs: probe it as its spec says. Does nothing when it is watched already."""
        name = container["name"]
        for kind in KINDS:
            spec = container.get(f"{kind}Probe")
            if spec is None:
                continue
            known = self._probes.get((name, kind))
            if known is not None and known.container_id == container_id:
                continue
            if known is not None:
                known.cancel()
            probe = self._probes[(name, kind)] = _Probe(kind, name, container_id, spec, started_at)
            if was_ready:
                probe.result = True
        self._start(name)

    def forget(self, name: str) -> None:
        """The container runs no more."""
        for kind in KINDS:
            if probe := self._probes.pop((name, kind), None):
                probe.cancel()

    def wake(self) -> None:
        """Something about the pod changed: steady answers may be out of date."""
        for probe in self._probes.values():
            if probe.is_asleep:
                probe.is_asleep = False
                self._schedule(probe, 0.0)

    def stop(self) -> None:
        """Ask nothing more; results stay as they are."""
        for probe in self._probes.values():
            probe.cancel()
            probe.timer = probe.task = None

    # --- what they say --------------------------------------------------------------------------------------------------

    def started(self) -> dict[str, bool]:
        return {name: bool(probe.result) for (name, kind), probe in self._probes.items() if kind == "startup"}

    def ready(self) -> dict[str, bool]:
        return {name: bool(probe.result) for (name, kind), probe in self._probes.items() if kind == "readiness"}

    def failing(self) -> dict[str, str]:
        return {name: kind for (name, kind), probe in self._probes.items() if kind != "readiness" and probe.result is False}

    # --- asking ---------------------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        """Start the startup probe, or (without one, or after it) the others."""
        startup = self._probes.get((name, "startup"))
        kinds = ("startup",) if startup is not None and startup.result is not True else ("readiness", "liveness")
        for kind in kinds:
            probe = self._probes.get((name, kind))
            if probe is None or probe.timer or probe.task or probe.is_asleep:
                continue
            age_s = (self._clock.now() - probe.started_at).total_seconds()
            self._schedule(probe, max(float(probe.spec.get("initialDelaySeconds") or 0) - age_s, 0.0))

    def _schedule(self, probe: _Probe, delay_s: float) -> None:
        probe.timer = asyncio.get_running_loop().call_later(delay_s, self._ask, probe)

    def _ask(self, probe: _Probe) -> None:
        probe.timer = None
        probe.task = asyncio.get_running_loop().create_task(self._probe(probe), name=f"{probe.kind} probe")

    async def _probe(self, probe: _Probe) -> None:
        timeout_s = float(probe.spec.get("timeoutSeconds") or 1)
        try:
            async with asyncio.timeout(timeout_s):
                result = await self._runtime.probe(probe.container_id, probe.spec, kind=probe.kind)
        except TimeoutError:
            result = ProbeResult(False, f"context deadline exceeded after {timeout_s:g}s")
        except CRIError as error:
            result = ProbeResult(False, str(error))
        probe.task = None
        self._count(probe, result)

    def _count(self, probe: _Probe, result: ProbeResult) -> None:
        probe.in_a_row = probe.in_a_row + 1 if probe.last is result.success else 1
        probe.last = result.success
        if not result.success:
            self._failed(probe.container, probe.kind, result.output)
        before = probe.result
        if result.success and probe.in_a_row >= int(probe.spec.get("successThreshold") or 1):
            probe.result = True
        elif not result.success and probe.in_a_row >= int(probe.spec.get("failureThreshold") or 3):
            probe.result = False
        self._go_on(probe, result)
        if probe.result is not before and not (before is None and probe.result is False and probe.kind == "readiness"):
            self._changed()

    def _go_on(self, probe: _Probe, result: ProbeResult) -> None:
        if self._probes.get((probe.container, probe.kind)) is not probe:
            return
        if probe.kind == "startup" and probe.result is True:
            self._start(probe.container)
        elif probe.kind != "readiness" and probe.result is False:
            pass  # condemned: whoever stops it forgets it
        elif result.steady and probe.result is result.success:
            probe.is_asleep = True
        else:
            self._schedule(probe, float(probe.spec.get("periodSeconds") or 10))
