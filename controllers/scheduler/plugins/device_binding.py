"""Devices that must be made ready before a pod is bound to their node, by whoever gives them: their conditions in the claim's status say
when they are, and when they will not be (KEP-5007). Pure.

Source: `plugins/dynamicresources/dynamicresources.go` (isClaimReadyForBinding, isClaimTimeout).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from kube.clock import parse_time
from kube.objects import Object, name_of

PENDING = "waiting for binding conditions for device on node {node}"


class BindingFailed(Exception):
    """The devices of a claim are not to be had."""


def has_conditions(claim: Object) -> bool:
    """Whether any of the claim's devices must be made ready first."""
    return any(each.get("bindingConditions") for each in _results(claim))


def is_ready(claim: Object) -> bool:
    """Whether all of the claim's devices are. Raises BindingFailed where one of them says that it will not be."""
    for result in _results(claim):
        if not result.get("bindingConditions"):
            continue
        conditions = _conditions_of(claim, result)
        if conditions is None:
            return False
        for each in result.get("bindingFailureConditions") or ():
            failed = conditions.get(each) or {}
            if failed.get("status") == "True":
                reason, message = failed.get("reason", ""), failed.get("message", "")
                raise BindingFailed(f'device binding failed: claim={name_of(claim)}, reason={reason}, message="{message}"')
        if any((conditions.get(each) or {}).get("status") != "True" for each in result["bindingConditions"]):
            return False
    return True


def is_late(claim: Object, now: datetime, timeout_s: float) -> bool:
    """Whether its devices have had long enough to get ready."""
    since = parse_time(_allocation(claim).get("allocationTimestamp"))
    return has_conditions(claim) and since is not None and since + timedelta(seconds=timeout_s) < now


def is_lost(claim: Object, now: datetime, timeout_s: float) -> bool:
    """Whether the devices that the claim has are not to be waited for any longer."""
    try:
        return not is_ready(claim) and is_late(claim, now, timeout_s)
    except BindingFailed:
        return True


def _allocation(claim: Object) -> Mapping[str, Any]:
    return (claim.get("status") or {}).get("allocation") or {}


def _results(claim: Object) -> list[Object]:
    found: list[Object] = (_allocation(claim).get("devices") or {}).get("results") or []
    return found


def _conditions_of(claim: Object, result: Object) -> dict[str, Object] | None:
    """What its driver says of a device, by type; None where it has said nothing yet."""
    wanted = [result.get(each) or "" for each in ("driver", "pool", "device", "shareID")]
    for told in (claim.get("status") or {}).get("devices") or ():
        if [told.get(each) or "" for each in ("driver", "pool", "device", "shareID")] == wanted:
            return {each["type"]: each for each in told.get("conditions") or ()}
    return None
