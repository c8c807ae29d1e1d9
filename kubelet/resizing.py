"""Carrying out a resize that the node has allocated, and telling of it: conditions, events. `allocation.py` decides whether there is room.

Conditions and events are upstream's (`pkg/kubelet/status/status_manager.go`, `pkg/kubelet/events/resize.go`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from kube.clock import parse_time
from kube.objects import Object, condition_of
from kubelet.conditions import IN_PROGRESS, PENDING
from kubelet.observed import Resize, ResizeCondition, RuntimeState
from kubelet.plan import ResizeContainer, ResizeSandbox, is_resizing
from kubelet.runtime.base import CRIError

if TYPE_CHECKING:
    from kubelet.worker import PodWorker

NOTHING = Resize()
DEFERRED, ERROR = "Deferred", "Error"


# --- conditions and messages (pure) ---------------------------------------------------------------------------------------


def condition(
    old: ResizeCondition | None, now: datetime, generation: int, reason: str = "", message: str = "", *, keeps_generation: bool = False
) -> ResizeCondition:
    """The condition as it is now; its lastTransitionTime stays while its reason does."""
    since = old.since if old is not None and old.reason == reason else now
    if old is not None and keeps_generation:
        generation = old.generation
    return ResizeCondition(generation, since, now, reason, message)


def told_by(pod: Object, now: datetime) -> Resize:
    """How it is with the pod's resize, by the status that was told before the agent's restart."""
    pending, in_progress = condition_of(pod, PENDING), condition_of(pod, IN_PROGRESS)
    return Resize(_known(pending, now), _known(in_progress, now)) if pending or in_progress else NOTHING


def _known(told: Mapping[str, Any] | None, now: datetime) -> ResizeCondition | None:
    if told is None:
        return None
    since, probed = (parse_time(told.get(each)) or now for each in ("lastTransitionTime", "lastProbeTime"))
    return ResizeCondition(int(told.get("observedGeneration") or 0), since, probed, told.get("reason") or "", told.get("message") or "")


def message_of(what: str, pod: Object, generation: int, error: str = "") -> str:
    """An event's text: what happened, and the resources that the pod's containers are to have."""
    summary: dict[str, Any] = {}
    for name in ("initContainers", "containers"):
        if containers := pod["spec"].get(name):
            summary[name] = [{"name": each["name"], "resources": _ordered(each.get("resources") or {})} for each in containers]
    summary["generation"] = generation
    if error:
        summary["error"] = error
    return f"Pod resize {what}: {orjson.dumps(summary).decode()}"


def _ordered(resources: Object) -> Object:
    """As Go's JSON has it."""
    kinds = (kind for kind in ("limits", "requests", "claims") if resources.get(kind))
    return {kind: dict(sorted(resources[kind].items())) if isinstance(resources[kind], dict) else resources[kind] for kind in kinds}


# --- carrying out -----------------------------------------------------------------------------------------------------------


async def carry_out(worker: PodWorker, action: ResizeContainer | ResizeSandbox) -> bool:
    """Tell the runtime of a new size; answers whether it has taken it. What it refuses is told, and tried again."""
    runtime = worker.host.runtime
    try:
        if isinstance(action, ResizeContainer):
            await runtime.update_container_resources(action.container_id, action.resources)
        else:
            await runtime.update_pod_sandbox_resources(action.sandbox_id, action.resources)
    except CRIError as error:
        _failed(worker, str(error))
        return False
    return True


def _failed(worker: PodWorker, why: str) -> None:
    generation, old = int(worker.pod["metadata"].get("generation") or 0), worker.resize.in_progress
    new = condition(old, worker.host.clock.now(), generation, ERROR, why, keeps_generation=True)
    if old is None or (old.reason, old.message) != (new.reason, new.message):
        worker.host.record(worker.pod, "Warning", "ResizeError", message_of("error", worker.pod, new.generation, why))
    worker.resize = replace(worker.resize, in_progress=new)
    worker.retry_soon()


def settle(worker: PodWorker, observed: RuntimeState) -> RuntimeState:
    """`observed`, after a look at whether a resize that was in progress is done."""
    in_progress = worker.resize.in_progress
    if in_progress is not None and not is_resizing(worker.pod, observed):
        worker.resize = replace(worker.resize, in_progress=None)
        worker.host.record(worker.pod, "Normal", "ResizeCompleted", message_of("completed", worker.pod, in_progress.generation))
    return observed if observed.resize is worker.resize else replace(observed, resize=worker.resize)
