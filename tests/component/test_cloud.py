"""The cloud controller manager at work."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from controllers.cloud.load_balancer import FINALIZER
from controllers.cloud.local_cloud import STATE, TERMINATED, addresses_of
from controllers.cloud.node import UNINITIALIZED
from kube.errors import NotFound
from kube.objects import Object
from kube.resources import EVENTS, NODES, SERVICES
from tests.virtual import virtual
from wherry import Cluster
from wherry.in_process import InProcessCluster, in_process_cluster


def in_the_cloud() -> AbstractAsyncContextManager[InProcessCluster]:
    return in_process_cluster(nodes=1, controllers=None, scheduler=False, cloud=True)


def service(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}


@virtual
async def test_load_balancers_come_and_go() -> None:
    async with in_the_cloud() as cluster:
        client = cluster.client
        for name in ("a", "b"):
            await client.create(SERVICES, service(name))

        async def found() -> list[str]:
            return sorted(address for each in (await client.list(SERVICES))["items"] for address in addresses_of(each))

        async def both() -> bool:
            return await found() == ["127.100.0.1", "127.100.0.2"]

        await cluster.until(both)
        made = await client.get(SERVICES, "a", namespace="default")
        assert made["metadata"]["finalizers"] == [FINALIZER]
        assert made["status"]["loadBalancer"]["ingress"][0]["ipMode"] == "VIP"
        await client.delete(SERVICES, "b", namespace="default")

        async def gone() -> bool:
            return len(await found()) == 1

        await cluster.until(gone)
        await client.update(SERVICES, {**made, "spec": {**made["spec"], "type": "ClusterIP"}})

        async def inner() -> bool:
            one = await client.get(SERVICES, "a", namespace="default")
            return not one["metadata"].get("finalizers") and not addresses_of(one)

        await cluster.until(inner)

        async def told() -> bool:
            reasons = {each["reason"] for each in (await client.list(EVENTS))["items"]}
            return {"EnsuringLoadBalancer", "EnsuredLoadBalancer", "DeletingLoadBalancer", "DeletedLoadBalancer"} <= reasons

        await cluster.until(told)


@virtual
async def test_a_node_is_initialized_and_goes_with_its_machine() -> None:
    async with in_the_cloud() as cluster:
        taints = [{"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"}]
        await cluster.client.create(NODES, {"metadata": {"name": "n"}, "spec": {"taints": taints}})

        async def initialized() -> bool:
            found = await cluster.client.get(NODES, "n")
            return found["spec"].get("providerID") == "wherry://n" and UNINITIALIZED not in str(found["spec"].get("taints"))

        await cluster.until(initialized)
        await cluster.client.patch(NODES, "n", {"metadata": {"annotations": {STATE: TERMINATED}}})

        async def gone() -> bool:
            try:
                await cluster.client.get(NODES, "n")
            except NotFound:
                return True
            return False

        await cluster.until(gone)


def test_the_python_api_has_a_cloud() -> None:
    with Cluster(nodes=0, cloud=True) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Service", **service("web")})
        cluster.wait_until(lambda: addresses_of(cluster.client.get("services", "web")) == ["127.100.0.1"])
