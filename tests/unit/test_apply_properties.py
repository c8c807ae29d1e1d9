"""What holds of server-side apply whatever was applied before, by made-up histories."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from kube.objects import Object
from kube.patch.fieldset import paths
from kube.patch.typed import fields_of
from tests.unit.applying import SECOND, THIRD, applied, canonical, config
from tests.unit.patch_types import APP

words = st.sampled_from("abc")
maps = st.dictionaries(words, words, max_size=3)
containers = st.lists(words, unique=True, max_size=3).flatmap(
    lambda keys: st.tuples(
        *(st.fixed_dictionaries({"name": st.just(key)}, optional={"image": words, "args": st.lists(words, max_size=2)}) for key in keys)
    ).map(list)
)
configs = st.fixed_dictionaries(
    {
        "apiVersion": st.just("test/v1"),
        "kind": st.just("App"),
        "metadata": st.fixed_dictionaries({"name": st.just("web")}, optional={"labels": maps, "finalizers": st.lists(words, unique=True)}),
    },
    optional={
        "data": maps,
        "spec": st.fixed_dictionaries({}, optional={"replicas": st.integers(0, 2), "containers": containers, "nodeSelector": maps}),
    },
)
history = st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), configs), min_size=1, max_size=5)


def played(steps: list[tuple[str, Object]]) -> Object | None:
    live: Object | None = None
    for manager, wanted in steps:
        live = applied(live, wanted, manager=manager, force=True)
    return live


def fields_in(obj: Object) -> set[tuple[str, ...]]:
    """The fields of metadata (labels and the like), spec and data that the object has."""
    metadata = {key: obj["metadata"][key] for key in ("labels", "finalizers") if key in obj["metadata"]}
    bare = {"metadata": metadata, "spec": obj.get("spec", {}), "data": obj.get("data", {})}
    return {path for path in paths(fields_of(APP, bare)) if len(path) > 1}


@settings(max_examples=80, deadline=None)
@given(history, configs)
def test_applying_twice_is_applying_once(steps: list[tuple[str, Object]], wanted: Object) -> None:
    live = played(steps)
    before = copy.deepcopy((live, wanted))
    once = applied(live, wanted, manager="m", force=True, time=SECOND)
    assert before == (live, wanted)
    again = applied(once, wanted, manager="m", time=THIRD)
    assert again == once


@settings(max_examples=80, deadline=None)
@given(history, configs)
def test_the_configuration_is_in_the_result(steps: list[tuple[str, Object]], wanted: Object) -> None:
    result = applied(played(steps), wanted, manager="m", force=True)
    assert fields_in(canonical(wanted)) - {("f:spec", "f:containers"), ("f:spec", "f:strategy")} <= fields_in(result)
    for name, value in wanted.get("data", {}).items():
        assert result["data"][name] == value


def owned_paths(obj: Object, *, by: str) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """(what the manager owns, what others own)."""
    entries = obj["metadata"].get("managedFields", [])
    mine = {path for each in entries if each["manager"] == by for path in paths(each["fieldsV1"])}
    return mine, {path for each in entries if each["manager"] != by for path in paths(each["fieldsV1"])}


@settings(max_examples=80, deadline=None)
@given(history)
def test_giving_everything_up_removes_what_nobody_else_owns(steps: list[tuple[str, Object]]) -> None:
    live = played(steps)
    assert live is not None
    mine, others = owned_paths(live, by="x")
    left = fields_in(applied(live, config(), manager="x"))
    assert (others & fields_in(live)) <= left
    alone = {path for path in mine if len(path) > 1 and not any(each[: len(path)] == path for each in others)}
    assert not alone & left - {("f:spec", "f:containers")}


@settings(max_examples=80, deadline=None)
@given(history)
def test_what_nobody_owns_stays_where_the_applier_owned_nothing(steps: list[tuple[str, Object]]) -> None:
    live = played(steps)
    assert live is not None
    live = {**live, "data": {**live.get("data", {}), "unowned": "x"}}
    mine, others = owned_paths(live, by="x")
    if any(path[0] == "f:data" for path in mine) and not any(path[0] == "f:data" for path in others):
        return  # a field of a struct goes as a whole, once its last owner gives it up
    assert applied(live, config(), manager="x")["data"]["unowned"] == "x"


@settings(max_examples=60, deadline=None)
@given(configs, configs)
def test_two_appliers_can_leave_in_any_order(one: Object, other: Object) -> None:
    both = applied(applied(None, one, manager="x"), other, manager="y", force=True)
    nothing = config()
    left = applied(applied(both, nothing, manager="x"), nothing, manager="y")
    right = applied(applied(both, nothing, manager="y"), nothing, manager="x")
    assert fields_in(left) == fields_in(right) == fields_in(canonical(nothing))
