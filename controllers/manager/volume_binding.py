"""The two sides of a binding, step by step: what is still to be written so that a volume and a claim are each other's, or not any more.

A step is one write; whoever asks carries it out, takes in the answer and asks again until nothing is left. The volume is written first:
it can be bound to one claim only, so of two claims that want it the second meets a conflict. Pure.
Source: `bind`, `unbindVolume`, `updateClaimStatus` in upstream `pkg/controller/volume/persistentvolume/pv_controller.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kube.objects import Object, annotations_of, name_of
from kube.quantity import QuantityError, parse
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.runtime.perform import Action, Record, Update
from kube.storage import BIND_COMPLETED, BOUND_BY_CONTROLLER, MIGRATED_PLUGINS, MIGRATED_TO, bound, capacity, granted

PRE_RESIZE_CAPACITY = "volume.alpha.kubernetes.io/pre-resize-capacity"
"""On a volume whose file system has not grown with it: the size it had."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. `more`: once that is done, look again at once. `wakes`: the key of an object that has to be looked at, too."""

    actions: list[Action] = field(default_factory=list)
    more: bool = False
    wakes: str = ""


NOTHING = Plan()


def phase_of(obj: Object) -> str:
    return str((obj.get("status") or {}).get("phase", ""))


def bind(volume: Object, claim: Object) -> Plan:
    """The next step towards both being bound to each other."""
    reserved = bound(volume, claim)
    if reserved is not None:
        return Plan([Update(PERSISTENT_VOLUMES, reserved)], more=True)
    if phase_of(volume) != "Bound":
        return Plan([with_phase(volume, "Bound")], more=True)
    completed = _completed(claim, volume)
    if completed is not None:
        return Plan([Update(PERSISTENT_VOLUME_CLAIMS, completed)], more=True)
    return Plan(claim_status(claim, "Bound", volume))


def _completed(claim: Object, volume: Object) -> Object | None:
    """The claim, bound to the volume; None where it says so."""
    annotations = dict(annotations_of(claim))
    out = dict(claim)
    if claim["spec"].get("volumeName") != name_of(volume):
        out["spec"] = {**claim["spec"], "volumeName": name_of(volume)}
        annotations.setdefault(BOUND_BY_CONTROLLER, "yes")
    annotations.setdefault(BIND_COMPLETED, "yes")
    if annotations == annotations_of(claim) and out["spec"] is claim["spec"]:
        return None
    return {**out, "metadata": {**claim["metadata"], "annotations": annotations}}


def unbind(volume: Object) -> Plan:
    """Give the volume back. What a user has reserved stays reserved for the claim of that name."""
    annotations = dict(annotations_of(volume))
    spec = dict(volume["spec"])
    if annotations.pop(BOUND_BY_CONTROLLER, None) is not None:
        del spec["claimRef"]
    else:
        spec["claimRef"] = {key: value for key, value in spec["claimRef"].items() if key != "uid"}
    metadata = {**volume["metadata"], "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    return Plan([Update(PERSISTENT_VOLUMES, {**volume, "metadata": metadata, "spec": spec})], more=True)


def with_phase(volume: Object, phase: str, message: str = "") -> Update:
    """Say how the volume is."""
    status = {key: value for key, value in (volume.get("status") or {}).items() if key != "message"}
    status["phase"] = phase
    if message:
        status["message"] = message
    return Update(PERSISTENT_VOLUMES, {**volume, "status": status}, subresource="status")


def failed(volume: Object, reason: str, message: str) -> list[Action]:
    """Say that the volume has failed, once."""
    if phase_of(volume) == "Failed":
        return []
    return [with_phase(volume, "Failed", message), Record(volume, "Warning", reason, message)]


_OF_THE_VOLUME = ("accessModes", "capacity", "currentVolumeAttributesClassName")


def migrated(obj: Object, provisioner: str | None) -> Object | None:
    """The claim or volume with the mark of a provisioner whose work a CSI driver has taken over, or without; None where it is right."""
    if provisioner is None:
        return None
    annotations = annotations_of(obj)
    driver = MIGRATED_PLUGINS.get(provisioner)
    if annotations.get(MIGRATED_TO) == driver:
        return None
    wanted = {key: value for key, value in annotations.items() if key != MIGRATED_TO} | ({MIGRATED_TO: driver} if driver else {})
    return {**obj, "metadata": {**obj["metadata"], "annotations": wanted}}


def claim_status(claim: Object, phase: str, volume: Object | None = None) -> list[Action]:
    """Say how the claim is, and what its volume offers; nothing where that is said already."""
    before = claim.get("status") or {}
    status = {key: value for key, value in before.items() if key not in _OF_THE_VOLUME} | {"phase": phase}
    if volume is not None:
        is_new, attributes = phase_of(claim) != phase, volume["spec"].get("volumeAttributesClassName")
        said = {
            "accessModes": list(volume["spec"].get("accessModes") or ()),
            "capacity": _granted_at_first(claim, volume) if is_new else before.get("capacity"),
            "currentVolumeAttributesClassName": attributes if is_new else before.get("currentVolumeAttributesClassName"),
        }
        status |= {key: value for key, value in said.items() if value}
    if status == before:
        return []
    return [Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, subresource="status")]


def _granted_at_first(claim: Object, volume: Object) -> Object:
    """What a claim has that has just been bound. Later its size is for those to say who make volumes grow."""
    before = annotations_of(volume).get(PRE_RESIZE_CAPACITY)
    if before is not None:
        try:
            return {**((claim.get("status") or {}).get("capacity") or {}), "storage": str(parse(before))}
        except QuantityError:
            pass
    if granted(claim) == capacity(volume):
        return (claim.get("status") or {}).get("capacity") or {}
    return dict(volume["spec"].get("capacity") or {})
