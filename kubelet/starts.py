"""What a pod's worker remembers of starting its containers: one record for each of them. `starting.py` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kube.clock import parse_time
from kube.objects import Object
from kubelet import backoff
from kubelet.backoff import BackOff
from kubelet.observed import RESTARTING_ALL, Waiting, all_containers
from kubelet.runtime.base import ContainerState, ContainerStatus, ImageStatus
from kubelet.volumes.refresh import Filled

_NOTHING = Filled()


@dataclass(slots=True)
class Start:
    """One container's. Moments are POSIX seconds."""

    waiting: Waiting | None = None
    retry_at_s: float | None = None
    back_off: BackOff | None = None
    image_back_off: BackOff | None = None
    pull_error: str = ""
    pulled: ImageStatus | None = None
    """An image that has come and waits for its container to be made."""
    container_id: str = ""
    """The newest container that was made."""
    image: str = ""
    """The image that its spec named then."""
    restarts: int = 0
    """The attempt that the next container is, where the ones before it were removed to restart all."""
    filled: Filled = _NOTHING
    """What is in its volumes, where they have files of the API's."""


@dataclass(slots=True)
class Starts:
    """One pod's, by container name."""

    by_name: dict[str, Start] = field(default_factory=dict)
    tokens: dict[tuple[str, int | None], tuple[str, float]] = field(default_factory=dict)
    """(audience, expirationSeconds) -> a token, and when (POSIX seconds) another one is due."""
    are_files_stale: bool = False
    """Something that the files are made of has changed."""

    def of(self, name: str) -> Start:
        found = self.by_name.get(name)
        if found is None:
            found = self.by_name[name] = Start()
        return found

    def waiting(self) -> dict[str, Waiting]:
        return {name: each.waiting for name, each in self.by_name.items() if each.waiting is not None}

    def retry_at(self) -> dict[str, float]:
        return {name: each.retry_at_s for name, each in self.by_name.items() if each.retry_at_s is not None}

    def back_off(self) -> dict[str, BackOff]:
        return {name: each.back_off for name, each in self.by_name.items() if each.back_off is not None}

    def restarts(self) -> dict[str, int]:
        return {name: each.restarts for name, each in self.by_name.items() if each.restarts}

    def reset(self, name: str, next_attempt: int) -> None:
        """A container was removed to restart all; nothing holds the next one back."""
        start = self.of(name)
        start.restarts = max(start.restarts, next_attempt)
        start.waiting = start.retry_at_s = None

    def give_up(self) -> None:
        """Nothing is started any more, so nothing waits."""
        for each in self.by_name.values():
            each.waiting = None

    def remember(self, pod: Object) -> None:
        """What the pod's status tells a restarted agent: how long crashing containers have come to wait, and whether all were restarted."""
        status = pod.get("status", {})
        for entry in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            waits = ((entry.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
            last = (entry.get("lastState") or {}).get("terminated") or {}
            ended = parse_time(last.get("finishedAt"))
            if last.get("reason") == RESTARTING_ALL:
                self.of(entry["name"]).restarts = int(entry.get("restartCount") or 0)
            if waits and ended:
                delay_s = min(backoff.INITIAL_S * 2 ** max(int(entry.get("restartCount") or 0) - 1, 0), backoff.MAX_S)
                self.of(entry["name"]).back_off = BackOff(delay_s, ended.timestamp())

    def has_made(self, status: ContainerStatus) -> bool:
        """Whether this agent has made that container; a restarted one has found it."""
        known = self.by_name.get(status.name)
        return known is not None and known.container_id == status.id

    def changed(self, pod: Object, newest: Mapping[str, ContainerStatus]) -> frozenset[str]:
        """Containers that run another image than the spec now names."""
        made = [each for each in newest.values() if each.state is ContainerState.RUNNING and self.has_made(each)]
        if not made:
            return frozenset()
        specs = {each["name"]: each for each in all_containers(pod)}
        return frozenset(each.name for each in made if self.by_name[each.name].image != specs.get(each.name, {}).get("image"))

    def was_ready(self, pod: Object, status: ContainerStatus) -> bool:
        """Whether the pod's status says so of this very container: a restarted agent believes it until its own probes tell otherwise."""
        entries = (*(pod.get("status", {}).get("containerStatuses") or ()), *(pod.get("status", {}).get("initContainerStatuses") or ()))
        return any(each.get("ready") and str(each.get("containerID", "")).endswith(status.id) for each in entries)
