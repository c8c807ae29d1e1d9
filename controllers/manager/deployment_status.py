"""What a Deployment's status says: counts, Available, Progressing, ReplicaFailure. Pure.

`kubectl rollout status` reads `observedGeneration`, the counts and the reason ProgressDeadlineExceeded.
Source: upstream `pkg/controller/deployment/{progress,sync}.go` and `util/deployment_util.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from kube.clock import parse_time, rfc3339
from kube.objects import Object, condition_of, name_of

from .deployment_size import actual_replicas, available_replicas, max_unavailable, wanted_replicas
from .status import omit_zeros

NO_DEADLINE = 2**31 - 1
DEPLOYMENT_PAUSED = "DeploymentPaused"
DEPLOYMENT_RESUMED = "DeploymentResumed"
NEW_REPLICA_SET_AVAILABLE = "NewReplicaSetAvailable"
PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"


def condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    """A DeploymentCondition as of now."""
    moment = rfc3339(now)
    return {"type": kind, "status": status, "lastUpdateTime": moment, "lastTransitionTime": moment, "reason": reason, "message": message}


def with_deployment_condition(conditions: Sequence[Object], new: Object) -> list[Object]:
    """The conditions with `new` last in line; unchanged when only times or words would change (same status, same reason)."""
    current = _find(conditions, new["type"])
    if current is not None and current.get("status") == new["status"] and current.get("reason") == new["reason"]:
        return list(conditions)
    if current is not None and current.get("status") == new["status"]:
        new = {**new, "lastTransitionTime": current.get("lastTransitionTime", new["lastTransitionTime"])}
    return [*without_condition(conditions, new["type"]), new]


def without_condition(conditions: Iterable[Object], kind: str) -> list[Object]:
    return [each for each in conditions if each["type"] != kind]


def _find(conditions: Iterable[Object], kind: str) -> Object | None:
    return next((each for each in conditions if each["type"] == kind), None)


def deadline_s(deployment: Mapping[str, Any]) -> int | None:
    """progressDeadlineSeconds; None where the rollout may take for ever."""
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return None if deadline is None or deadline == NO_DEADLINE else int(deadline)


def counts(deployment: Object, new: Object | None, old: Sequence[Object], now: datetime) -> Object:
    """The status with its counts and its Available condition; Progressing and the rest stay as they are."""
    everything = [*old, *([new] if new is not None else [])]
    available = sum(available_replicas(each) for each in everything)
    before = deployment.get("status") or {}
    terminating = [each.get("status", {}).get("terminatingReplicas") for each in everything]
    if available >= wanted_replicas(deployment) - max_unavailable(deployment):
        said = condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        said = condition("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now)
    known = [int(each) for each in terminating if each is not None]
    return {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": sum(actual_replicas(each) for each in everything),
        "updatedReplicas": actual_replicas(new) if new is not None else 0,
        "readyReplicas": sum(int(each.get("status", {}).get("readyReplicas") or 0) for each in everything),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(wanted_replicas(each) for each in everything) - available),
        "terminatingReplicas": sum(known) if len(known) == len(terminating) else None,
        "collisionCount": before.get("collisionCount"),
        "conditions": with_deployment_condition(before.get("conditions") or [], said),
    }


def is_complete(deployment: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """All pods are of the new template and available, and nothing else is left."""
    wanted = wanted_replicas(deployment)
    fields = ("updatedReplicas", "replicas", "availableReplicas")
    observed = status.get("observedGeneration") or 0
    return all((status.get(field) or 0) == wanted for field in fields) and observed >= deployment["metadata"].get("generation", 0)


def is_progressing(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether more pods are new, ready or available, or fewer are old, than before."""

    def count(status: Mapping[str, Any], field: str) -> int:
        return int(status.get(field) or 0)

    def old_pods(status: Mapping[str, Any]) -> int:
        return count(status, "replicas") - count(status, "updatedReplicas")

    grown = any(count(after, field) > count(before, field) for field in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grown or old_pods(after) < old_pods(before)


def is_timed_out(deployment: Mapping[str, Any], conditions: Iterable[Object], now: datetime) -> bool:
    """Whether nothing has moved for longer than the progress deadline."""
    progressing, deadline = _find(conditions, "Progressing"), deadline_s(deployment)
    if progressing is None or deadline is None or progressing.get("reason") == NEW_REPLICA_SET_AVAILABLE:
        return False
    if progressing.get("reason") == PROGRESS_DEADLINE_EXCEEDED:
        return True
    since = parse_time(progressing.get("lastUpdateTime"))
    return since is not None and since + timedelta(seconds=deadline) < now


def rollout_status(deployment: Object, new: Object | None, old: Sequence[Object], now: datetime) -> Object:
    """The whole status during and after a rollout, with Progressing judged and failures of ReplicaSets passed on."""
    status = counts(deployment, new, old, now)
    if deadline_s(deployment) is None:
        status["conditions"] = without_condition(status["conditions"], "Progressing")
    elif not _is_settled(deployment, status):
        status["conditions"] = _judged(deployment, new, status, now)
    failure = _failure([*([new] if new is not None else []), *old])
    if failure is not None:
        status["conditions"] = with_deployment_condition(status["conditions"], failure)
    else:
        status["conditions"] = without_condition(status["conditions"], "ReplicaFailure")
    return status


def _is_settled(deployment: Object, status: Object) -> bool:
    """No rollout is under way: only one ReplicaSet has pods, and it was reported available. Then no progress is estimated."""
    current = condition_of(deployment, "Progressing")
    return status["replicas"] == status["updatedReplicas"] and current is not None and current.get("reason") == NEW_REPLICA_SET_AVAILABLE


def _judged(deployment: Object, new: Object | None, status: Object, now: datetime) -> list[Object]:
    conditions: list[Object] = status["conditions"]
    subject = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, status):
        said = condition("Progressing", "True", NEW_REPLICA_SET_AVAILABLE, f"{subject} has successfully progressed.", now)
        return with_deployment_condition(conditions, said)
    if is_progressing(deployment.get("status") or {}, status):
        said = condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        current = condition_of(deployment, "Progressing")
        if current is not None and current.get("status") == "True":
            said["lastTransitionTime"] = current.get("lastTransitionTime", said["lastTransitionTime"])
        return [*without_condition(conditions, "Progressing"), said]  # its lastUpdateTime moves with every step forward
    if is_timed_out(deployment, conditions, now):
        said = condition("Progressing", "False", PROGRESS_DEADLINE_EXCEEDED, f"{subject} has timed out progressing.", now)
        return with_deployment_condition(conditions, said)
    return conditions


def _failure(replica_sets: Iterable[Object]) -> Object | None:
    """The first ReplicaFailure, as a Deployment condition."""
    for each in replica_sets:
        found = condition_of(each, "ReplicaFailure")
        if found is not None:
            moment = found.get("lastTransitionTime", "")
            fields = {field: found.get(field, "") for field in ("type", "status", "reason", "message")}
            return {**fields, "lastUpdateTime": moment, "lastTransitionTime": moment}
    return None


def pause_condition(deployment: Object, now: datetime) -> Object | None:
    """The Progressing condition that notes a pause or its end, where that is news and no timeout was reported."""
    if deadline_s(deployment) is None:
        return None
    current = condition_of(deployment, "Progressing") or {}
    paused = bool(deployment["spec"].get("paused"))
    noted = current.get("reason") == DEPLOYMENT_PAUSED
    if current.get("reason") == PROGRESS_DEADLINE_EXCEEDED or paused == noted:
        return None
    if paused:
        return condition("Progressing", "Unknown", DEPLOYMENT_PAUSED, "Deployment is paused", now)
    return condition("Progressing", "Unknown", DEPLOYMENT_RESUMED, "Deployment is resumed", now)


def stuck_check_in_s(deployment: Object, status: Object, now: datetime) -> float | None:
    """Seconds until a rollout that does not move must be looked at again; None when no clock is running."""
    progressing, deadline = _find(status.get("conditions") or [], "Progressing"), deadline_s(deployment)
    if progressing is None or deadline is None:
        return None
    if is_complete(deployment, status) or progressing.get("reason") in (PROGRESS_DEADLINE_EXCEEDED, NEW_REPLICA_SET_AVAILABLE):
        return None
    since = parse_time(progressing.get("lastUpdateTime"))
    if since is None:
        return None
    return max(0.0, (since + timedelta(seconds=deadline) - now).total_seconds()) + 1


def written(status: Mapping[str, Any]) -> Object:
    """The status as it goes over the wire: zeros left out, terminatingReplicas written even when 0."""
    return omit_zeros(status, keep=() if status.get("terminatingReplicas") is None else ("terminatingReplicas",))
