"""What to do about one PersistentVolume: say whether it is Available, Bound or Released, and reclaim it as its policy says. Pure.

Promises: a volume whose claim is gone is Released; then Retain keeps it so, Delete deletes it (or waits for its provisioner to), and
Recycle has a pod empty it and makes it Available again. What goes wrong makes it Failed, and is tried again.
Read first: `volume_binding.py`.
Source: `syncVolume`, `reclaimVolume` in upstream `pkg/controller/volume/persistentvolume/pv_controller.go`; `pkg/volume/{hostpath,nfs}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kube.objects import Object, annotations_of, is_deleting, name_of, uid_of
from kube.resources import PERSISTENT_VOLUMES, PODS
from kube.runtime.perform import Action, Create, Delete, Record, Update
from kube.storage import MIGRATED_TO, PROVISIONED_BY, capacity, claim_key, differs_in_mode

from .volume_binding import NOTHING, Plan, failed, migrated, phase_of, unbind, with_phase

_DELETABLE_PATH = re.compile("/tmp/.+")
_KNOWN_SOURCES = ("nfs", "local")
"""Kinds of volumes that upstream's controller knows, and cannot delete."""
_RECYCLE_LEAST_S = {"hostPath": 60, "nfs": 300}
_RECYCLE_S_PER_GI = 30
RECYCLER_NAMESPACE = "default"
RECYCLER_IMAGE = "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6"
_SIMULATED = {"wherry.dev/exit-code": "0"}
"""On simulated nodes there is nothing to delete, and this says that it is done; real ones do not read it."""
_SCRUB = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'


@dataclass(frozen=True, slots=True)
class World:
    """`claim` is the claim that the volume names, whatever its uid; `users` are the keys of the pods that use a claim of that name;
    `recycler` is the pod that empties the volume."""

    claim: Object | None = None
    users: Sequence[str] = ()
    recycler: Object | None = None


def plan(desired: Object, observed: World, now: datetime) -> Plan:
    """The next step for the volume."""
    marked = migrated(desired, annotations_of(desired).get(PROVISIONED_BY))
    if marked is not None:
        return Plan([Update(PERSISTENT_VOLUMES, marked)], more=True)
    reference = desired["spec"].get("claimRef") or {}
    if not reference.get("uid"):
        return _become(desired, "Available")
    claim = observed.claim if observed.claim is not None and uid_of(observed.claim) == reference["uid"] else None
    if claim is None:
        return _release(desired, observed)
    volume_name = claim["spec"].get("volumeName") or ""
    if not volume_name:
        return _wait_for_claim(desired, claim)
    if volume_name == name_of(desired):
        return _become(desired, "Bound")
    if PROVISIONED_BY in annotations_of(desired) and desired["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
        return _release(desired, observed)  # made for the claim, which has found another one
    return unbind(desired)


def _become(volume: Object, phase: str) -> Plan:
    return NOTHING if phase_of(volume) == phase else Plan([with_phase(volume, phase)])


def _wait_for_claim(volume: Object, claim: Object) -> Plan:
    """The claim has not said yet that the volume is its: it has to be looked at."""
    if not differs_in_mode(claim, volume):
        return Plan(wakes=claim_key(volume))
    to_volume = f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{name_of(claim)}" due to incompatible volumeMode.'
    to_claim = f'Cannot bind PersistentVolume "{name_of(volume)}" to requested PersistentVolumeClaim due to incompatible volumeMode.'
    return Plan([Record(volume, "Warning", "VolumeMismatch", to_volume), Record(claim, "Warning", "VolumeMismatch", to_claim)])


def _release(volume: Object, observed: World) -> Plan:
    if phase_of(volume) not in ("Released", "Failed"):
        return Plan([with_phase(volume, "Released")], more=True)
    if MIGRATED_TO in annotations_of(volume):
        return NOTHING
    match volume["spec"].get("persistentVolumeReclaimPolicy"):
        case "Retain":
            return NOTHING
        case "Delete":
            return Plan(_delete(volume))
        case "Recycle":
            return _recycle(volume, observed)
    return Plan(failed(volume, "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy"))


def _delete(volume: Object) -> list[Action]:
    """Delete the volume, where nobody else has to delete what it stands for."""
    # deviates: the files of a hostPath volume under /tmp are left alone (upstream deletes them on the controller manager's machine).
    spec, provisioner = volume["spec"], annotations_of(volume).get(PROVISIONED_BY, "")
    if provisioner.startswith("kubernetes.io/"):
        return failed(volume, "VolumeFailedDelete", f"no volume plugin matched name: {provisioner}")
    if provisioner or "csi" in spec or is_deleting(volume):
        return []
    path = (spec.get("hostPath") or {}).get("path", "")
    if _DELETABLE_PATH.search(path):
        return [Delete(PERSISTENT_VOLUMES, None, name_of(volume), uid=uid_of(volume))]
    if "hostPath" in spec:
        return failed(volume, "VolumeFailedDelete", f"host_path deleter only supports /tmp/.+ but received provided {path}")
    reason = "no deletable volume plugin matched" if any(each in spec for each in _KNOWN_SOURCES) else "no volume plugin matched"
    return failed(volume, "VolumeFailedDelete", f'error getting deleter volume plugin for volume "{name_of(volume)}": {reason}')


# --- recycling ------------------------------------------------------------------------------------------------------------


def recycler_name(volume_name: str) -> str:
    return f"recycler-for-{volume_name}"


def _recycle(volume: Object, observed: World) -> Plan:
    if observed.users and observed.claim is None:
        return Plan([Record(volume, "Normal", "VolumeFailedRecycle", f"Volume is used by pods: {','.join(observed.users)}")])
    source = next((each for each in _RECYCLE_LEAST_S if each in volume["spec"]), "")
    if not source:
        return Plan(failed(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!"))
    pod = observed.recycler
    if pod is None:
        return Plan([Create(PODS, recycler_pod(volume, source))])
    gone = Delete(PODS, RECYCLER_NAMESPACE, name_of(pod), uid=uid_of(pod), grace_period_s=0)
    if phase_of(pod) == "Succeeded":
        return Plan([gone, Record(volume, "Normal", "VolumeRecycled", "Volume recycled"), *unbind(volume).actions], more=True)
    if phase_of(pod) == "Failed":
        why = (pod.get("status") or {}).get("message") or "pod failed, pod.Status.Message unknown"
        return Plan([gone, *failed(volume, "VolumeFailedRecycle", f"Recycle failed: {why}")])
    return NOTHING


def recycler_pod(volume: Object, source: str) -> Object:
    """The pod that deletes everything on the volume; it has the longer, the larger that is."""
    gibibytes = capacity(volume).value() // 2**30
    container = {
        "name": "pv-recycler",
        "image": RECYCLER_IMAGE,
        "command": ["/bin/sh"],
        "args": ["-c", _SCRUB],
        "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
    }
    spec = {
        "activeDeadlineSeconds": max(_RECYCLE_LEAST_S[source], gibibytes * _RECYCLE_S_PER_GI),
        "restartPolicy": "Never",
        "volumes": [{"name": "vol", source: volume["spec"][source]}],
        "containers": [container],
    }
    metadata = {"name": recycler_name(name_of(volume)), "namespace": RECYCLER_NAMESPACE, "annotations": _SIMULATED}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
