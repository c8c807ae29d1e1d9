"""ResourceQuota and LimitRanger at work, alone and against many requests at once."""

from __future__ import annotations

import asyncio
from typing import Any

from kube.objects import Object, condition_of
from kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, RESOURCE_QUOTAS
from tests.component.served import MERGE, config_map, pod, served
from tests.virtual import virtual
from wherry.in_process import in_process_cluster

NAMESPACE = "/api/v1/namespaces/default"
QUOTAS = f"{NAMESPACE}/resourcequotas"


def quota(name: str, **hard: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"hard": hard}}


@virtual
async def test_of_many_at_once_exactly_as_many_come_in_as_are_allowed() -> None:
    async with served() as api:
        await api.ok("POST", QUOTAS, quota("few", configmaps="7"))
        told = {"status": {"hard": {"configmaps": "7"}, "used": {"configmaps": "0"}}}
        await api.ok("PATCH", f"{QUOTAS}/few/status", told, content_type=MERGE)
        replies = await asyncio.gather(*(api.call("POST", f"{NAMESPACE}/configmaps", config_map(f"c{each}")) for each in range(30)))
        assert sorted(reply.status for reply in replies) == [201] * 7 + [403] * 23
        assert len((await api.ok("GET", f"{NAMESPACE}/configmaps"))["items"]) == 7
        assert (await api.ok("GET", f"{QUOTAS}/few"))["status"]["used"] == {"configmaps": "7"}
        refused = next(reply for reply in replies if reply.status == 403)
        assert "exceeded quota: few, requested: configmaps=1, used: configmaps=7, limited: configmaps=7" in refused.message


@virtual
async def test_nothing_is_charged_for_a_dry_run_or_what_is_refused_by_another_quota() -> None:
    async with served() as api:
        for name, most in (("a", "5"), ("b", "0")):
            await api.ok("POST", QUOTAS, quota(name, secrets=most))
            told = {"status": {"hard": {"secrets": most}, "used": {"secrets": "0"}}}
            await api.ok("PATCH", f"{QUOTAS}/{name}/status", told, content_type=MERGE)
        assert (await api.call("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": "s"}})).status == 403
        await api.ok("DELETE", f"{QUOTAS}/b")
        await api.ok("POST", f"{NAMESPACE}/secrets?dryRun=All", {"metadata": {"name": "s"}})
        assert (await api.ok("GET", f"{QUOTAS}/a"))["status"]["used"] == {"secrets": "0"}


@virtual
async def test_a_pod_gets_what_the_limit_range_gives() -> None:
    async with served() as api:
        item: Any = {"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}, "max": {"cpu": "4"}}
        await api.ok("POST", f"{NAMESPACE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": [item]}})
        made = await api.ok("POST", f"{NAMESPACE}/pods", pod("p"))
        assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "2"}, "requests": {"cpu": "1"}}
        containers = [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "5"}}}]
        reply = await api.call("POST", f"{NAMESPACE}/pods", pod("q", containers=containers))
        assert (reply.status, reply.message) == (403, 'pods "q" is forbidden: maximum cpu usage per Container is 4, but limit is 5')


@virtual
async def test_the_controller_counts_and_gives_back() -> None:
    async with in_process_cluster(nodes=1) as cluster:
        client = cluster.client
        await client.create(CONFIG_MAPS, {"metadata": {"name": "first", "namespace": "default"}})
        wanted = {"configmaps": "3", "pods": "2", "requests.cpu": "1", "count/deployments.apps": "1"}
        await client.create(RESOURCE_QUOTAS, {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": wanted}})

        async def used() -> Object:
            found = await client.get(RESOURCE_QUOTAS, "q", namespace="default")
            return dict((found.get("status") or {}).get("used") or {})

        async def counted() -> bool:
            return await used() == {"configmaps": "1", "pods": "0", "requests.cpu": "0", "count/deployments.apps": "0"}

        await cluster.until(counted)
        resources = {"requests": {"cpu": "600m"}}
        spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
        await client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
        assert (await used())["requests.cpu"] == "600m"
        await client.delete(PODS, "p", namespace="default")
        await cluster.until(counted)


@virtual
async def test_a_deployment_grows_as_far_as_the_quota_allows_and_on_when_it_allows_more() -> None:
    async with in_process_cluster(nodes=1) as cluster:
        client = cluster.client
        await client.create(RESOURCE_QUOTAS, {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"pods": "2"}}})

        async def used() -> str:
            found = await client.get(RESOURCE_QUOTAS, "q", namespace="default")
            return str(((found.get("status") or {}).get("used") or {}).get("pods"))

        async def counted() -> bool:
            return await used() == "0"

        await cluster.until(counted)
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 5, "selector": {"matchLabels": labels}, "template": template}
        await client.create(DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})

        async def stuck() -> bool:
            deployment = await client.get(DEPLOYMENTS, "web", namespace="default")
            failure = condition_of(deployment, "ReplicaFailure") or {}
            return await used() == "2" and "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2" in failure.get(
                "message", ""
            )

        await cluster.until(stuck)
        assert len((await client.list(PODS, namespace="default"))["items"]) == 2
        current = await client.get(RESOURCE_QUOTAS, "q", namespace="default")
        await client.update(RESOURCE_QUOTAS, {**current, "spec": {"hard": {"pods": "5"}}})

        async def grown() -> bool:
            return len((await client.list(PODS, namespace="default"))["items"]) == 5 and await used() == "5"

        await cluster.until(grown, within_s=1200, poll_s=5)
