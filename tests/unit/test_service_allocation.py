"""Cluster IPs and node ports: nobody gets what somebody has, and nothing is lost when a write fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apiserver.kinds import all_kinds
from apiserver.kinds.core import cluster_ips, node_ports
from apiserver.kinds.core.service import SERVICE
from apiserver.kinds.core.service_allocation import after_delete, begin
from apiserver.registry.kind import Context, User
from apiserver.registry.registry import Registries
from apiserver.store.memory import MemoryStore
from kube import errors
from kube.clock import LoopClock
from kube.objects import Object
from kube.resources import IP_ADDRESSES
from kube.schema.definitions import load

RANGE = "10.0.0.0/28"


@pytest.fixture
async def registries() -> AsyncIterator[Registries]:
    clock = LoopClock()
    store = MemoryStore(clock)
    found = Registries(all_kinds(), store, definitions=load(), clock=clock, rng=random.Random(1), service_cidr=RANGE)
    yield found
    found.close()
    await store.close()


def context(registries: Registries, *, dry_run: bool = False) -> Context:
    return Context(User("admin"), registries.clock.now(), "create", dry_run=dry_run, timestamp="2026-01-01T00:00:00Z")


def service(name: str = "web", **spec: Any) -> Object:
    obj: Object = {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}], **spec}}
    SERVICE.default(obj)
    return obj


async def addresses(registries: Registries) -> list[str]:
    return sorted(each["metadata"]["name"] for each in await registries.get(IP_ADDRESSES).list_objects())


async def test_a_service_gets_an_address_that_an_object_stands_for(registries: Registries) -> None:
    obj = service()
    await begin(obj, None, context(registries), registries)
    spec = obj["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"], spec["clusterIPs"]) == (["IPv4"], "SingleStack", [spec["clusterIP"]])
    assert await addresses(registries) == [spec["clusterIP"]]
    (found,) = await registries.get(IP_ADDRESSES).list_objects()
    assert found["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "web"}


async def test_services_made_at_once_get_different_addresses_until_the_range_is_full(registries: Registries) -> None:
    made = [service(f"s{index}") for index in range(16)]
    ends = await asyncio.gather(*(begin(each, None, context(registries), registries) for each in made), return_exceptions=True)
    failed = [end for end in ends if isinstance(end, errors.InternalError)]
    given = {each["spec"]["clusterIP"] for each, end in zip(made, ends, strict=True) if not isinstance(end, Exception)}
    assert len(given) == 14
    assert len(failed) == 2
    assert "failed to allocate a serviceIP: range is full" in str(failed[0])


async def test_a_service_without_a_name_finds_no_address(registries: Registries) -> None:
    obj = service()
    del obj["metadata"]["name"]
    with pytest.raises(errors.InternalError, match="failed to allocate a serviceIP: range is full"):
        await begin(obj, None, context(registries), registries)
    assert await addresses(registries) == []


async def test_a_write_that_fails_gives_everything_back(registries: Registries) -> None:
    obj = service(type="NodePort")
    finish = await begin(obj, None, context(registries), registries)
    assert finish is not None
    ports = await node_ports.of(registries)
    assert ports.used == {obj["spec"]["ports"][0]["nodePort"]}
    await finish(False)
    assert (await addresses(registries), ports.used) == ([], set())


async def test_a_dry_run_claims_nothing(registries: Registries) -> None:
    obj = service(type="NodePort")
    await begin(obj, None, context(registries, dry_run=True), registries)
    assert obj["spec"]["clusterIP"]
    assert obj["spec"]["ports"][0]["nodePort"]
    assert (await addresses(registries), (await node_ports.of(registries)).used) == ([], set())


async def test_an_address_is_not_given_twice_and_free_after_deletion(registries: Registries) -> None:
    first = service("a", clusterIP="10.0.0.3", clusterIPs=["10.0.0.3"])
    await begin(first, None, context(registries), registries)
    second = service("b", clusterIP="10.0.0.3", clusterIPs=["10.0.0.3"])
    with pytest.raises(errors.Invalid, match=r"failed to allocate IP 10\.0\.0\.3: provided IP is already allocated"):
        await begin(second, None, context(registries), registries)
    await after_delete(first, context(registries), registries)
    await begin(second, None, context(registries), registries)
    assert await addresses(registries) == ["10.0.0.3"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        pytest.param(
            {"clusterIP": "10.1.0.1", "clusterIPs": ["10.1.0.1"]},
            'spec.clusterIPs: Invalid value: ["10.1.0.1"]: failed to allocate IP 10.1.0.1: the provided network does not match',
            id="an address of no range",
        ),
        pytest.param(
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]},
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
            id="a port of no range",
        ),
        pytest.param(
            {"ipFamilies": ["IPv6"]},
            'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
            id="a family that the cluster has not",
        ),
        pytest.param(
            {"ipFamilyPolicy": "RequireDualStack"},
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
            id="two families in a cluster of one",
        ),
    ],
)
async def test_what_cannot_be_had_is_refused_and_nothing_is_kept(registries: Registries, spec: Object, why: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await begin(service(**spec), None, context(registries), registries)
    assert why in str(caught.value)
    assert (await addresses(registries), (await node_ports.of(registries)).used) == ([], set())


async def test_headless_and_external_services_need_no_address(registries: Registries) -> None:
    headless = service(clusterIP="None", clusterIPs=["None"], selector={"a": "b"})
    await begin(headless, None, context(registries), registries)
    external = service("out", type="ExternalName", externalName="example.com")
    await begin(external, None, context(registries), registries)
    assert await addresses(registries) == []
    assert headless["spec"]["ipFamilies"] == ["IPv4"]
    assert "ipFamilies" not in external["spec"]


async def test_tcp_and_udp_of_one_number_share_a_node_port(registries: Registries) -> None:
    ports = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    obj = service(type="NodePort", ports=ports)
    await begin(obj, None, context(registries), registries)
    assert len({each["nodePort"] for each in obj["spec"]["ports"]}) == 1


@pytest.mark.parametrize("went_through", [pytest.param(True, id="the write goes through"), pytest.param(False, id="the write fails")])
async def test_changing_the_type_gives_up_what_it_no_longer_needs_when_it_goes_through(registries: Registries, went_through: bool) -> None:
    old = service(type="NodePort")
    await begin(old, None, context(registries), registries)
    held = ([old["spec"]["clusterIP"]], {old["spec"]["ports"][0]["nodePort"]})
    new = service(type="ExternalName", externalName="example.com")
    finish = await begin(new, old, context(registries), registries)
    ports = await node_ports.of(registries)
    assert (await addresses(registries), ports.used) == held
    assert finish is not None
    await finish(went_through)
    assert (await addresses(registries), ports.used) == (([], set()) if went_through else held)


async def test_a_local_load_balancer_gets_a_port_for_health_checks(registries: Registries) -> None:
    obj = service(type="LoadBalancer", externalTrafficPolicy="Local")
    await begin(obj, None, context(registries), registries)
    ports = await node_ports.of(registries)
    assert ports.used == {obj["spec"]["ports"][0]["nodePort"], obj["spec"]["healthCheckNodePort"]}
    await after_delete(obj, context(registries), registries)
    assert ports.used == set()


@pytest.fixture
def rng() -> random.Random:
    return random.Random(3)


def test_addresses_kept_for_those_who_ask_come_last(rng: random.Random) -> None:
    (found,) = cluster_ips.configured("10.0.0.0/24")
    order = list(found.candidates(rng))
    assert len(order) == len(set(order)) == 254
    assert {int(each.rpartition(".")[2]) for each in order[-16:]} == set(range(1, 17))


def test_ports_kept_for_those_who_ask_come_last(rng: random.Random) -> None:
    ports = node_ports.NodePorts()
    given = [ports.claim_any(rng) for _ in range(2768)]
    assert set(given) == set(range(30000, 32768))
    assert min(given[: 2768 - 86]) == 30086
    with pytest.raises(node_ports.PortNotAllocated, match="range is full"):
        ports.claim_any(rng)
