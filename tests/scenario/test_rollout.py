"""A rolling update under faults and kills, by seeds: it always finishes, and no promise is broken on the way.

WHERRY_SEEDS (default 25) says how many seeds; a failing one is printed by pytest as the parameter's value.
"""

from __future__ import annotations

import asyncio
import copy
import os
import random

import pytest

from kube.objects import Object
from kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, REPLICA_SETS
from tests.component.test_cluster import deployment, is_rolled_out
from tests.scenario.faults import FaultyTransport
from tests.scenario.invariants import Witness
from tests.virtual import run_virtual
from wherry.in_process import InProcessCluster, in_process_cluster

SEEDS = range(int(os.environ.get("WHERRY_SEEDS", "25")))
REPLICAS = 8
PARTS = ("apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")


async def trouble(cluster: InProcessCluster, rng: random.Random) -> None:
    """Kill parts at random moments and start each again a little later."""
    for _ in range(rng.randrange(1, 5)):
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        part = rng.choice(PARTS)
        if part == "apiserver":
            await cluster.restart_server(down_s=rng.uniform(0, 5))
            continue
        await cluster.kill(part)
        await asyncio.sleep(rng.uniform(0, 5))
        cluster.start(part)


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
        await asyncio.sleep(0.05)


async def rollout(seed: int) -> None:
    rng = random.Random(seed)
    faults: list[FaultyTransport] = []

    def wrap(inner: object) -> FaultyTransport:
        faults.append(FaultyTransport(inner, random.Random(rng.getrandbits(64))))  # type: ignore[arg-type]
        return faults[-1]

    async with in_process_cluster(nodes=3, seed=seed, wrap=wrap) as cluster:
        witness = Witness(cluster.built.store, after=await cluster.built.store.revision())
        acknowledged: dict[str, str] = {}
        writing = asyncio.create_task(keep_writing(cluster, acknowledged))
        await cluster.client.create(DEPLOYMENTS, deployment(REPLICAS))
        await cluster.until(lambda: _calmly(cluster, REPLICAS), within_s=900, poll_s=1)
        troubles = asyncio.create_task(trouble(cluster, rng))
        await asyncio.sleep(rng.uniform(0, 1))
        await _update_image(cluster, "app:2")
        await troubles
        await cluster.until(lambda: _calmly(cluster, REPLICAS), within_s=1800, poll_s=1)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert witness.broken == []
        for fault in faults:
            fault.calm = True
        await _settled(cluster, witness)
        for name, number in acknowledged.items():
            found = await cluster.client.get(CONFIG_MAPS, name, namespace="default")
            assert found["data"]["n"] == number, f"the acknowledged write {number} of {name} was lost"
        witness.close()


async def _update_image(cluster: InProcessCluster, image: str) -> None:
    while True:
        try:
            wanted = copy.deepcopy(await cluster.client.get(DEPLOYMENTS, "web", namespace="default"))
            wanted["spec"]["template"]["spec"]["containers"][0]["image"] = image
            await cluster.client.update(DEPLOYMENTS, wanted)
            return
        except Exception:
            await asyncio.sleep(0.2)


async def _calmly(cluster: InProcessCluster, replicas: int) -> bool:
    try:
        return await is_rolled_out(cluster, replicas)
    except OSError:
        return False


async def _settled(cluster: InProcessCluster, witness: Witness) -> None:
    """In the end: exactly the wanted pods, all of the new kind, each with an address of its own, and no orphans."""

    async def only_new() -> bool:
        pods = (await cluster.client.list(PODS, namespace="default"))["items"]
        return len(pods) == REPLICAS and all(pod["spec"]["containers"][0]["image"] == "app:2" for pod in pods)

    await cluster.until(only_new, within_s=1800, poll_s=1)
    pods = (await cluster.client.list(PODS, namespace="default"))["items"]
    assert len({pod["status"]["podIP"] for pod in pods}) == REPLICAS
    sets = {each["metadata"]["uid"]: each for each in (await cluster.client.list(REPLICA_SETS, namespace="default"))["items"]}
    assert all(pod["metadata"]["ownerReferences"][0]["uid"] in sets for pod in pods)
    for uid, most in witness.most_pods.items():
        assert most <= REPLICAS, f"ReplicaSet {uid} had {most} pods at once"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rollout_finishes_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: rollout(seed))
