"""Strategic merge patch: directives, merge keys, order, and upstream's errors."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.errors import ApiError, BadRequest, Invalid
from kube.patch.strategic import strategic_merge, used_up
from kube.schema.definitions import load
from tests.unit.patch_types import APP

LIVE: dict[str, Any] = {
    "metadata": {"name": "web", "labels": {"a": "1", "b": "2"}, "finalizers": ["x/a", "x/b"]},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "Rolling", "rolling": {"surge": 1}},
        "containers": [
            {"name": "web", "image": "web:1", "args": ["-a"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "side", "image": "side:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
        ],
        "volumes": [{"name": "cache", "emptyDir": {"medium": "Memory"}}],
        "tolerations": [{"key": "a"}],
    },
}


def spec(**members: Any) -> dict[str, Any]:
    return {"spec": {name.replace("order_", "$setElementOrder/"): value for name, value in members.items()}}


def names(items: list[dict[str, Any]]) -> list[Any]:
    return [each["name"] for each in items]


def find(value: Any, *path: Any) -> Any:
    for key in path:
        value = value[key] if not isinstance(key, str) or isinstance(value, dict) else next(each for each in value if each["name"] == key)
    return value


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        pytest.param(spec(replicas=3), ("spec", "replicas"), 3, id="a scalar replaces"),
        pytest.param(
            spec(containers=[{"name": "web", "image": "web:2"}]), ("spec", "containers", "web", "args"), ["-a"], id="items merge by key"
        ),
        pytest.param(
            spec(containers=[{"name": "web", "env": [{"name": "B", "value": "3"}]}]),
            ("spec", "containers", "web", "env"),
            [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}],
            id="lists in items merge too",
        ),
        pytest.param(
            spec(containers=[{"name": "web", "args": ["-b"]}]), ("spec", "containers", "web", "args"), ["-b"], id="other lists replace"
        ),
        pytest.param(
            spec(tolerations=[{"key": "b"}]), ("spec", "tolerations"), [{"key": "b"}], id="lists of objects without a key replace"
        ),
        pytest.param(spec(tolerations=None), ("spec",), {**LIVE["spec"], "tolerations": None}, id="null deletes"),
        pytest.param({"metadata": {"labels": {"a": None, "c": "3"}}}, ("metadata", "labels"), {"b": "2", "c": "3"}, id="maps merge"),
        pytest.param(
            {"metadata": {"annotations": {"k": None, "l": "1"}}}, ("metadata", "annotations"), {"l": "1"}, id="what is new has no nulls"
        ),
        pytest.param(
            {"metadata": {"finalizers": ["x/c"]}}, ("metadata", "finalizers"), ["x/c", "x/a", "x/b"], id="primitives are put in front"
        ),
        pytest.param({"metadata": {"finalizers": ["x/b"]}}, ("metadata", "finalizers"), ["x/a", "x/b"], id="primitives are there once"),
        pytest.param(
            {"metadata": {"labels": {"$patch": "replace", "c": "3"}}}, ("metadata", "labels"), {"c": "3"}, id="$patch replace of a map"
        ),
        pytest.param({"metadata": {"labels": {"$patch": "delete"}}}, ("metadata", "labels"), {}, id="$patch delete of a map"),
        pytest.param(
            {"metadata": {"annotations": {"$patch": "merge", "k": "v"}}},
            ("metadata",),
            LIVE["metadata"],
            id="an object with a directive is dropped where there is nothing yet",
        ),
        pytest.param(
            spec(containers=[{"name": "side", "$patch": "delete"}]),
            ("spec", "containers"),
            LIVE["spec"]["containers"][:1],
            id="$patch delete of an item",
        ),
        pytest.param(
            spec(containers=[{"name": "gone", "$patch": "delete"}]),
            ("spec", "containers"),
            LIVE["spec"]["containers"],
            id="$patch delete of no item",
        ),
        pytest.param(
            spec(containers=[{"$patch": "replace"}, {"name": "new"}]),
            ("spec", "containers"),
            [{"name": "new"}],
            id="$patch replace of a list",
        ),
        pytest.param(
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/a", "x/z"]}},
            ("metadata", "finalizers"),
            ["x/b"],
            id="values are taken out",
        ),
        pytest.param(
            {"metadata": {"$deleteFromPrimitiveList/finalizers": "x/a"}},
            ("metadata", "finalizers"),
            ["x/a", "x/b"],
            id="what is to be taken out is no list: nothing",
        ),
        pytest.param(
            {"metadata": {"$deleteFromPrimitiveList/annotations": ["x"]}},
            ("metadata",),
            LIVE["metadata"],
            id="nothing is taken out of nothing",
        ),
        pytest.param(
            spec(strategy={"$retainKeys": ["type"], "type": "Recreate"}),
            ("spec", "strategy"),
            {"type": "Recreate"},
            id="$retainKeys drops others",
        ),
        pytest.param(
            spec(volumes=[{"name": "cache", "$retainKeys": ["name", "secret"], "secret": "s"}]),
            ("spec", "volumes"),
            [{"name": "cache", "secret": "s"}],
            id="$retainKeys in an item",
        ),
        pytest.param({"$patch": "delete"}, (), {}, id="the whole object can be emptied"),
        pytest.param({}, (), LIVE, id="an empty patch changes nothing"),
        pytest.param(None, (), LIVE, id="a null patch changes nothing"),
        pytest.param({"unknown": {"x": 1}}, ("unknown",), {"x": 1}, id="unknown members are put as they are"),
    ],
)
def test_what_a_patch_does(patch: Any, path: tuple[Any, ...], expected: Any) -> None:
    before = copy.deepcopy((LIVE, patch))
    result = find(strategic_merge(APP, LIVE, patch), *path)
    if isinstance(expected, dict):
        expected = {name: value for name, value in expected.items() if value is not None}
    assert result == expected
    assert before == (LIVE, patch)


def items(*keys: str) -> list[dict[str, Any]]:
    return [{"name": key} for key in keys]


@pytest.mark.parametrize(
    ("live", "patch", "order", "expected"),
    [
        pytest.param("ab", "c", None, "cab", id="new items come first"),
        pytest.param("ab", "b", None, "ab", id="known items stay"),
        pytest.param("ab", "ba", None, "ba", id="known items take the order of the patch"),
        pytest.param("abc", "ca", None, "bca", id="the server's own item goes before the first that the live list has behind it"),
        pytest.param("ab", "c", "abc", "abc", id="the order says where new items go"),
        pytest.param("abc", "", "cba", "cba", id="the order alone sorts"),
        pytest.param("abcd", "", "db", "acdb", id="items that the order does not name stay near where they were"),
        pytest.param("", "ba", "ba", "ba", id="a list that was not there"),
        pytest.param("ab", "xy", "axby", "axby", id="old and new interleave"),
        pytest.param("sab", "", "ba", "sba", id="the server's first item stays first"),
    ],
)
def test_the_order_of_items(live: str, patch: str, order: str | None, expected: str) -> None:
    body = {"containers": items(*patch)} if patch else {}
    if order is not None:
        body["$setElementOrder/containers"] = items(*order)
    document = {"spec": {"containers": items(*live)} if live else {}}
    assert names(strategic_merge(APP, document, {"spec": body})["spec"]["containers"]) == list(expected)


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param(
            spec(containers=[{"name": "web", "$patch": "explode"}]),
            "unknown patch type: explode in map: map[$patch:explode name:web]",
            id="an unknown directive in an item",
        ),
        pytest.param(
            {"metadata": {"labels": {"$patch": "explode"}}},
            "unknown patch type: explode in map: map[$patch:explode]",
            id="an unknown directive in a map",
        ),
        pytest.param(
            spec(containers=[{"name": "web", "$patch": "merge"}]),
            "merging lists cannot yet be specified in the patch",
            id="$patch merge of a list",
        ),
        pytest.param(
            spec(containers=[{"image": "x"}]), "map: map[image:x] does not contain declared merge key: name", id="an item without its key"
        ),
        pytest.param(
            spec(containers=[{"$patch": "delete"}]),
            "map: map[$patch:delete] does not contain declared merge key: name",
            id="a deletion without a key",
        ),
        pytest.param(
            spec(containers=["web"]),
            "list element types are not identical: [[map[args:[-a] env:[map[name:A value:1] map[name:B value:2]] image:web:1 name:web] "
            "map[image:side:1 name:side ports:[map[containerPort:80 protocol:TCP]]]] [web]]",
            id="unlike items",
        ),
        pytest.param(
            spec(order_containers=[{"name": "web"}], containers=[{"name": "late"}]),
            "The order in patch list:\n[map[name:late]]\n doesn't match $setElementOrder list:\n[map[name:web]]\n",
            id="an item that the order does not name",
        ),
        pytest.param(
            spec(order_containers=[{"name": "b"}, {"name": "a"}], containers=[{"name": "a"}, {"name": "b"}]),
            "The order in patch list:\n[map[name:a] map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:b] map[name:a]]\n",
            id="items in another order than the order",
        ),
        pytest.param(spec(order_containers="web"), "expected a []interface {}, but received a string", id="an order that is no list"),
        pytest.param(spec(order_containers=["web"]), "value for key 0 is not a map", id="an order without keys"),
        pytest.param(
            spec(order_gone=[], gone=[1]),
            'unable to find api field in struct AppSpec for the json field "gone"',
            id="an order of an unknown list",
        ),
        pytest.param(
            {"$setElementOrder/data": []}, "expected slice or array type, but got: struct", id="an order of a map that is not there"
        ),
        pytest.param({"spec": {"$patch": 5}}, "unknown patch type: %!s(int64=5) in map: map[$patch:5]", id="a directive that is a number"),
        pytest.param(
            spec(containers=[{"name": "web", "$patch": None}]),
            "unknown patch type: %!s(<nil>) in map: map[$patch:<nil> name:web]",
            id="a directive that is null",
        ),
        pytest.param(
            spec(order_containers=[{"name": "web"}, "side"]), "value for key 1 is not a map", id="an order with something else in it"
        ),
        pytest.param(
            spec(order_containers=[{"name": "side"}, {"name": "web"}, 5]),
            "expected a map[string]interface {}, but received a int64",
            id="an order with something else after all that is there",
        ),
    ],
)
def test_what_cannot_be_merged_is_a_plain_error(patch: Any, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        strategic_merge(APP, LIVE, patch)
    assert caught.value.message == message
    assert (caught.value.http_code, caught.value.http_reason) == (500, "")


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param(
            spec(strategy={"$retainKeys": ["type"], "rolling": {}}),
            "invalid patch format of retainKeys",
            id="a member that is not retained",
        ),
        pytest.param(spec(strategy={"$retainKeys": "type"}), "invalid patch format of retainKeys", id="keys that are no list"),
        pytest.param(
            {"metadata": {"$deleteFromPrimitiveList": ["x"]}}, "invalid patch format of primitive list", id="values taken out of what"
        ),
        pytest.param({"spec": {"$setElementOrder": []}}, "invalid patch format of setElementOrder list", id="an order of what"),
        pytest.param([], "json: cannot unmarshal array into Go value of type map[string]interface {}", id="a list"),
    ],
)
def test_directives_of_the_wrong_form_are_bad_requests(patch: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        strategic_merge(APP, LIVE, patch)
    assert caught.value.message == message


ODD = {
    "an order with nothing in it turns what is new around": (
        spec(order_containers=[], containers=[{"name": "new"}, {"name": "newer"}]),
        ["web", "side", "newer", "new"],
    ),
    "without an order, what is new goes in front": (spec(containers=[{"name": "new"}, {"name": "newer"}]), ["new", "newer", "web", "side"]),
}


@pytest.mark.parametrize(("patch", "expected"), ODD.values(), ids=ODD.keys())
def test_odd_orders(patch: Any, expected: list[str]) -> None:
    assert names(strategic_merge(APP, LIVE, patch)["spec"]["containers"]) == expected


def test_values_are_taken_out_of_something_else() -> None:
    patch: dict[str, Any] = {"spec": {"$deleteFromPrimitiveList/replicas": 3, "$deleteFromPrimitiveList/paused": True}}
    assert strategic_merge(APP, LIVE, patch)["spec"] == {**LIVE["spec"], "replicas": 3}
    patch = {"spec": {"$deleteFromPrimitiveList/strategy": {"type": None}}}
    assert strategic_merge(APP, LIVE, patch)["spec"]["strategy"] == {"rolling": {"surge": 1}}


LEFT = {
    "directives and nulls": (
        spec(strategy={"$retainKeys": ["type"], "type": "x"}, paused=None, selector={"$patch": "replace", "a": None}),
        {"spec": {"strategy": {"type": "x"}, "paused": None, "selector": {"a": None}}},
    ),
    "lists that come with an order": (
        spec(order_containers=[{"name": "web"}], containers=[{"name": "web", "image": 5}], replicas="x"),
        {"spec": {"replicas": "x"}},
    ),
    "nulls of what is new": (
        {"metadata": {"annotations": {"a": None, "b": [{"c": None}]}, "labels": {"a": None}}},
        {"metadata": {"annotations": {"b": [{}]}, "labels": {"a": None}}},
    ),
}


@pytest.mark.parametrize(("patch", "left"), LEFT.values(), ids=LEFT.keys())
def test_merging_uses_up_a_patch(patch: Any, left: Any) -> None:
    before = copy.deepcopy(patch)
    assert used_up(APP, LIVE, patch) == left
    assert patch == before


def test_long_lists_are_merged_item_by_item() -> None:
    count = 20_000
    old = [{"name": f"n{each}", "image": "a"} for each in range(count)]
    new = [{"name": f"n{each}", "image": "b"} for each in reversed(range(count // 2, count + 10))]
    gone = [{"name": f"n{each}", "$patch": "delete"} for each in range(10)]
    merged = strategic_merge(APP, {"spec": {"containers": old}}, {"spec": {"containers": new + gone}})["spec"]["containers"]
    assert len(merged) == count
    order = [{"name": each["name"]} for each in new]
    patch = {"spec": {"$setElementOrder/containers": order, "containers": new}}
    assert len(strategic_merge(APP, {"spec": {"containers": old}}, patch)["spec"]["containers"]) == count + 10
    finalizers = [f"x/{each}" for each in range(count)]
    document = {"metadata": {"finalizers": finalizers}}
    assert strategic_merge(APP, document, {"metadata": {"finalizers": finalizers * 3}}) == document
    assert strategic_merge(APP, document, {"metadata": {"$deleteFromPrimitiveList/finalizers": finalizers[1:]}}) == {
        "metadata": {"finalizers": ["x/0"]}
    }


def test_lists_of_lists_are_invalid() -> None:
    with pytest.raises(Invalid) as caught:
        strategic_merge(APP, {"metadata": {"finalizers": []}}, {"metadata": {"finalizers": [["x"]]}})
    assert caught.value.status["details"] == {}


def test_a_known_list_of_the_built_in_types_merges_by_its_key() -> None:
    service = load("1.36").type("io.k8s.api.core.v1.Service")
    live = {"spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}], "selector": {"app": "web"}}}
    patch = {"spec": {"ports": [{"port": 443, "name": "https"}, {"port": 80, "targetPort": 9}], "selector": {"app": None, "role": "edge"}}}
    assert strategic_merge(service, live, patch)["spec"] == {
        "ports": [{"port": 443, "name": "https"}, {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 9}],
        "selector": {"role": "edge"},
    }


# --- properties -------------------------------------------------------------------------------------------------------------------

words = st.sampled_from(["a", "b", "c", "d"])
environment = st.lists(words, unique=True, max_size=4).flatmap(
    lambda keys: st.tuples(*(st.fixed_dictionaries({"name": st.just(key), "value": words}) for key in keys)).map(list)
)
containers = st.lists(words, unique=True, max_size=4).flatmap(
    lambda keys: st.tuples(
        *(
            st.fixed_dictionaries(
                {"name": st.just(key)}, optional={"image": words, "args": st.lists(words, max_size=2), "env": environment}
            )
            for key in keys
        )
    ).map(list)
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "data": st.dictionaries(words, words, max_size=3),
        "metadata": st.fixed_dictionaries({}, optional={"finalizers": st.lists(words, unique=True, max_size=4)}),
        "spec": st.fixed_dictionaries({}, optional={"replicas": st.integers(0, 3), "containers": containers}),
    },
)
MERGED = {"containers", "env"}


def strategic_difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A patch that leads from one object to the other, as kubectl would make it."""
    patch: dict[str, Any] = {name: None for name in one if name not in other}
    for name, value in other.items():
        old: Any = one.get(name)
        if name not in one or old == value:
            patch |= {} if name in one else {name: value}
        elif isinstance(value, dict):
            patch[name] = strategic_difference(old, value)
        elif name in MERGED:
            gone = [{"name": each["name"], "$patch": "delete"} for each in old if each["name"] not in names(value)]
            known = {each["name"]: each for each in old}
            changed = [{"name": each["name"], **strategic_difference(known.get(each["name"], {}), each)} for each in value]
            patch |= {name: gone + changed, f"$setElementOrder/{name}": items(*names(value))}
        elif name == "finalizers":
            patch |= {name: value, f"$setElementOrder/{name}": value}
            patch[f"$deleteFromPrimitiveList/{name}"] = [each for each in old if each not in value]
        else:
            patch[name] = value
    return patch


def settled(value: Any) -> Any:
    """The object without empty maps and lists, which a patch may leave behind."""
    if isinstance(value, dict):
        return {name: settled(each) for name, each in value.items() if each not in ({}, [])}
    return [settled(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=150, deadline=None)
@given(objects, objects)
def test_a_difference_leads_from_one_to_the_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    before = copy.deepcopy((one, other))
    patch = strategic_difference(one, other)
    assert settled(settled(strategic_merge(APP, one, patch))) == settled(settled(other))
    assert before == (one, other)


@settings(max_examples=80, deadline=None)
@given(objects, objects)
def test_a_patch_without_deletions_done_twice_is_done_once(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = strategic_merge(APP, document, patch)
    assert strategic_merge(APP, once, patch) == once
