"""NodeRestriction: a node changes itself and the pods on it, and nothing of others. Off by default, as upstream.

The node authorizer lets nodes write these resources at all; what they may write is said here. Who is no node is not looked at. What a
node may write about accounts' tokens is in `node_tokens.py`. Source: kubernetes `plugin/pkg/admission/noderestriction/admission.go`, with
the feature gates of v1.36 as they are by default.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
from collections.abc import Awaitable, Callable
from typing import Final

from apiserver.admission.node_labels import forbidden_labels
from apiserver.admission.node_tokens import admit_token
from apiserver.registry.admission import Attributes
from apiserver.registry.node_identity import PREFIX, node_of
from apiserver.registry.pod_references import MIRROR, UnknownVolume, is_mirror, needs_the_api
from kube import errors
from kube.errors import quoted
from kube.objects import Object, labels_of, name_of, owners_of, uid_of
from kube.resources import NODES, PODS

LEASES_IN: Final = "kube-node-lease"
SIGNERS: Final = ("kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet")


class NodeRestriction:
    """See the module."""

    resources = frozenset(
        {("", "pods"), ("", "nodes"), ("", "persistentvolumeclaims"), ("", "serviceaccounts"), ("coordination.k8s.io", "leases")}
        | {("storage.k8s.io", "csinodes"), ("resource.k8s.io", "resourceslices"), ("certificates.k8s.io", "certificatesigningrequests")}
    )
    operations = frozenset({"CREATE", "UPDATE", "DELETE"})

    async def mutate(self, attributes: Attributes) -> None:
        """Raises Forbidden, or NotFound where a node speaks of what is not there."""
        node = node_of(attributes.ctx.user)
        if node is None:
            return
        if not node:
            raise refuse(attributes, f"could not determine node from user {quoted(attributes.ctx.user.name)}")
        await _OF[attributes.kind.resource.plural](node, attributes)


def refuse(attributes: Attributes, why: str) -> errors.Forbidden:
    """The answer to what a node may not write."""
    resource, meta = attributes.kind.resource, (attributes.obj or {}).get("metadata") or {}
    name = attributes.name or meta.get("name") or meta.get("generateName") or "Unknown"
    return errors.forbidden(resource.plural, resource.group, name, why)


# --- pods -------------------------------------------------------------------------------------------------------------------


async def _pod(node: str, attributes: Attributes) -> None:
    subresource, operation = attributes.subresource, attributes.operation
    if subresource == "status":
        _check_operation(attributes, "UPDATE")
        _check_pod_status(node, attributes)
    elif subresource == "eviction":
        if operation != "CREATE":
            raise refuse(attributes, f"unexpected operation {operation}")
        await _check_on_node(node, attributes, f"node {node} can only evict pods with spec.nodeName set to itself")
    elif subresource:
        raise refuse(attributes, f"unexpected pod subresource {quoted(subresource)}, only 'status' and 'eviction' are allowed")
    elif operation == "CREATE":
        await _check_mirror(node, attributes)
    elif operation == "DELETE":
        await _check_on_node(node, attributes, f"node {quoted(node)} can only delete pods with spec.nodeName set to itself")
    else:
        raise refuse(attributes, f"unexpected operation {quoted(operation)}, node {quoted(node)} can only create and delete mirror pods")


def _check_operation(attributes: Attributes, wanted: str) -> None:
    if attributes.operation != wanted:
        raise refuse(attributes, f"unexpected operation {quoted(attributes.operation)}")


async def _check_on_node(node: str, attributes: Attributes, why: str) -> None:
    cache = attributes.registries.get(PODS).cache
    await cache.catch_up()
    entry = cache.get(attributes.namespace, attributes.name)
    if entry is None:
        raise errors.not_found("pod", "", attributes.name)
    if cache.field(entry, "spec.nodeName") != node:
        raise refuse(attributes, why)


async def _check_mirror(node: str, attributes: Attributes) -> None:
    """A node makes pods that stand for its static ones, and those get nothing from the API."""
    pod = attributes.obj or {}
    if not is_mirror(pod):
        raise refuse(attributes, f"pod does not have {quoted(MIRROR)} annotation, node {quoted(node)} can only create mirror pods")
    if (pod.get("spec") or {}).get("nodeName") != node:
        raise refuse(attributes, f"node {quoted(node)} can only create pods with spec.nodeName set to itself")
    if problem := _owner_problem(node, pod):
        raise refuse(attributes, f"node {quoted(node)} {problem}")
    await _check_owner_uid(node, attributes, owners_of(pod)[0].get("uid", ""))
    try:
        needed = needs_the_api(pod)
    except UnknownVolume as error:
        raise refuse(attributes, f"error checking mirror pod for API references: {error}") from error
    if needed:
        raise refuse(attributes, f"node {quoted(node)} can not create pods that reference {needed}")


def _owner_problem(node: str, pod: Object) -> str:
    owners = owners_of(pod)
    if len(owners) > 1:
        return "can only create pods with a single owner reference set to itself"
    owner = owners[0] if owners else {}
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) != ("v1", "Node", node):
        return "can only create pods with an owner reference set to itself"
    if not owner.get("controller"):
        return "can only create pods with a controller owner reference set to itself"
    return "must not set blockOwnerDeletion on an owner reference" if owner.get("blockOwnerDeletion") else ""


async def _check_owner_uid(node: str, attributes: Attributes, given: str) -> None:
    nodes = attributes.registries.get(NODES).cache
    await nodes.catch_up()
    entry = nodes.get("", node)
    if entry is None:
        raise errors.not_found("node", "", node)
    uid = uid_of(nodes.object_of(entry))
    if given != uid:
        raise refuse(attributes, f"node {node} UID mismatch: expected {given} got {uid}")


def _check_pod_status(node: str, attributes: Attributes) -> None:
    new, old = attributes.obj or {}, attributes.old or {}
    who = f"node {quoted(node)}"
    if old["spec"].get("nodeName") != node:
        raise refuse(attributes, f"{who} can only update pod status for pods with spec.nodeName set to itself")
    if labels_of(new) != labels_of(old):
        raise refuse(attributes, f"{who} cannot update labels through pod status")
    now, before = new.get("status") or {}, old.get("status") or {}
    if (now.get("resourceClaimStatuses") or []) != (before.get("resourceClaimStatuses") or []):
        raise refuse(attributes, f"{who} cannot update resource claim statues")
    if now.get("extendedResourceClaimStatus") != before.get("extendedResourceClaimStatus"):
        raise refuse(attributes, f"{who} cannot update extended resource claim status")


# --- the node itself ----------------------------------------------------------------------------------------------------------


async def _node(node: str, attributes: Attributes) -> None:
    if attributes.name != node:
        raise refuse(attributes, f"node {quoted(node)} is not allowed to modify node {quoted(attributes.name)}")
    if attributes.operation != "DELETE":
        _check_node(node, attributes, attributes.obj or {}, attributes.old)


def _check_node(node: str, attributes: Attributes, new: Object, old: Object | None) -> None:
    """Nothing by which a node could bring other pods to itself."""
    who, spec = f"node {quoted(node)}", new.get("spec") or {}
    labels = ", ".join(forbidden_labels(labels_of(new), labels_of(old or {})))
    if old is None:
        if spec.get("configSource") is not None:
            raise refuse(attributes, f"{who} is not allowed to create pods with a non-nil configSource")
        if labels:
            raise refuse(attributes, f"{who} is not allowed to set the following labels: {labels}")
        return
    before = old.get("spec") or {}
    if spec.get("configSource") is not None and spec["configSource"] != before.get("configSource"):
        raise refuse(attributes, f"{who} is not allowed to update configSource to a new non-nil configSource")
    if (spec.get("taints") or []) != (before.get("taints") or []):
        raise refuse(attributes, f"{who} is not allowed to modify taints")
    if owners_of(new) != owners_of(old):
        raise refuse(attributes, f"{who} is not allowed to modify ownerReferences")
    if labels:
        raise refuse(attributes, f"is not allowed to modify labels: {labels}")


# --- the rest -------------------------------------------------------------------------------------------------------------------


async def _claim(node: str, attributes: Attributes) -> None:
    if attributes.subresource != "status":
        raise refuse(attributes, "may only update PVC status")
    _check_operation(attributes, "UPDATE")
    before, now = _without_reported(attributes.old or {}), _without_reported(attributes.obj or {})
    if before != now:
        # deviates: the difference that a node is told of is one of JSON as the API has it; upstream shows its internal type
        what = "is not allowed to update fields other than status.quantity and status.conditions"
        raise refuse(attributes, f"node {quoted(node)} {what}: {_difference(before, now)}")


_REPORTED: Final = frozenset({"capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"})


def _without_reported(claim: Object) -> Object:
    """A claim but for what nodes tell of it."""
    meta = {key: value for key, value in claim["metadata"].items() if key not in ("resourceVersion", "managedFields")}
    status = {key: value for key, value in (claim.get("status") or {}).items() if key not in _REPORTED}
    return {**claim, "metadata": meta, "status": status}


def _difference(before: Object, now: Object) -> str:
    old, new = (json.dumps(each, indent=1, sort_keys=True).splitlines(keepends=True) for each in (before, now))
    return "".join(difflib.unified_diff(old, new))


async def _account(node: str, attributes: Attributes) -> None:
    if attributes.operation == "CREATE" and attributes.subresource == "token":
        await admit_token(node, attributes, lambda why: refuse(attributes, why))


async def _lease(node: str, attributes: Attributes) -> None:
    if attributes.namespace != LEASES_IN:
        raise refuse(attributes, f"can only access leases in the {quoted(LEASES_IN)} system namespace")
    _check_name(node, attributes, "node lease")


async def _csi_node(node: str, attributes: Attributes) -> None:
    _check_name(node, attributes, "CSINode")


def _check_name(node: str, attributes: Attributes, what: str) -> None:
    if (name_of(attributes.obj or {}) if attributes.operation == "CREATE" else attributes.name) != node:
        raise refuse(attributes, f"can only access {what} with the same name as the requesting node")


async def _slice(node: str, attributes: Attributes) -> None:
    """An update is the node authorizer's to judge: the nodeName does not change."""
    obj = attributes.obj if attributes.operation == "CREATE" else attributes.old
    if attributes.operation != "UPDATE" and ((obj or {}).get("spec") or {}).get("nodeName") != node:
        verb = attributes.operation.lower()
        raise refuse(attributes, f"can only {verb} ResourceSlice with the same NodeName as the requesting node")


async def _request(node: str, attributes: Attributes) -> None:
    """A node's certificates are in its own name. All else about them is the signer's to check."""
    spec = (attributes.obj or {}).get("spec") or {}
    if attributes.operation != "CREATE" or spec.get("signerName") not in SIGNERS:
        return
    try:
        common_name = _common_name(base64.b64decode(spec.get("request") or ""))
    except (ValueError, binascii.Error) as error:
        raise refuse(attributes, f"unable to parse csr: {error}") from error
    if common_name != f"{PREFIX}{node}":
        raise refuse(attributes, f"can only create a node CSR with CN={PREFIX}{node}")


def _common_name(request: bytes) -> str:
    """Raises ValueError for what is no CSR."""
    from cryptography import x509  # loading it takes 20 ms, and most servers never see a CSR
    from cryptography.x509.oid import NameOID

    if b"-----BEGIN CERTIFICATE REQUEST-----" not in request:
        raise ValueError("PEM block type must be CERTIFICATE REQUEST")
    found = x509.load_pem_x509_csr(request).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


_OF: Final[dict[str, Callable[[str, Attributes], Awaitable[None]]]] = {
    "pods": _pod,
    "nodes": _node,
    "persistentvolumeclaims": _claim,
    "serviceaccounts": _account,
    "leases": _lease,
    "csinodes": _csi_node,
    "resourceslices": _slice,
    "certificatesigningrequests": _request,
}
