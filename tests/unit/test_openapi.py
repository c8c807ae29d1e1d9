"""OpenAPI documents: what kubectl looks for in them, and how they are served."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from apiserver.handlers import openapi_protobuf
from apiserver.handlers.openapi import V2_PROTOBUF, OpenAPI
from apiserver.handlers.openapi_schemas import V2, V3, references
from apiserver.handlers.request import Response
from apiserver.registry.kind import Conversion, Kind, Subresource
from kube.errors import NotAcceptable
from kube.resources import Resource
from kube.schema import definitions

POD = "io.k8s.api.core.v1.Pod"
HPA = "io.k8s.api.autoscaling.v{}.HorizontalPodAutoscaler"
WIDGET: dict[str, Any] = {
    "type": "object",
    "properties": {"size": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}},
    "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Widget", "version": "v1"}],
}


def nothing(_obj: Any) -> None:
    """A conversion that has nothing to do."""


KINDS = [
    Kind(
        resource=Resource("", "v1", "pods", "Pod"),
        definition=POD,
        singular="pod",
        subresources=(
            Subresource("exec", ("create", "get"), kind="PodExecOptions", connect=True),
            Subresource("eviction", ("create",), group="policy", version="v1", kind="Eviction", definition="io.k8s.api.policy.v1.Eviction"),
            Subresource("status"),
        ),
    ),
    Kind(resource=Resource("", "v1", "nodes", "Node", namespaced=False), definition="io.k8s.api.core.v1.Node", singular="node"),
    Kind(
        resource=Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
        definition=HPA.format(2),
        singular="horizontalpodautoscaler",
        conversions=(
            Conversion(
                Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
                HPA.format(1),
                to_hub=nothing,
                from_hub=nothing,
            ),
        ),
    ),
    Kind(resource=Resource("example.com", "v1", "widgets", "Widget"), definition="com.example.v1.Widget", singular="widget"),
]


def make() -> OpenAPI:
    return OpenAPI(KINDS, definitions.load(), version="v1.36.2", custom={"com.example.v1.Widget": WIDGET})


@pytest.fixture(scope="module", name="documents")
def shared_documents() -> OpenAPI:
    return make()


def answered(documents: OpenAPI, path: str, query: str = "", **headers: str) -> Response:
    found = documents.answer(path, query, {name.replace("_", "-"): value for name, value in headers.items()})
    assert found is not None
    return found


def read(documents: OpenAPI, path: str) -> Any:
    return orjson.loads(answered(documents, path).body)


def test_the_index_leads_to_every_group_version(documents: OpenAPI) -> None:
    paths = read(documents, "/openapi/v3")["paths"]
    assert list(paths) == ["api/v1", "apis/autoscaling/v1", "apis/autoscaling/v2", "apis/example.com/v1"]
    for name, entry in paths.items():
        path, _, query = entry["serverRelativeURL"].partition("?")
        assert path == f"/openapi/v3/{name}"
        answer = answered(documents, path, query)
        assert "immutable" in dict(answer.headers)["cache-control"]


def test_an_old_hash_is_sent_on_to_the_new_one(documents: OpenAPI) -> None:
    answer = answered(documents, "/openapi/v3/api/v1", "hash=old")
    assert answer.status == 301
    assert re.fullmatch(r"/openapi/v3/api/v1\?hash=[0-9A-F]{128}", dict(answer.headers)["location"])


def test_hashes_change_with_what_they_are_of() -> None:
    def url(widget: Any) -> str:
        documents = OpenAPI(KINDS, definitions.load(), version="v1.36.2", custom={"com.example.v1.Widget": widget})
        found: str = read(documents, "/openapi/v3")["paths"]["apis/example.com/v1"]["serverRelativeURL"]
        return found

    assert url(WIDGET) == url(dict(WIDGET))
    assert url(WIDGET) != url({**WIDGET, "description": "another"})


def test_patch_takes_what_kubectl_checks_for(documents: OpenAPI) -> None:
    patch = read(documents, "/openapi/v3/api/v1")["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {each["name"] for each in patch["parameters"] if each["in"] == "query"}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "", "kind": "Pod", "version": "v1"}
    assert "application/apply-patch+yaml" in patch["requestBody"]["content"]


PATHS = [
    pytest.param("/api/v1/pods", "get", "list", "listCoreV1PodForAllNamespaces", id="a list of all namespaces"),
    pytest.param("/api/v1/namespaces/{namespace}/pods", "post", "post", "createCoreV1NamespacedPod", id="create"),
    pytest.param(
        "/api/v1/namespaces/{namespace}/pods", "delete", "deletecollection", "deleteCoreV1CollectionNamespacedPod", id="deletecollection"
    ),
    pytest.param("/api/v1/nodes/{name}", "get", "get", "readCoreV1Node", id="cluster scope"),
    pytest.param("/api/v1/namespaces/{namespace}/pods/{name}/status", "put", "put", "replaceCoreV1NamespacedPodStatus", id="subresource"),
    pytest.param("/api/v1/namespaces/{namespace}/pods/{name}/exec", "post", "connect", "connectCoreV1PostNamespacedPodExec", id="connect"),
]


@pytest.mark.parametrize(("path", "method", "action", "operation_id"), PATHS)
def test_operations(documents: OpenAPI, path: str, method: str, action: str, operation_id: str) -> None:
    found = read(documents, "/openapi/v3/api/v1")["paths"][path][method]
    assert (found["x-kubernetes-action"], found["operationId"]) == (action, operation_id)


def test_operation_ids_are_unique(documents: OpenAPI) -> None:
    paths = read(documents, "/openapi/v2")["paths"]
    ids = [each["operationId"] for item in paths.values() for name, each in item.items() if name != "parameters"]
    assert len(ids) == len(set(ids))


DOCUMENTS = [
    pytest.param("/openapi/v2", V2, ("definitions",), id="v2"),
    pytest.param("/openapi/v3/api/v1", V3, ("components", "schemas"), id="v3"),
]


@pytest.mark.parametrize(("path", "prefix", "where"), DOCUMENTS)
def test_every_reference_leads_somewhere(documents: OpenAPI, path: str, prefix: str, where: tuple[str, ...]) -> None:
    document = read(documents, path)
    known = document
    for each in where:
        known = known[each]
    assert set(references(document, prefix)) <= set(known)
    assert POD in known


@pytest.mark.parametrize(("path", "prefix", "where"), DOCUMENTS)
def test_nothing_is_left_of_what_the_package_added(documents: OpenAPI, path: str, prefix: str, where: tuple[str, ...]) -> None:
    text = answered(documents, path).body
    assert b'"null"' not in text
    assert b"$defs" not in text
    assert b'"enum"' not in text


def test_the_leaves_of_each_dialect(documents: OpenAPI) -> None:
    quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"
    v3 = read(documents, "/openapi/v3/api/v1")["components"]["schemas"]
    assert read(documents, "/openapi/v2")["definitions"][quantity]["type"] == "string"
    assert v3[quantity]["oneOf"] == [{"type": "string"}, {"type": "number"}]
    assert v3["io.k8s.api.core.v1.Container"]["properties"]["livenessProbe"]["allOf"] == [{"$ref": V3 + "io.k8s.api.core.v1.Probe"}]


def test_schemas_of_custom_resources(documents: OpenAPI) -> None:
    v3 = read(documents, "/openapi/v3/apis/example.com/v1")["components"]["schemas"]["com.example.v1.Widget"]
    assert v3 == WIDGET
    v2 = read(documents, "/openapi/v2")["definitions"]["com.example.v1.Widget"]
    assert v2["properties"]["size"] == {"x-kubernetes-int-or-string": True}


@pytest.mark.parametrize("accept", ["application/json", V2_PROTOBUF])
def test_what_is_kept_says_what_is_made_anew(accept: str) -> None:
    known = definitions.load()
    before = OpenAPI(KINDS, known, version="v1.2.3", custom={"com.example.v1.Widget": WIDGET})
    answered(before, "/openapi/v2", accept=accept)
    gadget = Kind(resource=Resource("example.org", "v1", "gadgets", "Gadget"), definition="org.example.v1.Gadget", singular="gadget")
    changed = {**WIDGET, "description": "Another one."}
    custom = {"com.example.v1.Widget": changed, "org.example.v1.Gadget": WIDGET}
    after = OpenAPI([*KINDS, gadget], known, version="v1.2.3", custom=custom, before=before)
    anew = OpenAPI([*KINDS, gadget], known, version="v1.2.3", custom=custom)
    assert answered(after, "/openapi/v2", accept=accept).body == answered(anew, "/openapi/v2", accept=accept).body


def test_an_unchanged_document_is_not_sent_again(documents: OpenAPI) -> None:
    etag = dict(answered(documents, "/openapi/v2").headers)["etag"]
    again = answered(documents, "/openapi/v2", if_none_match=etag)
    assert (again.status, again.body) == (304, b"")


def test_large_documents_are_zipped_for_those_who_can_unzip(documents: OpenAPI) -> None:
    plain = answered(documents, "/openapi/v2")
    zipped = answered(documents, "/openapi/v2", accept_encoding="gzip, deflate")
    assert dict(zipped.headers)["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert "content-encoding" not in dict(answered(documents, "/openapi/v3", accept_encoding="gzip").headers)


def test_other_paths_and_forms(documents: OpenAPI) -> None:
    assert documents.answer("/openapi/v3/apis/none/v1") is None
    assert documents.answer("/openapi") is None
    for path in ("/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1"):
        with pytest.raises(NotAcceptable):
            documents.answer(path, "", {"accept": "text/html"})


# --- protobuf -----------------------------------------------------------------------------------------------------------


def fields_of(message: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message: numbers, and bytes or integers."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            assert key & 7 == 2
            size = varint()
            yield key >> 3, message[at : at + size]
            at += size


def members(message: bytes, number: int) -> dict[str, bytes]:
    """Entries {name, value} by name."""
    entries = (dict(fields_of(value)) for found, value in fields_of(message) if found == number)
    return {entry[1].decode(): entry.get(2, b"") for entry in entries}


def test_the_protobuf_document_says_the_same(documents: OpenAPI) -> None:
    answer = answered(documents, "/openapi/v2", accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert answer.content_type == V2_PROTOBUF
    document = dict(fields_of(answer.body))
    plain = read(documents, "/openapi/v2")
    assert members(document[8], 2).keys() == plain["paths"].keys()
    schemas = members(document[9], 1)
    assert schemas.keys() == plain["definitions"].keys()
    pod = dict(fields_of(schemas[POD]))
    assert members(pod[25], 1).keys() == plain["definitions"][POD]["properties"].keys()
    extension = dict(fields_of(members(schemas[POD], 31)["x-kubernetes-group-version-kind"]))
    assert orjson.loads(extension[2]) == [{"group": "", "kind": "Pod", "version": "v1"}]


def test_the_protobuf_document_has_the_query_parameters_of_patch(documents: OpenAPI) -> None:
    document = dict(fields_of(openapi_protobuf.encode(documents.v2())))
    patch = dict(fields_of(members(document[8], 2)["/api/v1/namespaces/{namespace}/pods/{name}"]))[8]
    names = set()
    for number, item in fields_of(patch):
        if number == 8:
            parameter = dict(fields_of(dict(fields_of(item))[1]))
            if 2 in parameter:
                names.add(dict(fields_of(dict(fields_of(parameter[2]))[3]))[4].decode())
    assert names == {"dryRun", "fieldManager", "fieldValidation", "force"}
