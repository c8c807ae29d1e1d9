"""What a DELETE does to an object: pure. Source: apiserver `registry/rest/delete.go` and `registry/generic/registry/store.go`.

An object is gone at once unless something holds it: finalizers (its own, or those that the propagation policy asks for), a grace
period, or what the kind says (a Namespace's spec.finalizers). Then it is marked with a deletionTimestamp and waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apiserver.registry.kind import Kind
from kube.clock import parse_time, rfc3339
from kube.errors import Conflict
from kube.objects import Object

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`gone`: remove it now. Otherwise `obj` is what to store (the very object given, when nothing changes)."""

    gone: bool
    obj: Object


def check_preconditions(kind: Kind, obj: Object, options: Object) -> None:
    """Raises Conflict where the options name another uid or resourceVersion."""
    wanted = options.get("preconditions") or {}
    meta = obj["metadata"]
    for field, label, verb in (("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")):
        asked = wanted.get(field)
        if asked is not None and asked != meta.get(field):
            raise Conflict(
                f'Operation cannot be fulfilled on {kind.resource.kind}{"." + kind.resource.group if kind.resource.group else ""} '
                f'"{meta["name"]}": the {label} in the precondition ({asked}) does not match the {label} in record ({meta.get(field)}). '
                f"The object might have been {verb}",
                details={"name": meta["name"], **({"group": kind.resource.group} if kind.resource.group else {}), "kind": kind.resource.kind},
            )


def _finalizers(kind: Kind, obj: Object, options: Object) -> list[str]:
    """The finalizers after the propagation policy has had its say."""
    present = [each for each in obj["metadata"].get("finalizers") or () if each not in (ORPHAN, FOREGROUND)]
    had = set(obj["metadata"].get("finalizers") or ())
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if policy is not None:
        wants = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(policy)
    elif orphan is not None:
        wants = ORPHAN if orphan else None
    elif ORPHAN in had:
        wants = ORPHAN
    elif FOREGROUND in had:
        wants = FOREGROUND
    else:
        wants = ORPHAN if kind.default_orphan else None
    return [*present, wants] if wants else present


def _grace(kind: Kind, obj: Object, options: Object) -> int:
    asked = options.get("gracePeriodSeconds")
    if kind.grace_period is None:
        return 0
    return kind.grace_period(obj, asked)


def plan(kind: Kind, obj: Object, options: Object, now: datetime) -> Outcome:
    """What becomes of `obj` (which is not changed) when it is deleted with `options` at `now`."""
    meta = obj["metadata"]
    finalizers = _finalizers(kind, obj, options)
    changed = dict(meta)
    new = {**obj, "metadata": changed}
    if "status" in obj:
        new["status"] = dict(obj["status"])  # what `mark_deleting` may change
    if finalizers != (meta.get("finalizers") or []):
        if finalizers:
            changed["finalizers"] = finalizers
        else:
            changed.pop("finalizers", None)
    grace = _grace(kind, obj, options)
    held = bool(finalizers) or kind.holds_deletion(obj)
    if meta.get("deletionTimestamp"):
        return _again(kind, obj, new, grace, held=held, asked=options.get("gracePeriodSeconds"))
    gone = not held and grace == 0
    if gone and kind.grace_period is None:
        return Outcome(True, new)
    changed["deletionTimestamp"] = rfc3339(now + timedelta(seconds=grace))
    if kind.marks_grace:
        changed["deletionGracePeriodSeconds"] = grace
    if meta.get("generation"):
        changed["generation"] = meta["generation"] + 1
    kind.mark_deleting(new)
    return Outcome(gone, new)


def _again(kind: Kind, obj: Object, new: Object, grace: int, *, held: bool, asked: int | None) -> Outcome:
    """A second delete can only shorten the grace period, and ends the wait where nothing else holds."""
    meta = obj["metadata"]
    before = meta.get("deletionGracePeriodSeconds") or 0
    if kind.grace_period is not None and before > 0:
        if asked is None or grace >= before:
            return Outcome(False, new)
        if grace > 0 or held:
            started = parse_time(meta["deletionTimestamp"])
            assert started is not None
            new["metadata"]["deletionTimestamp"] = rfc3339(started - timedelta(seconds=before) + timedelta(seconds=grace))
            new["metadata"]["deletionGracePeriodSeconds"] = grace
            return Outcome(False, new)
    if kind.grace_period is not None and grace == 0 and before:
        new["metadata"]["deletionGracePeriodSeconds"] = 0
    return Outcome(not held, new)


def is_released(kind: Kind, new: Object, old: Object) -> bool:
    """An update of a deleted object that took away the last thing holding it."""
    meta = new["metadata"]
    if not old["metadata"].get("deletionTimestamp") or meta.get("finalizers") or kind.holds_deletion(new):
        return False
    if not old["metadata"].get("finalizers") and not kind.holds_deletion(old):
        return False
    return not (meta.get("deletionGracePeriodSeconds") or 0)
