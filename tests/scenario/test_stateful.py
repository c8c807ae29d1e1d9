"""An ordered StatefulSet that is updated, scaled and deleted under faults and kills, by seeds: pods come and go in order, and never do
two of one name run at a time."""

from __future__ import annotations

import asyncio
import copy
from functools import partial

import pytest

from kube.objects import Object, is_deleting, labels_of, name_of
from kube.resources import PODS, STATEFUL_SETS
from tests.scenario.invariants import AtMost, InOrder, Room, is_up
from tests.scenario.runtimes import Runtimes
from tests.scenario.scene import Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.virtual import run_virtual

REPLICAS, MORE = 3, 5
CONTROLLERS = ("statefulset-controller", "garbage-collector-controller")


def stateful_set() -> Object:
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}}
    spec = {"replicas": REPLICAS, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"}, "spec": spec}


async def change(stage: Scene, *, image: str, replicas: int) -> None:
    wanted = copy.deepcopy(await stage.cluster.client.get(STATEFUL_SETS, "db", namespace="default"))
    wanted["spec"]["replicas"] = replicas
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = image
    await stage.cluster.client.update(STATEFUL_SETS, wanted)


async def is_settled(stage: Scene, image: str, replicas: int) -> bool:
    status = (await stage.cluster.client.get(STATEFUL_SETS, "db", namespace="default"))["status"]
    pods = [each for each in await stage.listed(PODS) if labels_of(each).get("app") == "db"]
    images = {each["spec"]["containers"][0]["image"] for each in pods}
    told = [status.get(key) for key in ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")]
    return images == {image} and len(pods) == replicas and all(map(is_up, pods)) and told == [replicas] * 4


async def scenario(seed: int) -> None:
    runtimes = Runtimes()
    wanted = [REPLICAS]
    promises = (AtMost(MORE), InOrder("db", lambda: wanted[0]), Room({"app": "db"}, REPLICAS - 1))
    async with scene(seed, controllers=CONTROLLERS, promises=promises, runtime_factory=runtimes, clock_jumps=seed % 4 == 1) as stage:
        client = stage.cluster.client
        await client.create(STATEFUL_SETS, stateful_set())
        await stage.until(lambda: is_settled(stage, "db:1", REPLICAS))
        for image, replicas in (("db:2", REPLICAS), ("db:2", MORE), ("db:3", REPLICAS)):
            troubles = asyncio.create_task(stage.trouble())
            wanted[0] = replicas
            await insist(partial(change, stage, image=image, replicas=replicas))
            await troubles
            await stage.until(partial(is_settled, stage, image, replicas))
        stage.check()
        stage.witness.promises.clear()  # from here on people delete pods
        await asyncio.gather(*(insist(partial(client.delete, PODS, f"db-{each}", namespace="default")) for each in range(2)))
        await stage.trouble()
        await stage.until(lambda: is_settled(stage, "db:3", REPLICAS))
        stage.calm()
        await stage.check_owners()
        await client.delete(STATEFUL_SETS, "db", namespace="default")
        await stage.until(partial(nothing_left, stage))
    assert runtimes.doubled == []


async def nothing_left(stage: Scene) -> bool:
    return not [name_of(each) for each in await stage.listed(PODS) if not is_deleting(each) or each["spec"].get("nodeName")]


@pytest.mark.parametrize("seed", seeds(20))
def test_pods_come_and_go_in_order_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
