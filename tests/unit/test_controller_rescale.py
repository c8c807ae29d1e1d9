"""Scaling a target that somebody else writes at the same moment: tried again, a few times."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from controllers.manager.horizontal_pod_autoscaler import RESCALES_MAX, HorizontalPodAutoscalerController, Plan
from kube.clock import LoopClock
from kube.errors import Conflict
from kube.objects import Object
from kube.resources import DEPLOYMENTS
from kube.runtime.perform import Record
from tests.virtual import virtual

AUTOSCALER: Object = {
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9},
}


class Target:
    """A Scale whose first writes are refused: each has come too late."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts, self.version, self.written = conflicts, 1, list[tuple[str, int]]()

    def scale(self) -> Object:
        return {"metadata": {"name": "web", "resourceVersion": str(self.version)}, "spec": {"replicas": 2}}

    async def get(self, resource: Any, name: str, *, namespace: str, subresource: str) -> Object:
        assert (name, namespace, subresource) == ("web", "ns", "scale")
        return self.scale()

    async def update(self, resource: Any, obj: Object, *, subresource: str) -> Object:
        if self.conflicts:
            self.conflicts -= 1
            self.version += 1
            raise Conflict("the object has been modified")
        self.written.append((obj["metadata"]["resourceVersion"], obj["spec"]["replicas"]))
        return obj


@virtual
@pytest.mark.parametrize(
    ("conflicts", "written", "reason"),
    [(0, [("1", 4)], "SuccessfulRescale"), (2, [("3", 4)], "SuccessfulRescale"), (RESCALES_MAX, [], "FailedRescale")],
)
async def test_a_conflict_is_no_reason_to_give_up(conflicts: int, written: list[tuple[str, int]], reason: str) -> None:
    target = Target(conflicts)
    controller = HorizontalPodAutoscalerController()
    controller.run = cast(Any, SimpleNamespace(client=target, clock=LoopClock()))
    actions = await controller._rescale(AUTOSCALER, DEPLOYMENTS, target.scale(), Plan({}, replicas=4, reason="load"))
    assert target.written == written
    assert [each.reason for each in actions if isinstance(each, Record)] == [reason]
