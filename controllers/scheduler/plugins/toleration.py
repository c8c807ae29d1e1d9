"""Whether tolerations tolerate a taint. Pure. Source: `k8s.io/api/core/v1/toleration.go`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """An empty effect means every effect, an empty key with `Exists` every taint. `Gt` and `Lt` compare whole numbers."""
    effect = toleration.get("effect")
    if effect and effect != taint.get("effect"):
        return False
    key = toleration.get("key")
    if key and key != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    wanted, value = toleration.get("value") or "", taint.get("value") or ""
    if operator == "Equal":
        return bool(wanted == value)
    return _compares(operator, value, wanted)


def _compares(operator: str, value: str, bound: str) -> bool:
    try:
        number, limit = int(value), int(bound)
    except ValueError:
        return False
    return (operator == "Gt" and number > limit) or (operator == "Lt" and number < limit)


def tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of them tolerates the taint."""
    return any(tolerates(each, taint) for each in tolerations)


def first_untolerated(
    taints: Sequence[Mapping[str, Any]], tolerations: Sequence[Mapping[str, Any]], effects: frozenset[str]
) -> Mapping[str, Any] | None:
    """The first taint of one of these effects that none of the tolerations tolerates."""
    return next((each for each in taints if each.get("effect") in effects and not tolerated(each, tolerations)), None)


HARD = frozenset(("NoSchedule", "NoExecute"))
"""The effects that keep pods off a node."""
