"""What pods are told of name servers, and how the simulated shell uses that: resolv.conf, the search path, nslookup, dig, getent."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dns.message
import dns.rrset
import pytest

from kube.objects import Object
from kubelet.__main__ import parser
from kubelet.dns.__main__ import main as dns_main
from kubelet.dns.__main__ import parser as dns_parser
from kubelet.dns.asking import ClusterNames
from kubelet.dns.exchange import NoAnswer
from kubelet.dns.registration import Place, answers_at, objects
from kubelet.name_servers import ClusterDns, resolv_conf
from kubelet.shell import interpreter
from kubelet.shell.interpreter import NotSimulated
from kubelet.shell.machine import Ask, Found, Machine, Out, Reply
from kubelet.shell.names import candidates, conf_of

DNS = ClusterDns(("10.0.0.10",), "cluster.local")
CLUSTER = "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.0.0.10\noptions ndots:5\n"
NODE = "search .\nnameserver 127.0.0.1\n"


def pod(**spec: Any) -> Object:
    return {"metadata": {"namespace": "default", "name": "p"}, "spec": spec}


OWN = {"nameservers": ["192.0.2.1", "10.0.0.10"], "searches": ["a.test", "svc.cluster.local"]}
OPTIONS = [{"name": "ndots", "value": "2"}, {"name": "edns0"}]


@pytest.mark.parametrize(
    ("spec", "dns", "wanted"),
    [
        pytest.param({"dnsPolicy": "ClusterFirst"}, DNS, CLUSTER, id="the cluster's"),
        pytest.param({}, DNS, CLUSTER, id="which is the default"),
        pytest.param({"dnsPolicy": "ClusterFirst"}, ClusterDns(), NODE, id="the node's where there is none"),
        pytest.param({"dnsPolicy": "Default"}, DNS, NODE, id="the node's where that is wanted"),
        pytest.param({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, DNS, NODE, id="and on the node's network"),
        pytest.param({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, DNS, CLUSTER, id="unless it says so"),
        pytest.param({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}}, DNS, "nameserver 192.0.2.1\n", id="its own alone"),
        pytest.param(
            {"dnsConfig": {**OWN, "options": OPTIONS}},
            DNS,
            "search default.svc.cluster.local svc.cluster.local cluster.local a.test\n"
            "nameserver 10.0.0.10\nnameserver 192.0.2.1\noptions ndots:2 edns0\n",
            id="its own added, each once, options replaced",
        ),
        pytest.param({}, ClusterDns(("10.0.0.10",), ""), "nameserver 10.0.0.10\noptions ndots:5\n", id="no domain, no search path"),
        pytest.param(
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": [f"192.0.2.{i}" for i in range(5)]}},
            DNS,
            "nameserver 192.0.2.0\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n",
            id="no more than three servers",
        ),
    ],
)
def test_the_resolv_conf_of_a_pod(spec: Any, dns: ClusterDns, wanted: str) -> None:
    assert resolv_conf(pod(**spec), dns, ("127.0.0.2",)) == wanted


def test_a_search_path_has_bounds() -> None:
    def searches(names: Sequence[str]) -> list[str]:
        text = resolv_conf(pod(dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.1"], "searches": names}), DNS)
        return text.splitlines()[0].split()[1:]

    assert len(searches([f"n{i}" for i in range(40)])) == 32
    assert searches(["a", "x" * 254, "b"]) == ["a", "b"]
    assert len(searches([f"{i:0200}" for i in range(20)])) == 10, "2,048 characters"
    assert resolv_conf(pod(dnsPolicy="Default"), DNS, ("fd00::1",)) == "search .\nnameserver ::1\n"


def test_the_kubelets_flags() -> None:
    flags = parser().parse_args(["--kubeconfig=x", "--hostname-override=n", "--cluster-dns=10.0.0.10,fd00::10", "--cluster-domain=a.test."])
    assert (flags.cluster_dns, flags.cluster_domain) == (("10.0.0.10", "fd00::10"), "a.test")
    for wrong in ("dns", "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4"):
        with pytest.raises(SystemExit):
            parser().parse_args(["--kubeconfig=x", "--hostname-override=n", f"--cluster-dns={wrong}"])


def test_the_flags_of_cluster_dns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    flags = dns_parser().parse_args(["--kubeconfig=x"])
    assert (flags.bind_address, flags.port, flags.cluster_domain, flags.ttl, flags.upstream, flags.cluster_dns) == (
        "127.0.0.1", 53, "cluster.local", 30, "/etc/resolv.conf", "",
    )  # fmt: skip
    assert dns_parser().parse_args(["--kubeconfig=x", "--cluster-domain=K8s.Test."]).cluster_domain == "k8s.test"
    for wrong in ("--cluster-domain=a..b", "--cluster-domain=", "--ttl=-1", "--ttl=3601", "--cluster-dns=dns", "--port=70000"):
        with pytest.raises(SystemExit):
            dns_parser().parse_args(["--kubeconfig=x", wrong])
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["kubelet.dns", "--kubeconfig=x", "--upstream=dns.example.com"])
    assert dns_main() == 1
    assert capsys.readouterr().err == "kubelet.dns: --upstream 'dns.example.com' does not appear to be an IPv4 or IPv6 address\n"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        pytest.param("web", CLUSTER, ["web.default.svc.cluster.local", "web.svc.cluster.local", "web.cluster.local", "web"], id="few dots"),
        pytest.param("a.b.c.d.e.f", CLUSTER, ["a.b.c.d.e.f", "a.b.c.d.e.f.default.svc.cluster.local"], id="many dots"),
        pytest.param("web.", CLUSTER, ["web"], id="a dot at the end"),
        pytest.param("a.b", "search x\n", ["a.b", "a.b.x"], id="one dot is enough by default"),
        pytest.param("a", "search .\n", ["a"], id="the root is nothing to add"),
        pytest.param("a", "", ["a"], id="no search path"),
    ],
)
def test_which_names_are_asked_for(name: str, text: str, wanted: list[str]) -> None:
    assert candidates(name, conf_of(text))[: len(wanted)] == wanted
    assert conf_of("").servers == ("127.0.0.1",)


# --- commands --------------------------------------------------------------------------------------------------------------------


def a(name: str, data: str, type_: str = "A") -> Found:
    return Found(f"{name}.", 30, type_, data)


WEB = "web.default.svc.cluster.local"
KNOWN = {
    (WEB, "A"): [a(WEB, "10.0.0.5")],
    ("10.0.0.10.in-addr.arpa", "PTR"): [a("10.0.0.10.in-addr.arpa", "kube-dns.kube-system.svc.cluster.local.", "PTR")],
    ("out.default.svc.cluster.local", "A"): [
        a("out.default.svc.cluster.local", "www.example.com.", "CNAME"),
        a("www.example.com", "192.0.2.1"),
    ],
}


def ran(command: str, *, reachable: bool = True, files: dict[str, str] | None = None) -> tuple[str, str, int]:
    """(stdout, stderr, exit code), asking a name server at 10.0.0.10."""
    machine = Machine(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), files={"/etc/resolv.conf": CLUSTER, **(files or {})}, resolves=True)
    out, effects = {"stdout": "", "stderr": ""}, interpreter.run_script(command, machine)
    while True:
        try:
            effect = next(effects)
        except StopIteration as stop:
            return out["stdout"], out["stderr"], int(stop.value)
        if isinstance(effect, Out):
            out[effect.stream] += effect.text
        elif isinstance(effect, Ask) and reachable and effect.server == "10.0.0.10":
            found = KNOWN.get((effect.name, effect.type), [])
            effect.reply = Reply("NOERROR" if found else "NXDOMAIN", tuple(found))


SERVER = "Server:    10.0.0.10\nAddress 1: 10.0.0.10 kube-dns.kube-system.svc.cluster.local\n\n"
HOSTS = {"/etc/hosts": "127.0.0.1\tlocalhost\n10.1.1.1\tp.sub.default.svc.cluster.local\tp # me\n"}


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        pytest.param("nslookup web", (f"{SERVER}Name:      web\nAddress 1: 10.0.0.5\n", "", 0), id="nslookup"),
        pytest.param("nslookup none", (SERVER, "nslookup: can't resolve 'none'\n", 1), id="nslookup of nothing"),
        pytest.param("nslookup web 10.0.0.10", (f"{SERVER}Name:      web\nAddress 1: 10.0.0.5\n", "", 0), id="nslookup at a server"),
        pytest.param("nslookup web dns", ("", "nslookup: bad address 'dns'\n", 1), id="nslookup at no address"),
        pytest.param("nslookup", ("", "Usage: nslookup [HOST] [SERVER]\n", 1), id="nslookup of what"),
        pytest.param("getent hosts web", (f"10.0.0.5        {WEB}\n", "", 0), id="getent"),
        pytest.param("getent hosts out", ("192.0.2.1       www.example.com\n", "", 0), id="getent through an alias"),
        pytest.param("getent hosts p", ("10.1.1.1        p.sub.default.svc.cluster.local\n", "", 0), id="getent in /etc/hosts"),
        pytest.param("getent hosts 10.1.1.1", ("10.1.1.1        p.sub.default.svc.cluster.local\n", "", 0), id="getent of an address"),
        pytest.param("getent hosts none", ("", "", 2), id="getent of nothing"),
        pytest.param("getent passwd", ("", "getent: only `getent hosts NAME...` is simulated\n", 1), id="getent of other things"),
        pytest.param(f"dig +short {WEB}", ("10.0.0.5\n", "", 0), id="dig"),
        pytest.param("dig +short web", ("", "", 0), id="dig does not search"),
        pytest.param("dig +short +search web a", ("10.0.0.5\n", "", 0), id="unless it is told to"),
        pytest.param("dig +short -x 10.0.0.10", ("kube-dns.kube-system.svc.cluster.local.\n", "", 0), id="dig backwards"),
        pytest.param(f"dig +noall +answer {WEB} A", (f"{WEB}.\t30\tIN\tA\t10.0.0.5\n", "", 0), id="dig's answer section"),
        pytest.param(
            f"dig {WEB} | grep status", (";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 0\n", "", 0), id="dig says how it went"
        ),
        pytest.param("dig +trace x", ("", "dig: +trace: this is not simulated\n", 1), id="what dig cannot do here"),
        pytest.param("dig @10.9.9.9 x", (";; connection timed out; no servers could be reached\n", "", 9), id="dig at another server"),
    ],
)
def test_a_command_prints(command: str, wanted: tuple[str, str, int]) -> None:
    assert ran(command, files=HOSTS) == wanted


def test_nobody_answers() -> None:
    assert ran("nslookup web", reachable=False) == ("Server:    10.0.0.10\nAddress 1: 10.0.0.10\n\n", "nslookup: can't resolve 'web'\n", 1)
    assert ran("dig +short web", reachable=False)[2] == 9


def test_the_commands_are_known_where_somebody_can_be_asked() -> None:
    waiting = ["sh", "-c", "until nslookup web; do sleep 2; done"]
    assert [interpreter.knows(waiting, resolves=each) for each in (True, False)] == [True, False]
    assert [interpreter.knows(["dig", "x"], resolves=each) for each in (True, False)] == [True, False]
    with pytest.raises(NotSimulated, match="nslookup"):
        list(interpreter.run_script("nslookup web", Machine(now=lambda: datetime(2026, 1, 1, tzinfo=UTC))))


# --- who is asked ------------------------------------------------------------------------------------------------------------------


def test_the_service_says_where_dns_answers() -> None:
    (_, service), *none = objects(Place("10.0.0.10", "127.0.0.1", 4053))
    assert (none, answers_at(service)) == ([], ("127.0.0.1", 4053)), "loopback is no endpoint"
    (_, service), (_, endpoints) = objects(Place("10.0.0.10", "fd00::7", 4053))
    assert answers_at(service) == ("fd00::7", 4053)
    assert (endpoints["addressType"], endpoints["endpoints"][0]["addresses"]) == ("IPv6", ["fd00::7"])
    assert {each["port"] for each in endpoints["ports"]} == {each["targetPort"] for each in service["spec"]["ports"]} == {4053}
    for text in ("", "dns:53", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000"):
        assert answers_at({"metadata": {"annotations": {"wherry.dev/dns-server": text}}}) is None


async def test_only_cluster_dns_is_asked() -> None:
    asked: list[tuple[str, int, bool]] = []

    async def exchange(query: bytes, address: str, port: int, over_tcp: bool) -> bytes:
        asked.append((address, port, over_tcp))
        message = dns.message.from_wire(query)
        if "silent" in message.question[0].to_text():
            raise NoAnswer
        response = dns.message.make_response(message)
        response.answer = [dns.rrset.from_text(message.question[0].name, 30, "IN", "A", each) for each in ("10.0.0.5", "10.0.0.6")]
        return response.to_wire()

    (_, service), *_ = objects(Place("10.0.0.10", "127.0.0.1", 4053))
    there: list[Object | None] = [None]
    names = ClusterNames(lambda: there[0], rng=random.Random(1), exchange=exchange)
    assert await names.lookup(Ask("10.0.0.10", WEB, "A")) is None, "there is no Service"
    there[0] = service
    assert await names.lookup(Ask("192.0.2.1", WEB, "A")) is None, "another server"
    assert await names.lookup(Ask("10.0.0.10", "x" * 64, "A")) is None, "no name"
    assert await names.lookup(Ask("10.0.0.10", "silent", "A")) is None
    assert asked == [("127.0.0.1", 4053, False)]
    assert await names.lookup(Ask("10.0.0.10", WEB, "A", over_tcp=True)) == Reply("NOERROR", (a(WEB, "10.0.0.5"), a(WEB, "10.0.0.6")))
    assert asked[-1] == ("127.0.0.1", 4053, True)
