"""Values against schemas: validation and its ratcheting, defaults, pruning, sets and list maps."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.validation.custom.checks import compile_check
from apiserver.validation.custom.correlation import Correlation
from apiserver.validation.custom.defaulting import compile_defaults
from apiserver.validation.custom.list_types import compile_unique, repeated_items
from apiserver.validation.custom.problems import problems
from apiserver.validation.custom.pruning import Pruner, clean_check
from apiserver.validation.custom.validator import Validator, finalizer_warnings, nested
from kube.schema import definitions

META = definitions.load().type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
Node = dict[str, Any]


def texts(node: Node, value: Any, **rest: Any) -> list[str]:
    return [str(each) for each in problems(node, value, **rest)]


@pytest.mark.parametrize(
    ("node", "value", "expected"),
    [
        pytest.param({"type": "string"}, 5, ['<nil>: Invalid value: "integer":  in body must be of type string: "integer"'], id="type"),
        pytest.param({"type": "string", "maxLength": 2}, "abc", ["<nil>: Too long: may not be more than 2 bytes"], id="too long"),
        pytest.param(
            {"type": "string", "format": "date"}, "x", ['<nil>: Invalid value: "x":  in body must be of type date: "x"'], id="format"
        ),
        pytest.param(
            {"type": "integer", "minimum": 3}, 1, ["<nil>: Invalid value: 1:  in body should be greater than or equal to 3"], id="small"
        ),
        pytest.param(
            {"type": "number", "maximum": 1.5}, 2.0, ["<nil>: Invalid value: 2:  in body should be less than or equal to 1.5"], id="large"
        ),
        pytest.param(
            {"type": "number", "multipleOf": 0.5},
            3,
            ["<nil>: Invalid value: 0: factor MultipleOf declared for  must be positive: 0"],
            id="upstream's factor",
        ),
        pytest.param(
            {"type": "object", "minProperties": 3, "maxProperties": 1, "required": ["z"]},
            {"a": 1, "b": 2},
            [
                "<nil>: Invalid value: 2:  in body should have at least 3 properties",
                "<nil>: Too many: 2: must have at most 1 items",
                "z: Required value",
            ],
            id="all that is wrong with a map",
        ),
        pytest.param(
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            ['<nil>: Invalid value: "": "" must validate one and only one schema (oneOf). Found none valid', "a: Required value"],
            id="the alternative that came closest",
        ),
        pytest.param(
            {"type": "integer", "enum": [1]},
            1.5,
            [
                '<nil>: Invalid value: "number":  in body must be of type integer: "number"',
                '<nil>: Invalid value: "": Checked value must be of type integer (default format) in ',
            ],
            id="a fraction, which is 1 to an enum",
        ),
        pytest.param(
            {"x-kubernetes-int-or-string": True},
            True,
            ['<nil>: Invalid value: "boolean":  in body must be of type integer,string: "boolean"'],
            id="bool",
        ),
    ],
)
def test_what_does_not_fit(node: Node, value: Any, expected: list[str]) -> None:
    assert texts(node, value) == expected
    assert not compile_check(node)(value)


LIST_MAP = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["k"],
    "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer", "maximum": 5}}},
}
ATOMIC = {"type": "array", "items": {"type": "integer", "maximum": 5}}
BRANCH = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "allOf": [{"properties": {"a": {"maximum": 5}}}],
}
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "required": ["z"], "properties": {}}


@pytest.mark.parametrize(
    ("node", "old", "new", "is_fine"),
    [
        pytest.param({"type": "integer", "maximum": 5}, 9, 9, True, id="what was wrong may stay"),
        pytest.param({"type": "integer", "maximum": 5}, 9, 8, False, id="what changes must be right"),
        pytest.param(
            LIST_MAP, [{"k": "a", "v": 9}], [{"k": "b", "v": 1}, {"k": "a", "v": 9}], True, id="items of list maps go by their keys"
        ),
        pytest.param(LIST_MAP, [{"k": "a", "v": 9}], [{"k": "b", "v": 9}], False, id="another key is another item"),
        pytest.param(ATOMIC, [9], [9], True, id="a whole list that has not changed"),
        pytest.param(ATOMIC, [9], [9, 1], False, id="items of other lists do not correlate"),
        pytest.param(BRANCH, {"a": 9, "b": 1}, {"a": 9, "b": 2}, True, id="below alternatives fields correlate"),
        pytest.param(BRANCH, {"a": 9, "b": 1}, {"a": 8, "b": 1}, False, id="and are looked at when they change"),
        pytest.param(OPEN, {"y": 1}, {"y": 1}, False, id="fields that are only preserved count as changed"),
    ],
)
def test_ratcheting(node: Node, old: Any, new: Any, is_fine: bool) -> None:
    assert (problems(node, new, correlation=Correlation(new, old, node)) == []) is is_fine


def test_the_order_of_a_list_map_is_no_change() -> None:
    old = [{"k": "a", "v": 1}, {"k": "b", "v": 2}]
    assert Correlation(old[::-1], old, LIST_MAP).is_equal()


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        pytest.param("set", ["a", "b", "a", "a"], ['l[2]: Duplicate value: "a"'], id="told where it occurs for the second time"),
        pytest.param("set", [1, True, "1", 1.0], [], id="other types are other values"),
        pytest.param("map", [{"k": "a"}, {"k": "a", "v": 1}], ['l[1]: Duplicate value: {"k":"a"}'], id="the same key"),
        pytest.param("map", [{}, {"v": 1}], ["l[1]: Duplicate value: {}"], id="no key twice"),
        pytest.param("map", [{"k": "a"}, "x"], ['l[1]: Invalid value: "x": must be an object for an array of list-type map'], id="no map"),
        pytest.param(
            "map", [[]], ["l[0]: Invalid value: []: must be an object for an array of list-type map"], id="the only one is no map"
        ),
    ],
)
def test_sets_and_list_maps(kind: str, value: list[Any], expected: list[str]) -> None:
    node = {"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": kind, "x-kubernetes-list-map-keys": ["k"]}}}
    found = [str(each) for each in repeated_items(node, {"l": value})]
    assert found == expected
    check = compile_unique(node)
    assert check is not None
    assert not (expected and check({"l": value})), "the quick look may not miss anything"


@pytest.mark.parametrize(
    ("node", "value", "expected"),
    [
        pytest.param({"properties": {"a": {"default": 1}}}, {}, {"a": 1}, id="what is left out"),
        pytest.param({"properties": {"a": {"default": 1}}}, {"a": None}, {"a": 1}, id="a null that may not be"),
        pytest.param({"properties": {"a": {"default": 1, "nullable": True}}}, {"a": None}, {"a": None}, id="a null that may be"),
        pytest.param({"properties": {"a": {"properties": {"b": {"default": 1}}}}}, {}, {}, id="nothing in what is not there"),
        pytest.param(
            {"properties": {"a": {"default": {}, "properties": {"b": {"default": 1}}}}}, {}, {"a": {"b": 1}}, id="defaults within defaults"
        ),
        pytest.param({"additionalProperties": {"default": 1}}, {"x": None}, {"x": 1}, id="a null in a map"),
        pytest.param({"items": {"default": 1}}, [None, 2], [1, 2], id="a null in a list"),
    ],
)
def test_defaults(node: Node, value: Any, expected: Any) -> None:
    fill = compile_defaults(node)
    if fill is not None:
        fill(value)
    assert value == expected


PRUNED = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "a": {"type": "string"},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"in": {"type": "object"}}},
                "any": {"type": "object", "additionalProperties": True},
                "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string", "nullable": True}}}},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("spec", "expected", "told"),
    [
        pytest.param({"a": "1", "b": 2}, {"a": "1"}, ["spec.b"], id="an unknown field"),
        pytest.param(
            {"open": {"x": {"y": 1}, "in": {"z": 1}}},
            {"open": {"x": {"y": 1}, "in": {}}},
            ["spec.open.in.z"],
            id="preserved above, not below",
        ),
        pytest.param({"any": {"x": {"y": 1}}}, {"any": {"x": {}}}, ["spec.any.x.y"], id="values of a map without a schema"),
        pytest.param({"list": [{"n": None, "m": 1}]}, {"list": [{"n": None}]}, ["spec.list[0].m"], id="in a list, where null may be"),
        pytest.param({"a": None}, {}, [], id="a null that may not be, untold"),
    ],
)
def test_pruning(spec: Node, expected: Node, told: list[str]) -> None:
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": spec}
    assert not clean_check(PRUNED)(obj)
    assert Pruner(META).whole(PRUNED, obj) == told
    assert obj["spec"] == expected


def test_a_version_that_is_not_there_keeps_metadata_only() -> None:
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}, "spec": {"a": 1}}
    assert Pruner(META).whole(None, obj) == ["spec"]
    assert obj == {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        pytest.param({"spec": {"n": 3}}, (3, ""), id="there"),
        pytest.param({"spec": None}, (0, ""), id="nothing to look into"),
        pytest.param({"spec": "x"}, (0, ".spec.n accessor error: x is of the type string, expected map[string]interface{}"), id="no map"),
        pytest.param({"spec": {"n": 1.0}}, (0, ".spec.n accessor error: 1 is of the type float64, expected int64"), id="a fraction"),
    ],
)
def test_replicas_are_found_at_their_path(obj: Node, found: tuple[int, str]) -> None:
    assert nested(obj, ("spec", "n"), int) == found


def test_a_wrong_kind_is_all_that_is_told() -> None:
    found = Validator({"type": "object", "required": ["spec"]}, "Foo").whole({"kind": "Bar"}, None)
    assert [str(each) for each in found] == ['kind: Invalid value: "Bar": must be Foo']


def test_finalizers_without_a_domain_are_warned_of_once() -> None:
    new = {"metadata": {"finalizers": ["kept", "x.y", "e.com/f", "orphan"]}}
    found = finalizer_warnings(new, {"metadata": {"finalizers": ["kept"]}})
    assert len(found) == 1
    assert "including a path (/)" in found[0]
