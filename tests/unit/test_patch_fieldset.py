"""Field sets in FieldsV1 form: parse, order, and an algebra that is that of sets of paths."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.patch.elements import ElementError, element_of, key_element, parse_element, path_text, value_element
from kube.patch.fieldset import (
    EMPTY,
    FieldSet,
    FieldSetError,
    covers,
    difference,
    difference_below,
    has,
    intersection,
    of_path,
    parse,
    paths,
    reconciled,
    union,
    with_named_members,
)
from kube.schema.types import ListType, MapType
from tests.unit.patch_types import APP, PORT, TEXT, list_map, struct


@pytest.mark.parametrize(
    ("element", "text"),
    [
        pytest.param("f:spec", ".spec", id="a field"),
        pytest.param("f:a.b/c", ".a.b/c", id="a field with dots"),
        pytest.param('k:{"name":"web"}', '[name="web"]', id="a key"),
        pytest.param('k:{"containerPort":80,"protocol":"TCP"}', '[containerPort=80,protocol="TCP"]', id="two keys"),
        pytest.param('v:"a\\"b"', '[="a\\"b"]', id="a value with a quote"),
        pytest.param("v:true", "[=true]", id="a truth"),
        pytest.param("v:null", "[=null]", id="null"),
        pytest.param("v:1.5", "[=1.5]", id="a fraction"),
        pytest.param("i:3", "[3]", id="an index"),
        pytest.param('k:{"name":[1,"a",[]]}', '[name=[1,"a",[]]]', id="a list for a key"),
        pytest.param('k:{"name":{"b":[true,null],"a":1}}', "[name=a=1b=[true,null]]", id="a map for a key"),
        pytest.param('k:{"name":{}}', "[name=]", id="an empty map for a key"),
    ],
)
def test_how_messages_print_elements(element: str, text: str) -> None:
    assert path_text([element]) == text


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        pytest.param(key_element(("name",), "a<b>&"), 'k:{"name":"a\\u003cb\\u003e\\u0026"}', id="HTML is escaped"),
        pytest.param(key_element(("name",), "ü"), 'k:{"name":"ü"}', id="other letters are not"),
        pytest.param(key_element(("port", "protocol"), 80, "TCP"), 'k:{"port":80,"protocol":"TCP"}', id="keys in order"),
        pytest.param(value_element(1.0), "v:1", id="a whole float"),
        pytest.param(value_element(True), "v:true", id="a truth is not a number"),
        pytest.param(value_element(1), "v:1", id="a number is not a truth"),
    ],
)
def test_how_elements_are_written(element: str, expected: str) -> None:
    assert element == expected


@pytest.mark.parametrize("text", ["", "f", "spec", "k:{", "k:[]", "v:", "i:x"])
def test_what_is_no_element_is_an_error(text: str) -> None:
    with pytest.raises(ElementError):
        parse_element(text)


def test_sets_are_sorted_by_meaning_not_by_text() -> None:
    given_set: FieldSet = {"f:b": {}, "f:a": {'k:{"p":443}': {}, 'k:{"p":80}': {}, 'k:{"p":"80"}': {}, ".": {}}, "f:a-b": {}, "f:B": {}}
    assert json.dumps(parse(given_set)) == json.dumps(
        {"f:B": {}, "f:a": {".": {}, 'k:{"p":80}': {}, 'k:{"p":443}': {}, 'k:{"p":"80"}': {}}, "f:a-b": {}, "f:b": {}}
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"f:a": {".": {}}}, {"f:a": {}}, id="a lone dot is a leaf"),
        pytest.param({"f:a": {"z:b": {}}}, {"f:a": {}}, id="unknown kinds of elements are left out"),
        pytest.param({"z:a": {}}, {}, id="unknown kinds at the root too"),
        pytest.param({".": {}}, {}, id="the root is never owned"),
        pytest.param({}, {}, id="nothing"),
        pytest.param({"f:a": None}, {"f:a": {}}, id="null is a leaf"),
        pytest.param(
            {"f:a": {'k:{"b": 1, "a": "<"}': {}, "v: 1.0": {}, "i:+3": {}}},
            {"f:a": {'k:{"a":"\\u003c","b":1}': {}, "v:1": {}, "i:3": {}}},
            id="elements are written anew",
        ),
    ],
)
def test_what_clients_send_is_brought_into_form(fields: Any, expected: Any) -> None:
    assert parse(fields) == expected


@pytest.mark.parametrize("fields", [[], "x", {"f:a": 1}, {"v:NaN": {}}, {"v:" + "[" * 5000: {}}, {"a": {}}, {"f:a": {"k:{": {}}}])
def test_what_is_no_field_set_is_an_error(fields: Any) -> None:
    with pytest.raises(FieldSetError):
        parse(fields)


def test_paths_are_listed_level_by_level() -> None:
    fields: FieldSet = {"f:spec": {".": {}, "f:limits": {"f:rps": {}}, "f:tls": {}}, "f:data": {}}
    assert [path_text(path) for path in paths(fields)] == [".spec", ".data", ".spec.tls", ".spec.limits.rps"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param({"f:a": {}}, {"f:a": {"f:b": {}}}, {"f:a": {}}, id="a parent without its child"),
        pytest.param({"f:a": {"f:b": {}}}, {"f:a": {}}, {"f:a": {"f:b": {}}}, id="a child without its parent stays"),
        pytest.param({"f:a": {".": {}, "f:b": {}}}, {"f:a": {}}, {"f:a": {"f:b": {}}}, id="a parent goes, its child stays"),
        pytest.param({"f:a": {".": {}, "f:b": {}}}, {"f:a": {"f:b": {}}}, {"f:a": {}}, id="a child goes, its parent stays"),
        pytest.param({"f:a": {"f:b": {}}}, {"f:a": {"f:b": {}}}, {}, id="ways to nothing go"),
    ],
)
def test_differences(one: FieldSet, other: FieldSet, expected: FieldSet) -> None:
    assert difference(one, other) == expected


def test_a_difference_that_takes_nothing_is_the_same_set() -> None:
    one: FieldSet = {"f:a": {"f:b": {}}, "f:c": {}}
    assert difference(one, {"f:d": {}, "f:a": {"f:x": {}}}) is one


def test_a_recursive_difference_takes_what_is_below() -> None:
    one: FieldSet = {"f:a": {".": {}, "f:b": {"f:c": {}}, "f:d": {}}}
    assert difference_below(one, {"f:a": {"f:b": {}}}) == {"f:a": {".": {}, "f:d": {}}}
    assert difference_below(one, {"f:a": {}}) == {}


def test_fields_of_structs_on_the_way_become_members_and_keys_of_maps_do_not() -> None:
    fields = {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}}
    assert with_named_members(fields, APP) == {
        "f:metadata": {".": {}, "f:labels": {".": {}, "f:app": {}}},
        "f:spec": {".": {}, "f:containers": {".": {}, 'k:{"name":"web"}': {"f:image": {}}}},
    }


def test_what_has_become_atomic_is_owned_as_a_whole() -> None:
    fields = {"f:spec": {"f:selector": {"f:matchLabels": {"f:app": {}}}, "f:nodeSelector": {".": {}, "f:a": {}}, "f:replicas": {}}}
    assert reconciled(fields, APP) == {"f:spec": {"f:selector": {}, "f:nodeSelector": {}, "f:replicas": {}}}
    settled = {"f:spec": {"f:selector": {}, "f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}}}}, "f:gone": {"f:x": {}}}
    assert reconciled(settled, APP) is settled


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param({"containerPort": 80}, 'k:{"containerPort":80,"protocol":"TCP"}', id="a default counts"),
        pytest.param({"containerPort": 80, "protocol": "UDP"}, 'k:{"containerPort":80,"protocol":"UDP"}', id="what is given counts more"),
        pytest.param({"name": "x"}, 'k:{"containerPort":0,"protocol":"TCP"}', id="a field that Go always writes counts as its zero value"),
        pytest.param({"containerPort": None}, 'k:{"containerPort":null,"protocol":"TCP"}', id="an explicit null is a key"),
    ],
)
def test_which_item_of_a_list_map_is_meant(item: Any, expected: str) -> None:
    assert element_of(list_map(PORT, "containerPort", "protocol", defaults=(("protocol", "TCP"),)))(item) == expected


@pytest.mark.parametrize(
    ("of", "item", "message"),
    [
        pytest.param(list_map(PORT, "protocol"), None, "associative list with keys may not have a null element", id="null in a list map"),
        pytest.param(
            list_map(PORT, "protocol"), "a", "associative list with keys may not have non-map elements", id="a text in a list map"
        ),
        pytest.param(
            list_map(struct("Item"), "type", "id"),
            {"name": "x"},
            'associative list with keys has an element that omits all key fields ["type" "id"] '
            "(and doesn't have default values for any key fields)",
            id="no key at all",
        ),
        pytest.param(
            ListType(TEXT, kind="set"), None, "associative list without keys has an element that's an explicit null", id="null in a set"
        ),
        pytest.param(
            ListType(MapType(TEXT), kind="set"), {}, "associative list without keys has an element that's a map type", id="a map in a set"
        ),
        pytest.param(ListType(TEXT, kind="set"), [], "not supported: associative list with lists as elements", id="a list in a set"),
    ],
)
def test_items_that_cannot_be_told_apart(of: ListType, item: Any, message: str) -> None:
    with pytest.raises(ElementError) as caught:
        element_of(of)(item)
    assert str(caught.value) == message


# --- properties -------------------------------------------------------------------------------------------------------------------

steps = st.sampled_from(["f:a", "f:b", 'k:{"n":1}', 'v:"x"'])
path_sets = st.frozensets(st.lists(steps, min_size=1, max_size=3).map(tuple), max_size=8)


def built(members: frozenset[tuple[str, ...]]) -> FieldSet:
    found: FieldSet = EMPTY
    for path in members:
        found = union(found, of_path(*path))
    return found


def members_of(fields: FieldSet) -> frozenset[tuple[str, ...]]:
    return frozenset(paths(fields))


@settings(max_examples=150, deadline=None)
@given(path_sets, path_sets)
def test_the_algebra_is_that_of_sets_of_paths(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> None:
    a, b = built(one), built(other)
    before = copy.deepcopy((a, b))
    assert members_of(a) == one
    assert members_of(union(a, b)) == one | other
    assert members_of(intersection(a, b)) == one & other
    assert members_of(difference(a, b)) == one - other
    assert members_of(difference_below(a, b)) == {path for path in one if not any(path[: len(each)] == each for each in other)}
    assert {path for path in one | other if has(a, path)} == one
    assert covers(a, b) == (other <= one)
    assert covers(union(a, b), b)
    assert before == (a, b)


@settings(max_examples=100, deadline=None)
@given(path_sets, path_sets)
def test_the_form_of_a_set_says_only_what_is_in_it(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> None:
    a, b = built(one), built(other)
    for each in (a, union(a, b), difference(a, b), intersection(a, b), difference_below(a, b)):
        assert parse(each) == each
        assert list(parse(each)) == list(each)
    assert union(difference(a, b), intersection(a, b)) == a
    assert union(a, b) == union(b, a)
    assert parse(json.loads(json.dumps(a))) == a
