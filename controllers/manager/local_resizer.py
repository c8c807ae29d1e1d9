"""The resizer of `wherry.io/local`: volumes of ours grow when their claims ask for more. A directory needs nothing done for that.

It keeps to the protocol of external resizers: the claim says that it is being resized and to what, then the volume has its new size, then
the claim has. Source: kubernetes-csi/external-resizer `pkg/controller/controller.go`.
"""

from __future__ import annotations

from datetime import datetime

from kube.clock import rfc3339
from kube.objects import Object, is_deleting, key_of, name_of, with_condition
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.runtime.controller import Run
from kube.runtime.perform import Record, Update, perform
from kube.storage import capacity, granted, is_bound_to, requested

from .local_volume import is_ours
from .volume_binding import Plan, phase_of

_PROGRESS = ("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError")
STEPS_MAX = 4


def plan(desired: Object, observed: Object | None, now: datetime) -> Plan:
    """The next step towards the claim `desired` having the size that it asks for; `observed` is its volume."""
    wanted = requested(desired)
    if observed is None or phase_of(desired) != "Bound" or is_deleting(desired) or not is_ours(observed):
        return Plan()
    if not is_bound_to(observed, desired) or wanted <= granted(desired):
        return Plan()
    status, size = desired.get("status") or {}, str(wanted)
    if (status.get("allocatedResources") or {}).get("storage") != size or not _is_in_progress(status):
        return Plan([_status(desired, _begun(status, size, now)), _told(desired, observed)], more=True)
    if capacity(observed) < wanted:
        grown = {**(observed["spec"].get("capacity") or {}), "storage": size}
        return Plan([Update(PERSISTENT_VOLUMES, {**observed, "spec": {**observed["spec"], "capacity": grown}})], more=True)
    done = Record(desired, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded")
    return Plan([_status(desired, _finished(status, size)), done])


def _is_in_progress(status: Object) -> bool:
    return (status.get("allocatedResourceStatuses") or {}).get("storage") == "ControllerResizeInProgress"


def _begun(status: Object, size: str, now: datetime) -> Object:
    resizing = {"type": "Resizing", "status": "True", "lastProbeTime": None, "lastTransitionTime": rfc3339(now)}
    return {
        **status,
        "conditions": with_condition([each for each in status.get("conditions") or () if each["type"] not in _PROGRESS], resizing),
        "allocatedResources": {**(status.get("allocatedResources") or {}), "storage": size},
        "allocatedResourceStatuses": {**(status.get("allocatedResourceStatuses") or {}), "storage": "ControllerResizeInProgress"},
    }


def _finished(status: Object, size: str) -> Object:
    out = {key: value for key, value in status.items() if key not in ("conditions", "allocatedResourceStatuses")}
    conditions = [each for each in status.get("conditions") or () if each["type"] not in _PROGRESS]
    statuses = {key: value for key, value in (status.get("allocatedResourceStatuses") or {}).items() if key != "storage"}
    out["capacity"] = {**(status.get("capacity") or {}), "storage": size}
    return out | ({"conditions": conditions} if conditions else {}) | ({"allocatedResourceStatuses": statuses} if statuses else {})


def _status(claim: Object, status: Object) -> Update:
    return Update(PERSISTENT_VOLUME_CLAIMS, {**claim, "status": status}, subresource="status")


def _told(claim: Object, volume: Object) -> Record:
    return Record(claim, "Normal", "Resizing", f"External resizer is resizing volume {name_of(volume)}")


class LocalResizer:
    """Keys are namespace/name of claims."""

    name = "local-volume-resizer"

    def start(self, run: Run) -> None:
        self.run = run
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.volumes = run.informers.of(PERSISTENT_VOLUMES)
        self.claims.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and phase_of(new) == "Bound" and requested(new) > granted(new):
            self.run.queue.add(key_of(new))

    async def reconcile(self, key: str) -> float | None:
        for _ in range(STEPS_MAX):
            claim = self.claims.get(key)
            if claim is None:
                return None
            todo = plan(claim, self.volumes.get(claim["spec"].get("volumeName") or ""), self.run.clock.now())
            for action, answer in zip(
                todo.actions, await perform(todo.actions, client=self.run.client, events=self.run.events), strict=True
            ):
                if answer is not None and isinstance(action, Update):
                    (self.volumes if action.resource == PERSISTENT_VOLUMES else self.claims).put(answer)
            if not todo.more:
                break
        return None
