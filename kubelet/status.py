"""A pod's status as its node describes it. Pure: `status_of(pod, observed, now, host_ips=...)` answers every field the kubelet owns.

Rules and words: upstream `kubelet_pods.go` (getPhase, convertToAPIContainerStatuses) and `status/generate.go`. Conditions that are not
the kubelet's, and qosClass, are not in the answer: `reporter.py` turns the difference into a patch, which leaves them alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kube.clock import rfc3339
from kube.objects import Object
from kubelet.conditions import conditions_of
from kubelet.observed import (
    RESTARTING_ALL,
    TERMINAL_PHASES,
    RuntimeState,
    Waiting,
    any_started,
    ephemeral_containers,
    init_containers,
    is_ready,
    is_sidecar,
    is_started,
    regular_containers,
    restarts_after,
    states_of,
)
from kubelet.runtime.base import ContainerState, ContainerStatus
from kubelet.sizes import container_resources, pod_resources

LOST_MESSAGE = "The container could not be located when the pod was terminated"
_LOST_EXIT_CODE = 137
_REMOVED = {"reason": RESTARTING_ALL, "message": "The container is removed because RestartAllContainers in place"}


def status_of(
    pod: Object, observed: RuntimeState, now: datetime, *, runtime_name: str, host_ips: Sequence[str], ended: bool = False
) -> Object:
    """The status. `ended`: nothing of the pod runs any more and nothing will, so the phase becomes final."""
    has_init = bool(init_containers(pod))
    make = _Statuses(pod, observed, runtime_name, PODS_WAIT if not has_init else PODS_INITIALIZE)
    init = [make.of(each, is_init=True) for each in init_containers(pod)]
    regular = sorted((make.of(each) for each in regular_containers(pod)), key=lambda each: str(each["name"]))
    if ended and _has_initialized(init, regular):
        regular = [_located(each) for each in regular]
    phase = _final_phase(pod, observed, init, regular, ended=ended)
    status: Object = {"phase": phase}
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    reason, message = _reason(pod, observed, phase)
    status |= {key: value for key, value in (("reason", reason), ("message", message)) if value}
    status |= _addresses(pod, observed, host_ips)
    status["startTime"] = observed.start_time or pod.get("status", {}).get("startTime") or rfc3339(now)
    if init:
        status["initContainerStatuses"] = init
    status["containerStatuses"] = regular
    status |= pod_resources(pod, is_running=phase == "Running")
    if ephemeral := [make.of(each) | {"ready": False} for each in ephemeral_containers(pod)]:
        status["ephemeralContainerStatuses"] = ephemeral
    status["conditions"] = conditions_of(pod, observed, phase, init, regular, now)
    return status


def rejected_status(pod: Object, reason: str, message: str, now: datetime) -> Object:
    """The status of a pod that its node does not take (upstream's rejectPod)."""
    status = {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}"}
    return status | {"startTime": pod.get("status", {}).get("startTime") or rfc3339(now)}


# --- the phase ----------------------------------------------------------------------------------------------------------


def phase_of(pod: Object, init: Sequence[Object], regular: Sequence[Object], *, ended: bool = False) -> str:
    """The phase that the container statuses amount to."""
    by_name = {each["name"]: each for each in (*init, *regular)}
    tally = _Tally()
    for container in init_containers(pod):
        tally.count_init(pod, container, by_name.get(container["name"]))
    for container in regular_containers(pod):
        tally.count(by_name.get(container["name"]))
    return tally.phase(pod["spec"].get("restartPolicy", "Always"), started=any_started(regular), ended=ended)


class _Tally:
    """How many containers are in which state, as far as the phase cares."""

    def __init__(self) -> None:
        self.pending_init = self.pending_sidecars = self.failed_init = 0
        self.unknown = self.running = self.waiting = self.stopped = self.succeeded = 0

    def count_init(self, pod: Object, container: Object, status: Object | None) -> None:
        state, last = states_of(status)
        if is_sidecar(container):
            self._count_sidecar(status, state, last)
            return
        ended = state.get("terminated") or (last.get("terminated") if "waiting" in state else None)
        if ended is None:
            self.pending_init += 1
        elif (code := ended.get("exitCode")) and not restarts_after(pod, container, code) and ended.get("reason") != RESTARTING_ALL:
            self.failed_init += 1  # for good

    def _count_sidecar(self, status: Object | None, state: Object, last: Object) -> None:
        if "running" in state:
            self.running += 1
            self.pending_sidecars += not (status or {}).get("started")
        elif "waiting" in state and "terminated" not in last:
            self.pending_sidecars += 1
            self.waiting += 1
        elif not state:
            self.unknown += 1

    def count(self, status: Object | None) -> None:
        state, last = states_of(status)
        if "running" in state:
            self.running += 1
        elif "terminated" in state:
            self.stopped += 1
            self.succeeded += state["terminated"].get("exitCode") == 0
        elif "waiting" in state:
            if "terminated" in last:
                self.stopped += 1
            else:
                self.waiting += 1
        else:
            self.unknown += 1

    def phase(self, policy: str, *, started: bool, ended: bool) -> str:
        if self.failed_init:
            return "Failed"
        if self.pending_init or (self.pending_sidecars and not started) or self.waiting:
            return "Pending"
        if self.unknown:
            return "Pending"
        if self.running:
            return "Running"
        if not self.stopped:
            return "Pending"
        if self.stopped == self.succeeded and (ended or policy != "Always"):
            return "Succeeded"
        return "Failed" if ended or policy == "Never" else "Running"


def _final_phase(pod: Object, observed: RuntimeState, init: Sequence[Object], regular: Sequence[Object], *, ended: bool) -> str:
    """The phase, never leaving a terminal one, and not entering one while anything still runs."""
    old = str(pod.get("status", {}).get("phase") or "Pending")
    if old in TERMINAL_PHASES:
        return old
    phase = phase_of(pod, init, regular, ended=ended)
    if ended:
        return phase if phase in TERMINAL_PHASES and not observed.reason else "Failed"
    if phase in TERMINAL_PHASES:
        return "Running" if any_started(regular) else old
    return phase


def _reason(pod: Object, observed: RuntimeState, phase: str) -> tuple[str, str]:
    if observed.reason and phase in TERMINAL_PHASES:
        return observed.reason, observed.message
    status = pod.get("status", {})
    return (status.get("reason", ""), status.get("message", "")) if status.get("phase") == phase else ("", "")


# --- containers ---------------------------------------------------------------------------------------------------------

PODS_WAIT = {"waiting": {"reason": "ContainerCreating"}}
PODS_INITIALIZE = {"waiting": {"reason": "PodInitializing"}}


class _Statuses:
    """Makes the container statuses of one pod."""

    def __init__(self, pod: Object, observed: RuntimeState, runtime_name: str, not_yet: Object) -> None:
        self._pod, self._observed, self._runtime, self._not_yet = pod, observed, runtime_name, not_yet

    def of(self, container: Object, *, is_init: bool = False) -> Object:
        observed, name = self._observed, container["name"]
        status = observed.containers.get(name)
        started = is_started(container, observed)
        answer = self._base(container, status)
        answer["ready"] = _init_done(status) if is_init and not is_sidecar(container) else is_ready(container, observed)
        answer["started"] = started
        state, last = self._states(name, status)
        answer["state"], answer["lastState"] = state, last
        if status is not None:
            is_running = status.state is ContainerState.RUNNING
            answer |= container_resources(container, status.resources if is_running else None)
        if mounts := _mounts(container):
            answer["volumeMounts"] = mounts
        return answer

    def _base(self, container: Object, status: ContainerStatus | None) -> Object:
        answer = {"name": container["name"], "image": container.get("image", ""), "imageID": "", "restartCount": 0}
        if status is not None:
            answer |= {"image": status.image, "imageID": status.image_ref, "restartCount": status.attempt}
            answer["containerID"] = f"{self._runtime}://{status.id}"
        elif restarts := self._observed.restarts.get(container["name"]):
            answer["restartCount"] = restarts
        return answer

    def _states(self, name: str, status: ContainerStatus | None) -> tuple[Object, Object]:
        """(state, lastState)."""
        before = self._observed.previous.get(name)
        last = self._terminated(before) if before is not None and before.state is ContainerState.EXITED else {}
        if before is None and self._was_removed(name, status):
            last = {"terminated": {"exitCode": _LOST_EXIT_CODE, **_REMOVED, "startedAt": None, "finishedAt": None}}
            if status is None and self._observed.restarting_all:
                return {"waiting": _REMOVED}, last
        waiting = self._observed.waiting.get(name)
        if status is None or status.state in (ContainerState.CREATED, ContainerState.UNKNOWN):
            return _waiting(waiting) or self._not_yet, last
        if status.state is ContainerState.RUNNING:
            return {"running": {"startedAt": _time(status.started_at)}}, last
        if waiting is not None:
            return _waiting(waiting), self._terminated(status)
        return self._terminated(status), last

    def _was_removed(self, name: str, status: ContainerStatus | None) -> bool:
        """Whether the container before this one (or the one that comes next) was removed to restart all."""
        restarts = self._observed.restarts.get(name, 0)
        return restarts > 0 and (status is None or status.attempt <= restarts)

    def _terminated(self, status: ContainerStatus) -> Object:
        reason = status.reason or ("Completed" if status.exit_code == 0 else "Error")
        state: Object = {"exitCode": status.exit_code, "reason": reason}
        if status.message:
            state["message"] = status.message
        state |= {"startedAt": _time(status.started_at), "finishedAt": _time(status.finished_at)}
        return {"terminated": state | {"containerID": f"{self._runtime}://{status.id}"}}


def _has_initialized(init: Sequence[Object], regular: Sequence[Object]) -> bool:
    """Whether the regular containers' turn had come: one has left its waiting, or the last init container has succeeded."""
    if not init or any("waiting" not in state or "terminated" in last for state, last in map(states_of, regular)):
        return True
    return any((state.get("terminated") or {}).get("exitCode") == 0 for state in states_of(init[-1]))


def _located(status: Object) -> Object:
    """The status of a container of an ended pod: one that left no trace of its end has failed."""
    if "terminated" in status["state"]:
        return status
    lost = {"exitCode": _LOST_EXIT_CODE, "reason": "ContainerStatusUnknown", "message": LOST_MESSAGE, "startedAt": None, "finishedAt": None}
    return status | {"state": {"terminated": lost}}


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _waiting(waiting: Waiting | None) -> Object:
    if waiting is None:
        return {}
    return {"waiting": {"reason": waiting.reason} | ({"message": waiting.message} if waiting.message else {})}


def _init_done(status: ContainerStatus | None) -> bool:
    return status is not None and status.state is ContainerState.EXITED and status.exit_code == 0


def _mounts(container: Object) -> list[Object]:
    return [_mount(each) for each in container.get("volumeMounts") or ()]


def _mount(mount: Mapping[str, Any]) -> Object:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        return status | {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return status


# --- addresses ----------------------------------------------------------------------------------------------------------


def _addresses(pod: Object, observed: RuntimeState, host_ips: Sequence[str]) -> Object:
    old = pod.get("status", {})
    own = list(host_ips) if pod["spec"].get("hostNetwork") else list(observed.sandbox.ips) if observed.sandbox else []
    ips = own or [each["ip"] for each in old.get("podIPs") or ()]
    answer: Object = {"hostIP": host_ips[0], "hostIPs": [{"ip": each} for each in host_ips]}
    if ips:
        answer |= {"podIP": ips[0], "podIPs": [{"ip": each} for each in ips]}
    return answer
