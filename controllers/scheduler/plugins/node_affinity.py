"""NodeAffinity: nodes that do not match the pod's selector or required affinity are refused, those it prefers score more."""

from __future__ import annotations

from dataclasses import dataclass

from controllers.scheduler.config.arguments import NodeAffinityArgs
from controllers.scheduler.framework import Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.node_selector import NodeTerm, RequiredNodes, preferred_terms, required_nodes, weighted_terms
from controllers.scheduler.plugins.normalize import normalized
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class State:
    """What the configuration and what the pod requires of its node."""

    added: RequiredNodes | None
    required: RequiredNodes | None


class NodeAffinity:
    name = "NodeAffinity"
    wakes = ClusterEvent.NODE_ADD | ClusterEvent.NODE_LABEL

    def __init__(self, args: NodeAffinityArgs | None = None) -> None:
        args = args or NodeAffinityArgs()
        self._added = required_nodes({}, args.added_affinity)
        self._preferred = weighted_terms(args.added_affinity)

    def node_names(self, pod: PodInfo) -> frozenset[str] | Rejection | None:
        """DaemonSet pods name their node in a field of their affinity: then only that one is looked at."""
        required = RequiredNodes.of(pod)
        if required is None or not required.terms:
            return None
        names: frozenset[str] = frozenset()
        for term in required.terms:
            found = term.node_names()
            if found is None:
                return None
            names |= found
        return names or rejection(self.name, Code.UNRESOLVABLE, "pod affinity terms conflict")

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """Only a node that it could go to is."""
        node, required = change.node, RequiredNodes.of(pod)
        if node is None or (self._added is not None and not self._added.matches(node)):
            return False
        return required is None or required.matches(node)

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> State | None:
        required = RequiredNodes.of(pod)
        return None if required is None and self._added is None else State(self._added, required)

    def filter(self, state: State, node: NodeInfo) -> Rejection | None:
        if state.added is not None and not state.added.matches(node):
            return rejection(self.name, Code.UNRESOLVABLE, "node(s) didn't match scheduler-enforced node affinity")
        if state.required is None or state.required.matches(node):
            return None
        return rejection(self.name, Code.UNRESOLVABLE, "node(s) didn't match Pod's node affinity/selector")

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> list[tuple[int, NodeTerm]] | None:
        return [*self._preferred, *preferred_terms(pod)] or None

    def score(self, state: list[tuple[int, NodeTerm]], node: NodeInfo) -> int:
        return sum(weight for weight, term in state if term.matches(node))

    def normalize(self, scores: list[int]) -> list[int]:
        return normalized(scores)
