"""NodePorts: two pods cannot have the same port of a node."""

from __future__ import annotations

from controllers.scheduler.framework import Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo, Port
from controllers.scheduler.snapshot import Snapshot


class NodePorts:
    name = "NodePorts"
    wakes = ClusterEvent.NODE_ADD | ClusterEvent.POD_DELETE

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """A pod that is gone must have had one of its ports."""
        gone = change.pod
        if ClusterEvent.POD_DELETE not in change.event or gone is None:
            return True
        return any(wanted[0] == port[0] and wanted[2] == port[2] for wanted in pod.ports for port in gone.ports)

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> tuple[Port, ...] | None:
        return pod.ports or None

    def filter(self, state: tuple[Port, ...], node: NodeInfo) -> Rejection | None:
        if not node.ports or not any(node.conflicts(port) for port in state):
            return None
        return rejection(self.name, Code.UNSCHEDULABLE, "node(s) didn't have free ports for the requested pod ports")
