"""Which volumes a pod would get on a node: those its claims are bound to, those they can be bound to, those that can be made there. Pure.

`volume_binding.py` is the plugin that acts on it. Source: `plugins/volumebinding/binder.go`, FindPodVolumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controllers.scheduler.framework import PluginError
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.volumes import Volumes
from kube.labels import NOTHING, LabelSelectorError, from_object
from kube.objects import Object, annotations_of, is_deleting, key_of, name_of
from kube.quantity import parse
from kube.storage import (
    NO_PROVISIONER,
    SELECTED_NODE,
    allows_topology,
    binds_late,
    class_of,
    fits_node,
    is_fully_bound,
    matching_volume,
    not_for_pod,
    requested,
)

NODE_CONFLICT = "node(s) had volume node affinity conflict"
BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind"
NOT_ENOUGH_SPACE = "node(s) did not have enough free storage"
VOLUME_MISSING = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


@dataclass(frozen=True, slots=True)
class Claims:
    """A pod's claims: bound to a volume, waiting for the scheduler, waiting for others."""

    bound: Sequence[Object] = ()
    late: Sequence[Object] = ()
    immediate: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be done for a pod on one node: claims to bind, each to a volume, and claims to have volumes made for."""

    bindings: Sequence[tuple[Object, Object]] = ()
    provisions: Sequence[Object] = ()


def wrong_with_claims(pod: PodInfo, volumes: Volumes) -> str:
    """What is wrong with the pod's claims, whatever the node; "" when nothing is."""
    for each in pod.claims:
        claim = volumes.claims.get(f"{pod.namespace}/{each.name}")
        if claim is None:
            if each.is_ephemeral:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{each.name}"'
            return f'persistentvolumeclaim "{each.name}" not found'
        if (claim.get("status") or {}).get("phase") == "Lost":
            return f'persistentvolumeclaim "{each.name}" bound to non-existent persistentvolume "{claim["spec"].get("volumeName", "")}"'
        if is_deleting(claim):
            return f'persistentvolumeclaim "{each.name}" is being deleted'
        if each.is_ephemeral and (why := not_for_pod(claim, pod.pod)):
            return why
    return ""


def sorted_out(pod: PodInfo, volumes: Volumes) -> Claims:
    """The pod's claims by what they wait for. All of them must be there."""
    bound: list[Object] = []
    late: list[Object] = []
    immediate: list[Object] = []
    for each in pod.claims:
        claim = volumes.claims.get(f"{pod.namespace}/{each.name}")
        if claim is None:
            continue
        if is_fully_bound(claim):
            bound.append(claim)
        elif binds_late(volumes.classes.get(class_of(claim))) and not claim["spec"].get("volumeName"):
            late.append(claim)
        else:
            immediate.append(claim)
    return Claims(bound, late, immediate)


def find(claims: Claims, volumes: Volumes, node: NodeInfo) -> Found | tuple[str, ...]:
    """What to do for a pod with these claims on the node; or the reasons why it cannot have its volumes there. Raises PluginError."""
    reasons: list[str] = []
    missing = False
    for claim in claims.bound:
        volume = volumes.volumes.get(claim["spec"].get("volumeName") or "")
        if volume is None:
            missing = True
            break
        if not fits_node(volume, node.labels):
            reasons.append(NODE_CONFLICT)
            break
    found = _find_unbound(claims.late, volumes, node)
    if isinstance(found, str):
        reasons.append(found)
    if missing:
        reasons.append(VOLUME_MISSING)
    return tuple(reasons) if reasons or isinstance(found, str) else found


def _find_unbound(claims: Sequence[Object], volumes: Volumes, node: NodeInfo) -> Found | str:
    if any(annotations_of(each).get(SELECTED_NODE, node.name) != node.name for each in claims):
        return BIND_CONFLICT
    bindings: list[tuple[Object, Object]] = []
    provisions = [each for each in claims if SELECTED_NODE in annotations_of(each)]
    taken: set[str] = set()
    for claim in sorted((each for each in claims if SELECTED_NODE not in annotations_of(each)), key=requested):
        volume = matching_volume(claim, volumes.candidates(claim), node_labels=node.labels, exclude=taken, late=True)
        if volume is None:
            provisions.append(claim)
        else:
            taken.add(name_of(volume))
            bindings.append((claim, volume))
    for claim in provisions:
        why = _not_to_be_made(claim, volumes, node)
        if why:
            return why
    return Found(bindings, provisions)


def _not_to_be_made(claim: Object, volumes: Volumes, node: NodeInfo) -> str:
    """Why no volume can be made for the claim on the node; "" where one can."""
    wanted = class_of(claim)
    if not wanted:
        raise PluginError(f'no class for claim "{key_of(claim)}"')
    storage_class = volumes.classes.get(wanted)
    if storage_class is None:
        raise PluginError(f'failed to find storage class "{wanted}"')
    if storage_class.get("provisioner") in (None, "", NO_PROVISIONER) or not allows_topology(storage_class, node.labels):
        return BIND_CONFLICT
    return "" if _has_space(claim, storage_class, volumes, node) else NOT_ENOUGH_SPACE


def _has_space(claim: Object, storage_class: Object, volumes: Volumes, node: NodeInfo) -> bool:
    """Whether the driver has enough storage for the node, if it is one that tells how much it has."""
    driver = volumes.drivers.get(storage_class.get("provisioner", ""))
    if driver is None or not (driver.get("spec") or {}).get("storageCapacity") or not requested(claim):
        return True
    size = requested(claim).value()
    told = (each for each in volumes.capacities.values() if each.get("storageClassName") == name_of(storage_class))
    return any(_limit(each) >= size and _reaches(each, node.labels) for each in told)


def _limit(told: Object) -> int:
    """The largest volume that can be made there; -1 where nothing is said."""
    limit = told.get("maximumVolumeSize") or told.get("capacity")
    return -1 if limit is None else parse(limit).value()


def _reaches(told: Object, labels: Mapping[str, str]) -> bool:
    try:
        topology = told.get("nodeTopology")
        return (NOTHING if topology is None else from_object(topology)).matches(labels)
    except LabelSelectorError:
        return False
