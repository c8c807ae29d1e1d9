"""Nodes that wait for a route to their pods are told that there is one: on one machine there is nothing to be routed.

Only nodes that say NetworkUnavailable are told; nothing is written about others. Source: upstream cloud-provider `controllers/route`.
"""

from __future__ import annotations

from datetime import datetime

from kube.clock import rfc3339
from kube.objects import Object, condition_of, is_condition_true, key_of, name_of, with_condition
from kube.resources import NODES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, perform

UNAVAILABLE = "NetworkUnavailable"


def plan(desired: Object, observed: None, now: datetime) -> list[Action]:
    """Say of the node that its pods can be reached, if it says the contrary and has a range of addresses."""
    found = condition_of(desired, UNAVAILABLE)
    if found is None or not is_condition_true(desired, UNAVAILABLE) or not desired["spec"].get("podCIDR"):
        return []
    moment = rfc3339(now)
    told = {"type": UNAVAILABLE, "status": "False", "reason": "RouteCreated", "message": "RouteController created a route"}
    conditions = with_condition(desired["status"]["conditions"], {**told, "lastTransitionTime": moment, "lastHeartbeatTime": moment})
    return [Patch(NODES, None, name_of(desired), {"status": {"conditions": conditions}}, subresource="status")]


class RouteController:
    """Keys are names of nodes."""

    name = "route"

    def start(self, run: Run) -> None:
        self.run = run
        self.nodes = run.informers.of(NODES)
        self.nodes.add_handler(self._changed)

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is not None:
            await perform(plan(node, None, self.run.clock.now()), client=self.run.client, events=self.run.events)
        return None

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and is_condition_true(new, UNAVAILABLE):
            self.run.queue.add(key_of(new))
