"""Every form of patch on objects of several kinds: any patch gives an object, or an error that blames the client; nothing is changed in
place, nothing grows without bound."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from apiserver.handlers.bodies import KindNames
from apiserver.handlers.patch_bodies import APPLY, JSON_PATCH, MERGE, STRATEGIC
from apiserver.handlers.patching import Patching
from apiserver.registry.kind import Context, User
from kube.objects import Object
from kube.patch.managed import managed_after_update
from kube.schema import definitions
from kube.schema.decode import decode
from kube.schema.types import ListType, MapType, ScalarType, StructType, Type
from tests.fuzz.budget import answered, examples
from tests.fuzz.bytes import as_flow_yaml, as_json, mangled
from tests.unit.typed_values import ANY_JSON, NAMES, values_of

KINDS = {
    KindNames("", "v1", "Pod"): "io.k8s.api.core.v1.Pod",
    KindNames("", "v1", "ConfigMap"): "io.k8s.api.core.v1.ConfigMap",
    KindNames("", "v1", "Service"): "io.k8s.api.core.v1.Service",
    KindNames("apps", "v1", "Deployment"): "io.k8s.api.apps.v1.Deployment",
    KindNames("apps", "v1", "ControllerRevision"): "io.k8s.api.apps.v1.ControllerRevision",
    KindNames("rbac.authorization.k8s.io", "v1", "Role"): "io.k8s.api.rbac.v1.Role",
}
NOW = "2026-01-01T00:00:00Z"
kinds = st.sampled_from(list(KINDS))


def type_of(names: KindNames) -> StructType:
    return definitions.load().type(KINDS[names])


@st.composite
def objects(draw: st.DrawFn, names: KindNames) -> Object:
    of = type_of(names)
    value = decode(of, draw(values_of(of))).value
    metadata: dict[str, Any] = {"name": "n", "uid": "u", "resourceVersion": "5", "labels": {"a": "1"}}
    obj: Object = {**value, "apiVersion": names.api_version, "kind": names.kind, "metadata": metadata}
    metadata["managedFields"] = managed_after_update(of, None, obj, manager="x", api_version=names.api_version, time=NOW)
    return obj


def wrong_values(of: Type | None) -> st.SearchStrategy[Any]:
    """Mostly of the type, now and then something else, or something with a directive in it."""
    fits = values_of(of, 3) if of is not None else ANY_JSON
    return fits | ANY_JSON | st.none() | st.sampled_from(DIRECTED)


DIRECTED: tuple[Any, ...] = (
    {"$patch": "delete"},
    {"$patch": "replace", "a": None},
    {"$patch": "merge"},
    {"$patch": 5},
    [{"$patch": "replace"}],
    [{"$patch": "delete", "name": "a"}, {"name": "b"}],
    [{"name": "a"}, {"name": "a", "$patch": "delete"}, {"name": "c", "$retainKeys": ["name"]}],
    {"$retainKeys": ["a", 5], "a": 1},
    [["x"]],
    ["a", {"b": 1}, None],
)


@st.composite
def merges(draw: st.DrawFn, of: Type | None, depth: int = 3) -> Any:
    """A patch along the type, with directives beside its members."""
    if depth == 0 or not isinstance(of, StructType | MapType):
        return draw(wrong_values(of))
    known = sorted(of.fields) if isinstance(of, StructType) else list(NAMES)
    patch: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from((*known, "unknown")), max_size=4, unique=True)):
        below = (of.fields[name].type if name in of.fields else None) if isinstance(of, StructType) else of.value
        patch[name] = draw(merges(below, depth - 1))
        if isinstance(below, ListType | ScalarType) and draw(st.integers(0, 3)) == 0:
            directive = draw(st.sampled_from(("$setElementOrder", "$deleteFromPrimitiveList")))
            patch[f"{directive}/{name}"] = draw(st.just(patch[name]) | wrong_values(below))
    if draw(st.integers(0, 9)) == 0:
        patch[draw(st.sampled_from(("$patch", "$retainKeys", "$setElementOrder", "$deleteFromPrimitiveList/")))] = draw(
            st.sampled_from(("replace", "delete", "merge", [], list(patch), None, {}))
        )
    return patch


def pointers(value: Any, path: str = "") -> Iterator[str]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from pointers(each, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")


@st.composite
def operations(draw: st.DrawFn, document: Any) -> list[Any]:
    known = list(pointers(document))
    ends = ("", "/-", "/0", "/-1", "/new", "/~2", "x", "/99999999999999999999", "/+1")
    paths = st.tuples(st.sampled_from(known), st.sampled_from(ends)).map("".join)
    return draw(
        st.lists(
            st.fixed_dictionaries(
                {"op": st.sampled_from(("add", "remove", "replace", "move", "copy", "test", "x", None))},
                optional={"path": paths | st.none(), "from": paths, "value": ANY_JSON | st.sampled_from(("<", {"a": {"b": []}}))},
            ),
            max_size=6,
        )
    )


def patched(names: KindNames, media: str, body: bytes, live: Object, validation: str = "") -> Any:
    """The outcome of a patch, as a handler would have it."""
    ctx = Context(User("u"), datetime(2026, 1, 1, tzinfo=UTC), "patch", field_manager="m", timestamp=NOW)
    patching = Patching(type_of(names), names, media, {"fieldValidation": validation, "force": b"force" in body}, ctx, body)
    before = copy.deepcopy(live)
    result = answered(lambda: patching.applied(live) if media == APPLY else patching.patched(live))
    assert live == before
    if result is not None:
        orjson.dumps(result)
        assert len(orjson.dumps(result)) < 10 * (len(orjson.dumps(live)) + len(body)) + 3 * 1024 * 1024
    return result


VALIDATION = st.sampled_from(("", "Ignore", "Strict"))


@examples(150)
@given(st.data(), kinds, VALIDATION)
def test_json_patches(data: st.DataObject, names: KindNames, validation: str) -> None:
    live = data.draw(objects(names))
    body = data.draw(mangled(operations(live).map(as_json)))
    patched(names, JSON_PATCH, body, live, validation)


@examples(150)
@given(st.data(), kinds, VALIDATION)
def test_merge_patches(data: st.DataObject, names: KindNames, validation: str) -> None:
    live = data.draw(objects(names))
    body = data.draw(mangled(merges(type_of(names)).map(as_json)))
    patched(names, MERGE, body, live, validation)


@examples(250)
@given(st.data(), kinds, VALIDATION)
def test_strategic_merge_patches(data: st.DataObject, names: KindNames, validation: str) -> None:
    live = data.draw(objects(names))
    body = data.draw(mangled(merges(type_of(names)).map(as_json)))
    patched(names, STRATEGIC, body, live, validation)


@examples(150)
@given(st.data(), kinds, VALIDATION, st.sampled_from((as_json, as_flow_yaml)))
def test_applied_configurations(data: st.DataObject, names: KindNames, validation: str, written: Any) -> None:
    live = data.draw(objects(names))
    config = data.draw(merges(type_of(names)))
    if isinstance(config, dict) and data.draw(st.integers(0, 9)):
        config = {**config, "apiVersion": names.api_version, "kind": names.kind}
    once = patched(names, APPLY, data.draw(mangled(st.just(written(config)))), live, validation)
    if once is not None:
        patched(names, APPLY, written(config), decode(type_of(names), once).value, validation)
