"""The decision: which node is best for a pod, or why there is none. Pure: nothing here changes the snapshot or talks to anyone.

`schedule` narrows the nodes down, asks the filters, scores what is left and picks the best; of equals, one by chance.
Source: `pkg/scheduler/schedule_one.go`.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from controllers.scheduler.evaluation import Evaluation
from controllers.scheduler.framework import Code, PostFilterResult, Rejection, rejection
from controllers.scheduler.messages import NO_NODES, unavailable
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object

_FEASIBLE_MIN = 100
_PERCENTAGE_MIN = 5
_EVALUATIONS_MAX = 32


@dataclass(slots=True)
class Decision:
    """What came out. `rejections` (by node name) says of each node that was refused which plugin did so, and why."""

    node: str | None
    nodes: int
    """How many there are."""
    visited: int = 0
    feasible: int = 0
    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    ruled_out: Rejection | None = None
    """Why the nodes that are not in `rejections` did not even come into question."""
    refused: Rejection | None = None
    """Why no node can ever do, whatever the nodes are."""
    preemption: PostFilterResult | None = None
    _message: str = ""

    @property
    def rejected_by(self) -> frozenset[str]:
        """The names of the plugins that said no."""
        no = {each.plugin for each in self.rejections.values()}
        no |= {each.plugin for each in (self.refused, self.ruled_out) if each is not None}
        return frozenset(no)

    @property
    def message(self) -> str:
        """Why there is no node, in upstream's words."""
        if not self._message:
            self._message = self._describe()
        return self._message

    def _describe(self) -> str:
        if not self.nodes:
            return NO_NODES
        if self.refused is not None:
            text = f"0/{self.nodes} nodes are available: {', '.join(self.refused.reasons)}."
        else:
            text = unavailable(self.nodes, self.rejections.values(), self.ruled_out)
        if self.preemption is not None and self.preemption.message:
            text += f" {self.preemption.message}"
        return text


class Evaluations:
    """The latest evaluations, by pod signature: a memory that only saves work. Bounded."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes], Evaluation] = OrderedDict()

    def of(self, pod: PodInfo, profile: Profile, snapshot: Snapshot) -> Evaluation:
        key = profile.name, pod.signature
        known = self._known.get(key)
        if known is not None and known.profile is profile and known._snapshot is snapshot and known.catch_up():
            self._known.move_to_end(key)
            return known
        made = self._known[key] = Evaluation(pod, profile, snapshot)
        self._known.move_to_end(key)
        if len(self._known) > _EVALUATIONS_MAX:
            self._known.popitem(last=False)
        return made


@dataclass(slots=True)
class Search:
    """The nodes that passed the filters (`feasible`, by slot), out of `total`; `slots` are all that came into question, None: all."""

    evaluation: Evaluation
    total: int
    feasible: list[int]
    visited: int
    slots: list[int] | None = None
    ruled_out: Rejection | None = None


def schedule(pod: PodInfo, snapshot: Snapshot, profile: Profile, *, rng: random.Random, memory: Evaluations | None = None) -> Decision:
    """Decide for one pod. `memory`, when given, is used to share work between pods that are alike; it changes no answer."""
    found = search(pod, snapshot, profile, memory=memory)
    if isinstance(found, Decision):
        return found
    if not found.feasible:
        return failed(pod, snapshot, found)
    best = found.feasible[0] if len(found.feasible) == 1 else choose(found.feasible, found.evaluation.totals(found.feasible), rng)
    return Decision(snapshot.slots[best].name, found.total, visited=found.visited, feasible=len(found.feasible))  # type: ignore[union-attr]


def search(pod: PodInfo, snapshot: Snapshot, profile: Profile, *, memory: Evaluations | None = None) -> Search | Decision:
    """The nodes that are feasible; a decision where there is nothing to choose from."""
    total = snapshot.size
    if not total:
        return Decision(None, 0)
    only = _narrowed(pod, profile)
    if isinstance(only, Rejection):
        return _with_post_filter(Decision(None, total, refused=only), pod, snapshot, Evaluation(pod, profile, snapshot, frozenset()))
    ruled_out: Rejection | None = None
    slots: list[int] | None = None
    if only is not None:
        names, plugins = only
        evaluation = Evaluation(pod, profile, snapshot, names)
        ruled_out = rejection(plugins[0], Code.UNRESOLVABLE, f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(plugins))}]")
        slots = [node.slot for name in sorted(names) if (node := snapshot.nodes.get(name)) is not None and node.node is not None]
    else:
        evaluation = memory.of(pod, profile, snapshot) if memory else Evaluation(pod, profile, snapshot)
    if evaluation.refused is not None:
        return _with_post_filter(Decision(None, total, refused=evaluation.refused), pod, snapshot, evaluation)
    promised = pod.nominated_node or snapshot.nominations.get(pod.key, "")
    if promised and has_room(promised, pod, snapshot, evaluation):
        return Search(evaluation, total, [snapshot.nodes[promised].slot], 1, slots, ruled_out)
    if evaluation.failed_at == snapshot.version and not promised:
        return cast(Decision, evaluation.failure)
    if slots is None:
        feasible, visited = _search(snapshot, profile, evaluation)
    else:
        feasible, visited = _passing(slots, snapshot, evaluation, len(slots)), 0
    return Search(evaluation, total, feasible, visited, slots, ruled_out)


def failed(pod: PodInfo, snapshot: Snapshot, found: Search, further: Mapping[str, Rejection] | None = None) -> Decision:
    """The decision that no node will do. `further` are the noes of others than the filters; then it is not remembered."""
    rejections = _all_rejections(snapshot, found.evaluation, found.slots) | dict(further or {})
    decision = Decision(None, found.total, visited=found.visited, rejections=rejections, ruled_out=found.ruled_out)
    decision = _with_post_filter(decision, pod, snapshot, found.evaluation)
    if further is None:
        found.evaluation.failed_at, found.evaluation.failure = snapshot.version, decision
    return decision


def feasible_wanted(nodes: int, percentage: int) -> int:
    """How many feasible nodes are enough: of many nodes not all are looked at. `percentage` 0: the more nodes, the smaller a part."""
    if nodes < _FEASIBLE_MIN:
        return nodes
    if not percentage:
        percentage = max(50 - nodes // 125, _PERCENTAGE_MIN)
    return max(nodes * percentage // 100, _FEASIBLE_MIN)


def _narrowed(pod: PodInfo, profile: Profile) -> tuple[frozenset[str], list[str]] | Rejection | None:
    """The names of the nodes that come into question and the plugins that say so."""
    names: frozenset[str] | None = None
    plugins: list[str] = []
    for plugin in profile.narrowing:
        found = plugin.node_names(pod)
        if isinstance(found, Rejection):
            return found
        if found is not None:
            names = found if names is None else names & found
            plugins.append(plugin.name)
    return None if names is None else (names, plugins)


def has_room(name: str, pod: PodInfo, snapshot: Snapshot, evaluation: Evaluation) -> bool:
    """Whether there is room now on the node that the pod has been promised."""
    node = snapshot.nodes.get(name)
    if node is None or node.node is None or (evaluation.only is not None and name not in evaluation.only):
        return False
    return evaluation.fits(node.slot, node, pod) is None


def _search(snapshot: Snapshot, profile: Profile, evaluation: Evaluation) -> tuple[list[int], int]:
    """Feasible slots, as many as are wanted, and how many nodes were looked at."""
    order, start = snapshot.order(), snapshot.next_start
    wanted = feasible_wanted(len(order), profile.percentage_of_nodes_to_score)
    turned = order[start:] + order[:start]
    feasible = _passing(turned, snapshot, evaluation, wanted)
    visited = len(turned) if len(feasible) < wanted else turned.index(feasible[-1]) + 1
    return feasible, visited


def _passing(slots: list[int], snapshot: Snapshot, evaluation: Evaluation, wanted: int) -> list[int]:
    verdicts, unasked = evaluation.verdicts, evaluation.unasked
    tallies = evaluation.active_tallies()
    if not tallies and not unasked:
        passing = [slot for slot in slots if verdicts[slot] is None]
        return passing[:wanted]
    feasible: list[int] = []
    nodes = snapshot.slots
    for slot in slots:
        if (evaluation.ask(slot) if slot in unasked else verdicts[slot]) is not None:
            continue
        node = nodes[slot]
        for tally in tallies:
            if tally.filter(node) is not None:  # type: ignore[arg-type]
                break
        else:
            feasible.append(slot)
            if len(feasible) == wanted:
                break
    return feasible


def choose(feasible: list[int], totals: list[int], rng: random.Random) -> int:
    """The slot with the highest total; of equals, one by chance."""
    highest = max(totals)
    if totals.count(highest) == 1:
        return feasible[totals.index(highest)]
    return rng.choice([slot for slot, total in zip(feasible, totals, strict=True) if total == highest])


def _all_rejections(snapshot: Snapshot, evaluation: Evaluation, slots: list[int] | None) -> dict[str, Rejection]:
    """Who said no to each node, when all did."""
    tallies = evaluation.active_tallies()
    found: dict[str, Rejection] = {}
    for slot in snapshot.order() if slots is None else slots:
        node = snapshot.slots[slot]
        assert node is not None
        rejected = evaluation.verdicts[slot]
        if rejected is None:
            rejected = next((no for tally in tallies if (no := tally.filter(node)) is not None), None)
        if rejected is not None:
            found[node.name] = rejected
    return found


def _with_post_filter(decision: Decision, pod: PodInfo, snapshot: Snapshot, evaluation: Evaluation) -> Decision:
    """Ask the PostFilter plugins whether something can be done for a pod that fits nowhere."""
    by_slot = {snapshot.nodes[name].slot: each for name, each in decision.rejections.items()}
    told: list[str] = []
    deallocates: Object | None = None
    for plugin in evaluation.profile.post_filters:
        result = plugin.post_filter(pod, snapshot, by_slot, evaluation)
        if result is None:
            continue
        deallocates = deallocates or result.deallocates
        decision.preemption = replace(result, deallocates=deallocates)
        if result.node is not None:
            return decision
        told.append(result.message)
    if decision.preemption is not None:
        decision.preemption = replace(decision.preemption, message=", ".join(filter(None, told)))
    return decision
