"""Decoding JSON values into canonical objects: presence, leaves, unknown fields, wrong types; and that both decoders agree."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.schema import definitions, strict, unstructured
from kube.schema.decode import DecodeError, decode
from kube.schema.types import Field, ListType, MapType, Scalar, ScalarType, StructType, Type

CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap"
POD = "io.k8s.api.core.v1.Pod"
DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"
SERVICE = "io.k8s.api.core.v1.Service"
SECRET = "io.k8s.api.core.v1.Secret"
LEASE = "io.k8s.api.coordination.v1.Lease"
ROLE = "io.k8s.api.rbac.v1.Role"
CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"


def type_of(name: str) -> StructType:
    return definitions.load().type(name)


CANONICAL = [
    pytest.param(CONFIG_MAP, {}, {"metadata": {}}, id="structs by value are written even when empty"),
    pytest.param(CONFIG_MAP, {"data": {}, "immutable": None}, {"metadata": {}}, id="empty maps and nulls are left out"),
    pytest.param(CONFIG_MAP, {"immutable": False}, {"metadata": {}, "immutable": False}, id="a pointer keeps its zero value"),
    pytest.param(CONFIG_MAP, {"data": {"a": None}}, {"metadata": {}, "data": {"a": ""}}, id="null in a map is an empty string"),
    pytest.param(CONFIG_MAP, {"metadata": None}, {"metadata": {}}, id="a struct that is null is empty"),
    pytest.param(
        SECRET, {"data": {"a": [1, None, 255], "b": []}}, {"metadata": {}, "data": {"a": "AQD/", "b": ""}}, id="bytes are numbers, too"
    ),
    pytest.param(CONFIG_MAP, {"metadata": {"name": "", "labels": {}}}, {"metadata": {}}, id="empty strings are left out"),
    pytest.param(
        DEPLOYMENT,
        {"spec": {"replicas": 0, "paused": False}},
        {
            "metadata": {},
            "spec": {
                "replicas": 0,
                "selector": None,
                "strategy": {},
                "template": {"metadata": {}, "spec": {"containers": None}},
            },
            "status": {},
        },
        id="required fields are filled in, all the way down",
    ),
    pytest.param(
        POD,
        {"spec": {"containers": [{"name": "c", "args": [], "resources": {"limits": {"cpu": "0.5", "memory": 1024}}}]}},
        {
            "metadata": {},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1024"}}}]},
            "status": {},
        },
        id="quantities are canonical",
    ),
    pytest.param(
        POD,
        {"spec": {"containers": [None]}},
        {"metadata": {}, "spec": {"containers": [{"name": "", "resources": {}}]}, "status": {}},
        id="null in a list is an empty item",
    ),
    pytest.param(
        CONFIG_MAP,
        {"metadata": {"creationTimestamp": "2024-05-01T12:00:00.9+02:00"}},
        {"metadata": {"creationTimestamp": "2024-05-01T10:00:00Z"}},
        id="times are whole seconds in UTC",
    ),
    pytest.param(
        CONFIG_MAP,
        {"metadata": {"creationTimestamp": "0001-01-01T00:00:00Z"}},
        {"metadata": {}},
        id="the zero time is no time",
    ),
    pytest.param(
        LEASE,
        {"spec": {"renewTime": "2024-05-01T12:00:00.123456+02:00"}},
        {"metadata": {}, "spec": {"renewTime": "2024-05-01T10:00:00.123456Z"}},
        id="micro times keep six digits",
    ),
    pytest.param(SECRET, {"data": {"k": "aG\nk="}}, {"metadata": {}, "data": {"k": "aGk="}}, id="base64 may be broken into lines"),
    pytest.param(
        SERVICE,
        {"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81}]}},
        {
            "metadata": {},
            "spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 0}]},
            "status": {"loadBalancer": {}},
        },
        id="a target port by value is 0 when absent",
    ),
    pytest.param(ROLE, {"rules": []}, {"metadata": {}, "rules": None}, id="an empty list that is always written becomes null"),
    pytest.param(
        CRD,
        {"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"items": {"type": "string", "x": 1}, "title": ""}}}]}},
        {
            "metadata": {},
            "spec": {
                "group": "",
                "names": {"plural": "", "kind": ""},
                "scope": "",
                "versions": [
                    {
                        "name": "v1",
                        "served": False,
                        "storage": False,
                        "schema": {"openAPIV3Schema": {"items": {"type": "string"}}},
                    }
                ],
            },
            "status": {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None},
        },
        id="schemas inside schemas are canonical, too",
    ),
]


@pytest.mark.parametrize(("kind", "given", "canonical"), CANONICAL)
def test_canonical_form(kind: str, given: Any, canonical: Any) -> None:
    found = decode(type_of(kind), given)
    assert found.value == canonical
    assert found.strict_errors == []
    assert decode(type_of(kind), canonical).value == canonical


UNKNOWN = [
    pytest.param(CONFIG_MAP, '{"extra": 1}', ['unknown field "extra"'], id="at the top"),
    pytest.param(CONFIG_MAP, '{"Data": {}}', ['unknown field "Data"'], id="names match by case"),
    pytest.param(
        DEPLOYMENT,
        '{"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"imagePullPolcy": "x"}]}}, "replica": 1}}',
        ['unknown field "spec.template.spec.containers[1].imagePullPolcy"', 'unknown field "spec.replica"'],
        id="deep down, in order",
    ),
    pytest.param(CONFIG_MAP, '{"data": {"a": "1", "a": "2"}}', ['duplicate field "data.a"'], id="a repeated key of a map"),
    pytest.param(CONFIG_MAP, '{"kind": "a", "kind": "a"}', ['duplicate field "kind"'], id="a repeated field"),
    pytest.param(CONFIG_MAP, '{"bogus": {"x": 1, "x": 2}}', ['unknown field "bogus"'], id="inside of unknown fields nobody looks"),
    pytest.param(CONFIG_MAP, '{"x": 1, "x": 2}', ['unknown field "x"'], id="each is told once"),
]


@pytest.mark.parametrize(("kind", "text", "told"), UNKNOWN)
def test_unknown_and_repeated_fields(kind: str, text: str, told: list[str]) -> None:
    _, found = strict.walk(type_of(kind), strict.parse(text))
    assert found == told


def test_unknown_fields_are_dropped_and_their_paths_told() -> None:
    found = decode(type_of(CONFIG_MAP), {"metadata": {"name": "a", "lables": {}}, "data": {"k": "v"}})
    assert found.value == {"metadata": {"name": "a"}, "data": {"k": "v"}}
    assert found.unknown == ["metadata.lables"]


def test_no_more_than_a_hundred_strict_errors() -> None:
    assert len(decode(type_of(CONFIG_MAP), {f"x{i}": 1 for i in range(200)}).strict_errors) == 100


def test_repeated_structs_merge_as_in_go() -> None:
    value, _ = strict.walk(type_of(CONFIG_MAP), strict.parse('{"metadata": {"name": "a"}, "metadata": {"uid": "b"}}'))
    assert value["metadata"] == {"name": "a", "uid": "b"}


WRONG = [
    pytest.param(CONFIG_MAP, "[]", "json: cannot unmarshal array into Go value of type v1.ConfigMap", id="no object at all"),
    pytest.param(CONFIG_MAP, '{"metadata": "x"}', "string into Go struct field ConfigMap.metadata of type v1.ObjectMeta", id="struct"),
    pytest.param(
        CONFIG_MAP, '{"metadata": {"labels": {"a": 1}}}', "number into Go struct field ObjectMeta.metadata.labels of type string", id="map"
    ),
    pytest.param(CONFIG_MAP, '{"metadata": {"labels": "a"}}', "ObjectMeta.metadata.labels of type map[string]string", id="no map"),
    pytest.param(
        DEPLOYMENT,
        '{"spec": {"replicas": 1.50}}',
        "number 1.50 into Go struct field DeploymentSpec.spec.replicas of type int32",
        id="a fraction",
    ),
    pytest.param(DEPLOYMENT, '{"spec": {"replicas": 1e2}}', "number 1e2 into", id="an exponent is no integer"),
    pytest.param(DEPLOYMENT, '{"spec": {"replicas": 3000000000}}', "number 3000000000 into", id="too large"),
    pytest.param(
        DEPLOYMENT, '{"spec": {"replicas": true}}', "bool into Go struct field DeploymentSpec.spec.replicas of type int32", id="bool"
    ),
    pytest.param(
        POD, '{"spec": {"containers": {}}}', "object into Go struct field PodSpec.spec.containers of type []v1.Container", id="list"
    ),
    pytest.param(
        POD, '{"spec": {"containers": ["c"]}}', "string into Go struct field PodSpec.spec.containers of type v1.Container", id="list item"
    ),
    pytest.param(
        POD, '{"spec": {"restartPolicy": 1}}', "number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy", id="named"
    ),
    pytest.param(
        POD,
        '{"spec": {"volumes": [{"fc": {"lun": "2"}}]}}',
        "string into Go struct field FCVolumeSource.spec.volumes.VolumeSource.fc.lun of type int32",
        id="inside an embedded struct",
    ),
    pytest.param(
        SERVICE,
        '{"spec": {"ports": [{"targetPort": true}]}}',
        "bool into Go struct field ServicePort.spec.ports.targetPort of type int32",
        id="int or string",
    ),
    pytest.param(
        CONFIG_MAP,
        '{"metadata": {"creationTimestamp": 5}}',
        "number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        id="time",
    ),
    pytest.param(SECRET, '{"data": {"k": "plain text"}}', "illegal base64 data at input byte 5", id="base64"),
    pytest.param(
        SECRET,
        '{"data": {"k": [1, 256]}}',
        "json: cannot unmarshal number 256 into Go struct field Secret.data of type uint8",
        id="a number that is no byte",
    ),
    pytest.param(
        SECRET, '{"data": {"k": {}}}', "json: cannot unmarshal object into Go struct field Secret.data of type []uint8", id="no bytes"
    ),
    pytest.param(SECRET, '{"data": {"k": 1}}', "number into Go struct field Secret.data of type []uint8", id="bytes of a number"),
    pytest.param(
        POD,
        '{"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}',
        "quantities must match the regular expression",
        id="quantity",
    ),
    pytest.param(
        CONFIG_MAP,
        '{"data": {"k": 1}, "metadata": {"creationTimestamp": "noon"}}',
        'parsing time "noon" as "2006-01-02T15:04:05Z07:00": cannot parse "noon" as "2006"',
        id="a leaf that fails wins over an earlier wrong type",
    ),
    pytest.param(CONFIG_MAP, '{"immutable": "x", "data": 1}', "ConfigMap.immutable of type bool", id="the first wrong type is told"),
    pytest.param(
        CRD,
        '{"spec": {"versions": [{"schema": {"openAPIV3Schema": {"additionalProperties": 1}}}]}}',
        "boolean or JSON schema expected",
        id="schema or bool",
    ),
]


@pytest.mark.parametrize(("kind", "text", "message"), WRONG)
def test_wrong_types(kind: str, text: str, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        strict.walk(type_of(kind), strict.parse(text))
    assert message in str(caught.value)
    with pytest.raises(DecodeError):
        decode(type_of(kind), json.loads(text))


CONVERTED = [
    pytest.param({"spec": {"replicas": "two"}}, "unrecognized type: int32", id="a string for a number"),
    pytest.param({"spec": {"replicas": 2.5}}, "cannot convert float64 to int32", id="a fraction for a number"),
    pytest.param({"spec": {"template": {"spec": {"containers": {}}}}}, "cannot restore slice from map", id="a map for a list"),
    pytest.param({"metadata": {"labels": "x"}}, "cannot restore map from string", id="a string for a map"),
    pytest.param({"spec": []}, "cannot restore struct from: slice", id="a list for a struct"),
    pytest.param({"metadata": {"labels": {"a": 1}}}, "cannot convert int64 to string", id="a number for a string"),
    pytest.param(
        {"spec": {"minReadySeconds": "x", "template": [], "replicas": True}},
        "unrecognized type: int32",
        id="the first of the struct counts",
    ),
    pytest.param({"spec": {"paused": "x", "strategy": 5}}, "cannot restore struct from: int64", id="however it was sent"),
]


@pytest.mark.parametrize(("value", "message"), CONVERTED)
def test_the_converter_of_patches_words_errors_its_own_way(value: Any, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        unstructured.convert(type_of(DEPLOYMENT), value)


def test_the_converter_says_where_base64_came_from() -> None:
    with pytest.raises(DecodeError, match="error decoding from json: illegal base64 data at input byte 0"):
        unstructured.convert(type_of(SECRET), {"data": {"a": "!!"}})


def test_the_converter_takes_whole_floats_and_sorts_unknown_fields() -> None:
    found = unstructured.convert(type_of(DEPLOYMENT), {"specs": 1, "metadata": {"lables": 1}, "spec": {"replicas": 2.0}})
    assert found.value["spec"]["replicas"] == 2
    assert found.unknown == ["metadata.lables", "specs"]


# --- both decoders agree ------------------------------------------------------------------------------------------------

_TEXTS = st.sampled_from(["", "a", "x y"])
_SAMPLES: dict[Scalar, st.SearchStrategy[Any]] = {
    Scalar.STRING: _TEXTS,
    Scalar.INT32: st.integers(-2, 2**31 - 1),
    Scalar.INT64: st.integers(-2, 2**63 - 1),
    Scalar.FLOAT: st.sampled_from([0, 1, 0.5]),
    Scalar.BOOL: st.booleans(),
    Scalar.BYTES: st.sampled_from(["", "aGk="]),
    Scalar.QUANTITY: st.sampled_from(["1", "0.5", "1024Mi", 5]),
    Scalar.INT_OR_STRING: st.sampled_from([0, 80, "", "http"]),
    Scalar.TIME: st.sampled_from(["2024-01-01T00:00:00Z"]),  # not the zero time: Go writes it as null, and null as nothing
    Scalar.MICRO_TIME: st.sampled_from(["2024-01-01T00:00:00.000001Z"]),
    Scalar.DURATION: st.sampled_from(["1h", "90s"]),
    Scalar.ANY: st.sampled_from([{}, {"a": [1, None]}, {"type": "object"}]),
}


def _value(of: Type, depth: int) -> st.SearchStrategy[Any]:
    if isinstance(of, ScalarType):
        return _SAMPLES[of.scalar]
    if isinstance(of, ListType):
        return st.lists(_value(of.item, depth), max_size=2)
    if isinstance(of, MapType):
        return st.dictionaries(_TEXTS, _value(of.value, depth), max_size=2)
    return _struct(of, depth)


def _struct(of: StructType, depth: int) -> st.SearchStrategy[Any]:
    """An object with a few of the fields, some of them null."""

    def member(field: Field) -> st.SearchStrategy[Any]:
        return st.one_of(st.none(), _value(field.type, depth - 1))

    @st.composite
    def draw(drawn: st.DrawFn) -> Any:
        names = drawn(st.lists(st.sampled_from(sorted(of.fields)), unique=True, max_size=4)) if depth and of.fields else []
        return {name: drawn(member(of.fields[name])) for name in names}

    return draw()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_fast_and_the_exact_decoder_agree_and_canonical_form_is_stable(data: st.DataObject) -> None:
    of = type_of(data.draw(st.sampled_from([POD, DEPLOYMENT, SERVICE, SECRET, LEASE, CRD])))
    value = data.draw(_struct(of, 6))
    exact, told = strict.walk(of, strict.parse(json.dumps(value)))
    found = decode(of, value)
    assert found.value == strict.plain(exact)
    assert found.strict_errors == told == []
    assert decode(of, found.value).value == found.value
