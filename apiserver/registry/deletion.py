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
from kube.errors import Conflict, conflict
from kube.objects import Object

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`gone`: remove it now. Otherwise `obj` is what to store (the very object given, when nothing changes).

    `told_first`: it goes, but watchers are to see it as `obj` before (a pod whose grace is over, whatever lost its orphan finalizer)."""

    gone: bool
    obj: Object
    told_first: bool = False


def check_preconditions(kind: Kind, obj: Object, options: Object) -> None:
    """Raises Conflict where the options name another uid or resourceVersion."""
    wanted = options.get("preconditions") or {}
    meta = obj["metadata"]
    for field, label, verb in (("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified")):
        asked = wanted.get(field)
        if asked is not None and asked != meta.get(field):
            if kind.marks_deletion:
                why = f"Precondition failed: {label} in precondition: {asked}, {label} in object meta: {meta.get(field)}"
                raise conflict(kind.resource.plural, kind.resource.group, meta["name"], why)
            raise Conflict(
                f"Operation cannot be fulfilled on {kind.resource.kind}{'.' + kind.resource.group if kind.resource.group else ''} "
                f'"{meta["name"]}": the {label} in the precondition ({asked}) does not match the {label} in record ({meta.get(field)}). '
                f"The object might have been {verb}",
                details={
                    "name": meta["name"],
                    **({"group": kind.resource.group} if kind.resource.group else {}),
                    "kind": kind.resource.kind,
                },
            )


def finalizers_after(kind: Kind, obj: Object, options: Object) -> list[str]:
    """The finalizers after the propagation policy has had its say; the object's own list when it changes nothing."""
    own: list[str] = obj["metadata"].get("finalizers") or []
    if not kind.has_dependents or not (kind.propagates or obj["metadata"].get("deletionTimestamp")):
        return own
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if orphan is not None:
        wants = ORPHAN if orphan else None
    elif policy is not None:
        wants = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(policy)
    else:
        wants = next((each for each in own if each in (ORPHAN, FOREGROUND)), ORPHAN if kind.default_orphan else None)
    kept = [each for each in own if each not in (ORPHAN, FOREGROUND)]
    wanted = [*kept, wants] if wants else kept
    return own if set(wanted) == set(own) else wanted


def plan(kind: Kind, obj: Object, options: Object, now: datetime) -> Outcome:
    """What becomes of `obj` (which is not changed) when it is deleted with `options` at `now`."""
    meta = obj["metadata"]
    asked, graceful = _asked(options), kind.grace_period is not None
    before = meta.get("deletionGracePeriodSeconds") or 0
    deleting = bool(meta.get("deletionTimestamp"))
    if graceful and deleting and before and (asked is None or asked >= before):
        return Outcome(False, obj)  # it goes already, and only sooner could be asked for
    if deleting and kind.holds_deletion(obj):
        return Outcome(False, obj)  # nothing is looked at until whoever holds it lets go
    changed = dict(meta)
    new = {**obj, "metadata": changed}
    if "status" in obj:
        new["status"] = dict(obj["status"])  # what `mark_deleting` may change
    finalizers = finalizers_after(kind, obj, options)
    if finalizers is not meta.get("finalizers"):
        changed.pop("finalizers", None)
        if finalizers:
            changed["finalizers"] = finalizers
    held = bool(finalizers) or kind.holds_deletion(obj)
    if deleting:
        marked = graceful and before > 0
        grace = (asked or 0) if marked else 0
        if marked:
            ends, grace = _shortened(meta["deletionTimestamp"], before, grace, now)
            changed["deletionTimestamp"] = rfc3339(ends)
            changed["deletionGracePeriodSeconds"] = grace
    else:
        marked = graceful or held
        grace = kind.grace_period(obj, asked) if kind.grace_period is not None else 0
        if marked:
            _mark(kind, new, now, grace)
    gone = not held and not grace
    return Outcome(gone, new, told_first=gone and (marked or changed.get("finalizers") != meta.get("finalizers")))


def _shortened(ends: str, before: int, grace: int, now: datetime) -> tuple[datetime, int]:
    """The end and the length of a grace period of `before` seconds that is to be one of `grace`. It does not end in the past; where it
    would, and is not to be skipped, one second of it is left for whoever has to act."""
    until = parse_time(ends)
    assert until is not None
    until += timedelta(seconds=grace - before)
    return (now, min(grace, 1)) if until < now else (until, grace)


def _asked(options: Object) -> int | None:
    """The seconds of grace asked for; a negative number is one second."""
    seconds: int | None = options.get("gracePeriodSeconds")
    return 1 if seconds is not None and seconds < 0 else seconds


def _mark(kind: Kind, new: Object, now: datetime, grace: int) -> None:
    meta = new["metadata"]
    meta["deletionTimestamp"] = rfc3339(now + timedelta(seconds=grace))
    if kind.marks_grace:
        meta["deletionGracePeriodSeconds"] = grace
    if meta.get("generation"):
        meta["generation"] += 1
    kind.mark_deleting(new)


def is_released(kind: Kind, new: Object, old: Object) -> bool:
    """An update of a deleted object that took away the last thing holding it."""
    meta = new["metadata"]
    if not old["metadata"].get("deletionTimestamp") or meta.get("finalizers") or kind.holds_deletion(new):
        return False
    if not old["metadata"].get("finalizers") and not kind.holds_deletion(old):
        return False
    return not (meta.get("deletionGracePeriodSeconds") or 0)
