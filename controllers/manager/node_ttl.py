"""Every node is told for how long kubelets may keep Secrets and ConfigMaps without asking: the longer, the larger the cluster.

Source: upstream `pkg/controller/ttl/ttl_controller.go`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, annotations_of, key_of, name_of
from kube.resources import NODES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, perform

ANNOTATION: Final = "node.alpha.kubernetes.io/ttl"
STEPS: Final = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 2**31 - 1, 300))
"""Below how many nodes a step is left, above how many too, and its seconds. They overlap, lest a node more or less changes all."""


def plan(desired: Object, observed: int, now: datetime) -> list[Action]:
    """Write the seconds `observed` on the node."""
    if annotations_of(desired).get(ANNOTATION) == str(observed):
        return []
    return [Patch(NODES, None, name_of(desired), {"metadata": {"annotations": {ANNOTATION: str(observed)}}}, PatchKind.MERGE)]


def step_for(count: int, step: int) -> int:
    """The step of a cluster with `count` nodes that was at `step`."""
    while step and count < STEPS[step][0]:
        step -= 1
    while step + 1 < len(STEPS) and count > STEPS[step][1]:
        step += 1
    return step


class NodeTtlController:
    """Keys are names of nodes."""

    name = "ttl"

    def start(self, run: Run) -> None:
        self.run = run
        self._step = 0
        self.nodes = run.informers.of(NODES)
        self.nodes.add_handler(self._changed)

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is not None:
            actions = plan(node, STEPS[self._step][2], self.run.clock.now())
            for answer in await perform(actions, client=self.run.client, events=self.run.events):
                if answer is not None:
                    self.nodes.put(answer)
        return None

    def _changed(self, old: Object | None, new: Object | None) -> None:
        step = step_for(len(self.nodes), self._step)
        if step != self._step:
            self._step = step
            for each in self.nodes.list():
                self.run.queue.add(key_of(each))
        elif new is not None and annotations_of(new).get(ANNOTATION) != str(STEPS[step][2]):
            self.run.queue.add(key_of(new))
