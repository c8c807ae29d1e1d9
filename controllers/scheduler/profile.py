"""Which plugins decide, in which order and with what weight. The default (`plugins/default.py`) is upstream's.

GangScheduling and what else goes with the alpha API of Workloads is off in upstream's v1.36, and not here.
Source: `pkg/scheduler/apis/config/v1/default_plugins.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from controllers.scheduler.framework import (
    ANY_EVENT,
    NO_EVENT,
    BindPlugin,
    Change,
    ClusterEvent,
    FilterPlugin,
    FilterTallyPlugin,
    HintingPlugin,
    NarrowingPlugin,
    NormalizePlugin,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PreBindPlugin,
    PreEnqueuePlugin,
    QueueSortPlugin,
    ReservePlugin,
    ScorePlugin,
    ScoreTallyPlugin,
)

if TYPE_CHECKING:
    from controllers.scheduler.pod_info import PodInfo
    from controllers.scheduler.snapshot import Snapshot

Normalize = Callable[[list[int]], list[int]]
Weighted = tuple[Plugin, int]


class Profile:
    """Plugins sorted by extension point. `plugins` is (plugin, weight of its score), in the order they are asked.

    `points` says which plugins are in use where, by the names that extension points have in the configuration; without it every plugin is
    in use wherever it has a say. What a plugin needs to look at before it filters (scores) goes with its filter (score): of `preFilter`
    only the naming of nodes is a point of its own here.
    """

    def __init__(
        self,
        name: str,
        plugins: Sequence[Weighted],
        *,
        percentage_of_nodes_to_score: int = 0,
        points: Mapping[str, Sequence[Weighted]] | None = None,
    ) -> None:
        self.name = name
        self.percentage_of_nodes_to_score = percentage_of_nodes_to_score
        """0: as upstream, fewer of many."""

        def at(point: str) -> Sequence[Weighted]:
            return plugins if points is None else points.get(point, ())

        def of(point: str) -> list[Plugin]:
            return [each for each, _ in at(point)]

        self.pre_enqueue = [each for each in of("preEnqueue") if isinstance(each, PreEnqueuePlugin)]
        self.queue_sort = next(each for each in of("queueSort") if isinstance(each, QueueSortPlugin))
        self.narrowing = [each for each in of("preFilter") if isinstance(each, NarrowingPlugin)]
        self.filters = [each for each in of("filter") if isinstance(each, FilterPlugin)]
        self.filter_tallies = [each for each in of("filter") if isinstance(each, FilterTallyPlugin)]
        self.post_filters = [each for each in of("postFilter") if isinstance(each, PostFilterPlugin)]
        self.scores: list[tuple[ScorePlugin, int, Normalize | None]] = [
            (each, weight, each.normalize if isinstance(each, NormalizePlugin) else None)
            for each, weight in at("score")
            if isinstance(each, ScorePlugin)
        ]
        self.score_tallies = [(each, weight) for each, weight in at("score") if isinstance(each, ScoreTallyPlugin)]
        self.reserve = [each for each in of("reserve") if isinstance(each, ReservePlugin)]
        self.permit = [each for each in of("permit") if isinstance(each, PermitPlugin)]
        self.pre_bind = [each for each in of("preBind") if isinstance(each, PreBindPlugin)]
        self.bind = [each for each in of("bind") if isinstance(each, BindPlugin)]
        self.post_bind = [each for each in of("postBind") if isinstance(each, PostBindPlugin)]
        self._hints = {each.name: each for each in (*of("filter"), *of("preFilter")) if isinstance(each, HintingPlugin)}
        self._wakes = {each.name: each.wakes for each in self.filters} | {each.name: each.wakes for each in self.filter_tallies}

    def may_help(self, pod: PodInfo, rejected_by: frozenset[str], change: Change, snapshot: Snapshot) -> bool:
        """Whether one of those plugins thinks so. They must be woken by the event (`wakes`)."""
        for name in rejected_by:
            if self._wakes.get(name, ANY_EVENT) & change.event:
                hinting = self._hints.get(name)
                if hinting is None or hinting.worth_trying(pod, change, snapshot):
                    return True
        return not rejected_by

    def wakes(self, rejected_by: frozenset[str]) -> ClusterEvent:
        """The events after which a pod that those plugins rejected is worth another try; any, where no plugin did."""
        if not rejected_by:
            return ANY_EVENT
        events = NO_EVENT
        for name in rejected_by:
            events |= self._wakes.get(name, ANY_EVENT)
        return events
