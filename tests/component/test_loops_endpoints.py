"""Endpoints written by hand, with the whole cluster."""

from __future__ import annotations

from kube.objects import Object
from kube.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from tests.virtual import virtual
from wherry.in_process import in_process_cluster


@virtual
async def test_endpoints_are_mirrored_as_long_as_their_service_has_no_selector() -> None:
    async with in_process_cluster(nodes=0) as cluster:
        client = cluster.client
        metadata = {"name": "db", "namespace": "default"}
        made = await client.create(SERVICES, {"metadata": metadata, "spec": {"ports": [{"port": 5432}]}})
        subset = {"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 5432}]}
        written = await client.create(ENDPOINTS, {"metadata": metadata, "subsets": [subset]})

        async def slices() -> list[Object]:
            found = await client.list(ENDPOINT_SLICES, namespace="default", label_selector="kubernetes.io/service-name=db")
            return list(found["items"])

        async def told(*addresses: str) -> bool:
            return [address for each in await slices() for one in each["endpoints"] for address in one["addresses"]] == list(addresses)

        await cluster.until(lambda: told("192.0.2.7"))
        subset["addresses"] = [{"ip": "192.0.2.8"}]
        await client.update(ENDPOINTS, {**written, "subsets": [subset]})
        await cluster.until(lambda: told("192.0.2.8"))
        await client.update(SERVICES, {**made, "spec": {**made["spec"], "selector": {"app": "db"}}})

        async def only_the_controllers_own() -> bool:
            return {each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for each in await slices()} == {
                "endpointslice-controller.k8s.io"
            }

        await cluster.until(only_the_controllers_own)
