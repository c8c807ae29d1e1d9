"""Jobs: pods run until enough of them succeeded, or too many failed; every pod is counted exactly once.

Promises: never more pods at once than parallelism, nor more than are needed still; failed pods are replaced after a back-off; the
policies for failures and for success are honoured; a suspended Job has no pods; the end is told by conditions and one event.
Read first: `job_verdict.py` (where a Job stands), then `plan` here (pods to create and delete), then `job_account.py` (what is told).
What becomes of finished Jobs is `ttl_after_finished.py`. Source: upstream `pkg/controller/job`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kube.errors import ApiError, NotFound
from kube.labels import from_object as selector_from
from kube.objects import (
    Object,
    controller_of,
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from kube.resources import JOBS, PODS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete

from . import job_index
from .claim import candidates, claim, plan_claims
from .index import CONTROLLER, with_controllers
from .job_account import account
from .job_policy import Backoff, next_index_failures, remaining_of_index_s, replaces_only_failed
from .job_verdict import TRACKING, Verdict, has_limit_per_index, is_finished, is_indexed, is_suspended, is_tracked, judge
from .own_writes import OwnWrites
from .pod import by_deletion_order, from_template, is_active, is_terminating
from .pod_control import BURST, PodControl, is_namespace_terminating
from .status import same_status

MANAGED_BY = "kubernetes.io/job-controller"
POD_CHANGES_BATCHED_S = 0.1
"""Pods of a Job tend to end together: so long is waited for the others. (Upstream waits a second.)"""
_ORPHAN = "orphan "
"""Keys that start so name a pod that may have lost its Job; the others name Jobs."""
_GENERATED_NAME_MAX = 58


@dataclass(frozen=True, slots=True)
class Plan:
    """Pods to create or delete (never both at once), and when to look again because a back-off is running."""

    actions: list[Action] = field(default_factory=list)
    again_s: float | None = None


def plan(desired: Object, observed: Sequence[Object], now: datetime, *, verdict: Verdict) -> Plan:
    """What to do about the Job's pods. `observed` are all of them, finished ones too."""
    active = [pod for pod in observed if is_active(pod)]
    if verdict.ending is not None:
        return Plan(_deletions(active))
    if is_deleting(desired):
        return Plan()
    if is_suspended(desired):
        return Plan(_deletions(active))
    wanted = wanted_active(desired, verdict.succeeded, len(active))
    surplus = for_removal(desired, active, max(0, len(active) - wanted), now)
    if surplus:
        return Plan(_deletions(surplus[:BURST]))
    waited_for = sum(1 for pod in observed if is_terminating(pod)) if replaces_only_failed(desired) else 0
    missing = min(wanted - waited_for - len(active), BURST)
    return _creations(desired, observed, verdict, missing, now) if missing > 0 else Plan()


def wanted_active(job: Object, succeeded: int, active: int) -> int:
    """How many pods should run: parallelism, but no more than are left to succeed; without completions, none new after a success."""
    parallelism, completions = job["spec"].get("parallelism", 1), job["spec"].get("completions")
    if completions is None:
        return active if succeeded > 0 else int(parallelism)
    return max(0, min(int(parallelism), int(completions) - succeeded))


def for_removal(job: Object, active: Sequence[Object], at_least: int, now: datetime) -> list[Object]:
    """The pods to remove: of an Indexed Job all with a bad or a doubled index, then those that would be missed least."""
    removed: list[Object] = []
    left = list(active)
    if is_indexed(job):
        removed, left = _odd_indexes(job, active, now)
    if len(removed) < at_least:
        removed += by_deletion_order(left, now=now)[: at_least - len(removed)]
    return removed


def _odd_indexes(job: Object, active: Sequence[Object], now: datetime) -> tuple[list[Object], list[Object]]:
    removed, left = [], []
    by_index: dict[int, list[Object]] = {}
    for pod in active:
        index = job_index.index_of(pod, job["spec"].get("completions"))
        if index is None:
            removed.append(pod)
        else:
            by_index.setdefault(index, []).append(pod)
    for same in by_index.values():
        ordered = by_deletion_order(same, now=now) if len(same) > 1 else same
        removed += ordered[:-1]
        left.append(ordered[-1])
    return removed, left


def _deletions(pods: Iterable[Object]) -> list[Action]:
    return [Delete(PODS, namespace_of(pod), name_of(pod), uid=uid_of(pod)) for pod in pods]


# --- creating ---------------------------------------------------------------------------------------------------------------


def _creations(job: Object, observed: Sequence[Object], verdict: Verdict, count: int, now: datetime) -> Plan:
    per_index = has_limit_per_index(job)
    wait_s = 0.0 if per_index else verdict.backoff.remaining_s(now)
    if wait_s > 0:
        return Plan(again_s=wait_s)
    if not is_indexed(job):
        pod = _new_pod(job)
        return Plan([Create(PODS, pod) for _ in range(count)])
    indexes = _pending_indexes(job, observed, verdict, count)
    waits = {index: remaining_of_index_s(verdict.replaceable.get(index), now) if per_index else 0.0 for index in indexes}
    due = [index for index in indexes if waits[index] <= 0]
    again_s = min((each for each in waits.values() if each > 0), default=None)
    return Plan([Create(PODS, _indexed_pod(job, index, verdict)) for index in due], again_s)


def _pending_indexes(job: Object, observed: Sequence[Object], verdict: Verdict, count: int) -> list[int]:
    waits_for_ends = replaces_only_failed(job)
    busy = [pod for pod in observed if is_active(pod) or (waits_for_ends and is_terminating(pod))]
    taken = job_index.with_indexes(verdict.succeeded_indexes, (index for pod in busy if (index := job_index.index_of(pod)) is not None))
    return job_index.first_missing(job_index.union(taken, verdict.failed_indexes or ()), count, job["spec"]["completions"])


def _new_pod(job: Object) -> Object:
    reference = controller_reference(job, api_version=JOBS.api_version, kind=JOBS.kind)
    pod = from_template(job["spec"].get("template") or {}, job, reference)
    finalizers = pod["metadata"].get("finalizers") or []
    pod["metadata"]["finalizers"] = finalizers if TRACKING in finalizers else [*finalizers, TRACKING]
    return pod


def _indexed_pod(job: Object, index: int, verdict: Verdict) -> Object:
    """A pod that knows its index: by annotation, label, host name and the variable JOB_COMPLETION_INDEX."""
    pod = _new_pod(job)
    metadata, spec = pod["metadata"], dict(pod["spec"])
    failures = next_index_failures(job, verdict.replaceable.get(index)) if has_limit_per_index(job) else {}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), job_index.INDEX: str(index), **failures}
    metadata["labels"] = {**(metadata.get("labels") or {}), job_index.INDEX: str(index)}
    suffix = f"-{index}-"
    metadata["generateName"] = name_of(job)[: _GENERATED_NAME_MAX - len(suffix)] + suffix
    spec["hostname"] = f"{name_of(job)}-{index}"
    for containers in ("initContainers", "containers"):
        if spec.get(containers):
            spec[containers] = [_with_index_variable(each) for each in spec[containers]]
    pod["spec"] = spec
    return pod


def _with_index_variable(container: Object) -> Object:
    variables = container.get("env") or []
    if any(each.get("name") == "JOB_COMPLETION_INDEX" for each in variables):
        return container
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{job_index.INDEX}']"}}
    return {**container, "env": [*variables, {"name": "JOB_COMPLETION_INDEX", "valueFrom": source}]}


# --- the loop ---------------------------------------------------------------------------------------------------------------


class JobController:
    """Gathers a Job's pods, carries out the plan, counts. Keys are namespace/name of Jobs, and of pods that may be orphans."""

    name = "job"

    def start(self, run: Run) -> None:
        self.run = run
        self.jobs = run.informers.of(JOBS)
        self.pods = with_controllers(run.informers.of(PODS))
        self.writes = OwnWrites(self.pods)
        self.control = PodControl(run, self.writes)
        self._backoffs: dict[str, Backoff] = {}
        self.jobs.add_handler(self._job_changed)
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_ORPHAN):
            await self._release_orphan(key.removeprefix(_ORPHAN))
            return None
        job = self.jobs.get(key)
        if job is None or job["spec"].get("managedBy") not in (None, MANAGED_BY):
            return None
        if is_finished(job):
            self._backoffs.pop(uid_of(job), None)
            return None
        if job["spec"].get("completionMode", "NonIndexed") not in ("NonIndexed", "Indexed"):
            message = "Skipped Job sync because completion mode is unknown"
            self.run.events.record(job, "Warning", "UnknownCompletionMode", message)
            return None
        return await self._sync(job)

    async def _sync(self, job: Object) -> float | None:
        await self.control.settle(job, selector_from(job["spec"].get("selector")))
        pods = await self._claimed(job)
        now = self.run.clock.now()
        verdict = judge(job, pods, self._backoffs.get(uid_of(job), Backoff()), now)
        todo = plan(job, pods, now, verdict=verdict)
        error: ApiError | None = None
        try:
            await self._manage(job, pods, todo.actions, keep_finalizers=verdict.ending is not None)
        except ApiError as caught:
            error = None if is_namespace_terminating(caught) else caught
        if todo.actions:
            pods = self._owned(job)
        again_s = await self._tell(job, pods, verdict)
        if error is not None:
            raise error
        waits = [each for each in (again_s, todo.again_s, verdict.deadline_in_s) if each is not None]
        return min(waits, default=None)

    async def _claimed(self, job: Object) -> list[Object]:
        selector = selector_from(job["spec"].get("selector"))
        return await claim(
            plan_claims(job, selector, candidates(self.pods, self.writes, job)),
            client=self.run.client,
            owner=job,
            owner_resource=JOBS,
            resource=PODS,
            writes=self.writes,
            finalizers=(TRACKING,),
        )

    def _owned(self, job: Object) -> list[Object]:
        selector = selector_from(job["spec"].get("selector"))
        pods = self.writes.without_gone(self.pods.by_index(CONTROLLER, uid_of(job)))
        return [pod for pod in pods if selector.matches(labels_of(pod))]

    async def _manage(self, job: Object, pods: Sequence[Object], actions: Sequence[Action], *, keep_finalizers: bool) -> None:
        """Create and delete. Pods deleted because they are too many lose their finalizer first: they are not to be counted."""
        await self.control.create(job, [each.obj for each in actions if isinstance(each, Create)])
        doomed = {each.uid for each in actions if isinstance(each, Delete)}
        victims = [pod for pod in pods if uid_of(pod) in doomed]
        if not keep_finalizers:
            await self._release([pod for pod in victims if is_tracked(pod)])
        await self.control.delete(job, victims)

    async def _tell(self, job: Object, pods: Sequence[Object], verdict: Verdict) -> float | None:
        """Write the status, then let go of the pods that are in it; 0 when there is more to count at once."""
        told = account(job, pods, verdict, self.run.clock.now(), managed=not is_deleting(job))
        if not same_status(told.status, job.get("status")):
            self.jobs.put(await self.run.client.update(JOBS, {**job, "status": told.status}, subresource="status"))
            self._backoffs[uid_of(job)] = verdict.backoff
        for kind, reason, message in told.events:
            self.run.events.record(job, kind, reason, message)
        await self._release(told.release)
        return 0.0 if told.release else None

    async def _release(self, pods: Sequence[Object]) -> None:
        """Remove the tracking finalizer; pods that are gone are fine."""
        body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING]}}
        await self.control.patch_all(pods, body)

    async def _release_orphan(self, key: str) -> None:
        """Let go of a pod whose Job is gone or over: nobody will count it."""
        pod = self.pods.get(key)
        if pod is None or not is_tracked(pod):
            return
        owner = controller_of(pod)
        if owner is not None and (owner.get("kind") != JOBS.kind or await self._is_counted_by(owner, namespace_of(pod))):
            return
        await self._release([pod])

    async def _is_counted_by(self, owner: Object, namespace: str) -> bool:
        """Whether there is, says the server, such a Job that will still count its pods."""
        try:
            job = await self.run.client.get(JOBS, owner["name"], namespace=namespace)
        except NotFound:
            return False
        return uid_of(job) == owner.get("uid") and not is_finished(job)

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.run.queue.add(key_of(new))
        elif old is not None:
            self._backoffs.pop(uid_of(old), None)
            for pod in self.pods.by_index(CONTROLLER, uid_of(old)):
                if is_tracked(pod):
                    self.run.queue.add(_ORPHAN + key_of(pod))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            owner = controller_of(pod) if pod is not None else None
            if pod is not None and owner is not None and owner.get("kind") == JOBS.kind:
                self._enqueue(f"{namespace_of(pod)}/{owner['name']}", owner, pod, is_present=pod is new)
        if new is not None and controller_of(new) is None:
            self._orphan_changed(new)

    def _enqueue(self, key: str, owner: Object, pod: Object, *, is_present: bool) -> None:
        job = self.jobs.get(key)
        if job is not None and uid_of(job) == owner.get("uid"):
            self.run.queue.add_after(key, POD_CHANGES_BATCHED_S)
        if is_present and is_tracked(pod) and (job is None or uid_of(job) != owner.get("uid") or is_finished(job)):
            self.run.queue.add(_ORPHAN + key_of(pod))

    def _orphan_changed(self, pod: Object) -> None:
        if is_tracked(pod):
            self.run.queue.add(_ORPHAN + key_of(pod))
        labels = labels_of(pod)
        for job in self.jobs.list(namespace_of(pod)):
            if labels and selector_from(job["spec"].get("selector")).matches(labels):
                self.run.queue.add(key_of(job))
