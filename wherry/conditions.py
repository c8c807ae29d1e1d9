"""What can be waited for: `Ready`, `condition=Available=False`, `phase=Running`, `create`, `delete`, `rollout`, or any function. Pure.

The words are those of `kubectl wait --for` and `kubectl rollout status` (which see for when a rollout is over: kubectl
`pkg/polymorphichelpers/rollout_status.go`).
"""

from __future__ import annotations

from collections.abc import Callable

from kube.objects import Object, condition_of

Condition = str | Callable[[Object], object]
"""A name from the module's list, or a function of the object (which exists) whose truth is waited for."""
Check = Callable[[Object | None], bool]
"""Whether the object (None: there is none) is what is waited for."""


def check_of(condition: Condition) -> Check:
    """The check that a condition stands for. Raises ValueError for a name that means nothing."""
    if callable(condition):
        return lambda obj: obj is not None and bool(condition(obj))
    if condition in _NAMED:
        return _NAMED[condition]
    kind, equals, value = condition.partition("=")
    if kind == "phase" and value:
        return lambda obj: obj is not None and (obj.get("status") or {}).get("phase") == value
    if kind == "condition" and equals:
        kind, equals, value = value.partition("=")
    if not kind[:1].isupper() or (equals and not value):
        raise ValueError(f"{condition!r}: wait for a condition (Ready, Available=False), phase=..., create, delete, rollout or a function")
    return lambda obj: obj is not None and (condition_of(obj, kind) or {}).get("status") == (value or "True")


def is_rolled_out(obj: Object) -> bool:
    """Whether a Deployment, StatefulSet or DaemonSet is as its spec says, seen by its controller, updated and available."""
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    if obj.get("kind") == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) >= wanted and status.get("numberAvailable", 0) >= wanted)
    wanted = 1 if spec.get("replicas") is None else spec["replicas"]
    if obj.get("kind") == "StatefulSet":
        return _is_set_rolled_out(status, spec, wanted)
    counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    return counts == [wanted] * 3


def _is_set_rolled_out(status: Object, spec: Object, wanted: int) -> bool:
    if status.get("readyReplicas", 0) < wanted:
        return False
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return True
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if partition:
        return bool(status.get("updatedReplicas", 0) >= wanted - partition)
    return bool(status.get("updateRevision") == status.get("currentRevision"))


_NAMED: dict[str, Check] = {
    "create": lambda obj: obj is not None,
    "delete": lambda obj: obj is None,
    "rollout": lambda obj: obj is not None and is_rolled_out(obj),
}


def described(obj: Object | None) -> str:
    """What a status amounts to, in one line, for who waited in vain."""
    if obj is None:
        return "there is none"
    status = obj.get("status") or {}
    parts = [
        f"{key}={status[key]}" for key in ("phase", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas") if key in status
    ]
    for each in status.get("conditions") or ():
        why = ": ".join(filter(None, (each.get("reason"), each.get("message"))))
        parts.append(f"{each.get('type')}={each.get('status')}" + (f" ({why})" if why and each.get("status") != "True" else ""))
    return ", ".join(parts) or "it has no status"
