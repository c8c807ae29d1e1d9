"""PriorityClasses. Source: kubernetes `pkg/apis/scheduling/validation/validation.go`, `pkg/apis/scheduling/v1/helpers.go`.

An update is looked at only for what must not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.validation.metadata import immutable
from kube.errors import FieldError, not_allowed, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

SYSTEM_PREFIX = "system-"
USER_PRIORITY_MAX = 1_000_000_000
SYSTEM_CLASSES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")


def validate(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    value, policy = new.get("value") or 0, new.get("preemptionPolicy")
    if old is not None:
        errors = [] if value == (old.get("value") or 0) else [not_allowed("value", "may not be changed in an update.")]
        return errors + immutable(policy, old.get("preemptionPolicy"), "preemptionPolicy")
    name = new["metadata"].get("name") or ""
    errors = []
    if name.startswith(SYSTEM_PREFIX):
        problem = _system_problem(name, value, is_default=bool(new.get("globalDefault")))
        if problem:
            why = f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {problem}"
            errors.append(not_allowed("metadata.name", why))
    elif value > USER_PRIORITY_MAX:
        errors.append(not_allowed("value", f"maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}"))
    if policy == "":
        errors.append(required("preemptionPolicy"))
    elif policy is not None and policy not in PREEMPTION_POLICIES:
        errors.append(not_supported("preemptionPolicy", policy, PREEMPTION_POLICIES))
    return errors


def _system_problem(name: str, value: int, *, is_default: bool) -> str:
    """Why this is none of the server's own classes; "" when it is one."""
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""
