"""Node IPAM: every Node gets a range of pod addresses of its own, `spec.podCIDR`, out of the cluster's range.

Promises: no two Nodes have overlapping ranges; a Node that has one keeps it; when the range is used up, the Node says so in an event and
gets one as soon as another Node goes. Source: upstream `pkg/controller/nodeipam/ipam/range_allocator.go` (RangeAllocator).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, name_of
from kube.resources import NODES
from kube.runtime.controller import Run

CLUSTER_CIDR: Final = "10.244.0.0/16"
NODE_PREFIX: Final = 24
RETRY_S: Final = 30.0


def range_of(cluster: ipaddress.IPv4Network, taken: Iterable[str], *, after: int = 0) -> tuple[str, int] | None:
    """The first free node range at or behind number `after` (going round), and its number; None when all are taken."""
    used = {ipaddress.ip_network(each, strict=False) for each in taken}
    count = 1 << (NODE_PREFIX - cluster.prefixlen)
    size = 1 << (32 - NODE_PREFIX)
    first = int(cluster.network_address)
    for step in range(count):
        number = (after + step) % count
        candidate = ipaddress.ip_network((first + number * size, NODE_PREFIX))
        if candidate not in used:
            return str(candidate), number
    return None


class NodeIpamController:
    """See the module."""

    name = "nodeipam"

    def __init__(self, cluster_cidr: str = CLUSTER_CIDR) -> None:
        network = ipaddress.ip_network(cluster_cidr)
        if not isinstance(network, ipaddress.IPv4Network) or network.prefixlen > NODE_PREFIX:
            raise ValueError(f"--cluster-cidr {cluster_cidr}: an IPv4 range of /{NODE_PREFIX} or larger")
        self._cluster = network
        self._given: dict[str, str] = {}
        """Ranges given to Nodes, by name: also those that the cache does not show yet."""

    def start(self, run: Run) -> None:
        self._run = run
        self._nodes = run.informers.of(NODES)
        self._nodes.add_handler(self._changed)

    def _changed(self, _old: Object | None, new: Object | None) -> None:
        if new is None and _old is not None:
            self._given.pop(name_of(_old), None)
        elif new is not None:
            found = new.get("spec", {}).get("podCIDR")
            if found:
                self._given[name_of(new)] = found
            else:
                self._run.queue.add(name_of(new))

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.get(key)
        if node is None or node.get("spec", {}).get("podCIDR"):
            return None
        cidr = self._given.get(key)
        if cidr is None:
            found = range_of(self._cluster, self._given.values())
            if found is None:
                self._run.events.record(node, "Normal", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")
                return RETRY_S
            cidr = self._given[key] = found[0]
        patch = {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
        await self._run.client.patch(NODES, key, patch, kind=PatchKind.STRATEGIC)
        return None
