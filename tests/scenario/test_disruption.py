"""Nodes are drained and a quota is full, under faults and kills, by seeds: evictions never break the disruption budget, the quota is never
exceeded, and in the end all that may run runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial

import pytest

from kube.errors import ApiError
from kube.objects import Object, is_deleting, name_of, namespace_of
from kube.resources import DEPLOYMENTS, NAMESPACES, NODES, POD_DISRUPTION_BUDGETS, PODS, RESOURCE_QUOTAS
from tests.component.test_cluster import deployment
from tests.scenario.faults import JumpingClock
from tests.scenario.invariants import InQuota, Room, is_up
from tests.scenario.scene import Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.virtual import run_virtual

REPLICAS, LEAST = 6, 4
GREEDY, HARD = 5, 3
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "disruption-controller",
    "resourcequota-controller",
    "namespace-controller",
    "garbage-collector-controller",
)


def budget() -> Object:
    spec = {"minAvailable": LEAST, "selector": {"matchLabels": {"app": "web"}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def quota() -> Object:
    spec = {"hard": {"pods": str(HARD)}}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "mall"}, "spec": spec}


def web(namespace: str, replicas: int) -> Object:
    wanted = deployment(replicas)
    wanted["metadata"]["namespace"] = namespace
    return wanted


async def drain(stage: Scene, node: str) -> None:
    """As `kubectl drain` does: mark the node, then evict its pods until none is left."""
    client = stage.cluster.client
    await insist(lambda: client.patch(NODES, node, {"spec": {"unschedulable": True}}))

    async def is_empty() -> bool:
        pods = [each for each in await stage.listed(PODS) if each["spec"].get("nodeName") == node and not is_deleting(each)]
        for pod in pods:
            with suppress(ApiError):
                await evict(stage, pod)
        return not pods

    await stage.until(is_empty)


async def evict(stage: Scene, pod: Object) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name_of(pod)}}
    await stage.cluster.client.create(PODS, body, namespace=namespace_of(pod), name=name_of(pod), subresource="eviction")


async def scenario(seed: int) -> None:
    clock = JumpingClock()
    promises = (Room({"app": "web"}, LEAST), InQuota("mall", HARD, clock))
    async with scene(seed, controllers=CONTROLLERS, promises=promises, clock=clock, clock_jumps=seed % 4 == 1) as stage:
        client = stage.cluster.client
        for namespace in ("shop", "mall"):
            await client.create(NAMESPACES, {"metadata": {"name": namespace}})
        await client.create(RESOURCE_QUOTAS, quota())
        await client.create(POD_DISRUPTION_BUDGETS, budget())
        await stage.until(lambda: is_counted(stage))  # before that it limits nothing, as upstream's does not
        await client.create(DEPLOYMENTS, web("shop", REPLICAS))
        await client.create(DEPLOYMENTS, web("mall", GREEDY))
        await stage.until(lambda: are_up(stage))
        for node in [name_of(each) for each in await stage.listed(NODES)][:2]:
            troubles = asyncio.create_task(stage.trouble())
            await drain(stage, node)
            await troubles
            await insist(partial(client.patch, NODES, node, {"spec": {"unschedulable": False}}))
        await stage.until(lambda: are_up(stage))
        stage.check()
        stage.witness.promises.clear()  # a namespace that goes takes its pods with it
        for namespace in ("shop", "mall"):
            await insist(partial(client.delete, NAMESPACES, namespace))
        await stage.trouble()
        stage.calm()
        await stage.until(lambda: is_gone(stage))


async def is_counted(stage: Scene) -> bool:
    [found] = await stage.listed(RESOURCE_QUOTAS)
    return "hard" in found.get("status", {})


async def are_up(stage: Scene) -> bool:
    """As many run as should and may, and the quota's status says so."""
    pods = [each for each in await stage.listed(PODS) if not is_deleting(each)]
    counts = Counter(namespace_of(each) for each in pods if is_up(each))
    [found] = await stage.listed(RESOURCE_QUOTAS)
    used = found.get("status", {}).get("used", {}).get("pods")
    return counts == {"shop": REPLICAS, "mall": HARD} and len(pods) == REPLICAS + HARD and used == str(HARD)


async def is_gone(stage: Scene) -> bool:
    namespaces = {name_of(each) for each in await stage.listed(NAMESPACES)}
    return not namespaces & {"shop", "mall"} and not await stage.listed(PODS)


@pytest.mark.parametrize("seed", seeds(15))
def test_drains_keep_to_budgets_and_quotas_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
