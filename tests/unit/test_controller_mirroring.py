"""Endpoints written by hand and their EndpointSlices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controllers.manager.endpoint_slice_mirroring import ADDRESSES_MAX, MANAGER, is_mirrored, mirrored, plan
from kube.objects import Object
from kube.runtime.perform import Create, Delete, Record, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HTTP = {"name": "http", "port": 80, "protocol": "TCP"}
DNS = {"name": "dns", "port": 53, "protocol": "UDP"}


def addresses(*ips: str) -> list[Object]:
    return [{"ip": each} for each in ips]


def endpoints(*subsets: Object, **metadata: Any) -> Object:
    return {"metadata": {"name": "web", "namespace": "ns", "uid": "u", **metadata}, "subsets": list(subsets)}


def made(of: Object) -> list[Object]:
    """The slices that are made for Endpoints that have none."""
    creates = [each for each in plan(of, [], NOW) if isinstance(each, Create)]
    return [{**each.obj, "metadata": {**each.obj["metadata"], "name": f"web-{index}"}} for index, each in enumerate(creates)]


def test_one_slice_for_each_family_and_set_of_ports() -> None:
    both = {"addresses": addresses("10.0.0.1", "fd00::1"), "notReadyAddresses": addresses("10.0.0.2"), "ports": [HTTP, DNS]}
    one = {"addresses": [{"ip": "10.0.0.3", "hostname": "h", "nodeName": "n"}], "ports": [HTTP]}
    found = made(endpoints(both, one, labels={"a": "b"}, annotations={"c": "d", "kubectl.kubernetes.io/last-applied-configuration": "x"}))
    shapes = sorted((each["addressType"], [port["name"] for port in each["ports"]], len(each["endpoints"])) for each in found)
    assert shapes == [("IPv4", ["dns"], 2), ("IPv4", ["http"], 3), ("IPv6", ["dns"], 1), ("IPv6", ["http"], 1)]
    metadata = found[0]["metadata"]
    assert metadata["labels"] == {"a": "b", "kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": MANAGER}
    assert (metadata["annotations"], metadata["generateName"]) == ({"c": "d"}, "web-")
    assert metadata["ownerReferences"][0]["kind"] == "Endpoints"


def test_what_an_endpoint_says() -> None:
    subset = {"addresses": [{"ip": "10.0.0.3", "hostname": "h", "nodeName": "n"}], "notReadyAddresses": addresses("10.0.0.4")}
    [found] = made(endpoints(subset))
    assert found["ports"] == []
    assert found["endpoints"] == [
        {"addresses": ["10.0.0.3"], "conditions": {"ready": True}, "nodeName": "n", "hostname": "h"},
        {"addresses": ["10.0.0.4"], "conditions": {"ready": False}},
    ]


def test_an_address_that_is_ready_and_not_is_not() -> None:
    [found] = made(endpoints({"addresses": addresses("10.0.0.1")}, {"notReadyAddresses": addresses("10.0.0.1")}))
    assert [each["conditions"]["ready"] for each in found["endpoints"]] == [False]


def test_nothing_is_written_twice() -> None:
    of = endpoints({"addresses": addresses("10.0.0.1", "10.0.0.2"), "ports": [HTTP]})
    present = made(of)
    present[0]["endpoints"].reverse()
    assert plan(of, present, NOW) == []


def test_a_change_goes_into_the_slice_there_is() -> None:
    [present] = made(endpoints({"addresses": addresses("10.0.0.1"), "ports": [HTTP]}))
    [update] = plan(endpoints({"addresses": addresses("10.0.0.9"), "ports": [HTTP]}), [present], NOW)
    assert isinstance(update, Update)
    assert (update.obj["metadata"]["name"], update.obj["endpoints"][0]["addresses"]) == ("web-0", ["10.0.0.9"])
    [reused] = plan(endpoints({"addresses": addresses("10.0.0.9"), "ports": [DNS]}), [present], NOW)
    assert isinstance(reused, Update), "a slice of other ports is used again"
    assert reused.obj["ports"][0]["port"] == 53
    [relabelled] = plan(endpoints({"addresses": addresses("10.0.0.1"), "ports": [HTTP]}, labels={"a": "b"}), [present], NOW)
    assert isinstance(relabelled, Update)


def test_slices_go_with_what_they_mirror() -> None:
    present = made(endpoints({"addresses": addresses("10.0.0.1"), "ports": [HTTP]}))
    assert [type(each) for each in plan(None, present, NOW)] == [Delete]
    assert [type(each) for each in plan(endpoints(), present, NOW)] == [Delete]
    assert plan(endpoints({"addresses": addresses("10.0.0.1")}, deletionTimestamp="x"), [], NOW) == []


def test_people_are_told_what_is_left_out() -> None:
    many = [f"10.1.{each // 256}.{each % 256}" for each in range(ADDRESSES_MAX + 2)]
    told = [each for each in plan(endpoints({"addresses": addresses("no", *many)}), [], NOW) if isinstance(each, Record)]
    assert [each.message for each in told] == [
        "Skipped 1 invalid IP addresses when mirroring to EndpointSlices",
        "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 3 addresses were skipped",
    ]
    [group] = mirrored(endpoints({"addresses": addresses(*many)})).groups.values()
    assert len(group) == ADDRESSES_MAX


def test_which_endpoints_are_not_mirrored() -> None:
    assert is_mirrored(endpoints())
    assert not is_mirrored(endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "true"}))
    assert not is_mirrored(endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}))
