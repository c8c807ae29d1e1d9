"""What all plugins think of all nodes, for one kind of pod; kept up to date by asking again only about nodes that changed.

This is what makes thousands of nodes cheap: replicas of a template share one `Evaluation`, and between two of them usually one node
has changed (the one that the first was put on). Nodes that no search has come to are not asked about. `schedule.py` reads it; nothing
here chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Any

from controllers.scheduler.columns import picker
from controllers.scheduler.framework import FilterTally, Rejection, ScoreTally
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.snapshot import Snapshot


class Evaluation:
    """`only`: the names of the nodes that come into question (None: all). `pod` stands for all with its signature."""

    def __init__(self, pod: PodInfo, profile: Profile, snapshot: Snapshot, only: frozenset[str] | None = None) -> None:
        self.pod, self.profile, self.only = pod, profile, only
        self._snapshot = snapshot
        self.rules_version = snapshot.rules_version(pod)
        self._filters: list[tuple[Any, Any]] = []
        self.refused = self._pre_filter()
        """Why no node will do, as things are."""
        self._filter_tallies: list[FilterTally] = [
            tally for plugin in profile.filter_tallies if (tally := plugin.filter_tally(pod, snapshot)) is not None
        ]
        self._plain: list[tuple[Any, Any, int]] = []
        self._normalized: list[tuple[Any, Any, Any, int]] = []
        self._score_tallies: list[tuple[ScoreTally, int]] = []
        self._scores_known = False
        self.verdicts: list[Rejection | None] = []
        """By slot: the first plugin that said no, if any. Tallies are asked for each search anew (`active_tallies`)."""
        self.unasked: set[int] = set()
        """The slots that `verdicts` knows nothing of yet."""
        self._sums: list[int | None] = []
        """By slot: the weighted scores that need no normalizing; None where they are not known."""
        self._raw: list[list[int]] = []
        self._position = snapshot.position
        self._grow()
        self.failed_at = -1
        """The snapshot's version at which no node was feasible."""
        self.failure: Any = None

    def _pre_filter(self) -> Rejection | None:
        """Ask what the filters need to know; the first no of one of them to all nodes."""
        for plugin in self.profile.filters:
            state = plugin.pre_filter(self.pod, self._snapshot)
            if isinstance(state, Rejection):
                return state
            if state is not None:
                self._filters.append((plugin.filter, state))
        return None

    def _grow(self) -> None:
        """Make room for slots that are new."""
        known, slots = len(self.verdicts), len(self._snapshot.slots)
        self.verdicts.extend([None] * (slots - known))
        self._sums.extend([None] * (slots - known))
        for raw in self._raw:
            raw.extend([0] * (slots - known))
        self.unasked.update(range(known, slots))

    def catch_up(self) -> bool:
        """Look at the nodes that have changed. False when everything has to be worked out anew."""
        snapshot = self._snapshot
        if snapshot.rules_version(self.pod) != self.rules_version:
            return False
        if snapshot.position == self._position:
            return True
        changed = snapshot.changed_since(self._position)
        if changed is None:
            return False
        self._position = snapshot.position
        for tally in self._filter_tallies:
            for slot in changed:
                tally.update(slot, snapshot.slots[slot])
        for score_tally, _ in self._score_tallies:
            for slot in changed:
                score_tally.update(slot, snapshot.slots[slot])
        self._grow()
        for slot in changed - self.unasked:
            self._sums[slot] = None
            self.ask(slot)
        return True

    def has(self, node: NodeInfo) -> bool:
        """Whether that is (still) the node in its slot."""
        return 0 <= node.slot < len(self._snapshot.slots) and self._snapshot.slots[node.slot] is node

    # Filtering.

    def ask(self, slot: int) -> Rejection | None:
        """What the filters say of the node in `slot`, from now on also in `verdicts`."""
        node = self._snapshot.slots[slot]
        self.unasked.discard(slot)
        verdict = self.verdicts[slot] = None if node is None else self._verdict(node)
        return verdict

    def _verdict(self, node: NodeInfo) -> Rejection | None:
        rejected = self._first_no(node)
        if rejected is None and node.nominated:
            crowded = _with_nominated(node, self.pod.priority)
            return None if crowded is None else self._first_no(crowded)
        return rejected

    def _first_no(self, node: NodeInfo) -> Rejection | None:
        for accepts, state in self._filters:
            rejected: Rejection | None = accepts(state, node)
            if rejected is not None:
                return rejected
        return None

    def active_tallies(self) -> list[FilterTally]:
        """Those that would refuse some node, ready to `filter`."""
        return [tally for tally in self._filter_tallies if tally.begin()]

    def fits(self, slot: int, node: NodeInfo, pod: PodInfo) -> Rejection | None:
        """Would `pod` (alike to this one) be refused if the node in `slot` were as `node`? (`framework.Trial`)"""
        rejected = self._fits_alone(slot, node)
        if rejected is None and node.nominated:
            crowded = _with_nominated(node, pod.priority, leave_out=pod.key)
            return None if crowded is None else self._fits_alone(slot, crowded)
        return rejected

    def _fits_alone(self, slot: int, node: NodeInfo) -> Rejection | None:
        rejected = self._first_no(node)
        if rejected is not None or not self._filter_tallies:
            return rejected
        for tally in self._filter_tallies:
            tally.update(slot, node)
        try:
            return next((no for tally in self.active_tallies() if (no := tally.filter(node)) is not None), None)
        finally:
            for tally in self._filter_tallies:
                tally.update(slot, self._snapshot.slots[slot])

    # Scoring.

    def totals(self, slots: Sequence[int]) -> list[int]:
        """The final score of each of the feasible nodes in `slots`."""
        if not self._scores_known:
            self._begin_scoring()
        pick = picker(slots)
        if None in pick(self._sums):
            for slot in slots:
                if self._sums[slot] is None:
                    self._score(slot)
        totals: list[int] = list(pick(self._sums))
        for (_, _, normalize, weight), raw in zip(self._normalized, self._raw, strict=True):
            scores = list(pick(raw))
            if any(scores):
                _add(totals, normalize(scores), weight)
        for tally, weight in self._score_tallies:
            counted = tally.score(pick)
            if counted is not None:
                _add(totals, counted, weight)
        return totals

    def _begin_scoring(self) -> None:
        """Not before a pod has more than one node to choose from."""
        pod, snapshot = self.pod, self._snapshot
        self._scores_known = True
        for plugin, weight, normalize in self.profile.scores:
            state = plugin.pre_score(pod, snapshot)
            if state is None:
                continue
            if normalize is None:
                self._plain.append((plugin.score, state, weight))
            else:
                self._normalized.append((plugin.score, state, normalize, weight))
                self._raw.append([0] * len(snapshot.slots))
        for tally_plugin, weight in self.profile.score_tallies:
            tally = tally_plugin.score_tally(pod, snapshot)
            if tally is not None:
                self._score_tallies.append((tally, weight))

    def _score(self, slot: int) -> None:
        node = self._snapshot.slots[slot]
        assert node is not None
        total = 0
        for score, state, weight in self._plain:
            total += weight * score(state, node)
        self._sums[slot] = total
        for (score, state, _, _), raw in zip(self._normalized, self._raw, strict=True):
            raw[slot] = score(state, node)


def _add(totals: list[int], scores: Sequence[int], weight: int) -> None:
    totals[:] = map(add, totals, scores if weight == 1 else [weight * score for score in scores])


def _with_nominated(node: NodeInfo, priority: int, *, leave_out: str = "") -> NodeInfo | None:
    """The node with those on it who have been promised room there and are not less important; None when there are none."""
    promised = [pod for pod in node.nominated.values() if pod.priority >= priority and pod.key != leave_out and pod.key not in node.pods]
    if not promised:
        return None
    crowded = node.copy()
    for pod in promised:
        crowded.add_pod(pod)
    return crowded
