"""Every decoder of what clients send: whatever the bytes are, an answer of upstream's kind (a class below 500), or a value."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.handlers import continue_token, patch_bodies
from apiserver.handlers.bodies import JSON, PROTOBUF, YAML
from apiserver.handlers.decoding import decode_body
from apiserver.handlers.patch_bodies import ACCEPTED
from apiserver.handlers.write_options import decode_options
from kube import fields, labels
from kube.schema import definitions, protobuf
from tests.fuzz.budget import answered, examples
from tests.fuzz.bytes import as_flow_yaml, as_json, as_yaml, mangled
from tests.unit.typed_values import ANY_JSON, values_of

KINDS = {
    ("", "v1", "Pod"): "io.k8s.api.core.v1.Pod",
    ("", "v1", "ConfigMap"): "io.k8s.api.core.v1.ConfigMap",
    ("", "v1", "Secret"): "io.k8s.api.core.v1.Secret",
    ("apps", "v1", "Deployment"): "io.k8s.api.apps.v1.Deployment",
    ("apps", "v1", "ControllerRevision"): "io.k8s.api.apps.v1.ControllerRevision",
    ("coordination.k8s.io", "v1", "Lease"): "io.k8s.api.coordination.v1.Lease",
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"): (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
    ),
}
VALIDATION = ("", "Ignore", "Warn", "Strict")


@st.composite
def objects(draw: st.DrawFn) -> tuple[tuple[str, str, str], Any]:
    names = draw(st.sampled_from(list(KINDS)))
    value = draw(values_of(definitions.load().type(KINDS[names])) | ANY_JSON)
    return names, value


@pytest.mark.parametrize(("media", "written"), [(JSON, as_json), (YAML, as_yaml), (YAML, as_flow_yaml)], ids=["json", "yaml", "flow"])
@examples(120)
@given(drawn=objects(), validation=st.sampled_from(VALIDATION), data=st.data())
def test_bodies(
    media: str, written: Callable[[Any], bytes], drawn: tuple[tuple[str, str, str], Any], validation: str, data: st.DataObject
) -> None:
    names, value = drawn
    body = data.draw(mangled(st.just(written(value))))
    of = definitions.load().type(KINDS[names])
    found = answered(lambda: decode_body(body, media, kind_names=names, type=of, field_validation=validation))
    if found is not None:
        as_json(found[0])


# --- protobuf ---------------------------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def tagged(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def enveloped(names: tuple[str, str, str], raw: bytes) -> bytes:
    group, version, kind = names
    api_version = f"{group}/{version}" if group else version
    return protobuf.MAGIC + tagged(1, tagged(1, api_version.encode()) + tagged(2, kind.encode())) + tagged(2, raw)


MESSAGES = st.recursive(
    st.binary(max_size=12),
    lambda inner: st.lists(
        st.one_of(
            st.tuples(st.integers(1, 45), inner).map(lambda pair: tagged(*pair)),
            st.tuples(st.integers(1, 45), st.integers(0, 2**64 - 1)).map(lambda pair: varint(pair[0] << 3) + varint(pair[1])),
            st.tuples(st.integers(1, 45), st.floats()).map(lambda pair: varint(pair[0] << 3 | 1) + struct.pack("<d", pair[1])),
        ),
        max_size=6,
    ).map(b"".join),
    max_leaves=12,
)


@examples(300)
@given(names=st.sampled_from(list(KINDS)), raw=MESSAGES, data=st.data())
def test_protobuf_bodies(names: tuple[str, str, str], raw: bytes, data: st.DataObject) -> None:
    body = data.draw(mangled(st.just(enveloped(names, raw))))
    of = definitions.load().type(KINDS[names])
    found = answered(lambda: decode_body(body, PROTOBUF, kind_names=names, type=of, field_validation="Strict"))
    if found is not None:
        as_json(found[0])


# --- texts ------------------------------------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    ("a", "b/c", "in", "notin", "!", "(", ")", ",", "=", "==", "!=", ">", "<", " ", "x" * 70, "é", "\\", "\\,", "\0", "exists", "\n", "-1")
)
SELECTORS = st.lists(PARTS, max_size=12).map("".join) | st.text(max_size=20)


@examples(300)
@given(SELECTORS)
def test_selectors(text: str) -> None:
    for parse, error in ((labels.parse, labels.LabelSelectorError), (fields.parse, fields.FieldSelectorError)):
        try:
            selector: Any = parse(text)
        except error:
            continue
        assert parse(str(selector)) == selector


TOKENS = st.one_of(
    st.text(alphabet="ABCabc012_-=+/", max_size=60),
    st.tuples(st.integers(-3, 2**70), st.text(max_size=20)).map(lambda pair: continue_token.encode(*pair)),
    mangled(st.sampled_from((b'{"v":"meta.k8s.io/v1","rv":5,"start":"a/b\\u0000"}', b"[]", b"5", b"{}"))).map(
        lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")
    ),
)


@examples(300)
@given(TOKENS)
def test_continue_tokens(token: str) -> None:
    found = answered(lambda: continue_token.decode(token))
    if found is not None:
        revision, start = found
        assert revision >= -1
        assert not start.startswith("/")
        assert ".." not in start.split("/")
        start.encode()


DELETE_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.sampled_from(("v1", "meta.k8s.io/v1", "x/y/z", 5)),
        "kind": st.sampled_from(("DeleteOptions", "Status", "Pod", None)),
        "gracePeriodSeconds": st.sampled_from((0, -1, 2**63, "5", 1.5, None)),
        "propagationPolicy": st.sampled_from(("Orphan", "Background", "x", 5)),
        "orphanDependents": st.sampled_from((True, None, "true")),
        "preconditions": st.sampled_from(({"uid": "x"}, {"resourceVersion": 5}, [], None)),
        "dryRun": st.sampled_from((["All"], ["x"], "All", [None])),
    },
)


@examples(200)
@given(body=mangled(DELETE_OPTIONS.map(as_json)), media=st.sampled_from((JSON, YAML, PROTOBUF, "text/plain", "")))
def test_delete_options(body: bytes, media: str) -> None:
    answered(lambda: decode_options({}, "DeleteOptions", body=body, content_type=media))


QUERY = st.dictionaries(
    st.sampled_from(("dryRun", "fieldManager", "fieldValidation", "force", "gracePeriodSeconds", "propagationPolicy", "uid")),
    st.lists(st.sampled_from(("", "All", "x" * 200, "\0", "true", "9" * 5000, "-1", "é")), min_size=1, max_size=2),
)


@examples(150)
@given(query=QUERY, kind=st.sampled_from(("CreateOptions", "UpdateOptions", "PatchOptions", "DeleteOptions")))
def test_options_of_the_query(query: dict[str, list[str]], kind: str) -> None:
    answered(lambda: decode_options(query, kind, patch_type="application/apply-patch+yaml" if kind == "PatchOptions" else ""))


@examples(200)
@given(
    body=mangled(st.lists(st.fixed_dictionaries({"op": st.just("add"), "path": st.just("/a"), "value": ANY_JSON})).map(as_json))
    | mangled(ANY_JSON.map(as_json)),
    media=st.sampled_from(ACCEPTED),
    validation=st.sampled_from(VALIDATION),
)
def test_bodies_of_patches(body: bytes, media: str, validation: str) -> None:
    answered(lambda: patch_bodies.parse(body, media, validation=validation))
