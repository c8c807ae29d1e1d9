"""What mutations of admission policies make of an object."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.admission.policies.expressions import Evaluation, EvaluationError, Expression
from apiserver.admission.policies.facts import Facts, Form
from apiserver.admission.policies.mutating import keep
from apiserver.admission.policies.patches import MutationError, mutated
from apiserver.kinds import all_kinds
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, User
from apiserver.validation.expressions import APPLY_CONFIGURATION, JSON_PATCH, Scope
from kube.errors import InternalError
from kube.objects import Object
from kube.schema.definitions import load

KINDS = {kind.resource.qualified: kind for kind in all_kinds()}
CONFIG_MAP: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "x", "namespace": "default", "labels": {"a": "b"}},
    "data": {"k": "v"},
}
CONTAINER = {"name": "c", "image": "i"}
POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "x", "namespace": "default"},
    "spec": {"containers": [CONTAINER]},
    "status": {},
}


def attributes_of(obj: Object, qualified: str, subresource: str = "") -> Attributes:
    ctx = Context(User("ann"), datetime(2026, 1, 1, tzinfo=UTC), "create", subresource)
    return Attributes(KINDS[qualified], "CREATE", "default", "x", obj, None, ctx, SimpleNamespace(definitions=load()))


def form_of(obj: Object, qualified: str, subresource: str = "") -> Form:
    return Facts(attributes_of(obj, qualified, subresource)).forms[0]


def result(text: str, obj: Object = CONFIG_MAP, qualified: str = "configmaps", subresource: str = "") -> Object:
    """The object after one mutation."""
    is_patch = text.startswith("[")
    expression = Expression(text, Scope(variables={}, has_patch_types=True), (JSON_PATCH if is_patch else APPLY_CONFIGURATION,))
    assert not expression.problem, expression.problem
    value = Evaluation({"object": obj, "oldObject": None, "request": {}, "namespaceObject": None}, {}).evaluate(expression)
    form = form_of(obj, qualified, subresource)
    return mutated(form, form.kind, obj, value, is_patch=is_patch)


def op(kind: str, path: str, value: str = "", **rest: str) -> str:
    fields = {
        "op": repr(kind),
        "path": repr(path),
        **({"value": value} if value else {}),
        **{name: repr(each) for name, each in rest.items()},
    }
    return f"[JSONPatch{{{', '.join(f'{name}: {each}' for name, each in fields.items())}}}]"


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "labels are merged": (
        "Object{metadata: Object.metadata{labels: {'c': 'd'}}}",
        {"metadata": {**CONFIG_MAP["metadata"], "labels": {"a": "b", "c": "d"}}},
    ),
    "a field is set": ("Object{data: {'k': 'w', 'l': 'x'}, immutable: true}", {"data": {"k": "w", "l": "x"}, "immutable": True}),
    "a field that is not there": ("Object{?data: optional.none()}", {}),
    "nothing": ("Object{}", {}),
    "another kind is not to be had": ("Object{kind: 'Secret'}", {}),
    "an operation adds": (op("add", "/data/l", "'x'"), {"data": {"k": "v", "l": "x"}}),
    "an operation takes away": (op("remove", "/data"), {"data": None}),
    "an operation moves": ("[JSONPatch{op: 'move', from: '/data/k', path: '/data/l'}]", {"data": {"l": "v"}}),
    "a whole map": (op("replace", "/data", "{'a': object.metadata.name}"), {"data": {"a": "x"}}),
    "an object": (
        op("add", "/metadata/labels", "Object.metadata.labels{c: 'd'}"),
        {"metadata": {**CONFIG_MAP["metadata"], "labels": {"c": "d"}}},
    ),
    "a key with a slash": (
        "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~c'), value: 'd'}]",
        {"metadata": {**CONFIG_MAP["metadata"], "labels": {"a": "b", "a/b~c": "d"}}},
    ),
    "a test that holds": ("[JSONPatch{op: 'test', path: '/data/k', value: 'v'}]", {}),
    "a test that fails leaves it as it is": (
        "[JSONPatch{op: 'test', path: '/data/k', value: 'w'}, JSONPatch{op: 'add', path: '/data/l', value: 'x'}]",
        {},
    ),
    "a moment is a text": (op("add", "/data/l", "timestamp('2026-01-01T00:00:00Z')"), {"data": {"k": "v", "l": "2026-01-01T00:00:00Z"}}),
    "bytes are base64": (op("add", "/binaryData", "{'b': b'abc'}"), {"binaryData": {"b": "YWJj"}}),
}


@pytest.mark.parametrize("case", CHANGES, ids=str)
def test_changes(case: str) -> None:
    text, changed = CHANGES[case]
    wanted = {name: each for name, each in {**CONFIG_MAP, **changed}.items() if each is not None}
    assert result(text) == wanted
    assert CONFIG_MAP["data"] == {"k": "v"}, "the object itself stays as it is"


APPLIED = "error applying patch: "
PATCHED = "failed to convert patch object to typed object: "
REFUSALS: dict[str, tuple[str, str]] = {
    "an unknown field": ("Object{foo: 'x'}", f"{APPLIED}{PATCHED}.foo: field not declared in schema"),
    "a number for a text": (
        "Object{data: {'n': 1}}",
        f"{APPLIED}{PATCHED}.data.n: expected string, got &value.valueUnstructured{{Value:1}}",
    ),
    "null": ("Object{data: null}", f"{APPLIED}{PATCHED}.data: expected map, got &{{NULL_VALUE}}"),
    "bytes": (
        "Object{binaryData: {'b': b'ab'}}",
        f"{APPLIED}{PATCHED}.binaryData.b: expected string, got &value.valueUnstructured{{Value:[]uint8{{0x61, 0x62}}}}",
    ),
    "a type that is named after another field": (
        "Object{metadata: Object.spec{labels: {'a': 'b'}}}",
        'type mismatch: unexpected type name "Object.spec", expected "Object.metadata", '
        "which matches field name path from root Object type",
    ),
    "keys that are no texts": ("Object{data: {1: 'a'}}", "invalid return type: *dynamic.ObjectVal"),
    "no such path": (op("add", "/a/b", "1"), 'JSON Patch: add operation does not apply: doc is missing path: "/a/b": missing value'),
    "nothing to remove": (
        op("remove", "/data/l"),
        "JSON Patch: error in remove for path: '/data/l': Unable to remove nonexistent key: l: missing value",
    ),
    "nothing to replace": (
        op("replace", "/a/b", "1"),
        "JSON Patch: replace operation does not apply: doc is missing path: /a/b: missing value",
    ),
    "nothing to move": (
        "[JSONPatch{op: 'move', from: '/data/l', path: '/data/m'}]",
        "JSON Patch: error in move for path: 'l': Unable to remove nonexistent key: l: missing value",
    ),
    "from nowhere": (
        op("move", "/data/m"),
        "JSON Patch: move operation failed to decode from: operation, missing from field: missing value",
    ),
    "nothing to test": (op("test", "/a/b", "1"), "JSON Patch: test operation does not apply: is missing path: /a/b: missing value"),
    "no such place": (
        "[JSONPatch{op: 'add', path: '/metadata/finalizers', value: ['a']}, "
        "JSONPatch{op: 'add', path: '/metadata/finalizers/7', value: 'b'}]",
        "JSON Patch: error in add for path: '/metadata/finalizers/7': Unable to access invalid index: 7: invalid index referenced",
    ),
    "no place at all": (
        "[JSONPatch{op: 'add', path: '/metadata/finalizers', value: ['a']}, "
        "JSONPatch{op: 'add', path: '/metadata/finalizers/x', value: 'b'}]",
        "JSON Patch: error in add for path: '/metadata/finalizers/x': value was not a proper array index: 'x': "
        'strconv.Atoi: parsing "x": invalid syntax',
    ),
    "no such operation": (op("merge", "/data"), "JSON Patch: Unexpected kind: merge"),
    "what is no JSON": (
        op("add", "/data/l", "quantity('1')"),
        "JSONPath valueExpression evaluated to a type that could not marshal to JSON: "
        "type conversion error from 'Quantity' to '*structpb.Value'",
    ),
}


@pytest.mark.parametrize("case", REFUSALS, ids=str)
def test_refusals(case: str) -> None:
    text, why = REFUSALS[case]
    with pytest.raises(MutationError) as refused:
        result(text)
    assert str(refused.value) == why


def test_a_patch_that_leaves_no_such_object_is_the_server_s_problem() -> None:
    with pytest.raises(InternalError, match=r"cannot unmarshal number into Go struct field ConfigMap\.data of type string"):
        result(op("add", "/data/n", "5"))
    with pytest.raises(InternalError, match='strict decoding error: unknown field "foo"'):
        result(op("add", "/foo", "5"))


def test_containers_are_merged_by_their_names_and_defaulted() -> None:
    text = (
        "Object{spec: Object.spec{containers: ["
        "Object.spec.containers{name: 'c', env: [Object.spec.containers.env{name: 'A', value: '1'}]}, "
        "Object.spec.containers{name: 'side', image: 'side'}]}}"
    )
    first, second = result(text, POD, "pods")["spec"]["containers"]
    assert (first["name"], first["image"], first["env"]) == ("c", "i", [{"name": "A", "value": "1"}])
    assert (second["name"], second["imagePullPolicy"]) == ("side", "Always"), "no tag: the latest is to be pulled"


def test_what_is_owned_as_a_whole_cannot_be_set_in_part() -> None:
    text = "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', args: ['a']}], nodeSelector: {'a': 'b'}}}"
    with pytest.raises(MutationError) as refused:
        result(text, POD, "pods")
    why = "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args, .spec.nodeSelector"
    assert str(refused.value) == APPLIED + why


def test_a_scale_can_be_patched_and_nothing_be_applied_to_it() -> None:
    scale: Object = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "x"},
        "spec": {"replicas": 1},
        "status": {"replicas": 1},
    }
    parent = {"metadata": {"name": "x"}, "spec": {"replicas": 1}}
    form = form_of(parent, "deployments.apps", "scale")
    value = Evaluation({"object": scale}, {}).evaluate(
        Expression(op("replace", "/spec/replicas", "7"), Scope(has_patch_types=True), (JSON_PATCH,))
    )
    new = mutated(form, form.kind, scale, value, is_patch=True)
    attributes = attributes_of(parent, "deployments.apps", "scale")
    keep(attributes, new, is_scale=True)
    assert parent["spec"] == {"replicas": 7}
    applied = Evaluation({}, {}).evaluate(
        Expression("Object{spec: Object.spec{replicas: 7}}", Scope(has_patch_types=True), (APPLY_CONFIGURATION,))
    )
    with pytest.raises(MutationError, match="no corresponding type for autoscaling/v1, Kind=Scale"):
        mutated(form, form.kind, scale, applied, is_patch=False)


def test_the_object_is_changed_in_place() -> None:
    """Whether it stays in its namespace is looked at when all have been asked (`registry/metadata.py`)."""
    obj: Object = {"metadata": {"name": "x", "namespace": "default"}, "data": {"k": "v"}}
    metadata, attributes = obj["metadata"], attributes_of(obj, "configmaps")
    keep(attributes, {"metadata": {"name": "y", "namespace": "default"}})
    assert obj == {"metadata": {"name": "y", "namespace": "default"}}
    assert obj["metadata"] is metadata


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[JSONPatch{op: 'add', path: '/a', foo: object.data.k}]", "unexpected JSONPatchType field: foo"),
        ("[JSONPatch{op: object, path: '/a'}]", "unexpected type map[string]interface {} for JSONPatchType 'op' field"),
    ],
)
def test_what_is_no_operation(text: str, why: str) -> None:
    with pytest.raises(EvaluationError) as refused:
        result(text)
    assert str(refused.value) == f"expression '{text}' resulted in error: {why}"
