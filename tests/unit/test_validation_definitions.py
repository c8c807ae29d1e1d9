"""What is wrong with CustomResourceDefinitions."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.kinds.apiextensions import CUSTOM_RESOURCE_DEFINITION
from apiserver.validation import structural_schema
from kube.objects import Object
from tests.unit.judging import CRD, made, said


def crd(**spec: Any) -> list[str]:
    return said(CUSTOM_RESOURCE_DEFINITION, made(CUSTOM_RESOURCE_DEFINITION, name="gears.example.com", spec={**CRD, **spec}))


def test_a_definition_that_is_right_passes() -> None:
    assert crd() == []


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param(
            {"scope": "Global"}, ['spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced"'], id="scope"
        ),
        pytest.param(
            {"names": {"plural": "gears", "kind": "Gear", "listKind": "Gear"}},
            ['spec.names.listKind: Invalid value: "Gear": kind and listKind may not be the same'],
            id="a list of the kind's own name",
        ),
        pytest.param(
            {"names": {"plural": "wheels", "kind": "Wheel"}},
            ['metadata.name: Invalid value: "gears.example.com": must be spec.names.plural+"."+spec.group'],
            id="another name",
        ),
        pytest.param(
            {"conversion": {"strategy": "Webhook"}},
            [
                "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                "spec.conversion.conversionReviewVersions: Required value",
            ],
            id="a webhook that is not told",
        ),
    ],
)
def test_definitions_are_refused(spec: Object, wanted: list[str]) -> None:
    assert crd(**spec) == wanted


def test_what_versions_share_is_named_once_and_what_they_do_not_for_each() -> None:
    bad = {"openAPIV3Schema": {"type": "array", "items": {"type": "string"}}}
    first = {**CRD["versions"][0], "schema": bad}
    second = {"name": "v2", "served": True, "storage": False, "schema": bad}
    wanted = 'type: Invalid value: "array": must be object at the root'
    assert crd(versions=[first, second]) == [f"spec.validation.openAPIV3Schema.{wanted}"]
    assert crd(versions=[CRD["versions"][0], second]) == [f"spec.versions[1].schema.openAPIV3Schema.{wanted}"]


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        pytest.param({}, ["s.properties[x].type: Required value: must not be empty for specified object fields"], id="no type"),
        pytest.param({"x-kubernetes-int-or-string": True}, [], id="a number or a text needs no type"),
        pytest.param(
            {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, [], id="and may say so once more"
        ),
        pytest.param({"type": "array"}, ["s.properties[x].items: Required value: must be specified"], id="a list of what"),
        pytest.param(
            {"type": "string", "not": {"description": "x"}},
            ["s.properties[x].not.description: Forbidden: must be empty to be structural"],
            id="a shape inside a negation",
        ),
        pytest.param(
            {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object"}},
            ['s.properties[x].x-kubernetes-list-map-keys: Invalid value: ["k"]: entries must all be names of item properties'],
            id="a key that items have not",
        ),
        pytest.param(
            {"type": "string", "pattern": "(?=a)"},
            [
                's.properties[x].pattern: Invalid value: "(?=a)": must be a valid regular expression, but isn\'t: error parsing regexp: '
                "invalid or unsupported Perl syntax: `(?=`"
            ],
            id="a pattern that Go does not know",
        ),
    ],
)
def test_schemas_must_be_structural(schema: Object, wanted: list[str]) -> None:
    found = structural_schema.validate_schema({"type": "object", "properties": {"x": schema}}, "s")
    assert [str(each) for each in found] == wanted


def test_a_schema_without_end_is_refused() -> None:
    schema: Object = {"type": "object"}
    for _ in range(structural_schema.DEPTH_MAX + 5):
        schema = {"type": "object", "properties": {"x": schema}}
    found = structural_schema.validate_schema(schema, "s")
    assert [each.message for each in found] == ["Forbidden: schemas may not be nested deeper than 200"]
