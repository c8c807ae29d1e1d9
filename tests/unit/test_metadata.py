"""Metadata: what is refused when objects are made and changed, and how often each thing is said."""

from __future__ import annotations

import pytest

from apiserver.validation import metadata
from kube.objects import Object

UID = "5d0a5b3e-1c2d-4e5f-8a9b-0c1d2e3f4a5b"
OWNER: Object = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": UID}
STORED: Object = {"name": "web", "namespace": "default", "uid": UID, "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z"}


def said(meta: Object, *, legacy_finalizers: bool = False) -> list[str]:
    whole = {"name": "web", "namespace": "default", **meta}
    found = metadata.validate_object_meta(whole, namespaced=True, name_rule="subdomain", legacy_finalizers=legacy_finalizers)
    return [str(each) for each in found]


@pytest.mark.parametrize(
    ("meta", "wanted"),
    [
        pytest.param({"name": ""}, ["metadata.name: Required value: name or generateName is required"], id="a name is needed"),
        pytest.param({"namespace": ""}, ["metadata.namespace: Required value"], id="a namespace is needed"),
        pytest.param(
            {"generation": -1}, ["metadata.generation: Invalid value: -1: must be greater than or equal to 0"], id="a negative generation"
        ),
        pytest.param(
            {"finalizers": ["orphan", "foregroundDeletion"]},
            [
                'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be '
                "both set"
            ],
            id="two finalizers of the garbage collector",
        ),
        pytest.param(
            {"ownerReferences": [{**OWNER, "uid": ""}]},
            ['metadata.ownerReferences.uid: Invalid value: "": must not be empty'],
            id="an owner without a uid",
        ),
        pytest.param(
            {"ownerReferences": [{**OWNER, "apiVersion": "a/b/c"}]},
            ['metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty'],
            id="an owner of no version",
        ),
        pytest.param(
            {"managedFields": [{"operation": "Guess", "fieldsType": "FieldsV2"}]},
            [
                'metadata.managedFields[0].operation: Invalid value: "Guess": must be `Apply` or `Update`',
                'metadata.managedFields[0].fieldsType: Invalid value: "FieldsV2": must be `FieldsV1`',
            ],
            id="managed fields of an unknown kind",
        ),
        pytest.param(
            {"annotations": {"a": "x" * (256 * 1024)}},
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
            id="annotations of more than 256 KiB",
        ),
    ],
)
def test_bad_metadata_is_refused(meta: Object, wanted: list[str]) -> None:
    assert said(meta) == wanted


def test_two_controllers_are_named_both() -> None:
    owners = [{**OWNER, "controller": True}, {**OWNER, "name": "other", "controller": True}]
    why = 'Only one reference can have Controller set to true. Found "true" in references for ReplicaSet/web and ReplicaSet/other'
    assert [each.rpartition("}]: ")[2] for each in said({"ownerReferences": owners})] == [why]


def test_a_finalizer_without_a_domain_is_refused_only_by_older_kinds() -> None:
    assert said({"finalizers": ["mine"]}) == []
    assert said({"finalizers": ["mine"]}, legacy_finalizers=True) == [
        'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified'
    ]


@pytest.mark.parametrize("name", ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"])
def test_what_the_server_sets_never_changes(name: str) -> None:
    found = metadata.validate_object_meta_update({**STORED, name: "2027-01-01T00:00:00Z"}, STORED)
    assert [str(each) for each in found] == [f'metadata.{name}: Invalid value: "2027-01-01T00:00:00Z": field is immutable']


def test_a_deleted_object_gets_no_new_finalizers() -> None:
    old = {**STORED, "deletionTimestamp": "2026-01-02T00:00:00Z", "finalizers": ["a.b/c"]}
    found = metadata.validate_object_meta_update({**old, "finalizers": ["a.b/c", "a.b/d"]}, old)
    assert [each.message for each in found] == [
        'Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.b/d"}'
    ]


@pytest.mark.parametrize(
    ("passes", "times"),
    [
        pytest.param((), 2, id="a kind whose own rules leave metadata alone"),
        pytest.param(("update",), 3, id="a kind that looks at the change"),
        pytest.param(("update", "create"), 4, id="a kind that looks at the change and at the whole"),
    ],
)
def test_each_fault_is_said_as_often_as_upstream_looks(passes: tuple[str, ...], times: int) -> None:
    new = {**STORED, "labels": {"a": "b c"}}
    found = metadata.update_errors(new, STORED, namespaced=True, name_rule="subdomain", passes=passes, legacy_finalizers=True)
    assert len(found) == times
    assert {each.field for each in found} == {"metadata.labels"}


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        pytest.param(None, [], id="no selector"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, [], id="a key that must be there"),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
            ["s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
            id="In without values",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            ["s.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"],
            id="Exists with values",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "Is"}]},
            ['s.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator'],
            id="an operator that does not exist",
        ),
    ],
)
def test_label_selectors(selector: Object | None, wanted: list[str]) -> None:
    assert [str(each) for each in metadata.validate_label_selector(selector, "s")] == wanted


@pytest.mark.parametrize(
    ("manager", "wanted"),
    [
        pytest.param("kubectl client", [], id="blanks are fine"),
        pytest.param("a\tb", ["invalid character U+0009 (at position 1)"], id="a tab is not"),
        pytest.param("é\u200b", ["invalid character U+200B (at position 2)"], id="positions are bytes"),
    ],
)
def test_field_managers(manager: str, wanted: list[str]) -> None:
    assert [each.message.partition(": ")[2].rpartition(": ")[2] for each in metadata.validate_field_manager(manager)] == wanted


def test_empty_and_absent_are_the_same() -> None:
    assert metadata.same({"a": {}, "b": [1]}, {"b": [1], "c": ""})
    assert not metadata.same({"a": 0}, {})
    assert metadata.immutable(None, [], "spec.x") == []
