"""PodTopologySpread: pods that are alike are spread evenly over zones, nodes, or whatever label is named.

`DoNotSchedule` constraints refuse nodes where the skew would become too large, `ScheduleAnyway` ones score them less. Pods without
constraints of their own, but with a Service or an owner, have default ones: upstream's two, or those of the configuration.
Source: `plugins/podtopologyspread/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from controllers.scheduler.config.arguments import PodTopologySpreadArgs
from controllers.scheduler.framework import Change, ClusterEvent
from controllers.scheduler.node_info import ZONE
from controllers.scheduler.plugins.topology import HOSTNAME, Constraint, HardSpread, SoftSpread
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

_SYSTEM_DEFAULTS = (
    {"topologyKey": HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": ZONE, "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
)


class PodTopologySpread:
    name = "PodTopologySpread"
    wakes = (
        ClusterEvent.POD_ADD
        | ClusterEvent.POD_DELETE
        | ClusterEvent.POD_LABEL
        | ClusterEvent.NODE_ADD
        | ClusterEvent.NODE_DELETE
        | ClusterEvent.NODE_LABEL
        | ClusterEvent.NODE_TAINT
    )

    def __init__(self, args: PodTopologySpreadArgs | None = None) -> None:
        args = args or PodTopologySpreadArgs()
        self._is_system = args.defaulting_type == "System"
        self._defaults: Sequence[Mapping[str, Any]] = _SYSTEM_DEFAULTS if self._is_system else args.default_constraints

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """A pod must be one of those that are spread with it; a node must have the labels. One that goes may make things even."""
        constraints = self._constraints(pod, snapshot, "DoNotSchedule")
        if change.node is not None:
            return all(each.key in change.node.labels for each in constraints)
        other = change.pod
        if other is None:
            return True
        return other.namespace == pod.namespace and any(
            each.selector.matches(other.labels) or ClusterEvent.POD_LABEL in change.event for each in constraints
        )

    def filter_tally(self, pod: PodInfo, snapshot: Snapshot) -> HardSpread | None:
        constraints = self._constraints(pod, snapshot, "DoNotSchedule")
        return HardSpread(self.name, pod, constraints, snapshot) if constraints else None

    def score_tally(self, pod: PodInfo, snapshot: Snapshot) -> SoftSpread | None:
        constraints = self._constraints(pod, snapshot, "ScheduleAnyway")
        needs_all_keys = not self._is_system or bool(pod.spec.get("topologySpreadConstraints"))
        return SoftSpread(pod, constraints, snapshot, needs_all_keys=needs_all_keys) if constraints else None

    def _constraints(self, pod: PodInfo, snapshot: Snapshot, when: str) -> list[Constraint]:
        """The pod's own, or the default ones for what it belongs to."""
        own: Sequence[Mapping[str, Any]] = pod.spec.get("topologySpreadConstraints") or ()
        found = [each for each in own or self._defaults if each.get("whenUnsatisfiable", "DoNotSchedule") == when]
        if own or not found:
            return [Constraint.of(each, pod) for each in found]
        selector = snapshot.workloads.selector_for(pod)
        return [] if selector is None else [replace(Constraint.of(each, pod), selector=selector) for each in found]
