"""Claims and volumes under faults and kills, by seeds: every claim gets a volume of its own and keeps it; nothing is left in the end."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from controllers.manager.local_volume import standard_class
from kube.objects import Object, is_deleting, name_of, uid_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STATEFUL_SETS, STORAGE_CLASSES
from tests.scenario.scene import Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.virtual import run_virtual

REPLICAS = 5
CONTROLLERS = (
    "statefulset-controller",
    "garbage-collector-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "local-volume-provisioner-controller",
)


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


async def scenario(seed: int) -> None:
    controllers = ("*",) if seed % 5 == 0 else CONTROLLERS
    async with scene(seed, controllers=controllers, clock_jumps=seed % 4 == 1) as stage:
        client = stage.cluster.client
        await insist(lambda: client.create(STORAGE_CLASSES, standard_class()))
        await insist(lambda: client.create(STATEFUL_SETS, stateful_set()))
        troubles = asyncio.create_task(stage.trouble())
        await stage.until(lambda: all_run(stage))
        await troubles
        await stage.until(lambda: all_run(stage))
        before = await bindings(stage)
        for pod in stage.rng.sample(await stage.listed(PODS), 2):
            await insist(partial(client.delete, PODS, name_of(pod), namespace="default"))
        await stage.trouble()
        await stage.until(lambda: all_run(stage))
        assert await bindings(stage) == before, "a claim keeps its volume, whatever becomes of its pod"
        await insist(lambda: client.delete(STATEFUL_SETS, "db", namespace="default"))
        await stage.trouble()
        stage.calm()
        await stage.until(lambda: nothing_left(stage))


async def all_run(stage: Scene) -> bool:
    pods, claims = await stage.listed(PODS), await stage.listed(PERSISTENT_VOLUME_CLAIMS)
    running = [each for each in pods if each["status"].get("phase") == "Running" and not is_deleting(each)]
    return len(running) == REPLICAS and len(claims) == REPLICAS and all(each["status"].get("phase") == "Bound" for each in claims)


async def bindings(stage: Scene) -> dict[str, str]:
    """By claim uid its volume; both sides must say so, and the pod must be where its volume is."""
    claims = {name_of(each): each for each in await stage.listed(PERSISTENT_VOLUME_CLAIMS)}
    volumes = {name_of(each): each for each in await stage.listed(PERSISTENT_VOLUMES)}
    found = {uid_of(each): each["spec"]["volumeName"] for each in claims.values()}
    assert len(set(found.values())) == REPLICAS, "every claim has a volume of its own"
    assert set(volumes) == set(found.values()), "no volume was made in vain"
    for uid, volume in found.items():
        assert volumes[volume]["spec"]["claimRef"]["uid"] == uid
    for pod in await stage.listed(PODS):
        volume = claims[pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]]["spec"]["volumeName"]
        [term] = volumes[volume]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"][0]["values"] == [pod["spec"]["nodeName"]]
    return found


async def nothing_left(stage: Scene) -> bool:
    return not any([await stage.listed(each) for each in (PODS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES)])


@pytest.mark.parametrize("seed", seeds(35))
def test_every_claim_gets_a_volume_and_keeps_it_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
