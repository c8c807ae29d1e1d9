"""All that scheduling decisions are made from: nodes, the pods on them, and what is needed to compare. In memory, no I/O.

Each node has a slot, a number that stays its own while it exists. Every change of a slot is put in a log, so that what was worked out
about the nodes before (`evaluation.py`) only has to look again at those that changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest

from controllers.scheduler.columns import Columns
from controllers.scheduler.devices import Devices
from controllers.scheduler.framework import NO_EVENT, ClusterEvent
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_index import PodIndex
from controllers.scheduler.pod_info import AffinityTerm, PodInfo
from controllers.scheduler.volumes import Volumes
from controllers.scheduler.workloads import Workloads
from kube.objects import Object, labels_of, name_of

_CHANGES_MIN = 1024


def pod_news(key: str) -> str:
    """What `Volumes.news` is asked for to hear when the pod is gone."""
    return f"pod {key}"


def node_news(name: str) -> str:
    """Likewise of a node."""
    return f"node {name}"


class Snapshot:
    """Changed by the scheduler's event handlers and when it assumes a pod; read by `schedule`."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        """Every node that is known, or that pods are known to be on."""
        self.slots: list[NodeInfo | None] = []
        self.size = 0
        """How many nodes there are."""
        self.pods: dict[str, PodInfo] = {}
        """The pods on nodes, by key; the assumed ones included."""
        self.assumed: set[str] = set()
        self.nominations: dict[str, str] = {}
        """Pod key -> the node it is to get."""
        self.namespaces: dict[str, Mapping[str, str]] = {}
        """The labels of each namespace."""
        self.workloads = Workloads()
        self.volumes = Volumes()
        self.devices = Devices()
        self.budgets: dict[str, Object] = {}
        """PodDisruptionBudgets by key."""
        self.affinity_slots: set[int] = set()
        """Where there are pods with (anti-)affinity to other pods."""
        self.image_slots: set[int] = set()
        """Nodes that tell of images."""
        self.index = PodIndex()
        """The pods on nodes, by their labels."""
        self._columns = Columns()
        self._tainted: set[int] = set()
        self._cordoned: set[int] = set()
        self._version = 0
        self.next_start = 0
        """Where in `order` the next search begins, so that all nodes get their chance."""
        self._free: list[int] = []
        """Slots of nodes that are gone."""
        self._changes: list[int] = []
        self._forgotten = 0
        self._order: list[int] | None = None
        self._namespaces_version = 0

    # What has changed.

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version + self.volumes.version + self.devices.version

    def rules_version(self, pod: PodInfo) -> tuple[object, ...]:
        """Changes when something other than nodes and pods does that matters to the pod: what was worked out before is void then."""
        volumes = self.volumes.version if pod.has_claims else 0
        devices = self.devices.version if pod.resource_claims else 0
        return self.workloads.version, self._namespaces_version, volumes, devices, self.has_taints, self.has_cordoned

    @property
    def has_taints(self) -> bool:
        """Whether any node has one."""
        return bool(self._tainted)

    @property
    def has_cordoned(self) -> bool:
        """Whether any node is cordoned."""
        return bool(self._cordoned)

    def slots_with(self, pods: Iterable[PodInfo]) -> set[int]:
        """The slots of the nodes that these pods are on."""
        nodes = self.nodes
        return {slot for pod in pods if (slot := nodes[pod.node_name].slot) >= 0}

    def slots_with_any(self, terms: Iterable[AffinityTerm]) -> set[int]:
        """The slots where there may be pods that one of the terms means; all others have none."""
        return {slot for term in terms for slot in self.slots_with(self.index.candidates_of(term))}

    @property
    def position(self) -> int:
        """The end of the log of changes."""
        return self._forgotten + len(self._changes)

    def changed_since(self, position: int) -> set[int] | None:
        """The slots that have changed; None when that is too long ago to know."""
        if position < self._forgotten:
            return None
        return set(self._changes[position - self._forgotten :])

    def _touch(self, node: NodeInfo) -> None:
        self._version += 1
        if node.slot < 0:
            return
        self._changes.append(node.slot)
        if node.affinity_pods:
            self.affinity_slots.add(node.slot)
        else:
            self.affinity_slots.discard(node.slot)
        if len(self._changes) > max(_CHANGES_MIN, 4 * len(self.slots)):
            half = len(self._changes) // 2
            del self._changes[:half]
            self._forgotten += half

    # Nodes.

    def set_node(self, obj: Object) -> ClusterEvent:
        """A node is new or has changed; in what, as far as it matters."""
        name = name_of(obj)
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = NodeInfo(name)
        zone = node.zone
        event = node.set_node(obj)
        if ClusterEvent.NODE_ADD in event:
            self._give_slot(node)
        if node.zone != zone:
            self._order = None
        if event:
            self._sort_in(node)
            self._columns.update(node.slot, node)
            self._touch(node)
        return event

    def values(self, key: str) -> list[str | None]:
        """By slot, what the nodes have for this label (see `Columns.of`)."""
        return self._columns.of(key, self.slots)

    def _sort_in(self, node: NodeInfo) -> None:
        _keep(self.image_slots, node.slot, node.has_images)
        _keep(self._tainted, node.slot, bool(node.taints))
        _keep(self._cordoned, node.slot, node.unschedulable)

    def _give_slot(self, node: NodeInfo) -> None:
        if self._free:
            node.slot = self._free.pop()
            self.slots[node.slot] = node
        else:
            node.slot = len(self.slots)
            self.slots.append(node)
        self.size += 1
        self._order = None

    def remove_node(self, name: str) -> ClusterEvent:
        """The node is gone. Pods that are still on it are remembered, should it come back."""
        node = self.nodes.get(name)
        if node is None or node.node is None:
            return NO_EVENT
        del self.nodes[name]
        self.volumes.tell(node_news(name))
        for key in node.nominated:
            self.nominations.pop(key, None)
        self._touch(node)
        for slots in (self.affinity_slots, self.image_slots, self._tainted, self._cordoned):
            slots.discard(node.slot)
        self.slots[node.slot] = None
        self._columns.update(node.slot, None)
        self._free.append(node.slot)
        self.size -= 1
        self._order = None
        if node.pods:
            left = self.nodes[name] = NodeInfo(name)
            for pod in node.pods.values():
                left.add_pod(pod)
        return ClusterEvent.NODE_DELETE

    def order(self) -> list[int]:
        """The slots of all nodes in the order they are searched: from each zone in turn, so that any part of it is of all zones."""
        if self._order is None:
            zones: dict[tuple[str, str], list[int]] = {}
            for node in self.slots:
                if node is not None:
                    zones.setdefault(node.zone, []).append(node.slot)
            turns = zip_longest(*zones.values())
            self._order = [slot for turn in turns for slot in turn if slot is not None]
            self.next_start %= max(len(self._order), 1)
        return self._order

    def advance(self, visited: int) -> None:
        """The last search has looked at so many nodes."""
        if self.size:
            self.next_start = (self.next_start + visited) % self.size

    # Pods.

    def set_pod(self, pod: PodInfo) -> ClusterEvent:
        """A pod is on its node, or has changed there. What was assumed of it is over."""
        arrived = ClusterEvent.POD_ADD if pod.key in self.assumed else NO_EVENT
        self.assumed.discard(pod.key)
        self.nominate(pod, "")
        old = self.pods.get(pod.key)
        if old is not None and old.node_name == pod.node_name and old.uid == pod.uid:
            return self._replace(old, pod) | arrived
        if old is not None:
            self.remove_pod(pod.key)
        self._put(pod)
        return ClusterEvent.POD_ADD

    def _replace(self, old: PodInfo, pod: PodInfo) -> ClusterEvent:
        event = NO_EVENT
        if old.labels != pod.labels:
            event |= ClusterEvent.POD_LABEL
        if old.requests != pod.requests:
            event |= ClusterEvent.POD_SCALE_DOWN
        if old.is_deleting != pod.is_deleting or old.priority != pod.priority:
            event |= ClusterEvent.POD_LABEL  # spreading does not count pods that are on their way out
        node = self.nodes[pod.node_name]
        if event:
            node.remove_pod(old.key)
            node.add_pod(pod)
            self.index.remove(old)
            self._touch(node)
        else:
            node.pods[pod.key] = pod
            if pod.key in node.affinity_pods:
                node.affinity_pods[pod.key] = pod
        self.pods[pod.key] = pod
        self.index.add(pod)
        return event

    def _put(self, pod: PodInfo) -> None:
        node = self.nodes.get(pod.node_name)
        if node is None:
            node = self.nodes[pod.node_name] = NodeInfo(pod.node_name)
        node.add_pod(pod)
        self.pods[pod.key] = pod
        self.index.add(pod)
        self._touch(node)

    def remove_pod(self, key: str) -> bool:
        """The pod is gone, or was not bound after all. Whether it was counted on a node."""
        self.assumed.discard(key)
        pod = self.pods.pop(key, None)
        if pod is None:
            return False
        self.index.remove(pod)
        self.volumes.tell(pod_news(key))
        node = self.nodes[pod.node_name]
        node.remove_pod(key)
        if node.node is None and not node.pods:
            del self.nodes[pod.node_name]
        self._touch(node)
        return True

    def assume(self, pod: PodInfo, node_name: str) -> None:
        """Count a pod on the node it is being bound to."""
        pod.node_name = node_name
        self.nominate(pod, "")
        self._put(pod)
        self.assumed.add(pod.key)

    def forget(self, pod: PodInfo) -> bool:
        """The pod could not be bound. Whether it was still assumed (it may have been seen on a node, or be gone)."""
        if pod.key not in self.assumed or self.pods.get(pod.key) is not pod:
            return False
        self.remove_pod(pod.key)
        pod.node_name = ""
        return True

    def nominate(self, pod: PodInfo, node_name: str) -> None:
        """The pod is to get that node ("": none any more)."""
        old = self.nominations.pop(pod.key, "")
        if old and (node := self.nodes.get(old)) is not None and node.nominated.pop(pod.key, None) is not None:
            self._touch(node)
        if node_name and (node := self.nodes.get(node_name)) is not None:
            self.nominations[pod.key] = node_name
            node.nominated[pod.key] = pod
            self._touch(node)

    # All the rest.

    def set_namespace(self, old: Object | None, new: Object | None) -> ClusterEvent:
        """A handler for the informer of Namespaces."""
        before = None if old is None else labels_of(old)
        after = None if new is None else labels_of(new)
        if before == after:
            return NO_EVENT
        if new is not None:
            self.namespaces[name_of(new)] = labels_of(new)
        elif old is not None:
            self.namespaces.pop(name_of(old), None)
        self._namespaces_version += 1
        self._version += 1
        return ClusterEvent.NAMESPACE_LABEL


def _keep(slots: set[int], slot: int, belongs: bool) -> None:
    if belongs:
        slots.add(slot)
    else:
        slots.discard(slot)
