"""ReplicaSets: as many pods as `spec.replicas` says, no more and no fewer, made from the template.

Promises: never more pods than asked for, however late the cache is (`own_writes.py`); matching orphans are adopted and pods that
stop matching are released (`claim.py`); the pods that would be missed least go first (`pod.py`); status and conditions tell what
is there. ReplicationControllers are the same idea in other words: `replication_controller.py`.
Source: upstream `pkg/controller/replicaset`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kube.clock import rfc3339
from kube.errors import ApiError
from kube.labels import Selector
from kube.labels import from_object as selector_from
from kube.objects import (
    Object,
    condition_of,
    controller_of,
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from kube.resources import PODS, REPLICA_SETS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete

from .claim import candidates, claim, plan_claims
from .index import CONTROLLER, with_controllers
from .own_writes import OwnWrites
from .pod import (
    available_in_s,
    by_deletion_order,
    from_template,
    is_active,
    is_available,
    is_ready,
    is_terminating,
    phase_of,
)
from .pod_control import BURST, PodControl, is_namespace_terminating
from .status import omit_zeros, same_status

POD_CHANGES_BATCHED_S = 0.05
"""Pods become ready in bursts: so long is waited for the others, so that a burst is one look and one write."""
BATCHED_MORE_S = 5e-5
"""And for each replica of the set: what a look costs grows with them."""


def plan(desired: Object, observed: Sequence[Object], now: datetime, *, resource: Resource, related: Iterable[Object] = ()) -> list[Action]:
    """The pods to create or delete, at most BURST of them. `observed` are the active pods; `related` those of sibling sets too."""
    missing = int(desired["spec"].get("replicas", 1)) - len(observed)
    if missing > 0:
        reference = controller_reference(desired, api_version=resource.api_version, kind=resource.kind)
        template = desired["spec"].get("template") or {}
        return [Create(PODS, from_template(template, desired, reference)) for _ in range(min(missing, BURST))]
    surplus = min(-missing, BURST)
    if surplus == 0:
        return []
    doomed = observed if surplus == len(observed) else by_deletion_order(observed, related=related, now=now)[:surplus]
    return [Delete(PODS, namespace_of(pod), name_of(pod), uid=uid_of(pod)) for pod in doomed]


def status_of(
    desired: Object, active: Sequence[Object], terminating: int | None, now: datetime, *, failure: tuple[str, str] | None
) -> Object:
    """The status that tells of these pods. `failure` is (reason, message) of what could not be created or deleted."""
    spec = desired["spec"]
    min_ready_s = spec.get("minReadySeconds") or 0
    wanted = labels_of(spec.get("template") or {}).items()
    ready = [pod for pod in active if is_ready(pod)]
    status: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(1 for pod in active if wanted <= labels_of(pod).items()),
        "readyReplicas": len(ready),
        "availableReplicas": sum(1 for pod in ready if is_available(pod, min_ready_s=min_ready_s, now=now)),
        "terminatingReplicas": terminating,
        "observedGeneration": desired["metadata"].get("generation", 0),
        "conditions": _conditions(desired, failure, now),
    }
    return omit_zeros(status, keep=("replicas",) if terminating is None else ("replicas", "terminatingReplicas"))


def _conditions(desired: Object, failure: tuple[str, str] | None, now: datetime) -> list[Object]:
    """The conditions, with ReplicaFailure while there is a failure; the first failure's words stay until all is well."""
    conditions = desired.get("status", {}).get("conditions") or []
    if failure is None:
        return [each for each in conditions if each["type"] != "ReplicaFailure"]
    if condition_of(desired, "ReplicaFailure") is not None:
        return list(conditions)
    reason, message = failure
    new = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": rfc3339(now), "reason": reason, "message": message}
    return [*conditions, new]


def _matters(old: Object | None, new: Object | None) -> bool:
    """Whether a pod's change can change anything that a replica controller looks at."""
    return old is None or new is None or _signature(old) != _signature(new)


def _signature(pod: Mapping[str, Any]) -> tuple[Any, ...]:
    ready = condition_of(pod, "Ready") or {}
    owner = controller_of(pod) or {}
    return phase_of(pod), ready.get("status"), ready.get("lastTransitionTime"), is_deleting(pod), labels_of(pod), owner.get("uid")


def selector_of_set(replica_set: Object) -> Selector:
    return selector_from(replica_set["spec"].get("selector"))


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs between ReplicaSets and ReplicationControllers."""

    name: str
    resource: Resource
    selector_of: Callable[[Object], Selector]
    counts_terminating: bool


REPLICA_SET = Variant("replicaset", REPLICA_SETS, selector_of_set, counts_terminating=True)


class ReplicaController:
    """Keeps the pods of one variant's objects. Keys are namespace/name."""

    def __init__(self, variant: Variant = REPLICA_SET) -> None:
        self.variant = variant
        self.name = variant.name

    def start(self, run: Run) -> None:
        self.run = run
        self.sets = with_controllers(run.informers.of(self.variant.resource))
        self.pods = with_controllers(run.informers.of(PODS))
        self.pod_writes = OwnWrites(self.pods)
        self.control = PodControl(run, self.pod_writes)
        self.sets.add_handler(lambda old, new: run.queue.add(key_of(new or old or {})))
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        desired = self.sets.get(key)
        if desired is None:
            return None
        await self.control.settle(desired, self.variant.selector_of(desired))
        active = await self._claimed(desired)
        failure: tuple[str, str] | None = None
        error: ApiError | None = None
        if not is_deleting(desired):
            try:
                await self._manage(desired, active)
            except ApiError as caught:
                error = None if is_namespace_terminating(caught) else caught
                surplus = len(active) - int(desired["spec"].get("replicas", 1))
                failure = None if error is None else ("FailedCreate" if surplus < 0 else "FailedDelete", str(caught))
        now = self.run.clock.now()  # one moment for both: who becomes available while the status is written is to be told of later
        active = await self._tell(desired, failure, now)
        if error is not None:
            raise error
        return available_in_s(active, min_ready_s=desired["spec"].get("minReadySeconds") or 0, now=now)

    async def _claimed(self, desired: Object) -> list[Object]:
        pods = [pod for pod in candidates(self.pods, self.pod_writes, desired) if is_active(pod)]
        return await claim(
            plan_claims(desired, self.variant.selector_of(desired), pods),
            client=self.run.client,
            owner=desired,
            owner_resource=self.variant.resource,
            resource=PODS,
            writes=self.pod_writes,
        )

    async def _manage(self, desired: Object, active: list[Object]) -> None:
        surplus = 0 < len(active) - int(desired["spec"].get("replicas", 1)) < len(active)
        related = self._related(desired) if surplus else ()
        actions = plan(desired, active, self.run.clock.now(), resource=self.variant.resource, related=related)
        await self.control.create(desired, [each.obj for each in actions if isinstance(each, Create)])
        doomed = {each.uid for each in actions if isinstance(each, Delete)}
        await self.control.delete(desired, [pod for pod in active if uid_of(pod) in doomed])

    def _related(self, desired: Object) -> list[Object]:
        """The pods of all sets with the same controller: two generations of a Deployment are spread together."""
        owner = controller_of(desired)
        siblings = self.sets.by_index(CONTROLLER, owner["uid"]) if owner else [desired]
        return [pod for each in siblings for pod in self.pods.by_index(CONTROLLER, uid_of(each))]

    async def _tell(self, desired: Object, failure: tuple[str, str] | None, now: datetime) -> list[Object]:
        """Write the status if it changed; the active pods it tells of."""
        selector = self.variant.selector_of(desired)
        pods = self.pod_writes.without_gone(self.pods.by_index(CONTROLLER, uid_of(desired)))
        pods = [pod for pod in pods if selector.matches(labels_of(pod))]
        active = [pod for pod in pods if is_active(pod)]
        terminating = sum(1 for pod in pods if is_terminating(pod)) if self.variant.counts_terminating else None
        status = status_of(desired, active, terminating, now, failure=failure)
        if not same_status(status, desired.get("status")):
            answer = await self.run.client.update(self.variant.resource, {**desired, "status": status}, subresource="status")
            self.sets.put(answer)
        return active

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if not _matters(old, new):
            return
        for key in {key for pod in (old, new) if pod is not None for key in self._keys_of(pod)}:
            replicas = (self.sets.get(key) or {}).get("spec", {}).get("replicas") or 0
            self.run.queue.add_after(key, POD_CHANGES_BATCHED_S + min(replicas * BATCHED_MORE_S, 1.0))

    def _keys_of(self, pod: Object) -> list[str]:
        """The sets that a pod's change concerns: its controller, or for an orphan all that would have it."""
        owner = controller_of(pod)
        if owner is not None:
            mine = owner.get("kind") == self.variant.resource.kind
            return [f"{namespace_of(pod)}/{owner['name']}"] if mine else []
        labels = labels_of(pod)
        return [key_of(each) for each in self.sets.list(namespace_of(pod)) if labels and self.variant.selector_of(each).matches(labels)]
