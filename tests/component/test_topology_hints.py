"""A Service that asks for topology hints by annotation gets them while its nodes are in zones, and no longer than it asks."""

from __future__ import annotations

from collections import Counter

from kube.client.client import PatchKind
from kube.objects import Object, labels_of, name_of
from kube.resources import DEPLOYMENTS, ENDPOINT_SLICES, NODES, SERVICES
from tests.component.test_cluster import deployment
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster

MODE = "service.kubernetes.io/topology-mode"
ZONE = "topology.kubernetes.io/zone"


async def hints(cluster: InProcessCluster) -> Counter[str]:
    """How many of the Service's endpoints are recommended to each zone."""
    slices: list[Object] = (await cluster.client.list(ENDPOINT_SLICES, namespace="default"))["items"]
    mine = [each for each in slices if labels_of(each).get("kubernetes.io/service-name") == "web"]
    return Counter(
        zone["name"] for each in mine for one in each["endpoints"] or () for zone in (one.get("hints") or {}).get("forZones") or ()
    )


@virtual
async def test_hints_come_and_go_with_the_annotation_and_the_zones() -> None:
    async with in_process_cluster(nodes=2) as cluster:
        client = cluster.client

        async def are_there() -> bool:
            return len((await client.list(NODES))["items"]) == 2

        await cluster.until(are_there)
        await client.create(DEPLOYMENTS, deployment(4))
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        await client.create(SERVICES, {"metadata": {"name": "web", "namespace": "default", "annotations": {MODE: "Auto"}}, "spec": spec})
        for number, node in enumerate((await client.list(NODES))["items"]):
            zone = {"metadata": {"labels": {ZONE: f"zone-{number}"}}}
            await client.patch(NODES, name_of(node), zone, kind=PatchKind.MERGE)

        async def are_given() -> bool:
            return await hints(cluster) == {"zone-0": 2, "zone-1": 2}

        async def are_gone() -> bool:
            return not await hints(cluster)

        await cluster.until(are_given)
        await client.patch(NODES, "wherry-1", {"metadata": {"labels": {ZONE: None}}}, kind=PatchKind.MERGE)
        await cluster.until(are_gone)
        await client.patch(NODES, "wherry-1", {"metadata": {"labels": {ZONE: "zone-0"}}}, kind=PatchKind.MERGE)
        await cluster.until(are_given)
        await client.patch(SERVICES, "web", {"metadata": {"annotations": {MODE: None}}}, namespace="default", kind=PatchKind.MERGE)
        await cluster.until(are_gone)
        events = (await client.raw("GET", "/api/v1/namespaces/default/events")).body.decode()
        for told in (
            "TopologyAwareHintsEnabled",
            "TopologyAwareHintsDisabled",
            "Topology Aware Hints has been disabled, addressType: IPv4",
        ):
            assert told in events
