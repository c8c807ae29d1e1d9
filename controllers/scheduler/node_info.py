"""A node and what the pods on it hold: sums that are kept up to date, so that nobody adds up pods in a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.scheduler.framework import NO_EVENT, ClusterEvent
from controllers.scheduler.pod_info import ANY_IP, PodInfo, Port
from controllers.scheduler.requests import CPU, EPHEMERAL_STORAGE, MEMORY, PODS, amounts
from kube.objects import Object, labels_of

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


class NodeInfo:
    """`node` is None while pods are known to be on a node that is not (yet) known itself."""

    __slots__ = (
        "_images",
        "affinity_pods",
        "cpu",
        "declared_features",
        "ephemeral_storage",
        "labels",
        "memory",
        "name",
        "node",
        "nominated",
        "pods",
        "pods_max",
        "ports",
        "scalars",
        "scored_cpu",
        "scored_memory",
        "slot",
        "taints",
        "unschedulable",
        "used_cpu",
        "used_ephemeral_storage",
        "used_memory",
        "used_scalars",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.slot = -1
        self.node: Object | None = None
        self.labels: Mapping[str, str] = {}
        self.taints: Sequence[Mapping[str, Any]] = ()
        self.unschedulable = False
        self.declared_features: frozenset[str] = frozenset()
        self.cpu = self.memory = self.ephemeral_storage = self.pods_max = 0
        self.scalars: dict[str, int] = {}
        self.used_cpu = self.used_memory = self.used_ephemeral_storage = 0
        self.used_scalars: dict[str, int] = {}
        self.scored_cpu = self.scored_memory = 0
        self.pods: dict[str, PodInfo] = {}
        self.affinity_pods: dict[str, PodInfo] = {}
        """Those of `pods` that have any (anti-)affinity to other pods."""
        self.nominated: dict[str, PodInfo] = {}
        """Pods that are to come here when those who were preempted for them are gone."""
        self.ports: dict[Port, int] = {}
        self._images: dict[str, int] | None = None

    def set_node(self, node: Object) -> ClusterEvent:
        """Take over a new version of the node; what of it matters to scheduling and has changed."""
        old, self.node = self.node, node
        spec, status = node.get("spec") or {}, node.get("status") or {}
        was_spec = (old or {}).get("spec") or {}
        was_status = (old or {}).get("status") or {}
        event = NO_EVENT if old is not None else ClusterEvent.NODE_ADD
        labels = labels_of(node)
        if labels != self.labels:
            event |= ClusterEvent.NODE_LABEL
        self.labels = labels
        if old is None or spec.get("taints") != was_spec.get("taints") or spec.get("unschedulable") != was_spec.get("unschedulable"):
            event |= ClusterEvent.NODE_TAINT
            self.taints, self.unschedulable = spec.get("taints") or (), bool(spec.get("unschedulable"))
        if old is None or status.get("allocatable") != was_status.get("allocatable"):
            event |= ClusterEvent.NODE_ALLOCATABLE
            self._set_allocatable(amounts(status.get("allocatable")))
        if status.get("images") != was_status.get("images"):
            event |= ClusterEvent.NODE_IMAGES
            self._images = None
        if status.get("declaredFeatures") != was_status.get("declaredFeatures"):
            event |= ClusterEvent.NODE_DECLARED_FEATURES
            self.declared_features = frozenset(status.get("declaredFeatures") or ())
        return event

    def _set_allocatable(self, allocatable: dict[str, int]) -> None:
        self.cpu, self.memory = allocatable.pop(CPU, 0), allocatable.pop(MEMORY, 0)
        self.ephemeral_storage, self.pods_max = allocatable.pop(EPHEMERAL_STORAGE, 0), allocatable.pop(PODS, 0)
        self.scalars = allocatable

    @property
    def has_images(self) -> bool:
        return bool(((self.node or {}).get("status") or {}).get("images"))

    @property
    def images(self) -> dict[str, int]:
        """The images it has, by each of their names, with their sizes in bytes."""
        if self._images is None:
            listed = ((self.node or {}).get("status") or {}).get("images") or ()
            self._images = {name: image.get("sizeBytes") or 0 for image in listed for name in image.get("names") or ()}
        return self._images

    @property
    def zone(self) -> tuple[str, str]:
        """Where it is, for visiting the zones in turn."""
        return self.labels.get(REGION, ""), self.labels.get(ZONE, "")

    def add_pod(self, pod: PodInfo) -> None:
        """Count a pod that is not counted."""
        self.pods[pod.key] = pod
        if pod.has_affinity:
            self.affinity_pods[pod.key] = pod
        self._count(pod, 1)

    def remove_pod(self, key: str) -> None:
        """Stop counting a pod that is."""
        pod = self.pods.pop(key)
        self.affinity_pods.pop(key, None)
        self._count(pod, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        self.used_cpu += sign * pod.cpu
        self.used_memory += sign * pod.memory
        self.used_ephemeral_storage += sign * pod.ephemeral_storage
        self.scored_cpu += sign * pod.scored_cpu
        self.scored_memory += sign * pod.scored_memory
        for name, value in pod.scalars.items():
            self.used_scalars[name] = self.used_scalars.get(name, 0) + sign * value
        for port in pod.ports:
            count = self.ports.get(port, 0) + sign
            if count > 0:
                self.ports[port] = count
            else:
                self.ports.pop(port, None)

    def conflicts(self, wanted: Port) -> bool:
        """Whether that host port is taken: on the same address, or where either is on all addresses."""
        protocol, address, number = wanted
        return any(number == port and protocol == each and (address == ip or ANY_IP in (address, ip)) for each, ip, port in self.ports)

    def copy(self) -> NodeInfo:
        """One that pods can be put on and taken off for trial."""
        other = NodeInfo(self.name)
        for field in NodeInfo.__slots__:
            value = getattr(self, field)
            setattr(other, field, value.copy() if field in _OWN else value)
        return other


_OWN = frozenset(("affinity_pods", "nominated", "pods", "ports", "used_scalars"))
