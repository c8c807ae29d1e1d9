"""VolumeZone: a bound volume whose labels name a zone or region goes only to nodes there. Nodes without such labels are anywhere.

Source: `plugins/volumezone/volume_zone.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controllers.scheduler.framework import ClusterEvent, Code, Rejection, rejection
from controllers.scheduler.node_info import REGION, ZONE, NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot
from kube.objects import Object, labels_of
from kube.storage import binds_late, class_of

NAME = "VolumeZone"
ZONE_BETA, REGION_BETA = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
_TODAY = {ZONE_BETA: ZONE, REGION_BETA: REGION, ZONE: ZONE, REGION: REGION}
"""The labels that say where something is, and what they are called today."""
_ELSEWHERE = rejection(NAME, Code.UNRESOLVABLE, "node(s) had no available volume zone")

Place = tuple[str, frozenset[str]]
"""(label, the values of which one will do)."""


class VolumeZone:
    name = NAME
    wakes = ClusterEvent.STORAGE_CLASS | ClusterEvent.NODE_ADD | ClusterEvent.NODE_LABEL | ClusterEvent.CLAIM | ClusterEvent.VOLUME

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> Sequence[Place] | Rejection | None:
        places: list[Place] = []
        for each in pod.claims:
            if each.is_ephemeral:
                continue
            found = self._places(f"{pod.namespace}/{each.name}", each.name, snapshot)
            if isinstance(found, Rejection):
                return found
            places += found
        return places or None

    def _places(self, key: str, name: str, snapshot: Snapshot) -> list[Place] | Rejection:
        volumes = snapshot.volumes
        claim = volumes.claims.get(key)
        if claim is None:
            return self._no(f'persistentvolumeclaim "{name}" not found')
        volume_name = claim["spec"].get("volumeName") or ""
        if volume_name:
            volume = volumes.volumes.get(volume_name)
            return list(places_of(volume)) if volume is not None else self._no(f'persistentvolume "{volume_name}" not found')
        wanted = class_of(claim)
        if not wanted:
            return self._no("PersistentVolumeClaim had no pv name and storageClass name")
        storage_class = volumes.classes.get(wanted)
        if storage_class is None:
            return self._no(f'storageclass.storage.k8s.io "{wanted}" not found')
        return [] if binds_late(storage_class) else self._no("PersistentVolume had no name")

    def _no(self, reason: str) -> Rejection:
        return rejection(self.name, Code.UNRESOLVABLE, reason)

    def filter(self, state: Sequence[Place], node: NodeInfo) -> Rejection | None:
        if not any(label in node.labels for label in _TODAY):
            return None
        for label, values in state:
            if node.labels.get(label, node.labels.get(_TODAY[label])) not in values:
                return _ELSEWHERE
        return None


def places_of(volume: Object) -> Iterator[Place]:
    """Where the volume's labels say that it is; several zones are joined by `__`."""
    labels = labels_of(volume)
    for label in _TODAY:
        values = [each.strip() for each in labels[label].split("__")] if label in labels else []
        if values and all(values):
            yield label, frozenset(values)
