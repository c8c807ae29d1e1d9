"""Configurations that cannot be applied, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from kube.errors import ApiError, BadRequest
from kube.objects import Object
from kube.patch.apply import apply, check_object_type
from kube.schema.definitions import load
from tests.unit.applying import FIRST, HEAD, applied, config, owners
from tests.unit.patch_types import APP, CUSTOM


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param({"extra": 1}, ".extra: field not declared in schema", id="an unknown field"),
        pytest.param({"data": {"k": 5}}, ".data.k: expected string, got &value.valueUnstructured{Value:5}", id="a number for a text"),
        pytest.param(
            {"data": {"k": 25000000}},
            ".data.k: expected string, got &value.valueUnstructured{Value:25000000}",
            id="a big number for a text",
        ),
        pytest.param(
            {"data": {"k": ["l", {"a": None}]}},
            ".data.k: expected string, got "
            '&value.valueUnstructured{Value:[]interface {}{"l", map[string]interface {}{"a":interface {}(nil)}}}',
            id="a list for a text",
        ),
        pytest.param({"data": "text"}, ".data: expected map, got &{text}", id="a text for a map"),
        pytest.param({"spec": {"replicas": "x"}}, ".spec.replicas: expected numeric (int or float), got string", id="a text for a number"),
        pytest.param({"spec": {"replicas": True}}, ".spec.replicas: expected numeric (int or float), got bool", id="a truth for a number"),
        pytest.param({"spec": {"paused": "yes"}}, ".spec.paused: expected boolean, got &{yes}", id="a text for a truth"),
        pytest.param({"spec": {"containers": {"name": "c"}}}, ".spec.containers: expected list, got &{map[name:c]}", id="a map for a list"),
        pytest.param(
            {"spec": {"containers": [{"name": "c"}, {"name": "c"}]}},
            '.spec.containers: duplicate entries for key [name="c"]',
            id="an item twice",
        ),
        pytest.param(
            {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]}]}},
            '.spec.containers[name="c"].ports: duplicate entries for key [containerPort=1,protocol="TCP"]',
            id="an item twice, by default",
        ),
        pytest.param(
            {"metadata": {"name": "web", "finalizers": ["a", "a"]}},
            '.metadata.finalizers: duplicate entries for key [="a"]',
            id="a value twice",
        ),
        pytest.param(
            {"spec": {"containers": [None]}},
            ".spec.containers: element 0: associative list with keys may not have a null element",
            id="null for an item",
        ),
        pytest.param(
            {"spec": {"tolerations": [{"key": 1}]}},
            ".spec.tolerations[0].key: expected string, got &value.valueUnstructured{Value:1}",
            id="an atomic list",
        ),
        pytest.param(
            {"spec": {"replicas": "x", "paused": 1}},
            "errors:\n  .spec.replicas: expected numeric (int or float), got string\n  .spec.paused: expected boolean, got &{1}",
            id="several errors",
        ),
    ],
)
def test_what_does_not_fit_the_type(members: Object, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        apply(APP, None, {**config(), **members}, manager="m", api_version="test/v1", time=FIRST)
    assert caught.value.message == f"failed to create typed patch object (/web; test/v1, Kind=App): {message}"
    assert (caught.value.http_code, caught.value.http_reason) == (500, "")


def test_the_namespace_and_the_core_group_in_messages() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {"x": 1}}
    with pytest.raises(ApiError) as caught:
        apply(load("1.36").type("io.k8s.api.core.v1.Pod"), None, pod, manager="m", api_version="v1", time=FIRST)
    assert caught.value.message == "failed to create typed patch object (n/p; /v1, Kind=Pod): .spec.x: field not declared in schema"


def test_a_list_item_of_the_built_in_types_without_its_key_counts_as_empty() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"image": "i"}]}}
    result = apply(load("1.36").type("io.k8s.api.core.v1.Pod"), None, pod, manager="m", api_version="v1", time=FIRST)
    assert owners(result) == {"m": {"f:spec": {"f:containers": {'k:{"name":""}': {".": {}, "f:image": {}}}}}}


@pytest.mark.parametrize("entries", [[], [{"manager": "m"}]])
def test_a_configuration_has_no_managed_fields(entries: list[Any]) -> None:
    with pytest.raises(BadRequest, match=r"metadata\.managedFields must be nil"):
        applied(None, config(metadata={"name": "web", "managedFields": entries}))


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        pytest.param({"kind": "App"}, "invalid object type: /, Kind=App", id="no version"),
        pytest.param({"apiVersion": "test/v1"}, "invalid object type: test/v1, Kind=", id="no kind"),
        pytest.param({"apiVersion": "v1", "kind": "App"}, "invalid object type: /v1, Kind=App", id="the core group"),
        pytest.param({"apiVersion": "a/b/c", "kind": "App"}, "invalid object type: /, Kind=", id="a version that cannot be read"),
        pytest.param({}, "invalid object type: /, Kind=", id="nothing"),
    ],
)
def test_only_objects_of_the_kind_are_applied(obj: Object, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_object_type(obj, api_version="test/v1", kind="App")
    assert caught.value.message == message
    check_object_type(HEAD, api_version="test/v1", kind="App")


def test_a_custom_resource_may_keep_unknown_fields() -> None:
    wanted = {"apiVersion": "c/v1", "kind": "C", "metadata": {"name": "c"}, "spec": {"size": 1, "any": {"x": [1], "y": {}}}}
    result = apply(CUSTOM, None, wanted, manager="m", api_version="c/v1", time=FIRST)
    assert owners(result) == {"m": {"f:spec": {"f:any": {".": {}, "f:x": {}, "f:y": {}}, "f:size": {}}}}
    with pytest.raises(ApiError, match="field not declared in schema"):
        apply(CUSTOM, None, {**wanted, "unknown": 1}, manager="m", api_version="c/v1", time=FIRST)
