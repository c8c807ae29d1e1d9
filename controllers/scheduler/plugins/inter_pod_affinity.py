"""InterPodAffinity: pods that want to be near other pods, or away from them, by whatever label says what near is.

Both ways round: what the pod requires and prefers, and what the pods that are there require and prefer of it.
Source: `plugins/interpodaffinity/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controllers.scheduler.columns import Pick
from controllers.scheduler.config.arguments import InterPodAffinityArgs
from controllers.scheduler.framework import MAX_NODE_SCORE, Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import AffinityTerm, PodInfo
from controllers.scheduler.snapshot import Snapshot


class InterPodAffinity:
    name = "InterPodAffinity"
    wakes = (
        ClusterEvent.POD_ADD
        | ClusterEvent.POD_DELETE
        | ClusterEvent.POD_LABEL
        | ClusterEvent.NODE_ADD
        | ClusterEvent.NODE_LABEL
        | ClusterEvent.NAMESPACE_LABEL
    )

    def __init__(self, args: InterPodAffinityArgs | None = None) -> None:
        args = args or InterPodAffinityArgs()
        self._args = args

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """A new pod must be one that it wants near, one that is gone one that it does not, or the other way round; a node must have the
        labels."""
        if change.node is not None:
            return all(term.topology_key in change.node.labels for term in pod.affinity)
        other = change.pod
        if other is None or not change.event & (ClusterEvent.POD_ADD | ClusterEvent.POD_DELETE):
            return True
        if ClusterEvent.POD_ADD in change.event:
            return any(term.matches(other, snapshot.namespaces) for term in pod.affinity)
        unwanted = any(term.matches(other, snapshot.namespaces) for term in pod.anti_affinity)
        return unwanted or any(term.matches(pod, snapshot.namespaces) for term in other.anti_affinity)

    def filter_tally(self, pod: PodInfo, snapshot: Snapshot) -> RequiredTally:
        return RequiredTally(self.name, pod, snapshot)

    def score_tally(self, pod: PodInfo, snapshot: Snapshot) -> PreferredTally | None:
        """The weight of hard affinity is what a pod that requires this one's like nearby adds to the score of the place where it is."""
        has_preferences = bool(pod.preferred_affinity or pod.preferred_anti_affinity)
        if self._args.ignore_preferred_terms_of_existing_pods and not has_preferences:
            return None
        return PreferredTally(pod, snapshot, hard_weight=self._args.hard_pod_affinity_weight)


class _Counts:
    """How much there is of something by topology: label key -> label value -> amount. Remembers what each slot has added."""

    def __init__(self) -> None:
        self.by_key: dict[str, dict[str, int]] = {}
        self._added: dict[int, list[tuple[str, str, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self.by_key)

    def replace(self, slot: int, added: list[tuple[str, str, int]]) -> None:
        for key, value, amount in self._added.pop(slot, ()):
            self._change(key, value, -amount)
        if added:
            self._added[slot] = added
            for key, value, amount in added:
                self._change(key, value, amount)

    def _change(self, key: str, value: str, amount: int) -> None:
        values = self.by_key.setdefault(key, {})
        values[value] = values.get(value, 0) + amount
        if not values[value]:
            del values[value]
            if not values:
                del self.by_key[key]

    def at(self, key: str, labels: Mapping[str, str]) -> int:
        values = self.by_key.get(key)
        return values.get(labels.get(key, ""), 0) if values is not None and key in labels else 0


class _AffinityTally:
    """What both tallies have in common: which pods of a node matter, and the first count."""

    def __init__(self, pod: PodInfo, snapshot: Snapshot, terms: Sequence[AffinityTerm]) -> None:
        """`terms` are the pod's own: they may mean any pod."""
        self.pod, self._namespaces, self._sees_all_pods = pod, snapshot.namespaces, bool(terms)
        for slot in snapshot.affinity_slots | snapshot.slots_with_any(terms):
            self.update(slot, snapshot.slots[slot])

    def update(self, slot: int, node: NodeInfo | None) -> None:
        if node is None:
            pods: Iterable[PodInfo] = ()
        else:
            pods = node.pods.values() if self._sees_all_pods else node.affinity_pods.values()
        self._count(slot, node.labels if node is not None else {}, pods)

    def _count(self, slot: int, labels: Mapping[str, str], pods: Iterable[PodInfo]) -> None:
        raise NotImplementedError

    def _matches(self, term: AffinityTerm, pod: PodInfo) -> bool:
        return term.matches(pod, self._namespaces)


class RequiredTally(_AffinityTally):
    """For filtering: where there are pods that the pod requires, where such that it must avoid, and where such that avoid it."""

    def __init__(self, plugin: str, pod: PodInfo, snapshot: Snapshot) -> None:
        self._plugin = plugin
        self._wanted, self._unwanted, self._unwelcome = _Counts(), _Counts(), _Counts()
        super().__init__(pod, snapshot, (*pod.affinity, *pod.anti_affinity))
        self._is_its_own_company = bool(pod.affinity) and all(self._matches(term, pod) for term in pod.affinity)

    def _count(self, slot: int, labels: Mapping[str, str], pods: Iterable[PodInfo]) -> None:
        wanted: list[tuple[str, str, int]] = []
        unwanted: list[tuple[str, str, int]] = []
        unwelcome: list[tuple[str, str, int]] = []
        required, avoided = self.pod.affinity, self.pod.anti_affinity
        for each in pods:
            if required and all(self._matches(term, each) for term in required):
                wanted += _places(required, labels)
            for term in avoided:
                if self._matches(term, each):
                    unwanted += _places((term,), labels)
            for term in each.anti_affinity:
                if self._matches(term, self.pod):
                    unwelcome += _places((term,), labels)
        self._wanted.replace(slot, wanted)
        self._unwanted.replace(slot, unwanted)
        self._unwelcome.replace(slot, unwelcome)

    def begin(self) -> bool:
        return bool(self.pod.affinity or self._unwanted or self._unwelcome)

    def filter(self, node: NodeInfo) -> Rejection | None:
        labels = node.labels
        if self.pod.affinity and not self._has_company(labels):
            return rejection(self._plugin, Code.UNRESOLVABLE, "node(s) didn't match pod affinity rules")
        if self._unwanted and any(self._unwanted.at(term.topology_key, labels) > 0 for term in self.pod.anti_affinity):
            return rejection(self._plugin, Code.UNSCHEDULABLE, "node(s) didn't match pod anti-affinity rules")
        if self._unwelcome and any(self._unwelcome.at(key, labels) > 0 for key in self._unwelcome.by_key):
            return rejection(self._plugin, Code.UNSCHEDULABLE, "node(s) didn't satisfy existing pods anti-affinity rules")
        return None

    def _has_company(self, labels: Mapping[str, str]) -> bool:
        """Whether the pods it requires are near. The first of a group that requires its own like may go anywhere."""
        if not all(term.topology_key in labels for term in self.pod.affinity):
            return False
        if all(self._wanted.at(term.topology_key, labels) > 0 for term in self.pod.affinity):
            return True
        return not self._wanted and self._is_its_own_company


class PreferredTally(_AffinityTally):
    """For scoring: by place, the weights of all preferences that a pod there fulfils or disappoints."""

    def __init__(self, pod: PodInfo, snapshot: Snapshot, *, hard_weight: int = 1) -> None:
        self._snapshot, self._weights, self._hard_weight = snapshot, _Counts(), hard_weight
        super().__init__(pod, snapshot, [term for _, term in (*pod.preferred_affinity, *pod.preferred_anti_affinity)])

    def _count(self, slot: int, labels: Mapping[str, str], pods: Iterable[PodInfo]) -> None:
        added: list[tuple[str, str, int]] = []
        own, pod = self.pod, self.pod
        for each in pods:
            liked = [(weight, term, each) for weight, term in own.preferred_affinity]
            liked += [(-weight, term, each) for weight, term in own.preferred_anti_affinity]
            if each.has_affinity:
                liked += [(self._hard_weight, term, pod) for term in each.affinity]
                liked += [(weight, term, pod) for weight, term in each.preferred_affinity]
                liked += [(-weight, term, pod) for weight, term in each.preferred_anti_affinity]
            for weight, term, other in liked:
                if weight and term.topology_key in labels and self._matches(term, other):
                    added.append((term.topology_key, labels[term.topology_key], weight))
        self._weights.replace(slot, added)

    def score(self, pick: Pick) -> list[int] | None:
        if not self._weights:
            return None
        columns = []
        for key, weights in self._weights.by_key.items():
            get = weights.get
            columns.append([get(value, 0) for value in pick(self._snapshot.values(key))])
        scores = columns[0] if len(columns) == 1 else list(map(sum, zip(*columns, strict=True)))
        lowest, highest = min(scores), max(scores)
        if lowest == highest:
            return None
        return [int(MAX_NODE_SCORE * ((score - lowest) / (highest - lowest))) for score in scores]


def _places(terms: Iterable[AffinityTerm], labels: Mapping[str, str]) -> list[tuple[str, str, int]]:
    return [(term.topology_key, labels[term.topology_key], 1) for term in terms if term.topology_key in labels]
