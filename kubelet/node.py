"""The Node object as its kubelet makes it, and the status it keeps reporting. Pure.

Names, reasons and messages: upstream `kubelet_node_status.go` and `nodestatus/setters.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

import orjson

from kube import quantity
from kube.clock import rfc3339
from kube.objects import Object, condition_of
from kubelet.runtime.base import ImageStatus

KUBELET_VERSION = "v1.36.2"
IMAGES_MAX = 50
"""How many images a Node's status lists (upstream's nodeStatusMaxImages)."""
PORT = 10250
DEFAULT_CAPACITY: Mapping[str, str] = {
    "cpu": "8",
    "memory": "32Gi",
    "ephemeral-storage": "100Gi",
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    "pods": "110",
}
DECLARED_FEATURES = (
    "ExtendWebSocketsToKubelet",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "RestartAllContainersOnContainerExits",
)
"""What a kubelet of v1.36 declares by default (component-helpers `nodedeclaredfeatures/features`), and this one does."""
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
_OF_THE_SERVER = frozenset({"uid", "creationTimestamp", "managedFields"})
"""What metadata need not say to it."""
READY_EVENTS = ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node is, apart from time. `port` is the kubelet server's, 0 for none."""

    name: str
    ips: Sequence[str]
    runtime_version: str
    capacity: Mapping[str, str] = field(default_factory=lambda: DEFAULT_CAPACITY)
    reserved: Mapping[str, str] = field(default_factory=dict)
    """What is kept from `allocatable`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Object] = ()
    port: int = 0
    os: str = "linux"
    arch: str = "amd64"
    machine_id: str = ""
    boot_id: str = ""
    kernel_version: str = "6.18.0-wherry"
    os_image: str = "Wherry (simulated)"


def node_of(facts: NodeFacts, now: datetime) -> Object:
    """A new Node, as it is registered."""
    metadata: Object = {"name": facts.name, "labels": labels_of_node(facts)}
    metadata["annotations"] = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
    spec: Object = {"taints": list(facts.taints)} if facts.taints else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status_of_node(facts, None, (), now)}


def labels_of_node(facts: NodeFacts) -> dict[str, str]:
    """The labels that are the kubelet's own, and those it was told to set."""
    own = {
        "beta.kubernetes.io/arch": facts.arch,
        "beta.kubernetes.io/os": facts.os,
        "kubernetes.io/arch": facts.arch,
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": facts.os,
    }
    return own | dict(facts.labels)


def status_of_node(facts: NodeFacts, old: Object | None, images: Iterable[ImageStatus], now: datetime) -> Object:
    """The status; conditions keep their lastTransitionTime from the `old` Node."""
    status: Object = {
        "addresses": [*({"type": "InternalIP", "address": each} for each in facts.ips), {"type": "Hostname", "address": facts.name}],
        "capacity": dict(facts.capacity),
        "allocatable": allocatable_of(facts),
        "conditions": [_condition(old, *each, now=now) for each in _CONDITIONS],
        "nodeInfo": _node_info(facts),
        "declaredFeatures": list(DECLARED_FEATURES),
    }
    if facts.port:
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": facts.port}}
    found = sorted(images, key=lambda each: each.size_bytes, reverse=True)[:IMAGES_MAX]
    if found:
        status["images"] = [{"names": [each.ref, each.name], "sizeBytes": each.size_bytes} for each in found]
    return status


def allocatable_of(facts: NodeFacts) -> dict[str, str]:
    """Capacity less what is reserved, never below zero."""
    left = dict(facts.capacity)
    for name, amount in facts.reserved.items():
        if name in left:
            rest = quantity.parse(left[name]) - quantity.parse(amount)
            left[name] = str(rest) if rest.nano >= 0 else "0"
    return left


def _condition(old: Object | None, kind: str, status: str, reason: str, message: str, *, now: datetime) -> Object:
    before = condition_of(old, kind) if old else None
    stays = before is not None and before.get("status") == status
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": rfc3339(now),
        "lastTransitionTime": (before or {}).get("lastTransitionTime") if stays else rfc3339(now),
        "reason": reason,
        "message": message,
    }


def _node_info(facts: NodeFacts) -> Object:
    return {
        "machineID": facts.machine_id,
        "systemUUID": facts.machine_id,
        "bootID": facts.boot_id,
        "kernelVersion": facts.kernel_version,
        "osImage": facts.os_image,
        "containerRuntimeVersion": facts.runtime_version,
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": facts.os,
        "architecture": facts.arch,
    }


def fingerprint(status: Object) -> bytes:
    """The same for two node statuses that differ in nothing but heartbeat times: then there is no hurry to write."""
    conditions = [{key: value for key, value in each.items() if key != "lastHeartbeatTime"} for each in status["conditions"]]
    return blake2b(orjson.dumps(status | {"conditions": conditions}, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def registration_patch(facts: NodeFacts, existing: Object) -> Object:
    """What a kubelet changes in the Node that it finds under its name: its own labels; {} when they are right."""
    labels = existing.get("metadata", {}).get("labels") or {}
    missing = {key: value for key, value in labels_of_node(facts).items() if labels.get(key) != value}
    return {"metadata": {"labels": missing}} if missing else {}


def lease_of(node: Object, *, now_micro: str, duration_s: int) -> Object:
    """The node's Lease in kube-node-lease."""
    name = node["metadata"]["name"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"].get("uid", "")}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": duration_s, "renewTime": now_micro},
    }


def beyond(lease: Object, made: Object) -> Object:
    """What a Lease of the server's says beyond the one that `lease_of` has made: its resourceVersion, and whatever others wrote to it."""
    return {
        part: {key: value for key, value in (lease.get(part) or {}).items() if key not in _OF_THE_SERVER and made[part].get(key) != value}
        for part in ("metadata", "spec")
    }


def joined(made: Object, more: Object) -> Object:
    """The Lease that `lease_of` has made, with what is `beyond` it; of the spec ours counts."""
    return made | {"metadata": made["metadata"] | more["metadata"], "spec": more["spec"] | made["spec"]}
