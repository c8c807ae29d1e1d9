"""PrioritySort: the more important pod first, then the one that has been waiting longer."""

from __future__ import annotations

from controllers.scheduler.pod_info import PodInfo


class PrioritySort:
    name = "PrioritySort"

    def sort_key(self, pod: PodInfo, added_at: float) -> tuple[int, float]:
        return -pod.priority, added_at
