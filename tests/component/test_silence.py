"""Nodes that seem silent: whoever sets the clock silences nobody, and a kubelet puts right what was said of its pods meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

from kube.client.client import PatchKind
from kube.objects import Object, is_condition_true
from kube.resources import NODES, PODS
from tests.scenario.faults import JumpingClock
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster

POD: Object = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}


async def ready(cluster: InProcessCluster) -> bool:
    pod = await cluster.client.get(PODS, "web", namespace="default")
    return is_condition_true(pod, "Ready")


@virtual
async def test_a_clock_that_is_set_forward_silences_no_node() -> None:
    clock = JumpingClock()
    async with in_process_cluster(nodes=2, clock=clock) as cluster:
        await asyncio.sleep(30)
        for jump_s in (3600, -7200):
            clock.ahead_s += jump_s
            for _ in range(12):
                await asyncio.sleep(5)
                nodes = (await cluster.client.list(NODES))["items"]
                assert [is_condition_true(node, "Ready") for node in nodes] == [True, True]


@virtual
async def test_a_kubelet_puts_right_what_others_say_of_its_pods() -> None:
    async with in_process_cluster(nodes=1) as cluster:
        await asyncio.sleep(5)
        await cluster.client.create(PODS, POD)
        await cluster.until(lambda: ready(cluster))
        said: dict[str, Any] = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        await cluster.client.patch(PODS, "web", said, namespace="default", kind=PatchKind.STRATEGIC, subresource="status")
        assert not await ready(cluster)
        await cluster.until(lambda: ready(cluster), within_s=5)
