"""What a simulated runtime remembers of a pod, and what the pod's annotations ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from kube.clock import rfc3339
from kube.objects import Object, annotations_of, uid_of
from kubelet.observed import RuntimeState, all_containers, newest_first
from kubelet.runtime.base import ContainerState, SandboxStatus
from kubelet.runtime.simulated_container import SimulatedContainer
from kubelet.runtime.simulated_files import SharedVolume
from kubelet.stages.template import Functions
from kubelet.status import status_of

PREFIX = "wherry.dev/"


def annotation(pod: Object, container: str, name: str) -> str | None:
    """`<container>.wherry.dev/<name>` of a pod, else `wherry.dev/<name>`."""
    annotations = annotations_of(pod)
    return annotations.get(f"{container}.{PREFIX}{name}") or annotations.get(f"{PREFIX}{name}")


def container_annotations(pod: Object, container: str) -> Mapping[str, str]:
    """The pod's annotations as they count for one container."""
    annotations = annotations_of(pod)
    own = f"{container}.{PREFIX}"
    special = {f"{PREFIX}{key[len(own) :]}": value for key, value in annotations.items() if key.startswith(own)}
    return annotations | special if special else annotations


@dataclass(slots=True, eq=False)
class SimulatedPod:
    """A pod with its newest sandbox and all its containers (by id)."""

    pod: Object
    sandbox: SandboxStatus
    containers: dict[str, SimulatedContainer] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    volumes: dict[str, SharedVolume] = field(default_factory=dict)
    """Its emptyDirs, by name."""

    @property
    def uid(self) -> str:
        return uid_of(self.pod)

    @property
    def ip(self) -> str:
        return self.sandbox.ips[0] if self.sandbox.ips else ""

    @property
    def host_network(self) -> bool:
        return bool(self.pod["spec"].get("hostNetwork"))

    def keep(self, pod: Object) -> None:
        """A version of the pod that says the same of it; containers whose specs are in it are held there."""
        self.pod = pod
        for spec in all_containers(pod):
            for container in self.containers.values():
                if container.spec == spec:
                    container.hold(spec)

    def of_sandbox(self, sandbox_id: str) -> list[SimulatedContainer]:
        return [each for each in self.containers.values() if each.sandbox_id == sandbox_id]

    def stop(self) -> None:
        self.cancel_timer()
        self.sandbox = replace(self.sandbox, is_ready=False)

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    # --- KWOK's Pod stages -------------------------------------------------------------------------------------------

    def as_object(self, runtime_name: str, *, host_ip: str = "127.0.0.1") -> Object:
        """The pod with the status that its containers amount to: what Pod stages select on."""
        newest, previous, older = newest_first(each.status() for each in self.containers.values())
        observed = RuntimeState(sandbox=self.sandbox, containers=newest, previous=previous, older=older)
        status = status_of(self.pod, observed, self.sandbox.created_at, runtime_name=runtime_name, host_ips=[host_ip])
        return self.pod | {"status": status}

    def apply(self, status: Object) -> None:
        """Let containers end as a Pod stage's status says."""
        wanted = {
            each.get("name"): each for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
        }
        for container in list(self.containers.values()):
            end = ((wanted.get(container.name) or {}).get("state") or {}).get("terminated")
            if end is not None and container.state is ContainerState.RUNNING:
                reason, message = str(end.get("reason") or ""), str(end.get("message") or "")
                container.end(int(end.get("exitCode") or 0), reason=reason, message=message)

    def functions(self, now: datetime, node_ip: str) -> Functions:
        """What KWOK's templates may call."""
        return {
            "Now": lambda: rfc3339(now),
            "NodeIP": lambda: node_ip,
            "NodeIPWith": lambda *_: node_ip,
            "PodIP": lambda: self.ip,
            "PodIPWith": lambda *_: self.ip,
            "NodeName": lambda: self.pod["spec"].get("nodeName", ""),
        }
