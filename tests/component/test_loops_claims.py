"""ResourceClaims made by templates, with the whole cluster."""

from __future__ import annotations

from controllers.manager.resource_claim import TEMPLATES
from controllers.manager.resource_claim_reservation import CLAIMS
from kube.objects import Object, name_of
from kube.resources import PODS, SERVICE_ACCOUNTS
from tests.virtual import virtual
from wherry.in_process import in_process_cluster


@virtual
async def test_a_pod_gets_its_claim_and_takes_it_along() -> None:
    async with in_process_cluster(nodes=0) as cluster:
        client = cluster.client
        spec = {
            "serviceAccountName": "tester",
            "containers": [{"name": "c", "image": "i", "resources": {"claims": [{"name": "gpu"}]}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "big"}],
        }
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "tester", "namespace": "default"}})
        await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})

        async def claims() -> list[Object]:
            return list((await client.list(CLAIMS, namespace="default"))["items"])

        request = {"name": "r", "exactly": {"deviceClassName": "gpu"}}
        template = {"spec": {"spec": {"devices": {"requests": [request]}}}}
        await client.create(TEMPLATES, {"metadata": {"name": "big", "namespace": "default"}, **template})

        async def told() -> bool:
            found = await claims()
            pod = await client.get(PODS, "p", namespace="default")
            names = [each["resourceClaimName"] for each in pod["status"].get("resourceClaimStatuses") or ()]
            return len(found) == 1 and names == [name_of(found[0])]

        await cluster.until(told)
        await client.delete(PODS, "p", namespace="default")

        async def gone() -> bool:
            return not await claims()

        await cluster.until(gone)
