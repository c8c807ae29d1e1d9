"""How nodes are scored by what of their resources is in use: the three strategies of NodeResourcesFit, and balance. Pure.

Source: `plugins/noderesources/least_allocated.go`, `most_allocated.go`, `requested_to_capacity_ratio.go`, `balanced_allocation.go`,
`resource_allocation.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor, sqrt

from controllers.scheduler.config.arguments import ScoringStrategy, UtilizationShapePoint
from controllers.scheduler.framework import MAX_NODE_SCORE
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.requests import CPU, EPHEMERAL_STORAGE, MEMORY

CPU_AND_MEMORY = ((CPU, 1), (MEMORY, 1))
_SCORE_MAX = 10
"""Of a point of a shape."""

Use = Sequence[tuple[int, int, int]]
"""Of each resource that the node has: (what would be in use, what there is, weight)."""
Strategy = Callable[[Use], int]


def used_and_there(weights: Sequence[tuple[str, int]], pod: PodInfo, node: NodeInfo, *, really: bool = False) -> Use:
    """With the pod on the node. `really`: containers that request no cpu or memory count as nothing. Extended resources count only for
    pods that request them."""
    found: list[tuple[int, int, int]] = []
    for name, weight in weights:
        if name == CPU:
            used, there = (node.used_cpu + pod.cpu if really else node.scored_cpu + pod.scored_cpu), node.cpu
        elif name == MEMORY:
            used, there = (node.used_memory + pod.memory if really else node.scored_memory + pod.scored_memory), node.memory
        elif name == EPHEMERAL_STORAGE:
            used, there = node.used_ephemeral_storage + pod.ephemeral_storage, node.ephemeral_storage
        else:
            asked = pod.scalars.get(name, 0)
            used, there = node.used_scalars.get(name, 0) + asked, node.scalars.get(name, 0) if asked else 0
        if there:
            found.append((used, there, weight))
    return found


def strategy_of(told: ScoringStrategy) -> Strategy:
    if told.type == "MostAllocated":
        return most_allocated
    if told.type == "RequestedToCapacityRatio" and told.requested_to_capacity_ratio is not None:
        return by_shape(told.requested_to_capacity_ratio.shape)
    return least_allocated


def least_allocated(use: Use) -> int:
    """The weighted mean of what is free, in percent."""
    return _mean([((there - used) * MAX_NODE_SCORE // there if used <= there else 0, weight) for used, there, weight in use])


def most_allocated(use: Use) -> int:
    """The weighted mean of what is in use, in percent."""
    return _mean([(min(used, there) * MAX_NODE_SCORE // there, weight) for used, there, weight in use])


def _mean(scores: Sequence[tuple[int, int]]) -> int:
    weights = sum(weight for _, weight in scores)
    return sum(score * weight for score, weight in scores) // weights if weights else 0


def by_shape(shape: Sequence[UtilizationShapePoint]) -> Strategy:
    """What is in use, in percent, through the lines between the points of the shape. Resources that come to 0 do not count."""

    def score(use: Use) -> int:
        each = [(along(shape, used * 100 // there if used <= there else 100), weight) for used, there, weight in use]
        counted = [(value, weight) for value, weight in each if value > 0]
        weights = sum(weight for _, weight in counted)
        return floor(sum(value * weight for value, weight in counted) / weights + 0.5) if weights else 0

    return score


def along(shape: Sequence[UtilizationShapePoint], utilization: int) -> int:
    """The score at a utilization, from 0 to MAX_NODE_SCORE; level before the first and after the last point."""
    scale = MAX_NODE_SCORE // _SCORE_MAX
    before = shape[0]
    for point in shape:
        if utilization <= point.utilization:
            if point is before:
                return point.score * scale
            rise, run = (point.score - before.score) * scale, point.utilization - before.utilization
            return before.score * scale + int(rise * (utilization - before.utilization) / run)
        before = point
    return before.score * scale


def balance(use: Use) -> int:
    """The more alike the shares in use are, the more: 1 minus their standard deviation, in percent."""
    shares = [min(used / there, 1.0) for used, there, _ in use]
    if len(shares) < 2:
        return MAX_NODE_SCORE
    mean = sum(shares) / len(shares)
    deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else sqrt(sum((each - mean) ** 2 for each in shares) / len(shares))
    return int((1 - deviation) * MAX_NODE_SCORE)
