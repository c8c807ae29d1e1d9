"""Nodes that fall silent together are given up one after the other."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from kube.clock import parse_time
from kube.objects import Object
from kube.resources import NODES
from tests.virtual import virtual
from wherry.in_process import InProcessCluster, in_process_cluster

EVERY_S = 10.0
"""Upstream's --node-eviction-rate of 0.1."""


def ghost(number: int) -> Object:
    """A node that is Ready and never heard of again."""
    return {"metadata": {"name": f"ghost-{number}"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def _moment(text: str) -> float:
    found = parse_time(text)
    assert found is not None
    return found.timestamp()


async def given_up(cluster: InProcessCluster) -> list[float]:
    """When nodes got the taint that evicts pods."""
    nodes = (await cluster.client.list(NODES))["items"]
    taints = [taint for node in nodes for taint in node["spec"].get("taints") or () if taint["effect"] == "NoExecute"]
    return sorted(_moment(taint["timeAdded"]) for taint in taints)


@virtual
async def test_lost_nodes_of_a_zone_are_given_up_at_the_rate_of_evictions() -> None:
    async with in_process_cluster(nodes=6) as cluster:
        for number in range(4):
            await cluster.client.create(NODES, ghost(number))
        await asyncio.sleep(150)
        times = await given_up(cluster)
        assert len(times) == 4
        assert min(later - earlier for earlier, later in pairwise(times)) >= EVERY_S - 1  # whole seconds are told
