"""What becomes of a ResourceClaim's reservations: those of pods that are done go; without any, the devices are given back.

Only the transition from used to unused deallocates: a driver may allocate first and reserve later.
Source: upstream `pkg/controller/resourceclaim/controller.go`, syncClaim.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from kube.objects import Object, is_deleting, name_of, namespace_of, uid_of
from kube.resources import Resource
from kube.runtime.perform import Action, Delete, Update

CLAIMS: Final = Resource("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim")
FINALIZER: Final = "resource.kubernetes.io/delete-protection"
"""Holds a claim while it is allocated."""


def plan(desired: Object, observed: Collection[str], now: datetime, *, is_owner_done: bool = False) -> list[Action]:
    """What to do about the claim; `observed` are the uids of consumers that are done. After a status comes `without_finalizer` of it."""
    status = desired.get("status") or {}
    reserved = status.get("reservedFor") or []
    valid = [each for each in reserved if each["uid"] not in observed]
    actions: list[Action] = []
    if len(valid) < len(reserved):
        actions.append(_written(desired, valid, status.get("allocation") if valid else None))
    elif is_deleting(desired) and not valid and FINALIZER in _finalizers(desired):
        if status.get("allocation") is not None:
            actions.append(_written(desired, valid, None))
        elif (let_go := without_finalizer(desired)) is not None:
            actions.append(let_go)
    if not valid and is_owner_done and not is_deleting(desired):
        actions.append(Delete(CLAIMS, namespace_of(desired), name_of(desired), uid=uid_of(desired)))
    return actions


def without_finalizer(claim: Object) -> Update | None:
    """Let go of a claim that is not allocated (any more)."""
    if (claim.get("status") or {}).get("allocation") is not None or FINALIZER not in _finalizers(claim):
        return None
    kept = [each for each in _finalizers(claim) if each != FINALIZER]
    return Update(CLAIMS, {**claim, "metadata": {**claim["metadata"], "finalizers": kept}})


def _finalizers(claim: Object) -> list[str]:
    return claim["metadata"].get("finalizers") or []


def _written(claim: Object, reserved: list[Object], allocation: Object | None) -> Update:
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in ("reservedFor", "allocation")}
    if reserved:
        status["reservedFor"] = reserved
    if allocation is not None:
        status["allocation"] = allocation
    return Update(CLAIMS, {**claim, "status": status}, subresource="status")
