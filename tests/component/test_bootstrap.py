"""A server's start: what it makes, what it puts right at the next start, and what it leaves alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from apiserver.bootstrap import Place, bootstrap
from apiserver.bootstrap.ensure import server_context
from apiserver.registry.registry import Registries
from apiserver.serving import Built, build
from apiserver.store.memory import MemoryStore
from kube.clock import LoopClock
from kube.errors import ApiError
from kube.objects import Object, condition_of
from kube.resources import Resource
from tests.component.served import served
from tests.virtual import virtual

RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
FLOW_SCHEMAS = Resource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema", namespaced=False)
API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints")

IP_ADDRESSES = Resource("networking.k8s.io", "v1", "ipaddresses", "IPAddress", namespaced=False)
SERVICES = Resource("", "v1", "services", "Service")

PLACE = Place("192.0.2.2", 6443, "CA OF CLIENTS\n")


def fresh(store: MemoryStore, clock: LoopClock) -> Built:
    return build(store, clock=clock, rng=random.Random(3))


@asynccontextmanager
async def started() -> AsyncIterator[tuple[MemoryStore, LoopClock, Registries]]:
    """A store that a server has bootstrapped; that server's registries."""
    clock = LoopClock()
    store = MemoryStore(clock)
    built = fresh(store, clock)
    registries = built.server.registries
    await bootstrap(registries, PLACE)
    try:
        yield store, clock, registries
    finally:
        await built.stop()


async def edit(registries: Registries, resource: Resource, name: str, namespace: str = "", **parts: Any) -> None:
    def change(obj: Object) -> None:
        for key, value in parts.items():
            if key == "annotations":
                obj["metadata"]["annotations"] = value
            else:
                obj[key] = value

    await registries.get(resource).update_with(namespace, name, change, server_context(registries, manager="somebody"))


@virtual
async def test_a_fresh_server_answers_with_what_upstreams_holds() -> None:
    async with served() as api:
        roles = await api.ok("GET", f"/apis/{RBAC}/v1/clusterroles?labelSelector=kubernetes.io/bootstrapping=rbac-defaults")
        assert len(roles["items"]) == 69
        scheduler = await api.ok("GET", f"/apis/{RBAC}/v1/clusterroles/system:kube-scheduler")
        assert scheduler["metadata"]["managedFields"][0]["manager"] == "kube-apiserver"
        admin = await api.ok("GET", f"/apis/{RBAC}/v1/clusterroles/admin")
        assert admin["rules"] is None
        cidr = await api.ok("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
        ready = condition_of(cidr, "Ready")
        assert ready is not None
        assert ready["status"] == "True"
        maps = await api.ok("GET", "/api/v1/namespaces/kube-system/configmaps")
        assert [each["metadata"]["name"] for each in maps["items"]] == ["kube-apiserver-legacy-service-account-token-tracking"]


@virtual
async def test_flow_schemas_are_shown_in_the_order_of_their_precedence() -> None:
    async with served() as api:
        table = await api.ok(
            "GET", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", accept="application/json;as=Table;v=v1;g=meta.k8s.io"
        )
        precedence = [row["cells"][2] for row in table["rows"]]
        assert precedence == sorted(precedence)
        assert [row["cells"][5] for row in table["rows"]] == ["False"] * 11


@virtual
async def test_each_served_version_has_an_api_service_that_is_available() -> None:
    async with served() as api:
        groups = (await api.ok("GET", "/apis"))["groups"]
        served_here = {f"{version['version']}.{group['name']}" for group in groups for version in group["versions"]}
        items = (await api.ok("GET", "/apis/apiregistration.k8s.io/v1/apiservices"))["items"]
        assert {each["metadata"]["name"] for each in items} == served_here - {"v1.apiregistration.k8s.io"} | {"v1."}
        for each in items:
            available = condition_of(each, "Available")
            assert available is not None
            assert available["reason"] == "Local"


@virtual
async def test_a_second_start_writes_nothing() -> None:
    async with started() as (store, clock, _):
        before = await store.revision()
        again = fresh(store, clock)
        await bootstrap(again.server.registries, PLACE)
        assert await store.revision() == before
        again.abandon()


@virtual
async def test_two_servers_may_start_at_once() -> None:
    clock = LoopClock()
    store = MemoryStore(clock)
    both = [fresh(store, clock), fresh(store, clock)]
    await asyncio.gather(*(bootstrap(each.server.registries, PLACE) for each in both))
    assert (await both[0].server.registries.get(CLUSTER_ROLES).get("", "view"))["metadata"]["name"] == "view"
    both[0].abandon()
    await both[1].stop()


@virtual
async def test_the_next_start_gives_a_role_back_what_it_lacks() -> None:
    async with started() as (_, _, registries):
        added = {"verbs": ["get"], "apiGroups": ["mine"], "resources": ["things"]}
        await edit(registries, CLUSTER_ROLES, "system:kube-dns", rules=[added])
        await edit(
            registries,
            CLUSTER_ROLES,
            "system:heapster",
            rules=[],
            annotations={f"{RBAC[:4]}": "x", "rbac.authorization.kubernetes.io/autoupdate": "false"},
        )
        await edit(registries, CLUSTER_ROLES, "view", rules=[added])
        await bootstrap(registries, PLACE)
        rules = (await registries.get(CLUSTER_ROLES).get("", "system:kube-dns"))["rules"]
        assert rules[0] == added
        assert {(each["resources"][0], each["verbs"][0]) for each in rules[1:]} == {
            (resource, verb) for resource in ("endpoints", "services") for verb in ("list", "watch")
        }
        assert not (await registries.get(CLUSTER_ROLES).get("", "system:heapster"))["rules"]
        assert (await registries.get(CLUSTER_ROLES).get("", "view"))["rules"] == [added]


@virtual
async def test_the_next_start_makes_a_binding_to_another_role_again() -> None:
    async with started() as (_, _, registries):
        bindings = registries.get(CLUSTER_ROLE_BINDINGS)
        context = server_context(registries)
        await bindings.delete("", "system:kube-dns", {}, context)
        other = {"metadata": {"name": "system:kube-dns"}, "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}}
        await bindings.create("", {"kind": "ClusterRoleBinding", "apiVersion": f"{RBAC}/v1", **other}, server_context(registries))
        await bootstrap(registries, PLACE)
        assert (await bindings.get("", "system:kube-dns"))["roleRef"]["name"] == "system:kube-dns"


@virtual
async def test_the_next_start_respects_what_the_user_made_of_suggested_flow_control() -> None:
    async with started() as (_, _, registries):
        schemas = registries.get(FLOW_SCHEMAS)
        for name, auto in (("service-accounts", "false"), ("kube-scheduler", "true")):
            spec = {**(await schemas.get("", name))["spec"], "matchingPrecedence": 42}
            await edit(registries, FLOW_SCHEMAS, name, spec=spec, annotations={"apf.kubernetes.io/autoupdate-spec": auto})
        await bootstrap(registries, PLACE)
        found = {each["metadata"]["name"]: each["spec"]["matchingPrecedence"] for each in await schemas.list_objects()}
        assert (found["service-accounts"], found["kube-scheduler"]) == (42, 800)


@virtual
async def test_a_start_removes_what_an_earlier_version_made() -> None:
    async with started() as (_, _, registries):
        schema = await registries.get(FLOW_SCHEMAS).get("", "probes")
        old = {**schema, "metadata": {"name": "old", "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}}}
        await registries.get(FLOW_SCHEMAS).create("", old, server_context(registries))
        spec = {"group": "gone.k8s.io", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1}
        labels = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        gone: Object = {
            "kind": "APIService",
            "apiVersion": API_SERVICES.api_version,
            "metadata": {"name": "v1.gone.k8s.io", "labels": labels},
        }
        await registries.get(API_SERVICES).create("", {**gone, "spec": spec}, server_context(registries))
        await bootstrap(registries, PLACE)
        for resource, name in ((FLOW_SCHEMAS, "old"), (API_SERVICES, "v1.gone.k8s.io")):
            with pytest.raises(ApiError, match="not found"):
                await registries.get(resource).get("", name)


@virtual
async def test_a_start_elsewhere_moves_the_endpoints_and_trusts_both_cas() -> None:
    async with started() as (_, _, registries):
        await bootstrap(registries, Place("192.0.2.77", 7443, "ANOTHER CA\n"))
        subset = (await registries.get(ENDPOINTS).get("default", "kubernetes"))["subsets"][0]
        assert (subset["addresses"], subset["ports"][0]["port"]) == ([{"ip": "192.0.2.77"}], 7443)
        trusted = (await registries.get(CONFIG_MAPS).get("kube-system", "extension-apiserver-authentication"))["data"]
        assert trusted == {"client-ca-file": "CA OF CLIENTS\nANOTHER CA\n"}


def claimed(ip: str, name: str) -> Object:
    labels = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
    spec = {"parentRef": {"resource": "services", "namespace": "default", "name": name}}
    return {"kind": "IPAddress", "apiVersion": "networking.k8s.io/v1", "metadata": {"name": ip, "labels": labels}, "spec": spec}


@virtual
async def test_a_start_after_one_that_was_killed_between_address_and_service_makes_the_service() -> None:
    clock = LoopClock()
    built = fresh(MemoryStore(clock), clock)
    registries = built.server.registries
    await registries.get(IP_ADDRESSES).create("", claimed("10.0.0.1", "kubernetes"), server_context(registries))
    await bootstrap(registries, PLACE)
    assert (await registries.get(SERVICES).get("default", "kubernetes"))["spec"]["clusterIP"] == "10.0.0.1"
    await built.stop()


@virtual
async def test_a_start_survives_that_somebody_else_has_the_servers_address() -> None:
    clock = LoopClock()
    built = fresh(MemoryStore(clock), clock)
    registries = built.server.registries
    await registries.get(IP_ADDRESSES).create("", claimed("10.0.0.1", "thief"), server_context(registries))
    await built.start(advertise_address="192.0.2.2", port=6443)
    assert registries.get(SERVICES).cache.get("default", "kubernetes") is None
    await asyncio.sleep(90)
    assert registries.get(SERVICES).cache.get("default", "kubernetes") is not None
    await built.stop()
