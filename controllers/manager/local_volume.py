"""Volumes of the provisioner `wherry.io/local`: directories on a node, under one directory that the class (or this process) names. Pure.

A volume made for a pod that waits (WaitForFirstConsumer) is tied to the pod's node by its affinity. One made at once is tied to none: all
nodes of a cluster on one machine see the same directories; whoever has more machines uses a class that waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kube.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from kube.quantity import parse
from kube.storage import DEFAULT_CLASS, DELETION_PROTECTION, PROVISIONED_BY, claim_reference, class_of, requested

PROVISIONER = "wherry.io/local"
DIRECTORY = "/var/lib/wherry/volumes"
"""Where the directories are when neither the class nor the process says."""
PATH = "path"
"""The class's parameter: where its directories are."""
HOSTNAME = "kubernetes.io/hostname"


def standard_class(directory: str = "") -> Object:
    """The StorageClass that a new cluster has: the default one."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER,
        "parameters": {PATH: directory} if directory else {},
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def volume_name(claim: Mapping[str, Any]) -> str:
    return f"pvc-{uid_of(claim)}"


def directory_name(claim: Mapping[str, Any]) -> str:
    """The directory of a claim's volume: people find theirs by the claim's name."""
    return f"{volume_name(claim)}_{namespace_of(claim)}_{name_of(claim)}"


def refusal(claim: Object) -> str:
    """Why no volume can be made for the claim; "" where one can."""
    spec = claim["spec"]
    if spec.get("selector") is not None:
        return "claim.Spec.Selector is not supported"
    if spec.get("dataSourceRef") is not None or spec.get("dataSource") is not None:
        return "claim.Spec.DataSource is not supported"
    return "" if (spec.get("volumeMode") or "Filesystem") == "Filesystem" else f"volumeMode {spec['volumeMode']} is not supported"


def new_volume(claim: Object, storage_class: Object, node: Object | None, *, directory: str = "") -> Object:
    """The volume for a claim, on `node` if there is one."""
    policy = storage_class.get("reclaimPolicy") or "Delete"
    base = (storage_class.get("parameters") or {}).get(PATH) or directory or DIRECTORY
    metadata: Object = {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}}
    if policy == "Delete":
        metadata["finalizers"] = [DELETION_PROTECTION]
    spec: Object = {
        "capacity": {"storage": str(requested(claim) or parse("1Gi"))},
        "accessModes": list(claim["spec"].get("accessModes") or ()),
        "persistentVolumeReclaimPolicy": policy,
        "storageClassName": class_of(claim),
        "volumeMode": "Filesystem",
        "claimRef": claim_reference(claim),
        "hostPath": {"path": f"{base.rstrip('/')}/{directory_name(claim)}", "type": "DirectoryOrCreate"},
    }
    if storage_class.get("mountOptions"):
        spec["mountOptions"] = list(storage_class["mountOptions"])
    if node is not None:
        here = {"key": HOSTNAME, "operator": "In", "values": [labels_of(node).get(HOSTNAME) or name_of(node)]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def is_ours(volume: Mapping[str, Any]) -> bool:
    return annotations_of(volume).get(PROVISIONED_BY) == PROVISIONER
