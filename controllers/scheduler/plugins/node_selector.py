"""Node selectors as compiled terms: `spec.nodeSelector`, required and preferred node affinity. Pure.

Source: `k8s.io/component-helpers/scheduling/corev1/nodeaffinity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from kube.labels import Operator, Requirement

_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
    "Gt": Operator.GREATER_THAN,
    "Lt": Operator.LESS_THAN,
}
_NAME_FIELD = "metadata.name"


class NodeTerm:
    """One NodeSelectorTerm: all its expressions and fields must match; with none of them it matches nothing."""

    __slots__ = ("_fields", "_labels", "is_empty")

    def __init__(self, term: Mapping[str, Any]) -> None:
        self._labels = [_requirement(each) for each in term.get("matchExpressions") or ()]
        self._fields = [_requirement(each) for each in term.get("matchFields") or ()]
        self.is_empty = not self._labels and not self._fields

    def matches(self, node: NodeInfo) -> bool:
        if self.is_empty:
            return False
        labels = node.labels
        if not all(each is not None and each.matches(labels) for each in self._labels):
            return False
        return not self._fields or all(each is not None and each.matches({_NAME_FIELD: node.name}) for each in self._fields)

    def node_names(self) -> frozenset[str] | None:
        """The names it is limited to by its fields; None when it is not."""
        names: frozenset[str] | None = None
        for each in self._fields:
            if each is not None and each.key == _NAME_FIELD and each.operator is Operator.IN:
                names = frozenset(each.values) if names is None else names & frozenset(each.values)
        return names


class RequiredNodes:
    """What a pod requires of its node: every label of `nodeSelector`, and one of the terms of its required affinity."""

    __slots__ = ("selector", "terms")

    def __init__(self, selector: Mapping[str, str], terms: Sequence[NodeTerm] | None) -> None:
        self.selector, self.terms = selector, terms

    @staticmethod
    def of(pod: PodInfo) -> RequiredNodes | None:
        """None when it requires nothing."""
        return required_nodes(pod.spec.get("nodeSelector") or {}, _node_affinity(pod))

    def matches(self, node: NodeInfo) -> bool:
        labels = node.labels
        for key, value in self.selector.items():
            if labels.get(key) != value:
                return False
        return self.terms is None or any(term.matches(node) for term in self.terms)


def required_nodes(selector: Mapping[str, str], affinity: Mapping[str, Any]) -> RequiredNodes | None:
    """What a node selector and a NodeAffinity require; None when that is nothing."""
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not selector and required is None:
        return None
    return RequiredNodes(selector, None if required is None else [NodeTerm(each) for each in required.get("nodeSelectorTerms") or ()])


def preferred_terms(pod: PodInfo) -> list[tuple[int, NodeTerm]]:
    """As `weighted_terms`, of the pod's own affinity."""
    return weighted_terms(_node_affinity(pod))


def weighted_terms(affinity: Mapping[str, Any]) -> list[tuple[int, NodeTerm]]:
    """(weight, term) of what a NodeAffinity prefers; those that mean nothing are left out."""
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    found = [(each.get("weight", 0), NodeTerm(each.get("preference") or {})) for each in preferred]
    return [(weight, term) for weight, term in found if weight and not term.is_empty]


def _node_affinity(pod: PodInfo) -> Mapping[str, Any]:
    return (pod.spec.get("affinity") or {}).get("nodeAffinity") or {}


def _requirement(expression: Mapping[str, Any]) -> Requirement | None:
    """None for what cannot be understood: it matches nothing."""
    operator = _OPERATORS.get(expression.get("operator", ""))
    return None if operator is None else Requirement(expression.get("key", ""), operator, expression.get("values") or ())
