"""Patches and apply, for generated objects of the built-in kinds: what must hold whatever the type."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kube.errors import Invalid
from kube.objects import Object
from kube.patch.apply import ApplyConflict, apply
from kube.patch.elements import element_of
from kube.patch.fieldset import FieldSet, has, paths
from kube.patch.json_patch import apply_json_patch
from kube.patch.managed import without_never_owned
from kube.patch.merge_patch import merge_patch
from kube.patch.patched_text import after_json_patch, after_merge_patch, text_of
from kube.patch.strategic import strategic_merge
from kube.patch.typed import fields_of
from kube.schema import definitions, gojson, unstructured
from kube.schema.decode import decode
from kube.schema.field_order import in_go_order
from kube.schema.types import ListType, MapType, StructType, Type
from tests.fuzz.budget import examples
from tests.unit.typed_values import ANY_JSON, NAMES, values_of

FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
SOME = examples(60)


def is_object(definition: str) -> bool:
    metadata = definitions.load().type(definition).fields.get("metadata")
    return metadata is not None and metadata.type == definitions.load().type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")


KINDS = {
    f"{group}/{version}".removeprefix("/") + f" {kind}": name
    for (group, version, kind), name in sorted(definitions.load().kinds.items())
    if is_object(name)
}
WORKLOADS = ["v1 Pod", "v1 Service", "apps/v1 Deployment", "batch/v1 CronJob", "rbac.authorization.k8s.io/v1 Role", "v1 ConfigMap"]
kinds = st.sampled_from(WORKLOADS) | st.sampled_from(list(KINDS))
METADATA = st.fixed_dictionaries(
    {"name": st.just("n")},
    optional={
        "labels": st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES), max_size=3),
        "finalizers": st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
    },
)


@st.composite
def objects(draw: st.DrawFn, kind: str) -> Object:
    of = type_of(kind)
    rest = draw(values_of(of))
    return {**rest, "apiVersion": kind.split()[0], "kind": kind.split()[1], "metadata": draw(METADATA)}


def type_of(kind: str) -> StructType:
    return definitions.load().type(KINDS[kind])


def canonical(of: StructType, value: Object) -> Object:
    out: Object = unstructured.convert(of, value).value
    return out


# --- merge patch ------------------------------------------------------------------------------------------------------------------


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def merge_difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {name: None for name in one if name not in other}
    for name, value in other.items():
        old = one.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            patch[name] = merge_difference(old, value)
        elif old != value:
            patch[name] = value
    return patch


@SOME
@given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), objects(kind), objects(kind))))
def test_the_merge_difference_of_two_objects_leads_from_one_to_the_other(drawn: tuple[str, Object, Object]) -> None:
    kind, one, other = drawn
    one, other = without_nulls(one), without_nulls(other)
    patch = merge_difference(one, other)
    once = merge_patch(one, patch)
    assert once == other
    assert merge_patch(once, patch) == once
    text = text_of(after_merge_patch(in_go_order(type_of(kind), one), gojson.load(orjson.dumps(patch))))
    assert orjson.loads(text) == other


# --- JSON patch -------------------------------------------------------------------------------------------------------------------


def pointers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        here = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
        yield here, each
        yield from pointers(each, here)


@SOME
@given(kinds.flatmap(objects), ANY_JSON, st.data())
def test_what_a_json_patch_does_can_be_undone(document: Object, value: Any, data: st.DataObject) -> None:
    path, old = data.draw(st.sampled_from(list(pointers(document))))
    test = {"op": "test", "path": path, "value": old}
    done = apply_json_patch(document, [test, {"op": "replace", "path": path, "value": value}])
    assert apply_json_patch(done, [{"op": "test", "path": path, "value": value}, {"op": "replace", "path": path, "value": old}]) == document
    gone = apply_json_patch(document, [test, {"op": "remove", "path": path}])
    assert apply_json_patch(gone, [{"op": "add", "path": path, "value": old}]) == document
    copied = apply_json_patch(document, [{"op": "copy", "from": path, "path": "/new"}, {"op": "remove", "path": "/new"}])
    assert copied == document
    with pytest.raises(Invalid):
        apply_json_patch(document, [{"op": "replace", "path": path, "value": [old]}, test])


OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(("add", "remove", "replace", "move", "copy", "test")), "path": st.integers(0, 50), "value": ANY_JSON},
        optional={"from": st.integers(0, 50), "more": st.sampled_from(("", "/-", "/0", "/new", "/x~1y"))},
    ),
    max_size=4,
)


@SOME
@given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), objects(kind))), OPERATIONS)
def test_the_quoted_text_is_that_of_the_result(drawn: tuple[str, Object], wanted: list[dict[str, Any]]) -> None:
    kind, document = drawn
    known = [path for path, _ in pointers(document)]

    def path_of(number: int) -> str:
        return known[number % len(known)]

    patch = [{**each, "path": path_of(each["path"]) + each.pop("more", ""), "from": path_of(each.get("from", 0))} for each in wanted]
    before = copy.deepcopy((document, patch))
    try:
        result = apply_json_patch(document, patch)
    except Invalid:
        assume(False)
    assert before == (document, patch)
    text = text_of(after_json_patch(in_go_order(type_of(kind), document), gojson.load(orjson.dumps(patch))))
    assert orjson.loads(text) == result


# --- strategic merge --------------------------------------------------------------------------------------------------------------


def strategic_difference(of: Type | None, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A patch that leads from one object to the other, as kubectl would make it."""
    patch: dict[str, Any] = {name: None for name in one if name not in other}
    for name, value in other.items():
        old = one.get(name)
        field = of.fields.get(name) if isinstance(of, StructType) else None
        below = field.type if field is not None else None
        if name in one and old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict) and isinstance(below, StructType | MapType):
            patch[name] = strategic_difference(below, old, value)
            if field is not None and "retainKeys" in field.strategies:
                patch[name]["$retainKeys"] = list(value)
        elif isinstance(old, list) and isinstance(value, list) and isinstance(below, ListType) and "merge" in below.strategies:
            patch |= list_difference(below, name, old, value)
        else:
            patch[name] = value
    return patch


def list_difference(of: ListType, name: str, old: list[Any], new: list[Any]) -> dict[str, Any]:
    key = of.merge_key
    if not key:
        gone = [each for each in old if each not in new]
        taken = {f"$deleteFromPrimitiveList/{name}": gone} if gone else {}
        return {name: new, f"$setElementOrder/{name}": new, **taken}
    kept = {each[key] for each in new}
    known = {each[key]: each for each in old}
    deleted = [{key: each[key], "$patch": "delete"} for each in old if each[key] not in kept]
    changed = [{**strategic_difference(of.item, known.get(each[key], {}), each), key: each[key]} for each in new]
    return {name: changed + deleted, f"$setElementOrder/{name}": [{key: each[key]} for each in new]}


def has_merge_keys(of: Type | None, value: Any) -> bool:
    """Whether every item of a list that is merged has its merge key, and not another's."""
    if isinstance(of, StructType) and isinstance(value, dict):
        return all(has_merge_keys(of.fields[name].type, each) for name, each in value.items() if name in of.fields)
    if isinstance(of, MapType) and isinstance(value, dict):
        return all(has_merge_keys(of.value, each) for each in value.values())
    if isinstance(of, ListType) and isinstance(value, list):
        if "merge" in of.strategies:
            keys = [each.get(of.merge_key) if of.merge_key else each for each in value]
            if None in keys or len(set(keys)) < len(keys):
                return False
        return all(has_merge_keys(of.item, each) for each in value)
    return True


def settled(value: Any) -> Any:
    """The value without empty maps and lists, which a patch may leave behind or not."""
    if isinstance(value, dict):
        below = {name: settled(each) for name, each in value.items()}
        return {name: each for name, each in below.items() if each not in ({}, [])}
    return [settled(each) for each in value] if isinstance(value, list) else value


@SOME
@given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), objects(kind), objects(kind))))
def test_the_strategic_difference_of_two_objects_leads_from_one_to_the_other(drawn: tuple[str, Object, Object]) -> None:
    kind, one, other = drawn
    of = type_of(kind)
    one, other = without_nulls(decode(of, one).value), without_nulls(decode(of, other).value)
    assume(has_merge_keys(of, one) and has_merge_keys(of, other))
    patch = strategic_difference(of, one, other)
    before = copy.deepcopy((one, patch))
    assert settled(strategic_merge(of, one, patch)) == settled(other)
    assert before == (one, patch)


# --- apply ------------------------------------------------------------------------------------------------------------------------


def run(of: StructType, live: Object | None, config: Object, manager: str, *, force: bool = False, time: str = FIRST) -> Object:
    return apply(of, live, config, manager=manager, api_version=config["apiVersion"], time=time, force=force)


def owned_by(obj: Object, manager: str) -> FieldSet:
    return next((each["fieldsV1"] for each in obj["metadata"].get("managedFields", ()) if each["manager"] == manager), {})


def at(of: Type, value: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of elements; `...` where there is none."""
    for element in path:
        if element.startswith("f:") and isinstance(value, dict):
            value = value.get(element[2:], ...)
            of = of.fields[element[2:]].type if isinstance(of, StructType) else of.value if isinstance(of, MapType) else of
        elif isinstance(of, ListType) and isinstance(value, list):
            value = next((each for each in value if element_of(of)(each) == element), ...)
            of = of.item
        else:
            return ...
    return value


@SOME
@given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), objects(kind), objects(kind))))
def test_applying_twice_is_applying_once(drawn: tuple[str, Object, Object]) -> None:
    kind, first, config = drawn
    of = type_of(kind)
    live = canonical(of, run(of, None, first, "x"))
    once = canonical(of, run(of, live, config, "m", force=True))
    again = run(of, once, config, "m", time=FIRST)
    assert canonical(of, again) == once
    assert owned_by(once, "m") == without_never_owned(fields_of(of, config))


@SOME
@given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), objects(kind), objects(kind))))
def test_force_takes_and_the_other_loses_exactly_that(drawn: tuple[str, Object, Object]) -> None:
    kind, first, config = drawn
    of = type_of(kind)
    live = canonical(of, run(of, None, first, "x"))
    mine = owned_by(live, "x")
    forced = run(of, live, config, "m", force=True)
    left = owned_by(forced, "x")
    lost = [path for path in paths(mine) if not has(left, path)]
    for path in paths(mine):
        old = at(of, live, path)
        if old is not ... and not isinstance(old, dict | list):
            assert (path in lost) == (at(of, forced, path) != old), path
    assert all(has(mine, path) for path in paths(left))
    assert refused(of, live, config) == set(lost)


def refused(of: StructType, live: Object, config: Object) -> set[tuple[str, ...]]:
    """The fields over which `m` conflicts with others when it applies without force."""
    try:
        run(of, live, config, "m")
    except ApplyConflict as conflict:
        return {each.elements for each in conflict.conflicts}
    return set()


@SOME
@given(kinds.flatmap(lambda kind: st.tuples(st.just(kind), objects(kind), objects(kind), objects(kind))))
def test_what_an_applier_never_had_stays_when_it_gives_up_the_rest(drawn: tuple[str, Object, Object, Object]) -> None:
    kind, other, first, config = drawn
    of = type_of(kind)
    live = canonical(of, run(of, None, other, "x"))
    live = canonical(of, run(of, live, first, "m", force=True))
    after = run(of, live, config, "m", force=True, time=SECOND)
    for path in paths(owned_by(live, "x")):
        if at(of, live, path) is not ... and has(owned_by(after, "x"), path):
            assert at(of, after, path) is not ..., path
