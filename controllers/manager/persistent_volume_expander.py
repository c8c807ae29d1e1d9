"""Claims that ask for more than they have: says whom they wait for. Volumes grow by the hands of external resizers.

Source: upstream `pkg/controller/volume/expand/expand_controller.go`; of what it can expand itself nothing is left in v1.36 but fc.
"""

from __future__ import annotations

from datetime import datetime

from kube.objects import Object, annotations_of, key_of, namespace_of, uid_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, Record, Update, perform
from kube.storage import MIGRATED_PLUGINS, capacity, granted, requested

from .volume_binding import PRE_RESIZE_CAPACITY, phase_of

RESIZER = "volume.kubernetes.io/storage-resizer"
_MIGRATED_SOURCES = {
    "awsElasticBlockStore": "kubernetes.io/aws-ebs",
    "azureDisk": "kubernetes.io/azure-disk",
    "azureFile": "kubernetes.io/azure-file",
    "cinder": "kubernetes.io/cinder",
    "gcePersistentDisk": "kubernetes.io/gce-pd",
    "portworxVolume": "kubernetes.io/portworx-volume",
    "vsphereVolume": "kubernetes.io/vsphere-volume",
}


def plan(desired: Object, observed: Object | None, now: datetime) -> list[Action]:
    """What to say of the claim `desired`, whose volume is `observed`."""
    volume = observed
    if volume is None or phase_of(desired) != "Bound":
        return []
    reference = volume["spec"].get("claimRef") or {}
    if reference.get("namespace") != namespace_of(desired) or reference.get("uid") != uid_of(desired):
        return []
    is_growing_still = PRE_RESIZE_CAPACITY in annotations_of(volume)
    if requested(desired) <= granted(desired) and not is_growing_still:
        return []
    plugin = next((name for source, name in _MIGRATED_SOURCES.items() if source in volume["spec"]), "")
    if plugin:
        waits = f"CSI migration enabled for {plugin}; waiting for external resizer to expand the pvc"
        return [Record(desired, "Normal", "ExternalExpanding", waits), *_name_resizer(desired, MIGRATED_PLUGINS[plugin])]
    if is_growing_still and granted(desired) >= max(requested(desired), capacity(volume)):
        return [_forget_old_size(volume)]
    return [Record(desired, "Warning", "ExternalExpanding", "waiting for an external controller to expand this PVC")]


def _name_resizer(claim: Object, name: str) -> list[Action]:
    annotations = annotations_of(claim)
    if annotations.get(RESIZER) == name:
        return []
    return [Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "metadata": {**claim["metadata"], "annotations": {**annotations, RESIZER: name}}})]


def _forget_old_size(volume: Object) -> Patch:
    return Patch(PERSISTENT_VOLUMES, None, volume["metadata"]["name"], {"metadata": {"annotations": {PRE_RESIZE_CAPACITY: None}}})


class VolumeExpander:
    """Keys are namespace/name of claims."""

    name = "persistentvolume-expander"

    def start(self, run: Run) -> None:
        self.run = run
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.volumes = run.informers.of(PERSISTENT_VOLUMES)
        self.claims.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """It asks for more, or has got more: then its file system may have grown."""
        if new is None or phase_of(new) != "Bound":
            return
        if old is None or requested(new) > requested(old) or granted(new) > granted(old):
            self.run.queue.add(key_of(new))

    async def reconcile(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is None:
            return None
        volume = self.volumes.get(claim["spec"].get("volumeName") or "")
        await perform(plan(claim, volume, self.run.clock.now()), client=self.run.client, events=self.run.events)
        return None
