"""Pods that nobody will ever clean up: on nodes that are gone, deleted before they were scheduled, or finished in great numbers.

Source: upstream `pkg/controller/podgc/gc_controller.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kube.client.client import PatchKind
from kube.clock import rfc3339
from kube.errors import Conflict, NotFound
from kube.objects import Object, is_deleting, name_of, namespace_of, uid_of
from kube.resources import NODES, PODS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, Patch, perform

from .index import NODE, with_nodes
from .node_health import OUT_OF_SERVICE, ready_status
from .pod import is_terminal

PERIOD_S = 20.0
QUARANTINE_S = 40.0
"""So long a node must have been missing before its pods are given up: a node may be made again under its old name."""
TERMINATED_MAX = 12_500


@dataclass(frozen=True, slots=True)
class Nodes:
    """`gone` are the names of nodes that do not exist, says the server; `out_of_service` those declared lost by the taint."""

    gone: Collection[str] = ()
    out_of_service: Collection[str] = ()


def plan(desired: int, observed: Iterable[Object], now: datetime, *, nodes: Nodes) -> list[Action]:
    """The pods to fail and delete. `desired` is how many finished pods may stay (0 or less: all), `observed` are all pods."""
    actions: list[Action] = []
    finished: list[Object] = []
    for pod in observed:
        node = pod["spec"].get("nodeName", "")
        if node in nodes.gone:
            actions += _give_up(pod, now, "PodGC: node no longer exists")
        elif is_deleting(pod) and (not node or node in nodes.out_of_service):
            actions += _give_up(pod, now)
        elif is_terminal(pod):
            finished.append(pod)
    surplus = len(finished) - desired if desired > 0 else 0
    for pod in sorted(finished, key=_age_key)[: max(0, surplus)]:
        actions += _give_up(pod, now)
    return actions


def _age_key(pod: Object) -> tuple[bool, str, str]:
    """Evicted ones first, then the oldest."""
    is_evicted = (pod.get("status") or {}).get("reason") == "Evicted"
    return not is_evicted, pod["metadata"].get("creationTimestamp") or "", name_of(pod)


def _give_up(pod: Object, now: datetime, why: str = "") -> list[Action]:
    """Mark the pod as failed, so that whoever counts it counts a failure, and delete it for good."""
    namespace, name = namespace_of(pod), name_of(pod)
    deleted = Delete(PODS, namespace, name, uid=uid_of(pod), grace_period_s=0)
    if is_terminal(pod):
        return [deleted]
    status: Object = {"phase": "Failed"}
    if why:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": why}
        status["conditions"] = [condition | {"lastTransitionTime": rfc3339(now)}]
    return [Patch(PODS, namespace, name, {"status": status}, PatchKind.STRATEGIC, "status"), deleted]


class PodGarbageCollector:
    """Sweeps every 20 s. It has no keys."""

    name = "pod-garbage-collector"
    tick_s = PERIOD_S

    def __init__(self, *, terminated_max: int = TERMINATED_MAX) -> None:
        self._terminated_max = terminated_max
        self._missing_since: dict[str, datetime] = {}

    def start(self, run: Run) -> None:
        self.run = run
        self.pods = with_nodes(run.informers.of(PODS))
        self.nodes = run.informers.of(NODES)

    async def reconcile(self, key: str) -> float | None:
        return None

    async def tick(self) -> None:
        now = self.run.clock.now()
        pods = self.pods.list()
        nodes = Nodes(gone=await self._gone(pods, now), out_of_service=self._out_of_service())
        for action in plan(self._terminated_max, pods, now, nodes=nodes):
            try:
                await perform([action], client=self.run.client, events=self.run.events)
            except (NotFound, Conflict):
                continue  # it went by itself, or changed: the next sweep looks again

    async def _gone(self, pods: Iterable[Object], now: datetime) -> set[str]:
        """The nodes named by pods that have been missing for long enough, and are, says the server, still missing."""
        named = {pod["spec"].get("nodeName", "") for pod in pods} - {""}
        missing = {name for name in named if self.nodes.get(name) is None}
        self._missing_since = {name: self._missing_since.get(name, now) for name in missing}
        gone = set()
        for name, since in self._missing_since.items():
            if now - since >= timedelta(seconds=QUARANTINE_S) and self.pods.by_index(NODE, name):
                try:
                    await self.run.client.get(NODES, name)
                except NotFound:
                    gone.add(name)
        return gone

    def _out_of_service(self) -> set[str]:
        return {name_of(node) for node in self.nodes.list() if ready_status(node) != "True" and _is_out_of_service(node)}


def _is_out_of_service(node: Object) -> bool:
    return any(each["key"] == OUT_OF_SERVICE for each in node["spec"].get("taints") or ())
