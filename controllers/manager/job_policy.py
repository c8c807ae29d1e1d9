"""How a Job judges its pods: which failures count, which end the Job, when enough have succeeded, how long to wait before trying again.

Pure. Source: upstream `pkg/controller/job/{pod_failure_policy,success_policy,backoff_utils}.go` (KEP-3329, KEP-3850, KEP-3998).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kube.clock import parse_time
from kube.objects import Object, annotations_of, condition_of, is_deleting, name_of, namespace_of

from . import job_index
from .pod import phase_of

INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
BACKOFF_FIRST_S = 10.0
BACKOFF_MAX_S = 600.0
_INT32_MAX = 2**31 - 1


# --- failures ---------------------------------------------------------------------------------------------------------------


def replaces_only_failed(job: Object) -> bool:
    """Whether a pod being deleted is waited for until it has really ended (podReplacementPolicy Failed, or any podFailurePolicy)."""
    return job["spec"].get("podReplacementPolicy") == "Failed" or job["spec"].get("podFailurePolicy") is not None


def is_failed(job: Object, pod: Mapping[str, Any]) -> bool:
    """Failed, or being deleted where that counts as a failure: an orphaned pod never gets as far as phase Failed."""
    phase = phase_of(pod)
    if phase == "Failed":
        return True
    return not replaces_only_failed(job) and is_deleting(pod) and phase != "Succeeded"


@dataclass(frozen=True, slots=True)
class Match:
    """What a podFailurePolicy makes of one failed pod. `message` is set when the whole Job fails for it."""

    action: str = "Count"
    message: str = ""

    @property
    def counts(self) -> bool:
        return self.action != "Ignore"


def match(job: Object, pod: Object) -> Match:
    """The first rule of the podFailurePolicy that speaks about this failure; without one it just counts."""
    for position, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule.get("action", "")
        if rule.get("onExitCodes") is not None:
            found = _exited(pod, rule["onExitCodes"])
            why = f"Container {found[0]} for pod {_full_name(pod)} failed with exit code {found[1]}" if found else ""
        else:
            kind = _matching_condition(pod, rule.get("onPodConditions") or ())
            why = f"Pod {_full_name(pod)} has condition {kind}" if kind else ""
        if why and action in ("Ignore", "FailIndex", "Count"):
            return Match(action)
        if why and action == "FailJob":
            return Match(action, f"{why} matching {action} rule at index {position}")
    return Match()


def _full_name(pod: Object) -> str:
    return f"{namespace_of(pod)}/{name_of(pod)}"


def _exited(pod: Object, requirement: Mapping[str, Any]) -> tuple[str, int] | None:
    """(container, exit code) of the first container that ended badly in a way the requirement names."""
    status = pod.get("status", {})
    for each in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        terminated = (each.get("state") or {}).get("terminated")
        if terminated is None or requirement.get("containerName") not in (None, each.get("name")):
            continue
        code = terminated.get("exitCode", 0)
        listed = code in (requirement.get("values") or ())
        if code != 0 and ((requirement.get("operator") == "In" and listed) or (requirement.get("operator") == "NotIn" and not listed)):
            return each.get("name", ""), code
    return None


def _matching_condition(pod: Object, patterns: Sequence[Mapping[str, Any]]) -> str:
    wanted = {(each.get("type"), each.get("status", "True")) for each in patterns}
    conditions = pod.get("status", {}).get("conditions") or ()
    return next((str(each["type"]) for each in conditions if (each.get("type"), each.get("status")) in wanted), "")


def job_failure(job: Object, pods: Iterable[Object]) -> str:
    """The message of the first pod failure for which the whole Job fails at once; "" when there is none."""
    if job["spec"].get("podFailurePolicy") is None:
        return ""
    return next((message for pod in pods if is_failed(job, pod) and (message := match(job, pod).message)), "")


def index_failures(pod: Mapping[str, Any]) -> int:
    """How many counted failures of this index came before this pod."""
    return _count(pod, INDEX_FAILURES)


def all_index_failures(pod: Mapping[str, Any]) -> int:
    return _count(pod, INDEX_FAILURES) + _count(pod, INDEX_IGNORED_FAILURES)


def _count(pod: Mapping[str, Any], annotation: str) -> int:
    text = annotations_of(pod).get(annotation, "")
    return int(text) if text.isdecimal() and int(text) <= _INT32_MAX else 0


def fails_index(job: Object, pod: Object) -> bool:
    """Whether this pod's failure was its index's last."""
    if not is_failed(job, pod):
        return False
    found = match(job, pod)
    return found.action == "FailIndex" or (found.counts and index_failures(pod) >= job["spec"]["backoffLimitPerIndex"])


def next_index_failures(job: Object, replaced: Object | None) -> dict[str, str]:
    """The annotations that count an index's failures, for the pod that replaces `replaced`."""
    if replaced is None:
        return {INDEX_FAILURES: "0"}
    counted, ignored = index_failures(replaced), _count(replaced, INDEX_IGNORED_FAILURES)
    if match(job, replaced).counts:
        counted += 1
    else:
        ignored += 1
    return {INDEX_FAILURES: str(counted)} | ({INDEX_IGNORED_FAILURES: str(ignored)} if ignored else {})


def restarts_exceed_limit(job: Object, pods: Iterable[Object]) -> bool:
    """For pods that restart in place (OnFailure): whether their containers were restarted as often as backoffLimit allows."""
    spec = job["spec"]
    if ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in pods:
        if phase_of(pod) in ("Running", "Pending"):
            status = pod.get("status", {})
            statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
            restarts += sum(each.get("restartCount", 0) for each in statuses)
    limit = spec.get("backoffLimit", 6)
    return bool(restarts > 0 if limit == 0 else restarts >= limit)


# --- success ----------------------------------------------------------------------------------------------------------------


def success(job: Object, succeeded: job_index.Indexes) -> str:
    """The message of the first successPolicy rule that is met; "" when none is."""
    rules = (job["spec"].get("successPolicy") or {}).get("rules") or ()
    completions = job["spec"].get("completions") or 0
    for position, rule in enumerate(rules if succeeded else ()):
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is not None:
            required = job_index.parse(rule["succeededIndexes"], completions)
            reached = job_index.overlap(required, succeeded)
            is_met = bool(required) and (reached == job_index.total(required) or (count is not None and reached >= count))
        else:
            is_met = count is not None and job_index.total(succeeded) >= count
        if is_met:
            return f"Matched rules at index {position}"
    return ""


# --- back-off ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backoff:
    """How many pods failed since the last one succeeded, and when the last of them did."""

    failures: int = 0
    last_failure: datetime | None = None

    def after(self, succeeded: Sequence[Object], failed: Sequence[Object]) -> Backoff:
        """The record with these newly finished pods in it. A success forgets the failures before it."""
        failures = sorted(finished_at(pod) for pod in failed)
        if not succeeded:
            return Backoff(self.failures + len(failures), failures[-1]) if failures else self
        last_success = max(finished_at(pod) for pod in succeeded)
        later = [each for each in failures if each > last_success]
        return Backoff(len(later), later[-1] if later else None)

    def remaining_s(self, now: datetime) -> float:
        return remaining_s(self.failures, self.last_failure, now)


def remaining_s(failures: int, last_failure: datetime | None, now: datetime) -> float:
    """Seconds until the next try: 10 s after the first failure, doubling up to ten minutes."""
    if failures == 0 or last_failure is None:
        return 0.0
    wait: float = min(BACKOFF_FIRST_S * 2 ** min(failures - 1, 10), BACKOFF_MAX_S)
    return max(0.0, wait - (now - last_failure).total_seconds())


def remaining_of_index_s(replaced: Object | None, now: datetime) -> float:
    """The same for one index whose last pod was `replaced`."""
    if replaced is None:
        return 0.0
    return remaining_s(all_index_failures(replaced) + 1, finished_at(replaced), now)


def finished_at(pod: Object) -> datetime:
    """When the pod ended: by its containers, else its Ready condition, else its deletion, else its creation."""
    ended = [parse_time(((each.get("state") or {}).get("terminated") or {}).get("finishedAt")) for each in _statuses(pod)]
    times = [each for each in ended if each is not None]
    if times and len(times) == len(ended):
        return max(times)
    ready = condition_of(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and (since := parse_time(ready.get("lastTransitionTime"))):
        return since
    metadata = pod["metadata"]
    if deleted := parse_time(metadata.get("deletionTimestamp")):
        return deleted - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return parse_time(metadata.get("creationTimestamp")) or datetime.min.replace(tzinfo=UTC)


def _statuses(pod: Object) -> list[Object]:
    return list(pod.get("status", {}).get("containerStatuses") or ())
