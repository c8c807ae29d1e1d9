"""What a load balancer is to do: where it listens, where connections may go, and what is said of ports that do not answer."""

from __future__ import annotations

import errno
import re
from typing import Any

import pytest

from controllers.cloud import balancing
from controllers.cloud.balancing import (
    Backend,
    Frontend,
    backends,
    changes,
    frontends,
    listen_problem,
    order,
    port_statuses,
    source_ranges,
    unsupported,
)
from controllers.cloud.remembered import Remembered
from kube.objects import Object

WEB = Frontend("ns/web", "127.1.0.1", 80)


def service(*ports: Object, annotations: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "web", "namespace": "ns", "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"type": "LoadBalancer", "ports": list(ports or [{"port": 80}]), **spec}}


def endpoint(address: str, *, node: str = "n1", pod: str = "", namespace: str = "ns", **conditions: bool) -> Object:
    target = {"targetRef": {"kind": "Pod", "namespace": namespace, "name": pod}} if pod else {}
    return {"addresses": [address], "nodeName": node, "conditions": conditions, **target}


def of(*endpoints: Object, port: int | None = 8080, name: str | None = None, kind: str = "IPv4", protocol: str = "TCP") -> Object:
    ports = [{"port": port, "protocol": protocol} | ({"name": name} if name is not None else {})]
    return {"addressType": kind, "ports": ports, "endpoints": list(endpoints)}


def places(found: tuple[Backend, ...]) -> list[str]:
    return [str(each) for each in found]


# --- where connections may go -----------------------------------------------------------------------------------------

LOCAL: Object = {"externalTrafficPolicy": "Local"}
BACKENDS: dict[str, tuple[Object, Frontend, list[Object], list[str]]] = {
    "a ready one": (service(), WEB, [of(endpoint("10.0.0.1", ready=True))], ["10.0.0.1:8080"]),
    "nothing said means ready": (service(), WEB, [of(endpoint("10.0.0.1"))], ["10.0.0.1:8080"]),
    "not one that is not ready": (
        service(),
        WEB,
        [of(endpoint("10.0.0.1", ready=False, serving=False), endpoint("10.0.0.2", ready=True))],
        ["10.0.0.2:8080"],
    ),
    "one that leaves and still serves does not count beside ready ones": (
        service(),
        WEB,
        [of(endpoint("10.0.0.1", ready=False, serving=True, terminating=True), endpoint("10.0.0.2", ready=True))],
        ["10.0.0.2:8080"],
    ),
    "but it does when it is all that is left": (
        service(),
        WEB,
        [
            of(
                endpoint("10.0.0.1", ready=False, serving=True, terminating=True),
                endpoint("10.0.0.2", ready=False, serving=False, terminating=True),
            )
        ],
        ["10.0.0.1:8080"],
    ),
    "not ready addresses are published as ready": (
        service(publishNotReadyAddresses=True),
        WEB,
        [of(endpoint("10.0.0.1", ready=True, serving=False, terminating=True))],
        ["10.0.0.1:8080"],
    ),
    "of all slices, each endpoint once": (
        service(),
        WEB,
        [of(endpoint("10.0.0.2"), endpoint("10.0.0.1")), of(endpoint("10.0.0.2"), endpoint("10.0.0.3"))],
        ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"],
    ),
    "the port of that name, by slice": (
        service({"name": "http", "port": 80, "targetPort": "web"}),
        Frontend("ns/web", "127.1.0.1", 80, "http"),
        [of(endpoint("10.0.0.1"), name="http"), of(endpoint("10.0.0.2"), name="http", port=9090), of(endpoint("10.0.0.3"), name="x")],
        ["10.0.0.1:8080", "10.0.0.2:9090"],
    ),
    "a port without a number is none": (service(), WEB, [of(endpoint("10.0.0.1"), port=None)], []),
    "a port of another protocol is another": (service(), WEB, [of(endpoint("10.0.0.1"), protocol="UDP")], []),
    "pods of the own namespace by name": (service(), WEB, [of(endpoint("10.0.0.1", pod="a"))], ["pod ns/a (10.0.0.1:8080)"]),
    "pods of others are addresses": (service(), WEB, [of(endpoint("10.0.0.1", pod="a", namespace="kube-system"))], ["10.0.0.1:8080"]),
    "the own family first": (
        service(),
        WEB,
        [of(endpoint("10.0.0.1")), of(endpoint("fd00::1"), kind="IPv6")],
        ["10.0.0.1:8080"],
    ),
    "the own family of IPv6": (
        service(),
        Frontend("ns/web", "fd01::1", 80),
        [of(endpoint("10.0.0.1")), of(endpoint("fd00::1"), kind="IPv6")],
        ["[fd00::1]:8080"],
    ),
    "another family rather than none": (service(), WEB, [of(endpoint("fd00::1"), kind="IPv6")], ["[fd00::1]:8080"]),
    "names are no addresses": (service(), WEB, [of(endpoint("example.com"), kind="FQDN")], []),
    "nodes without traffic do not matter": (service(), WEB, [of(endpoint("10.0.0.1", node="shut"))], ["10.0.0.1:8080"]),
    "unless traffic is local": (
        service(**LOCAL),
        WEB,
        [of(endpoint("10.0.0.1", node="shut"), endpoint("10.0.0.2", node="n2"))],
        ["10.0.0.2:8080"],
    ),
}


@pytest.mark.parametrize(("svc", "frontend", "slices", "expected"), BACKENDS.values(), ids=BACKENDS.keys())
def test_where_connections_may_go(svc: Object, frontend: Frontend, slices: list[Object], expected: list[str]) -> None:
    assert places(backends(svc, frontend, slices, {"n1", "n2"})) == expected


def test_without_nodes_there_is_nothing_behind_it() -> None:
    assert backends(service(), WEB, [of(endpoint("10.0.0.1"))], ()) == ()


# --- where it listens -------------------------------------------------------------------------------------------------


def test_every_tcp_port_is_listened_on_at_every_address() -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}, {"name": "c", "port": 443, "protocol": "TCP"}]
    affinity: Object = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    found = frontends(service(*ports, **affinity), ["127.1.0.1", "fd01::1"])
    assert [(*each.place, each.port_name) for each in found] == [
        ("127.1.0.1", 80, "a"),
        ("127.1.0.1", 443, "c"),
        ("fd01::1", 80, "a"),
        ("fd01::1", 443, "c"),
    ]
    assert {(each.service, each.affinity_s, each.sources) for each in found} == {("ns/web", 60, None)}
    assert frontends(service(sessionAffinity="ClientIP"), ["127.1.0.1"])[0].affinity_s == balancing.AFFINITY_S
    assert frontends(service(sessionAffinity="None"), ["127.1.0.1"])[0].affinity_s == 0


def test_what_changes_from_one_plan_to_the_next() -> None:
    old = {each.place: each for each in frontends(service({"port": 80}, {"port": 81}), ["127.1.0.1"])}
    wanted = frontends(service({"port": 81}, {"port": 82}, sessionAffinity="ClientIP"), ["127.1.0.1"])
    found = changes(old, wanted)
    assert found.close == (("127.1.0.1", 80),)
    assert [each.port for each in found.open] == [82]
    assert [(each.port, each.affinity_s) for each in found.keep] == [(81, 10800)]
    assert changes(old, old.values()) == balancing.Changes()


ADMITS: dict[str, tuple[Object, str, bool]] = {
    "everyone": (service(), "8.8.8.8", True),
    "within the range": (service(loadBalancerSourceRanges=["10.0.0.0/8", "127.0.0.0/8"]), "127.0.0.1", True),
    "outside of it": (service(loadBalancerSourceRanges=["10.0.0.0/8"]), "127.0.0.1", False),
    "of another family": (service(loadBalancerSourceRanges=["10.0.0.0/8"]), "::1", False),
    "with a zone": (service(loadBalancerSourceRanges=["fe80::/10"]), "fe80::1%eth0", True),
    "by the annotation": (service(annotations={balancing.SOURCE_RANGES: "10.0.0.0/8, 127.0.0.0/8"}), "127.0.0.1", True),
    "not by the annotation": (service(annotations={balancing.SOURCE_RANGES: "10.0.0.0/8"}), "127.0.0.1", False),
    "the field comes first": (
        service(annotations={balancing.SOURCE_RANGES: "127.0.0.0/8"}, loadBalancerSourceRanges=["10.0.0.0/8"]),
        "127.0.0.1",
        False,
    ),
    "nonsense lets nobody in": (service(annotations={balancing.SOURCE_RANGES: "everyone"}), "127.0.0.1", False),
    "nobody who has no address": (service(loadBalancerSourceRanges=["0.0.0.0/0"]), "", False),
}


@pytest.mark.parametrize(("svc", "client", "expected"), ADMITS.values(), ids=ADMITS.keys())
def test_who_is_let_in(svc: Object, client: str, expected: bool) -> None:
    assert Frontend("ns/web", "127.1.0.1", 80, sources=source_ranges(svc)).admits(client) is expected


# --- what is said of ports --------------------------------------------------------------------------------------------

ERROR = re.compile(r"[a-z0-9.]+/[A-Za-z0-9]+")
PROBLEMS: dict[str, tuple[int, str, str]] = {
    "no right to it": (errno.EACCES, "wherry.io/PortForbidden", "needs root or net.ipv4.ip_unprivileged_port_start=80"),
    "somebody else has it": (errno.EADDRINUSE, "wherry.io/PortInUse", "port 80 of 127.1.0.1 is in use by another program"),
    "an address of elsewhere": (errno.EADDRNOTAVAIL, "wherry.io/AddressNotAvailable", "choose another --load-balancer-range"),
    "anything else": (errno.EMFILE, "wherry.io/PortNotAvailable", "cannot be listened on: Too many open files"),
}


@pytest.mark.parametrize(("code", "error", "says"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_why_a_port_cannot_be_listened_on(code: int, error: str, says: str) -> None:
    problem = listen_problem(WEB, OSError(code, "x"))
    assert problem.is_passing
    assert says in problem.message
    [status] = port_statuses(service(), "127.1.0.1", {("127.1.0.1", 80, "TCP"): problem})
    assert status == {"port": 80, "protocol": "TCP", "error": error}
    assert port_statuses(service(), "fd01::1", {("127.1.0.1", 80, "TCP"): problem}) == [], "all is well at another address"
    assert ERROR.fullmatch(error)


def test_ports_of_other_protocols_are_not_relayed() -> None:
    svc = service({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 7, "protocol": "SCTP"})
    problems = unsupported(svc)
    assert {each.reason for each in problems.values()} == {"ProtocolNotSupported"}
    assert not any(each.is_passing for each in problems.values())
    assert port_statuses(svc, "127.1.0.1", problems) == [
        {"port": 53, "protocol": "UDP", "error": "wherry.io/ProtocolNotSupported"},
        {"port": 53, "protocol": "TCP"},
        {"port": 7, "protocol": "SCTP", "error": "wherry.io/ProtocolNotSupported"},
    ]
    assert port_statuses(svc, "127.1.0.1", {}) == []


# --- which backend ----------------------------------------------------------------------------------------------------


def test_backends_take_turns_and_what_failed_comes_last() -> None:
    a, b, c = (Backend(f"10.0.0.{number}", 80) for number in (1, 2, 3))
    assert [order([a, b, c], turn)[0] for turn in range(4)] == [a, b, c, a]
    assert order([a, b, c], 1) == [b, c, a]
    assert order([a, b, c], 0, failing=[a]) == [b, c, a]
    assert order([a, b, c], 0, preferred=c) == [c, a, b]
    assert order([a, b, c], 0, preferred=c, failing=[c]) == [a, b, c]
    assert order([a, b], 0, preferred=c) == [a, b]
    assert order([], 5) == []


class Watch:
    """A clock that is set by hand."""

    now_s = 100.0

    def now(self) -> Any:
        raise AssertionError("nobody asks for the date")

    def monotonic(self) -> float:
        return self.now_s


def test_what_is_remembered_is_forgotten_in_time_and_bounded() -> None:
    watch = Watch()
    known = Remembered[str, int](watch, most=2)
    known.put("a", 1, 10)
    known.put("b", 2, 20)
    assert (known.get("a"), known.get("x")) == (1, None)
    watch.now_s += 10
    assert (known.get("a"), known.get("b")) == (None, 2)
    known.put("c", 3, 5)
    known.put("d", 4, 20)
    assert list(known.keys()) == ["c", "d"]
    watch.now_s += 5
    assert list(known.keys()) == ["d"]
