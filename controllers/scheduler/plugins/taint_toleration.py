"""TaintToleration: nodes with taints that the pod does not tolerate are refused, those that would rather not have it score less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controllers.scheduler.framework import Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.normalize import normalized
from controllers.scheduler.plugins.toleration import HARD, first_untolerated, tolerated
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

Tolerations = Sequence[Mapping[str, Any]]
_SOFT = "PreferNoSchedule"


class TaintToleration:
    """The reason does not name the taint: since v1.35 upstream's does not either. The rejection's `detail` does."""

    name = "TaintToleration"
    wakes = ClusterEvent.NODE_ADD | ClusterEvent.NODE_TAINT

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        """A node whose taints it does not tolerate is no help."""
        return change.node is not None and first_untolerated(change.node.taints, pod.tolerations, HARD) is None

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> Tolerations | None:
        return pod.tolerations if snapshot.has_taints else None

    def filter(self, state: Tolerations, node: NodeInfo) -> Rejection | None:
        if not node.taints:
            return None
        taint = first_untolerated(node.taints, state, HARD)
        if taint is None:
            return None
        detail = f"untolerated taint {{{taint.get('key', '')}: {taint.get('value', '')}}}"
        return rejection(self.name, Code.UNRESOLVABLE, "node(s) had untolerated taint(s)", detail=detail)

    def pre_score(self, pod: PodInfo, snapshot: Snapshot) -> Tolerations | None:
        if not snapshot.has_taints:
            return None
        return [each for each in pod.tolerations if each.get("effect") in (None, "", _SOFT)]

    def score(self, state: Tolerations, node: NodeInfo) -> int:
        return sum(1 for each in node.taints if each.get("effect") == _SOFT and not tolerated(each, state)) if node.taints else 0

    def normalize(self, scores: list[int]) -> list[int]:
        return normalized(scores, reverse=True)
