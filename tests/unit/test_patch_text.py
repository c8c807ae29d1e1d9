"""The text of patched documents: what was looked into is sorted, what was not stays as Go or the client wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kube.patch.json_patch import apply_json_patch
from kube.patch.merge_patch import merge_patch
from kube.patch.patched_text import after_json_patch, after_merge_patch, text_of
from kube.schema import definitions, gojson
from kube.schema.field_order import in_go_order

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"labels": {"b": "1", "a": "<2>"}, "name": "p", "annotations": {"z": "1"}},
    "spec": {"containers": [{"terminationMessagePolicy": "File", "imagePullPolicy": "Always", "name": "c"}], "restartPolicy": "Always"},
}
OF = definitions.load().type("io.k8s.api.core.v1.Pod")

WRITTEN = (
    '{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"\\u003c2\\u003e","b":"1"},"annotations":{"z":"1"}},'
    '"spec":{"containers":[{"name":"c","terminationMessagePolicy":"File","imagePullPolicy":"Always"}],"restartPolicy":"Always"}}'
)


def test_an_object_is_written_in_the_order_of_its_structs_and_maps_are_sorted() -> None:
    assert text_of(in_go_order(OF, POD)) == WRITTEN


def test_groups_without_protobuf_have_an_order_too() -> None:
    of = definitions.load().type("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition")
    value = {"spec": {"versions": [{"storage": True, "name": "v1"}], "group": "g", "names": {"kind": "K", "plural": "k"}}}
    written = '{"spec":{"group":"g","names":{"plural":"k","kind":"K"},"versions":[{"name":"v1","storage":true}]}}'
    assert text_of(in_go_order(of, value)) == written


def test_what_has_no_type_is_sorted() -> None:
    assert text_of(in_go_order(None, {"b": [{"d": 1, "c": None}], "a": 1.5})) == '{"a":1.5,"b":[{"c":null,"d":1}]}'


TOP = '{"apiVersion":"v1","kind":"Pod","metadata":'
METADATA = '{"name":"p","labels":{"a":"\\u003c2\\u003e","b":"1"},"annotations":{"z":"1"}}'
CONTAINER = '{"name":"c","terminationMessagePolicy":"File","imagePullPolicy":"Always"}'

MERGES = {
    "the way to a change is sorted, the rest is not": (
        b'{"spec": {"hostname": "h"}}',
        TOP + METADATA + ',"spec":{"containers":[' + CONTAINER + '],"hostname":"h","restartPolicy":"Always"}}',
    ),
    "a new object is sorted and loses its nulls": (
        b'{"spec": {"overhead": {"b": 1, "a": [{"d": null, "c": 1}]}, "containers": null}}',
        TOP + METADATA + ',"spec":{"overhead":{"a":[{"c":1}],"b":1},"restartPolicy":"Always"}}',
    ),
    "what takes the place of an object stays as the client wrote it": (
        b'{"metadata": {"labels": [{"b": 1e2, "a": null}]}, "spec": "<"}',
        TOP + '{"annotations":{"z":"1"},"labels":[{"b":1e2,"a":null}],"name":"p"},"spec":"\\u003c"}',
    ),
}


@pytest.mark.parametrize(("patch", "text"), MERGES.values(), ids=MERGES.keys())
def test_merge_patches(patch: bytes, text: str) -> None:
    assert text_of(after_merge_patch(in_go_order(OF, POD), gojson.load(patch))) == text
    assert gojson.load(text.encode()) is not None
    plain: Any = merge_patch(POD, json.loads(patch))
    assert json.loads(text) == plain


OPERATIONS = {
    "a value of the patch stays as it was written": (
        b'[{"op": "add", "path": "/spec/x", "value": {"b": 1.0, "a": {"d": 1, "c": 1}}}]',
        TOP + METADATA + ',"spec":{"containers":[' + CONTAINER + '],"restartPolicy":"Always","x":{"b":1.0,"a":{"d":1,"c":1}}}}',
    ),
    "looking at a list opens its item": (
        b'[{"op": "replace", "path": "/spec/containers/-1/image", "value": 5}]',
        TOP
        + METADATA
        + ',"spec":{"containers":[{"image":5,"imagePullPolicy":"Always","name":"c","terminationMessagePolicy":"File"}],'
        + '"restartPolicy":"Always"}}',
    ),
    "a test opens all that it compares": (
        b'[{"op": "test", "path": "/spec/containers/0", "value": {"terminationMessagePolicy": "File", "imagePullPolicy": "Always", '
        b'"name": "c"}}]',
        TOP
        + METADATA
        + ',"spec":{"containers":[{"imagePullPolicy":"Always","name":"c","terminationMessagePolicy":"File"}],"restartPolicy":"Always"}}',
    ),
    "a copy is closed again, a move is not": (
        b'[{"op": "remove", "path": "/metadata/name"}, {"op": "copy", "from": "/metadata", "path": "/spec/m"}, '
        b'{"op": "move", "from": "/spec/containers", "path": "/c"}]',
        '{"apiVersion":"v1","c":['
        + CONTAINER
        + '],"kind":"Pod","metadata":{"annotations":{"z":"1"},"labels":{"a":"\\u003c2\\u003e","b":"1"}},"spec":{"m":'
        + '{"annotations":{"z":"1"},"labels":{"a":"\\u003c2\\u003e","b":"1"}},"restartPolicy":"Always"}}',
    ),
    "the whole document may be replaced": (b'[{"op": "replace", "path": "", "value": [{"b": 1, "a": 1}]}]', '[{"b":1,"a":1}]'),
    "lists take items at their place, and at the end": (
        b'[{"op": "replace", "path": "", "value": {"l": [1]}}, {"op": "add", "path": "/l/0", "value": 0}, '
        b'{"op": "add", "path": "/l/-", "value": 2}, {"op": "remove", "path": "/l/1"}, {"op": "test", "path": "", "value": {"l": [0, 2]}}]',
        '{"l":[0,2]}',
    ),
}


@pytest.mark.parametrize(("patch", "text"), OPERATIONS.values(), ids=OPERATIONS.keys())
def test_json_patches(patch: bytes, text: str) -> None:
    assert text_of(after_json_patch(in_go_order(OF, POD), gojson.load(patch))) == text
    assert json.loads(text) == apply_json_patch(POD, json.loads(patch))
