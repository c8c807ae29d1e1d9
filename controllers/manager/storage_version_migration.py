"""StorageVersionMigrations as data: what they say, what a migration does next, and what is then said of it. Pure.

What is done: `storage_version_migrator.py`. Source of conditions and messages: upstream `pkg/controller/storageversionmigrator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from kube.clock import parse_time, rfc3339
from kube.objects import Object, condition_of, is_condition_true, name_of, with_condition
from kube.resources import Resource

from .discovery import Served

RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"
STORAGE_MIGRATING: Final = "StorageMigrating"
"""The condition of a CustomResourceDefinition whose objects are being migrated."""

VERBS: Final = ("update", "patch", "list")
"""What can be done with a resource whose objects are migrated."""

NEW: Final = timedelta(minutes=1)
"""So long after a migration was made its resource may still come."""

_REASON: Final = {SUCCEEDED: "StorageVersionMigrationSucceeded", FAILED: "StorageVersionMigrationFailed"}
Target = tuple[str, str]
"""(group, plural) of the resource to migrate"""


class Do(Enum):
    """What a migration is to do next."""

    FINISH = auto()
    """It has ended: tell the definition, and that it does not run any more."""
    BEGIN = auto()
    """Its turn has come."""
    WAIT = auto()
    """Its resource is not there, yet."""
    FAIL = auto()
    NOTE_VERSION = auto()
    """Remember the version as of which the objects are to be written again."""
    MIGRATE = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do with a migration; `message` is why it fails."""

    do: Do
    migration: Object
    message: str = ""


def plan(desired: Sequence[Object], observed: Served | None, now: datetime) -> list[Step]:
    """What to do next with the migrations of one resource, in this order. `observed` is the resource in discovery, None where it is not.

    One runs at a time: that which began, or else the oldest that has not ended."""
    steps = [Step(Do.FINISH, each) for each in desired if is_running(each) and is_over(each)]
    under_way = [each for each in desired if is_running(each) and not is_over(each)]
    steps += [_next(each, observed, now) for each in under_way]
    waiting = [each for each in desired if not is_running(each) and not is_over(each)]
    if waiting and not under_way:
        steps.append(Step(Do.BEGIN, min(waiting, key=_age)))
    return steps


def _age(migration: Object) -> tuple[str, str]:
    return migration["metadata"].get("creationTimestamp") or "", name_of(migration)


def _next(migration: Object, observed: Served | None, now: datetime) -> Step:
    version = noted_version(migration)
    if observed is None:
        if waits_s(migration, now) > 0:
            return Step(Do.WAIT, migration)
        return Step(
            Do.FAIL, migration, unhandled("unable to obtain GVR from discovery") if version else "resource does not exist in discovery"
        )
    if version:
        return Step(Do.MIGRATE, migration)
    if not observed.can(*VERBS):
        found = observed.resource
        named = f"{found.group}/{found.version}, Resource={found.plural}"
        return Step(Do.FAIL, migration, f'resource "{named}" does not support discovery operations: [{" ".join(VERBS)}]')
    return Step(Do.NOTE_VERSION, migration)


def unhandled(why: str) -> str:
    """What is said of a migration that failed at its work."""
    return f"migration encountered unhandled error: {why}"


def waits_s(migration: Object, now: datetime) -> float:
    """For how many seconds its resource may still come."""
    made = parse_time(migration["metadata"].get("creationTimestamp"))
    return (made + NEW - now).total_seconds() if made is not None else 0.0


# --- what a migration says --------------------------------------------------------------------------------------------------


def target_of(migration: Object) -> Target:
    resource = (migration.get("spec") or {}).get("resource") or {}
    return resource.get("group") or "", resource.get("resource") or ""


def noted_version(migration: Object) -> str:
    """As of which version of the resource its objects are to be written again; "" where that is not known yet."""
    return str((migration.get("status") or {}).get("resourceVersion") or "")


def is_running(migration: Object) -> bool:
    return is_condition_true(migration, RUNNING)


def is_over(migration: Object) -> bool:
    return is_condition_true(migration, SUCCEEDED) or is_condition_true(migration, FAILED)


def is_to_write(obj: Object, version: str) -> bool:
    """Whether an object is as it was at that version: what was written since is stored in the new form."""
    return int(obj["metadata"]["resourceVersion"]) <= int(version)


# --- what is said of it -----------------------------------------------------------------------------------------------------


def with_version(migration: Object, version: str) -> Object:
    return _with_status(migration, {"resourceVersion": version})


def begun(migration: Object, now: datetime) -> Object:
    return _with(migration, _condition(RUNNING, "True", "MigrationRunning", "The migration is running", now))


def finished(migration: Object, now: datetime) -> Object:
    return _with(migration, _condition(RUNNING, "False", "MigrationCompleted", "Migration completed", now))


def ended(migration: Object, how: str, now: datetime, message: str = "") -> Object:
    """`how` is SUCCEEDED or FAILED. What has been said of that already stays."""
    if condition_of(migration, how) is not None:
        return migration
    return _with(migration, _condition(how, "True", _REASON[how], message, now))


def _condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": rfc3339(now), "reason": reason, "message": message}


def _with(migration: Object, condition: Object) -> Object:
    return _with_status(migration, {"conditions": with_condition((migration.get("status") or {}).get("conditions"), condition)})


def _with_status(migration: Object, change: Object) -> Object:
    return {**migration, "status": {**(migration.get("status") or {}), **change}}


# --- what is said of a definition -------------------------------------------------------------------------------------------


def migrating_definition(definition: Object, migration: Object, now: datetime) -> Object:
    """The status to apply to a CustomResourceDefinition when a migration of its objects begins."""
    return _told(definition, "True", "MigrationRunning", f"Migration {name_of(migration)} is running", now)


def migrated_definition(definition: Object, migration: Object, now: datetime) -> Object:
    """The status to apply when it has ended. Where it has succeeded and the definition is as it was when it began, all that is stored is of
    the storage version, and `storedVersions` says so."""
    before = condition_of(definition, STORAGE_MIGRATING) or {}
    is_as_it_was = before.get("observedGeneration", 0) == definition["metadata"].get("generation")
    if not is_condition_true(migration, SUCCEEDED):
        # deviates: upstream trims storedVersions of a definition even when the migration has failed, and objects of old versions are left
        return _told(definition, "False", "MigrationFailed", "The migration has failed", now)
    if not is_as_it_was:
        message = "The migration has succeeded but the stored versions have not been updated due to a generation mismatch"
        return _told(definition, "False", "MigrationSucceeded", message, now)
    message = "The migration has succeeded and the stored versions have been updated"
    versions: Iterable[Object] = definition["spec"].get("versions") or ()
    stored = [each["name"] for each in versions if each.get("storage")]
    return _told(definition, "False", "MigrationSucceeded", message, now, stored)


def _told(definition: Object, status: str, reason: str, message: str, now: datetime, stored: Sequence[str] | None = None) -> Object:
    """With the stored versions as they are, unless they change: what is not applied again goes. What changed in between would make all of
    it untrue: the version is a precondition."""
    condition = _condition(STORAGE_MIGRATING, status, reason, message, now)
    condition["observedGeneration"] = definition["metadata"].get("generation", 0)
    versions = stored if stored is not None else (definition.get("status") or {}).get("storedVersions") or ()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name_of(definition), "resourceVersion": definition["metadata"]["resourceVersion"]},
        "status": {"conditions": [condition], "storedVersions": list(versions)},
    }


def rewriting(obj: Object, resource: Resource) -> Object:
    """What to apply to an object to have it written as it is. Its uid and version make a conflict of what has been changed, deleted, or
    made anew since: that needs no migration any more."""
    metadata = {"uid": obj["metadata"]["uid"], "resourceVersion": obj["metadata"]["resourceVersion"]}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
