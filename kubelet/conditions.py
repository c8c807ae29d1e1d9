"""The conditions of a pod that are its node's. Pure. Source: upstream `pkg/kubelet/status/generate.go` and `status_manager.go`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kube.clock import rfc3339
from kube.objects import Object, condition_of, is_condition_true
from kubelet.observed import (
    ALL_RESTARTING,
    TERMINAL_PHASES,
    Resize,
    ResizeCondition,
    RuntimeState,
    any_started,
    init_containers,
    is_sidecar,
    may_restart_all,
    regular_containers,
)

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
PASSING = (PENDING, IN_PROGRESS)
"""Those that are told while they hold, and not at all when they do not."""


def conditions_of(
    pod: Object, observed: RuntimeState, phase: str, init: Sequence[Object], regular: Sequence[Object], now: datetime
) -> list[Object]:
    """The conditions that are the kubelet's, in its order; each keeps its lastTransitionTime while its status stays."""
    containers = _containers_ready(pod, phase, init, regular)
    wanted = [
        ("PodReadyToStartContainers", (observed.has_ready_sandbox, "", "")),
        ("Initialized", _initialized(pod, phase, init, regular)),
        ("Ready", containers if not containers[0] else _gates(pod)),
        ("ContainersReady", containers),
    ]
    if condition_of(pod, "PodScheduled") is None:
        wanted.append(("PodScheduled", (True, "", "")))
    if may_restart_all(pod):
        wanted.append((ALL_RESTARTING, _all_restarting(phase, observed)))
    resizes = [] if phase in TERMINAL_PHASES else _resizes(observed.resize)
    return [*resizes, *(_condition(pod, kind, answer, now) for kind, answer in wanted)]


def _resizes(resize: Resize) -> list[Object]:
    """What is told of a resize that waits, or is in progress; nothing when there is none."""
    found = ((PENDING, resize.pending), (IN_PROGRESS, resize.in_progress))
    return [_resize_condition(kind, each) for kind, each in found if each is not None]


def _resize_condition(kind: str, each: ResizeCondition) -> Object:
    told: Object = {"type": kind, "status": "True"}
    if each.generation:
        told["observedGeneration"] = each.generation
    told |= {key: value for key, value in (("reason", each.reason), ("message", each.message)) if value}
    return told | {"lastProbeTime": rfc3339(each.probed), "lastTransitionTime": rfc3339(each.since)}


def _all_restarting(phase: str, observed: RuntimeState) -> _Answer:
    if phase in TERMINAL_PHASES:
        return False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""
    if not observed.restarting_all:
        return False, "", ""
    return True, "RestartAllContainersStarted", "container exited with restart policy rule"


_Answer = tuple[bool, str, str]


def _condition(pod: Object, kind: str, answer: _Answer, now: datetime) -> Object:
    is_true, reason, message = answer
    condition: Object = {"type": kind, "status": "True" if is_true else "False"}
    if generation := pod["metadata"].get("generation"):
        condition["observedGeneration"] = generation
    condition |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
    old = condition_of(pod, kind)
    same = old is not None and old.get("status") == condition["status"]
    condition["lastTransitionTime"] = (old or {}).get("lastTransitionTime") if same else None
    condition["lastTransitionTime"] = condition["lastTransitionTime"] or rfc3339(now)
    return condition


def _containers_ready(pod: Object, phase: str, init: Sequence[Object], regular: Sequence[Object]) -> _Answer:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    ready = {each["name"]: each["ready"] for each in (*init, *regular)}
    needed = [each["name"] for each in init_containers(pod) if is_sidecar(each)] + [each["name"] for each in regular_containers(pod)]
    unready = [name for name in needed if not ready.get(name)]
    return (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]") if unready else (True, "", "")


def _initialized(pod: Object, phase: str, init: Sequence[Object], regular: Sequence[Object]) -> _Answer:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    if any_started(regular):
        return True, "", ""
    by_name = {each["name"]: each for each in init}
    missing = [each["name"] for each in init_containers(pod) if not by_name[each["name"]]["started" if is_sidecar(each) else "ready"]]
    if missing and not (may_restart_all(pod) and is_condition_true(pod, "Initialized")):  # what was initialized once stays so
        return False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing)}]"
    return True, "", ""


def _gates(pod: Object) -> _Answer:
    """Readiness gates: conditions that others set."""
    problems = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        condition = condition_of(pod, kind)
        if condition is None:
            problems.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif condition.get("status") != "True":
            problems.append(f'the status of pod readiness gate "{kind}" is not "True", but {condition.get("status")}')
    return (False, "ReadinessGatesNotReady", ", ".join(problems)) if problems else (True, "", "")
