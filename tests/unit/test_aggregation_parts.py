"""API aggregation's pure parts: who asks, where a Service leads, what discovery says, what the ConfigMap holds."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.bootstrap.cluster import config_maps
from apiserver.front_proxy import published
from apiserver.handlers.discovery import Discovery
from apiserver.handlers.extension_documents import Extension, converted, is_aggregated, openapi_entry, resources_in
from apiserver.handlers.extension_target import Unreachable, cluster_address, resolve
from apiserver.handlers.remote_user import user_headers, without_users
from apiserver.registry.kind import User
from kube.objects import Object

USERS: dict[str, tuple[User, list[tuple[bytes, bytes]]]] = {
    "a name and its groups": (User("u", ("a", "b")), [(b"X-Remote-User", b"u"), (b"X-Remote-Group", b"a"), (b"X-Remote-Group", b"b")]),
    "a uid, where there is one": (User("u", (), "7"), [(b"X-Remote-User", b"u"), (b"X-Remote-Uid", b"7")]),
    "keys of extras are escaped, as are their own escapes": (
        User("u", (), "", {"example.com/a%b": ("1", "2")}),
        [
            (b"X-Remote-User", b"u"),
            (b"X-Remote-Extra-example.com%2Fa%25b", b"1"),
            (b"X-Remote-Extra-example.com%2Fa%25b", b"2"),
        ],
    ),
    "a name that would end its line does not": (User("u\r\nX-Remote-Group: root"), [(b"X-Remote-User", b"u  X-Remote-Group: root")]),
}


@pytest.mark.parametrize(("user", "headers"), USERS.values(), ids=USERS.keys())
def test_who_asks_is_told_in_headers(user: User, headers: list[tuple[bytes, bytes]]) -> None:
    assert user_headers(user) == headers


def test_a_clients_own_word_for_who_it_is_counts_for_nothing() -> None:
    given = [
        (b"accept", b"x"),
        (b"x-remote-user", b"root"),
        (b"x-remote-uid", b"0"),
        (b"x-remote-group", b"g"),
        (b"x-remote-extra-a", b"b"),
    ]
    assert without_users(given) == [(b"accept", b"x")]


# --- where a Service leads ----------------------------------------------------------------------------------------------------


def service(**spec: Any) -> Object:
    return {"metadata": {"name": "svc"}, "spec": {"type": "ClusterIP", "ports": [{"port": 443, "name": "https"}], **spec}}


def endpoints(address: str, *, ready: bool | None = None, port_name: str = "https", kind: str = "IPv4") -> Object:
    conditions = {} if ready is None else {"ready": ready}
    return {
        "addressType": kind,
        "endpoints": [{"addresses": [address], "conditions": conditions}],
        "ports": [{"name": port_name, "port": 8443}],
    }


PLACES: dict[str, tuple[Object, list[Object], tuple[str, int]]] = {
    "a ready endpoint": (service(), [endpoints("10.0.0.1", ready=False), endpoints("10.0.0.2")], ("10.0.0.2", 8443)),
    "an endpoint of the port of that name": (service(), [endpoints("1.1.1.1", port_name="http"), endpoints("2.2.2.2")], ("2.2.2.2", 8443)),
    "an endpoint of the first family": (
        service(ipFamilies=["IPv6", "IPv4"]),
        [endpoints("1.1.1.1"), endpoints("fd00::1", kind="IPv6")],
        ("fd00::1", 8443),
    ),
    "another name, at the reference's port": (service(type="ExternalName", externalName="ext.test", ports=None), [], ("ext.test", 443)),
}


@pytest.mark.parametrize(("present", "slices", "expected"), PLACES.values(), ids=PLACES.keys())
def test_where_a_service_leads(present: Object, slices: list[Object], expected: tuple[str, int]) -> None:
    assert resolve(present, slices, 443, random.Random(1)) == expected


AT_THE_CLUSTER_ADDRESS: dict[str, tuple[Object, Any]] = {
    "its own address": (service(clusterIP="10.0.0.7"), ("10.0.0.7", 443)),
    "another name": (service(type="ExternalName", externalName="ext.test", ports=None), ("ext.test", 443)),
    "a headless service": (service(clusterIP="None"), 'cannot route to service with ClusterIP "None"'),
    "a port that it does not have": (service(clusterIP="10.0.0.7", ports=[]), 'no service port 443 found for service "svc"'),
}


@pytest.mark.parametrize(("present", "expected"), AT_THE_CLUSTER_ADDRESS.values(), ids=AT_THE_CLUSTER_ADDRESS.keys())
def test_where_a_service_leads_by_its_own_address(present: Object, expected: Any) -> None:
    if isinstance(expected, tuple):
        assert cluster_address(present, 443) == expected
    else:
        with pytest.raises(Unreachable) as caught:
            cluster_address(present, 443)
        assert str(caught.value) == expected


NOWHERE: dict[str, tuple[Object, list[Object], str]] = {
    "a port that it does not have": (service(ports=[{"port": 80}]), [], 'no service port 443 found for service "svc"'),
    "no endpoints": (service(), [], 'no endpoints available for service "svc"'),
    "no endpoint that is ready": (service(), [endpoints("1.1.1.1", ready=False)], 'no endpoints available for service "svc"'),
}


@pytest.mark.parametrize(("present", "slices", "text"), NOWHERE.values(), ids=NOWHERE.keys())
def test_a_service_that_leads_nowhere_says_why(present: Object, slices: list[Object], text: str) -> None:
    with pytest.raises(Unreachable) as caught:
        resolve(present, slices, 443, random.Random(1))
    assert str(caught.value) == text


# --- documents ----------------------------------------------------------------------------------------------------------------


def test_a_subresource_before_its_resource_joins_it() -> None:
    status = {"name": "things/status", "kind": "Thing", "verbs": ["get"], "namespaced": True}
    thing = {"name": "things", "kind": "Thing", "singularName": "thing", "verbs": ["list"], "namespaced": True}
    kind = {"group": "", "version": "", "kind": "Thing"}
    expected = {
        "resource": "things",
        "responseKind": kind,
        "scope": "Namespaced",
        "singularResource": "thing",
        "verbs": ["list"],
        "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
    }
    assert converted([status, thing]) == converted([thing, status]) == (expected,)


FORMS = {
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList": True,
    "application/json; as=APIGroupDiscoveryList; g=apidiscovery.k8s.io; v=v2": True,
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList": False,
    "application/json": False,
    "": False,
}


@pytest.mark.parametrize(("content_type", "expected"), FORMS.items())
def test_aggregated_discovery_is_known_by_its_media_type(content_type: str, expected: bool) -> None:
    assert is_aggregated(content_type) is expected


def test_of_what_a_server_serves_only_the_group_and_version_that_is_asked_for_counts() -> None:
    versions = [{"version": "v1", "resources": [{"resource": "a"}]}, {"version": "v2", "resources": [{"resource": "b"}]}]
    document = {"items": [{"metadata": {"name": "g"}, "versions": versions}]}
    assert [each["resource"] for each in resources_in(document, "g", "v2")] == ["b"]
    assert resources_in(document, "other", "v2") == ()
    entry = {"serverRelativeURL": "/openapi/v3/apis/g/v2"}
    index = {"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/mine"}, "apis/g/v2": entry}}
    assert openapi_entry(index, "g", "v2") == entry
    assert openapi_entry(index, "g", "v1") is None


def test_groups_of_others_stand_by_their_priority_and_versions_too() -> None:
    others = [
        Extension("low.example.com", "v1", 100, 1),
        Extension("high.example.com", "v1", 2000, 1),
        Extension("high.example.com", "v2beta1", 2000, 9),
    ]
    groups = Discovery([], extensions=others).groups
    assert list(groups.items()) == [("high.example.com", ["v2beta1", "v1"]), ("low.example.com", ["v1"])]


# --- whom extension servers trust -----------------------------------------------------------------------------------------------


def test_what_other_servers_are_trusted_for_stays_in_the_config_map() -> None:
    wanted, _ = config_maps(client_ca="OUR CA\n", front_proxy=published("OUR PROXY CA\n"), now=datetime(2026, 1, 1, tzinfo=UTC))
    names = '["other-client"]'
    theirs = {"client-ca-file": "THEIR CA\n", "requestheader-allowed-names": names, "requestheader-client-ca-file": "THEIR PROXY CA\n"}
    settled = wanted.settle({"metadata": {}, "data": theirs}, wanted.obj)
    assert settled is not None
    data = settled["data"]
    assert (data["client-ca-file"], data["requestheader-client-ca-file"]) == ("THEIR CA\nOUR CA\n", "THEIR PROXY CA\nOUR PROXY CA\n")
    assert json.loads(data["requestheader-allowed-names"]) == ["other-client", "front-proxy-client"]
    assert data["requestheader-username-headers"] == '["X-Remote-User"]'
    assert wanted.settle(settled, wanted.obj) is None
