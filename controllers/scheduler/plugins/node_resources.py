"""NodeResourcesFit and NodeResourcesBalancedAllocation: is there room, how much would be left, and in what proportion.

Room is judged by what pods request. For "how much would be left" (LeastAllocated), containers that request nothing count as if they asked
for a little, so that such pods are spread, too. Source: `plugins/noderesources/`.
"""

from __future__ import annotations

from controllers.scheduler.framework import MAX_NODE_SCORE, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

_ROOM = ClusterEvent.NODE_ADD | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_DELETE | ClusterEvent.POD_SCALE_DOWN


class NodeResourcesFit:
    name = "NodeResourcesFit"
    wakes = _ROOM

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> PodInfo:
        return pod

    def filter(self, state: PodInfo, node: NodeInfo) -> Rejection | None:
        if (
            len(node.pods) < node.pods_max
            and (not state.cpu or state.cpu <= node.cpu - node.used_cpu)
            and (not state.memory or state.memory <= node.memory - node.used_memory)
            and (not state.ephemeral_storage or state.ephemeral_storage <= node.ephemeral_storage - node.used_ephemeral_storage)
            and (not state.scalars or self._has_scalars(state, node))
        ):
            return None
        return self._explain(state, node)

    @staticmethod
    def _has_scalars(pod: PodInfo, node: NodeInfo) -> bool:
        used, there = node.used_scalars, node.scalars
        return all(value <= there.get(name, 0) - used.get(name, 0) for name, value in pod.scalars.items())

    def _explain(self, pod: PodInfo, node: NodeInfo) -> Rejection:
        """Everything there is too little of. More than the whole node has is not for preemption to solve."""
        asked = [
            ("cpu", pod.cpu, node.cpu, node.used_cpu),
            ("memory", pod.memory, node.memory, node.used_memory),
            ("ephemeral-storage", pod.ephemeral_storage, node.ephemeral_storage, node.used_ephemeral_storage),
        ]
        asked += [(name, value, node.scalars.get(name, 0), node.used_scalars.get(name, 0)) for name, value in pod.scalars.items()]
        short = [(name, value > there) for name, value, there, used in asked if value and value > there - used]
        reasons = [] if len(node.pods) < node.pods_max else ["Too many pods"]
        reasons += [f"Insufficient {name}" for name, _ in short]
        never = any(more_than_there_is for _, more_than_there_is in short)
        return rejection(self.name, Code.UNRESOLVABLE if never else Code.UNSCHEDULABLE, *reasons)

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> PodInfo:
        return pod

    def score(self, state: PodInfo, node: NodeInfo) -> int:
        """LeastAllocated: the mean of the free shares of cpu and memory, in percent."""
        total = count = 0
        for requested, there in (
            (node.scored_cpu + state.scored_cpu, node.cpu),
            (node.scored_memory + state.scored_memory, node.memory),
        ):
            if there:
                count += 1
                if requested <= there:
                    total += (there - requested) * MAX_NODE_SCORE // there
        return total // count if count else 0


class NodeResourcesBalancedAllocation:
    """Prefers nodes of which cpu and memory would be in use to the same share. Pods that request neither do not care."""

    name = "NodeResourcesBalancedAllocation"

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> PodInfo | None:
        return pod if pod.cpu or pod.memory else None

    def score(self, state: PodInfo, node: NodeInfo) -> int:
        if not node.cpu or not node.memory:
            return MAX_NODE_SCORE
        cpu = min((node.used_cpu + state.cpu) / node.cpu, 1.0)
        memory = min((node.used_memory + state.memory) / node.memory, 1.0)
        return int((1 - abs(cpu - memory) / 2) * MAX_NODE_SCORE)
