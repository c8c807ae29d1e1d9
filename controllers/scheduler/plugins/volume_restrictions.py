"""VolumeRestrictions: disks that only one node or pod can have at a time, and claims that only one pod may use (ReadWriteOncePod).

Source: `plugins/volumerestrictions/volume_restrictions.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controllers.scheduler.framework import ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot
from kube.storage import READ_WRITE_ONCE_POD

NAME = "VolumeRestrictions"
_DISKS = ("gcePersistentDisk", "awsElasticBlockStore", "rbd", "iscsi")
_DISK = rejection(NAME, Code.UNSCHEDULABLE, "node(s) had no available disk")
_IN_USE = rejection(
    NAME, Code.UNSCHEDULABLE, "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)


class VolumeRestrictions:
    name = NAME
    wakes = ClusterEvent.POD_DELETE | ClusterEvent.NODE_ADD | ClusterEvent.CLAIM

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> Sequence[Mapping[str, Any]] | Rejection | None:
        """The pod's disks that conflict with others. A claim that is not there cannot be asked whether it may be shared."""
        for each in pod.claims:
            if not each.is_ephemeral and snapshot.volumes.claims.get(f"{pod.namespace}/{each.name}") is None:
                return rejection(self.name, Code.UNRESOLVABLE, f'persistentvolumeclaim "{each.name}" not found')
        return [each for each in pod.spec.get("volumes") or () if any(kind in each for kind in _DISKS)] or None

    def filter(self, state: Sequence[Mapping[str, Any]], node: NodeInfo) -> Rejection | None:
        for pod in node.pods.values():
            for there in pod.spec.get("volumes") or ():
                if any(conflict(wanted, there) for wanted in state):
                    return _DISK
        return None

    def filter_tally(self, pod: PodInfo, snapshot: Snapshot) -> OnePodTally | None:
        """Where the claims are in use that only one pod may use."""
        known = snapshot.volumes.claims
        claims = {each.name for each in pod.claims if not each.is_ephemeral}
        exclusive = {each for each in claims if READ_WRITE_ONCE_POD in _modes(known.get(f"{pod.namespace}/{each}"))}
        return OnePodTally(pod.namespace, exclusive, snapshot) if exclusive else None


def _modes(claim: Mapping[str, Any] | None) -> Iterable[str]:
    return (claim or {"spec": {}})["spec"].get("accessModes") or ()


class OnePodTally:
    """On which nodes there are pods that use one of some claims of a namespace. While there is one, no node will do."""

    def __init__(self, namespace: str, claims: set[str], snapshot: Snapshot) -> None:
        self._namespace, self._claims = namespace, claims
        self._users: set[int] = set()
        for slot, node in enumerate(snapshot.slots):
            self.update(slot, node)

    def update(self, slot: int, node: NodeInfo | None) -> None:
        if node is not None and any(self._uses(pod) for pod in node.pods.values()):
            self._users.add(slot)
        else:
            self._users.discard(slot)

    def _uses(self, pod: PodInfo) -> bool:
        return pod.namespace == self._namespace and any(not each.is_ephemeral and each.name in self._claims for each in pod.claims)

    def begin(self) -> bool:
        return bool(self._users)

    def filter(self, node: NodeInfo) -> Rejection | None:
        return _IN_USE if self._users else None


# --- disks ------------------------------------------------------------------------------------------------------------------


def conflict(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether two volumes of pods are the same disk, used in a way that does not go together."""
    for kind in _DISKS:
        ours, theirs = wanted.get(kind), there.get(kind)
        if ours is not None and theirs is not None:
            if kind == "awsElasticBlockStore":
                return bool(ours.get("volumeID") == theirs.get("volumeID"))
            return _is_same(kind, ours, theirs) and not (ours.get("readOnly") and theirs.get("readOnly"))
    return False


def _is_same(kind: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    if kind == "gcePersistentDisk":
        return bool(ours.get("pdName") == theirs.get("pdName"))
    if kind == "iscsi":
        return bool(ours.get("iqn") == theirs.get("iqn"))
    monitors = set(ours.get("monitors") or ()) & set(theirs.get("monitors") or ())
    return bool(monitors) and ours.get("pool") == theirs.get("pool") and ours.get("image") == theirs.get("image")
