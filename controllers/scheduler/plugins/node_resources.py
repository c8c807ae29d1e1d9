"""NodeResourcesFit and NodeResourcesBalancedAllocation: is there room, how much would be left, and in what proportion.

Room is judged by what pods request. For "how much would be left", containers that request nothing count as if they asked for a little, so
that such pods are spread, too. How that is scored is in `resource_scoring.py`. Source: `plugins/noderesources/`.
"""

from __future__ import annotations

from collections.abc import Iterable

from controllers.scheduler.config.arguments import NodeResourcesBalancedAllocationArgs, NodeResourcesFitArgs
from controllers.scheduler.framework import MAX_NODE_SCORE, Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.resource_scoring import CPU_AND_MEMORY, balance, strategy_of, used_and_there
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.requests import CPU, EPHEMERAL_STORAGE, MEMORY
from controllers.scheduler.snapshot import Snapshot

_ROOM = ClusterEvent.NODE_ADD | ClusterEvent.NODE_ALLOCATABLE | ClusterEvent.POD_DELETE | ClusterEvent.POD_SCALE_DOWN


class NodeResourcesFit:
    """`ignored` are resources of which room is not asked for: an extender sees to them."""

    name = "NodeResourcesFit"
    wakes = _ROOM

    def __init__(self, args: NodeResourcesFitArgs | None = None, ignored: Iterable[str] = ()) -> None:
        args = args or NodeResourcesFitArgs()
        self._ignored = frozenset((*args.ignored_resources, *ignored))
        self._ignored_groups = frozenset(args.ignored_resource_groups)
        self._weights = tuple((each.name, each.weight) for each in args.scoring_strategy.resources)
        self._is_default = args.scoring_strategy.type == "LeastAllocated" and self._weights == CPU_AND_MEMORY
        self._strategy = strategy_of(args.scoring_strategy)

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """A node must be large enough for it, were it empty."""
        node = change.node
        if node is None:
            return True
        if pod.cpu > node.cpu or pod.memory > node.memory or pod.ephemeral_storage > node.ephemeral_storage or node.pods_max < 1:
            return False
        return all(value <= node.scalars.get(name, 0) or self._ignores(name) for name, value in pod.scalars.items())

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

    def _has_scalars(self, pod: PodInfo, node: NodeInfo) -> bool:
        used, there = node.used_scalars, node.scalars
        return all(value <= there.get(name, 0) - used.get(name, 0) or self._ignores(name) for name, value in pod.scalars.items())

    def _ignores(self, name: str) -> bool:
        return "/" in name and (name in self._ignored or name.partition("/")[0] in self._ignored_groups)

    def _explain(self, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        """Everything there is too little of. More than the whole node has is not for preemption to solve."""
        asked = [
            (CPU, pod.cpu, node.cpu, node.used_cpu),
            (MEMORY, pod.memory, node.memory, node.used_memory),
            (EPHEMERAL_STORAGE, pod.ephemeral_storage, node.ephemeral_storage, node.used_ephemeral_storage),
        ]
        asked += [
            (name, value, node.scalars.get(name, 0), node.used_scalars.get(name, 0))
            for name, value in pod.scalars.items()
            if not self._ignores(name)
        ]
        short = [(name, value > there) for name, value, there, used in asked if value and value > there - used]
        reasons = [] if len(node.pods) < node.pods_max else ["Too many pods"]
        reasons += [f"Insufficient {name}" for name, _ in short]
        never = any(more_than_there_is for _, more_than_there_is in short)
        return rejection(self.name, Code.UNRESOLVABLE if never else Code.UNSCHEDULABLE, *reasons)

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> PodInfo:
        return pod

    def score(self, state: PodInfo, node: NodeInfo) -> int:
        """By the strategy. The default, the mean of the free shares of cpu and memory in percent, is written out: it is asked most."""
        if not self._is_default:
            return self._strategy(used_and_there(self._weights, state, node))
        total = count = 0
        if there := node.cpu:
            count = 1
            if (left := there - node.scored_cpu - state.scored_cpu) > 0:
                total = left * MAX_NODE_SCORE // there
        if there := node.memory:
            count += 1
            if (left := there - node.scored_memory - state.scored_memory) > 0:
                total += left * MAX_NODE_SCORE // there
        return total // count if count else 0


class NodeResourcesBalancedAllocation:
    """Prefers nodes of which cpu and memory (or what it is told) would be in use to the same share. Pods that request none do not care."""

    name = "NodeResourcesBalancedAllocation"

    def __init__(self, args: NodeResourcesBalancedAllocationArgs | None = None) -> None:
        args = args or NodeResourcesBalancedAllocationArgs()
        self._weights = tuple((each.name, each.weight) for each in args.resources)
        self._is_default = self._weights == CPU_AND_MEMORY

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> PodInfo | None:
        return pod if any(pod.requests.get(name) for name, _ in self._weights) else None

    def score(self, state: PodInfo, node: NodeInfo) -> int:
        if not self._is_default:
            return balance(used_and_there(self._weights, state, node, really=True))
        if not node.cpu or not node.memory:
            return MAX_NODE_SCORE
        cpu = (node.used_cpu + state.cpu) / node.cpu
        memory = (node.used_memory + state.memory) / node.memory
        return int((1 - abs((cpu if cpu < 1.0 else 1.0) - (memory if memory < 1.0 else 1.0)) / 2) * MAX_NODE_SCORE)
