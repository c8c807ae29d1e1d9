"""The cloud controller manager at work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from controllers.cloud.load_balancer import FINALIZER
from controllers.cloud.local_cloud import STATE, TERMINATED, LocalCloud, addresses_of
from controllers.cloud.node import UNINITIALIZED
from controllers.cloud.registry import controllers_of
from controllers.running import run_controllers
from kube.errors import NotFound
from kube.objects import Object
from kube.resources import EVENTS, NODES, SERVICES
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster


@asynccontextmanager
async def in_the_cloud() -> AsyncIterator[InProcessCluster]:
    async with in_process_cluster(nodes=1, controllers=None, scheduler=False) as cluster:
        client = cluster.make_client("kube-controller-manager")
        loops = run_controllers(controllers_of(LocalCloud()), None, client, clock=cluster.clock, rng=random.Random(1))
        running = asyncio.create_task(loops)
        try:
            yield cluster
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await client.close()


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
