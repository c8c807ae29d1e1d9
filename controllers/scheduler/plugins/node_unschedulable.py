"""NodeUnschedulable: cordoned nodes are for pods that tolerate it."""

from __future__ import annotations

from controllers.scheduler.framework import Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.toleration import tolerated
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NodeUnschedulable:
    name = "NodeUnschedulable"
    wakes = ClusterEvent.NODE_ADD | ClusterEvent.NODE_TAINT

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """A cordoned node is no help."""
        return change.node is not None and not change.node.unschedulable

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> bool | None:
        return None if not snapshot.has_cordoned or tolerated(_TAINT, pod.tolerations) else True

    def filter(self, state: bool, node: NodeInfo) -> Rejection | None:
        return rejection(self.name, Code.UNRESOLVABLE, "node(s) were unschedulable") if node.unschedulable else None
