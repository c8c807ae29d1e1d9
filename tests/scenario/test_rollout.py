"""A rolling update under faults and kills, by seeds: it always finishes, and no promise is broken on the way."""

from __future__ import annotations

import asyncio
import copy

import pytest

from kube.objects import Object, owners_of
from kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, REPLICA_SETS
from tests.component.test_cluster import deployment, is_rolled_out
from tests.scenario.invariants import AskedFor, AtMost, Room
from tests.scenario.scene import Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.virtual import run_virtual
from wherry.in_process import InProcessCluster

REPLICAS = 8
SURGE = UNAVAILABLE = 2
"""A quarter of them: the default."""
CONTROLLERS = ("deployment-controller", "replicaset-controller", "garbage-collector-controller")


async def keep_writing(cluster: InProcessCluster, acknowledged: dict[str, str]) -> None:
    """A client that goes on writing and remembers what it was told is stored."""
    number = 0
    while True:
        name = f"note-{number % 5}"
        try:
            body: Object = {"metadata": {"name": name, "namespace": "default"}, "data": {"n": str(number)}}
            if name in acknowledged:
                await cluster.client.update(CONFIG_MAPS, body)
            else:
                await cluster.client.create(CONFIG_MAPS, body)
            acknowledged[name] = str(number)
        except Exception:  # not acknowledged: it may be stored or not
            acknowledged.pop(name, None)
            await asyncio.sleep(0.1)
            try:
                await cluster.client.delete(CONFIG_MAPS, name, namespace="default")
            except Exception:
                await asyncio.sleep(0.1)
        number += 1
        await asyncio.sleep(0.2)


async def rollout(seed: int) -> None:
    promises = (AtMost(REPLICAS), AskedFor(REPLICAS + SURGE), Room({"app": "web"}, REPLICAS - UNAVAILABLE))
    controllers = ("*",) if seed % 8 == 0 else CONTROLLERS
    async with scene(seed, controllers=controllers, promises=promises, clock_jumps=seed % 4 == 1) as stage:
        cluster, rng = stage.cluster, stage.rng
        acknowledged: dict[str, str] = {}
        writing = asyncio.create_task(keep_writing(cluster, acknowledged))
        await cluster.client.create(DEPLOYMENTS, deployment(REPLICAS))
        await stage.until(lambda: is_rolled_out(cluster, REPLICAS))
        troubles = asyncio.create_task(stage.trouble())
        await asyncio.sleep(rng.uniform(0, 1))
        await insist(lambda: update_image(cluster, "app:2"))
        await troubles
        await stage.until(lambda: is_rolled_out(cluster, REPLICAS))
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        stage.calm()
        await settled(stage)
        for name, number in acknowledged.items():
            found = await cluster.client.get(CONFIG_MAPS, name, namespace="default")
            assert found["data"]["n"] == number, f"the acknowledged write {number} of {name} was lost"


async def update_image(cluster: InProcessCluster, image: str) -> None:
    wanted = copy.deepcopy(await cluster.client.get(DEPLOYMENTS, "web", namespace="default"))
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = image
    await cluster.client.update(DEPLOYMENTS, wanted)


async def settled(stage: Scene) -> None:
    """In the end: exactly the wanted pods, all of the new kind, each with an address of its own, and no orphans."""

    async def only_new() -> bool:
        pods = await stage.listed(PODS)
        return len(pods) == REPLICAS and all(pod["spec"]["containers"][0]["image"] == "app:2" for pod in pods)

    await stage.until(only_new)
    pods = await stage.listed(PODS)
    assert len({pod["status"]["podIP"] for pod in pods}) == REPLICAS
    assert {owners_of(pod)[0]["kind"] for pod in pods} == {REPLICA_SETS.kind}
    await stage.check_owners()


@pytest.mark.parametrize("seed", seeds(60))
def test_a_rollout_finishes_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: rollout(seed))
