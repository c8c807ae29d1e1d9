"""Schemas of definitions: what is structural, what is not, and the words for it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apiserver.validation.custom.field_path import FieldPathError, field_at
from apiserver.validation.structural_schema import DEPTH_MAX, validate_schema
from kube.go_regexp import regexp_problem

Schema = dict[str, Any]
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def wrapped(field: Schema) -> Schema:
    return {"type": "object", "properties": {"f": field}}


def texts(schema: Schema, **rest: Any) -> list[str]:
    return [str(each) for each in validate_schema(schema, "s", **rest)]


def list_map(items: Schema, *keys: str) -> Schema:
    return {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys), "items": items}


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"type": "string"}, id="a string"),
        pytest.param({"x-kubernetes-int-or-string": True}, id="an int or string says no type"),
        pytest.param({"x-kubernetes-int-or-string": True, "anyOf": INT_OR_STRING}, id="an int or string may say its types"),
        pytest.param({"x-kubernetes-int-or-string": True, "allOf": [{"anyOf": INT_OR_STRING}]}, id="in the first of allOf, too"),
        pytest.param({"type": "string", "anyOf": INT_OR_STRING}, id="the exception is not asked for the extension"),
        pytest.param({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True}, id="a plain yes beside"),
        pytest.param({"type": "object", "oneOf": [{"properties": {"b": {"minLength": 1}}}]}, id="completeness is asked of the root only"),
        pytest.param({"x-kubernetes-int-or-string": True, "default": True}, id="the default of an int or string may be anything"),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "string", "default": 5}}, id="defaults of map values do not count"
        ),
        pytest.param({"type": "string", "format": "banana"}, id="an unknown format"),
    ],
)
def test_what_is_fine(field: Schema) -> None:
    assert texts(wrapped(field)) == []


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param({}, ["type: Required value: must not be empty for specified object fields"], id="no type"),
        pytest.param({"type": "array"}, ["items: Required value: must be specified"], id="a list of nothing"),
        pytest.param(
            {"type": "array", "items": {}}, ["items.type: Required value: must not be empty for specified array items"], id="items, no type"
        ),
        pytest.param(
            {"type": "null"},
            [
                'type: Unsupported value: "null": supported values: "array", "boolean", "integer", "number", "object", "string"',
                "type: Forbidden: type cannot be set to null, use nullable as an alternative",
            ],
            id="type null",
        ),
        pytest.param(
            {"type": "string", "not": {"type": "string", "nullable": True, "x-kubernetes-preserve-unknown-fields": True}},
            [
                "not.nullable: Forbidden: must be false to be structural",
                "not.type: Forbidden: must be empty to be structural",
                "not.x-kubernetes-preserve-unknown-fields: Forbidden: must be false to be structural",
            ],
            id="alternatives shape nothing, and are told sorted",
        ),
        pytest.param(
            {"type": "object", "anyOf": [{"additionalProperties": {"minLength": 1}}, {"properties": {"metadata": {}}}]},
            [
                "anyOf[0].additionalProperties: Forbidden: must be undefined to be structural",
                "anyOf[1].properties[metadata]: Forbidden: must not be specified in a nested context",
            ],
            id="what alternatives may not look at",
        ),
        pytest.param(
            {"x-kubernetes-int-or-string": True, "x-kubernetes-preserve-unknown-fields": True},
            [
                "x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
            ],
            id="an int or string keeps nothing",
        ),
        pytest.param(
            {"type": "object", "x-kubernetes-embedded-resource": True},
            [
                "properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without "
                "x-kubernetes-preserve-unknown-fields",
            ],
            id="an object that may hold nothing",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "string"}}},
            ["additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
            id="a plain no beside properties",
        ),
        pytest.param({"$ref": "x"}, ["$ref: Forbidden: $ref is not supported"], id="references hide what is not structural"),
        pytest.param(
            {"type": "object", "x-kubernetes-preserve-unknown-fields": False},
            ["x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
            id="preserving is yes or nothing",
        ),
        pytest.param(
            {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object", "nullable": True}},
            [
                "items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
                "items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set",
            ],
            id="a set of maps that may be null",
        ),
        pytest.param(
            list_map({"type": "object", "properties": {"a": {"type": "string"}}}, "a", "b"),
            [
                'x-kubernetes-list-map-keys: Invalid value: ["a","b"]: entries must all be names of item properties',
                "items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, "
                "so it must have a default or be a required property",
            ],
            id="keys of a list map",
        ),
        pytest.param(
            {"type": "string", "enum": ["a"], "default": "b"}, ['default: Unsupported value: "b": supported values: "a"'], id="default"
        ),
        pytest.param(
            {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}, "default": [{"a": "x", "b": 1}]},
            [
                'default: Invalid value: [{"a":"x","b":1}]: must not have unknown fields',
                'default.[0].a: Invalid value: "string": [0].a in body must be of type integer: "string"',
            ],
            id="a default with two faults",
        ),
        pytest.param(
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "default": "a/b"}}}},
            },
            [
                'properties[metadata].properties[name].default: Invalid value: "a/b": must result in valid metadata: '
                "metadata.name: Invalid value: \"a/b\": may not contain '/'",
            ],
            id="defaults of metadata must be real",
        ),
        pytest.param(
            {"type": "string", "x-kubernetes-validations": [{"rule": " "}, {"rule": "a\nb"}, {"rule": "a", "fieldPath": ".x"}]},
            [
                "x-kubernetes-validations[0].rule: Required value: rule is not specified",
                "x-kubernetes-validations[1].message: Required value: message must be specified if rule contains line breaks",
                'x-kubernetes-validations[2].fieldPath: Invalid value: ".x": must be a valid path',
            ],
            id="rules, as far as they are not compiled",
        ),
    ],
)
def test_what_a_field_may_not_be(field: Schema, expected: list[str]) -> None:
    assert texts(wrapped(field)) == [f"s.properties[f].{each}" for each in expected]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param({}, ["s.type: Required value: must not be empty at the root"], id="nothing"),
        pytest.param(
            {"type": "object", "additionalProperties": True}, ["s.additionalProperties: Forbidden: must not be used at the root"], id="open"
        ),
        pytest.param({"type": "object", "nullable": True}, ["s.nullable: Forbidden: nullable cannot be true at the root"], id="nullable"),
        pytest.param(
            {"type": "object", "$schema": "x"}, ["s: Invalid value: \"\": OpenAPIV3Schema 'schema' is not supported"], id="$schema"
        ),
        pytest.param(
            {"type": "object", "properties": {"metadata": {"type": "object", "description": "x"}}},
            [
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified"
            ],
            id="metadata described",
        ),
        pytest.param(
            {"type": "object", "properties": {"metadata": {"type": "object", "default": {"name": "x"}}}},
            ["s.properties[metadata].default: Forbidden: must not be set in top-level metadata"],
            id="metadata with a default",
        ),
        pytest.param(
            {"type": "object", "oneOf": [{"properties": {"x": {"minLength": 1}}}]},
            ["s.properties[x]: Required value: because it is defined in s.oneOf[0].properties[x]"],
            id="what the root's alternatives look at must be described",
        ),
    ],
)
def test_roots(schema: Schema, expected: list[str]) -> None:
    assert texts(schema) == expected


def test_with_a_status_subresource_the_root_says_nothing_of_the_status() -> None:
    (found,) = texts({"type": "object", "maxProperties": 3}, has_status=True)
    assert found.startswith("s: Invalid value: ")
    assert found.endswith("fields are allowed at the root of the schema if the status subresource is enabled")


def test_nesting_is_bounded() -> None:
    schema: Schema = {"type": "string"}
    for _ in range(DEPTH_MAX + 5):
        schema = {"type": "array", "items": {"type": "array", "items": schema}}
    assert texts(schema) == [f"s: Forbidden: schemas may not be nested deeper than {DEPTH_MAX}"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        pytest.param(r"^\d+(\.\d+)?$", "", id="an ordinary one"),
        pytest.param(r"(?i)[[:alpha:]\pL\p{Greek}-]{2,}", "", id="classes"),
        pytest.param("a{,2}", "", id="braces that are no count"),
        pytest.param("^[a-z", "missing closing ]: `[a-z`", id="an open class"),
        pytest.param("(a", "missing closing ): `(a`", id="an open group"),
        pytest.param("a)", "unexpected ): `a)`", id="a closed group that was never open"),
        pytest.param("*a", "missing argument to repetition operator: `*`", id="nothing to repeat"),
        pytest.param("a**", "invalid nested repetition operator: `**`", id="repeated twice"),
        pytest.param("a{3,2}", "invalid repeat count: `{3,2}`", id="a count that is upside down"),
        pytest.param("[z-a]", "invalid character class range: `z-a`", id="a range that is upside down"),
        pytest.param("(?=a)", "invalid or unsupported Perl syntax: `(?=`", id="a look ahead"),
        pytest.param("(?<=a)b", "invalid named capture: `(?<=a)b`", id="a look behind is taken for a name"),
        pytest.param(r"\8", r"invalid escape sequence: `\8`", id="a back reference"),
        pytest.param(r"\pX", r"invalid character class range: `\pX`", id="no such property"),
        pytest.param("a\\", "trailing backslash at end of expression: ``", id="nothing escaped"),
    ],
)
def test_patterns_are_read_as_go_reads_them(pattern: str, problem: str) -> None:
    assert regexp_problem(pattern) == (f"error parsing regexp: {problem}" if problem else "")


NODE = {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {"type": "string"}}, "b": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("path", "where"),
    [
        pytest.param(".b", "b", id="a field"),
        pytest.param(".a.x", "a[x]", id="a key after a dot"),
        pytest.param(".a['x.y']", "a[x.y]", id="a key in quotes"),
    ],
)
def test_paths_lead_to_fields(path: str, where: str) -> None:
    assert field_at(NODE, path)[0] == where


@pytest.mark.parametrize(
    ("path", "why"),
    [
        pytest.param("b", "expected [ or . but got: b", id="no dot"),
        pytest.param(".", "unexpected end of JSON path", id="nothing after the dot"),
        pytest.param(".c", "does not refer to a valid field", id="no such field"),
        pytest.param(".b.c", "does not refer to a valid field", id="below a scalar"),
        pytest.param(".a[0]", "expected single quoted string but got 0", id="an index"),
        pytest.param(".a['x'", "unexpected end of JSON path", id="an open bracket"),
    ],
)
def test_paths_that_lead_nowhere(path: str, why: str) -> None:
    with pytest.raises(FieldPathError, match=f"^{re.escape(why)}$"):
        field_at(NODE, path)
