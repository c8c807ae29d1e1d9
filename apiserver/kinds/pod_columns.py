"""The row of a Pod in a table: READY, STATUS, RESTARTS and the wide columns. Source: kubernetes `printPod` in `printers.go`.

The STATUS is not the phase: it is the most telling reason among deletion, init containers, containers and the phase.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age, since
from apiserver.kinds.workload_columns import AGE, NAME, NONE
from apiserver.registry.kind import Column
from kube.objects import Object, is_condition_true, is_deleting, name_of

COLUMNS = (
    NAME,
    Column("Ready", description="Containers that are ready, of all that should be."),
    Column("Status", description="What the pod is doing, or why it does not."),
    Column("Restarts", description="Container restarts, and how long ago the last one was."),
    AGE,
    Column("IP", description="The pod's first address.", priority=1),
    Column("Node", description="The node that the pod is bound to.", priority=1),
    Column("Nominated Node", description="The node where pods were preempted to make room for this one.", priority=1),
    Column("Readiness Gates", description="Readiness gates that are met, of all.", priority=1),
)

_FINISHED = {
    "Succeeded": {"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."},
    "Failed": {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
}


@dataclass(slots=True)
class _Restarts:
    """Restarts counted so far; `last` is the RFC 3339 time of the latest one (UTC, so it compares as text)."""

    count: int = 0
    last: str = ""

    def add(self, status: Object) -> None:
        self.count += status.get("restartCount") or 0
        finished = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        self.last = max(self.last, finished)

    def cell(self, now: datetime) -> str:
        return f"{self.count} ({since(self.last, now)} ago)" if self.count and self.last else str(self.count)


@dataclass(slots=True)
class _Seen:
    """What the container statuses say together."""

    reason: str
    ready: int
    restarts: _Restarts


def _is_sidecar(container: Object | None) -> bool:
    return container is not None and container.get("restartPolicy") == "Always"


def _exit_reason(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _init_reason(status: Object, index: int, total: int) -> str:
    """What holds up initialization at this init container."""
    state = status.get("state") or {}
    if state.get("terminated") is not None:
        return f"Init:{_exit_reason(state['terminated'])}"
    waiting = state.get("waiting") or {}
    if waiting.get("reason") and waiting["reason"] != "PodInitializing":
        return f"Init:{waiting['reason']}"
    return f"Init:{index}/{total}"


def _after_init(pod: Object, reason: str) -> tuple[_Seen, _Restarts, bool]:
    """(what the init containers say, the sidecars' restarts, whether initialization still goes on)."""
    containers = {each.get("name"): each for each in pod["spec"].get("initContainers") or ()}
    seen, sidecars = _Seen(reason, 0, _Restarts()), _Restarts()
    for index, status in enumerate(pod.get("status", {}).get("initContainerStatuses") or ()):
        sidecar = _is_sidecar(containers.get(status.get("name")))
        seen.restarts.add(status)
        if sidecar:
            sidecars.add(status)
        terminated = (status.get("state") or {}).get("terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and status.get("started"):
            seen.ready += bool(status.get("ready"))
            continue
        seen.reason = _init_reason(status, index, len(containers))
        return seen, sidecars, True
    return seen, sidecars, False


def _after_containers(statuses: list[Object], seen: _Seen) -> bool:
    """Adds what the main containers say (the first one last, so it wins); answers whether one is running and ready."""
    running = False
    for status in reversed(statuses):
        seen.restarts.add(status)
        state = status.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            seen.reason = waiting["reason"]
        elif terminated is not None:
            seen.reason = _exit_reason(terminated)
        elif status.get("ready") and state.get("running") is not None:
            running = True
            seen.ready += 1
    return running


def _phase_reason(status: Object) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return str(status.get("reason") or status.get("phase") or "")


def _look(pod: Object) -> _Seen:
    status = pod.get("status", {})
    seen, sidecars, initializing = _after_init(pod, _phase_reason(status))
    if not initializing or is_condition_true(pod, "Initialized"):
        seen.restarts = sidecars
        running = _after_containers(status.get("containerStatuses") or [], seen)
        if seen.reason == "Completed" and running:
            seen.reason = "Running" if is_condition_true(pod, "Ready") else "NotReady"
    if is_deleting(pod):
        if status.get("reason") == "NodeLost":
            seen.reason = "Unknown"
        elif status.get("phase") not in _FINISHED:
            seen.reason = "Terminating"
    return seen


def _gates_cell(pod: Object) -> str:
    gates: Iterable[Object] = pod["spec"].get("readinessGates") or ()
    met = [is_condition_true(pod, gate.get("conditionType", "")) for gate in gates]
    return f"{sum(met)}/{len(met)}" if met else NONE


def row(pod: Object, now: datetime) -> list[Any]:
    """The cells of a Pod, one per column of `COLUMNS`."""
    spec, status = pod["spec"], pod.get("status", {})
    total = len(spec.get("containers") or ()) + sum(_is_sidecar(each) for each in spec.get("initContainers") or ())
    seen = _look(pod)
    addresses = status.get("podIPs") or [{}]
    return [
        name_of(pod),
        f"{seen.ready}/{total}",
        seen.reason,
        seen.restarts.cell(now),
        age(pod, now),
        addresses[0].get("ip") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates_cell(pod),
    ]


def row_conditions(pod: Object) -> list[Object]:
    """The conditions on a finished Pod's row, by which `kubectl get` can hide it."""
    found = _FINISHED.get(pod.get("status", {}).get("phase", ""))
    return [dict(found)] if found else []
