"""StorageVersionMigrations: their rules and columns, and what a migration does next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apiserver.kinds.storagemigration import STORAGE_VERSION_MIGRATION
from apiserver.registry.kind import Context, User
from apiserver.validation.storage_version_migration import validate, validate_status
from controllers.manager.discovery import Served
from controllers.manager.storage_version_migration import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    Do,
    begun,
    ended,
    finished,
    is_to_write,
    migrated_definition,
    migrating_definition,
    plan,
    rewriting,
    with_version,
)
from kube.clock import rfc3339
from kube.objects import Object, name_of
from kube.resources import Resource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CTX = Context(user=User("a"), now=NOW, verb="update")
WIDGETS = Resource("example.com", "v1", "widgets", "Widget")
ABLE = Served(WIDGETS, frozenset({"create", "delete", "get", "list", "patch", "update", "watch"}))


def condition(kind: str, status: str = "True", **rest: Any) -> Object:
    return {"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "R", "message": "", **rest}


def migration(name: str = "m", *conditions: str, version: str = "", age_s: float = 0, group: str = "example.com") -> Object:
    status: Object = {"conditions": [condition(each) for each in conditions]} if conditions else {}
    if version:
        status["resourceVersion"] = version
    made = rfc3339(NOW - timedelta(seconds=age_s))
    resource = {"group": group, "resource": "widgets"}
    return {"metadata": {"name": name, "creationTimestamp": made}, "spec": {"resource": resource}, "status": status}


# --- rules ------------------------------------------------------------------------------------------------------------------


def fields(found: Any) -> list[tuple[str, str]]:
    return [(each.field, each.detail) for each in found]


@pytest.mark.parametrize(
    ("resource", "wrong"),
    [
        pytest.param({"resource": "widgets", "group": "example.com"}, [], id="a custom resource"),
        pytest.param({"resource": "pods", "group": ""}, [], id="the core group has no name"),
        pytest.param({}, ["spec.resource.resource"], id="none named"),
        pytest.param({"resource": "Widgets"}, ["spec.resource.resource"], id="no name of a resource"),
        pytest.param({"resource": "a.b", "group": "A_b"}, ["spec.resource.resource", "spec.resource.group"], id="no name of a group"),
    ],
)
def test_which_resources_can_be_named(resource: Object, wrong: list[str]) -> None:
    new = {**migration(), "spec": {"resource": resource}}
    assert [each.field for each in validate(new, None, CTX)] == wrong


def test_the_resource_stays() -> None:
    (found,) = validate(migration(group="other.example.com"), migration(), CTX)
    shown = '{"Resource":{"group":"other.example.com","resource":"widgets"}}'
    assert (found.field, found.message) == ("spec", f"Invalid value: {shown}: field is immutable")


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        pytest.param({}, {"resourceVersion": "5", "conditions": [condition(RUNNING)]}, [], id="a migration begins"),
        pytest.param({}, {"resourceVersion": "05"}, ["resource version is not well formed: 05"], id="a version with a zero in front"),
        pytest.param({}, {"resourceVersion": "0"}, ["resource version is not well formed: 0"], id="zero is no version"),
        pytest.param({"resourceVersion": "5"}, {"resourceVersion": "6"}, ["field is immutable"], id="another version"),
        pytest.param({"resourceVersion": "5"}, {}, ["field is immutable"], id="the version goes"),
        pytest.param(
            {},
            {"conditions": [condition(SUCCEEDED), condition(FAILED)]},
            ["Both success and failed conditions cannot be true at the same time"],
            id="both ends",
        ),
        pytest.param(
            {"conditions": [condition(SUCCEEDED)]},
            {"conditions": [condition(SUCCEEDED, "False")]},
            ["Success condition cannot be set to false once it is true"],
            id="a success is taken back",
        ),
        pytest.param(
            {"conditions": [condition(FAILED)]},
            {},
            ["Failed condition cannot be set to false once it is true"],
            id="a failure is taken back",
        ),
        pytest.param({}, {"conditions": [condition(RUNNING), condition(RUNNING)]}, ['Duplicate value: "Running"'], id="one type twice"),
        pytest.param(
            {},
            {"conditions": [condition(RUNNING, "")]},
            ['Unsupported value: "": supported values: "False", "True", "Unknown"'],
            id="a condition without a status",
        ),
    ],
)
def test_what_a_status_may_say(old: Object, new: Object, wrong: list[str]) -> None:
    found = validate_status({**migration(), "status": new}, {**migration(), "status": old}, CTX)
    assert len(found) == len(wrong)
    assert all(each.message.endswith(why) for each, why in zip(found, wrong, strict=True)), [each.message for each in found]


@pytest.mark.parametrize(
    ("conditions", "shown"),
    [
        pytest.param([], "Unknown", id="nothing said yet"),
        pytest.param([condition(RUNNING)], "Running", id="it runs"),
        pytest.param([condition(RUNNING, "False"), condition(SUCCEEDED)], "Succeeded", id="it has ended"),
        pytest.param([condition(FAILED), condition("Odd")], "Failed", id="others do not count"),
    ],
)
def test_the_row_of_a_migration(conditions: list[Object], shown: str) -> None:
    assert STORAGE_VERSION_MIGRATION.row is not None
    row = STORAGE_VERSION_MIGRATION.row({**migration(), "status": {"conditions": conditions}}, NOW)
    assert row == ["m", "widgets.example.com", shown]


# --- what comes next --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("migrations", "observed", "steps"),
    [
        pytest.param([migration()], ABLE, [(Do.BEGIN, "m", "")], id="the only one begins"),
        pytest.param(
            [migration("b", age_s=5), migration("a"), migration("c", age_s=5)], ABLE, [(Do.BEGIN, "b", "")], id="the oldest begins, by name"
        ),
        pytest.param([migration("a"), migration("b", RUNNING)], ABLE, [(Do.NOTE_VERSION, "b", "")], id="others wait for the one that runs"),
        pytest.param([migration("m", RUNNING, version="7")], ABLE, [(Do.MIGRATE, "m", "")], id="it goes on where it was"),
        pytest.param(
            [migration("a", RUNNING, SUCCEEDED), migration("b")],
            ABLE,
            [(Do.FINISH, "a", ""), (Do.BEGIN, "b", "")],
            id="one has ended, the next begins",
        ),
        pytest.param([migration("a", SUCCEEDED), migration("b", FAILED)], ABLE, [], id="all have ended"),
        pytest.param([migration("m", RUNNING, age_s=59)], None, [(Do.WAIT, "m", "")], id="its resource may still come"),
        pytest.param(
            [migration("m", RUNNING, age_s=60)],
            None,
            [(Do.FAIL, "m", "resource does not exist in discovery")],
            id="its resource does not come",
        ),
        pytest.param(
            [migration("m", RUNNING, version="7", age_s=60)],
            None,
            [(Do.FAIL, "m", "migration encountered unhandled error: unable to obtain GVR from discovery")],
            id="its resource has gone",
        ),
        pytest.param(
            [migration("m", RUNNING)],
            Served(WIDGETS, frozenset({"create"})),
            [
                (
                    Do.FAIL,
                    "m",
                    'resource "example.com/v1, Resource=widgets" does not support discovery operations: [update patch list]',
                )
            ],
            id="its resource is never stored",
        ),
    ],
)
def test_what_is_done_next(migrations: list[Object], observed: Served | None, steps: list[tuple[Do, str, str]]) -> None:
    assert [(each.do, name_of(each.migration), each.message) for each in plan(migrations, observed, NOW)] == steps


def test_what_a_migration_says_on_its_way() -> None:
    later = NOW + timedelta(seconds=5)
    running = with_version(begun(migration(), NOW), "7")
    done = finished(ended(running, SUCCEEDED, later), later)
    assert done["status"]["resourceVersion"] == "7"
    assert [(each["type"], each["status"], each["reason"], each["lastTransitionTime"]) for each in done["status"]["conditions"]] == [
        (RUNNING, "False", "MigrationCompleted", rfc3339(later)),
        (SUCCEEDED, "True", "StorageVersionMigrationSucceeded", rfc3339(later)),
    ]
    assert ended(done, SUCCEEDED, NOW, "again") is done


def test_what_was_written_since_is_stored_as_it_should_be() -> None:
    assert [is_to_write({"metadata": {"resourceVersion": each}}, "10") for each in ("9", "10", "11")] == [True, True, False]


def test_an_object_is_applied_to_without_a_field_of_it() -> None:
    obj = {"metadata": {"name": "w", "uid": "u", "resourceVersion": "3", "labels": {"a": "b"}}, "spec": {"x": 1}}
    assert rewriting(obj, WIDGETS) == {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"uid": "u", "resourceVersion": "3"}}


# --- what the definition is told --------------------------------------------------------------------------------------------


def definition(observed: int | None = None, generation: int = 2) -> Object:
    conditions = [condition("StorageMigrating", observedGeneration=observed)] if observed is not None else []
    versions = [{"name": "v1", "storage": False}, {"name": "v2", "storage": True}]
    return {
        "metadata": {"name": "widgets.example.com", "resourceVersion": "9", "generation": generation},
        "spec": {"versions": versions},
        "status": {"conditions": conditions, "storedVersions": ["v1", "v2"]},
    }


def told(status: Object) -> tuple[str, str, str, int, list[str]]:
    assert status["metadata"] == {"name": "widgets.example.com", "resourceVersion": "9"}
    (said,) = status["status"]["conditions"]
    return said["status"], said["reason"], said["message"], said["observedGeneration"], status["status"]["storedVersions"]


def test_a_definition_hears_of_the_beginning() -> None:
    assert told(migrating_definition(definition(), migration(), NOW)) == (
        *("True", "MigrationRunning", "Migration m is running", 2),
        ["v1", "v2"],
    )


@pytest.mark.parametrize(
    ("before", "how", "reason", "message", "stored"),
    [
        pytest.param(
            definition(2),
            SUCCEEDED,
            "MigrationSucceeded",
            "The migration has succeeded and the stored versions have been updated",
            ["v2"],
            id="only the storage version is left",
        ),
        pytest.param(
            definition(1),
            SUCCEEDED,
            "MigrationSucceeded",
            "The migration has succeeded but the stored versions have not been updated due to a generation mismatch",
            ["v1", "v2"],
            id="the definition has changed in between",
        ),
        pytest.param(definition(2), FAILED, "MigrationFailed", "The migration has failed", ["v1", "v2"], id="old objects are left"),
    ],
)
def test_a_definition_hears_of_the_end(before: Object, how: str, reason: str, message: str, stored: list[str]) -> None:
    assert told(migrated_definition(before, migration("m", RUNNING, how), NOW)) == ("False", reason, message, 2, stored)
