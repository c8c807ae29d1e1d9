"""StatefulSets: pods with names and claims of their own, made and replaced in order.

Promises: pod N exists only after pod N-1 is up, and goes only after pod N+1 is gone (unless podManagementPolicy is Parallel); a pod keeps
its name, host name and claims when it is replaced; updates go from the highest ordinal down to the partition, with no more than
maxUnavailable pods down; revisions are kept for rollout history. Read first: `stateful_pod.py`, `controller_revision.py`.
Source: upstream `pkg/controller/statefulset/stateful_set_control.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kube.client.client import PatchKind
from kube.labels import from_object as selector_from
from kube.objects import (
    Object,
    controller_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    owners_of,
    resource_version_of,
    uid_of,
)
from kube.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Patch, Record, Update, perform

from .claim import candidates, claim, plan_claims
from .controller_revision import HASH, POD_HASH, keep_revisions, old_revisions, template_of
from .deployment_size import scaled
from .index import CONTROLLER, with_controllers
from .own_writes import OwnWrites
from .pod import available_in_s, is_available, is_ready, phase_of
from .stateful_pod import (
    POD_INDEX,
    POD_NAME,
    claim_name,
    first_ordinal,
    lacks_identity,
    misses_owner,
    new_claims,
    new_pod,
    ordinal_of,
    wanted_owners,
)
from .status import omit_zeros, same_status


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revision that the set is at (`current`) and the one that it shall be at (`update`): names and templates."""

    current: str
    update: str
    templates: Mapping[str, Object] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """A set's pods by ordinal: those that should be there (None where one is missing), and those that should not, highest first."""

    replicas: dict[int, Object | None]
    condemned: list[Object]
    claims: Mapping[str, Object]
    now: datetime


def world(stateful_set: Object, pods: Sequence[Object], claims: Mapping[str, Object], now: datetime) -> World:
    start, count = first_ordinal(stateful_set), _replicas(stateful_set)
    by_ordinal = {ordinal_of(stateful_set, pod): pod for pod in pods}
    by_ordinal.pop(-1, None)
    wanted = range(start, start + count)
    condemned = [by_ordinal[each] for each in sorted(by_ordinal, reverse=True) if each not in wanted]
    return World({each: by_ordinal.get(each) for each in wanted}, condemned, claims, now)


def plan(desired: Object, observed: World, *, revisions: Revisions) -> list[Action]:
    """What to do now. Of an ordered set that is one pod at a time, and nothing while one is not up."""
    if is_deleting(desired):
        return []
    step = _Step(desired, observed, revisions)
    if step.make_replicas() or step.remove_condemned():
        return step.actions
    if (desired["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate":
        step.update()
    return step.actions


class _Step:
    """The plan being drawn up. Each part answers whether the others must wait."""

    def __init__(self, stateful_set: Object, observed: World, revisions: Revisions) -> None:
        self.set, self.world, self.revisions = stateful_set, observed, revisions
        self.ordered = stateful_set["spec"].get("podManagementPolicy", "OrderedReady") != "Parallel"
        self.actions: list[Action] = []
        self._pods: list[Action] = []

    # --- pods that should be there

    def make_replicas(self) -> bool:
        waits = False
        for ordinal, pod in self.world.replicas.items():
            waits = self._make(ordinal, pod)
            if waits and self.ordered:
                break
        self.actions += self._pods
        return waits and self.ordered

    def _make(self, ordinal: int, pod: Object | None) -> bool:
        if pod is None:
            self._claims_of(ordinal)
            self._create(ordinal)
            return True
        if phase_of(pod) in ("Failed", "Succeeded"):
            self._replace_ended(pod)
            return True
        if phase_of(pod) == "Pending":
            self._claims_of(ordinal)
        self._keep_claims(ordinal, None)
        if lacks_identity(self.set, pod) and not is_deleting(pod):
            labels = {POD_NAME: name_of(pod), POD_INDEX: str(ordinal)}
            self.actions.append(Patch(PODS, namespace_of(pod), name_of(pod), {"metadata": {"labels": labels}}, PatchKind.MERGE))
        return is_deleting(pod) or not self._is_up(pod)

    def _replace_ended(self, pod: Object) -> None:
        """A pod that ended goes, so that another one of its name can come."""
        if is_deleting(pod):
            return
        where = f"{namespace_of(self.set)}/{name_of(self.set)}"
        if phase_of(pod) == "Failed":
            told = Record(self.set, "Warning", "RecreatingFailedPod", f"StatefulSet {where} is recreating failed Pod {name_of(pod)}")
        else:
            told = Record(self.set, "Normal", "RecreatingTerminatedPod", f"StatefulSet {where} is recreating terminated Pod {name_of(pod)}")
        self.actions += [told, self._deletion(pod)]

    def _is_up(self, pod: Object) -> bool:
        return is_up(self.set, pod, self.world.now)

    def _create(self, ordinal: int) -> None:
        revision = self._revision_for(ordinal)
        pod = new_pod(self.set, self.revisions.templates[revision], revision, ordinal)
        what = f"Pod {name_of(pod)} in StatefulSet {name_of(self.set)}"
        done = Record(self.set, "Normal", "SuccessfulCreate", f"create {what} successful")
        failed = Record(self.set, "Warning", "FailedCreate", f"create {what} failed error: {{error}}")
        self._pods.append(Create(PODS, pod, done, failed))

    def _revision_for(self, ordinal: int) -> str:
        """Below the partition (or, without one, as long as the pods before are still at it) a new pod is of the current revision."""
        strategy = self.set["spec"].get("updateStrategy") or {}
        rolling = strategy.get("rollingUpdate")
        start = first_ordinal(self.set)
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return self.revisions.update
        if rolling is None or rolling.get("partition") is None:
            limit = start + int((self.set.get("status") or {}).get("currentReplicas") or 0)
        else:
            limit = start + int(rolling["partition"])
        return self.revisions.current if ordinal < limit else self.revisions.update

    def _claims_of(self, ordinal: int) -> None:
        for each in new_claims(self.set, ordinal):
            if name_of(each) in self.world.claims:
                continue
            what = f"Claim {name_of(each)} Pod {name_of(self.set)}-{ordinal} in StatefulSet {name_of(self.set)}"
            done = Record(self.set, "Normal", "SuccessfulCreate", f"create {what} success")
            failed = Record(self.set, "Warning", "FailedCreate", f"create {what} failed error: {{error}}")
            self.actions.append(Create(PERSISTENT_VOLUME_CLAIMS, each, done, failed))

    def _keep_claims(self, ordinal: int, condemned: Object | None) -> bool:
        """Give the claims of an ordinal the owners that the retention policy says; whether any had to change."""
        changed = False
        for template in self.set["spec"].get("volumeClaimTemplates") or ():
            found = self.world.claims.get(claim_name(self.set, template, ordinal))
            if found is not None and misses_owner(found, self.set, condemned):
                owners = wanted_owners(owners_of(found), self.set, condemned)
                metadata = {"resourceVersion": resource_version_of(found), "ownerReferences": owners}
                patch = Patch(PERSISTENT_VOLUME_CLAIMS, namespace_of(found), name_of(found), {"metadata": metadata}, PatchKind.MERGE)
                self.actions.append(patch)
                changed = True
        return changed

    # --- pods that should not

    def remove_condemned(self) -> bool:
        """The highest ordinal first; of an ordered set the next one only when that is gone, and none while a pod is down."""
        everyone = [*self.world.condemned[::-1], *(pod for pod in self.world.replicas.values() if pod is not None)]
        unhealthy = next((pod for pod in everyone if not is_deleting(pod) and not self._is_up(pod)), None)
        for pod in self.world.condemned:
            if is_deleting(pod):
                if self.ordered:
                    return True
                continue
            if self.ordered and not self._is_up(pod) and unhealthy is not None and pod is not unhealthy:
                return True
            self._keep_claims(ordinal_of(self.set, pod), pod)
            self.actions.append(self._deletion(pod))
            if self.ordered:
                return True
        return False

    # --- pods of another revision

    def update(self) -> None:
        """Delete pods of an old revision from the highest ordinal down to the partition; they come back as new ones."""
        rolling = (self.set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        lowest = first_ordinal(self.set) + int(rolling.get("partition") or 0)
        pods = [(ordinal, pod) for ordinal, pod in reversed(self.world.replicas.items()) if pod is not None]
        down = sum(1 for _, pod in pods if is_deleting(pod) or not self._is_up(pod)) + len(self.world.replicas) - len(pods)
        room = max_unavailable(self.set) - down
        for ordinal, pod in pods:
            if ordinal < lowest:
                return
            if is_deleting(pod) or labels_of(pod).get(POD_HASH) == self.revisions.update:
                if room <= 0 and (is_deleting(pod) or not self._is_up(pod)):
                    return
                continue
            if self._is_up(pod):
                if room <= 0:
                    return
                room -= 1
            self.actions.append(self._deletion(pod))
            if room <= 0:
                return

    def _deletion(self, pod: Object) -> Action:
        what = f"Pod {name_of(pod)} in StatefulSet {name_of(self.set)}"
        done = Record(self.set, "Normal", "SuccessfulDelete", f"delete {what} successful")
        failed = Record(self.set, "Warning", "FailedDelete", f"delete {what} failed error: {{error}}")
        return Delete(PODS, namespace_of(pod), name_of(pod), uid=uid_of(pod), done=done, failed=failed)


def _replicas(stateful_set: Object) -> int:
    replicas = stateful_set["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def is_up(stateful_set: Object, pod: Object, now: datetime) -> bool:
    """Running, and ready for minReadySeconds."""
    return phase_of(pod) == "Running" and is_available(pod, min_ready_s=stateful_set["spec"].get("minReadySeconds") or 0, now=now)


def max_unavailable(stateful_set: Object) -> int:
    """How many pods an update may take down at once; at least one."""
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    value = rolling.get("maxUnavailable")
    return 1 if value is None else max(1, scaled(value, _replicas(stateful_set), round_up=False))


def status_of(stateful_set: Object, pods: Sequence[Object], revisions: Revisions, collisions: int, now: datetime) -> Object:
    """The status that tells of these pods; when all are at the new revision and up, that becomes the current one."""
    before = stateful_set.get("status") or {}
    living = [pod for pod in pods if not is_deleting(pod)]
    ready = [pod for pod in pods if phase_of(pod) == "Running" and is_ready(pod)]
    current = sum(1 for pod in living if labels_of(pod).get(POD_HASH) == revisions.current)
    updated = sum(1 for pod in living if labels_of(pod).get(POD_HASH) == revisions.update)
    now_at = revisions.current
    is_rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if is_rolling and updated == len(ready) == _replicas(stateful_set):
        now_at, current = revisions.update, updated
    status = {
        "observedGeneration": stateful_set["metadata"].get("generation", 0),
        "replicas": len(pods),
        "readyReplicas": len(ready),
        "currentReplicas": current,
        "updatedReplicas": updated,
        "availableReplicas": sum(1 for pod in ready if is_up(stateful_set, pod, now)),
        "currentRevision": now_at,
        "updateRevision": revisions.update,
        "collisionCount": collisions,
        "conditions": before.get("conditions") or [],
    }
    return omit_zeros(status, keep=("replicas", "collisionCount", "availableReplicas"))


class StatefulSetController:
    """Keys are namespace/name of StatefulSets."""

    name = "statefulset"

    def start(self, run: Run) -> None:
        self.run = run
        self.sets = run.informers.of(STATEFUL_SETS)
        self.pods = with_controllers(run.informers.of(PODS))
        self.revisions = with_controllers(run.informers.of(CONTROLLER_REVISIONS))
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.writes = OwnWrites(self.pods)
        self.revision_writes = OwnWrites(self.revisions)
        self.sets.add_handler(lambda old, new: run.queue.add(key_of(new or old or {})))
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        stateful_set = self.sets.get(key)
        if stateful_set is None:
            return None
        pods = await self._claimed(stateful_set, PODS)
        known = await self._claimed(stateful_set, CONTROLLER_REVISIONS)
        wanted = await keep_revisions(self.run, self.revisions, stateful_set, STATEFUL_SETS, known, hash_label=HASH)
        revisions = _revisions(stateful_set, wanted.revision, known)
        now = self.run.clock.now()
        actions = plan(stateful_set, world(stateful_set, pods, self._claims(stateful_set, pods), now), revisions=revisions)
        try:
            await self._perform(actions, pods)
        finally:
            after = self._pods_of(stateful_set)
            await self._tell(stateful_set, after, revisions, wanted.collisions)
        used = {labels_of(pod).get(POD_HASH) for pod in after} | {revisions.current, revisions.update}
        await perform(
            old_revisions(stateful_set, known, lambda each: name_of(each) in used), client=self.run.client, events=self.run.events
        )
        return available_in_s(after, min_ready_s=stateful_set["spec"].get("minReadySeconds") or 0, now=now)

    async def _claimed(self, stateful_set: Object, resource: Any) -> list[Object]:
        informer, writes = (self.pods, self.writes) if resource is PODS else (self.revisions, self.revision_writes)
        found = candidates(informer, writes, stateful_set)
        if resource is PODS:  # only a pod with a name of ours can be ours
            found = [each for each in found if controller_of(each) is not None or ordinal_of(stateful_set, each) >= 0]
        return await claim(
            plan_claims(stateful_set, selector_from(stateful_set["spec"].get("selector")), found),
            client=self.run.client,
            owner=stateful_set,
            owner_resource=STATEFUL_SETS,
            resource=resource,
            writes=writes,
        )

    def _pods_of(self, stateful_set: Object) -> list[Object]:
        selector = selector_from(stateful_set["spec"].get("selector"))
        pods = self.writes.without_gone(self.pods.by_index(CONTROLLER, uid_of(stateful_set)))
        return [pod for pod in pods if selector.matches(labels_of(pod)) and ordinal_of(stateful_set, pod) >= 0]

    def _claims(self, stateful_set: Object, pods: Sequence[Object]) -> dict[str, Object]:
        """The claims there are, of all ordinals that matter."""
        start = first_ordinal(stateful_set)
        ordinals = {*range(start, start + _replicas(stateful_set)), *(ordinal_of(stateful_set, pod) for pod in pods)}
        names = [
            claim_name(stateful_set, template, ordinal)
            for template in stateful_set["spec"].get("volumeClaimTemplates") or ()
            for ordinal in ordinals
        ]
        namespace = namespace_of(stateful_set)
        return {name: found for name in names if (found := self.claims.get(f"{namespace}/{name}")) is not None}

    async def _perform(self, actions: Sequence[Action], pods: Sequence[Object]) -> None:
        by_uid = {uid_of(pod): pod for pod in pods}
        answers = await perform(actions, client=self.run.client, events=self.run.events)
        for action, answer in zip(actions, answers, strict=True):
            if isinstance(action, Delete):
                self.writes.note_deleted(by_uid[action.uid], answer)
            elif isinstance(action, Create | Patch | Update) and answer is not None:
                (self.pods if action.resource is PODS else self.claims).put(answer)

    async def _tell(self, stateful_set: Object, pods: Sequence[Object], revisions: Revisions, collisions: int) -> None:
        status = status_of(stateful_set, pods, revisions, collisions, self.run.clock.now())
        if not same_status(status, stateful_set.get("status")):
            self.sets.put(await self.run.client.update(STATEFUL_SETS, {**stateful_set, "status": status}, subresource="status"))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            owner = controller_of(pod) if pod is not None else None
            if pod is not None and owner is not None and owner.get("kind") == STATEFUL_SETS.kind:
                self.run.queue.add(f"{namespace_of(pod)}/{owner['name']}")
        if new is not None and controller_of(new) is None and labels_of(new):
            for each in self.sets.list(namespace_of(new)):
                if selector_from(each["spec"].get("selector")).matches(labels_of(new)):
                    self.run.queue.add(key_of(each))


def _revisions(stateful_set: Object, update: Object, known: Sequence[Object]) -> Revisions:
    """The revisions of this look. A set without a current one, or whose current one is lost, is at the new one."""
    by_name = {name_of(each): each for each in [*known, update]}
    current = (stateful_set.get("status") or {}).get("currentRevision") or name_of(update)
    if current not in by_name:
        current = name_of(update)
    return Revisions(current, name_of(update), {name: template_of(by_name[name]) for name in (current, name_of(update))})
