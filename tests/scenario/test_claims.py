"""Claims and volumes under faults and kills, by seeds: every claim gets a volume of its own and keeps it, and nothing is left in the end.

WHERRY_SEEDS (default 10) says how many seeds; a failing one is printed by pytest as the parameter's value.
"""

from __future__ import annotations

import asyncio
import os
import random
from functools import partial
from typing import Any

import pytest

from controllers.manager.local_volume import standard_class
from kube.errors import AlreadyExists, ApiError, NotFound
from kube.objects import Object, name_of, uid_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STATEFUL_SETS, STORAGE_CLASSES, Resource
from tests.scenario.faults import FaultyTransport
from tests.scenario.test_rollout import trouble
from tests.virtual import run_virtual
from wherry.in_process import InProcessCluster, in_process_cluster

SEEDS = range(int(os.environ.get("WHERRY_SEEDS", "10")))
REPLICAS = 5


def stateful_set() -> Object:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    container = {"name": "db", "image": "db:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    spec: dict[str, Any] = {
        "replicas": REPLICAS,
        "podManagementPolicy": "Parallel",
        "serviceName": "db",
        "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": wanted}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"}, "spec": spec}


async def listed(cluster: InProcessCluster, resource: Resource) -> list[Object]:
    found: list[Object] = (await cluster.client.list(resource))["items"]
    return found


async def insist(cluster: InProcessCluster, work: Any) -> None:
    """Do it, whatever is down at the moment."""
    while True:
        try:
            await work()
            return
        except (AlreadyExists, NotFound):
            return
        except (ApiError, OSError):
            await asyncio.sleep(0.2)


async def scenario(seed: int) -> None:
    rng = random.Random(seed)
    faults: list[FaultyTransport] = []

    def wrap(inner: object) -> FaultyTransport:
        faults.append(FaultyTransport(inner, random.Random(rng.getrandbits(64))))  # type: ignore[arg-type]
        return faults[-1]

    async with in_process_cluster(nodes=3, seed=seed, wrap=wrap) as cluster:
        await insist(cluster, lambda: cluster.client.create(STORAGE_CLASSES, standard_class()))
        await insist(cluster, lambda: cluster.client.create(STATEFUL_SETS, stateful_set()))
        troubles = asyncio.create_task(trouble(cluster, rng))
        await cluster.until(lambda: all_run(cluster), within_s=1800, poll_s=1)
        await troubles
        await cluster.until(lambda: all_run(cluster), within_s=1800, poll_s=1)
        before = await bindings(cluster)
        for pod in rng.sample(await listed(cluster, PODS), 2):
            await insist(cluster, partial(cluster.client.delete, PODS, name_of(pod), namespace="default"))
        await trouble(cluster, rng)
        await cluster.until(lambda: all_run(cluster), within_s=1800, poll_s=1)
        assert await bindings(cluster) == before, "a claim keeps its volume, whatever becomes of its pod"
        await insist(cluster, lambda: cluster.client.delete(STATEFUL_SETS, "db", namespace="default"))
        await trouble(cluster, rng)
        for fault in faults:
            fault.calm = True
        await cluster.until(lambda: nothing_left(cluster), within_s=1800, poll_s=1)


async def all_run(cluster: InProcessCluster) -> bool:
    try:
        pods, claims = await listed(cluster, PODS), await listed(cluster, PERSISTENT_VOLUME_CLAIMS)
    except OSError:
        return False
    running = [each for each in pods if each["status"].get("phase") == "Running" and not each["metadata"].get("deletionTimestamp")]
    return len(running) == REPLICAS and len(claims) == REPLICAS and all(each["status"].get("phase") == "Bound" for each in claims)


async def bindings(cluster: InProcessCluster) -> dict[str, str]:
    """By claim uid its volume; both sides must say so, and the pod must be where its volume is."""
    claims = {name_of(each): each for each in await listed(cluster, PERSISTENT_VOLUME_CLAIMS)}
    volumes = {name_of(each): each for each in await listed(cluster, PERSISTENT_VOLUMES)}
    found = {uid_of(each): each["spec"]["volumeName"] for each in claims.values()}
    assert len(set(found.values())) == REPLICAS, "every claim has a volume of its own"
    assert set(volumes) == set(found.values()), "no volume was made in vain"
    for uid, volume in found.items():
        assert volumes[volume]["spec"]["claimRef"]["uid"] == uid
    for pod in await listed(cluster, PODS):
        volume = claims[pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]]["spec"]["volumeName"]
        [term] = volumes[volume]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == [pod["spec"]["nodeName"]]
    return found


async def nothing_left(cluster: InProcessCluster) -> bool:
    return not any([await listed(cluster, each) for each in (PODS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_claim_gets_a_volume_and_keeps_it_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
