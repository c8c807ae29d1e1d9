"""JSON Merge Patch: RFC 7396, and where upstream's library differs from it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.errors import BadRequest
from kube.patch.merge_patch import check_merge_patch, merge_patch


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="a value replaces"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="a new member is added"),
        pytest.param({"a": "b"}, {"a": None}, {}, id="null deletes"),
        pytest.param({"a": "b"}, {"b": None}, {"a": "b"}, id="null of what is not there is nothing"),
        pytest.param({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}, id="objects merge"),
        pytest.param({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}, id="lists replace"),
        pytest.param({"a": {"b": "c"}}, {"a": ["c"]}, {"a": ["c"]}, id="a list replaces an object"),
        pytest.param({"a": ["c"]}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}, id="an object replaces a list, without nulls"),
        pytest.param({"a": None}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="an object replaces null, without nulls"),
        pytest.param({}, {"a": [None, {"b": None}]}, {"a": [None, {}]}, id="objects in a new list lose their nulls, its own nulls stay"),
        pytest.param({"a": {}}, {"a": [{"b": None}]}, {"a": [{"b": None}]}, id="a list that replaces an object keeps all nulls"),
        pytest.param({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}, id="an empty object changes nothing"),
        pytest.param({"a": {"b": 1}}, {}, {"a": {"b": 1}}, id="an empty patch changes nothing"),
    ],
)
def test_what_a_patch_does(document: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy((document, patch))
    assert merge_patch(document, patch) == expected
    assert before == (document, patch)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param(None, "Invalid JSON Patch", id="null"),
        pytest.param([1], "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}", id="a list"),
        pytest.param("t", "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}", id="a text"),
        pytest.param(True, "error decoding patch: json: cannot unmarshal bool into Go value of type map[string]interface {}", id="a truth"),
    ],
)
def test_a_patch_that_is_no_object_is_refused(patch: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_merge_patch(patch)
    assert caught.value.message == message


@pytest.mark.parametrize("patch", [None, "t", 5, True])
def test_without_validation_one_message_serves_all(patch: Any) -> None:
    with pytest.raises(BadRequest, match="Invalid JSON Patch"):
        merge_patch({}, patch)


def test_without_validation_a_list_replaces_the_document() -> None:
    assert merge_patch({"a": 1}, [None, {"b": None, "c": 1}]) == [None, {"c": 1}]


def test_what_does_not_change_is_shared() -> None:
    document = {"a": {"b": 1}, "c": {"d": {"e": 1}}}
    result = merge_patch(document, {"a": {"b": 2}})
    assert result["c"] is document["c"]


scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
values = st.recursive(
    scalars | st.lists(st.integers(0, 3), max_size=2),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def by_definition(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = by_definition(target.get(name), value)
    return target


@settings(max_examples=150, deadline=None)
@given(objects, objects)
def test_merging_is_what_the_rfc_defines(document: dict[str, Any], patch: dict[str, Any]) -> None:
    assert merge_patch(document, patch) == by_definition(document, patch)


def difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {name: None for name in one if name not in other}
    for name, value in other.items():
        old = one.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            patch[name] = difference(old, value)
        elif name not in one or old != value or type(old) is not type(value):
            patch[name] = value
    return patch


def without_nulls(value: Any) -> Any:
    return {name: without_nulls(each) for name, each in value.items() if each is not None} if isinstance(value, dict) else value


@settings(max_examples=100, deadline=None)
@given(objects.map(without_nulls), objects.map(without_nulls))
def test_a_difference_leads_from_one_to_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert merge_patch(one, difference(one, other)) == other
