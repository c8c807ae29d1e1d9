"""Deployments: ReplicaSets that hand over from one pod template to the next, never with fewer pods or more than allowed.

Promises: one ReplicaSet per template, found again by its template and named by the template's hash; revisions and their history in
annotations; rolling updates within maxSurge and maxUnavailable, or Recreate; scaling in proportion in the midst of a rollout;
pause, progress deadline, clean-up of old revisions; a status that says how far it is.
Read first: `deployment_revision.py` (which set is which), `deployment_size.py` (how large), `deployment_status.py` (what is told).
Source: upstream `pkg/controller/deployment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from kube.errors import AlreadyExists, ApiError
from kube.labels import from_object as selector_from
from kube.objects import (
    Object,
    annotations_of,
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
from kube.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, Update, perform

from .claim import candidates, claim, plan_claims
from .deployment_revision import REVISION, find_new, new_annotations, new_replica_set, next_revision, revision_of, same_template
from .deployment_size import (
    actual_replicas,
    is_rolling,
    is_scaling,
    max_surge,
    new_size,
    old_sizes,
    replica_annotations_of,
    scaled_sizes,
    wanted_replicas,
)
from .deployment_status import (
    condition,
    counts,
    deadline_s,
    is_complete,
    pause_condition,
    rollout_status,
    stuck_check_in_s,
    with_deployment_condition,
    written,
)
from .index import CONTROLLER, with_controllers
from .own_writes import OwnWrites
from .pod import is_terminal
from .pod_control import is_namespace_terminating
from .status import same_status

NO_HISTORY_LIMIT = 2**31 - 1
SET_CHANGES_BATCHED_S = 0.05
"""Changes of its ReplicaSets within this time are looked at together: a large rollout changes their status many times a second."""


def plan(desired: Object, observed: Sequence[Object], now: datetime, *, old_pods_run: bool = False) -> list[Action]:
    """One step of the Deployment. `observed` are its ReplicaSets; `old_pods_run` whether pods of old ones are left (Recreate asks)."""
    rollout = _Rollout(desired, observed, now)
    if is_deleting(desired):
        rollout.tell(counts(rollout.deployment, rollout.new, rollout.old, now))
        return rollout.actions()
    rollout.note_condition(pause_condition(desired, now))
    if desired["spec"].get("paused") or is_scaling(desired, observed):
        rollout.scale()
    elif is_rolling(desired):
        rollout.roll()
    else:
        rollout.recreate(old_pods_run=old_pods_run)
    return rollout.actions()


class _Rollout:
    """The plan being drawn up: the Deployment and its sets as they will be, and what has to be done for that."""

    def __init__(self, deployment: Object, replica_sets: Sequence[Object], now: datetime) -> None:
        self.deployment = deployment
        self.now = now
        self.new = find_new(deployment, replica_sets)
        self.old = [each for each in replica_sets if each is not self.new]
        self._before = {name_of(each): each for each in replica_sets}
        self._original = deployment
        self._status: Object | None = None
        self._records: list[Action] = []
        self._deletes: list[Action] = []

    # --- the three ways forward

    def scale(self) -> None:
        """`spec.replicas` changed, or the Deployment is paused: sizes only, no rolling."""
        self._sync_revision()
        for name, size in scaled_sizes(self.deployment, self.new, self.old).items():
            self._resize(name, size)
        if self.deployment["spec"].get("paused"):
            self._clean_up()
        self.tell(counts(self.deployment, self.new, self.old, self.now))

    def roll(self) -> None:
        created = self.new is None
        new = self._create() if created else self._sync_revision()
        wanted, size = wanted_replicas(self.deployment), wanted_replicas(new)
        next_size = wanted if size > wanted else new_size(self.deployment, self._total(), size)
        if not created and next_size != size:
            self._resize(name_of(new), next_size)
        else:
            sizes = old_sizes(self.deployment, new, self.old)
            for name, old_size in sizes.items():
                self._resize(name, old_size)
            if not sizes:
                self._clean_up_if_complete()
        self.tell(rollout_status(self.deployment, self.new, self.old, self.now))

    def recreate(self, *, old_pods_run: bool) -> None:
        """All old pods go before the first new one comes."""
        self._sync_revision()
        active = [each for each in self.old if wanted_replicas(each) > 0]
        for each in active:
            self._resize(name_of(each), 0)
        if not active and not old_pods_run:
            new = self.new if self.new is not None else self._create()
            if wanted_replicas(new) != wanted_replicas(self.deployment):
                self._resize(name_of(new), wanted_replicas(self.deployment))
            self._clean_up_if_complete()
        self.tell(rollout_status(self.deployment, self.new, self.old, self.now))

    # --- steps

    def note_condition(self, new: Object | None) -> None:
        """Put a condition into the Deployment as it will be."""
        if new is None:
            return
        status = self.deployment.get("status") or {}
        conditions = with_deployment_condition(status.get("conditions") or [], new)
        self.deployment = {**self.deployment, "status": {**status, "conditions": conditions}}

    def tell(self, status: Object) -> None:
        self._status = status

    def _sync_revision(self) -> Object:
        """Give the new ReplicaSet, if there is one, its revision and the Deployment's annotations, and the Deployment that revision."""
        new = self.new
        if new is None:
            return {}
        existing = annotations_of(new)
        annotations = new_annotations(self.deployment, existing, next_revision(self.old))
        min_ready = self.deployment["spec"].get("minReadySeconds") or 0
        if annotations != existing or (new["spec"].get("minReadySeconds") or 0) != min_ready:
            new = {
                **new,
                "metadata": {**new["metadata"], "annotations": annotations},
                "spec": {**new["spec"], "minReadySeconds": min_ready},
            }
            self._replace(new)
        self._set_revision(annotations[REVISION])
        if deadline_s(self.deployment) is not None and condition_of(self.deployment, "Progressing") is None:
            found = f'Found new replica set "{name_of(new)}"'
            self.note_condition(condition("Progressing", "True", "FoundNewReplicaSet", found, self.now))
        return new

    def _create(self) -> Object:
        size = new_size(self.deployment, self._total(), 0)
        revision = next_revision(self.old)
        reference = controller_reference(self.deployment, api_version=DEPLOYMENTS.api_version, kind=DEPLOYMENTS.kind)
        surge = max_surge(self.deployment)
        self.new = new_replica_set(self.deployment, reference=reference, replicas=size, revision=revision, max_surge=surge)
        if size > 0:
            self._record_scaling(name_of(self.new), 0, size)
        self._set_revision(str(revision))
        if deadline_s(self.deployment) is not None:
            created = f'Created new replica set "{name_of(self.new)}"'
            self.note_condition(condition("Progressing", "True", "NewReplicaSetCreated", created, self.now))
        return self.new

    def _set_revision(self, revision: str) -> None:
        existing = annotations_of(self.deployment)
        if existing.get(REVISION) != revision:
            metadata = {**self.deployment["metadata"], "annotations": {**existing, REVISION: revision}}
            self.deployment = {**self.deployment, "metadata": metadata}

    def _resize(self, name: str, size: int) -> None:
        current = next(each for each in self._sets() if name_of(each) == name)
        annotations = {**annotations_of(current), **replica_annotations_of(self.deployment)}
        before = wanted_replicas(current)
        if before == size and annotations == annotations_of(current):
            return
        metadata = {**current["metadata"], "annotations": annotations}
        self._replace({**current, "metadata": metadata, "spec": {**current["spec"], "replicas": size}})
        if before != size:
            self._record_scaling(name, before, size)

    def _record_scaling(self, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        self._records.append(Record(self._original, "Normal", "ScalingReplicaSet", message))

    def _clean_up_if_complete(self) -> None:
        if is_complete(self.deployment, self._original.get("status") or {}):
            self._clean_up()

    def _clean_up(self) -> None:
        """Delete the oldest revisions beyond revisionHistoryLimit, as far as nothing of them is left."""
        limit = self.deployment["spec"].get("revisionHistoryLimit")
        if limit is None or limit == NO_HISTORY_LIMIT:
            return
        cleanable = sorted((each for each in self.old if not is_deleting(each)), key=revision_of)
        for each in cleanable[: max(0, len(cleanable) - limit)]:
            observed = each.get("status", {}).get("observedGeneration") or 0
            if not actual_replicas(each) and not wanted_replicas(each) and observed >= each["metadata"].get("generation", 0):
                self._deletes.append(Delete(REPLICA_SETS, namespace_of(each), name_of(each), uid=uid_of(each)))

    # --- what comes of it

    def actions(self) -> list[Action]:
        """A creation first, then every changed ReplicaSet once, the events, deletions, and the Deployment's status last."""
        out: list[Action] = []
        for each in self._sets():
            before = self._before.get(name_of(each))
            if before is None:
                out.append(Create(REPLICA_SETS, each))
            elif each is not before:
                out.append(Update(REPLICA_SETS, each))
        out += [*self._records, *self._deletes]
        status = written(self._status or {})
        same = annotations_of(self.deployment) == annotations_of(self._original)
        if not same or not same_status(status, self._original.get("status")):
            out.append(Update(DEPLOYMENTS, {**self.deployment, "status": status}, subresource="status"))
        return out

    def _sets(self) -> list[Object]:
        return [*([self.new] if self.new is not None else []), *self.old]

    def _total(self) -> int:
        return sum(wanted_replicas(each) for each in self._sets())

    def _replace(self, changed: Object) -> None:
        if self.new is not None and name_of(self.new) == name_of(changed):
            self.new = changed
        else:
            self.old = [changed if name_of(each) == name_of(changed) else each for each in self.old]


def do_old_pods_run(replica_sets: Sequence[Object], new: Object | None, pods_of: Mapping[str, Sequence[Object]]) -> bool:
    """Whether anything of an old template still runs: by the sets' own count, or by their pods (by uid of the set)."""
    old = [each for each in replica_sets if each is not new]
    if any(actual_replicas(each) for each in old):
        return True
    return any(not is_terminal(pod) for each in old for pod in pods_of.get(uid_of(each), ()))


class DeploymentController:
    """Gathers a Deployment's ReplicaSets and carries out the plan. Keys are namespace/name."""

    name = "deployment"

    def start(self, run: Run) -> None:
        self.run = run
        self.deployments = run.informers.of(DEPLOYMENTS)
        self.sets = with_controllers(run.informers.of(REPLICA_SETS))
        self.pods = with_controllers(run.informers.of(PODS))
        self.set_writes = OwnWrites(self.sets)
        self.deployments.add_handler(lambda old, new: run.queue.add(key_of(new or old or {})))
        self.sets.add_handler(self._set_changed)
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        desired = self.deployments.get(key)
        if desired is None:
            return None
        if not desired["spec"].get("selector"):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self.run.events.record(desired, "Warning", "SelectingAll", message)
            return None
        observed = await self._claimed(desired)
        old_pods_run = False
        if not is_rolling(desired):
            pods_of = {uid_of(each): self.pods.by_index(CONTROLLER, uid_of(each)) for each in observed}
            old_pods_run = do_old_pods_run(observed, find_new(desired, observed), pods_of)
        now = self.run.clock.now()
        actions = plan(desired, observed, now, old_pods_run=old_pods_run)
        if not await self._create(desired, actions):
            return None
        await self._perform([each for each in actions if not isinstance(each, Create)])
        told = [each.obj for each in actions if isinstance(each, Update) and each.resource is DEPLOYMENTS]
        return stuck_check_in_s(desired, (told[-1] if told else desired).get("status") or {}, now)

    async def _claimed(self, desired: Object) -> list[Object]:
        selector = selector_from(desired["spec"].get("selector"))
        return await claim(
            plan_claims(desired, selector, candidates(self.sets, self.set_writes, desired)),
            client=self.run.client,
            owner=desired,
            owner_resource=DEPLOYMENTS,
            resource=REPLICA_SETS,
            writes=self.set_writes,
        )

    async def _perform(self, actions: Sequence[Action]) -> None:
        answers = await perform(actions, client=self.run.client, events=self.run.events)
        for action, answer in zip(actions, answers, strict=True):
            if isinstance(action, Delete):
                self._note_deleted(action, answer)
            elif isinstance(action, Create | Update) and answer is not None:
                (self.sets if action.resource is REPLICA_SETS else self.deployments).put(answer)

    def _note_deleted(self, action: Delete, answer: Object | None) -> None:
        cached = self.sets.get(f"{action.namespace}/{action.name}")
        if cached is not None and uid_of(cached) == action.uid:
            self.set_writes.note_deleted(cached, answer)

    async def _create(self, desired: Object, actions: Sequence[Action]) -> bool:
        """Create the new ReplicaSet, if the plan has one; False when the rest of the plan does not hold any more."""
        creation = next((each for each in actions if isinstance(each, Create)), None)
        if creation is None:
            return True
        try:
            await self._perform([creation])
        except AlreadyExists:
            return await self._take_or_avoid(desired, creation.obj)
        except ApiError as error:
            if not is_namespace_terminating(error):
                await self._tell_failure(desired, creation.obj, error)
            raise
        return True

    async def _take_or_avoid(self, desired: Object, wanted: Object) -> bool:
        """The name is taken: by our own set, which the cache lacks (fine), or by another's (then the hash gets another salt)."""
        existing = await self.run.client.get(REPLICA_SETS, name_of(wanted), namespace=namespace_of(wanted))
        owner = controller_of(existing) or {}
        if owner.get("uid") == uid_of(desired) and same_template(existing["spec"].get("template"), wanted["spec"]["template"]):
            self.sets.put(existing)
        else:
            status = desired.get("status") or {}
            await self._update_status(desired, {**status, "collisionCount": (status.get("collisionCount") or 0) + 1})
        self.run.queue.add(key_of(desired))
        return False

    async def _tell_failure(self, desired: Object, wanted: Object, error: ApiError) -> None:
        if deadline_s(desired) is None:
            return
        message = f'Failed to create new replica set "{name_of(wanted)}": {error}'
        said = condition("Progressing", "False", "ReplicaSetCreateError", message, self.run.clock.now())
        status = desired.get("status") or {}
        conditions = with_deployment_condition(status.get("conditions") or [], said)
        if conditions != (status.get("conditions") or []):
            await self._update_status(desired, {**status, "conditions": conditions})

    async def _update_status(self, desired: Object, status: Object) -> None:
        await self._perform([Update(DEPLOYMENTS, {**desired, "status": status}, subresource="status")])

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        for key in {key for each in (old, new) if each is not None for key in self._keys_of(each)}:
            self.run.queue.add_after(key, SET_CHANGES_BATCHED_S)

    def _keys_of(self, replica_set: Object) -> list[str]:
        """The Deployments that a set's change concerns: its controller, or for an orphan all that would have it."""
        owner = controller_of(replica_set)
        if owner is not None:
            return [f"{namespace_of(replica_set)}/{owner['name']}"] if owner.get("kind") == DEPLOYMENTS.kind else []
        labels = labels_of(replica_set)
        deployments = self.deployments.list(namespace_of(replica_set))
        return [key_of(each) for each in deployments if labels and selector_from(each["spec"].get("selector")).matches(labels)]

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A Deployment that recreates waits for the last old pod to go."""
        pod = old if new is None else new
        if pod is None or (new is not None and not is_terminal(new)):
            return
        owner = controller_of(pod) or {}
        replica_set = self.sets.get(f"{namespace_of(pod)}/{owner.get('name')}") if owner.get("kind") == REPLICA_SETS.kind else None
        deployment = controller_of(replica_set) if replica_set is not None else None
        if deployment is None or deployment.get("kind") != DEPLOYMENTS.kind:
            return
        key = f"{namespace_of(pod)}/{deployment['name']}"
        found = self.deployments.get(key)
        if found is not None and not is_rolling(found):
            self.run.queue.add(key)
