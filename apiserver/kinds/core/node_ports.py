"""Node ports: a set in memory, filled from the stored services when it is first needed. A store that several servers can share will
have to hold it, as upstream's does; none can today.

Source: kubernetes `pkg/registry/core/service/portallocator`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from kube.objects import Object
from kube.resources import SERVICES

FIRST, LAST = 30000, 32767
STATIC_SIZE = 86
"""The ports at the start of the range that are given out last, kept for those who ask for one (KEP-3668)."""


class PortNotAllocated(Exception):
    """The text is upstream's."""


class NodePorts:
    """The ports in use. `claim` and `claim_any` are atomic (they never await)."""

    def __init__(self, used: Iterable[int] = ()) -> None:
        self.used = set(used)

    def claim(self, port: int) -> None:
        if not FIRST <= port <= LAST:
            raise PortNotAllocated(f"provided port is not in the valid range. The range of valid ports is {FIRST}-{LAST}")
        if port in self.used:
            raise PortNotAllocated("provided port is already allocated")
        self.used.add(port)

    def claim_any(self, rng: random.Random) -> int:
        for low, high in ((FIRST + STATIC_SIZE, LAST), (FIRST, FIRST + STATIC_SIZE - 1)):
            count = high - low + 1
            start = rng.randrange(count)
            for step in range(count):
                port = low + (start + step) % count
                if port not in self.used:
                    self.used.add(port)
                    return port
        raise PortNotAllocated("range is full")

    def release(self, ports: Iterable[int]) -> None:
        self.used.difference_update(ports)


def ports_of(spec: Object) -> list[int]:
    """The node ports of a service's spec, without the health check's."""
    return [each["nodePort"] for each in spec.get("ports") or () if each.get("nodePort")]


def all_ports_of(spec: Object) -> list[int]:
    """The node ports that a service holds."""
    ports = ports_of(spec) if spec.get("type") in ("NodePort", "LoadBalancer") else []
    return [*ports, spec["healthCheckNodePort"]] if spec.get("healthCheckNodePort") else ports


_OF: WeakKeyDictionary[Any, NodePorts] = WeakKeyDictionary()
_FILLING: WeakKeyDictionary[Any, asyncio.Lock] = WeakKeyDictionary()


async def of(registries: Any) -> NodePorts:
    """The node ports of one server."""
    found = _OF.get(registries)
    if found is not None:
        return found
    async with _FILLING.setdefault(registries, asyncio.Lock()):
        if registries not in _OF:
            services = await registries.get(SERVICES).list_objects("")
            _OF[registries] = NodePorts(port for each in services for port in all_ports_of(each["spec"]))
    return _OF[registries]
