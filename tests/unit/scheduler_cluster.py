"""Pods, nodes and snapshots for the tests of the scheduler."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from controllers.scheduler.framework import Rejection
from controllers.scheduler.plugins.default import default_profile
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.schedule import Decision, Evaluations, schedule
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def make_node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", zone: str = "", **rest: Any) -> Object:
    """`labels`, `taints`, `unschedulable`, `allocatable` (more of it), `images` and `declaredFeatures` may be given."""
    labels = {HOSTNAME: name} | ({ZONE: zone} if zone else {}) | rest.get("labels", {})
    spec = {key: rest[key] for key in ("taints", "unschedulable") if key in rest}
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, "ephemeral-storage": "100Gi"} | rest.get("allocatable", {})
    status: Object = {"allocatable": allocatable} | {key: rest[key] for key in ("images", "declaredFeatures") if key in rest}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def make_pod(
    name: str,
    *,
    cpu: str = "",
    memory: str = "",
    labels: Mapping[str, str] | None = None,
    node: str = "",
    namespace: str = "default",
    requests: Mapping[str, str] | None = None,
    container: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    asked = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value} | dict(requests or {})
    main = {"name": "main", "image": "nginx", "resources": {"requests": asked} if asked else {}, **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": dict(labels or {}), **(metadata or {})},
        "spec": {"schedulerName": "default-scheduler", "containers": [main], **({"nodeName": node} if node else {}), **spec},
        "status": {"phase": "Pending", **(status or {})},
    }


def owned_by(kind: str, name: str) -> dict[str, Any]:
    """Metadata of a pod with that controller."""
    return {"ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}]}


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> Object:
    return {"key": key, "value": value, "effect": effect}


def make_snapshot(nodes: Iterable[Object], pods: Iterable[Object] = ()) -> Snapshot:
    snapshot = Snapshot()
    for node in nodes:
        snapshot.set_node(node)
    for pod in pods:
        snapshot.set_pod(PodInfo(pod))
    return snapshot


PROFILE = default_profile()


def decide(pod: Object, snapshot: Snapshot, *, profile: Profile = PROFILE, seed: int = 0, memory: Evaluations | None = None) -> Decision:
    return schedule(PodInfo(pod), snapshot, profile, rng=random.Random(seed), memory=memory)


def reasons(pod: Object, *nodes: Object, pods: Iterable[Object] = ()) -> dict[str, Rejection]:
    """Why the pod gets none of the nodes."""
    decision = decide(pod, make_snapshot(nodes, pods))
    assert decision.node is None, f"it fits on {decision.node}"
    return dict(decision.rejections)


def placements(pod: Object, snapshot: Snapshot) -> set[str]:
    """All the nodes that a pod may end up on, when chance is tried often enough."""
    return {decide(pod, snapshot, seed=seed).node or "" for seed in range(60)}
