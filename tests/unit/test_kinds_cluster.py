"""Kinds of the core group and of the smaller groups: what the server fills in, keeps, and hands back."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.kinds.certificates import CERTIFICATE_SIGNING_REQUEST
from apiserver.kinds.core import event
from apiserver.kinds.core.config import SECRET
from apiserver.kinds.core.namespace import NAMESPACE
from apiserver.kinds.core.quota import LIMIT_RANGE
from apiserver.kinds.core.service import SERVICE
from apiserver.kinds.core.service_families import settle
from apiserver.kinds.core.service_fields import complete
from apiserver.kinds.discovery import ENDPOINT_SLICE
from apiserver.kinds.storage import CSI_DRIVER
from apiserver.registry.kind import Context, Kind, User
from kube.objects import Object

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def context(verb: str = "create") -> Context:
    return Context(User("jane", ("devs",), "u-jane"), NOW, verb)


def made(kind: Kind, **fields: Any) -> Object:
    obj: Object = {"metadata": {"name": "web", "namespace": "default", "uid": "u-1"}, **copy.deepcopy(fields)}
    kind.default(obj)
    kind.prepare(obj, None, context())
    return obj


def updated(kind: Kind, old: Object, **fields: Any) -> Object:
    new = copy.deepcopy(old) | copy.deepcopy(fields)
    kind.default(new)
    kind.prepare(new, old, context("update"))
    return new


def test_a_namespace_is_active_held_and_labelled() -> None:
    namespace = made(NAMESPACE, spec={"finalizers": ["example.com/x"]}, status={"phase": "Terminating"})
    assert namespace["spec"] == {"finalizers": ["example.com/x", "kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "web"}


def test_a_namespace_keeps_its_finalizers_but_for_finalize() -> None:
    namespace = made(NAMESPACE)
    assert updated(NAMESPACE, namespace, spec={})["spec"] == namespace["spec"]
    finalize = next(each for each in NAMESPACE.subresources if each.name == "finalize")
    assert finalize.prepare is not None
    new = {**copy.deepcopy(namespace), "spec": {}}
    finalize.prepare(new, namespace, context("update"))
    assert not NAMESPACE.holds_deletion(new)


def test_a_secrets_plain_text_goes_into_its_data() -> None:
    secret = made(SECRET, data={"a": "b2xk", "b": "Yg=="}, stringData={"a": "new"})
    assert secret["data"] == {"a": "bmV3", "b": "Yg=="}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


def test_a_limit_ranges_requests_follow_from_its_limits() -> None:
    limits = made(LIMIT_RANGE, spec={"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}}]})
    item = limits["spec"]["limits"][0]
    assert item["default"] == {"cpu": "2"}
    assert item["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}


def test_a_csr_names_who_asked_for_it() -> None:
    request = made(CERTIFICATE_SIGNING_REQUEST, spec={"username": "root", "signerName": "example.com/x"}, status={"certificate": "x"})
    assert request["spec"] == {"signerName": "example.com/x", "username": "jane", "uid": "u-jane", "groups": ["devs"]}
    assert request["status"] == {}


def test_an_approval_changes_conditions_alone_and_dates_them() -> None:
    approval = next(each for each in CERTIFICATE_SIGNING_REQUEST.subresources if each.name == "approval")
    assert approval.prepare is not None
    old = made(CERTIFICATE_SIGNING_REQUEST, spec={"signerName": "example.com/x"})
    new = copy.deepcopy(old)
    new["status"] = {"certificate": "x", "conditions": [{"type": "Approved", "status": "True"}]}
    approval.prepare(new, old, context("update"))
    times = {"lastUpdateTime": "2026-05-01T12:00:00Z", "lastTransitionTime": "2026-05-01T12:00:00Z"}
    assert new["status"] == {"conditions": [{"type": "Approved", "status": "True", **times}]}


def test_an_endpoint_slices_labels_make_a_new_generation() -> None:
    old = made(ENDPOINT_SLICE, addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"], "deprecatedTopology": {"a": "b"}}])
    assert old["metadata"]["generation"] == 1
    assert old["endpoints"] == [{"addresses": ["10.0.0.1"]}]
    assert updated(ENDPOINT_SLICE, old)["metadata"]["generation"] == 1
    labelled = updated(ENDPOINT_SLICE, old, metadata={**old["metadata"], "labels": {"a": "b"}})
    assert labelled["metadata"]["generation"] == 2


def test_a_csi_driver_has_a_generation_once_it_changes() -> None:
    old = made(CSI_DRIVER, spec={})
    assert "generation" not in old["metadata"]
    assert updated(CSI_DRIVER, old, spec={**old["spec"], "requiresRepublish": True})["metadata"]["generation"] == 1


# --- events -----------------------------------------------------------------------------------------------------------

_names = st.sampled_from(
    ["involvedObject", "message", "source", "firstTimestamp", "count", "reportingComponent", "reason", "type", "note2"]
)


@given(st.dictionaries(_names, st.text(min_size=1, max_size=5), max_size=6))
def test_an_event_comes_back_from_the_other_version_as_it_was(fields: dict[str, str]) -> None:
    hub: Object = {"metadata": {"name": "a"}}
    event.to_hub(hub)
    hub |= fields
    other = copy.deepcopy(hub)
    event.from_hub(other)
    event.to_hub(other)
    assert other == hub


def test_events_k8s_io_calls_fields_by_other_names() -> None:
    hub: Object = {"metadata": {}, "involvedObject": {"kind": "Pod"}, "message": "hi", "reportingComponent": "", "reportingInstance": ""}
    event.from_hub(hub)
    assert hub == {"metadata": {}, "regarding": {"kind": "Pod"}, "note": "hi"}


# --- services ---------------------------------------------------------------------------------------------------------

STORED = {
    "type": "NodePort",
    "clusterIP": "10.0.0.5",
    "clusterIPs": ["10.0.0.5"],
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "sessionAffinity": "None",
    "ports": [{"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30080}],
}


def service(**spec: Any) -> Object:
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": copy.deepcopy(STORED) | spec, "status": {"loadBalancer": {}}}


def test_a_put_that_leaves_out_what_was_allocated_keeps_it() -> None:
    old = service()
    spec: Object = {"type": "NodePort", "ports": [{"name": "http", "port": 81}]}
    complete(spec, old["spec"])
    assert settle(spec, old["spec"], ["IPv4"]) == []
    assert (spec["clusterIPs"], spec["ipFamilies"]) == (["10.0.0.5"], ["IPv4"])
    assert spec["ports"][0]["nodePort"] == 30080


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        pytest.param("ClusterIP", ["externalTrafficPolicy"], id="no node ports, no outside policy"),
        pytest.param("ExternalName", ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "externalTrafficPolicy"], id="no address"),
    ],
)
def test_another_type_leaves_behind_what_it_has_no_use_for(kind: str, gone: list[str]) -> None:
    old = service()
    new = service(type=kind)
    SERVICE.prepare(new, old, context("update"))
    assert not new["spec"].keys() & set(gone)
    assert "nodePort" not in new["spec"]["ports"][0]


@pytest.mark.parametrize("ips", [pytest.param(["10.0.0.5"], id="a patch"), pytest.param([], id="a put")])
def test_an_old_client_that_sets_cluster_ip_sets_cluster_ips_too(ips: list[str]) -> None:
    new = service(clusterIP="10.0.0.9", clusterIPs=ips)
    complete(new["spec"], service()["spec"])
    assert new["spec"]["clusterIPs"] == ["10.0.0.9"]
    assert [each.field for each in SERVICE.validate(new, service(), context("update"))] == ["spec.clusterIPs[0]"]


def test_fewer_node_ports_are_left_behind_and_new_ones_are_not() -> None:
    fewer, more = service(type="ClusterIP"), service(type="ClusterIP")
    more["spec"]["ports"].append({"name": "new", "port": 81, "nodePort": 30081})
    SERVICE.prepare(fewer, service(), context("update"))
    SERVICE.prepare(more, service(), context("update"))
    assert [each.get("nodePort") for each in fewer["spec"]["ports"]] == [None]
    assert [each.get("nodePort") for each in more["spec"]["ports"]] == [30080, 30081]


def test_what_a_load_balancer_was_given_goes_with_its_type() -> None:
    old = service(type="LoadBalancer")
    old["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9", "ipMode": "VIP"}]}}
    kept, new = {**copy.deepcopy(old)}, service(type="NodePort")
    SERVICE.prepare(kept, old, context("update"))
    SERVICE.prepare(new, old, context("update"))
    assert kept["status"] == old["status"]
    assert new["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("spec", "annotations", "warnings"),
    [
        pytest.param({}, {}, [], id="nothing odd"),
        pytest.param(
            {"externalName": "db.example.com"},
            {},
            ['spec.externalName is ignored when spec.type is not "ExternalName"'],
            id="an external name of another type",
        ),
        pytest.param(
            {"trafficDistribution": "PreferClose"},
            {},
            ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
            id="the old name of a distribution",
        ),
        pytest.param(
            {"externalIPs": ["2001:DB8::1"]},
            {},
            [
                'spec.externalIPs[0]: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")',
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
            ],
            id="an external address that is not canonical",
        ),
        pytest.param(
            {},
            {"service.kubernetes.io/topology-aware-hints": "auto"},
            ["annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"],
            id="the old name of an annotation",
        ),
    ],
)
def test_what_a_service_is_warned_of(spec: Object, annotations: Object, warnings: list[str]) -> None:
    new, ctx = service(**spec), context("create")
    new["metadata"]["annotations"] = annotations
    assert SERVICE.validate(new, None, ctx) == []
    assert ctx.warnings == warnings
