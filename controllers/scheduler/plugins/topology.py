"""Counting pods by topology: the work behind `pod_topology_spread.py`.

Both tallies keep, per node, how many pods each constraint selects there, and sums over the nodes that share a value of the topology key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from controllers.scheduler.columns import Pick
from controllers.scheduler.framework import MAX_NODE_SCORE, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.node_selector import RequiredNodes
from controllers.scheduler.plugins.toleration import HARD, first_untolerated
from controllers.scheduler.pod_info import PodInfo, selector_of
from controllers.scheduler.snapshot import Snapshot
from kube.labels import Operator, Requirement, Selector

HOSTNAME = "kubernetes.io/hostname"
_MISMATCH = "node(s) didn't match pod topology spread constraints"
_Place = tuple[str | None, ...]
_MISSING_LABEL = f"{_MISMATCH} (missing required label)"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A TopologySpreadConstraint. Nodes that the pod's affinity rules out do not count; those that their taints rule out do, mostly."""

    key: str
    max_skew: int
    selector: Selector
    domains_min: int = 1
    honors_affinity: bool = True
    honors_taints: bool = False

    @classmethod
    def of(cls, constraint: Mapping[str, Any], pod: PodInfo) -> Constraint:
        selector = selector_of(constraint.get("labelSelector"))
        own = [Requirement(key, Operator.IN, (pod.labels[key],)) for key in constraint.get("matchLabelKeys") or () if key in pod.labels]
        if own and not selector.is_nothing:
            selector = Selector((*selector.requirements, *own))
        return cls(
            key=constraint.get("topologyKey", ""),
            max_skew=constraint.get("maxSkew", 1),
            selector=selector,
            domains_min=constraint.get("minDomains") or 1,
            honors_affinity=constraint.get("nodeAffinityPolicy") != "Ignore",
            honors_taints=constraint.get("nodeTaintsPolicy") == "Honor",
        )

    def counts(self, pod: PodInfo, required: RequiredNodes | None, node: NodeInfo) -> bool:
        """Whether the node is one that the constraint spreads over."""
        if self.honors_affinity and required is not None and not required.matches(node):
            return False
        return not self.honors_taints or first_untolerated(node.taints, pod.tolerations, HARD) is None

    def selected(self, namespace: str, node: NodeInfo) -> int:
        """How many pods it selects there. Pods on their way out do not count; a selector of nothing or of everything selects none."""
        selector = self.selector
        if not node.pods or selector.is_empty or selector.is_nothing:
            return 0
        matches = selector.matches
        return sum(1 for pod in node.pods.values() if pod.namespace == namespace and not pod.is_deleting and matches(pod.labels))


class HardSpread:
    """Refuses nodes where one more pod would make the skew too large."""

    def __init__(self, plugin: str, pod: PodInfo, constraints: Sequence[Constraint], snapshot: Snapshot) -> None:
        self._plugin, self._pod, self._constraints = plugin, pod, constraints
        self._required = RequiredNodes.of(pod)
        self._counts_all = self._required is None and not any(each.honors_taints for each in constraints)
        self._self = [int(each.selector.matches(pod.labels)) for each in constraints]
        self._places: list[_Place | None] = []
        """By slot: the node's value of each key, None for constraints that do not count the node; None for nodes that none counts."""
        self._there: dict[int, list[int]] = {}
        """By slot with any: the pods of each constraint."""
        self._pods: list[dict[str, int]] = [{} for _ in constraints]
        self._nodes: list[dict[str, int]] = [{} for _ in constraints]
        """By constraint: how many pods and how many nodes share a value."""
        self._least: list[int] = []
        self._begin(snapshot)

    def _begin(self, snapshot: Snapshot) -> None:
        if self._counts_all and len(self._constraints) == 1:  # mostly; and there may be thousands of nodes
            key = self._constraints[0].key
            self._places = [(node.labels[key],) if node is not None and key in node.labels else None for node in snapshot.slots]
        else:
            self._places = [None if node is None else self._place(node) for node in snapshot.slots]
        known = [place for place in self._places if place is not None]
        for index in range(len(self._constraints)):
            values = Counter(place[index] for place in known)
            self._nodes[index] = {value: count for value, count in values.items() if value is not None}
            self._pods[index] = dict.fromkeys(self._nodes[index], 0)
        for each in self._constraints:
            for slot in snapshot.slots_with(snapshot.index.candidates(self._pod.namespace, each.selector)):
                if slot not in self._there and (node := snapshot.slots[slot]) is not None:
                    self._count_pods(slot, node)

    def _place(self, node: NodeInfo) -> _Place | None:
        labels = node.labels
        place = tuple([labels.get(each.key) for each in self._constraints])
        if None in place:
            return None
        if self._counts_all:
            return place
        return tuple(
            [value if each.counts(self._pod, self._required, node) else None for each, value in zip(self._constraints, place, strict=True)]
        )

    def _count_pods(self, slot: int, node: NodeInfo) -> None:
        place = self._places[slot]
        if place is None:
            return
        there = [each.selected(self._pod.namespace, node) for each in self._constraints]
        if any(there):
            self._there[slot] = there
            self._add_pods(place, there, 1)

    def _add_pods(self, place: _Place, there: list[int], sign: int) -> None:
        for pods, value, count in zip(self._pods, place, there, strict=True):
            if value is not None:
                pods[value] += sign * count

    def update(self, slot: int, node: NodeInfo | None) -> None:
        self._places.extend([None] * (slot + 1 - len(self._places)))
        old, new = self._places[slot], None if node is None else self._place(node)
        if old is not None and slot in self._there:
            self._add_pods(old, self._there.pop(slot), -1)
        if old != new:
            self._add_node(old, -1)
            self._add_node(new, 1)
            self._places[slot] = new
        if node is not None:
            self._count_pods(slot, node)

    def _add_node(self, place: _Place | None, sign: int) -> None:
        for pods, nodes, value in zip(self._pods, self._nodes, place or (), strict=False):
            if value is None:
                continue
            nodes[value] = nodes.get(value, 0) + sign
            pods.setdefault(value, 0)
            if not nodes[value]:
                del nodes[value], pods[value]

    def begin(self) -> bool:
        """Find the least crowded domain of each constraint: 0 pods where there are fewer domains than asked for."""
        self._least = [
            0 if len(pods) < each.domains_min else min(pods.values(), default=2**31)
            for each, pods in zip(self._constraints, self._pods, strict=True)
        ]
        return True

    def filter(self, node: NodeInfo) -> Rejection | None:
        labels = node.labels
        for index, each in enumerate(self._constraints):
            value = labels.get(each.key)
            if value is None:
                return rejection(self._plugin, Code.UNRESOLVABLE, _MISSING_LABEL)
            if self._pods[index].get(value, 0) + self._self[index] - self._least[index] > each.max_skew:
                return rejection(self._plugin, Code.UNSCHEDULABLE, _MISMATCH)
        return None


class SoftSpread:
    """Scores nodes by how few pods are in their domains; the more domains a key has, the more it weighs."""

    def __init__(self, pod: PodInfo, constraints: Sequence[Constraint], snapshot: Snapshot, *, needs_all_keys: bool) -> None:
        self._pod, self._constraints, self._needs_all_keys = pod, constraints, needs_all_keys
        self._snapshot = snapshot
        self._required = RequiredNodes.of(pod)
        self._counted: dict[int, list[str | None]] = {}
        """By slot with any pods that count: the node's value of each key."""
        self._here: list[list[int]] = [[0] * len(snapshot.slots) for _ in constraints]
        """By constraint and slot: the pods there."""
        self._sums: list[dict[str, int]] = [{} for _ in constraints]
        """By constraint: the pods of all nodes that share a value."""
        for each in constraints:
            for slot in snapshot.slots_with(snapshot.index.candidates(pod.namespace, each.selector)):
                if slot not in self._counted:
                    self.update(slot, snapshot.slots[slot])

    def update(self, slot: int, node: NodeInfo | None) -> None:
        if slot in self._counted:
            values = self._counted.pop(slot)
            for index, here in enumerate(self._here):
                self._add(index, values[index], -here[slot])
                here[slot] = 0
        if node is None or not node.pods:
            return
        values = [node.labels.get(each.key) for each in self._constraints]
        complete = not self._needs_all_keys or None not in values
        counts = [
            each.selected(self._pod.namespace, node)
            if each.key == HOSTNAME or (complete and each.counts(self._pod, self._required, node))
            else 0
            for each in self._constraints
        ]
        if any(counts):
            self._grow()
            self._counted[slot] = values
            for index, count in enumerate(counts):
                self._here[index][slot] = count
                self._add(index, values[index], count)

    def _grow(self) -> None:
        """Make room for slots that are new."""
        missing = len(self._snapshot.slots) - len(self._here[0])
        if missing > 0:
            for here in self._here:
                here.extend([0] * missing)

    def _add(self, index: int, value: str | None, count: int) -> None:
        if count:
            sums = self._sums[index]
            sums[value or ""] = sums.get(value or "", 0) + count

    def score(self, pick: Pick) -> list[int] | None:
        self._grow()
        columns = [pick(self._snapshot.values(each.key)) for each in self._constraints]
        seen = [
            _where(values, pick(self._here[index])) if each.key == HOSTNAME else values
            for index, (each, values) in enumerate(zip(self._constraints, columns, strict=True))
        ]
        rows = list(zip(*seen, strict=True))
        kinds = set(rows)  # few differ
        ignored = {row for row in kinds if None in row} if self._needs_all_keys else set()
        if len(ignored) == len(kinds):
            return None
        scored = len(rows) - (sum(map(rows.count, ignored)) if ignored else 0)
        worth = [self._worth(index, {row[index] for row in kinds - ignored}, scored) for index in range(len(seen))]
        raw = {row: int(sum(part[item] for part, item in zip(worth, row, strict=True)) + 0.5) for row in kinds - ignored}
        lowest, highest = min(raw.values()), max(raw.values())
        if lowest == highest and not ignored:
            return None
        points = dict.fromkeys(ignored, 0) | {row: _normalized(score, lowest, highest) for row, score in raw.items()}
        return [points[row] for row in rows]

    def _worth(self, index: int, items: Collection[Any], scored: int) -> dict[Any, float]:
        """What one constraint adds to the raw score of a node, by what is seen there: the fewer, the better."""
        each, sums = self._constraints[index], self._sums[index]
        base, weight = float(each.max_skew - 1), log((scored if each.key == HOSTNAME else len(items)) + 2)
        counts = {item: item if each.key == HOSTNAME else sums.get(item, 0) for item in items if item is not None}
        return {item: count * weight + base for item, count in counts.items()} | ({None: 0.0} if None in items else {})


def _where(values: Sequence[str | None], counts: Sequence[int]) -> Sequence[int | None]:
    """The counts of the nodes that have a value."""
    return counts if None not in values else [None if value is None else count for value, count in zip(values, counts, strict=True)]


def _normalized(score: int, lowest: int, highest: int) -> int:
    return MAX_NODE_SCORE * (highest + lowest - score) // highest if highest else MAX_NODE_SCORE
