"""What cluster DNS answers, question by question: kubernetes/dns `docs/specification.md`, and CoreDNS's choices."""

from __future__ import annotations

import pytest

from kubelet.dns.records import NXDOMAIN, Answer, Record, Zone, answer
from tests.unit.dns_world import NOW, cluster, endpoint, endpoint_slice, service, world

ZONE = Zone(server="10.0.0.10")
WORLD = cluster()
SOA = f"ns.dns.cluster.local. hostmaster.cluster.local. {int(NOW.timestamp())} 7200 1800 86400 30"


def asked(name: str, type_: str = "A") -> Answer:
    found = answer(name, type_, WORLD, ZONE)
    assert found is not None, "the name is of the cluster"
    return found


def data(found: Answer) -> list[str]:
    return [each.data for each in found.answers]


@pytest.mark.parametrize(
    ("name", "type_", "wanted"),
    [
        pytest.param("kubernetes.default.svc.cluster.local", "A", ["10.0.0.1"], id="a Service has its ClusterIP"),
        pytest.param("KUBERNETES.Default.SVC.cluster.LOCAL", "A", ["10.0.0.1"], id="in any case"),
        pytest.param("dual.default.svc.cluster.local", "A", ["10.0.0.7"], id="of two families the one that is asked for"),
        pytest.param("dual.default.svc.cluster.local", "AAAA", ["fd00::7"], id="and the other"),
        pytest.param("web.default.svc.cluster.local", "A", ["10.244.0.5", "10.244.1.7"], id="a headless Service has its ready endpoints"),
        pytest.param("web.default.svc.cluster.local", "AAAA", ["fd00::9"], id="in both families"),
        pytest.param("portless.default.svc.cluster.local", "A", ["10.244.0.5"], id="even without ports"),
        pytest.param("web-0.web.default.svc.cluster.local", "A", ["10.244.0.5"], id="an endpoint has its hostname"),
        pytest.param("web-0.web.default.svc.cluster.local", "AAAA", ["fd00::9"], id="with every address"),
        pytest.param(
            "10-244-1-7.web.default.svc.cluster.local", "A", ["10.244.1.7"], id="an endpoint without one is its address in dashes"
        ),
        pytest.param("10-244-0-5.plain.default.svc.cluster.local", "A", ["10.244.0.5"], id="that of a Service with a ClusterIP, too"),
        pytest.param("_http._tcp.dual.default.svc.cluster.local", "A", ["10.0.0.7"], id="a port's name has the Service's address"),
        pytest.param("10-1-2-3.default.pod.cluster.local", "A", ["10.1.2.3"], id="a pod is its address, whether it is there or not"),
        pytest.param("fd00--5.default.pod.cluster.local", "AAAA", ["fd00::5"], id="of either family"),
        pytest.param("ns.dns.cluster.local", "A", ["10.0.0.10"], id="the name server is the Service"),
        pytest.param("cluster.local", "NS", ["ns.dns.cluster.local."], id="which the zone names"),
        pytest.param("cluster.local", "SOA", [SOA], id="the zone has an SOA"),
        pytest.param("dns-version.cluster.local", "TXT", ['"1.1.0"'], id="and says its version"),
        pytest.param(
            "_https._tcp.kubernetes.default.svc.cluster.local", "SRV", ["0 100 443 kubernetes.default.svc.cluster.local."], id="SRV"
        ),
        pytest.param("_dns._udp.dual.default.svc.cluster.local", "SRV", ["0 50 53 dual.default.svc.cluster.local."], id="SRV over UDP"),
        pytest.param(
            "_http._tcp.web.default.svc.cluster.local",
            "SRV",
            [f"0 33 80 {each}.web.default.svc.cluster.local." for each in ("web-0", "10-244-1-7")],
            id="SRV of a headless Service names its endpoints",
        ),
        pytest.param("1.0.0.10.in-addr.arpa", "PTR", ["kubernetes.default.svc.cluster.local."], id="PTR of a ClusterIP"),
        pytest.param(
            "5.0.244.10.in-addr.arpa",
            "PTR",
            [f"{each}.default.svc.cluster.local." for each in ("10-244-0-5.plain", "p.portless", "web-0.web")],
            id="PTR of an endpoint: one name for each of its Services",
        ),
        pytest.param("8.0.0.0" + ".0" * 26 + ".d.f.ip6.arpa", "PTR", None, id="an IPv6 address that nothing has is not ours"),
        pytest.param("7" + ".0" * 27 + ".0.0.d.f.ip6.arpa", "PTR", ["dual.default.svc.cluster.local."], id="PTR of an IPv6 ClusterIP"),
        pytest.param("6.0.244.10.in-addr.arpa", "PTR", None, id="an endpoint that is not ready has no PTR here"),
        pytest.param("244.10.in-addr.arpa", "PTR", None, id="part of an address is nobody's"),
        pytest.param("example.com", "A", None, id="other names are not ours"),
        pytest.param("xcluster.local", "A", None, id="even if they end alike"),
        pytest.param("", "NS", None, id="the root is not ours"),
    ],
)
def test_a_name_has(name: str, type_: str, wanted: list[str] | None) -> None:
    if wanted is None:
        assert answer(name, type_, WORLD, ZONE) is None
        return
    found = asked(name, type_)
    assert (found.rcode, data(found)) == ("NOERROR", wanted)
    assert {(each.name, each.type) for each in found.answers} == {(name, type_)}, "under the name that was asked for, as it was written"


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        pytest.param("kubernetes.default.svc.cluster.local", "AAAA", id="a Service of the other family"),
        pytest.param("kubernetes.default.svc.cluster.local", "MX", id="a type that nothing has"),
        pytest.param("default.svc.cluster.local", "A", id="a namespace"),
        pytest.param("default.pod.cluster.local", "A", id="a namespace's pods"),
        pytest.param("svc.cluster.local", "A", id="what Services are below"),
        pytest.param("cluster.local", "A", id="the zone"),
        pytest.param("dns-version.cluster.local", "A", id="the version's address"),
        pytest.param("_http._tcp.web.default.svc.cluster.local", "TXT", id="a port's text"),
        pytest.param("portless.default.svc.cluster.local", "SRV", id="SRV of endpoints without ports"),
        pytest.param("1.0.0.10.in-addr.arpa", "A", id="the address of an address"),
        pytest.param("out.default.svc.cluster.local", "SRV", id="SRV of an ExternalName"),
        pytest.param("nowhere.default.svc.cluster.local", "A", id="an ExternalName that leads nowhere"),
        pytest.param("ring-a.default.svc.cluster.local", "A", id="ExternalNames that go round in circles"),
        pytest.param("10-1-2-3.default.pod.cluster.local", "AAAA", id="the other family of a pod"),
    ],
)
def test_there_is_such_a_name_without_data(name: str, type_: str) -> None:
    found = asked(name, type_)
    assert found == Answer(authority=(Record("cluster.local", "SOA", 30, SOA),))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("none.default.svc.cluster.local", id="a Service that is not there"),
        pytest.param("kubernetes.none.svc.cluster.local", id="a namespace that is not there"),
        pytest.param("none.svc.cluster.local", id="nor its own name"),
        pytest.param("quiet.default.svc.cluster.local", id="a headless Service with no ready endpoint"),
        pytest.param("web-1.web.default.svc.cluster.local", id="an endpoint that is not ready"),
        pytest.param("web-7.web.default.svc.cluster.local", id="an endpoint that is not there"),
        pytest.param("x.out.default.svc.cluster.local", id="an endpoint of an ExternalName"),
        pytest.param("_grpc._tcp.web.default.svc.cluster.local", id="a port that is not there"),
        pytest.param("_http._udp.dual.default.svc.cluster.local", id="a port over the other protocol"),
        pytest.param("address.default.svc.cluster.local", id="an ExternalName that is an address"),
        pytest.param("a.b.c.web.default.svc.cluster.local", id="too many labels"),
        pytest.param("web.default.cluster.local", id="neither svc nor pod"),
        pytest.param("kubernetes\\.default.svc.cluster.local", id="a dot within a label"),
        pytest.param("10-1-2.default.pod.cluster.local", id="a pod that is no address"),
        pytest.param("10-1-2-3.none.pod.cluster.local", id="a pod of no namespace"),
        pytest.param("x.10-1-2-3.default.pod.cluster.local", id="something below a pod"),
    ],
)
def test_there_is_no_such_name(name: str) -> None:
    found = asked(name)
    assert (found.rcode, found.answers, data(Answer(answers=found.authority))) == (NXDOMAIN, (), [SOA])


def test_srv_brings_the_addresses_of_what_it_names() -> None:
    found = asked("_http._tcp.web.default.svc.cluster.local", "SRV").additional
    assert [(each.name.split(".")[0], each.type, each.data) for each in found] == [
        ("web-0", "AAAA", "fd00::9"),
        ("web-0", "A", "10.244.0.5"),
        ("10-244-1-7", "A", "10.244.1.7"),
    ]
    every = asked("dual.default.svc.cluster.local", "SRV")
    assert [each.data.split()[2] for each in every.answers] == ["80", "53"], "without a port's name: every port"


def test_an_external_name_is_an_alias() -> None:
    name = "out.default.svc.cluster.local"
    alias = Record(name, "CNAME", 30, "www.example.com.")
    for type_ in ("A", "AAAA"):
        assert asked(name, type_) == Answer(answers=(alias,), elsewhere="www.example.com")
    assert asked(name, "CNAME") == Answer(answers=(alias,)), "whoever asks for the alias wants no more"
    assert data(asked("again.default.svc.cluster.local")) == [
        "in.default.svc.cluster.local.",
        "kubernetes.default.svc.cluster.local.",
        "10.0.0.1",
    ]
    away = asked("away.default.svc.cluster.local")
    assert (data(away), away.elsewhere) == (["out.default.svc.cluster.local.", "www.example.com."], "www.example.com")


def test_how_long_an_answer_is_good() -> None:
    zone = Zone("k8s.test", 600)
    found = answer("kubernetes.default.svc.k8s.test", "A", WORLD, zone)
    assert found is not None
    assert [each.ttl_s for each in found.answers] == [600]
    version = answer("dns-version.k8s.test", "TXT", WORLD, zone)
    assert version is not None
    assert [each.ttl_s for each in version.answers] == [28_800]
    none = answer("none.k8s.test", "A", WORLD, zone)
    assert none is not None
    assert [each.ttl_s for each in none.authority] == [300], "that there is nothing is never good for longer than 5 minutes"
    assert answer("kubernetes.default.svc.cluster.local", "A", WORLD, zone) is None


def test_what_changes_is_answered_at_once_and_leaves_nothing_behind() -> None:
    known = world()
    name, reverse = "web.default.svc.cluster.local", "5.0.244.10.in-addr.arpa"

    def found() -> list[str]:
        answers = answer(name, "A", known, ZONE)
        assert answers is not None
        return data(answers)

    headless, pods = service("web", "None"), endpoint_slice("web", endpoint("10.244.0.5"))
    known.take_slice(None, pods)
    assert found() == [], "a slice whose Service is not there yet"
    known.take_service(None, headless)
    assert found() == ["10.244.0.5"]
    moved = endpoint_slice("web", endpoint("10.244.0.6"))
    known.take_slice(pods, moved)
    assert (found(), answer(reverse, "PTR", known, ZONE)) == (["10.244.0.6"], None)
    known.take_service(headless, service("web", "10.0.0.3"))
    assert found() == ["10.0.0.3"]
    known.take_service(service("web", "10.0.0.3"), service("web", "10.0.0.4"))
    assert answer("3.0.0.10.in-addr.arpa", "PTR", known, ZONE) is None
    known.take_slice(moved, None)
    known.take_service(service("web", "10.0.0.4"), None)
    known.take_namespace({"metadata": {"name": "kube-system"}}, None)
    assert found() == []
    assert [each for each in (known._services, known._slices, known._services_at, known._slices_at) if each] == []
    assert not known.has_namespace("kube-system")
