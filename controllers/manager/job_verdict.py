"""What has become of a Job so far: how many pods succeeded and failed, which indexes are done, and whether the Job is over. Pure.

Source: upstream `pkg/controller/job/job_controller.go`, the first half of `syncJob`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kube.clock import parse_time, rfc3339
from kube.objects import Object, uid_of

from . import job_index
from .job_policy import (
    Backoff,
    all_index_failures,
    fails_index,
    finished_at,
    is_failed,
    job_failure,
    match,
    restarts_exceed_limit,
    success,
)
from .pod import is_active, phase_of

TRACKING = "batch.kubernetes.io/job-tracking"
"""The finalizer that keeps a pod until it has been counted."""

COMPLETIONS_REACHED = "CompletionsReached"


def is_indexed(job: Object) -> bool:
    return str(job["spec"].get("completionMode")) == "Indexed"


def is_suspended(job: Object) -> bool:
    return bool(job["spec"].get("suspend"))


def has_limit_per_index(job: Object) -> bool:
    return job["spec"].get("backoffLimitPerIndex") is not None


def is_tracked(pod: Mapping[str, Any]) -> bool:
    """Whether the pod waits to be counted."""
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def true_condition(job: Object, kind: str) -> Object | None:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind and each.get("status") == "True"), None)


def is_finished(job: Object) -> bool:
    return true_condition(job, "Complete") is not None or true_condition(job, "Failed") is not None


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    """A JobCondition as of now."""
    moment = rfc3339(now)
    said = {"type": kind, "status": status, "lastProbeTime": moment, "lastTransitionTime": moment, "reason": reason, "message": message}
    return {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a Job stands. `ending` is the condition that ends it (SuccessCriteriaMet, FailureTarget or Failed), None while it goes on."""

    succeeded: int
    failed: int
    ending: Object | None
    backoff: Backoff
    finished: frozenset[str] = frozenset()
    """The uids of the pods that had ended when this was judged. What ends later is for the next look."""
    counted_indexes: job_index.Indexes = ()
    succeeded_indexes: job_index.Indexes = ()
    failed_indexes: job_index.Indexes | None = None
    replaceable: Mapping[int, Object] = field(default_factory=dict)
    """By index: the failed pod whose failure count the next pod of that index must take over. It is kept until then."""
    deadline_in_s: float | None = None


def judge(job: Object, pods: Sequence[Object], backoff: Backoff, now: datetime) -> Verdict:
    """The verdict on a Job and its pods. `backoff` is the record of earlier looks."""
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    with_success = [pod for pod in pods if phase_of(pod) == "Succeeded"]
    with_failure = [pod for pod in pods if is_failed(job, pod)]
    new_succeeded = _new(job, uncounted.get("succeeded") or (), with_success)
    new_failed = _new(job, uncounted.get("failed") or (), with_failure)
    succeeded = (status.get("succeeded") or 0) + len(new_succeeded) + len(uncounted.get("succeeded") or ())
    counting = sum(1 for pod in new_failed if match(job, pod).counts)
    failed = (status.get("failed") or 0) + counting + len(uncounted.get("failed") or ())
    ending = _decided(job) or _failure(job, pods, failed, now)
    record = backoff.after(new_succeeded, new_failed)
    deadline_in_s = None if ending is not None else _deadline_in_s(job, now)
    finished = frozenset(uid_of(pod) for pod in (*with_success, *with_failure))
    verdict = Verdict(succeeded, failed, ending, record, finished, deadline_in_s=deadline_in_s)
    return _judge_indexes(job, pods, verdict, now) if is_indexed(job) else verdict


def _new(job: Object, uncounted: Iterable[str], finished: Iterable[Object]) -> list[Object]:
    """The finished pods that the status knows nothing of yet."""
    known = set(uncounted)
    completions = job["spec"].get("completions") if is_indexed(job) else None
    return [
        pod
        for pod in finished
        if is_tracked(pod) and uid_of(pod) not in known and (completions is None or job_index.index_of(pod, completions) is not None)
    ]


def _decided(job: Object) -> Object | None:
    """The ending that an earlier look decided on and wrote down."""
    met = true_condition(job, "SuccessCriteriaMet")
    if met is not None:
        return met
    target = true_condition(job, "FailureTarget")
    return None if target is None else {**target, "type": "Failed"}


def _failure(job: Object, pods: Sequence[Object], failed: int, now: datetime) -> Object | None:
    message = job_failure(job, pods)
    if message:
        return condition("FailureTarget", "True", "PodFailurePolicy", message, now)
    if failed > job["spec"].get("backoffLimit", 6) or restarts_exceed_limit(job, pods):
        return condition("FailureTarget", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit", now)
    remaining = _deadline_in_s(job, now)
    if remaining is not None and remaining <= 0:
        return condition("FailureTarget", "True", "DeadlineExceeded", "Job was active longer than specified deadline", now)
    return None


def _deadline_in_s(job: Object, now: datetime) -> float | None:
    """Seconds until activeDeadlineSeconds is over; None where no such clock runs."""
    limit = job["spec"].get("activeDeadlineSeconds")
    if limit is None or is_suspended(job):
        return None
    since = parse_time((job.get("status") or {}).get("startTime")) or now
    return (since + timedelta(seconds=limit) - now).total_seconds()


def _judge_indexes(job: Object, pods: Sequence[Object], so_far: Verdict, now: datetime) -> Verdict:
    status, completions = job.get("status") or {}, job["spec"].get("completions") or 0
    counted = job_index.parse(status.get("completedIndexes"), completions)
    done = job_index.with_indexes(counted, _indexes(pods, completions, lambda pod: phase_of(pod) == "Succeeded" and is_tracked(pod)))
    ending, lost, replaceable = so_far.ending, None, {}
    if has_limit_per_index(job):
        before = job_index.parse(status.get("failedIndexes"), completions)
        lost = job_index.with_indexes(before, _indexes(pods, completions, lambda pod: is_tracked(pod) and fails_index(job, pod)))
        ending = ending or _index_failure(job, done, lost, now)
        replaceable = _replaceable(job, pods, job_index.union(done, lost), completions)
    if ending is None and (message := success(job, done)):
        ending = condition("SuccessCriteriaMet", "True", "SuccessPolicy", message, now)
    return Verdict(
        succeeded=job_index.total(done),
        failed=so_far.failed,
        ending=ending,
        backoff=so_far.backoff,
        finished=so_far.finished,
        counted_indexes=counted,
        succeeded_indexes=done,
        failed_indexes=lost,
        replaceable=replaceable,
        deadline_in_s=so_far.deadline_in_s if ending is None else None,
    )


def _indexes(pods: Iterable[Object], completions: int, wanted: Callable[[Object], bool]) -> set[int]:
    return {index for pod in pods if wanted(pod) and (index := job_index.index_of(pod, completions)) is not None}


def _index_failure(job: Object, done: job_index.Indexes, lost: job_index.Indexes, now: datetime) -> Object | None:
    allowed, count = job["spec"].get("maxFailedIndexes"), job_index.total(lost)
    if allowed is not None and count > allowed:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return condition("FailureTarget", "True", "MaxFailedIndexesExceeded", message, now)
    if count > 0 and count + job_index.total(done) >= job["spec"]["completions"]:
        return condition("FailureTarget", "True", "FailedIndexes", "Job has failed indexes", now)
    return None


def _replaceable(job: Object, pods: Sequence[Object], over: job_index.Indexes, completions: int) -> dict[int, Object]:
    """For each index that still has to be tried again: its last failed pod that has not been counted."""
    active = _indexes(pods, completions, is_active)
    last: dict[int, Object] = {}
    for pod in pods:
        index = job_index.index_of(pod, completions)
        if index is None or index in active or job_index.has(over, index) or not is_tracked(pod) or not is_failed(job, pod):
            continue
        other = last.get(index)
        if other is None or (all_index_failures(other) <= all_index_failures(pod) and finished_at(other) <= finished_at(pod)):
            last[index] = pod
    return last
