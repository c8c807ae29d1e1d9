"""PodDisruptionBudgets: how many of their pods may be evicted now.

Promises: the counts in the status are right for the pods as they are, and pods whose eviction was granted count as gone until they are,
or two minutes have passed. The eviction itself, which spends what is allowed here, is the API server's (`pods/eviction`).
Source: upstream `pkg/controller/disruption/disruption.go`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kube.clock import parse_time, rfc3339
from kube.errors import NotFound
from kube.labels import from_object as selector_from
from kube.objects import Object, controller_of, is_deleting, key_of, labels_of, name_of, namespace_of, with_condition
from kube.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Record, Update, perform

from .discovery import Kinds, has_subresource
from .pod import is_ready
from .status import same_status

DELETION_TIMEOUT_S = 120
"""So long a pod whose eviction was granted counts as gone although it is still there."""
CHANGES_BATCHED_S = 0.05
_NO_SCALE = "does not implement the scale subresource"
_ALWAYS = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")


Scale = int | str
"""How many pods a controller wants, or why that cannot be told."""


class NoScale(Exception):
    """How many pods there should be cannot be told, because a pod has no controller that says so."""


@dataclass(frozen=True, slots=True)
class Plan:
    actions: list[Action] = field(default_factory=list)
    again_s: float | None = None


def plan(desired: Object, observed: Sequence[Object], now: datetime, *, scales: Mapping[str, Scale]) -> Plan:
    """The status of a budget. `observed` are its pods; `scales` says for each controller's uid how many pods it wants."""
    actions: list[Action] = []
    if not observed:
        actions.append(Record(desired, "Normal", "NoPods", "No matching pods found"))
    try:
        expected, healthy_wanted = _expected(desired, observed, scales)
    except NoScale as error:
        message = f"Failed to calculate the number of expected pods: {error}"
        actions.append(Record(desired, "Warning", "CalculateExpectedPodCountFailed", message))
        return Plan([*actions, *_tell(desired, _failed(desired, str(error), now))])
    disrupted, again_s, late = _disrupted(desired, observed, now)
    where = f"{namespace_of(desired)}/{name_of(desired)}"
    for pod in late:
        actions.append(Record(pod, "Warning", "NotDeleted", f"Pod was expected by PDB {where} to be deleted but it wasn't"))
    healthy = sum(1 for pod in observed if not is_deleting(pod) and name_of(pod) not in disrupted and is_ready(pod))
    allowed = max(0, healthy - healthy_wanted) if expected > 0 else 0
    status = {
        **(desired.get("status") or {}),
        "currentHealthy": healthy,
        "desiredHealthy": healthy_wanted,
        "expectedPods": expected,
        "disruptionsAllowed": allowed,
        "disruptedPods": disrupted,
        "observedGeneration": desired["metadata"].get("generation", 0),
    }
    reason = "SufficientPods" if allowed > 0 else "InsufficientPods"
    status["conditions"] = _conditions(desired, "True" if allowed > 0 else "False", reason, "", now)
    return Plan([*actions, *_tell(desired, status)], again_s)


def _expected(budget: Object, pods: Sequence[Object], scales: Mapping[str, Scale]) -> tuple[int, int]:
    """(how many pods there should be, how many must be healthy)."""
    spec = budget["spec"]
    if spec.get("maxUnavailable") is not None:
        expected = _scale(pods, scales)
        return expected, max(0, expected - _resolved(spec["maxUnavailable"], expected))
    least = spec.get("minAvailable", 1)
    if isinstance(least, int):
        return len(pods), least
    expected = _scale(pods, scales)
    return expected, _resolved(least, expected)


def _resolved(value: Any, total: int) -> int:
    """An IntOrString, percentages rounded up."""
    return value if isinstance(value, int) else math.ceil(int(str(value).removesuffix("%")) * total / 100)


def _scale(pods: Iterable[Object], scales: Mapping[str, Scale]) -> int:
    """The sum of what the pods' controllers want. Pods without a controller do not count. Raises NoScale."""
    wanted: dict[str, int] = {}
    for pod in pods:
        owner = controller_of(pod)
        if owner is None:
            continue
        scale = scales.get(owner["uid"], f'found no controllers for pod "{name_of(pod)}"')
        if isinstance(scale, str):
            raise NoScale(scale)
        wanted[owner["uid"]] = scale
    return sum(wanted.values())


def _disrupted(budget: Object, pods: Iterable[Object], now: datetime) -> tuple[Object, float | None, list[Object]]:
    """The pods on their way out by eviction; seconds until the next of them is late; those that are late."""
    before = (budget.get("status") or {}).get("disruptedPods") or {}
    kept: Object = {}
    late: list[Object] = []
    waits: list[float] = []
    for pod in pods:
        since = parse_time(before.get(name_of(pod)))
        if since is None or is_deleting(pod):
            continue
        remaining_s = (since + timedelta(seconds=DELETION_TIMEOUT_S) - now).total_seconds()
        if remaining_s < 0:
            late.append(pod)
        else:
            kept[name_of(pod)] = before[name_of(pod)]
            waits.append(remaining_s)
    return kept, min(waits) + 0.001 if waits else None, late


def _failed(budget: Object, message: str, now: datetime) -> Object:
    """When in doubt, nothing may be evicted."""
    status = {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0, **(budget.get("status") or {})}
    conditions = _conditions(budget, "False", "SyncFailed", message, now)
    return {**status, "disruptionsAllowed": 0, "conditions": conditions}


def _conditions(budget: Object, value: str, reason: str, message: str, now: datetime) -> list[Object]:
    said = {"type": "DisruptionAllowed", "status": value, "reason": reason, "message": message, "lastTransitionTime": rfc3339(now)}
    said["observedGeneration"] = budget["metadata"].get("generation", 0)
    return with_condition((budget.get("status") or {}).get("conditions"), said)


def _tell(budget: Object, status: Object) -> list[Action]:
    current = budget.get("status") or {}
    if same_status(status, current) and all(each in current for each in _ALWAYS):
        return []
    if not status.get("disruptedPods"):
        status = {key: value for key, value in status.items() if key != "disruptedPods"}
    return [Update(POD_DISRUPTION_BUDGETS, {**budget, "status": status}, subresource="status")]


def selected(budget: Object, pods: Iterable[Object]) -> list[Object]:
    """The pods that a budget is about: none without a selector, all of its namespace with an empty one."""
    if budget["spec"].get("selector") is None:
        return []
    selector = selector_from(budget["spec"]["selector"])
    return [pod for pod in pods if selector.matches(labels_of(pod))]


class DisruptionController:
    """Keys are namespace/name of PodDisruptionBudgets."""

    name = "disruption"

    def start(self, run: Run) -> None:
        self.run = run
        self._kinds = Kinds(run.client, run.clock)
        self.budgets = run.informers.of(POD_DISRUPTION_BUDGETS)
        self.pods = run.informers.of(PODS)
        self.scaled = {each.kind: run.informers.of(each) for each in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS)}
        self.budgets.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None else None)
        self.pods.add_handler(self._pod_changed)
        for informer in self.scaled.values():
            informer.add_handler(self._scale_changed)

    async def reconcile(self, key: str) -> float | None:
        budget = self.budgets.get(key)
        if budget is None or is_deleting(budget):
            return None
        pods = selected(budget, self.pods.list(namespace_of(budget)))
        scales = self._scales(pods)
        if counts_scales(budget):
            scales |= await self._scales_of_others(pods, scales)
        todo = plan(budget, pods, self.run.clock.now(), scales=scales)
        for answer in await perform(todo.actions, client=self.run.client, events=self.run.events):
            if answer is not None:
                self.budgets.put(answer)
        return todo.again_s

    def _scales(self, pods: Iterable[Object]) -> dict[str, Scale]:
        """How many pods each pod's controller wants; a ReplicaSet of a Deployment speaks for the Deployment."""
        found: dict[str, Scale] = {}
        deployments: set[str] = set()
        for pod in pods:
            owner = controller_of(pod)
            if owner is None or owner["uid"] in found:
                continue
            controller = self._owner(owner, namespace_of(pod))
            if controller is None:
                continue
            top = controller_of(controller) or {}
            deployment = self._owner(top, namespace_of(pod)) if top.get("kind") == DEPLOYMENTS.kind else None
            if deployment is None:
                found[owner["uid"]] = _replicas(controller)
            else:  # several ReplicaSets of one Deployment are its scale once
                found[owner["uid"]] = 0 if top["uid"] in deployments else _replicas(deployment)
                deployments.add(top["uid"])
        return found

    async def _scales_of_others(self, pods: Iterable[Object], known: Mapping[str, Scale]) -> dict[str, Scale]:
        """What the scale subresources of those controllers say that are nothing of ours: custom resources, mostly."""
        found: dict[str, Scale] = {}
        for pod in pods:
            owner = controller_of(pod)
            if owner is None or owner["uid"] in known or owner["uid"] in found:
                continue
            scale = await self._scale_of(owner, namespace_of(pod))
            if scale is not None:
                found[owner["uid"]] = scale
        return found

    async def _scale_of(self, ref: Object, namespace: str) -> Scale | None:
        """None: there is no such controller."""
        group, _, version = str(ref.get("apiVersion") or "").rpartition("/")
        resource = await self._kinds.resource(group, str(ref.get("kind")))
        if resource is None:
            return f'no matches for kind "{ref.get("kind")}" in version "{ref.get("apiVersion")}"'
        resource = replace(resource, version=version)
        try:
            scale = await self.run.client.get(resource, ref["name"], namespace=namespace, subresource="scale")
        except NotFound:
            return None if await has_subresource(self.run.client, resource, "scale") else f"{resource.qualified} {_NO_SCALE}"
        return int((scale.get("spec") or {}).get("replicas") or 0) if scale["metadata"].get("uid") == ref["uid"] else None

    def _owner(self, ref: Object, namespace: str) -> Object | None:
        informer = self.scaled.get(ref.get("kind", ""))
        found = informer.get(f"{namespace}/{ref['name']}") if informer is not None else None
        return found if found is not None and found["metadata"]["uid"] == ref["uid"] else None

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _signature(old) == _signature(new):
            return
        pods = [pod for pod in (old, new) if pod is not None]
        for budget in self.budgets.list(namespace_of(pods[0])):
            if selected(budget, pods):
                self.run.queue.add_after(key_of(budget), CHANGES_BATCHED_S)

    def _scale_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _replicas(old) != _replicas(new):
            for budget in self.budgets.list(namespace_of(new or old or {})):
                self.run.queue.add_after(key_of(budget), CHANGES_BATCHED_S)


def counts_scales(budget: Object) -> bool:
    """Whether it takes the controllers' word how many pods there should be."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or not isinstance(spec.get("minAvailable", 1), int)


def _replicas(obj: Object) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _signature(pod: Object) -> tuple[Any, ...]:
    return is_ready(pod), is_deleting(pod), labels_of(pod), (controller_of(pod) or {}).get("uid")
