"""StatefulSets: pods with names and claims of their own, made and replaced in order.

Promises: pod N exists only after pod N-1 is up, and goes only after pod N+1 is gone (unless podManagementPolicy is Parallel); a pod keeps
its name, host name and claims when it is replaced; updates go from the highest ordinal down to the partition, with no more than
maxUnavailable pods down; revisions are kept for rollout history. Read first: `stateful_pod.py`, `stateful_world.py` (what is known of a
set's pods), `controller_revision.py`.
Source: upstream `pkg/controller/statefulset/stateful_set_control.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from kube.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Patch, Record, Update, perform

from .claim import candidates, claim, plan_claims
from .controller_revision import HASH, keep_revisions, old_revisions, template_of
from .deployment_size import scaled
from .index import CONTROLLER, orphans_of, with_controllers
from .own_writes import OwnWrites
from .pod import phase_of
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
from .stateful_world import World, world
from .status import omit_zeros, same_status


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revision that the set is at (`current`) and the one that it shall be at (`update`): names and templates."""

    current: str
    update: str
    templates: Mapping[str, Object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. Once that is done, the pods of the ordinals in `looked_at` are as they should be (see World.looked_at)."""

    actions: list[Action]
    looked_at: Mapping[int, int] = field(default_factory=dict)


def plan(desired: Object, observed: World, *, revisions: Revisions) -> Plan:
    """What to do about the set's pods. Of an ordered set that is one pod at a time, and nothing while one is not up."""
    if is_deleting(desired):
        return Plan([])
    step = _Step(desired, observed, revisions)
    if not step.make_replicas() and not step.remove_condemned():
        step.update()
    return Plan(step.actions, step.looked_at)


class _Step:
    """The plan being drawn up. Each part answers whether the others must wait."""

    def __init__(self, stateful_set: Object, observed: World, revisions: Revisions) -> None:
        self.set, self.world, self.revisions = stateful_set, observed, revisions
        self.ordered = stateful_set["spec"].get("podManagementPolicy", "OrderedReady") != "Parallel"
        self.actions: list[Action] = []
        self.looked_at: dict[int, int] = {}
        self._pods: list[Action] = []

    # --- pods that should be there

    def make_replicas(self) -> bool:
        """In order; of an ordered set none beyond the first that is missing or not up."""
        waits_at = self.world.first_waiting
        limit = waits_at if self.ordered else None
        for ordinal in sorted({*self.world.to_look_at.up_to(limit), *self.world.missing.up_to(limit)}):
            if ordinal in self.world.missing:
                self._claims_of(ordinal)
                self._create(ordinal)
            else:
                self._look_at(ordinal, self.world.pods[ordinal])
        self.actions += self._pods
        return self.ordered and waits_at is not None

    def _look_at(self, ordinal: int, pod: Object) -> None:
        self.looked_at[ordinal] = self.world.stamp(ordinal)
        if phase_of(pod) in ("Failed", "Succeeded"):
            self._replace_ended(pod)
            return
        if phase_of(pod) == "Pending":
            self._claims_of(ordinal)
        self._keep_claims(ordinal, None)
        if lacks_identity(self.set, pod) and not is_deleting(pod):
            labels = {POD_NAME: name_of(pod), POD_INDEX: str(ordinal)}
            self.actions.append(Patch(PODS, namespace_of(pod), name_of(pod), {"metadata": {"labels": labels}}, PatchKind.MERGE))

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
            if self.world.claims(name_of(each)) is not None:
                continue
            what = f"Claim {name_of(each)} Pod {name_of(self.set)}-{ordinal} in StatefulSet {name_of(self.set)}"
            done = Record(self.set, "Normal", "SuccessfulCreate", f"create {what} success")
            failed = Record(self.set, "Warning", "FailedCreate", f"create {what} failed error: {{error}}")
            self.actions.append(Create(PERSISTENT_VOLUME_CLAIMS, each, done, failed))

    def _keep_claims(self, ordinal: int, condemned: Object | None) -> bool:
        """Give the claims of an ordinal the owners that the retention policy says; whether any had to change."""
        changed = False
        for template in self.set["spec"].get("volumeClaimTemplates") or ():
            found = self.world.claims(claim_name(self.set, template, ordinal))
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
        for ordinal in reversed(self.world.condemned):
            pod = self.world.pods[ordinal]
            if is_deleting(pod):
                if self.ordered:
                    return True
                continue
            if self.ordered and not self.world.is_up(ordinal) and self.world.first_unhealthy != ordinal:
                return True
            self._keep_claims(ordinal, pod)
            self.actions.append(self._deletion(pod))
            if self.ordered:
                return True
        return False

    # --- pods of another revision

    def update(self) -> None:
        """Delete pods of an old revision from the highest ordinal down to the partition; they come back as new ones."""
        strategy = self.set["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return
        rolling = strategy.get("rollingUpdate") or {}
        lowest = first_ordinal(self.set) + int(rolling.get("partition") or 0)
        old = (each for each in self.world.not_at(self.revisions.update) if each >= lowest)
        room = max_unavailable(self.set) - len(self.world.down) - len(self.world.missing)
        if room <= 0:  # one that is down itself may be replaced, unless there is another above it that is
            first = next(old, None)
            if first is not None and first == self.world.down.highest:
                self.actions.append(self._deletion(self.world.pods[first]))
            return
        for ordinal in old:
            room -= self.world.is_up(ordinal)
            self.actions.append(self._deletion(self.world.pods[ordinal]))
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


def max_unavailable(stateful_set: Object) -> int:
    """How many pods an update may take down at once; at least one."""
    rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    value = rolling.get("maxUnavailable")
    return 1 if value is None else max(1, scaled(value, _replicas(stateful_set), round_up=False))


def status_of(stateful_set: Object, observed: World, revisions: Revisions, collisions: int) -> Object:
    """The status that tells of these pods; when all are at the new revision and up, that becomes the current one."""
    before = stateful_set.get("status") or {}
    current, updated = observed.living[revisions.current], observed.living[revisions.update]
    now_at = revisions.current
    is_rolling = (stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if is_rolling and updated == observed.ready == _replicas(stateful_set):
        now_at, current = revisions.update, updated
    status = {
        "observedGeneration": stateful_set["metadata"].get("generation", 0),
        "replicas": len(observed.pods),
        "readyReplicas": observed.ready,
        "currentReplicas": current,
        "updatedReplicas": updated,
        "availableReplicas": observed.available,
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
        self._worlds: dict[str, dict[str, World]] = {}
        """By namespace and name of the set."""
        self.sets = run.informers.of(STATEFUL_SETS)
        self.pods = with_controllers(run.informers.of(PODS))
        self.revisions = with_controllers(run.informers.of(CONTROLLER_REVISIONS))
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.writes = OwnWrites(self.pods)
        self.revision_writes = OwnWrites(self.revisions)
        self.sets.add_handler(self._set_changed)
        self.pods.add_handler(self._pod_changed)
        self.claims.add_handler(self._claim_changed)

    async def reconcile(self, key: str) -> float | None:
        stateful_set = self.sets.get(key)
        if stateful_set is None:
            return None
        await self._claim_pods(stateful_set)
        known = await self._claim_revisions(stateful_set)
        wanted = await keep_revisions(self.run, self.revisions, stateful_set, STATEFUL_SETS, known, hash_label=HASH)
        revisions = _revisions(stateful_set, wanted.revision, known)
        observed = self._world(stateful_set)
        observed.pass_time(self.run.clock.now())
        todo = plan(stateful_set, observed, revisions=revisions)
        failure: Exception | None = None
        try:
            await self._perform(todo.actions, observed)
        except Exception as error:  # what is there is told all the same
            failure = error
        await self._tell(stateful_set, observed, revisions, wanted.collisions)
        if failure is not None:
            raise failure
        observed.looked_at(todo.looked_at)
        used = observed.used_revisions() | {revisions.current, revisions.update}
        await perform(
            old_revisions(stateful_set, known, lambda each: name_of(each) in used), client=self.run.client, events=self.run.events
        )
        return observed.ripe_in_s

    def _world(self, stateful_set: Object) -> World:
        """What there is of the set; made anew only when its spec has changed."""
        namespace = namespace_of(stateful_set)
        worlds = self._worlds.setdefault(namespace, {})
        known = worlds.get(name_of(stateful_set))
        if known is not None and (known.uid, known.generation) == (uid_of(stateful_set), stateful_set["metadata"].get("generation")):
            return known
        pods = self.writes.without_gone(self.pods.by_index(CONTROLLER, uid_of(stateful_set)))
        made = world(stateful_set, pods, lambda name: self.claims.get(f"{namespace}/{name}"), self.run.clock.now())
        worlds[name_of(stateful_set)] = made
        return made

    async def _claim_pods(self, stateful_set: Object) -> None:
        """Adopt orphans with names of ours, and let go of what does not match any more."""
        orphans = self.writes.without_gone(self.pods.by_index(CONTROLLER, orphans_of(namespace_of(stateful_set))))
        found = [*self._world(stateful_set).strangers.values(), *(each for each in orphans if ordinal_of(stateful_set, each) >= 0)]
        await self._claim(stateful_set, PODS, found, self.writes)

    async def _claim_revisions(self, stateful_set: Object) -> list[Object]:
        found = candidates(self.revisions, self.revision_writes, stateful_set)
        return await self._claim(stateful_set, CONTROLLER_REVISIONS, found, self.revision_writes)

    async def _claim(self, stateful_set: Object, resource: Resource, found: Sequence[Object], writes: OwnWrites) -> list[Object]:
        return await claim(
            plan_claims(stateful_set, selector_from(stateful_set["spec"].get("selector")), found),
            client=self.run.client,
            owner=stateful_set,
            owner_resource=STATEFUL_SETS,
            resource=resource,
            writes=writes,
        )

    async def _perform(self, actions: Sequence[Action], observed: World) -> None:
        answers = await perform(actions, client=self.run.client, events=self.run.events)
        for action, answer in zip(actions, answers, strict=True):
            if isinstance(action, Delete):
                pod = self.pods.get(f"{action.namespace}/{action.name}")
                if pod is not None and uid_of(pod) == action.uid:
                    self.writes.note_deleted(pod, answer)
                    if self.writes.is_gone(pod):
                        observed.drop(pod)
            elif isinstance(action, Create | Patch | Update) and answer is not None:
                (self.pods if action.resource is PODS else self.claims).put(answer)

    async def _tell(self, stateful_set: Object, observed: World, revisions: Revisions, collisions: int) -> None:
        status = status_of(stateful_set, observed, revisions, collisions)
        if not same_status(status, stateful_set.get("status")):
            self.sets.put(await self.run.client.update(STATEFUL_SETS, {**stateful_set, "status": status}, subresource="status"))

    # --- what is heard of

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._worlds.get(namespace_of(old), {}).pop(name_of(old), None)
        self.run.queue.add(key_of(new or old or {}))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            owner = controller_of(pod) if pod is not None else None
            if pod is None or owner is None or owner.get("kind") != STATEFUL_SETS.kind:
                continue
            self.run.queue.add(f"{namespace_of(pod)}/{owner['name']}")
            known = self._worlds.get(namespace_of(pod), {}).get(owner["name"])
            if known is not None and known.uid == owner["uid"]:
                if pod is new and not self.writes.is_gone(pod):
                    known.put(pod)
                else:
                    known.drop(pod)
        if new is not None and controller_of(new) is None and labels_of(new):
            for each in self.sets.list(namespace_of(new)):
                if selector_from(each["spec"].get("selector")).matches(labels_of(new)):
                    self.run.queue.add(key_of(each))

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        """Nobody is woken by a claim; the next look at its set looks at it, too."""
        claim = new or old or {}
        for known in self._worlds.get(namespace_of(claim), {}).values():
            known.claim_changed(claim)


def _revisions(stateful_set: Object, update: Object, known: Sequence[Object]) -> Revisions:
    """The revisions of this look. A set without a current one, or whose current one is lost, is at the new one."""
    by_name = {name_of(each): each for each in [*known, update]}
    current = (stateful_set.get("status") or {}).get("currentRevision") or name_of(update)
    if current not in by_name:
        current = name_of(update)
    return Revisions(current, name_of(update), {name: template_of(by_name[name]) for name in (current, name_of(update))})
