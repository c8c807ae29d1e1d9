"""What to do about one PersistentVolumeClaim: bind it to the volume that it names or that suits it best, or have one made. Pure.

Promises: a claim gets a volume that offers all it asks for, or waits and says in an event for what; a claim that names no class gets the
default one as soon as there is one; a claim whose class waits for the first consumer is left to the scheduler; one that has lost its
volume is Lost. Read first: `volume_binding.py`; then `persistent_volume.py`, `persistent_volume_binder.py`.
Source: `syncClaim` in upstream `pkg/controller/volume/persistentvolume/pv_controller.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kube.objects import Object, annotations_of, name_of, uid_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS
from kube.runtime.perform import Record, Update
from kube.storage import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    MIGRATED_PLUGINS,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    STORAGE_PROVISIONER_BETA,
    binds_late,
    class_of,
    has_class,
    is_bound_to,
    matching_volume,
    mismatch,
)

from .volume_binding import Plan, bind, claim_status, migrated, phase_of

_IN_TREE = "kubernetes.io/"


@dataclass(frozen=True, slots=True)
class World:
    """`volume` is the one that the claim names; `candidates` are those nobody has and those reserved for the claim;
    `storage_class` is the claim's; `waiting` are the names of pods that use the claim and have no node."""

    volume: Object | None = None
    candidates: Sequence[Object] = ()
    storage_class: Object | None = None
    default_class: Object | None = None
    waiting: Sequence[str] = ()


def plan(desired: Object, observed: World, now: datetime) -> Plan:
    """The next step for the claim."""
    annotations = annotations_of(desired)
    marked = migrated(desired, annotations.get(STORAGE_PROVISIONER) or annotations.get(STORAGE_PROVISIONER_BETA))
    if marked is not None:
        return Plan([Update(PERSISTENT_VOLUME_CLAIMS, marked)], more=True)
    if BIND_COMPLETED in annotations_of(desired):
        return _keep_bound(desired, observed.volume)
    if desired["spec"].get("volumeName"):
        return _bind_named(desired, observed.volume)
    late = binds_late(observed.storage_class)
    volume = matching_volume(desired, observed.candidates, late=late)
    if volume is not None:
        return bind(volume, desired)
    if not has_class(desired) and observed.default_class is not None:
        spec = {**desired["spec"], "storageClassName": name_of(observed.default_class)}
        return Plan([Update(PERSISTENT_VOLUME_CLAIMS, {**desired, "spec": spec})], more=True)
    if late and SELECTED_NODE not in annotations_of(desired):
        return Plan([_wait_for_pod(desired, observed.waiting), *claim_status(desired, "Pending")])
    if class_of(desired):
        return _have_one_made(desired, observed.storage_class)
    nothing = "no persistent volumes available for this claim and no storage class is set"
    return Plan([Record(desired, "Normal", "FailedBinding", nothing), *claim_status(desired, "Pending")])


def _bind_named(claim: Object, volume: Object | None) -> Plan:
    """The user (or the scheduler) has chosen the volume."""
    if volume is None:
        return Plan(claim_status(claim, "Pending"))
    if is_bound_to(volume, claim):
        return bind(volume, claim)
    if volume["spec"].get("claimRef"):
        told = Record(claim, "Warning", "FailedBinding", f'volume "{name_of(volume)}" already bound to a different claim.')
        return Plan([told] if BOUND_BY_CONTROLLER in annotations_of(claim) else [told, *claim_status(claim, "Pending")])
    why = mismatch(volume, claim)
    if not why:
        return bind(volume, claim)
    message = f'Cannot bind to requested volume "{name_of(volume)}": {why}'
    return Plan([Record(claim, "Warning", "VolumeMismatch", message), *claim_status(claim, "Pending")])


def _keep_bound(claim: Object, volume: Object | None) -> Plan:
    """The claim was bound once: it stays so, or it is lost."""
    if not claim["spec"].get("volumeName"):
        return _lost(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    reference = volume["spec"].get("claimRef")
    if not reference or reference.get("uid") == uid_of(claim):
        return bind(volume, claim)
    return _lost(claim, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")


def _lost(claim: Object, reason: str, message: str) -> Plan:
    if phase_of(claim) == "Lost":
        return Plan()
    return Plan([*claim_status(claim, "Lost"), Record(claim, "Warning", reason, message)])


def _wait_for_pod(claim: Object, waiting: Sequence[str]) -> Record:
    if not waiting:
        return Record(claim, "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    pods = f"pod {waiting[0]}" if len(waiting) == 1 else f"pods {','.join(waiting)}"
    return Record(claim, "Normal", "WaitForPodScheduled", f"waiting for {pods} to be scheduled")


def _have_one_made(claim: Object, storage_class: Object | None) -> Plan:
    """Say on the claim whose turn it is. None of those who make volumes is part of this controller."""
    if storage_class is None:
        missing = f'storageclass.storage.k8s.io "{class_of(claim)}" not found'
        return Plan([Record(claim, "Warning", "ProvisioningFailed", missing)])
    named = str(storage_class.get("provisioner", ""))
    provisioner = MIGRATED_PLUGINS.get(named, named)
    if provisioner.startswith(_IN_TREE):
        return Plan([Record(claim, "Warning", "ProvisioningFailed", f"no volume plugin matched name: {provisioner}")])
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator."
        " If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    )
    told = Record(claim, "Normal", "ExternalProvisioning", message)
    if annotations_of(claim).get(STORAGE_PROVISIONER) == provisioner:
        return Plan([told])
    annotations = {**annotations_of(claim), STORAGE_PROVISIONER_BETA: provisioner, STORAGE_PROVISIONER: provisioner}
    return Plan([Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "metadata": {**claim["metadata"], "annotations": annotations}}), told])
