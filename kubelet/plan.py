"""What to do about one pod on its node. Pure: `plan(pod, observed, now_s)` never awaits, reads a clock or logs; `worker.py` carries it out.

Promises, as upstream's `kuberuntime_manager.go computePodActions` and `pod_workers.go`: init containers one after the other; sidecars
start among them and only have to have started; the others start together; what ended is started again as the restart policy says,
after its back-off; what a probe or a changed image condemned is stopped first; what is to have another size gets it, by a restart where
its policy says so; a container whose rule restarts all has all others killed and removed, and the pod begins again in its sandbox; a pod
that is over has its containers stopped, regular ones before sidecars, and its sandbox after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kube.clock import parse_time
from kube.objects import Object, is_deleting
from kubelet import backoff, sizes
from kubelet.observed import (
    RuntimeState,
    ephemeral_containers,
    init_containers,
    is_ending,
    is_sidecar,
    is_started,
    regular_containers,
    restarts_after,
    restarts_all_after,
)
from kubelet.runtime.base import ContainerState, ContainerStatus

DEADLINE_REASON = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
SIDECAR_GRACE_MIN_S = 2.0
"""What a sidecar gets at least, however long the regular containers took (upstream's minimumGracePeriodInSeconds)."""
HEARD_S = 1.0
"""How long after its end a container's rule restarts all: upstream's kubelet hears of it about then, and there is no back-off."""
_GRACE_TOLERANCE_S = 0.5
_NOT_STARTED = (ContainerState.CREATED, ContainerState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class RunSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StopSandbox:
    sandbox_id: str


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Pull its image if needed, create and start it. `failed_at_s` is when its predecessor ended (None for a first start)."""

    name: str
    attempt: int
    is_init: bool = False
    failed_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class StopContainer:
    container_id: str
    name: str
    grace_s: float
    message: str
    """The Killing event's text."""


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    container_id: str


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """A running container gets other requests and limits."""

    container_id: str
    name: str
    resources: Object


@dataclass(frozen=True, slots=True)
class ResizeSandbox:
    """The pod as a whole gets other requests and limits."""

    sandbox_id: str
    resources: Object | None


@dataclass(frozen=True, slots=True)
class RestartAll:
    """From now on (`is_over`: no more) all containers are being removed, to be started again."""

    is_over: bool = False


@dataclass(frozen=True, slots=True)
class ResetContainer:
    """Remove a container; the next one of its name is the `next_attempt`."""

    container_id: str
    name: str
    next_attempt: int


@dataclass(frozen=True, slots=True)
class HoldBack:
    """The container crashed and waits for its back-off."""

    name: str
    delay_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this moment."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Terminate:
    """The pod is over without having been deleted: remember why, and stop everything."""

    reason: str = ""
    message: str = ""


RuntimeAction = (
    RunSandbox
    | StopSandbox
    | StartContainer
    | StopContainer
    | RemoveContainer
    | ResizeContainer
    | ResizeSandbox
    | RestartAll
    | ResetContainer
    | HoldBack
    | Wait
    | Terminate
)


def plan(pod: Object, observed: RuntimeState, now_s: float) -> list[RuntimeAction]:
    """What to do now, in order. `now_s` is POSIX time. An empty list means: everything is as it should be."""
    if is_ending(pod, observed):
        return list(_end(pod, observed, now_s))
    deadline_s = deadline_of(pod, observed)
    if deadline_s is not None and now_s >= deadline_s:
        return [Terminate(DEADLINE_REASON, DEADLINE_MESSAGE)]
    if observed.restarting_all or _sources(pod, observed):
        return list(_restart_all(pod, observed, now_s))
    if is_over(pod, observed):
        return [Terminate()]
    actions = list(_keep_running(pod, observed, now_s))
    actions.extend(RemoveContainer(each.id) for each in observed.older)
    if deadline_s is not None:
        actions.append(Wait(deadline_s))
    return actions


def deadline_of(pod: Object, observed: RuntimeState) -> float | None:
    """When activeDeadlineSeconds runs out, in POSIX seconds."""
    allowed_s = pod["spec"].get("activeDeadlineSeconds")
    started = parse_time(observed.start_time) if allowed_s is not None else None
    return started.timestamp() + allowed_s if started else None


def is_over(pod: Object, observed: RuntimeState) -> bool:
    """An init container failed for good, or every regular container has ended and none is started again."""
    for container in init_containers(pod):
        status = observed.containers.get(container["name"])
        if status is None or is_sidecar(container) or not _belongs(status, observed):
            continue
        if status.state is ContainerState.EXITED and status.exit_code != 0 and not restarts_after(pod, container, status.exit_code):
            return True
    return all(_is_done(pod, each, observed) for each in regular_containers(pod))


def _is_done(pod: Object, container: Object, observed: RuntimeState) -> bool:
    status = observed.containers.get(container["name"])
    return status is not None and status.state is ContainerState.EXITED and not restarts_after(pod, container, status.exit_code)


def _belongs(status: ContainerStatus, observed: RuntimeState) -> bool:
    """False for what is left of an earlier sandbox: init containers run again in a new one."""
    return observed.sandbox is None or status.sandbox_id == observed.sandbox.id


# --- a pod that is to run -----------------------------------------------------------------------------------------------


def _keep_running(pod: Object, observed: RuntimeState, now_s: float) -> Iterator[RuntimeAction]:
    if not observed.has_ready_sandbox:
        yield from _replace_sandbox(pod, observed)
        return
    if observed.sandbox and sizes.changed(observed.sandbox.resources, pod["spec"].get("resources")):
        yield ResizeSandbox(observed.sandbox.id, pod["spec"].get("resources"))
    for container in ephemeral_containers(pod):
        if container["name"] not in observed.containers:
            yield from _start(container["name"], None, observed, now_s, is_init=False)
    for container in init_containers(pod):
        yield from _tend(pod, container, observed, now_s, is_init=True)
        if not _lets_on(container, observed) and not _was_initialized(pod, observed):
            return
    for container in regular_containers(pod):
        yield from _tend(pod, container, observed, now_s)


def _replace_sandbox(pod: Object, observed: RuntimeState) -> Iterator[RuntimeAction]:
    """A new sandbox, once everything in the old one is dead."""
    running = observed.running()
    for status in running:
        yield from _stop(status, observed, grace_of(pod), f"Stopping container {status.name}")
    if not running:
        yield RunSandbox(observed.sandbox.attempt + 1 if observed.sandbox else 0)


def _was_initialized(pod: Object, observed: RuntimeState) -> bool:
    """Regular containers have run in this sandbox: restarting sidecars hold nobody up any more."""
    statuses = (observed.containers.get(each["name"]) for each in regular_containers(pod))
    return any(each is not None and _belongs(each, observed) for each in statuses)


def _lets_on(container: Object, observed: RuntimeState) -> bool:
    """Whether the containers after this init container may start."""
    if is_sidecar(container):
        return is_started(container, observed)
    status = observed.containers.get(container["name"])
    return status is not None and _belongs(status, observed) and status.state is ContainerState.EXITED and status.exit_code == 0


def _tend(pod: Object, container: Object, observed: RuntimeState, now_s: float, *, is_init: bool = False) -> Iterator[RuntimeAction]:
    """Keep one container as it should be."""
    name = container["name"]
    status = observed.containers.get(name)
    runs_once = is_init and not is_sidecar(container)
    if runs_once and _was_initialized(pod, observed):
        return
    if status is None or status.state in _NOT_STARTED or (runs_once and not _belongs(status, observed)):
        yield from _start(name, status, observed, now_s, is_init=is_init)
    elif status.state is ContainerState.RUNNING:
        if name in observed.changed or name in observed.failing:
            yield from _condemn(pod, container, status, observed)
        else:
            yield from _resize(pod, container, status, observed)
    elif not (runs_once and status.exit_code == 0) and restarts_after(pod, container, status.exit_code):
        yield from _restart(name, status, observed, now_s, is_init=is_init)


def _condemn(pod: Object, container: Object, status: ContainerStatus, observed: RuntimeState) -> Iterator[RuntimeAction]:
    """Stop a running container that a probe or a change of its image wants gone."""
    name = container["name"]
    again = ", will be restarted" if is_sidecar(container) or restarts_after(pod, container, 1) else ""
    if name in observed.changed:
        yield from _stop(status, observed, grace_of(pod), f"Container {name} definition changed, will be restarted")
    elif name in observed.failing:
        kind = observed.failing[name]
        own_s = (container.get(f"{kind}Probe") or {}).get("terminationGracePeriodSeconds")
        yield from _stop(status, observed, own_s if own_s is not None else grace_of(pod), f"Container {name} failed {kind} probe{again}")


def _resize(pod: Object, container: Object, status: ContainerStatus, observed: RuntimeState) -> Iterator[RuntimeAction]:
    """Let a running container have what was allocated to it."""
    wanted = sizes.given_to(pod, container)
    other = sizes.changed(status.resources, wanted) if status.resources is not None else ()
    if other and sizes.must_restart(container, other):
        yield from _stop(status, observed, grace_of(pod), f"Container {status.name} resize requires restart")
    elif other and status.id not in observed.stopping:
        yield ResizeContainer(status.id, status.name, wanted)


def is_resizing(pod: Object, observed: RuntimeState) -> bool:
    """Whether something that runs has not the size yet that was allocated to it."""
    if observed.sandbox is not None and sizes.changed(observed.sandbox.resources, pod["spec"].get("resources")):
        return True
    running = {each.name: each for each in observed.running() if each.resources is not None}
    containers = (each for each in (*init_containers(pod), *regular_containers(pod)) if each["name"] in running)
    return any(sizes.changed(running[each["name"]].resources, sizes.given_to(pod, each)) for each in containers)


def _start(name: str, status: ContainerStatus | None, observed: RuntimeState, now_s: float, *, is_init: bool) -> Iterator[RuntimeAction]:
    if name in observed.starting:
        return
    retry_at_s = observed.retry_at.get(name)
    if retry_at_s is not None and now_s < retry_at_s:
        yield Wait(retry_at_s)
        return
    attempt = observed.restarts.get(name, 0)
    yield StartContainer(name, attempt=max(attempt, status.attempt + 1) if status else attempt, is_init=is_init)


def _restart(name: str, status: ContainerStatus, observed: RuntimeState, now_s: float, *, is_init: bool) -> Iterator[RuntimeAction]:
    if name in observed.starting:
        return
    failed_at_s = (status.finished_at or status.created_at).timestamp()
    entry = observed.back_off.get(name)
    until_s = backoff.waits_until(entry, event_s=failed_at_s, now_s=now_s)
    if until_s is not None and entry is not None:
        yield HoldBack(name, entry.delay_s, until_s)
        return
    retry_at_s = observed.retry_at.get(name)
    if retry_at_s is not None and now_s < retry_at_s:
        yield Wait(retry_at_s)
        return
    yield StartContainer(name, attempt=status.attempt + 1, is_init=is_init, failed_at_s=failed_at_s)


# --- all containers again ---------------------------------------------------------------------------------------------------


def _sources(pod: Object, observed: RuntimeState) -> list[ContainerStatus]:
    """The containers that have ended in a way that restarts all."""
    specs = (each for each in (*init_containers(pod), *regular_containers(pod)) if each.get("restartPolicyRules"))
    ended = ((each, observed.containers.get(each["name"])) for each in specs)
    return [
        status
        for container, status in ended
        if status is not None and status.state is ContainerState.EXITED and restarts_all_after(container, status.exit_code)
    ]


def _restart_all(pod: Object, observed: RuntimeState, now_s: float) -> Iterator[RuntimeAction]:
    """Kill and remove every container, the ones that have caused it last."""
    sources = _sources(pod, observed)
    if not observed.restarting_all:
        heard_s = max((each.finished_at or each.created_at).timestamp() for each in sources) + HEARD_S
        yield RestartAll() if now_s >= heard_s else Wait(heard_s)
        return
    order = [each["name"] for each in (*regular_containers(pod), *init_containers(pod))]
    everything = (*observed.containers.values(), *observed.previous.values(), *observed.older)
    found = sorted((each for each in everything if each.name in order), key=lambda each: order.index(each.name))
    if not found:
        yield RestartAll(is_over=True)
    victims = [each for each in found if each not in sources] or found
    for status in victims:
        if status.state is ContainerState.RUNNING:
            yield from _stop(status, observed, 0.0, "killing")
        else:
            yield ResetContainer(status.id, status.name, status.attempt + 1)


# --- a pod that is to end -----------------------------------------------------------------------------------------------


def grace_of(pod: Object) -> float:
    """Seconds between the stop signal and the kill."""
    if is_deleting(pod):
        return float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    grace_s = pod["spec"].get("terminationGracePeriodSeconds")
    return float(30 if grace_s is None else grace_s)


def _end(pod: Object, observed: RuntimeState, now_s: float) -> Iterator[RuntimeAction]:
    sidecars = {each["name"] for each in init_containers(pod) if is_sidecar(each)}
    running = observed.running()
    if first := [each for each in running if each.name not in sidecars]:
        for status in first:
            yield from _stop(status, observed, grace_of(pod), f"Stopping container {status.name}", now_s=now_s)
    elif running:
        order = [each["name"] for each in init_containers(pod)]
        last = max(running, key=lambda each: order.index(each.name))
        grace_s = max(SIDECAR_GRACE_MIN_S, min(grace_of(pod), _left_s(pod, now_s)))
        yield from _stop(last, observed, grace_s, f"Stopping container {last.name}", now_s=now_s)
    elif observed.has_ready_sandbox and observed.sandbox:
        yield StopSandbox(observed.sandbox.id)


def _left_s(pod: Object, now_s: float) -> float:
    """Seconds until the deletion's deadline; the whole grace period for a pod that nobody deleted."""
    deadline = parse_time(pod["metadata"].get("deletionTimestamp"))
    return deadline.timestamp() - now_s if deadline else grace_of(pod)


def _stop(
    status: ContainerStatus, observed: RuntimeState, grace_s: float, message: str, *, now_s: float | None = None
) -> Iterator[RuntimeAction]:
    """Stop it, unless that is under way and not to be hurried."""
    killed_at_s = observed.stopping.get(status.id)
    if killed_at_s is None or (now_s is not None and now_s + grace_s < killed_at_s - _GRACE_TOLERANCE_S):
        yield StopContainer(status.id, status.name, grace_s, message)


def moment(seconds: float) -> datetime:
    """POSIX seconds as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)
