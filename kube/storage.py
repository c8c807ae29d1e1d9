"""Claims and volumes: what a claim asks for, which volume answers it, which nodes can reach a volume. Pure functions over dicts.

Shared by everyone who must come to the same answer: the volume binder, the scheduler's volume plugins, the kubelet.
Sources: `k8s.io/component-helpers/storage/volume` (`pv_helpers.go`, `helpers.go`), `storage/ephemeral`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from kube.labels import NOTHING, LabelSelectorError, Operator, Requirement, Selector, from_object
from kube.objects import Object, annotations_of, controller_of, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of
from kube.quantity import Quantity, parse

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
"""On a claim: binding was finished once. Whatever its value."""
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""On either side of a binding: not the user chose the other side."""
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
MIGRATED_TO = "pv.kubernetes.io/migrated-to"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""On a claim: the scheduler wants its volume made for this node."""
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
STORAGE_PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"
CLASS_BETA = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_CLASS_BETA = "storageclass.beta.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
PV_PROTECTION = "kubernetes.io/pv-protection"
PVC_PROTECTION = "kubernetes.io/pvc-protection"
VAC_PROTECTION = "kubernetes.io/vac-protection"
DELETION_PROTECTION = "external-provisioner.volume.kubernetes.io/finalizer"
"""On a provisioned volume with the policy Delete: its provisioner has not deleted what it stands for."""
READ_WRITE_ONCE_POD = "ReadWriteOncePod"

MIGRATED_PLUGINS = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}
"""Provisioners that were part of Kubernetes once, and the CSI drivers that have taken their work over (csi-translation-lib)."""

_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
    "Gt": Operator.GREATER_THAN,
    "Lt": Operator.LESS_THAN,
}


# --- claims, volumes and their classes ----------------------------------------------------------------------------------


def class_of(obj: Mapping[str, Any]) -> str:
    """The class that a claim asks for or a volume has, "" for none."""
    annotations = annotations_of(obj)
    return annotations[CLASS_BETA] if CLASS_BETA in annotations else obj["spec"].get("storageClassName") or ""


def has_class(claim: Mapping[str, Any]) -> bool:
    """Whether the claim says which class it wants; none at all (`storageClassName: ""`) is an answer, too."""
    return CLASS_BETA in annotations_of(claim) or claim["spec"].get("storageClassName") is not None


def _attributes_of(obj: Mapping[str, Any]) -> str:
    """The VolumeAttributesClass that a claim asks for or a volume has, "" for none."""
    return obj["spec"].get("volumeAttributesClassName") or ""


def is_default(storage_class: Mapping[str, Any]) -> bool:
    annotations = annotations_of(storage_class)
    return "true" in (annotations.get(DEFAULT_CLASS), annotations.get(DEFAULT_CLASS_BETA))


def default_class(classes: Iterable[Object]) -> Object | None:
    """The class of claims that name none: of several the newest, of equally old ones the first by name."""
    marked = sorted(filter(is_default, classes), key=name_of)
    return max(marked, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), default=None)


def binds_late(storage_class: Mapping[str, Any] | None) -> bool:
    """Whether claims of that class wait for the pod that uses them to be scheduled."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def requested(claim: Mapping[str, Any]) -> Quantity:
    """How much storage the claim asks for."""
    return parse((((claim["spec"].get("resources") or {}).get("requests")) or {}).get("storage") or 0)


def capacity(volume: Mapping[str, Any]) -> Quantity:
    return parse((volume["spec"].get("capacity") or {}).get("storage") or 0)


def granted(claim: Mapping[str, Any]) -> Quantity:
    """How much storage the claim's status says it has."""
    return parse(((claim.get("status") or {}).get("capacity") or {}).get("storage") or 0)


def differs_in_mode(claim: Mapping[str, Any], volume: Mapping[str, Any]) -> bool:
    return (claim["spec"].get("volumeMode") or "Filesystem") != (volume["spec"].get("volumeMode") or "Filesystem")


def offers_modes(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the volume can be accessed in all the ways that the claim asks for."""
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def is_fully_bound(claim: Mapping[str, Any]) -> bool:
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations_of(claim)


def claim_key(volume: Mapping[str, Any]) -> str:
    """The key of the claim that the volume is for; "" for a volume that is nobody's."""
    reference = volume["spec"].get("claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def is_bound_to(volume: Mapping[str, Any], claim: Mapping[str, Any]) -> bool:
    """Whether the volume is for that claim: by name, and by uid if it says one."""
    reference = volume["spec"].get("claimRef")
    if not reference or claim_key(volume) != key_of(claim):
        return False
    return not reference.get("uid") or reference["uid"] == uid_of(claim)


def bound(volume: Object, claim: Mapping[str, Any]) -> Object | None:
    """The volume made the claim's; None where it is already."""
    reference = volume["spec"].get("claimRef") or {}
    is_named = claim_key(volume) == key_of(claim) and reference.get("uid") == uid_of(claim)
    is_chosen_by_user = is_bound_to(volume, claim)
    annotations = annotations_of(volume)
    if is_named and (is_chosen_by_user or BOUND_BY_CONTROLLER in annotations):
        return None
    out = dict(volume)
    if not is_named:
        out["spec"] = {**volume["spec"], "claimRef": claim_reference(claim)}
    if not is_chosen_by_user and BOUND_BY_CONTROLLER not in annotations:
        out["metadata"] = {**volume["metadata"], "annotations": {**annotations, BOUND_BY_CONTROLLER: "yes"}}
    return out


def claim_reference(claim: Mapping[str, Any]) -> Object:
    """What a volume's `claimRef` says of its claim."""
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "apiVersion": "v1",
        "resourceVersion": claim["metadata"].get("resourceVersion", ""),
    }


# --- finding a volume -----------------------------------------------------------------------------------------------------


def matching_volume(
    claim: Mapping[str, Any],
    volumes: Iterable[Object],
    *,
    node_labels: Mapping[str, str] | None = None,
    exclude: Collection[str] = (),
    late: bool = False,
) -> Object | None:
    """The volume to bind to the claim: one reserved for it, else the smallest that is large enough; of equals the first by name.

    With `node_labels` (the scheduler) it must be reachable from that node. Without (the binder), volumes with fewer access modes come
    first, and with `late` only a reserved one will do: the scheduler chooses among the others."""
    candidates = [each for each in volumes if name_of(each) not in exclude and _comes_into_question(each, claim)]
    if node_labels is not None:
        return _nearest(claim, candidates, node_labels, late=False)
    groups: dict[tuple[int, str], list[Object]] = {}
    for each in candidates:
        if offers_modes(each, claim):
            modes = each["spec"].get("accessModes") or []
            groups.setdefault((len(modes), ",".join(modes)), []).append(each)
    found = (_nearest(claim, groups[modes], None, late=late) for modes in sorted(groups))
    return next((each for each in found if each is not None), None)


def _comes_into_question(volume: Object, claim: Mapping[str, Any]) -> bool:
    """Nobody else's, large enough, of the right mode, and there to stay."""
    if volume["spec"].get("claimRef") and not is_bound_to(volume, claim):
        return False
    return capacity(volume) >= requested(claim) and not differs_in_mode(claim, volume) and not is_deleting(volume)


def _nearest(claim: Mapping[str, Any], candidates: Iterable[Object], node_labels: Mapping[str, str] | None, *, late: bool) -> Object | None:
    wanted_class, selector = class_of(claim), _selector_of(claim)
    best: Object | None = None
    for volume in candidates:
        if is_bound_to(volume, claim):
            return volume if node_labels is None or fits_node(volume, node_labels) else None
        if late or (volume.get("status") or {}).get("phase") != "Available":
            continue
        if class_of(volume) != wanted_class or _attributes_of(volume) != _attributes_of(claim):
            continue
        if selector is not None and not selector.matches(labels_of(volume)):
            continue
        if node_labels is not None and not (offers_modes(volume, claim) and fits_node(volume, node_labels)):
            continue
        if best is None or (capacity(volume), name_of(volume)) < (capacity(best), name_of(best)):
            best = volume
    return best


def _selector_of(claim: Mapping[str, Any]) -> Selector | None:
    selector = claim["spec"].get("selector")
    if selector is None:
        return None
    try:
        return from_object(selector)
    except LabelSelectorError:
        return NOTHING


def mismatch(volume: Object, claim: Mapping[str, Any]) -> str:
    """Why a volume that the claim names cannot be its; "" where it can."""
    if is_deleting(volume):
        return f'the volume is marked for deletion "{name_of(volume)}"'
    if capacity(volume).value() < requested(claim).value():
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _attributes_of(volume) != _attributes_of(claim):
        return "volumeAttributesClassName does not match"
    if differs_in_mode(claim, volume):
        return "incompatible volumeMode"
    return "" if offers_modes(volume, claim) else "incompatible accessMode"


# --- nodes ----------------------------------------------------------------------------------------------------------------


def fits_node(volume: Mapping[str, Any], node_labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels can reach the volume."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if required is None:
        return True
    return any(term is not None and term.matches(node_labels) for term in _terms(orjson.dumps(required.get("nodeSelectorTerms") or [])))


@lru_cache(maxsize=4096)
def _terms(encoded: bytes) -> tuple[Selector | None, ...]:
    return tuple(_term(each) for each in orjson.loads(encoded))


def _term(term: Mapping[str, Any]) -> Selector | None:
    """The term as a selector of labels; None where it matches no node: it is empty, not understood, or asks for more than labels."""
    expressions = term.get("matchExpressions") or ()
    if not expressions or term.get("matchFields") or any(each.get("operator") not in _OPERATORS for each in expressions):
        return None
    return Selector(Requirement(each.get("key", ""), _OPERATORS[each["operator"]], each.get("values") or ()) for each in expressions)


def allows_topology(storage_class: Mapping[str, Any], node_labels: Mapping[str, str]) -> bool:
    """Whether volumes of the class may be made for a node with these labels."""
    terms = storage_class.get("allowedTopologies") or ()
    return not terms or any(_fits_topology(term.get("matchLabelExpressions") or (), node_labels) for term in terms)


def _fits_topology(expressions: Sequence[Mapping[str, Any]], node_labels: Mapping[str, str]) -> bool:
    return bool(expressions) and all(node_labels.get(each.get("key", "")) in (each.get("values") or ()) for each in expressions)


# --- the claims of pods -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PodClaim:
    """A claim that a pod uses: the volume of the pod that does, the claim's name, and whether it lives and dies with the pod."""

    volume: str
    name: str
    is_ephemeral: bool = False


def claims_of(pod: Mapping[str, Any]) -> Iterator[PodClaim]:
    """The claims that a pod names, and those that are made for its ephemeral volumes."""
    for volume in pod["spec"].get("volumes") or ():
        source = volume.get("persistentVolumeClaim")
        if source is not None:
            yield PodClaim(volume["name"], source.get("claimName", ""))
        elif volume.get("ephemeral") is not None:
            yield PodClaim(volume["name"], f"{name_of(pod)}-{volume['name']}", is_ephemeral=True)


def claim_keys(pod: Mapping[str, Any]) -> list[str]:
    """The keys of the claims that a pod uses: an index function for pods."""
    return [f"{namespace_of(pod)}/{each.name}" for each in claims_of(pod)]


def not_for_pod(claim: Mapping[str, Any], pod: Mapping[str, Any]) -> str:
    """Why a claim of that name is not the one of the pod's ephemeral volume; "" where it is."""
    owner = controller_of(claim)
    if owner is not None and owner.get("uid") == uid_of(pod):
        return ""
    return f"PVC {key_of(claim)} was not created for pod {key_of(pod)} (pod is not owner)"
