"""Whether the claims behind a pod's volumes are bound: a pod is not started before they are, whoever has put it on the node.
And which of the volumes have to be attached first.

Only what a container mounts is asked for. Source: `pkg/kubelet/volumemanager` (`desired_state_of_world_populator.go`, `volume_manager.go`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kube.client.client import Client
from kube.errors import ApiError, NotFound
from kube.objects import Object, is_deleting, name_of, namespace_of, uid_of
from kube.resources import CSI_DRIVERS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.storage import PodClaim, claims_of, not_for_pod
from kubelet.observed import all_containers

# deviates: CSI drivers need not be registered on a node; a driver without a CSIDriver object is one that need not attach.


MOMENT_S = 0.3
"""A claim's status is written a moment after the rest of its binding, on which the scheduler acts already. Upstream looks so often."""


@dataclass(frozen=True, slots=True)
class Look:
    """`why` a pod's volumes cannot be mounted yet, as the FailedMount event says it ("" when all are bound); `attachable`: those that
    have to be attached, as nodes call them, with the name of the pod's volume."""

    why: str = ""
    attachable: Mapping[str, str] = field(default_factory=dict)


async def patient_look(pod: Object, *, client: Client) -> Look:
    """`look`, but what a moment mends is not complained of."""
    found = await look(pod, client=client)
    if not found.why:
        return found
    await asyncio.sleep(MOMENT_S)
    return await look(pod, client=client)


async def look(pod: Object, *, client: Client) -> Look:
    """Look at the claims that the pod uses."""
    used = {
        mount["name"]
        for container in all_containers(pod)
        for mount in (*(container.get("volumeMounts") or ()), *(container.get("volumeDevices") or ()))
    }
    wrong: dict[str, str] = {}
    attachable: dict[str, str] = {}
    for each in claims_of(pod):
        if each.volume not in used:
            continue
        found = await _volume_of(each, pod, client)
        if isinstance(found, str):
            wrong[each.volume] = found
        elif await _has_to_be_attached(found, client):
            attachable[f"kubernetes.io/csi/{found['spec']['csi']['driver']}^{found['spec']['csi']['volumeHandle']}"] = each.volume
    return Look(unable("; ".join(wrong.values()), unmounted=wrong, failed=wrong) if wrong else "", attachable)


def unable(why: str, *, unmounted: Iterable[str], unattached: Iterable[str] = (), failed: Iterable[str] = ()) -> str:
    """The FailedMount event's message; the names are those of the pod's volumes."""
    unmounted, unattached, failed = (" ".join(sorted(each)) for each in (unmounted, unattached, failed))
    listed = f"unmounted volumes=[{unmounted}], unattached volumes=[{unattached}], failed to process volumes=[{failed}]"
    return f"Unable to attach or mount volumes: {listed}: {why}"


async def _has_to_be_attached(volume: Object, client: Client) -> bool:
    source = volume["spec"].get("csi")
    if not source:
        return False
    try:
        driver = await client.get(CSI_DRIVERS, source["driver"])
    except NotFound:
        return False
    return (driver.get("spec") or {}).get("attachRequired") is not False


async def _volume_of(wanted: PodClaim, pod: Object, client: Client) -> Object | str:
    """The volume behind the claim; or what is wrong with that."""
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
    try:
        volume = await client.get(PERSISTENT_VOLUMES, volume_name)
    except (ApiError, OSError) as error:
        return f"{where}: failed to fetch PV {volume_name} from API server: {error}"
    why = _not_of(claim, volume)
    return f"{where}: {why}" if why else volume


def _not_of(claim: Object, volume: Object) -> str:
    """Why the volume is not the claim's; "" where it is."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return f"found PV object {name_of(volume)} but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
    owner = reference.get("uid", "")
    if owner != uid_of(claim):
        return f"found PV object {name_of(volume)} but its pv.Spec.ClaimRef.UID {owner} does not point to claim.UID {uid_of(claim)}"
    return ""
