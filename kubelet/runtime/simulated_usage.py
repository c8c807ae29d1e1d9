"""What a simulated container is said to use: its annotations', else KWOK's ResourceUsage objects', else a share of what it requests."""

from __future__ import annotations

import random
from datetime import datetime

from kube import quantity
from kube.objects import Object, annotations_of
from kubelet.runtime.simulated_pod import annotation
from kubelet.stages.expression import World
from kubelet.stages.usage import UsageSet

KWOK_PREFIX = "kwok.x-k8s.io/"
CPU_CORES, MEMORY_BYTES = 0.001, float(10 << 20)
"""Of a container that requests nothing."""
CPU_SHARE, MEMORY_SHARE = 0.1, 0.5
"""Of what it requests."""


def usage_of(pod: Object, container: Object, usages: UsageSet, *, node_name: str, now: datetime, rng: random.Random) -> tuple[int, int]:
    """(nanocores, bytes) that a container uses now."""
    objects = {"pod": pod, "container": container, "node": {"metadata": {"name": node_name}}}
    world = World(now, rng.random, objects) if usages else None

    def amount(resource: str, share: float, otherwise: float) -> float:
        asked = _annotated(pod, container["name"], resource)
        if asked is None and world is not None:
            asked = usages.amount(pod, container, resource, world)
        if asked is not None:
            return asked
        request = ((container.get("resources") or {}).get("requests") or {}).get(resource)
        return quantity.parse(request).nano / 1e9 * share if request is not None else otherwise

    return round(amount("cpu", CPU_SHARE, CPU_CORES) * 1e9), int(amount("memory", MEMORY_SHARE, MEMORY_BYTES))


def _annotated(pod: Object, container: str, resource: str) -> float | None:
    """What an annotation says, ours or KWOK's; what is no amount counts for nothing."""
    text = annotation(pod, container, f"usage-{resource}") or annotations_of(pod).get(f"{KWOK_PREFIX}usage-{resource}")
    try:
        found = quantity.parse(text) if text else None
    except quantity.QuantityError:
        return None
    return found.nano / 1e9 if found is not None and found.nano >= 0 else None
