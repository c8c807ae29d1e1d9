"""NodeVolumeLimits: a node takes only so many volumes of a CSI driver as the driver says (in the node's CSINode).

Counted are the volumes of the pods there, and those attached besides. Source: `plugins/nodevolumelimits/csi.go`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from controllers.scheduler.framework import ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot
from controllers.scheduler.volumes import Volumes
from kube.objects import Object, key_of
from kube.storage import class_of, not_for_pod

NAME = "NodeVolumeLimits"
_FULL = rejection(NAME, Code.UNSCHEDULABLE, "node(s) exceed max volume count")

CsiVolume = tuple[str, str]
"""(driver, handle)."""


@dataclass(frozen=True, slots=True)
class State:
    """The CSI volumes that the pod brings along, existing ones and those still to be made."""

    wanted: frozenset[CsiVolume]
    volumes: Volumes


class NodeVolumeLimits:
    name = NAME
    wakes = ClusterEvent.CSI_NODE | ClusterEvent.POD_DELETE | ClusterEvent.CLAIM | ClusterEvent.ATTACHMENT_DELETE

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> State | None:
        if not pod.has_claims:
            return None
        wanted = csi_volumes(pod, snapshot.volumes)
        return State(frozenset(wanted), snapshot.volumes) if wanted else None

    def filter(self, state: State, node: NodeInfo) -> Rejection | None:
        limits = _limits(state.volumes.csi_nodes.get(node.name))
        if not limits:
            return None
        there: set[CsiVolume] = set()
        for pod in node.pods.values():
            if pod.has_claims:
                there |= csi_volumes(pod, state.volumes)
        used = Counter(driver for driver, _ in there | _attached(node.name, state.volumes))
        added = Counter(driver for driver, _ in state.wanted - there)
        return _FULL if any(driver in limits and used[driver] + count > limits[driver] for driver, count in added.items()) else None


def csi_volumes(pod: PodInfo, volumes: Volumes) -> set[CsiVolume]:
    """The CSI volumes behind the pod's claims. What is wrong with the claims is for VolumeBinding to say."""
    found: set[CsiVolume] = set()
    for each in pod.claims:
        claim = volumes.claims.get(f"{pod.namespace}/{each.name}")
        if claim is None or (each.is_ephemeral and not_for_pod(claim, pod.pod)):
            continue
        volume = _csi_volume(claim, volumes)
        if volume is not None:
            found.add(volume)
    return found


def _csi_volume(claim: Object, volumes: Volumes) -> CsiVolume | None:
    volume = volumes.volumes.get(claim["spec"].get("volumeName") or "")
    if volume is not None:
        source = volume["spec"].get("csi")
        return (source.get("driver", ""), source.get("volumeHandle", "")) if source else None
    storage_class = volumes.classes.get(class_of(claim))
    return None if storage_class is None else (storage_class.get("provisioner", ""), f"to be made for {key_of(claim)}")


def _limits(csi_node: Object | None) -> dict[str, int]:
    drivers = ((csi_node or {}).get("spec") or {}).get("drivers") or ()
    counts = ((each["name"], (each.get("allocatable") or {}).get("count")) for each in drivers)
    return {name: count for name, count in counts if count is not None}


def _attached(node: str, volumes: Volumes) -> set[CsiVolume]:
    found: set[CsiVolume] = set()
    for each in volumes.attachments_of(node):
        volume = volumes.volumes.get((each["spec"].get("source") or {}).get("persistentVolumeName") or "")
        source = (volume or {"spec": {}})["spec"].get("csi")
        if source and each["spec"].get("attacher"):
            found.add((each["spec"]["attacher"], source.get("volumeHandle", "")))
    return found
