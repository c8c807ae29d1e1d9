"""PodTopologySpread: pods that are alike are spread evenly over zones, nodes, or whatever label is named.

`DoNotSchedule` constraints refuse nodes where the skew would become too large, `ScheduleAnyway` ones score them less. Pods without
constraints of their own, but with a Service or an owner, are scored by two default ones. Source: `plugins/podtopologyspread/`.
"""

from __future__ import annotations

from typing import Any

from controllers.scheduler.framework import ClusterEvent
from controllers.scheduler.node_info import ZONE
from controllers.scheduler.plugins.topology import HOSTNAME, Constraint, HardSpread, SoftSpread
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

_DEFAULTS = ((HOSTNAME, 3), (ZONE, 5))


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

    def filter_tally(self, pod: PodInfo, snapshot: Snapshot) -> HardSpread | None:
        constraints = _constraints(pod, "DoNotSchedule")
        return HardSpread(self.name, pod, constraints, snapshot) if constraints else None

    def score_tally(self, pod: PodInfo, snapshot: Snapshot) -> SoftSpread | None:
        if pod.spec.get("topologySpreadConstraints"):
            constraints = _constraints(pod, "ScheduleAnyway")
            return SoftSpread(pod, constraints, snapshot, needs_all_keys=True) if constraints else None
        selector = snapshot.workloads.selector_for(pod)
        if selector is None:
            return None
        defaults = [Constraint(key, max_skew, selector) for key, max_skew in _DEFAULTS]
        return SoftSpread(pod, defaults, snapshot, needs_all_keys=False)


def _constraints(pod: PodInfo, when: str) -> list[Constraint]:
    found: list[dict[str, Any]] = pod.spec.get("topologySpreadConstraints") or []
    return [Constraint.of(each, pod) for each in found if each.get("whenUnsatisfiable", "DoNotSchedule") == when]
