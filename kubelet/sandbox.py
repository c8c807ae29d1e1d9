"""Making a pod's sandbox: once its claims are bound and its volumes attached. What it waits for is told, of being attached not at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubelet.plan import RunSandbox
from kubelet.runtime.base import CRIError
from kubelet.volumes.claims import patient_look, unable

if TYPE_CHECKING:
    from kubelet.worker import PodWorker

ATTACH_S = 123.0
"""For how long a volume may be on its way to the node before the pod is told (upstream's podAttachAndMountTimeout)."""


async def run_sandbox(worker: PodWorker, action: RunSandbox) -> bool:
    """Answers whether there is one now; if not, it is tried again."""
    if not await _has_volumes(worker):
        worker.retry_soon()
        return False
    try:
        await worker.host.runtime.run_pod_sandbox(worker.sandbox_config(action.attempt))
    except CRIError as error:
        worker.host.record(worker.pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
        worker.retry_soon()
        return False
    return True


async def _has_volumes(worker: PodWorker) -> bool:
    """Whether the pod's claims are bound and its volumes attached."""
    host = worker.host
    found = await patient_look(worker.pod, client=host.client)
    host.attachments.use(worker.uid, found.attachable)
    if found.why:
        host.record(worker.pod, "Warning", "FailedMount", found.why)
        return False
    missing = [found.attachable[each] for each in host.attachments.missing(found.attachable)]
    if not missing:
        worker.attached_by_s = None
        return True
    now_s = host.clock.now().timestamp()
    worker.attached_by_s = worker.attached_by_s or now_s + ATTACH_S
    if now_s >= worker.attached_by_s:
        worker.attached_by_s = None
        message = unable("context deadline exceeded", unmounted=missing, unattached=missing)
        host.record(worker.pod, "Warning", "FailedMount", message)
    return False
