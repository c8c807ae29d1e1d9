"""Upstream's conformance tests of the network's APIs: Services, endpoints, slices and their mirroring, ingress, ranges of addresses."""

from __future__ import annotations

from typing import Any

import pytest

from kube.objects import Object
from tests.component.conformance import APPS, NAMESPACE, World, names, pod, workload, world
from tests.component.served import MERGE, served
from tests.virtual import virtual

SERVICES, ENDPOINTS, PODS = f"{NAMESPACE}/services", f"{NAMESPACE}/endpoints", f"{NAMESPACE}/pods"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def service(name: str, *ports: Object, **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"ports": list(ports) or [{"port": 80}], **spec}}


def slices_of(name: str) -> str:
    return f"{SLICES}?labelSelector=kubernetes.io/service-name%3D{name}"


def by_port(slices: list[Object]) -> dict[str, list[int]]:
    """Pod that is ready -> the ports it is reached at."""
    found: dict[str, list[int]] = {}
    for each in slices:
        for endpoint in (one for one in each["endpoints"] or () if one["conditions"]["ready"]):
            found.setdefault(endpoint["targetRef"]["name"], []).extend(port["port"] for port in each["ports"])
    return {name: sorted(ports) for name, ports in found.items()}


async def at(api: World, name: str, **wanted: list[int]) -> None:
    """Wait until slices and Endpoints of the service lead to these pods' ports."""
    await api.items(slices_of(name), lambda found: by_port(found) == wanted)

    def same(found: Object) -> bool:
        ports: dict[str, list[int]] = {}
        for each in found.get("subsets") or ():
            for address in each.get("addresses") or ():
                ports.setdefault(address["targetRef"]["name"], []).extend(port["port"] for port in each["ports"])
        return {name: sorted(each) for name, each in ports.items()} == wanted

    await api.where(f"{ENDPOINTS}/{name}", same)


@virtual
async def test_the_kubernetes_service_leads_to_the_server() -> None:
    async with world(nodes=0) as api:
        everywhere = await api.items("/api/v1/services")
        assert ("default", "kubernetes") in [(each["metadata"]["namespace"], each["metadata"]["name"]) for each in everywhere]
        found = await api.ok("GET", f"{ENDPOINTS}/kubernetes")
        (subset,) = found["subsets"]
        assert ([each["ip"] for each in subset["addresses"]], subset["ports"][0]["name"]) == (["192.0.2.1"], "https")
        (slice_,) = await api.items(slices_of("kubernetes"))
        assert ([each["addresses"] for each in slice_["endpoints"]], slice_["ports"]) == ([["192.0.2.1"]], subset["ports"])


@virtual
async def test_endpoints_follow_pods() -> None:
    async with world() as api:
        await api.ok("POST", SERVICES, service("svc", selector={"app": "x"}))
        await at(api, "svc")
        for name in ("pod1", "pod2"):
            await api.ok("POST", PODS, pod(name, labels={"app": "x"}))
        await at(api, "svc", pod1=[80], pod2=[80])
        await api.ok("DELETE", f"{PODS}/pod1")
        await at(api, "svc", pod2=[80])
        await api.ok("DELETE", f"{PODS}/pod2")
        await at(api, "svc")
        await api.ok("DELETE", f"{SERVICES}/svc")
        await api.gone(f"{ENDPOINTS}/svc")
        await api.items(slices_of("svc"), lambda found: not found)


@virtual
async def test_endpoints_of_named_ports_differ_by_pod() -> None:
    async with world() as api:
        ports = [{"name": "portname1", "port": 80, "targetPort": "tp1"}, {"name": "portname2", "port": 81, "targetPort": "tp2"}]
        await api.ok("POST", SERVICES, service("multi", *ports, selector={"app": "x"}))
        await at(api, "multi")

        async def post(name: str, port_name: str, number: int) -> None:
            container = {"name": "c", "image": "c", "ports": [{"name": port_name, "containerPort": number}]}
            await api.ok("POST", PODS, pod(name, container, labels={"app": "x"}))

        await post("pod1", "tp1", 100)
        await at(api, "multi", pod1=[100])
        await post("pod2", "tp2", 101)
        await at(api, "multi", pod1=[100], pod2=[101])
        await api.ok("DELETE", f"{PODS}/pod1")
        await at(api, "multi", pod2=[101])
        await api.ok("DELETE", f"{PODS}/pod2")
        await at(api, "multi")


@virtual
async def test_slices_of_pods_and_of_none() -> None:
    async with world() as api:
        await api.ok("POST", SERVICES, service("empty", selector={"no": "pods"}))
        (empty,) = await api.items(slices_of("empty"), lambda found: len(found) == 1)
        assert not empty["endpoints"]
        assert (await api.ok("GET", f"{ENDPOINTS}/empty")).get("subsets") is None
        await api.ok("DELETE", f"{SERVICES}/empty")
        await api.items(slices_of("empty"), lambda found: not found)
        await api.gone(f"{ENDPOINTS}/empty")
        labels = {"app": "x"}
        container = {"name": "c", "image": "c", "ports": [{"name": "example-name", "containerPort": 3000}]}
        for name in ("pod1", "pod2"):
            await api.ok("POST", PODS, pod(name, container, labels=labels))
        port = {"name": "example", "port": 80, "targetPort": "example-name"}
        made = await api.ok("POST", SERVICES, service("svc", port, selector=labels))
        found = await api.items(slices_of("svc"), lambda found: by_port(found) == {"pod1": [3000], "pod2": [3000]})
        (slice_,) = found
        assert slice_["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
        assert slice_["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
        for endpoint in slice_["endpoints"]:
            assert endpoint["nodeName"]
        assert slice_["ports"] == [{"name": "example", "port": 3000, "protocol": "TCP"}]


@virtual
async def test_endpoints_made_by_hand_are_mirrored() -> None:
    async with world(nodes=0) as api:
        await api.ok("POST", SERVICES, service("by-hand", {"name": "example", "port": 80}))
        subset = {"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "example", "port": 80}]}
        await api.ok("POST", ENDPOINTS, {"metadata": {"name": "by-hand"}, "subsets": [subset]})

        def mirrors(address: str, port: int) -> Any:
            return lambda found: [(each["endpoints"][0]["addresses"], each["ports"][0]["port"]) for each in found] == [([address], port)]

        (found,) = await api.items(slices_of("by-hand"), mirrors("10.1.2.3", 80))
        assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
        changed = {"subsets": [{"addresses": [{"ip": "10.2.3.4"}], "ports": [{"name": "example", "port": 81}]}]}
        await api.ok("PATCH", f"{ENDPOINTS}/by-hand", changed, content_type=MERGE)
        await api.items(slices_of("by-hand"), mirrors("10.2.3.4", 81))
        await api.ok("DELETE", f"{ENDPOINTS}/by-hand")
        await api.items(slices_of("by-hand"), lambda found: not found)


@virtual
async def test_many_services_get_their_endpoints() -> None:
    async with world() as api:
        await api.ok("POST", f"{NAMESPACE}/replicationcontrollers", legacy("lat"))
        await api.items(PODS, lambda found: [each["status"]["phase"] for each in found] == ["Running"])
        for each in range(100):
            await api.ok("POST", SERVICES, service(f"latency-{each}", selector={"app": "lat"}))
            await api.where(f"{ENDPOINTS}/latency-{each}", lambda found: found.get("subsets"), within_s=20)


def legacy(name: str) -> Object:
    made = workload(name, 1)
    return {**made, "spec": {**made["spec"], "selector": {"app": name}}}


# --- types of services --------------------------------------------------------------------------------------------------------------


NAMED = {"type": "ExternalName", "externalName": "foo.example.com", "clusterIP": None, "clusterIPs": None, "ports": None, "selector": None}


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort"])
async def test_a_service_becomes_a_name_and_a_name_a_service(kind: str) -> None:
    async with served() as api:
        made = await api.ok("POST", SERVICES, service("svc", type=kind))
        assert made["spec"]["clusterIP"]
        port = made["spec"]["ports"][0].get("nodePort")
        assert (port is not None) is (kind == "NodePort")
        named = await api.ok("PATCH", f"{SERVICES}/svc", {"spec": NAMED}, content_type=MERGE)
        assert (named["spec"]["externalName"], named["spec"].get("clusterIP")) == ("foo.example.com", None)
        if port is not None:
            await api.ok("POST", SERVICES, service("other", {"port": 80, "nodePort": port}, type="NodePort"))
        back = {"type": kind, "externalName": None, "ports": [{"port": 80, "protocol": "TCP"}]}
        again = await api.ok("PATCH", f"{SERVICES}/svc", {"spec": back}, content_type=MERGE)
        assert (bool(again["spec"]["clusterIP"]), "externalName" in again["spec"]) == (True, False)
        assert bool(again["spec"]["ports"][0].get("nodePort")) is (kind == "NodePort")


@virtual
async def test_affinity_of_sessions_and_ports_of_two_protocols() -> None:
    async with world() as api:
        both: list[Object] = [{"name": "tcp", "port": 80, "protocol": "TCP"}, {"name": "udp", "port": 80, "protocol": "UDP"}]
        made = await api.ok("POST", SERVICES, service("svc", *both, selector={"app": "x"}, sessionAffinity="ClientIP"))
        assert made["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
        none = await api.ok(
            "PATCH", f"{SERVICES}/svc", {"spec": {"sessionAffinity": "None", "sessionAffinityConfig": None}}, content_type=MERGE
        )
        assert (none["spec"]["sessionAffinity"], "sessionAffinityConfig" in none["spec"]) == ("None", False)
        await api.ok("POST", PODS, pod("p", labels={"app": "x"}))

        def protocols(*wanted: str) -> Any:
            def holds(found: list[Object]) -> bool:
                return all(each["endpoints"] for each in found) and sorted(
                    port["protocol"] for each in found for port in each["ports"]
                ) == sorted(wanted)

            return holds

        await api.items(slices_of("svc"), protocols("TCP", "UDP"))
        for left in both:
            await api.ok("PATCH", f"{SERVICES}/svc", {"spec": {"ports": [left]}}, content_type=MERGE)
            await api.items(slices_of("svc"), protocols(left["protocol"]))


async def test_services_are_deleted_by_their_label() -> None:
    async with served() as api:
        for name, value in (("one", "a"), ("two", "a"), ("three", "b")):
            body = service(name)
            body["metadata"]["labels"] = {"e2e": value}
            await api.ok("POST", SERVICES, body)
        assert len((await api.ok("GET", f"{SERVICES}?labelSelector=e2e"))["items"]) == 3
        await api.ok("DELETE", f"{SERVICES}?labelSelector=e2e%3Da")
        assert names((await api.ok("GET", f"{SERVICES}?labelSelector=e2e"))["items"]) == ["three"]


# --- nodes ----------------------------------------------------------------------------------------------------------------------------


@virtual
async def test_a_deployments_pods_are_behind_its_service() -> None:
    async with world() as api:
        await api.ok("POST", f"{APPS}/deployments", workload("web", 3))
        await api.ok("POST", SERVICES, service("web", selector={"app": "web"}))
        found = await api.items(slices_of("web"), lambda found: sum(len(each["endpoints"] or ()) for each in found) == 3)
        addresses = {address for each in found for endpoint in each["endpoints"] for address in endpoint["addresses"]}
        assert addresses == {each["status"]["podIP"] for each in await api.items(PODS)}
