"""The node authorizer (`--authorization-mode=Node`): a node may do what its agent needs, to what belongs to it.

Secrets, configmaps, volumes and the like are asked of the graph (`node_graph.py`), Leases, CSINodes and the node itself go by their
names, pods and slices by field selectors; all else by the rules of `system:node`. What a request's body says is the business of the
NodeRestriction admission plugin. Source: kubernetes `plugin/pkg/auth/authorizer/node/node_authorizer.go`, with the feature gates of v1.36
as they are by default (so nothing about PodCertificateRequests is allowed).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from apiserver.pipeline.node_graph import NodeGraph
from apiserver.pipeline.rbac import Rule
from apiserver.registry.authorization import Attributes, Decision, Rules
from apiserver.registry.kind import User
from apiserver.registry.node_identity import node_of
from apiserver.registry.registry import Registries
from kube.errors import quoted
from kube.fields import EQUALS

LEASES_IN: Final = "kube-node-lease"
_ALLOWED: Final = Decision(True)
_NO_OPINION: Final = Decision(False)
_OWN_VERBS: Final = frozenset({"get", "create", "update", "patch", "delete"})
_READING: Final = frozenset({"get", "list", "watch"})
_OF_RESOURCE_SLICES: Final = "get, watch, list, create, update, patch, delete, deletecollection"

Belongs = Callable[[str, str, str, str], bool]
"""(node, plural, namespace, name): whether that object belongs to the node."""


class NodeAuthorizer:
    """See the module. `start` before use."""

    def __init__(self, registries: Registries, rules: Sequence[Rule]) -> None:
        """`rules`: those of `system:node`."""
        self._graph, self._rules = NodeGraph(registries), tuple(rules)

    async def start(self) -> None:
        """Load what is looked at."""
        await self._graph.start()

    def decide(self, user: User, attributes: Attributes) -> Decision:
        node = node_of(user)
        if node is None:
            return _NO_OPINION
        if not node:
            return _no(f"unknown node for user {quoted(user.name)}")
        return judge(node, attributes, self._graph.belongs, self._rules)

    def rules_for(self, user: User, namespace: str) -> Rules:
        if node_of(user) is None:
            return Rules([], [])
        return Rules([], [], True, "node authorizer does not support user rule resolution")


def judge(node: str, wanted: Attributes, belongs: Belongs, rules: Sequence[Rule]) -> Decision:
    """What a node may do. Pure, but for `belongs`."""
    special = _SPECIAL.get((wanted.group, wanted.resource))
    if special is not None:
        return special(node, wanted, belongs)
    return _ALLOWED if any(rule.allows(wanted) for rule in rules) else _NO_OPINION


def _no(reason: str) -> Decision:
    return Decision(False, reason=reason)


# --- by the graph -----------------------------------------------------------------------------------------------------------


def _related(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    if not wanted.name:
        return _no("No Object name found")
    return _ALLOWED if belongs(node, wanted.resource, wanted.namespace, wanted.name) else _unrelated(node)


def _unrelated(node: str) -> Decision:
    return _no(f"no relationship found between node '{node}' and this object")


def _to_read(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    """Secrets and configmaps, each by its name."""
    if wanted.verb not in _READING:
        return _no("can only read resources of this type")
    if wanted.subresource:
        return _no("cannot read subresource")
    if not wanted.namespace:
        return _no("can only read namespaced object of this type")
    return _related(node, wanted, belongs)


def _to_get(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    if wanted.verb != "get":
        return _no("can only get individual resources of this type")
    if wanted.subresource:
        return _no("cannot get subresource")
    return _related(node, wanted, belongs)


def _claim(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    if wanted.subresource != "status":
        return _to_get(node, wanted, belongs)
    if wanted.verb not in ("update", "patch"):
        return _no("can only get/update/patch this type")
    return _related(node, wanted, belongs)


def _account(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    if wanted.verb == "get" and not wanted.subresource:
        return _to_read(node, wanted, belongs)
    if wanted.verb != "create" or not wanted.name:
        return _no("can only create tokens for individual service accounts")
    if wanted.subresource != "token":
        return _no("can only create token subresource of serviceaccount")
    return _related(node, wanted, belongs)


# --- by name and selector -----------------------------------------------------------------------------------------------------


def _lease(node: str, wanted: Attributes, _belongs: Belongs) -> Decision:
    if wanted.verb not in _OWN_VERBS:
        return _no("can only get, create, update, patch, or delete a node lease")
    if wanted.namespace != LEASES_IN:
        return _no(f"can only access leases in the {quoted(LEASES_IN)} system namespace")
    return _own(node, wanted, "node lease")


def _csi_node(node: str, wanted: Attributes, _belongs: Belongs) -> Decision:
    if wanted.verb not in _OWN_VERBS:
        return _no("can only get, create, update, patch, or delete a CSINode")
    if wanted.subresource:
        return _no("cannot authorize CSINode subresources")
    return _own(node, wanted, "CSINode")


def _own(node: str, wanted: Attributes, what: str) -> Decision:
    """What is called as the node. What is created has no name yet."""
    if wanted.verb != "create" and wanted.name != node:
        return _no(f"can only access {what} with the same name as the requesting node")
    return _ALLOWED


def _slice(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    if wanted.subresource:
        return _no("cannot authorize ResourceSlice subresources")
    if wanted.verb == "create":
        return _ALLOWED
    if wanted.verb in _OWN_VERBS:
        return _related(node, wanted, belongs)
    if wanted.verb not in ("watch", "list", "deletecollection"):
        return _no(f"only the following verbs are allowed for a ResourceSlice: {_OF_RESOURCE_SLICES}")
    if _selects(node, wanted):
        return _ALLOWED
    return _no("can only list/watch/deletecollection resourceslices with nodeName field selector")


def _node(node: str, wanted: Attributes, _belongs: Belongs) -> Decision:
    if wanted.subresource == "status" and wanted.verb in ("update", "patch"):
        return _ALLOWED
    if wanted.subresource:
        return _NO_OPINION
    if wanted.verb in ("create", "update", "patch"):
        return _ALLOWED
    if wanted.verb not in _READING:
        return _NO_OPINION
    if wanted.name == node:
        return _ALLOWED
    what = f"'{wanted.name}'" if wanted.name else "all nodes"
    return _no(f"node '{node}' cannot read {what}, only its own Node object")


def _pod(node: str, wanted: Attributes, belongs: Belongs) -> Decision:
    verb, subresource = wanted.verb, wanted.subresource
    if not subresource and verb == "get":
        return _related(node, wanted, belongs)
    if not subresource and verb in ("list", "watch"):
        if _selects(node, wanted):
            return _ALLOWED
        return _related(node, wanted, belongs) if wanted.name else _no("can only list/watch pods with spec.nodeName field selector")
    is_kubelets = (subresource, verb) in {
        ("", "create"), ("", "delete"), ("status", "update"), ("status", "patch"), ("eviction", "create"),
    }  # fmt: skip
    return _ALLOWED if is_kubelets else _NO_OPINION


def _selects(node: str, wanted: Attributes) -> bool:
    """Whether only what is of the node is asked for."""
    return ("spec.nodeName", EQUALS, node) in wanted.field_selector


def _never(_node: str, _wanted: Attributes, _belongs: Belongs) -> Decision:
    return _NO_OPINION


_SPECIAL: Final[dict[tuple[str, str], Callable[[str, Attributes, Belongs], Decision]]] = {
    ("", "secrets"): _to_read,
    ("", "configmaps"): _to_read,
    ("", "persistentvolumeclaims"): _claim,
    ("", "persistentvolumes"): _to_get,
    ("resource.k8s.io", "resourceclaims"): _to_get,
    ("storage.k8s.io", "volumeattachments"): _to_get,
    ("", "serviceaccounts"): _account,
    ("coordination.k8s.io", "leases"): _lease,
    ("storage.k8s.io", "csinodes"): _csi_node,
    ("resource.k8s.io", "resourceslices"): _slice,
    ("", "nodes"): _node,
    ("", "pods"): _pod,
    ("certificates.k8s.io", "podcertificaterequests"): _never,
}
