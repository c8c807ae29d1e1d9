"""Pages of metrics that KWOK's `Metric` objects describe, for one node. Its pods' usage is the runtime's statistics."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime

from kube.objects import Object, name_of, namespace_of, uid_of
from kubelet.runtime.base import ContainerStats
from kubelet.stages.expression import World
from kubelet.stages.metric import Metric, Objects


def page(metric: Metric, node: Object, pods: Sequence[Object], stats: Sequence[ContainerStats], now: datetime, rng: random.Random) -> str:
    """The text of a page. Pure, but for the `random.Random` handed in."""
    running = {uid_of(pod): pod for pod in pods}
    of_pods: list[Objects] = [{"node": node, "pod": pod} for pod in running.values()]
    of_containers: list[Objects] = [
        {"node": node, "pod": pod, "container": container} for pod in running.values() for container in pod["spec"].get("containers") or ()
    ]
    used, total = _Used(pods, stats, total=False), _Used(pods, stats, total=True)

    def world(objects: Objects) -> World:
        return World(now, rng.random, objects, used, total, lambda _: float(len(stats)))

    by_dimension: Mapping[str, Sequence[Objects]] = {"node": [{"node": node}], "pod": of_pods, "container": of_containers}
    return metric.page(by_dimension, world)


class _Used:
    """Usage now, or in all (`total`), of a node, a pod, or a container of one."""

    def __init__(self, pods: Sequence[Object], stats: Sequence[ContainerStats], *, total: bool) -> None:
        self._total, self._stats = total, stats
        self._uids = {(namespace_of(pod), name_of(pod)): uid_of(pod) for pod in pods}

    def __call__(self, of: Object, resource: str, container: str) -> float:
        uid = self._uids.get((namespace_of(of), name_of(of)), "") if namespace_of(of) else None
        found = [each for each in self._stats if (uid is None or each.pod_uid == uid) and container in ("", each.name)]
        return sum(self._amount(each, resource) for each in found)

    def _amount(self, stats: ContainerStats, resource: str) -> float:
        if resource == "cpu":
            return (stats.cpu_usage_core_nanos if self._total else stats.cpu_usage_nano_cores) / 1e9
        return float(stats.memory_working_set_bytes) if resource == "memory" else 0.0
