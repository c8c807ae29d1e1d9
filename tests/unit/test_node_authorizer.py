"""What a node may do, by the rules alone: the graph here is a set of what belongs to node n1."""

from __future__ import annotations

import pytest

from apiserver.bootstrap.cluster_roles import AGENTS
from apiserver.bootstrap.rules import rules
from apiserver.pipeline.node_authorizer import judge
from apiserver.pipeline.rbac import rule_of
from apiserver.registry.authorization import Attributes
from apiserver.registry.kind import User
from apiserver.registry.node_identity import node_of
from kube import fields

RULES = [rule_of(each) for each in rules(AGENTS["system:node"])]
MINE = {
    ("secrets", "a", "mine"),
    ("configmaps", "a", "mine"),
    ("persistentvolumeclaims", "a", "mine"),
    ("persistentvolumes", "", "mine"),
    ("resourceclaims", "a", "mine"),
    ("volumeattachments", "", "mine"),
    ("serviceaccounts", "a", "mine"),
    ("resourceslices", "", "mine"),
    ("pods", "a", "mine"),
}
UNRELATED = "no relationship found between node 'n1' and this object"
LEASE_VERBS = "can only get, create, update, patch, or delete a node lease"
SLICE_SELECTOR = "can only list/watch/deletecollection resourceslices with nodeName field selector"
POD_SELECTOR = "can only list/watch pods with spec.nodeName field selector"
GET_ONLY = "can only get individual resources of this type"


def asked(line: str) -> Attributes:
    """`VERB [GROUP:]RESOURCE[/SUBRESOURCE] [NAMESPACE/]NAME [SELECTOR]`; `-` for no name, `NAMESPACE/` for all of one."""
    verb, what, where, *selector = line.split()
    group, _, resource = what.rpartition(":")
    resource, _, subresource = resource.partition("/")
    namespace, _, name = where.rpartition("/")
    chosen = fields.parse(selector[0]).requirements if selector else ()
    name = "" if name == "-" else name
    return Attributes(verb, group, "v1", resource, subresource, namespace, name, field_selector=chosen)


def decision(line: str) -> str:
    """`yes`, or the reason why not ("" where there is none)."""
    found = judge("n1", asked(line), lambda node, *which: node == "n1" and which in MINE, RULES)
    assert not found.denied
    return "yes" if found.allowed else found.reason


@pytest.mark.parametrize(
    ("user", "node"),
    [
        pytest.param(User("system:node:n1", ("system:nodes",)), "n1", id="a node"),
        pytest.param(User("system:node:n1"), None, id="a node's name without the group"),
        pytest.param(User("n1", ("system:nodes",)), None, id="the group without a node's name"),
        pytest.param(User("system:node:", ("system:nodes",)), "", id="a node that does not say which"),
    ],
)
def test_who_is_a_node(user: User, node: str | None) -> None:
    assert node_of(user) == node


@pytest.mark.parametrize(
    "line",
    [
        "get secrets a/mine",
        "list secrets a/mine",
        "watch configmaps a/mine",
        "get persistentvolumeclaims a/mine",
        "update persistentvolumeclaims/status a/mine",
        "patch persistentvolumeclaims/status a/mine",
        "get persistentvolumes mine",
        "get resource.k8s.io:resourceclaims a/mine",
        "get storage.k8s.io:volumeattachments mine",
        "get serviceaccounts a/mine",
        "create serviceaccounts/token a/mine",
        "create coordination.k8s.io:leases kube-node-lease/-",
        "update coordination.k8s.io:leases kube-node-lease/n1",
        "delete storage.k8s.io:csinodes n1",
        "create storage.k8s.io:csinodes -",
        "create resource.k8s.io:resourceslices -",
        "update resource.k8s.io:resourceslices mine",
        "list resource.k8s.io:resourceslices - spec.nodeName=n1",
        "deletecollection resource.k8s.io:resourceslices - spec.driver=d,spec.nodeName=n1",
        "get nodes n1",
        "watch nodes n1",
        "create nodes -",
        "patch nodes other",  # NodeRestriction says no to that
        "patch nodes/status n1",
        "get pods a/mine",
        "watch pods - spec.nodeName=n1",
        "list pods a/- spec.nodeName==n1",
        "watch pods a/mine",
        "create pods a/-",
        "delete pods a/other",  # NodeRestriction says no to that
        "patch pods/status a/other",
        "create pods/eviction a/other",
        "list services -",
        "create events.k8s.io:events a/-",
        "list storage.k8s.io:csidrivers -",
        "watch node.k8s.io:runtimeclasses -",
        "create certificates.k8s.io:certificatesigningrequests -",
        "create authentication.k8s.io:tokenreviews -",
    ],
)
def test_what_a_node_may_do(line: str) -> None:
    assert decision(line) == "yes"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("get secrets a/other", UNRELATED),
        ("get secrets b/mine", UNRELATED),
        ("list secrets a/-", "No Object name found"),
        ("list secrets -", "can only read namespaced object of this type"),
        ("delete secrets a/mine", "can only read resources of this type"),
        ("get secrets/status a/mine", "cannot read subresource"),
        ("update configmaps a/mine", "can only read resources of this type"),
        ("list persistentvolumeclaims a/-", GET_ONLY),
        ("get persistentvolumeclaims/other a/mine", "cannot get subresource"),
        ("get persistentvolumeclaims/status a/mine", "can only get/update/patch this type"),
        ("update persistentvolumeclaims/status a/other", UNRELATED),
        ("watch persistentvolumes mine", GET_ONLY),
        ("get persistentvolumes other", UNRELATED),
        ("list resource.k8s.io:resourceclaims a/-", GET_ONLY),
        ("list storage.k8s.io:volumeattachments -", GET_ONLY),
        ("get serviceaccounts a/other", UNRELATED),
        ("list serviceaccounts a/-", "can only create tokens for individual service accounts"),
        ("create serviceaccounts a/mine", "can only create token subresource of serviceaccount"),
        ("create serviceaccounts/token a/other", UNRELATED),
        ("list coordination.k8s.io:leases kube-node-lease/-", LEASE_VERBS),
        ("get coordination.k8s.io:leases a/n1", 'can only access leases in the "kube-node-lease" system namespace'),
        ("get coordination.k8s.io:leases kube-node-lease/n2", "can only access node lease with the same name as the requesting node"),
        ("list storage.k8s.io:csinodes -", "can only get, create, update, patch, or delete a CSINode"),
        ("get storage.k8s.io:csinodes/status n1", "cannot authorize CSINode subresources"),
        ("patch storage.k8s.io:csinodes n2", "can only access CSINode with the same name as the requesting node"),
        ("get resource.k8s.io:resourceslices other", UNRELATED),
        ("list resource.k8s.io:resourceslices -", SLICE_SELECTOR),
        ("watch resource.k8s.io:resourceslices - spec.nodeName=n2", SLICE_SELECTOR),
        ("get resource.k8s.io:resourceslices/status mine", "cannot authorize ResourceSlice subresources"),
        ("list nodes -", "node 'n1' cannot read all nodes, only its own Node object"),
        ("get nodes n2", "node 'n1' cannot read 'n2', only its own Node object"),
        ("delete nodes n1", ""),
        ("get nodes/proxy n1", ""),
        ("list pods -", POD_SELECTOR),
        ("watch pods - spec.nodeName!=n1", POD_SELECTOR),
        ("list pods - spec.nodeName=n2", POD_SELECTOR),
        ("get pods a/other", UNRELATED),
        ("update pods a/mine", ""),
        ("get pods/log a/mine", ""),
        ("create certificates.k8s.io:podcertificaterequests a/-", ""),
        ("create namespaces -", ""),
        ("list endpoints a/-", ""),
        ("get apps:deployments a/mine", ""),
    ],
)
def test_what_a_node_may_not_do(line: str, reason: str) -> None:
    assert decision(line) == reason
