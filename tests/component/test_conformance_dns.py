"""Upstream's conformance tests of DNS (`test/e2e/network/dns.go`), with their own probe commands, carried out by the simulated shell.

The path is whole but for the wire: a container's dig asks the name server of its /etc/resolv.conf, cluster DNS answers in DNS's own format
from what its informers say. Over UDP and TCP it is asked in `tests/system/test_dns.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from kube.objects import Object
from tests.component.conformance import NAMESPACE, World, pod, script, world
from tests.virtual import virtual

PODS, SERVICES = f"{NAMESPACE}/pods", f"{NAMESPACE}/services"
ZONE = "default.svc.cluster.local"
SELECTOR = {"dns-test": "true"}
TURNS = 10


def probe_command(names: Sequence[str], *, hosts: Sequence[str] = (), address: str = "") -> tuple[str, list[str]]:
    """Upstream's command, which writes a file for each lookup that succeeds, and the names of those files. Ends with a list of them."""
    lookups = [(each, f"{each} {'SRV' if each.startswith('_') else 'A'}") for each in names]
    if address:
        lookups.append(("PTR", f"{ipaddress.ip_address(address).reverse_pointer} PTR"))
    wanted, lines = [], []
    for name, lookup in lookups:
        for way, flag in (("udp", "+notcp"), ("tcp", "+tcp")):
            wanted.append(f"{way}@{name}")
            check = f'check="$(dig {flag} +noall +answer +search {lookup})" && test -n "$check" && echo OK > /results/{way}@{name};'
            lines.append(check)
    for name in hosts:
        wanted.append(f"hosts@{name}")
        lines.append(f'test -n "$(getent hosts {name})" && echo OK > /results/hosts@{name};')
    return f"for i in `seq 1 {TURNS}`; do {' '.join(lines)} sleep 1; done; ls /results", sorted(wanted)


def service(name: str, *, headless: bool = False, selector: dict[str, str] | None = None, **spec: Any) -> Object:
    ports = [{"port": 80, "name": "http", "protocol": "TCP"}]
    given = {"ports": ports, "selector": selector or {}, **({"clusterIP": "None"} if headless else {}), **spec}
    return {"metadata": {"name": name}, "spec": given}


async def probed(api: World, command: str, *, labels: dict[str, str] | None = None, name: str = "dns-test", **spec: Any) -> list[str]:
    """What a pod that runs the command has printed, line by line."""
    volumes = [{"name": "results", "emptyDir": {}}]
    mounts = [{"name": "results", "mountPath": "/results"}]
    body = pod(name, script(command, volumeMounts=mounts), volumes=volumes, restartPolicy="Never", labels=labels or {}, **spec)
    await api.ok("POST", PODS, body)
    await api.ended(name)
    return (await api.log(name)).splitlines()


@virtual
async def test_the_cluster_has_dns() -> None:
    """DNS, cluster: a pod resolves kubernetes.default."""
    async with world(nodes=1, dns=True) as api:
        command, wanted = probe_command([f"kubernetes.{ZONE}"])
        assert await probed(api, command) == wanted


@virtual
async def test_a_pod_finds_itself_in_its_hosts_file() -> None:
    """DNS, cluster (/etc/hosts): no Service knows of it."""
    async with world(nodes=1, dns=True) as api:
        command, wanted = probe_command([], hosts=[f"dns-querier-1.dns-test-service.{ZONE}", "dns-querier-1"])
        assert await probed(api, command, hostname="dns-querier-1", subdomain="dns-test-service") == wanted
        assert await probed(api, command, name="other") == [], "another one does not"


@virtual
async def test_services_have_names() -> None:
    """DNS, services: a headless Service and one with a ClusterIP, their ports, and the name of the ClusterIP."""
    async with world(nodes=1, dns=True) as api:
        await api.ok("POST", SERVICES, service("dns-test-service", headless=True, selector=SELECTOR))
        regular = await api.ok("POST", SERVICES, service("test-service-2", selector=SELECTOR))
        names = [f"dns-test-service.{ZONE}", f"_http._tcp.dns-test-service.{ZONE}", f"_http._tcp.test-service-2.{ZONE}"]
        command, wanted = probe_command(names, address=regular["spec"]["clusterIP"])
        assert await probed(api, command, labels=SELECTOR) == wanted
        alone, _ = probe_command(names)
        left = [f"{way}@_http._tcp.test-service-2.{ZONE}" for way in ("tcp", "udp")]
        assert await probed(api, alone, name="alone") == left, "a headless Service whose pods have ended has no names"


@virtual
async def test_partly_qualified_names_of_services_are_found() -> None:
    """DNS, PQDN for services: through the search path of the pod's resolv.conf."""
    async with world(nodes=1, dns=True) as api:
        await api.ok("POST", SERVICES, service("dns-test-service", headless=True, selector=SELECTOR))
        regular = await api.ok("POST", SERVICES, service("test-service-2", selector=SELECTOR))
        names = ["dns-test-service", "dns-test-service.default", "dns-test-service.default.svc"]
        names += [f"_http._tcp.{each}.default.svc" for each in ("dns-test-service", "test-service-2")]
        command, wanted = probe_command(names, address=regular["spec"]["clusterIP"])
        assert await probed(api, command, labels=SELECTOR) == wanted
        unsearched = await probed(api, command.replace("+search", ""), labels=SELECTOR, name="unsearched")
        assert unsearched == ["tcp@PTR", "udp@PTR"], "only the search path finds them"


@virtual
async def test_a_pod_has_its_hostname() -> None:
    """DNS, resolve the hostname: through /etc/hosts, and its whole name."""
    async with world(nodes=1, dns=True) as api:
        await api.ok("POST", SERVICES, service("dns-test-service-2", headless=True, selector=SELECTOR))
        whole = f"dns-querier-2.dns-test-service-2.{ZONE}"
        command, wanted = probe_command([], hosts=[whole, "dns-querier-2"])
        assert await probed(api, command, labels=SELECTOR, hostname="dns-querier-2", subdomain="dns-test-service-2") == wanted


@virtual
async def test_a_pod_has_its_subdomain() -> None:
    """DNS, resolve the subdomain: the whole name of a pod with a hostname, and the Service that its subdomain is."""
    async with world(nodes=1, dns=True) as api:
        await api.ok("POST", SERVICES, service("dns-test-service-2", headless=True, selector=SELECTOR))
        command, wanted = probe_command([f"dns-querier-2.dns-test-service-2.{ZONE}", f"dns-test-service-2.{ZONE}"])
        assert await probed(api, command, labels=SELECTOR, hostname="dns-querier-2", subdomain="dns-test-service-2") == wanted


@virtual
async def test_an_external_name_is_an_alias_until_it_is_none() -> None:
    """DNS, for ExternalName Services: the alias, another one, and then the address of what has become a ClusterIP."""
    async with world(nodes=1, dns=True) as api:
        path = f"{SERVICES}/dns-test-service-3"
        alias = {"metadata": {"name": "dns-test-service-3"}, "spec": {"type": "ExternalName", "externalName": "foo.example.com"}}
        await api.ok("POST", SERVICES, alias)
        ask = f"sleep 2; dig +short dns-test-service-3.{ZONE} "
        assert await probed(api, f"{ask}CNAME", name="one") == ["foo.example.com."]
        found = await api.ok("GET", path)
        await api.ok("PUT", path, found | {"spec": found["spec"] | {"externalName": "bar.example.com"}})
        assert await probed(api, f"{ask}CNAME", name="two") == ["bar.example.com."]
        found = await api.ok("GET", path)
        spec = found["spec"] | {"type": "ClusterIP", "ports": [{"port": 80, "name": "http", "protocol": "TCP"}]}
        changed = await api.ok("PUT", path, found | {"spec": spec})
        assert await probed(api, f"{ask}A", name="three") == [changed["spec"]["clusterIP"]]


@virtual
async def test_an_init_container_waits_for_a_service() -> None:
    """As in Kubernetes' tutorial of init containers."""
    async with world(nodes=1, dns=True) as api:
        waits = script("until nslookup myservice.default.svc.cluster.local; do echo waiting for myservice; sleep 2; done")
        await api.ok("POST", PODS, pod("waiting", initContainers=[waits | {"name": "init-myservice"}]))

        async def said(text: str) -> bool:
            reply = await api.call("GET", f"{PODS}/waiting/log?container=init-myservice")
            return reply.status == 200 and text in str(reply.body)

        await api.until(lambda: said("waiting for myservice"))
        assert (await api.ok("GET", f"{PODS}/waiting"))["status"]["phase"] == "Pending"
        await api.ok("POST", SERVICES, service("myservice"))
        await api.ready("waiting")
        lines = (await api.log("waiting", "init-myservice")).splitlines()
        address = (await api.ok("GET", f"{SERVICES}/myservice"))["spec"]["clusterIP"]
        assert lines[-2:] == [
            "Name:      myservice.default.svc.cluster.local",
            f"Address 1: {address} myservice.default.svc.cluster.local",
        ]
