"""Discovery documents: names, order, aggregation, negotiation."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from apiserver.handlers.discovery import AGGREGATED, Discovery, storage_version_hash, version_key
from apiserver.registry.kind import Conversion, Kind, Subresource
from kube.errors import NotAcceptable
from kube.resources import Resource

EDIT = ("get", "patch", "update")


def kind(group: str, version: str, plural: str, name: str, **rest: Any) -> Kind:
    namespaced = rest.pop("namespaced", True)
    return Kind(resource=Resource(group, version, plural, name, namespaced=namespaced), definition="", singular=name.lower(), **rest)


def nothing(_obj: Any) -> None:
    """A conversion that has nothing to do."""


HPA_V1 = Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
KINDS = [
    kind(
        "",
        "v1",
        "pods",
        "Pod",
        short_names=("po",),
        categories=("all",),
        subresources=(
            Subresource("eviction", ("create",), group="policy", version="v1", kind="Eviction"),
            Subresource("exec", ("create", "get"), kind="PodExecOptions", connect=True),
            Subresource("status"),
        ),
    ),
    kind("", "v1", "bindings", "Binding", verbs=("create",)),
    kind("", "v1", "nodes", "Node", namespaced=False),
    kind("apps", "v1", "deployments", "Deployment", subresources=(Subresource("scale"), Subresource("status"))),
    kind(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        conversions=(Conversion(HPA_V1, "", to_hub=nothing, from_hub=nothing),),
    ),
    kind("stable.example.com", "v1", "crontabs", "CronTab", subresources=(Subresource("status"),)),
    kind("aaa.example.com", "v1", "things", "Thing"),
]


def body(path: str, accept: str = "") -> Any:
    answer = Discovery(KINDS, server_address="10.0.0.1:6443").answer(path, accept)
    assert answer is not None
    return orjson.loads(answer.body)


def test_versions_of_the_core_group() -> None:
    assert body("/api") == {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}],
    }


def test_groups_come_in_upstreams_order_and_others_by_name() -> None:
    names = [each["name"] for each in body("/apis")["groups"]]
    assert names == ["apps", "autoscaling", "aaa.example.com", "stable.example.com"]


def test_a_group_lists_its_versions_best_first() -> None:
    found = body("/apis/autoscaling/")
    assert [each["version"] for each in found["versions"]] == ["v2", "v1"]
    assert found["preferredVersion"] == {"groupVersion": "autoscaling/v2", "version": "v2"}


def test_the_order_of_versions() -> None:
    ordered = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    shuffled = random.Random(1).sample(ordered, len(ordered))
    assert sorted(shuffled, key=version_key) == ordered


def test_resources_and_subresources_of_a_version() -> None:
    found = body("/api/v1")
    assert "apiVersion" not in found
    assert [each["name"] for each in found["resources"]] == ["bindings", "nodes", "pods", "pods/eviction", "pods/exec", "pods/status"]
    pods, eviction, execs, status = found["resources"][2:]
    assert pods == {
        "name": "pods",
        "singularName": "pod",
        "namespaced": True,
        "kind": "Pod",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["po"],
        "categories": ["all"],
        "storageVersionHash": "xPOwRZ+Yhw8=",
    }
    assert eviction == {
        "name": "pods/eviction",
        "singularName": "",
        "namespaced": True,
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
        "verbs": ["create"],
    }
    assert execs["kind"] == "PodExecOptions"
    assert "group" not in execs
    assert status["verbs"] == list(EDIT)


def test_what_is_not_stored_has_no_storage_version() -> None:
    assert "storageVersionHash" not in body("/api/v1")["resources"][0]


def test_all_versions_of_a_kind_tell_what_is_stored() -> None:
    hashes = {body(f"/apis/autoscaling/{each}")["resources"][0]["storageVersionHash"] for each in ("v1", "v2")}
    assert hashes == {storage_version_hash(Resource("autoscaling", "v2", "", "HorizontalPodAutoscaler"))}


def test_scale_is_of_its_own_kind() -> None:
    scale = body("/apis/apps/v1")["resources"][1]
    assert (scale["name"], scale["group"], scale["version"], scale["kind"]) == ("deployments/scale", "autoscaling", "v1", "Scale")


def test_aggregated_discovery_of_the_core_group() -> None:
    found = body("/api", AGGREGATED)
    assert (found["kind"], found["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    (item,) = found["items"]
    assert item["metadata"] == {}
    nodes, pods = item["versions"][0]["resources"][1:]
    assert nodes["scope"] == "Cluster"
    assert pods["responseKind"] == {"group": "", "version": "", "kind": "Pod"}
    assert pods["subresources"][0] == {
        "subresource": "eviction",
        "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"},
        "verbs": ["create"],
    }


def test_aggregated_discovery_names_the_group_of_custom_resources() -> None:
    stable = body("/apis", AGGREGATED)["items"][-1]
    assert stable["metadata"] == {"name": "stable.example.com"}
    crontabs = stable["versions"][0]["resources"][0]
    assert crontabs["responseKind"] == {"group": "stable.example.com", "version": "v1", "kind": "CronTab"}
    assert stable["versions"][0]["freshness"] == "Current"


FORMS = [
    pytest.param("", "application/json", id="nothing asked for"),
    pytest.param("*/*", "application/json", id="anything"),
    pytest.param(f"{AGGREGATED},application/json", AGGREGATED, id="aggregated, or else plain"),
    pytest.param(f"application/json,{AGGREGATED};q=0.5", AGGREGATED, id="aggregated wherever it is named"),
    pytest.param(AGGREGATED.replace("json", "yaml"), AGGREGATED.replace("json", "yaml"), id="aggregated, as YAML"),
    pytest.param(AGGREGATED.replace("application/json", "*/*"), AGGREGATED, id="aggregated, in any form"),
    pytest.param(AGGREGATED.replace("v2", "v2beta1") + ",application/json", "application/json", id="the beta is gone"),
    pytest.param(AGGREGATED.replace("v2", "v2beta1") + "," + AGGREGATED, AGGREGATED, id="the beta, or else v2"),
    pytest.param("application/yaml", "application/yaml", id="YAML"),
]


@pytest.mark.parametrize(("accept", "content_type"), FORMS)
def test_negotiation(accept: str, content_type: str) -> None:
    answer = Discovery(KINDS).answer("/apis", accept)
    assert answer is not None
    assert answer.content_type == content_type


@pytest.mark.parametrize("accept", ["text/html", AGGREGATED.replace("v2", "v3"), AGGREGATED.replace("apidiscovery", "other")])
def test_forms_that_there_are_not(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="only the following media types are accepted"):
        Discovery(KINDS).answer("/apis", accept)


ROUTED: dict[str, tuple[str, bool]] = {
    "the core group": ("/api", True),
    "its version": ("/api/v1", True),
    "a version of a group": ("/apis/apps/v1", True),
    "a group": ("/apis/apps", False),
    "all groups": ("/apis", False),
    "a group of custom resources": ("/apis/stable.example.com", False),
    "a version of custom resources": ("/apis/stable.example.com/v1", False),
    "nothing": ("/apis/apps/v9", False),
}


@pytest.mark.parametrize(("path", "routed"), ROUTED.values(), ids=ROUTED.keys())
def test_which_paths_upstreams_router_answers(path: str, routed: bool) -> None:
    assert Discovery(KINDS).is_routed(path) is routed


@pytest.mark.parametrize(("path", "told"), [("/api/v1", "406: Not Acceptable\n\nAvailable"), ("/apis/apps", "only the following")])
def test_the_two_wordings_of_what_is_not_acceptable(path: str, told: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        Discovery(KINDS).answer(path, "text/html")
    assert caught.value.message.startswith(told)
    with pytest.raises(NotAcceptable) as caught:
        Discovery(KINDS).answer(path, "application/json;as=Table;v=v1;g=meta.k8s.io")
    assert caught.value.message.startswith("only the following")


def test_yaml_is_printed_as_upstream_does() -> None:
    answer = Discovery(KINDS).answer("/apis/apps", "application/yaml")
    assert answer is not None
    assert answer.body == (
        b"apiVersion: v1\nkind: APIGroup\nname: apps\npreferredVersion:\n  groupVersion: apps/v1\n  version: v1\n"
        b"versions:\n- groupVersion: apps/v1\n  version: v1\n"
    )


def test_an_unchanged_aggregated_document_is_not_sent_again() -> None:
    discovery = Discovery(KINDS)
    first = discovery.answer("/apis", AGGREGATED)
    assert first is not None
    etag = dict(first.headers)["etag"]
    again = discovery.answer("/apis", AGGREGATED, etag)
    assert again is not None
    assert (again.status, again.body) == (304, b"")
    changed = Discovery(KINDS[:-1]).answer("/apis", AGGREGATED, etag)
    assert changed is not None
    assert changed.status == 200


@pytest.mark.parametrize("path", ["/", "/apis/none", "/apis/apps/v9", "/api/v2", "/apis/apps/v1/deployments", "/apix"])
def test_other_paths_are_none_of_its_business(path: str) -> None:
    assert Discovery(KINDS).answer(path) is None
