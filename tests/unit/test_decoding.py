"""Request bodies and write options: what is taken, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.handlers.decoding import decode_body, decode_options
from kube.errors import ApiError, BadRequest, Invalid, UnsupportedMediaType
from kube.objects import Object
from kube.schema import definitions

CONFIG_MAP = ("", "v1", "ConfigMap")
DEPLOYMENT = ("apps", "v1", "Deployment")


def read(body: str | bytes, names: tuple[str, str, str] = CONFIG_MAP, *, media: str = "", validation: str = "") -> tuple[Object, list[str]]:
    known = definitions.load()
    of = known.type(known.kinds[names])
    data = body.encode() if isinstance(body, str) else body
    return decode_body(data, media, kind_names=names, type=of, field_validation=validation)


def test_a_body_without_kind_and_version_takes_those_of_the_url() -> None:
    obj, warnings = read('{"metadata": {"name": "a"}, "data": {"k": "v"}}')
    assert obj == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    assert warnings == []


def test_null_is_an_empty_object() -> None:
    assert read("null")[0] == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}


UNRECOGNIZED = [
    pytest.param("", "couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)", id="nothing"),
    pytest.param("{", "couldn't get version/kind; json parse error: unexpected end of JSON input ({)", id="cut off"),
    pytest.param(" \n ", "unexpected end of JSON input (200a20)", id="space is shown in hex"),
    pytest.param("a: 1", "invalid character 'a' looking for beginning of value (613a2031)", id="YAML as JSON"),
    pytest.param('{"apiVersion": "v1", "kind": "ConfigMap",}', '({"apiVersion": "v1", "kind": " ...)', id="long ones are cut"),
    pytest.param(
        "[]",
        'json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\"";'
        ' Kind string "json:\\"kind,omitempty\\"" } (5b5d)',
        id="a list",
    ),
    pytest.param('{"kind": ["x"]}', "json: cannot unmarshal array into Go struct field .kind of type string", id="a kind that is none"),
    pytest.param('{"apiVersion": "a/b/c"}', "unexpected GroupVersion string: a/b/c", id="a version that is none"),
    pytest.param('{"x": ' + "[" * 400 + "]" * 400 + "}", "exceeded max depth", id="deeper than this server goes"),
    pytest.param('{"x": ' + "[" * 20_000, "exceeded max depth", id="deeper than anyone goes"),
]


@pytest.mark.parametrize(("body", "message"), UNRECOGNIZED)
def test_bodies_that_are_not_recognized(body: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(body)
    assert caught.value.message.startswith("the object provided is unrecognized (must be of type ConfigMap): ")
    assert message in caught.value.message
    assert caught.value.details is None


HANDLED = [
    pytest.param(
        CONFIG_MAP,
        '{"apiVersion": "v1", "kind": "Secret"}',
        'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion',
        id="another kind",
    ),
    pytest.param(
        CONFIG_MAP,
        '{"apiVersion": "v1", "kind": "Secret", "data": {"k": "v"}}',
        'Secret in version "v1" cannot be handled as a ConfigMap: illegal base64 data at input byte 0',
        id="another kind is decoded before it is refused",
    ),
    pytest.param(
        CONFIG_MAP,
        '{"apiVersion": "apps/v1", "kind": "Widget"}',
        'Widget in version "v1" cannot be handled as a ConfigMap: no kind "Widget" is registered for version "apps/v1" in scheme '
        '"pkg/api/legacyscheme/scheme.go:30"',
        id="a kind that nobody knows",
    ),
    pytest.param(
        DEPLOYMENT,
        '{"apiVersion": "extensions/v1beta1", "kind": "Deployment"}',
        "the API version in the data (extensions/v1beta1) does not match the expected API version (apps/v1)",
        id="a retired version of the kind",
    ),
    pytest.param(
        ("autoscaling", "v2", "HorizontalPodAutoscaler"),
        '{"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"}',
        "the API version in the data (autoscaling/v1) does not match the expected API version (autoscaling/v2)",
        id="another served version of the kind",
    ),
    pytest.param(
        CONFIG_MAP,
        '{"data": {"k": 1}}',
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        id="a wrong type",
    ),
    pytest.param(
        CONFIG_MAP,
        '{"metadata": {"generation": 1e2}}',
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
        "json: cannot unmarshal number 1e2 into Go struct field ObjectMeta.metadata.generation of type int64",
        id="a number is told as it was written",
    ),
]


@pytest.mark.parametrize(("names", "body", "message"), HANDLED)
def test_bodies_that_cannot_be_handled(names: tuple[str, str, str], body: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(body, names)
    assert caught.value.message == message


def test_an_eviction_may_still_be_of_the_beta() -> None:
    obj, _ = read('{"apiVersion": "policy/v1beta1", "kind": "Eviction"}', ("policy", "v1", "Eviction"))
    assert obj["apiVersion"] == "policy/v1"


STRICTNESS = [
    pytest.param('{"extra": 1, "metadata": {"lables": {}}}', ['unknown field "extra"', 'unknown field "metadata.lables"'], id="unknown"),
    pytest.param('{"data": {"k": "1", "k": "2"}}', ['duplicate field "data.k"'], id="repeated"),
    pytest.param('{"data" : {"k" : "1" , "k":"2"}}', ['duplicate field "data.k"'], id="repeated, with spaces about the colons"),
    pytest.param('{"data": {"k": "\\u003a", "k": "x"}}', ['duplicate field "data.k"'], id="repeated, with an escaped colon"),
    pytest.param('{"data": {"k": "a:b"}}', [], id="nothing"),
]


@pytest.mark.parametrize(("body", "told"), STRICTNESS)
def test_field_validation(body: str, told: list[str]) -> None:
    assert read(body)[1] == told
    assert read(body, validation="Warn")[1] == told
    assert read(body, validation="Ignore")[1] == []
    if told:
        with pytest.raises(BadRequest) as caught:
            read(body, validation="Strict")
        subject = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
        assert caught.value.message == subject + ", ".join(told)
    else:
        assert read(body, validation="Strict")[1] == []


def test_yaml_bodies() -> None:
    obj, warnings = read("metadata:\n  name: a\ndata:\n  k: 'on'\n", media="application/yaml; charset=utf-8")
    assert (obj["data"], warnings) == ({"k": "on"}, [])


def test_yaml_tells_repeated_keys_with_lines() -> None:
    body = "metadata:\n  name: a\n  name: b\nextra: 1\n"
    assert read(body, media="application/yaml")[1] == ['line 3: key "name" already set in map', 'unknown field "extra"']
    with pytest.raises(BadRequest) as caught:
        read(body, media="application/yaml", validation="Strict")
    assert caught.value.message.endswith(
        'strict decoding error: yaml: unmarshal errors:\n  line 3: key "name" already set in map, unknown field "extra"'
    )


def test_yaml_that_is_none() -> None:
    with pytest.raises(BadRequest, match=r"must be of type ConfigMap\): yaml: mapping values are not allowed in this context \(613a20"):
        read("a: b: c", media="application/yaml")


MEDIA = ["text/plain", "application/x-yaml", "application/merge-patch+json", "garbage"]


@pytest.mark.parametrize("media", MEDIA)
def test_other_media_types_are_refused(media: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        read("{}", media=media)
    assert caught.value.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert read(b'{"data": {"k": "\xff", "s": "\\ud800"}}')[0]["data"] == {"k": "\ufffd", "s": "\ufffd"}


def test_numbers_of_quantities_keep_their_text() -> None:
    body = '{"spec": {"hard": {"pods": 1e3, "cpu": 0.5}}}'
    assert read(body, ("", "v1", "ResourceQuota"))[0]["spec"]["hard"] == {"pods": "1e3", "cpu": "500m"}


# --- options ------------------------------------------------------------------------------------------------------------

OPTIONS: list[Any] = [
    pytest.param("CreateOptions", {}, {}, id="none"),
    pytest.param("CreateOptions", {"dryRun": ["All"], "fieldManager": ["m"]}, {"dryRun": ["All"], "fieldManager": "m"}, id="create"),
    pytest.param("CreateOptions", {"fieldValidation": ["Warn", "x"], "other": ["y"]}, {"fieldValidation": "Warn"}, id="the first counts"),
    pytest.param("PatchOptions", {"force": ["0"]}, {"force": False}, id="0 is false"),
    pytest.param("PatchOptions", {"force": [""]}, {"force": True}, id="an empty flag is true"),
    pytest.param(
        "DeleteOptions", {"gracePeriodSeconds": ["0"], "uid": ["u"]}, {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}, id="delete"
    ),
]


@pytest.mark.parametrize(("kind", "query", "options"), OPTIONS)
def test_options_from_the_query(kind: str, query: dict[str, list[str]], options: Object) -> None:
    assert decode_options(query, kind) == options


REFUSED: list[Any] = [
    pytest.param("CreateOptions", {"dryRun": [""]}, 'dryRun: Unsupported value: [""]: supported values: "All"', id="an empty dryRun"),
    pytest.param(
        "PatchOptions", {"dryRun": ["All", "Twice"]}, 'dryRun: Unsupported value: ["All","Twice"]: supported values: "All"', id="dryRun"
    ),
    pytest.param(
        "UpdateOptions", {"fieldManager": ["p" * 129]}, "fieldManager: Too long: may not be more than 128 bytes", id="a long manager"
    ),
    pytest.param(
        "CreateOptions",
        {"fieldManager": ["bell\a"]},
        'fieldManager: Invalid value: "bell\\a": invalid character U+0007 (at position 4)',
        id="a bell",
    ),
    pytest.param(
        "CreateOptions",
        {"fieldValidation": ["strict"]},
        'fieldValidation: Unsupported value: "strict": supported values: "", "Ignore", "Strict", "Warn"',
        id="validation",
    ),
    pytest.param(
        "DeleteOptions",
        {"propagationPolicy": ["Never"]},
        'propagationPolicy: Unsupported value: "Never": supported values: "Foreground", "Background", "Orphan", "nil"',
        id="a policy",
    ),
    pytest.param(
        "DeleteOptions",
        {"propagationPolicy": ["Orphan"], "orphanDependents": ["1"]},
        'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set',
        id="both",
    ),
]


@pytest.mark.parametrize(("kind", "query", "message"), REFUSED)
def test_options_that_are_not_allowed(kind: str, query: dict[str, list[str]], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_options(query, kind)
    assert caught.value.message == f'{kind}.meta.k8s.io "" is invalid: {message}'
    assert caught.value.details is not None
    assert caught.value.details["group"] == "meta.k8s.io"


def test_what_a_patch_asks_of_its_options() -> None:
    with pytest.raises(Invalid, match=r"fieldManager: Required value: is required for apply patch"):
        decode_options({}, "PatchOptions", patch_type="application/apply-patch+yaml")
    with pytest.raises(Invalid, match=r"force: Forbidden: may not be specified for non-apply patch"):
        decode_options({"force": ["false"]}, "PatchOptions", patch_type="application/merge-patch+json")


NUMBERS = [
    pytest.param("abc", 'strconv.ParseInt: parsing "abc": invalid syntax', id="no number"),
    pytest.param("", 'strconv.ParseInt: parsing "": invalid syntax', id="empty"),
    pytest.param("9" * 20, f'strconv.ParseInt: parsing "{"9" * 20}": value out of range', id="too large"),
]


@pytest.mark.parametrize(("text", "message"), NUMBERS)
def test_numbers_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_options({"gracePeriodSeconds": [text]}, "DeleteOptions")
    assert caught.value.message == message


def test_a_delete_body_replaces_the_query() -> None:
    body = b'{"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}'
    found = decode_options({"dryRun": ["All"]}, "DeleteOptions", body=body)
    assert found["propagationPolicy"] == "Background"
    assert "dryRun" not in found


DELETE_BODIES = [
    pytest.param('{"apiVersion": "v1", "kind": "Status"}', "converting (v1.Status) to (v1.DeleteOptions): unknown conversion", id="kind"),
    pytest.param(
        '{"apiVersion": "meta.k8s.io/v1", "kind": "Table"}',
        "converting (v1.Table) to (v1.DeleteOptions): unknown conversion",
        id="meta kind",
    ),
    pytest.param(
        '{"apiVersion": "v1", "kind": "Pod"}',
        'no kind "Pod" is registered for version "v1" in scheme "pkg/apis/meta/internalversion/scheme/register.go:27"',
        id="a kind that is none of meta's",
    ),
    pytest.param("{", "couldn't get version/kind; json parse error: unexpected end of JSON input", id="cut off"),
    pytest.param(
        '{"gracePeriodSeconds": "soon"}',
        "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        id="a wrong type",
    ),
]


@pytest.mark.parametrize(("body", "message"), DELETE_BODIES)
def test_delete_bodies_that_are_wrong(body: str, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_options({}, "DeleteOptions", body=body.encode())
    assert (caught.value.http_code, caught.value.message) == (400, message)
