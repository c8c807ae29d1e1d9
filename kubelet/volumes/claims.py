"""Whether the claims behind a pod's volumes are bound: a pod is not started before they are, whoever has put it on the node.

Only what a container mounts is asked for. Source: `pkg/kubelet/volumemanager` (`desired_state_of_world_populator.go`, `volume_manager.go`).
"""

from __future__ import annotations

import asyncio

from kube.client.client import Client
from kube.errors import ApiError
from kube.objects import Object, is_deleting, namespace_of, uid_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.storage import PodClaim, claims_of, not_for_pod
from kubelet.observed import all_containers

# deviates: volumes of CSI drivers are taken for attached and mounted, and none are reported in the node's status.volumesInUse.


MOMENT_S = 0.3
"""A claim's status is written a moment after the rest of its binding, on which the scheduler acts already. Upstream looks so often."""


async def wait_ready(pod: Object, *, client: Client) -> str:
    """`not_ready`, but what a moment mends is not complained of."""
    if not await not_ready(pod, client=client):
        return ""
    await asyncio.sleep(MOMENT_S)
    return await not_ready(pod, client=client)


async def not_ready(pod: Object, *, client: Client) -> str:
    """Why the pod's volumes cannot be mounted yet, as the FailedMount event says it; "" when they can."""
    used = {
        mount["name"]
        for container in all_containers(pod)
        for mount in (*(container.get("volumeMounts") or ()), *(container.get("volumeDevices") or ()))
    }
    unready: list[str] = []
    reasons: list[str] = []
    for each in claims_of(pod):
        if each.volume in used and (why := await _wrong_with(each, pod, client)):
            unready.append(each.volume)
            reasons.append(why)
    if not unready:
        return ""
    names = " ".join(sorted(unready))
    listed = f"unmounted volumes=[{names}], unattached volumes=[], failed to process volumes=[{names}]"
    return f"Unable to attach or mount volumes: {listed}: {'; '.join(reasons)}"


async def _wrong_with(wanted: PodClaim, pod: Object, client: Client) -> str:
    where = f"error processing PVC {namespace_of(pod)}/{wanted.name}"
    try:
        claim = await client.get(PERSISTENT_VOLUME_CLAIMS, wanted.name, namespace=namespace_of(pod))
    except (ApiError, OSError) as error:
        return f"{where}: failed to fetch PVC from API server: {error}"
    if is_deleting(claim):
        return f"{where}: PVC is being deleted"
    if (claim.get("status") or {}).get("phase") != "Bound":
        return f"{where}: PVC is not bound"
    volume_name = claim["spec"].get("volumeName") or ""
    if not volume_name:
        return f"{where}: PVC has empty pvc.Spec.VolumeName"
    if wanted.is_ephemeral and (why := not_for_pod(claim, pod)):
        return why
    why = await _wrong_with_volume(volume_name, claim, client)
    return f"{where}: {why}" if why else ""


async def _wrong_with_volume(name: str, claim: Object, client: Client) -> str:
    try:
        volume = await client.get(PERSISTENT_VOLUMES, name)
    except (ApiError, OSError) as error:
        return f"failed to fetch PV {name} from API server: {error}"
    reference = volume["spec"].get("claimRef")
    if not reference:
        return f"found PV object {name} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
    owner = reference.get("uid", "")
    if owner != uid_of(claim):
        return f"found PV object {name} but its pv.Spec.ClaimRef.UID {owner} does not point to claim.UID {uid_of(claim)}"
    return ""
