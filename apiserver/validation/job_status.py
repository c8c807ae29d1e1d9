"""The rules of a Job's status: what finished stays finished, and counts fit together. Source: kubernetes `pkg/apis/batch/validation` and
`pkg/registry/batch/job`, which looks at most rules only when one of the fields concerned changes."""

from __future__ import annotations

from apiserver.validation.job_indexes import IndexesError, first_overlap, parse_indexes
from apiserver.validation.job_policies import whole_invalid
from apiserver.validation.metadata import same
from apiserver.validation.workloads import counts_not_negative
from kube.clock import parse_time
from kube.errors import FieldError, duplicate, invalid, required
from kube.objects import Object, is_condition_true

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS = "status.conditions"

Errors = list[FieldError]


class _Change:
    """A Job before and after a write of its status."""

    def __init__(self, new: Object, old: Object) -> None:
        self.new, self.old = new, old
        self.status: Object = new.get("status") or {}
        self.before: Object = old.get("status") or {}
        self.spec: Object = new["spec"]

    def has(self, condition: str) -> bool:
        return is_condition_true(self.new, condition)

    def had(self, condition: str) -> bool:
        return is_condition_true(self.old, condition)

    def turned(self, *conditions: str) -> bool:
        """Whether one of the conditions is true now and was not, or the reverse."""
        return any(self.has(each) != self.had(each) for each in conditions)

    def differs(self, *fields: str) -> bool:
        return any(not same(self.status.get(each), self.before.get(each)) for each in fields)

    @property
    def finished(self) -> bool:
        return self.has("Complete") or self.has("Failed")

    @property
    def finishes(self) -> bool:
        return self.finished != (self.had("Complete") or self.had("Failed"))


def validate_job_status(new: Object, old: Object) -> Errors:
    """Everything wrong with the new status, and with coming there from the old one."""
    change = _Change(new, old)
    errors = counts_not_negative(change.status, _COUNTS, "status")
    errors += _uncounted(change.status.get("uncountedTerminatedPods") or {}, "status.uncountedTerminatedPods")
    return (
        errors
        + _outcome(change)
        + _times(change)
        + _finish(change)
        + _indexes(change)
        + _counts(change)
        + _success(change)
        + _steps(change)
    )


def _uncounted(pods: Object, path: str) -> Errors:
    errors: Errors = []
    seen: set[str] = set()
    for part in ("succeeded", "failed"):
        for index, uid in enumerate(pods.get(part) or ()):
            if not uid:
                errors.append(invalid(f"{path}.{part}[{index}]", uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(f"{path}.{part}[{index}]", uid))
            seen.add(uid)
    return errors


def _outcome(change: _Change) -> Errors:
    errors: Errors = []
    if change.has("Complete") and change.has("Failed") and change.turned("Complete", "Failed"):
        errors.append(whole_invalid(_CONDITIONS, "cannot set Complete=True and Failed=true conditions"))
    if change.has("Complete") and change.has("FailureTarget") and change.turned("Complete", "FailureTarget"):
        errors.append(whole_invalid(_CONDITIONS, "cannot set Complete=True and FailureTarget=true conditions"))
    return errors


def _times(change: _Change) -> Errors:
    path, completed = "status.completionTime", change.status.get("completionTime")
    started = change.status.get("startTime")
    errors: Errors = []
    if change.turned("Complete") or change.differs("completionTime"):
        if completed is not None and not change.has("Complete"):
            errors.append(invalid(path, completed, "cannot set completionTime when there is no Complete=True condition"))
        if completed is None and change.has("Complete"):
            errors.append(required(path, "completionTime is required for Complete jobs"))
    if change.differs("startTime", "completionTime"):
        start, end = parse_time(started), parse_time(completed)
        if start is not None and end is not None and end < start:
            errors.append(invalid(path, completed, "completionTime cannot be set before startTime"))
    return errors


def _finish(change: _Change) -> Errors:
    """What must hold once a job is finished."""
    errors: Errors = []
    if change.turned("Failed", "FailureTarget") and change.has("Failed") and not change.has("FailureTarget"):
        errors.append(whole_invalid(_CONDITIONS, "cannot set Failed=True condition without the FailureTarget=true condition"))
    if change.turned("Complete", "SuccessCriteriaMet") and change.has("Complete") and not change.has("SuccessCriteriaMet"):
        why = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        errors.append(whole_invalid(_CONDITIONS, why))
    if not change.finished:
        return errors
    status = change.status
    if (change.finishes or change.differs("active")) and (status.get("active") or 0) > 0:
        errors.append(invalid("status.active", status["active"], "active>0 is invalid for finished job"))
    if (change.finishes or change.differs("startTime")) and status.get("startTime") is None:
        errors.append(required("status.startTime", "startTime is required for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if (change.finishes or change.differs("uncountedTerminatedPods")) and (uncounted.get("failed") or uncounted.get("succeeded")):
        why = "uncountedTerminatedPods needs to be empty for finished job"
        errors.append(invalid("status.uncountedTerminatedPods", uncounted, why))
    return errors


def _indexes(change: _Change) -> Errors:
    """completedIndexes and failedIndexes, of Indexed jobs alone."""
    spec, status = change.spec, change.status
    completions, per_index = spec.get("completions"), spec.get("backoffLimitPerIndex")
    completed, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    errors: Errors = []
    if change.differs("completedIndexes") and completions is not None:
        errors += _index_format("completedIndexes", completed, completions)
    if change.differs("failedIndexes") and completions is not None and per_index is not None and failed is not None:
        errors += _index_format("failedIndexes", failed, completions)
    if change.differs("completedIndexes") and completed and spec.get("completionMode") != "Indexed":
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        errors.append(invalid("status.completedIndexes", completed, why))
    if change.differs("failedIndexes") and failed is not None and per_index is None:
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        errors.append(invalid("status.failedIndexes", failed, why))
    if change.differs("completedIndexes", "failedIndexes") and completions is not None and failed is not None:
        overlap = first_overlap(completed, failed, completions)
        if overlap is not None:
            why = f"failedIndexes and completedIndexes overlap at index: {overlap}"
            errors.append(invalid("status.failedIndexes", failed, why))
    return errors


def _index_format(name: str, text: str, completions: int) -> Errors:
    try:
        parse_indexes(text, completions)
    except IndexesError as problem:
        return [invalid(f"status.{name}", text, f"error parsing {name}: {problem}")]
    return []


def _counts(change: _Change) -> Errors:
    status = change.status
    terminating, ready = status.get("terminating") or 0, status.get("ready")
    errors: Errors = []
    if (change.finishes or change.differs("terminating")) and terminating > 0 and change.finished:
        errors.append(invalid("status.terminating", terminating, "terminating>0 is invalid for finished job"))
    if ready is not None and change.differs("ready", "active") and ready > (status.get("active") or 0):
        errors.append(invalid("status.ready", ready, "cannot set more ready pods than active"))
    return errors


def _success(change: _Change) -> Errors:
    met = change.has("SuccessCriteriaMet")
    errors: Errors = []
    if met and change.has("Failed"):
        errors.append(whole_invalid(_CONDITIONS, "cannot set SuccessCriteriaMet=True and Failed=true conditions"))
    if met and change.has("FailureTarget"):
        errors.append(whole_invalid(_CONDITIONS, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"))
    if change.spec.get("successPolicy") is not None and change.has("Complete") and not met:
        why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
        errors.append(whole_invalid(_CONDITIONS, why))
    return errors


def _steps(change: _Change) -> Errors:
    """What may not be taken back."""
    spec, status, before = change.spec, change.status, change.before
    errors: Errors = []
    for condition in ("Failed", "Complete", "FailureTarget"):
        if change.had(condition) and not change.has(condition):
            errors.append(whole_invalid(_CONDITIONS, f"cannot disable the terminal {condition}=True condition"))
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for name in ("failed",) if elastic else ("failed", "succeeded"):
        if (count := status.get(name) or 0) < (before.get(name) or 0):
            errors.append(invalid(f"status.{name}", count, f"cannot decrease the {name} counter"))
    completed, started = status.get("completionTime"), before.get("startTime")
    if completed is not None and before.get("completionTime") not in (None, completed):
        errors.append(invalid("status.completionTime", completed, "completionTime cannot be mutated"))
    if started is not None and status.get("startTime") != started and not spec.get("suspend"):
        errors.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    if change.had("SuccessCriteriaMet") and not change.has("SuccessCriteriaMet"):
        errors.append(whole_invalid(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition"))
    if change.had("Complete") and not change.had("SuccessCriteriaMet") and change.has("SuccessCriteriaMet"):
        why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        errors.append(whole_invalid(_CONDITIONS, why))
    return errors
