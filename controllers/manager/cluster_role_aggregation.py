"""A ClusterRole with an aggregationRule has the rules of all ClusterRoles that the rule's selectors select.

Source: upstream `pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go`, which writes by server-side apply.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kube.labels import LabelSelectorError, Selector, from_object
from kube.objects import Object, key_of, labels_of, name_of
from kube.resources import Resource
from kube.runtime.controller import Run

CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
FIELD_MANAGER = "clusterrole-aggregation-controller"


def plan(desired: Object, observed: Iterable[Object], now: datetime) -> Object | None:
    """What to apply so that `desired` has the rules of those of `observed` that it selects; None where it has them."""
    selectors = selectors_of(desired)
    if not selectors:
        return None
    others = (each for each in observed if name_of(each) != name_of(desired))
    chosen = {name_of(each): each for each in others if any(selector.matches(labels_of(each)) for selector in selectors)}
    rules: list[Object] = []
    for name in sorted(chosen):
        rules += [rule for rule in chosen[name].get("rules") or () if rule not in rules]
    if rules == (desired.get("rules") or []):
        return None
    wanted = {"apiVersion": CLUSTER_ROLES.api_version, "kind": CLUSTER_ROLES.kind, "metadata": {"name": name_of(desired)}}
    return {**wanted, "rules": rules}


def selectors_of(role: Object) -> list[Selector]:
    """None of a role that collects nothing, or whose selectors cannot be read."""
    try:
        return [from_object(each) for each in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()]
    except LabelSelectorError:
        return []


class ClusterRoleAggregation:
    """Keys are names of ClusterRoles that collect others."""

    name = "clusterrole-aggregation"

    def start(self, run: Run) -> None:
        self.run = run
        self.roles = run.informers.of(CLUSTER_ROLES)
        self.roles.add_handler(lambda old, new: self._look_at_all())

    async def reconcile(self, key: str) -> float | None:
        role = self.roles.get(key)
        if role is None:
            return None
        wanted = plan(role, self.roles.list(), self.run.clock.now())
        if wanted is not None:
            answer = await self.run.client.apply(CLUSTER_ROLES, wanted, field_manager=FIELD_MANAGER, force=True)
            self.roles.put(answer)
        return None

    def _look_at_all(self) -> None:
        """Any role may be part of any that collects."""
        for each in self.roles.list():
            if each.get("aggregationRule") is not None:
                self.run.queue.add(key_of(each))
