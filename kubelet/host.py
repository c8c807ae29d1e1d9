"""What a pod's worker has of its node: runtime, clock, chance, and whom to tell. Data; `agent.py` fills it in."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kube.client.client import Client
from kube.clock import Clock
from kube.objects import Object, name_of, namespace_of, uid_of
from kube.runtime.events import EventRecorder
from kubelet.environment import Place
from kubelet.name_servers import ClusterDns
from kubelet.reporter import Reporter
from kubelet.runtime.base import RuntimeService
from kubelet.service_links import ServiceLinks
from kubelet.volumes.attached import Attachments
from kubelet.volumes.followed import Followed

if TYPE_CHECKING:
    from kubelet.worker import PodWorker


@dataclass(slots=True)
class Host:
    """One node, as its pods' workers see it."""

    name: str
    ips: Sequence[str]
    runtime: RuntimeService
    client: Client
    clock: Clock
    rng: random.Random
    reporter: Reporter
    events: EventRecorder | None
    released: Callable[[PodWorker], None]
    """Told when a pod has ended and needs nothing of the node any more."""
    forgotten: Callable[[PodWorker], None]
    """Told when nothing of a removed pod is left."""
    log_root: str = "/var/log/pods"
    attachments: Attachments = field(default_factory=Attachments)
    allocatable: Mapping[str, str] = field(default_factory=dict)
    """What the node has for pods."""
    followed: Followed | None = None
    """What volumes are made of; None: it is fetched once, and not looked at again."""
    links: ServiceLinks | None = None
    """The Services, for those who are told of them."""
    dns: ClusterDns = field(default_factory=ClusterDns)
    """Whom pods ask for names."""

    def place_of(self, pod: Object, pod_ips: Sequence[str]) -> Place:
        """What the pod's containers are told of where they are."""
        return Place(pod_ips, self.ips, self.allocatable, self.links.of(pod) if self.links is not None else {})

    def record(self, pod: Object, kind: str, reason: str, message: str, *, field_path: str = "") -> None:
        """An event about the pod; `kind` is Normal or Warning."""
        if self.events is not None:
            self.events.record(pod, kind, reason, message, field_path=field_path, host=self.name)

    def log_directory(self, pod: Object) -> str:
        return f"{self.log_root}/{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"
