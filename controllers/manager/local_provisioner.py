"""The provisioner of `wherry.io/local`: makes volumes for claims that wait for it, and deletes those whose claims are gone.

It keeps to the protocol of external provisioners, so it works beside any volume binder, upstream's, too: a claim that carries our name in
its annotation is ours to serve, once a node is chosen for it if its class waits for that; the finalizer keeps a volume until its directory
is deleted. Directories are deleted only under the one that this process was given, if any: on simulated nodes volumes are but names.
Read first: `local_volume.py`. Source: sigs.k8s.io/sig-storage-lib-external-provisioner.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kube.errors import AlreadyExists
from kube.objects import Object, annotations_of, is_deleting, key_of, name_of, uid_of
from kube.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Delete, Record, Update, perform
from kube.storage import (
    DELETION_PROTECTION,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
    allows_topology,
    binds_late,
    class_of,
)

from .local_volume import PROVISIONER, is_ours, new_volume, refusal, volume_name
from .volume_binding import phase_of

RETRY_S = 15.0


@dataclass(frozen=True, slots=True)
class World:
    """`node` is the one that the scheduler has chosen; `volume` is the one that was made for the claim already."""

    storage_class: Object | None = None
    node: Object | None = None
    volume: Object | None = None


def is_for_us(claim: Object) -> bool:
    """Whether the claim waits for a volume of ours."""
    annotations = annotations_of(claim)
    named = annotations.get(STORAGE_PROVISIONER) or annotations.get(STORAGE_PROVISIONER_BETA)
    return named == PROVISIONER and not claim["spec"].get("volumeName") and not is_deleting(claim)


def plan(desired: Object, observed: World, now: datetime, *, directory: str = "") -> list[Action]:
    """Make the volume of the claim, or say why not."""
    storage_class = observed.storage_class
    if not is_for_us(desired) or observed.volume is not None or storage_class is None:
        return []
    if storage_class.get("provisioner") != PROVISIONER:
        return []
    chosen = annotations_of(desired).get(SELECTED_NODE, "")
    if binds_late(storage_class) and not chosen:
        return []
    why = refusal(desired)
    if chosen and observed.node is None:
        why = f'failed to get target node: node "{chosen}" not found'
    elif not why and observed.node is not None and not allows_topology(storage_class, observed.node["metadata"].get("labels") or {}):
        why = f'node "{chosen}" is not in the allowed topologies'
    if why:
        message = f'failed to provision volume with StorageClass "{class_of(desired)}": {why}'
        return [Record(desired, "Warning", "ProvisioningFailed", message), *(_choose_again(desired) if chosen else [])]
    volume = new_volume(desired, storage_class, observed.node, directory=directory)
    begun = Record(desired, "Normal", "Provisioning", f'External provisioner is provisioning volume for claim "{key_of(desired)}"')
    done = Record(desired, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name_of(volume)}")
    failed = Record(desired, "Warning", "ProvisioningFailed", f"Error saving volume {name_of(volume)}: {{error}}")
    return [begun, Create(PERSISTENT_VOLUMES, volume, done=done, failed=failed)]


def _choose_again(claim: Object) -> list[Action]:
    """Tell the scheduler that its node will not do, by taking its choice away."""
    annotations = {key: value for key, value in annotations_of(claim).items() if key != SELECTED_NODE}
    return [Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "metadata": {**claim["metadata"], "annotations": annotations}})]


def plan_volume(desired: Object, now: datetime) -> list[Action]:
    """Delete the volume if it is released, and let it go; keep it with a finalizer as long as it is ours to delete."""
    if not is_ours(desired):
        return []
    finalizers = desired["metadata"].get("finalizers") or []
    is_kept = DELETION_PROTECTION in finalizers
    if desired["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
        return _with_finalizers(desired, [each for each in finalizers if each != DELETION_PROTECTION]) if is_kept else []
    if is_released(desired):
        gone = [] if is_deleting(desired) else [Delete(PERSISTENT_VOLUMES, None, name_of(desired), uid=uid_of(desired))]
        let_go = _with_finalizers(desired, [each for each in finalizers if each != DELETION_PROTECTION])
        return [*gone] if gone or not is_kept else let_go
    return [] if is_kept or is_deleting(desired) else _with_finalizers(desired, [*finalizers, DELETION_PROTECTION])


def is_released(volume: Object) -> bool:
    """Whether it is time to delete what the volume stands for."""
    deletes = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    return is_ours(volume) and deletes and phase_of(volume) in ("Released", "Failed")


def _with_finalizers(volume: Object, finalizers: list[str]) -> list[Action]:
    return [Update(PERSISTENT_VOLUMES, {**volume, "metadata": {**volume["metadata"], "finalizers": finalizers}})]


def deletable(volume: Object, directory: str) -> Path | None:
    """The directory to delete with the volume: one of those right under `directory` that is named after it; None for all others."""
    path = Path((volume["spec"].get("hostPath") or {}).get("path") or "/")
    named_after = path.name.startswith(f"{name_of(volume)}_")
    return path if directory and named_after and path.parent == Path(directory) and ".." not in path.parts else None


class LocalProvisioner:
    """Keys are namespace/name of claims, and names of volumes. `directory`: where the directories are on this machine, if they are."""

    name = "local-volume-provisioner"

    def __init__(self, directory: str = "") -> None:
        self._directory = directory

    def start(self, run: Run) -> None:
        self.run = run
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.volumes = run.informers.of(PERSISTENT_VOLUMES)
        self.classes = run.informers.of(STORAGE_CLASSES)
        self.nodes = run.informers.of(NODES)
        self.claims.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None and is_for_us(new) else None)
        self.volumes.add_handler(lambda old, new: run.queue.add(name_of(new)) if new is not None and is_ours(new) else None)
        self.classes.add_handler(self._class_changed)

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and new.get("provisioner") == PROVISIONER:
            for claim in self.claims.list():
                if is_for_us(claim) and class_of(claim) == name_of(new):
                    self.run.queue.add(key_of(claim))

    async def reconcile(self, key: str) -> float | None:
        return await (self._provision(key) if "/" in key else self._reclaim(key))

    async def _provision(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is None:
            return None
        chosen = annotations_of(claim).get(SELECTED_NODE, "")
        node = self.nodes.get(chosen) if chosen else None
        world = World(self.classes.get(class_of(claim)), node, self.volumes.get(volume_name(claim)))
        todo = plan(claim, world, self.run.clock.now(), directory=self._directory)
        try:
            answers = await perform(todo, client=self.run.client, events=self.run.events)
        except AlreadyExists:
            return None
        for action, answer in zip(todo, answers, strict=True):
            if answer is not None:
                (self.volumes if isinstance(action, Create) else self.claims).put(answer)
        return RETRY_S if todo and not any(isinstance(each, Create) for each in todo) else None

    async def _reclaim(self, key: str) -> float | None:
        volume = self.volumes.get(key)
        if volume is None:
            return None
        path = deletable(volume, self._directory) if is_released(volume) else None
        if path is not None:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        todo = plan_volume(volume, self.run.clock.now())
        for answer in await perform(todo, client=self.run.client, events=self.run.events):
            if answer is not None and name_of(answer) == key:
                self.volumes.put(answer)
        return None
