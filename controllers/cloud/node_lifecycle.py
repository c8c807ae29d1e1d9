"""Nodes whose machine is gone are deleted; those whose machine is stopped are tainted. Only nodes that are not ready are looked into.

Source: upstream cloud-provider `controllers/nodelifecycle/node_lifecycle_controller.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kube.client.client import PatchKind
from kube.objects import Object, is_condition_true, key_of, name_of, resource_version_of, uid_of
from kube.resources import NODES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, Patch, Record, perform

from .local_cloud import LocalCloud

PERIOD_S: Final = 5.0
SHUTDOWN: Final = {"key": "node.cloudprovider.kubernetes.io/shutdown", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the cloud says of a node's machine."""

    exists: bool = True
    is_shut_down: bool = False


def plan(desired: Object, observed: Machine, now: datetime) -> list[Action]:
    """What to do about the node."""
    name = name_of(desired)
    if is_condition_true(desired, "Ready"):
        return _tainted(desired, False)
    if observed.exists:
        return _tainted(desired, True) if observed.is_shut_down else []
    reference = {"kind": "Node", "apiVersion": "v1", "name": name, "uid": uid_of(desired)}
    told = Record(reference, "Normal", "DeletingNode", f"Deleting node {name} because it does not exist in the cloud provider")
    failed = Record(reference, "Warning", "DeletingNodeFailed", f"Failed deleting node {name}: {{error}}")
    return [told, Delete(NODES, None, name, uid=uid_of(desired), failed=failed)]


def _tainted(node: Object, shut_down: bool) -> list[Action]:
    taints = node["spec"].get("taints") or []
    others = [each for each in taints if (each.get("key"), each.get("effect")) != (SHUTDOWN["key"], SHUTDOWN["effect"])]
    if (len(others) != len(taints)) == shut_down:
        return []
    wanted = [*others, SHUTDOWN] if shut_down else others
    body = {"metadata": {"resourceVersion": resource_version_of(node)}, "spec": {"taints": wanted or None}}
    return [Patch(NODES, None, name_of(node), body, PatchKind.MERGE)]


class CloudNodeLifecycleController:
    """Keys are names of nodes; all are looked at every few seconds."""

    name = "cloud-node-lifecycle"
    tick_s = PERIOD_S

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    def start(self, run: Run) -> None:
        self.run = run
        self.nodes = run.informers.of(NODES)

    async def tick(self) -> None:
        for node in self.nodes.list():
            if plan(node, self._machine(node), self.run.clock.now()):
                self.run.queue.add(key_of(node))

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is not None:
            actions = plan(node, self._machine(node), self.run.clock.now())
            for answer in await perform(actions, client=self.run.client, events=self.run.events):
                if answer is not None:
                    self.nodes.put(answer)
        return None

    def _machine(self, node: Object) -> Machine:
        return Machine(self._cloud.exists(node), self._cloud.is_shut_down(node))
