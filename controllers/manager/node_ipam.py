"""Node IPAM: every Node gets a range of pod addresses of its own, `spec.podCIDR`, out of the cluster's range.

Promises: no two Nodes have overlapping ranges; a Node that has one keeps it; when the range is used up, the Node says so in an event and
gets one as soon as another Node goes. Source: upstream `pkg/controller/nodeipam/ipam/range_allocator.go` (RangeAllocator).
"""

from __future__ import annotations

import ipaddress
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, name_of
from kube.resources import NODES
from kube.runtime.controller import Run

CLUSTER_CIDR: Final = "10.244.0.0/16"
NODE_PREFIX: Final = 24
RETRY_S: Final = 30.0
_NODE_PREFIX_MAX: Final = 30


class Ranges:
    """The node ranges of a cluster's range, in order, and which of them are taken. Ranges from elsewhere may be taken, too: they cover none
    of these, or (larger ones, which somebody wrote by hand) several."""

    def __init__(self, cluster_cidr: str = CLUSTER_CIDR, node_prefix: int = NODE_PREFIX) -> None:
        """Raises ValueError, with the flag at fault, for ranges that cannot be divided so."""
        try:
            cluster = ipaddress.ip_network(cluster_cidr)
        except ValueError as error:
            raise ValueError(f"--cluster-cidr {cluster_cidr}: {error}") from None
        if not isinstance(cluster, ipaddress.IPv4Network):
            raise ValueError(f"--cluster-cidr {cluster_cidr}: must be an IPv4 range")
        if not cluster.prefixlen <= node_prefix <= _NODE_PREFIX_MAX:
            raise ValueError(
                f"--node-cidr-mask-size {node_prefix}: must be from {cluster.prefixlen} (--cluster-cidr) to {_NODE_PREFIX_MAX}"
            )
        self._prefix, self._size = node_prefix, 1 << (32 - node_prefix)
        self._first, self._count = int(cluster.network_address), 1 << (node_prefix - cluster.prefixlen)
        self._takers: dict[int, int] = {}
        """How many nodes have taken a range, by its number."""
        self._next = 0
        """All below are taken."""

    def take(self, cidr: str) -> None:
        for number in self._numbers(cidr):
            self._takers[number] = self._takers.get(number, 0) + 1

    def give_back(self, cidr: str) -> None:
        for number in self._numbers(cidr):
            self._takers[number] = self._takers.get(number, 1) - 1
            if self._takers[number] <= 0:
                del self._takers[number]
                self._next = min(self._next, number)

    def first_free(self) -> str | None:
        """None when all are taken."""
        while self._next in self._takers:
            self._next += 1
        if self._next >= self._count:
            return None
        return str(ipaddress.IPv4Network((self._first + self._next * self._size, self._prefix)))

    def _numbers(self, cidr: str) -> range:
        """The ranges that a range overlaps."""
        try:
            network = ipaddress.ip_network(cidr, strict=False)
        except ValueError:
            return range(0)
        if not isinstance(network, ipaddress.IPv4Network):
            return range(0)
        low, high = int(network.network_address) - self._first, int(network.broadcast_address) - self._first
        return range(max(low // self._size, 0), min(high // self._size + 1, self._count))


class NodeIpamController:
    """See the module."""

    name = "nodeipam"

    def __init__(self, cluster_cidr: str = CLUSTER_CIDR, node_prefix: int = NODE_PREFIX) -> None:
        """Raises ValueError: see `Ranges`."""
        self._ranges = Ranges(cluster_cidr, node_prefix)
        self._given: dict[str, str] = {}
        """Ranges given to Nodes, by name: also those that the cache does not show yet."""

    def start(self, run: Run) -> None:
        self._run = run
        self._nodes = run.informers.of(NODES)
        self._nodes.add_handler(self._changed)

    def _changed(self, _old: Object | None, new: Object | None) -> None:
        if new is None and _old is not None:
            self._give(name_of(_old), None)
        elif new is not None:
            found = new.get("spec", {}).get("podCIDR")
            if found:
                self._give(name_of(new), found)
            else:
                self._run.queue.add(name_of(new))

    def _give(self, name: str, cidr: str | None) -> None:
        before = self._given.pop(name, None)
        if cidr is not None:
            self._given[name] = cidr
        if before != cidr:
            if before is not None:
                self._ranges.give_back(before)
            if cidr is not None:
                self._ranges.take(cidr)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.get(key)
        if node is None or node.get("spec", {}).get("podCIDR"):
            return None
        cidr = self._given.get(key)
        if cidr is None:
            cidr = self._ranges.first_free()
            if cidr is None:
                self._run.events.record(node, "Normal", "CIDRNotAvailable", f"Node {key} status is now: CIDRNotAvailable")
                return RETRY_S
            self._give(key, cidr)
        patch = {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
        await self._run.client.patch(NODES, key, patch, kind=PatchKind.STRATEGIC)
        return None
