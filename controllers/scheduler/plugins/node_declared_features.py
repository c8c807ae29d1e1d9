"""NodeDeclaredFeatures: a pod that needs a feature which not every node of a supported version has goes where the node declares it.

What needs what is upstream's list of v1.36, as far as it matters to scheduling (the rest is about updates of running pods).
Source: `plugins/nodedeclaredfeatures/nodedeclaredfeatures.go`, component-helpers `nodedeclaredfeatures/features/registry.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.scheduler.framework import Change, ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot

RESTART_ALL = "RestartAllContainersOnContainerExits"
USER_NAMESPACES = "UserNamespacesHostNetworkSupport"


def required_features(spec: Mapping[str, Any]) -> frozenset[str]:
    """What a pod of that spec needs the node to declare."""
    needed = set()
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if any(rule.get("action") == "RestartAllContainers" for rule in container.get("restartPolicyRules") or ()):
            needed.add(RESTART_ALL)
    if spec.get("hostNetwork") and spec.get("hostUsers") is False:
        needed.add(USER_NAMESPACES)
    return frozenset(needed)


class NodeDeclaredFeatures:
    name = "NodeDeclaredFeatures"
    wakes = ClusterEvent.NODE_ADD | ClusterEvent.NODE_DECLARED_FEATURES

    def worth_trying(self, pod: PodInfo, change: Change, snapshot: Snapshot) -> bool:
        return change.node is not None and required_features(pod.spec) <= change.node.declared_features

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> frozenset[str] | None:
        return required_features(pod.spec) or None

    def filter(self, state: frozenset[str], node: NodeInfo) -> Rejection | None:
        if state <= node.declared_features:
            return None
        return rejection(self.name, Code.UNRESOLVABLE, "node(s) didn't match Pod's required features")
