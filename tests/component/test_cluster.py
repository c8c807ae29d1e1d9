"""The whole cluster in one process on virtual time: server, controllers, scheduler and simulated nodes, meeting only through the API."""

from __future__ import annotations

import copy
from typing import Any

from kube.objects import Object, is_condition_true
from kube.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS, REPLICA_SETS
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster


def deployment(replicas: int, image: str = "app:1") -> Object:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}


async def pods_of(cluster: InProcessCluster) -> list[Object]:
    items: list[Object] = (await cluster.client.list(PODS, namespace="default"))["items"]
    return items


async def is_rolled_out(cluster: InProcessCluster, replicas: int) -> bool:
    found = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
    status: dict[str, Any] = found.get("status", {})
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
    return status.get("observedGeneration") == found["metadata"]["generation"] and counts == [replicas] * 4


@virtual
async def test_nodes_become_ready() -> None:
    async with in_process_cluster(nodes=5) as cluster:

        async def ready() -> bool:
            nodes = (await cluster.client.list(NODES))["items"]
            return len(nodes) == 5 and all(is_condition_true(node, "Ready") and not node["spec"].get("taints") for node in nodes)

        await cluster.until(ready)
        ranges = {node["spec"]["podCIDR"] for node in (await cluster.client.list(NODES))["items"]}
        assert len(ranges) == 5


@virtual
async def test_a_rolling_update_of_100_replicas_keeps_its_promises() -> None:
    async with in_process_cluster(nodes=10) as cluster:
        await cluster.client.create(DEPLOYMENTS, deployment(100))
        await cluster.until(lambda: is_rolled_out(cluster, 100))
        seen: list[tuple[int, int]] = []
        informer_pods: dict[str, Object] = {}

        def watched(old: Object | None, new: Object | None) -> None:
            obj = new or old
            assert obj is not None
            if new is None or new["metadata"].get("deletionTimestamp"):
                informer_pods.pop(obj["metadata"]["uid"], None)
            else:
                informer_pods[new["metadata"]["uid"]] = new
            available = sum(is_condition_true(pod, "Ready") for pod in informer_pods.values())
            seen.append((len(informer_pods), available))

        from kube.client.informer import Informers

        informers = Informers(cluster.client, rng=cluster.rng)
        informers.of(PODS, namespace="default").add_handler(watched)
        import asyncio

        following = asyncio.create_task(informers.run())
        await informers.wait_synced()
        seen.clear()
        current = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
        wanted = copy.deepcopy(current)
        wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
        await cluster.client.update(DEPLOYMENTS, wanted)
        await cluster.until(lambda: is_rolled_out(cluster, 100))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert max(total for total, _ in seen) <= 125, "never more than desired + maxSurge"
        assert min(available for _, available in seen) >= 75, "never fewer available than desired - maxUnavailable"
        assert {pod["spec"]["containers"][0]["image"] for pod in await pods_of(cluster)} == {"app:2"}
        assert len({pod["status"]["podIP"] for pod in await pods_of(cluster)}) == 100, "every pod has an address of its own"
        sets = (await cluster.client.list(REPLICA_SETS, namespace="default"))["items"]
        assert sorted(each["spec"]["replicas"] for each in sets) == [0, 100]


@virtual
async def test_deleting_a_namespace_takes_everything_with_it() -> None:
    async with in_process_cluster(nodes=2) as cluster:
        await cluster.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        wanted = deployment(5)
        wanted["metadata"]["namespace"] = "shop"
        await cluster.client.create(DEPLOYMENTS, wanted)

        async def running() -> bool:
            pods = (await cluster.client.list(PODS, namespace="shop"))["items"]
            return len(pods) == 5 and all(pod["status"].get("phase") == "Running" for pod in pods)

        await cluster.until(running)
        await cluster.client.delete(NAMESPACES, "shop")

        async def gone() -> bool:
            names = [each["metadata"]["name"] for each in (await cluster.client.list(NAMESPACES))["items"]]
            return "shop" not in names

        await cluster.until(gone)
        assert (await cluster.client.list(PODS, namespace="shop"))["items"] == []
