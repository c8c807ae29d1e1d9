"""NodeName: a pod that names its node goes nowhere else. (Such pods are normally not scheduled at all.)"""

from __future__ import annotations

from controllers.scheduler.framework import Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot


class NodeName:
    name = "NodeName"
    wakes = ClusterEvent.NODE_ADD

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        return change.node is not None and change.node.name == pod.spec.get("nodeName")

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> str | None:
        return pod.spec.get("nodeName") or None

    def filter(self, state: str, node: NodeInfo) -> Rejection | None:
        if node.name == state:
            return None
        return rejection(self.name, Code.UNRESOLVABLE, "node(s) didn't match the requested node name")
