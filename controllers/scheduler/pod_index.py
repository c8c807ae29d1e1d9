"""Finds the pods that a selector may select without looking at all: by namespace, and by each of their labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from controllers.scheduler.pod_info import AffinityTerm, PodInfo
from kube.labels import Operator, Selector

_ONE_OF = (Operator.IN, Operator.EQUALS, Operator.DOUBLE_EQUALS)
_Pods = dict[str, PodInfo]


class PodIndex:
    """Pods by key, under what they can be found by."""

    def __init__(self) -> None:
        self._by_namespace: dict[str, _Pods] = {}
        self._by_label: dict[tuple[str, str, str], _Pods] = {}

    def add(self, pod: PodInfo) -> None:
        """Add a pod, or take the place of another version with the same labels."""
        self._by_namespace.setdefault(pod.namespace, {})[pod.key] = pod
        for label in pod.labels.items():
            self._by_label.setdefault((pod.namespace, *label), {})[pod.key] = pod

    def remove(self, pod: PodInfo) -> None:
        """Remove a pod, with the labels that it was added with."""
        _drop(self._by_namespace, pod.namespace, pod.key)
        for label in pod.labels.items():
            _drop(self._by_label, (pod.namespace, *label), pod.key)

    def candidates(self, namespace: str, selector: Selector) -> Iterable[PodInfo]:
        """Pods of the namespace among which are all that the selector selects: those with the rarest of the labels that it asks for."""
        if selector.is_nothing:
            return ()
        fewest: Collection[PodInfo] = self._by_namespace.get(namespace, {}).values()
        for each in selector.requirements:
            if each.operator in _ONE_OF and len(each.values) == 1:
                found = self._by_label.get((namespace, each.key, each.values[0]), {}).values()
                if len(found) < len(fewest):
                    fewest = found
        return fewest

    def candidates_of(self, term: AffinityTerm) -> Iterable[PodInfo]:
        """Likewise of an affinity term, over all the namespaces that it may mean."""
        namespaces = term.namespaces if term.namespace_selector.is_nothing else tuple(self._by_namespace)
        for namespace in namespaces:
            yield from self.candidates(namespace, term.selector)


def _drop(index: dict, under: object, key: str) -> None:
    pods = index.get(under)
    if pods is not None:
        pods.pop(key, None)
        if not pods:
            del index[under]
