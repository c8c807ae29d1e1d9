"""SchedulingGates: a pod with gates is not tried before the last of them is gone. (The API server says so in its status.)"""

from __future__ import annotations

from controllers.scheduler.pod_info import PodInfo


class SchedulingGates:
    name = "SchedulingGates"

    def pre_enqueue(self, pod: PodInfo) -> str | None:
        gates = [each.get("name", "") for each in pod.spec.get("schedulingGates") or ()]
        return f"waiting for scheduling gates: [{' '.join(gates)}]" if gates else None
