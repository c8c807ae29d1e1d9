"""Hostile input, one test each: what it is refused with, or that it is simply served. Nothing here may take long or grow: where upstream's
way is quadratic, the sizes are such that a quadratic server would not come to an end."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from apiserver.handlers import continue_token, patch_bodies
from apiserver.handlers.bodies import JSON, PROTOBUF, YAML, Unrecognized, parse_body
from apiserver.handlers.decoding import decode_body
from apiserver.handlers.patch_bodies import APPLY, JSON_PATCH, MERGE, STRATEGIC
from kube import fields, labels
from kube.errors import ApiError, BadRequest, Invalid, RequestEntityTooLarge
from kube.objects import Object
from kube.patch.apply import apply
from kube.patch.json_patch import apply_json_patch
from kube.patch.managed import managed_after_update
from kube.patch.merge_patch import merge_patch
from kube.patch.strategic import strategic_merge
from kube.schema import definitions, goyaml, protobuf
from tests.fuzz.test_decoders import enveloped, tagged

NOW = "2026-01-01T00:00:00Z"
CONFIG_MAP = ("", "v1", "ConfigMap")
POD = definitions.load().type("io.k8s.api.core.v1.Pod")
MANY = 8_000


def decoded(body: bytes, media: str) -> Any:
    of = definitions.load().type("io.k8s.api.core.v1.ConfigMap")
    return decode_body(body, media, kind_names=CONFIG_MAP, type=of, field_validation="Strict")


# --- bodies -----------------------------------------------------------------------------------------------------------------------

DEPTHS = (400, 5_000, 100_000)
NESTED = {
    "lists": lambda depth: b'{"data": ' + b"[" * depth + b"]" * depth + b"}",
    "objects": lambda depth: b'{"data": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
    "lists that do not end": lambda depth: b'{"data": ' + b"[" * depth,
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED.keys())
@pytest.mark.parametrize("media", [JSON, YAML])
def test_deep_bodies(media: str, nested: Any, depth: int) -> None:
    with pytest.raises(BadRequest):
        decoded(nested(depth), media)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("media", [JSON_PATCH, MERGE, STRATEGIC, APPLY])
def test_deep_patches(media: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    body = b'[{"op": "add", "path": "/a", "value": ' + deep + b"}]" if media == JSON_PATCH else b'{"a": ' + deep + b"}"
    with pytest.raises(BadRequest):
        patch_bodies.parse(body, media, validation="Warn")


def test_deep_protobuf() -> None:
    deep_json = tagged(2, tagged(1, b"[" * 900 + b"]" * 900))
    with pytest.raises(Unrecognized):
        parse_body(enveloped(("apps", "v1", "ControllerRevision"), deep_json), PROTOBUF)


TRUNCATED = b'{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "\\u00e9", "l": "<&>"}}'


@pytest.mark.parametrize("size", range(len(TRUNCATED)))
def test_truncated_bodies(size: int) -> None:
    for media in (JSON, PROTOBUF):
        if size or media == PROTOBUF:
            with pytest.raises(BadRequest):
                decoded(TRUNCATED[:size], media)
    for media in (MERGE, STRATEGIC, JSON_PATCH):
        with pytest.raises(BadRequest):
            patch_bodies.parse(TRUNCATED[:size], media, validation="Warn")


def test_a_number_of_many_digits() -> None:
    digits = b"9" * 1_000_000
    for body in (b'{"data": ' + digits + b"}", b'{"data": ' + digits + b', "\xff": 1}', b'{"data": -' + digits + b"e" + digits + b"}"):
        with pytest.raises(BadRequest):
            decoded(body, JSON)
    with pytest.raises(BadRequest):
        patch_bodies.parse(b'{"data": ' + digits + b"}", MERGE, validation="Warn")
    assert decoded(b"metadata: {name: a}\ndata: {k: '" + digits + b"'}\n", YAML)[0]["data"]["k"] == digits.decode()


def test_bytes_that_are_no_utf_8() -> None:
    found, _ = decoded(b'{"metadata": {"name": "a"}, "data": {"k": "\xff\xfe", "l": "\\ud800"}}', JSON)
    assert found["data"] == {"k": "\ufffd\ufffd", "l": "\ufffd"}
    with pytest.raises(BadRequest):
        decoded(b"data: {k: \xff}", YAML)


def test_a_key_many_times() -> None:
    body = b'{"data": {' + b",".join(b'"k": "%d"' % each for each in range(50_000)) + b"}}"
    with pytest.raises(BadRequest) as caught:
        decoded(body, JSON)
    assert caught.value.message.endswith('strict decoding error: duplicate field "data.k"')
    assert patch_bodies.parse(body, MERGE, validation="Warn").strict_errors == ('duplicate field "data.k"',)


def test_unknown_fields_are_told_up_to_a_hundred() -> None:
    body = orjson.dumps({f"f{each}": 1 for each in range(MANY)})
    with pytest.raises(BadRequest) as caught:
        decoded(body, JSON)
    assert caught.value.message.count("unknown field") == 100


BOMBS = {
    "aliases of aliases": b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10)) for n in range(12)),
    "an alias in itself": b"a: &a [*a]\n",
    "a merge of itself": b"a: &a {<<: *a}\n",
    "merges of merges": b"a: &a {x: 1}\n" + b"".join(b"m%d: &a {<<: [%s]}\n" % (n, b",".join([b"*a"] * 200)) for n in range(200)),
    "an alias of nothing": b"a: *nothing\n",
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS.keys())
def test_yaml_bombs(body: bytes) -> None:
    with pytest.raises(goyaml.YamlError):
        goyaml.load(body)


# --- selectors, tokens ------------------------------------------------------------------------------------------------------------


def test_selectors_of_many_terms() -> None:
    terms = [f"k{each}=v{each}" for each in range(10_000)]
    selector = labels.parse(",".join(terms))
    assert len(selector.requirements) == 10_000
    assert not selector.matches({"k1": "v1"})
    values = ",".join(f"v{each}" for each in range(10_000))
    assert labels.parse(f"k in ({values})").matches({"k": "v9999"})
    assert len(fields.parse(",".join(terms)).requirements) == 10_000
    with pytest.raises(labels.LabelSelectorError):
        labels.parse("(" * 10_000)
    with pytest.raises(labels.LabelSelectorError):
        labels.parse("!" * 10_000)
    with pytest.raises(fields.FieldSelectorError):
        fields.parse("a=\\" * 10_000)


MADE_UP = {
    "nothing": b"",
    "deep": b"[" * 20_000,
    "deep, and closed": b"[" * 5_000 + b"]" * 5_000,
    "a big number": b'{"v":"meta.k8s.io/v1","rv":' + b"9" * 6_000 + b',"start":"a"}',
    "half a character": b'{"v":"meta.k8s.io/v1","rv":5,"start":"a\\ud800"}',
    "above": b'{"v":"meta.k8s.io/v1","rv":5,"start":"../../secrets/x"}',
    "another version": b'{"v":"v0","rv":5,"start":"a"}',
}


@pytest.mark.parametrize("raw", MADE_UP.values(), ids=MADE_UP.keys())
def test_made_up_continue_tokens(raw: bytes) -> None:
    try:
        revision, start = continue_token.decode(base64.urlsafe_b64encode(raw).decode().rstrip("="))
    except BadRequest:
        return
    assert (revision, start.encode()) == (5, "a\ufffd".encode())


# --- patches ----------------------------------------------------------------------------------------------------------------------


def test_copies_that_explode() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{each}"} for each in range(10_000)]
    with pytest.raises(Invalid):
        apply_json_patch({"a": {"x": "y" * 1000}}, doubling)
    with pytest.raises(Invalid):
        apply_json_patch({"l": ["x"]}, [{"op": "copy", "from": "/l", "path": "/l/-"}] * 10_000)
    with pytest.raises(RequestEntityTooLarge):
        apply_json_patch({"a": {}}, [{"op": "test", "path": "/a", "value": {}}] * 10_001)


def test_a_path_of_many_steps() -> None:
    with pytest.raises(Invalid):
        apply_json_patch({"a": {}}, [{"op": "add", "path": "/a" * 1_000_000, "value": 1}])
    assert apply_json_patch({}, [{"op": "add", "path": "/" + "~0" * 100_000, "value": 1}]) == {"~" * 100_000: 1}


def test_wide_merge_patches() -> None:
    wide = {f"k{each}": {"a": str(each)} for each in range(MANY)}
    assert merge_patch(wide, {name: {"a": None} for name in wide}) == {name: {} for name in wide}


def containers(count: int, **rest: Any) -> list[Object]:
    return [{"name": f"c{each}", **rest} for each in range(count)]


def pod(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": items}}


def test_strategic_merges_of_long_lists() -> None:
    one, other = pod(containers(MANY, image="a")), pod(containers(MANY, image="b")[::-1])
    other["spec"]["$setElementOrder/containers"] = [{"name": each["name"]} for each in other["spec"]["containers"]]
    assert strategic_merge(POD, one, other)["spec"]["containers"] == other["spec"]["containers"]
    gone = {"spec": {"containers": [{"name": each["name"], "$patch": "delete"} for each in one["spec"]["containers"]]}}
    assert strategic_merge(POD, one, gone)["spec"]["containers"] == []


def test_applies_of_long_lists() -> None:
    first = apply(POD, None, pod(containers(MANY, image="a")), manager="m", api_version="v1", time=NOW)
    second = apply(POD, first, pod(containers(MANY, image="b")[::-1]), manager="m", api_version="v1", time=NOW)
    assert [each["image"] for each in second["spec"]["containers"]] == ["b"] * MANY
    with pytest.raises(ApiError) as caught:
        apply(POD, second, pod(containers(MANY, image="c")), manager="n", api_version="v1", time=NOW)
    assert caught.value.message.startswith(f"Apply failed with {MANY} conflicts: ")
    third = apply(POD, second, pod(containers(1)), manager="m", api_version="v1", time=NOW)
    assert len(third["spec"]["containers"]) == 1


def test_owners_of_long_lists() -> None:
    one, other = pod(containers(MANY, image="a")), pod(containers(MANY, image="b")[::-1])
    entries = managed_after_update(POD, None, one, manager="x", api_version="v1", time=NOW)
    one["metadata"] |= {"uid": "u", "managedFields": entries}
    assert len(managed_after_update(POD, one, other, manager="y", api_version="v1", time=NOW)) == 2


def test_managed_fields_that_are_no_fields() -> None:
    odd: list[Any] = [
        {"k:{": {}},
        {"k:[]": {}},
        {"v:NaN": {}},
        {"i:" + "9" * 5_000: {}},
        {"x": {}},
        {"": {}},
        {"f:a": 5},
        {"v:" + "[" * 5_000: {}},
    ]
    for fields_v1 in odd:
        entry = {"manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields_v1}
        live, sent = pod([]), pod(containers(1))
        live["metadata"] = {"name": "p", "uid": "u"}
        sent["metadata"] = {"name": "p", "uid": "u", "managedFields": [entry]}
        orjson.dumps(managed_after_update(POD, live, sent, manager="y", api_version="v1", time=NOW))


def test_protobuf_that_says_more_than_it_has() -> None:
    for body in (protobuf.MAGIC + b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", protobuf.MAGIC + b"\x12" + b"\xff" * 20, protobuf.MAGIC):
        with pytest.raises(BadRequest):
            decoded(body, PROTOBUF)
