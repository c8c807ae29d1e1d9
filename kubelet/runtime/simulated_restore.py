"""Simulated pods as they were before the agent's restart, rebuilt from their status: the only memory a simulated node has.

Of their environment only the literal values come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from kube.clock import parse_time
from kube.objects import Object, uid_of
from kubelet.observed import all_containers, init_containers
from kubelet.runtime.base import ContainerConfig, ContainerState, ContainerStatus, SandboxStatus
from kubelet.runtime.simulated_container import SimulatedContainer
from kubelet.runtime.simulated_pod import SimulatedPod
from kubelet.sizes import as_given


def was_here(pod: Object) -> bool:
    """Whether the pod's status tells of a sandbox that still is: containers that run or have run, and an address."""
    status = pod.get("status", {})
    return bool(status.get("podIP")) and status.get("phase") in ("Pending", "Running")


def rebuilt(
    pod: Object,
    *,
    name: str,
    new_id: Callable[[], str],
    now: Callable[[], datetime],
    on_end: Callable[[SimulatedContainer], None],
    has_program: Callable[[Object, Mapping[str, str]], bool],
) -> SimulatedPod:
    """The pod with all containers its status tells of, running ones running since then."""
    status = pod["status"]
    created = parse_time(status.get("startTime")) or now()
    ips = tuple(each["ip"] for each in status.get("podIPs") or [{"ip": status["podIP"]}])
    known = SimulatedPod(pod, SandboxStatus(new_id(), uid_of(pod), 0, True, created, ips, pod["spec"].get("resources")))
    specs = {each["name"]: each for each in all_containers(pod)}
    inits = {each["name"] for each in init_containers(pod)}
    lists = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    for entry in (each for field in lists for each in status.get(field) or ()):
        spec = specs.get(entry["name"])
        if spec is None:
            continue
        for found in _statuses(entry, known.sandbox, f"{name}://", created):
            envs = {each["name"]: each.get("value") or "" for each in spec.get("env") or () if "valueFrom" not in each}
            config = ContainerConfig(as_given(pod, spec), found.image_ref, found.attempt, envs, is_init=entry["name"] in inits)
            container = SimulatedContainer(found.id, known.sandbox.id, known.uid, config, found.image, created, now, on_end)
            container.restored(found, quiet=has_program(spec, envs))
            known.containers[found.id] = container
    return known


def _statuses(entry: Object, sandbox: SandboxStatus, prefix: str, created: datetime) -> Iterator[ContainerStatus]:
    """The container of `state`, and the one of `lastState`."""
    count = int(entry.get("restartCount") or 0)
    state, last = entry.get("state") or {}, entry.get("lastState") or {}
    is_between = "waiting" in state
    if not is_between and (found := _status(entry, state, sandbox, prefix, count, created)):
        yield found
    if last and (found := _status(entry, last, sandbox, prefix, count if is_between else count - 1, created)):
        yield found


def _status(entry: Object, state: Object, sandbox: SandboxStatus, prefix: str, attempt: int, created: datetime) -> ContainerStatus | None:
    end = state.get("terminated")
    container_id = str((end if end is not None else entry).get("containerID") or "")
    if not container_id.startswith(prefix) or not (end or "running" in state):
        return None
    details = end or state["running"]
    return ContainerStatus(
        id=container_id[len(prefix) :],
        name=entry["name"],
        attempt=max(attempt, 0),
        sandbox_id=sandbox.id,
        pod_uid=sandbox.pod_uid,
        image=entry.get("image", ""),
        image_ref=entry.get("imageID", ""),
        state=ContainerState.EXITED if end else ContainerState.RUNNING,
        created_at=created,
        started_at=parse_time(details.get("startedAt")),
        finished_at=parse_time((end or {}).get("finishedAt")),
        exit_code=int((end or {}).get("exitCode") or 0),
        reason=(end or {}).get("reason", ""),
        message=(end or {}).get("message", ""),
    )
