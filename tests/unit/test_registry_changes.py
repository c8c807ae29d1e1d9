"""Generation, owners, no-ops, metadata of new and changed objects."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime

import pytest

from apiserver.registry.changes import count_generation, dedup_owners, null_empty_lists, same
from apiserver.registry.kind import Context, User
from apiserver.registry.metadata import (
    check_no_version,
    fill_new,
    keep_system_fields,
    new_uid,
    random_suffix,
    resource_version_number,
    wipe_new,
)
from kube.clock import rfc3339
from kube.errors import ApiError, InternalError
from kube.objects import Object
from kube.schema import definitions

NOW = datetime(2026, 1, 1, tzinfo=UTC)

CHANGES = {
    "the spec counts": ({"spec": {"n": 2}}, 4),
    "a field that goes counts": ({"spec": None}, 4),
    "the status does not": ({"status": {"n": 9}}, 3),
    "metadata does not": ({"metadata": {"generation": 3, "labels": {"a": "b"}}}, 3),
    "nothing does not": ({}, 3),
}


@pytest.mark.parametrize(("change", "generation"), CHANGES.values(), ids=CHANGES.keys())
def test_generation(change: Object, generation: int) -> None:
    old: Object = {"metadata": {"generation": 3}, "spec": {"n": 1}, "status": {}}
    new = {key: value for key, value in {**old, "metadata": {"generation": 3}, **change}.items() if value is not None}
    count_generation(new, old)
    assert new["metadata"]["generation"] == generation


def test_the_version_alone_is_no_difference() -> None:
    one: Object = {"metadata": {"name": "a", "resourceVersion": "1"}, "data": {"k": "v"}}
    assert same({"metadata": {"name": "a"}, "data": {"k": "v"}}, one)
    assert not same({"metadata": {"name": "a", "labels": {}}, "data": {"k": "v"}}, one)
    assert not same({"metadata": {"name": "a"}}, one)


def test_equal_owners_are_one_and_it_is_said() -> None:
    owner, other = {"uid": "u", "name": "a"}, {"uid": "v", "name": "b"}
    ctx = Context(User("u"), NOW, "create")
    meta: Object = {"ownerReferences": [owner, other, dict(owner), dict(owner)]}
    dedup_owners(meta, ctx)
    assert meta["ownerReferences"] == [owner, other]
    assert len(ctx.warnings) == 1
    assert ctx.warnings[0].endswith("duplicate UID(s) observed: u")
    dedup_owners(meta, ctx)
    assert len(ctx.warnings) == 1


def test_empty_lists_become_null_where_go_writes_null_for_none() -> None:
    of = definitions.load().type("io.k8s.api.rbac.v1.Role")
    obj: Object = {"metadata": {"finalizers": []}, "rules": [{"verbs": [], "resources": []}]}
    null_empty_lists(of, obj)
    assert obj == {"metadata": {"finalizers": []}, "rules": [{"verbs": None, "resources": []}]}
    obj = {"metadata": {}, "rules": []}
    null_empty_lists(of, obj)
    assert obj["rules"] is None


# --- metadata ---------------------------------------------------------------------------------------------------------


def test_a_new_objects_metadata_is_the_servers() -> None:
    obj: Object = {"metadata": {"generateName": "x" * 70, "uid": "mine", "selfLink": "/x", "deletionTimestamp": "then"}}
    fill_new(obj, timestamp=rfc3339(NOW), rng=random.Random(1))
    meta = obj["metadata"]
    assert re.fullmatch(r"x{58}[bcdfghjklmnpqrstvwxz2456789]{5}", meta["name"])
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", meta["uid"])
    assert meta["creationTimestamp"] == "2026-01-01T00:00:00Z"
    assert not meta.keys() & {"selfLink", "deletionTimestamp"}


def test_a_given_name_is_kept() -> None:
    obj: Object = {"metadata": {"generateName": "x-", "name": "mine"}}
    fill_new(obj, timestamp=rfc3339(NOW), rng=random.Random(1))
    assert obj["metadata"]["name"] == "mine"


def test_names_and_uids_come_from_the_chance_handed_in() -> None:
    assert random_suffix(random.Random(3)) == random_suffix(random.Random(3)) != random_suffix(random.Random(4))
    rng = random.Random(3)
    assert len({new_uid(rng) for _ in range(100)}) == 100


def test_wiping_takes_only_what_is_the_servers() -> None:
    meta: Object = {"name": "a", "uid": "u", "generation": 5, "resourceVersion": "3", "creationTimestamp": "then"}
    wipe_new(meta)
    assert meta == {"name": "a", "generation": 5, "resourceVersion": "3"}


@pytest.mark.parametrize("version", ["1", "42"])
def test_a_version_has_no_place_on_what_is_new(version: str) -> None:
    with pytest.raises(InternalError, match="resourceVersion should not be set on objects to be created"):
        check_no_version({"resourceVersion": version})


@pytest.mark.parametrize("version", ["", "0", "abc"])
def test_versions_that_are_none_are_dropped(version: str) -> None:
    meta = {"resourceVersion": version}
    check_no_version(meta)
    assert meta == {}


VERSIONS = {"none": (None, 0), "empty": ("", 0), "zero": ("0", 0), "a number": ("17", 17)}


@pytest.mark.parametrize(("text", "number"), VERSIONS.values(), ids=VERSIONS.keys())
def test_versions_of_clients(text: str | None, number: int) -> None:
    assert resource_version_number(text) == number


@pytest.mark.parametrize(("text", "why"), [("abc", "invalid syntax"), ("-1", "invalid syntax"), ("9" * 30, "value out of range")])
def test_versions_that_are_no_numbers(text: str, why: str) -> None:
    with pytest.raises(ApiError, match=why) as caught:
        resource_version_number(text)
    assert (caught.value.http_code, caught.value.http_reason) == (500, "")


def test_an_update_keeps_what_only_the_server_sets() -> None:
    old: Object = {
        "metadata": {
            "uid": "u",
            "creationTimestamp": "then",
            "resourceVersion": "7",
            "generation": 2,
            "deletionTimestamp": "soon",
            "deletionGracePeriodSeconds": 5,
        }
    }
    new: Object = {"metadata": {"creationTimestamp": "now", "resourceVersion": "1", "generation": 9, "selfLink": "/x"}}
    keep_system_fields(new, old)
    assert new == old
