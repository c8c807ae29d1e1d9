"""Pods of a node are resized again and again, under faults and kills, by seeds: in the end each has what it asks for, or waits because
there is no room for it; the node has never given more than it has; and nothing was restarted for it."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from kube.objects import Object, condition_of, name_of
from kube.resources import NODES, PODS
from tests.scenario.invariants import is_up
from tests.scenario.scene import Scene, insist, scene
from tests.scenario.seeds import seeds
from tests.virtual import run_virtual

CPUS = 8
"""Of a node."""
ROUNDS, PARTS = 4, ("apiserver", "kubelet")
WHOLE, PLAIN, SIDECAR = "whole", "plain", "sidecar"
"""What is resized: the pod as a whole, its container, the container beside it."""


def asking(cpus: int) -> Object:
    return {"requests": {"cpu": str(cpus)}}


def spec_of(name: str, cpus: int) -> Object:
    """The part of the spec of that pod which says so."""
    if name == WHOLE:
        return {"resources": asking(cpus)}
    return {"initContainers" if name == SIDECAR else "containers": [{"name": name, "resources": asking(cpus)}]}


def pod(name: str, node: str) -> Object:
    spec: Object = {"nodeName": node, "containers": [{"name": PLAIN, "image": "pause:3"}]}
    if name == SIDECAR:
        spec["initContainers"] = [{"name": SIDECAR, "image": "pause:3", "restartPolicy": "Always", "resources": asking(2)}]
    elif name == PLAIN:
        spec["containers"][0] |= {"resources": asking(2)}
    else:
        spec |= {"resources": asking(2)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def asked(found: Object) -> int:
    spec = found["spec"]
    parts = {WHOLE: spec, PLAIN: spec["containers"][0], SIDECAR: (spec.get("initContainers") or [{}])[0]}
    return int(parts[name_of(found)]["resources"]["requests"]["cpu"])


def allocated(found: Object) -> int:
    return int(found["status"].get("allocatedResources", {}).get("cpu", 0))


def has(found: Object) -> int:
    """What the pod, or what is resized of it, is told to have."""
    status = found["status"]
    parts = {WHOLE: status, PLAIN: status["containerStatuses"][0], SIDECAR: status.get("initContainerStatuses", [{}])[0]}
    return int(parts[name_of(found)]["resources"]["requests"]["cpu"])


def is_settled(found: Object, others: list[Object]) -> bool:
    """It has what it asks for; or it waits, has what was allocated, and there is no room."""
    conditions = {kind for kind in ("PodResizePending", "PodResizeInProgress") if condition_of(found, kind)}
    if found["status"].get("observedGeneration") != found["metadata"]["generation"] or has(found) != allocated(found):
        return False
    if asked(found) == allocated(found):
        return not conditions
    return conditions == {"PodResizePending"} and asked(found) + sum(map(allocated, others)) > CPUS


async def is_there(stage: Scene) -> bool:
    return bool(await stage.listed(NODES))


async def are_settled(stage: Scene) -> bool:
    pods = await stage.listed(PODS)
    return all(is_up(each) and is_settled(each, [other for other in pods if other is not each]) for each in pods)


async def resize(stage: Scene, name: str, cpus: int) -> None:
    change = partial(stage.cluster.client.patch, PODS, name, {"spec": spec_of(name, cpus)}, namespace="default", subresource="resize")
    await insist(change)


async def scenario(seed: int) -> None:
    async with scene(seed, nodes=1, controllers=()) as stage:
        client = stage.cluster.client
        await stage.until(lambda: is_there(stage))
        (node,) = await stage.listed(NODES)
        for name in (WHOLE, PLAIN, SIDECAR):
            await insist(partial(client.create, PODS, pod(name, name_of(node))))
        await stage.until(lambda: are_settled(stage))
        for _ in range(ROUNDS):
            troubles = asyncio.create_task(stage.trouble(PARTS))
            for name in stage.rng.sample((WHOLE, PLAIN, SIDECAR), 3):
                await asyncio.sleep(stage.rng.uniform(0.0, 2.0))
                await resize(stage, name, stage.rng.randrange(1, CPUS + 1))
            await troubles
            await stage.until(lambda: are_settled(stage))
            pods = await stage.listed(PODS)
            assert sum(map(allocated, pods)) <= CPUS
        for name in (WHOLE, PLAIN, SIDECAR):
            await resize(stage, name, 1)
        await stage.until(lambda: are_settled(stage))
        pods = await stage.listed(PODS)
        assert [allocated(each) for each in pods] == [1, 1, 1], "everything fits in the end"
        assert {status["restartCount"] for each in pods for status in each["status"]["containerStatuses"]} == {0}


@pytest.mark.parametrize("seed", seeds(8))
def test_resizes_come_to_rest_whatever_is_killed_and_lost(seed: int) -> None:
    run_virtual(lambda: scenario(seed))
