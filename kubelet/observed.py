"""What is known of one pod on its node at one moment: the second argument of `plan` and `status_of`. Data only.

The worker gathers it from the runtime (sandbox, containers), the prober (started, ready, failing) and its own memory (what is under way,
back-offs, why a container waits). Read `plan.py` and `status.py` next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kube.objects import Object, is_deleting
from kubelet.backoff import BackOff
from kubelet.runtime.base import ContainerState, ContainerStatus, SandboxStatus

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})
RESTART_ALL = "RestartAllContainers"
"""The action of a restart rule that has all containers of the pod started again."""
ALL_RESTARTING = "AllContainersRestarting"
"""The condition that tells of it."""
RESTARTING_ALL = "RestartingAllContainers"
"""Why a container is not there meanwhile."""
_EMPTY: Mapping[str, BackOff] = {}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container is not started: the reason and message of its waiting state (ImagePullBackOff, CrashLoopBackOff, ...)."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ResizeCondition:
    """Why and since when a resize is not done. `generation` is that of the spec which asks for it."""

    generation: int
    since: datetime
    probed: datetime
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Resize:
    """How it is with the pod's resize: waiting for room on the node, or allocated and being carried out; mostly neither."""

    pending: ResizeCondition | None = None
    in_progress: ResizeCondition | None = None


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """One pod as observed. Mappings are by container name unless they say otherwise."""

    sandbox: SandboxStatus | None = None
    containers: Mapping[str, ContainerStatus] = field(default_factory=dict)
    """The newest container of each name."""
    previous: Mapping[str, ContainerStatus] = field(default_factory=dict)
    """The one before it, which lastState tells of."""
    older: tuple[ContainerStatus, ...] = ()
    """Dead containers that nobody looks at any more."""
    starting: frozenset[str] = frozenset()
    """Names whose image pull is under way."""
    stopping: Mapping[str, float] = field(default_factory=dict)
    """Container id -> the moment (POSIX seconds) at which it will be killed."""
    started: Mapping[str, bool] = field(default_factory=dict)
    """The startup probe's answer; a name that is missing has no such probe."""
    ready: Mapping[str, bool] = field(default_factory=dict)
    """The readiness probe's answer; a name that is missing has no such probe."""
    failing: Mapping[str, str] = field(default_factory=dict)
    """The probe (`liveness` or `startup`) that wants the running container dead."""
    changed: frozenset[str] = frozenset()
    """Names whose running container has another image than the spec now says."""
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    retry_at: Mapping[str, float] = field(default_factory=dict)
    """Earliest moment (POSIX seconds) of the next attempt to start a container whose image or configuration was refused."""
    back_off: Mapping[str, BackOff] = field(default_factory=dict)
    terminating: bool = False
    """The pod has been decided to end (finished, rejected, past its deadline) although nobody deleted it."""
    start_time: str = ""
    """status.startTime, once there is one."""
    reason: str = ""
    """status.reason and status.message of a pod that ends for a reason of its own (DeadlineExceeded, OutOfcpu, ...)."""
    message: str = ""
    resize: Resize = field(default_factory=Resize)
    restarting_all: bool = False
    """All containers are being removed, to be started again from the first (RestartAllContainers)."""
    restarts: Mapping[str, int] = field(default_factory=dict)
    """The attempt that the next container of a name will be, where the ones before it were removed to restart all."""

    @property
    def has_ready_sandbox(self) -> bool:
        return self.sandbox is not None and self.sandbox.is_ready

    def running(self) -> list[ContainerStatus]:
        return [each for each in self.containers.values() if each.state is ContainerState.RUNNING]


def newest_first(
    containers: Iterable[ContainerStatus],
) -> tuple[dict[str, ContainerStatus], dict[str, ContainerStatus], tuple[ContainerStatus, ...]]:
    """All containers of a pod as (newest, previous, older)."""
    newest: dict[str, ContainerStatus] = {}
    previous: dict[str, ContainerStatus] = {}
    older: list[ContainerStatus] = []
    for each in sorted(containers, key=lambda c: (c.attempt, c.created_at), reverse=True):
        if each.name not in newest:
            newest[each.name] = each
        elif each.name not in previous:
            previous[each.name] = each
        elif each.state is ContainerState.EXITED:
            older.append(each)
    return newest, previous, tuple(older)


def init_containers(pod: Object) -> list[Object]:
    return pod["spec"].get("initContainers") or []


def regular_containers(pod: Object) -> list[Object]:
    return pod["spec"].get("containers") or []


def ephemeral_containers(pod: Object) -> list[Object]:
    """Containers put into a running pod to debug it: started once, never again."""
    return pod["spec"].get("ephemeralContainers") or []


def all_containers(pod: Object) -> list[Object]:
    return [*init_containers(pod), *regular_containers(pod), *ephemeral_containers(pod)]


def is_sidecar(container: Object) -> bool:
    """An init container with restartPolicy Always ("restartable init container")."""
    return container.get("restartPolicy") == "Always"


def has_ended(pod: Object) -> bool:
    """The API says that it has succeeded or failed: for good, whoever wrote that."""
    return pod.get("status", {}).get("phase") in TERMINAL_PHASES


def is_ending(pod: Object, observed: RuntimeState) -> bool:
    """Nothing of this pod is to be started again."""
    return observed.terminating or is_deleting(pod) or has_ended(pod)


def is_started(container: Object, observed: RuntimeState) -> bool:
    """Running, and past its startup probe."""
    status = observed.containers.get(container["name"])
    if status is None or status.state is not ContainerState.RUNNING:
        return False
    return observed.started.get(container["name"], "startupProbe" not in container)


def is_ready(container: Object, observed: RuntimeState) -> bool:
    """Started, and its readiness probe (if any) says yes."""
    return is_started(container, observed) and observed.ready.get(container["name"], "readinessProbe" not in container)


def restarts_after(pod: Object, container: Object, exit_code: int) -> bool:
    """Whether a container that ended with `exit_code` is started again, by its own restart rules or the pod's policy (KEP-5307)."""
    if action := _action_after(container, exit_code):
        return action in ("Restart", RESTART_ALL)
    policy = container.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def restarts_all_after(container: Object, exit_code: int) -> bool:
    """Whether all containers of the pod are started again when this one has ended with `exit_code` (KEP-5532)."""
    return _action_after(container, exit_code) == RESTART_ALL


def may_restart_all(pod: Object) -> bool:
    """Whether a container of the pod has a rule to restart all."""
    return any(
        rule.get("action") == RESTART_ALL
        for each in (*init_containers(pod), *regular_containers(pod))
        for rule in each.get("restartPolicyRules") or ()
    )


def _action_after(container: Object, exit_code: int) -> str:
    """The action of the first restart rule that the exit code meets; "" where none does."""
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        values = codes.get("values") or []
        if (exit_code in values) == (codes.get("operator") == "In"):
            return str(rule.get("action"))
    return ""


def states_of(status: Object | None) -> tuple[Object, Object]:
    """(state, lastState) of a container's status."""
    return ((status or {}).get("state") or {}, (status or {}).get("lastState") or {})


def any_started(regular: Iterable[Object]) -> bool:
    """Whether a regular container runs, or has run."""
    return any("running" in state or "terminated" in state or "terminated" in last for state, last in map(states_of, regular))
