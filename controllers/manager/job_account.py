"""Counting a Job's pods, each exactly once, and writing down what came of it. Pure.

A finished pod is held by the finalizer `batch.kubernetes.io/job-tracking` until it is counted, in three steps that may be cut short
anywhere: its uid goes into `status.uncountedTerminatedPods`; its finalizer is removed; the counter grows as the uid leaves the list.
Here one look takes the first two steps and the next look the third. Source: upstream `trackJobStatusAndRemoveFinalizers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kube.clock import rfc3339
from kube.objects import Object, is_deleting, uid_of

from . import job_index
from .job_policy import is_failed, match
from .job_verdict import COMPLETIONS_REACHED, Verdict, condition, has_limit_per_index, is_indexed, is_suspended, is_tracked, true_condition
from .pod import is_active, is_ready, is_terminating, phase_of
from .status import omit_zeros

UNCOUNTED_MAX = 500
"""So many uids at most are in the status at once, to keep it below about 20 KB."""


@dataclass(slots=True)
class Account:
    """The status to write, the pods that may lose their finalizer once it is written, and the events (type, reason, message)."""

    status: Object
    release: list[Object] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)


def account(job: Object, pods: Sequence[Object], verdict: Verdict, now: datetime, *, managed: bool) -> Account:
    """Count the pods. `managed` says whether pods were created and deleted as wanted, so that Suspended may be told."""
    status = dict(job.get("status") or {})
    if not status.get("startTime") and not is_suspended(job):
        status["startTime"] = rfc3339(now)
    active = [pod for pod in pods if is_active(pod)]
    status["active"], status["ready"] = len(active), sum(1 for pod in active if is_ready(pod))
    status["terminating"] = sum(1 for pod in pods if is_terminating(pod))
    out = Account(status)
    ending = verdict.ending
    if ending is not None and active:
        ending = None  # not over before the last pod is on its way out
    elif ending is None and not active and _is_complete(job, verdict):
        message = "Reached expected number of succeeded pods"
        ending = condition("SuccessCriteriaMet", "True", COMPLETIONS_REACHED, message, now)
    if ending is None and verdict.ending is None and managed:
        _tell_suspension(job, out, now)
    is_full = _count(job, pods, verdict, ending, out)
    final = _note_ending(status, ending, now)
    if final is not None and not out.release and not is_full:
        _finish(job, out, final, now)
    out.status = _written(job, status)
    return out


def _is_complete(job: Object, verdict: Verdict) -> bool:
    completions = job["spec"].get("completions")
    return verdict.succeeded > 0 if completions is None else verdict.succeeded >= completions


# --- counting ---------------------------------------------------------------------------------------------------------------


def _count(job: Object, pods: Sequence[Object], verdict: Verdict, ending: Object | None, out: Account) -> bool:
    """Move the status's lists and counters on; True when there was more than one look can take."""
    status = out.status
    tracked = {uid_of(pod) for pod in pods if is_tracked(pod)}
    before = status.get("uncountedTerminatedPods") or {}
    lists = {}
    for field_name in ("succeeded", "failed"):
        uids = before.get(field_name) or []
        lists[field_name] = [uid for uid in uids if uid in tracked]
        status[field_name] = (status.get(field_name) or 0) + len(uids) - len(lists[field_name])
    new_indexes: set[int] = set()
    is_full = False
    for pod in sorted(pods, key=_by_index) if is_indexed(job) else pods:
        if not is_tracked(pod) or not _may_release(job, pod, verdict, ending):
            continue
        out.release.append(pod)
        _note(job, pod, verdict, ending, lists, new_indexes)
        if len(new_indexes) + len(lists["succeeded"]) + len(lists["failed"]) >= UNCOUNTED_MAX:
            is_full = True
            break
    status["uncountedTerminatedPods"] = {name: uids for name, uids in lists.items() if uids}
    if is_indexed(job):
        done = job_index.with_indexes(verdict.counted_indexes if is_full else verdict.succeeded_indexes, new_indexes)
        status["succeeded"], status["completedIndexes"] = job_index.total(done), job_index.text(done)
        if verdict.failed_indexes is not None:
            status["failedIndexes"] = job_index.text(verdict.failed_indexes)
    return is_full


def _by_index(pod: Object) -> int:
    index = job_index.index_of(pod)
    return -1 if index is None else index


def _may_release(job: Object, pod: Object, verdict: Verdict, ending: Object | None) -> bool:
    """Whether the pod needs its finalizer no longer, once it is written down."""
    if is_deleting(job) or ending is not None:
        return True
    if uid_of(pod) not in verdict.finished:
        return False  # still running, or ended after the verdict, which therefore knows nothing of how it ended
    if phase_of(pod) == "Succeeded":
        return True
    index = job_index.index_of(pod)
    kept = verdict.replaceable.get(index) if has_limit_per_index(job) and index is not None else None
    return kept is None or uid_of(kept) != uid_of(pod)


def _note(job: Object, pod: Object, verdict: Verdict, ending: Object | None, lists: dict[str, Any], new_indexes: set[int]) -> None:
    """Enter one pod into the lists that say how it ended."""
    uid, completions = uid_of(pod), job["spec"].get("completions") or 0
    index = job_index.index_of(pod, completions) if is_indexed(job) else None
    if phase_of(pod) == "Succeeded" and uid not in lists["failed"]:
        if not is_indexed(job):
            if uid not in lists["succeeded"]:
                lists["succeeded"].append(uid)
        elif index is not None and not job_index.has(verdict.counted_indexes, index):
            new_indexes.add(index)
        return
    if uid in lists["failed"] or (is_indexed(job) and index is None):
        return
    if _counts_as_failed(job, pod, ending) and match(job, pod).counts:
        lists["failed"].append(uid)


def _counts_as_failed(job: Object, pod: Object, ending: Object | None) -> bool:
    """A Job that fails takes all its pods down with it; one that succeeds early counts only those that failed by themselves."""
    if ending is None:
        return is_failed(job, pod)
    return ending["type"] != "SuccessCriteriaMet" or phase_of(pod) == "Failed"


# --- conditions -------------------------------------------------------------------------------------------------------------


def _tell_suspension(job: Object, out: Account, now: datetime) -> None:
    status = out.status
    conditions = status.get("conditions") or []
    current = next((each for each in conditions if each["type"] == "Suspended"), None)
    if is_suspended(job):
        said = condition("Suspended", "True", "JobSuspended", "Job suspended", now)
        event = ("Normal", "Suspended", "Job suspended")
    elif current is None:
        return
    else:
        said = condition("Suspended", "False", "JobResumed", "Job resumed", now)
        event = ("Normal", "Resumed", "Job resumed")
    if current is not None and all(current.get(field_name) == said.get(field_name) for field_name in ("status", "reason", "message")):
        return
    status["conditions"] = [said if each is current else each for each in conditions] if current is not None else [*conditions, said]
    out.events.append(event)
    if not is_suspended(job):
        status["startTime"] = rfc3339(now)  # activeDeadlineSeconds starts over


def _note_ending(status: Object, ending: Object | None, now: datetime) -> Object | None:
    """Write the interim condition down if it is new; the final condition that follows from it."""
    if ending is None:
        return None
    conditions = status.get("conditions") or []
    if ending["type"] != "Failed" and all(each["type"] != ending["type"] for each in conditions):
        status["conditions"] = [*conditions, ending]
    kind = "Complete" if ending["type"] == "SuccessCriteriaMet" else "Failed"
    return condition(kind, "True", ending.get("reason", ""), ending.get("message", ""), now)


def _finish(job: Object, out: Account, final: Object, now: datetime) -> None:
    """The final condition and its event, when nothing is left to count and no pod is on its way out any more."""
    status = out.status
    uncounted = status["uncountedTerminatedPods"]
    if uncounted or status["terminating"] > 0 or true_condition(job, final["type"]) is not None:
        return
    status["conditions"] = [*(status.get("conditions") or []), final]
    if final["type"] != "Complete":
        out.events.append(("Warning", final.get("reason", ""), final.get("message", "")))
        return
    status["completionTime"] = max(rfc3339(now), status.get("startTime") or "")  # clocks are set back; ending before it began is refused
    completions = job["spec"].get("completions")
    if completions is not None and status["succeeded"] > completions:
        message = "Too many succeeded pods running after completion count reached"
        out.events.append(("Warning", "TooManySucceededPods", message))
    out.events.append(("Normal", "Completed", "Job completed"))


def _written(job: Object, status: Object) -> Object:
    """The status as it goes over the wire: upstream's pointers are written even when zero."""
    pointers = ("ready", "terminating", "uncountedTerminatedPods", *(("failedIndexes",) if has_limit_per_index(job) else ()))
    return omit_zeros(status, keep=pointers)
