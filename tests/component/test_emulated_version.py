"""A server that plays another Kubernetes version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.component.served import DEPLOYMENTS, PODS, Api, deployment, pod, served
from tests.virtual import virtual

JOBS = "/apis/batch/v1/namespaces/default/jobs"
SERVICES = "/api/v1/namespaces/default/services"


def job(**spec: Any) -> Any:
    template = {"spec": {"containers": [{"name": "c", "image": "c"}], "restartPolicy": "Never"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template, **spec}}


async def resources(api: Api, group_version: str) -> list[str]:
    return [each["name"] for each in (await api.ok("GET", f"/apis/{group_version}"))["resources"]]


@virtual
async def test_a_field_of_a_later_version_is_unknown_to_an_earlier_one() -> None:
    async with served(emulated_version="1.27") as api:
        reply = await api.call("POST", f"{JOBS}?fieldValidation=Strict", job(podReplacementPolicy="Failed"))
        assert reply.status == 400
        assert 'unknown field "spec.podReplacementPolicy"' in reply.message
        reply = await api.call("POST", JOBS, job(podReplacementPolicy="Failed"))
        assert reply.headers["warning"] == '299 - "unknown field \\"spec.podReplacementPolicy\\""'
        assert "podReplacementPolicy" not in reply.body["spec"]
        assert "podReplacementPolicy" not in (await api.ok("GET", f"{JOBS}/j"))["spec"]
    async with served(emulated_version="1.28") as api:
        made = await api.ok("POST", f"{JOBS}?fieldValidation=Strict", job(podReplacementPolicy="Failed"))
        assert made["spec"]["podReplacementPolicy"] == "Failed"


@virtual
async def test_resources_of_a_later_version_are_not_there() -> None:
    async with served(emulated_version="1.32") as api:
        assert await resources(api, "networking.k8s.io/v1") == ["ingressclasses", "ingresses", "ingresses/status", "networkpolicies"]
        assert (await api.call("GET", "/apis/networking.k8s.io/v1/ipaddresses")).status == 404
        assert (await api.call("GET", "/apis/resource.k8s.io/v1")).status == 404
        assert "v1.resource.k8s.io" not in str(await api.ok("GET", "/apis/apiregistration.k8s.io/v1/apiservices"))
        assert "pods/resize" not in [each["name"] for each in (await api.ok("GET", "/api/v1"))["resources"]]
    async with served(emulated_version="1.33") as api:
        assert "ipaddresses" in await resources(api, "networking.k8s.io/v1")


@pytest.mark.parametrize("version", ["1.25", "1.30", "1.37"])
@virtual
async def test_a_version_starts_and_does_its_work(version: str) -> None:
    async with served(emulated_version=version) as api:
        assert (await api.ok("GET", "/version"))["gitVersion"] == f"v{version}.0"
        await api.ok("POST", PODS, pod("p"))
        await api.ok("POST", DEPLOYMENTS, deployment("d"))
        service = await api.ok("POST", SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
        assert service["spec"]["clusterIP"].startswith("10.0.0.")
        for each in (await api.ok("GET", "/openapi/v3"))["paths"].values():
            await api.ok("GET", each["serverRelativeURL"])


@virtual
async def test_a_service_gives_its_address_back_where_addresses_are_not_served() -> None:
    async with served(emulated_version="1.27", service_cluster_ip_range="10.0.0.0/29") as api:
        for _ in range(12):
            await api.ok("POST", SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
            await api.ok("DELETE", f"{SERVICES}/s")
