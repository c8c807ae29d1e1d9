"""JSON Patch: RFC 6902, and where upstream's library differs from it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.errors import ApiError, BadRequest, Invalid, RequestEntityTooLarge
from kube.patch.json_patch import OPERATIONS_MAX, apply_json_patch, check_json_patch
from kube.schema import gojson

DOCUMENT: dict[str, Any] = {
    "data": {"a": "1", "b": "2", "x/y": "s", "m~n": "t"},
    "list": [1, 2, 3],
    "nothing": None,
    "deep": {"er": [{"k": "v"}]},
}


def operation(op: str, path: str, **rest: Any) -> dict[str, Any]:
    return {"op": op, "path": path, **{name.rstrip("_"): value for name, value in rest.items()}}


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        pytest.param([operation("add", "/data/c", value="3")], ("data", "c"), "3", id="add puts a member"),
        pytest.param([operation("add", "/data/a", value="3")], ("data", "a"), "3", id="add replaces a member"),
        pytest.param([operation("add", "/data/c")], ("data", "c"), None, id="add without a value puts null"),
        pytest.param([operation("add", "/list/1", value=9)], ("list",), [1, 9, 2, 3], id="add inserts before an index"),
        pytest.param([operation("add", "/list/3", value=9)], ("list",), [1, 2, 3, 9], id="add at the length appends"),
        pytest.param([operation("add", "/list/-", value=9)], ("list",), [1, 2, 3, 9], id="add at - appends"),
        pytest.param([operation("add", "/list/-1", value=9)], ("list",), [1, 2, 3, 9], id="add at -1 is the end too"),
        pytest.param([operation("add", "/list/-2", value=9)], ("list",), [1, 2, 9, 3], id="add at -2 is before the last"),
        pytest.param([operation("add", "/list/+1", value=9)], ("list",), [1, 9, 2, 3], id="indexes may have a plus"),
        pytest.param([operation("add", "/list/01", value=9)], ("list",), [1, 9, 2, 3], id="indexes may have leading zeros"),
        pytest.param([operation("remove", "/list/-1")], ("list",), [1, 2], id="remove counts negative indexes from the end"),
        pytest.param([operation("replace", "/list/-1", value=9)], ("list",), [1, 2, 9], id="replace counts negative indexes too"),
        pytest.param([operation("replace", "/data/new", value=9)], ("data", "new"), 9, id="replace puts a member that is missing"),
        pytest.param([operation("replace", "/data/x~1y", value=9)], ("data", "x/y"), 9, id="~1 is a slash"),
        pytest.param([operation("replace", "/data/m~0n", value=9)], ("data", "m~n"), 9, id="~0 is a tilde"),
        pytest.param([operation("add", "/data/~01", value=9)], ("data", "~1"), 9, id="~01 is a tilde and a one"),
        pytest.param([operation("add", "data/top", value=9)], ("top",), 9, id="what stands before the first slash does not count"),
        pytest.param([operation("add", "/data/", value=9)], ("data", ""), 9, id="the last key may be empty"),
        pytest.param(
            [operation("move", "/data/c", from_="/data/a")], ("data",), {"b": "2", "x/y": "s", "m~n": "t", "c": "1"}, id="move moves"
        ),
        pytest.param([operation("move", "/list/0", from_="/list/2")], ("list",), [3, 1, 2], id="move takes before it puts"),
        pytest.param([operation("copy", "/data/c", from_="/data/a")], ("data", "c"), "1", id="copy copies"),
        pytest.param([operation("copy", "/data/c", from_="/data/gone")], ("data", "c"), None, id="copy of a missing member puts null"),
        pytest.param([operation("test", "/data/a", value="1")], ("data", "a"), "1", id="test of an equal value passes"),
        pytest.param([operation("test", "/data/gone", value=None)], ("data", "a"), "1", id="test of a missing member for null passes"),
        pytest.param([operation("test", "/data/gone")], ("data", "a"), "1", id="test of a missing member for nothing passes"),
        pytest.param([operation("test", "/nothing", value=None)], ("data", "a"), "1", id="test of null for null passes"),
        pytest.param([operation("test", "/deep", value={"er": [{"k": "v"}]})], ("data", "a"), "1", id="test compares structures"),
        pytest.param([operation("replace", "", value={"n": 1})], (), {"n": 1}, id="replace of the whole document"),
        pytest.param([], (), DOCUMENT, id="no operations change nothing"),
        pytest.param(None, (), DOCUMENT, id="a null patch changes nothing"),
    ],
)
def test_what_operations_do(patch: Any, path: tuple[str, ...], expected: Any) -> None:
    before = copy.deepcopy(DOCUMENT)
    result = apply_json_patch(DOCUMENT, patch)
    for key in path:
        result = result[key]
    assert result == expected
    assert before == DOCUMENT


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param([operation("remove", "/data/gone")], id="remove of a missing member"),
        pytest.param([operation("remove", "/list/3")], id="remove past the end"),
        pytest.param([operation("add", "/list/4", value=1)], id="add past the end"),
        pytest.param([operation("add", "/list/-5", value=1)], id="add before the start"),
        pytest.param([operation("replace", "/list/x", value=1)], id="an index that is no number"),
        pytest.param([operation("replace", "/list/-", value=1)], id="replace at -"),
        pytest.param([operation("add", "/list/99999999999999999999", value=1)], id="an index that is too large"),
        pytest.param([operation("add", "/gone/c", value=1)], id="add below a missing member"),
        pytest.param([operation("add", "/nothing/c", value=1)], id="add below null"),
        pytest.param([operation("add", "/data/a/c", value=1)], id="add below a text"),
        pytest.param([operation("add", "data", value=1)], id="a path without a slash"),
        pytest.param([operation("add", "", value={})], id="add of the whole document"),
        pytest.param([operation("replace", "", value="text")], id="replace of the whole document by a text"),
        pytest.param([operation("move", "/data/c", from_="/data/gone")], id="move of a missing member"),
        pytest.param([operation("move", "/data/a/b", from_="/data/a")], id="move into itself"),
        pytest.param([operation("move", "/data/c")], id="move without from"),
        pytest.param([operation("test", "/data/a", value="2")], id="test of another value"),
        pytest.param([operation("test", "/list/0", value=1.0)], id="test of 1 for 1.0"),
        pytest.param([operation("test", "/list/0", value=True)], id="test of 1 for true"),
        pytest.param([operation("test", "/data", value={"a": "1"})], id="test of an object for a part of it"),
        pytest.param([operation("test", "/list/9", value=None)], id="test past the end"),
        pytest.param([operation("frobnicate", "/data/a")], id="an unknown operation"),
        pytest.param([{"path": "/data/a"}], id="no operation"),
        pytest.param([{"op": 5, "path": "/data/a"}], id="an operation that is a number"),
        pytest.param([{"op": "remove"}], id="no path"),
        pytest.param([{"op": "remove", "path": 5}], id="a path that is a number"),
        pytest.param([operation("add", "/data/z", value=1), operation("test", "/data/a", value="2")], id="a later operation that fails"),
        pytest.param([None], id="a null operation"),
    ],
)
def test_a_failing_operation_is_invalid_without_a_reason(patch: Any) -> None:
    with pytest.raises(Invalid) as caught:
        apply_json_patch(DOCUMENT, patch)
    assert caught.value.message == "the server rejected our request due to an error in our request"
    assert caught.value.status["details"] == {}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param({"a": 1}, "object into Go value of type []handlers.jsonPatchOp", id="an object"),
        pytest.param("text", "string into Go value of type []handlers.jsonPatchOp", id="a text"),
        pytest.param([1], "number into Go value of type handlers.jsonPatchOp", id="a list of numbers"),
        pytest.param([{"op": 1}], "number into Go struct field jsonPatchOp.op of type string", id="an operation that is a number"),
        pytest.param([{"from": {}}], "object into Go struct field jsonPatchOp.from of type string", id="a from that is an object"),
    ],
)
def test_a_malformed_patch_is_a_bad_request(patch: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_json_patch(patch)
    assert caught.value.message == f"error decoding patch: json: cannot unmarshal {message}"


def test_unknown_fields_are_told() -> None:
    assert check_json_patch([{"op": "test", "path": "/a", "extra": 1}]) == ['json patch unknown field "[0].extra"']


def test_a_patch_that_is_no_list_is_refused_without_field_validation_too() -> None:
    with pytest.raises(BadRequest):
        apply_json_patch({}, {"op": "add"})
    with pytest.raises(BadRequest):
        apply_json_patch({}, ["add"])


def test_too_many_operations_are_refused_before_anything_is_done() -> None:
    apply_json_patch({}, [operation("add", "/a", value=1)] * OPERATIONS_MAX)
    with pytest.raises(RequestEntityTooLarge) as caught:
        apply_json_patch({}, [{}] * (OPERATIONS_MAX + 1))
    assert caught.value.message == ("Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001")


def test_copies_may_not_add_up_to_more_than_the_limit() -> None:
    patch = [operation("copy", f"/c{index}", from_="/a") for index in range(4)]
    assert apply_json_patch({"a": "x" * 8}, patch, copy_bytes_max=40)["c3"] == "x" * 8
    with pytest.raises(Invalid):
        apply_json_patch({"a": "x" * 8}, patch, copy_bytes_max=39)


def test_a_copy_and_its_source_are_two() -> None:
    patch = [operation("copy", "/b", from_="/a"), operation("add", "/b/n", value=2), operation("add", "/a/m", value=1)]
    assert apply_json_patch({"a": {}}, patch) == {"a": {"m": 1}, "b": {"n": 2}}


def test_a_value_of_the_patch_is_never_changed_by_later_operations() -> None:
    patch = [operation("add", "/a", value={}), operation("add", "/a/n", value=1), operation("add", "/b", value=[])]
    before = copy.deepcopy(patch)
    apply_json_patch({}, patch)
    assert patch == before


def test_what_is_not_on_the_way_is_shared() -> None:
    document: dict[str, Any] = {"a": {"b": {"c": 1}}, "d": {"e": 1}}
    result = apply_json_patch(document, [operation("add", "/a/x", value=1)])
    assert result["d"] is document["d"]
    assert result["a"]["b"] is document["a"]["b"]


# --- properties -------------------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab~/", max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), below, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text("ab~/", max_size=2), values, max_size=4)


def pointers(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for key, each in value.items():
            path = f"{prefix}/{key.replace('~', '~0').replace('/', '~1')}"
            found += [(path, each), *pointers(each, path)]
    if isinstance(value, list):
        for index, each in enumerate(value):
            found += [(f"{prefix}/{index}", each), *pointers(each, f"{prefix}/{index}")]
    return found


@settings(max_examples=60, deadline=None)
@given(documents)
def test_every_value_passes_its_own_test(document: dict[str, Any]) -> None:
    patch = [operation("test", path, value=value) for path, value in pointers(document)]
    assert apply_json_patch(document, patch) == document


@settings(max_examples=60, deadline=None)
@given(documents, st.data())
def test_move_there_and_back_is_nothing(document: dict[str, Any], data: st.DataObject) -> None:
    if not document:
        return
    source = data.draw(st.sampled_from([path for path, _ in pointers(document) if path.count("/") == 1]))
    patch = [operation("move", "/elsewhere", from_=source), operation("move", source, from_="/elsewhere")]
    assert apply_json_patch(document, patch) == document


@settings(max_examples=80, deadline=None)
@given(
    documents,
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
                "path": st.lists(st.sampled_from(["a", "b", "0", "-", "-1"]), max_size=3).map(
                    lambda keys: "".join(f"/{key}" for key in keys)
                ),
                "from": st.sampled_from(["/a", "/b", "/a/0", "/a/b"]),
                "value": values,
            }
        ),
        max_size=6,
    ),
)
def test_arguments_stay_as_they_are_whatever_happens(document: dict[str, Any], patch: list[Any]) -> None:
    before = copy.deepcopy((document, patch))
    try:
        apply_json_patch(document, patch)
    except ApiError:
        pass
    assert before == (document, patch)


WRITTEN = {
    "a character that Go escapes is not the same when it is not escaped": ("a<b", b'"a<b"', False),
    "the same character, escaped as Go does it": ("a<b", b'"a\\u003cb"', True),
    "an escape that Go would not write": ("ab", b'"\\u0061b"', False),
    "in a list": (["&"], b'["&"]', False),
    "strings without such characters": (["x", {"y": "z"}], b'["x", {"y": "z"}]', True),
}


@pytest.mark.parametrize(("value", "wanted", "passes"), WRITTEN.values(), ids=WRITTEN.keys())
def test_strings_are_tested_by_how_they_are_written(value: Any, wanted: bytes, passes: bool) -> None:
    patch = gojson.load_quoted(b'[{"op": "test", "path": "/v", "value": ' + wanted + b'}, {"op": "add", "path": "/w", "value": "<"}]')
    if not passes:
        with pytest.raises(Invalid):
            apply_json_patch({"v": value}, patch)
        return
    result = apply_json_patch({"v": value}, patch)
    assert result == {"v": value, "w": "<"}
    assert type(result["w"]) is str


def test_what_a_patch_has_added_is_tested_by_how_it_was_added() -> None:
    patch = gojson.load_quoted(b'[{"op": "add", "path": "/v", "value": "<"}, {"op": "test", "path": "/v", "value": "<"}]')
    assert apply_json_patch({}, patch) == {"v": "<"}


def test_nesting_by_copies_has_an_end() -> None:
    deeper = [{"op": "copy", "from": "/a", "path": "/a/a"}] * 20
    deep = [{"op": "add", "path": "/a" * 255, "value": {}}, {"op": "add", "path": "/a" * 256, "value": {}}]
    with pytest.raises(Invalid):
        apply_json_patch({"a": {}}, [*({"op": "add", "path": "/a" * depth, "value": {}} for depth in range(1, 257))])
    with pytest.raises(Invalid):
        apply_json_patch({"a": {"text": "x" * 100_000}}, deeper)
    with pytest.raises(Invalid):
        apply_json_patch({}, deep)


def test_items_of_lists_are_not_moved_without_end() -> None:
    big = {"l": [0] * 20_000}
    with pytest.raises(Invalid):
        apply_json_patch(big, [{"op": "add", "path": "/l/0", "value": 1}] * 5_000)
    assert len(apply_json_patch(big, [{"op": "add", "path": "/l/0", "value": 1}] * 1_000)["l"]) == 21_000


def test_copies_do_not_copy_what_they_do_not_change() -> None:
    big = {"l": [[0]] * 100_000, "m": {}}
    result = apply_json_patch(big, [{"op": "copy", "from": "/l/0", "path": "/l/-"}] * 10_000)
    assert len(result["l"]) == 110_000
    assert big == {"l": [[0]] * 100_000, "m": {}}
