"""The RBAC objects of a new cluster, and what becomes of those that are there already. Pure.

At each start, what upstream's roles have and the cluster's lack is added; nothing that was added by hand is taken away. An object annotated
`rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone. The tables are in `cluster_roles.py` and `controller_roles.py`.
Source: kubernetes `pkg/registry/rbac/rest/storage_rbac.go` and `component-helpers/auth/rbac/reconciliation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from apiserver.bootstrap.cluster_roles import AGENTS, AGGREGATED, BOUND, FEEDS, USERS
from apiserver.bootstrap.controller_roles import CONTROLLERS, GATED
from apiserver.bootstrap.ensure import Recreate, Wanted
from apiserver.bootstrap.rules import EVENTS, rules, uncovered
from kube.objects import Object, annotations_of, labels_of
from kube.resources import Resource

GROUP: Final = "rbac.authorization.k8s.io"
AUTO_UPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
LABEL: Final = "kubernetes.io/bootstrapping"
SYSTEM: Final = "kube-system"
CONTROLLER: Final = "system:controller:"

CLUSTER_ROLES: Final = Resource(GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = Resource(GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ROLES: Final = Resource(GROUP, "v1", "roles", "Role")
ROLE_BINDINGS: Final = Resource(GROUP, "v1", "rolebindings", "RoleBinding")

_ELECTIONS: Final = (
    "create read update | coordination.k8s.io | leases",
    "create read update | coordination.k8s.io | leasecandidates",
)
_NAMESPACED: Final = (
    ("kube-public", "system:controller:bootstrap-signer", ("read | configmaps", "update | core | configmaps | cluster-info", EVENTS)),
    (SYSTEM, "extension-apiserver-authentication-reader", ("read | core | configmaps | extension-apiserver-authentication",)),
    (SYSTEM, "system::leader-locking-kube-controller-manager", _ELECTIONS),
    (SYSTEM, "system::leader-locking-kube-scheduler", _ELECTIONS),
    (SYSTEM, "system:controller:bootstrap-signer", ("read | secrets",)),
    (SYSTEM, "system:controller:cloud-provider", ("create read | configmaps",)),
    (SYSTEM, "system:controller:token-cleaner", ("delete read | secrets", EVENTS)),
)
_NAMESPACED_BOUND: Final = (
    ("kube-public", "system:controller:bootstrap-signer", "", ("account kube-system/bootstrap-signer",)),
    (
        SYSTEM,
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        ("user system:kube-controller-manager", "user system:kube-scheduler"),
    ),
    (
        SYSTEM,
        "system::leader-locking-kube-controller-manager",
        "",
        (
            "user system:kube-controller-manager",
            "account kube-system/kube-controller-manager",
            "account kube-system/leader-election-controller",
        ),
    ),
    (SYSTEM, "system::leader-locking-kube-scheduler", "", ("user system:kube-scheduler", "account kube-system/kube-scheduler")),
    (SYSTEM, "system:controller:bootstrap-signer", "", ("account kube-system/bootstrap-signer",)),
    (SYSTEM, "system:controller:cloud-provider", "", ("account kube-system/cloud-provider",)),
    (SYSTEM, "system:controller:token-cleaner", "", ("account kube-system/token-cleaner",)),
)


# --- what there is to be ----------------------------------------------------------------------------------------------


def cluster_objects(gates: frozenset[str] = frozenset()) -> Iterator[Wanted]:
    """ClusterRoles and their bindings. `gates` are the features that are on."""
    controllers = {name: lines for name, lines in CONTROLLERS.items() if GATED.get(name, "") in {"", *gates}}
    for name, selected in AGGREGATED.items():
        rule = {"clusterRoleSelectors": [{"matchLabels": {f"{GROUP}/{selected}": "true"}}]}
        yield Wanted(CLUSTER_ROLES, {"metadata": _metadata(name), "rules": None, "aggregationRule": rule}, settled_role)
    for name, lines in (USERS | AGENTS | {CONTROLLER + each: lines for each, lines in controllers.items()}).items():
        yield Wanted(CLUSTER_ROLES, {"metadata": _metadata(name), "rules": rules(lines)}, settled_role)
    for name, subjects in (BOUND | {CONTROLLER + each: (f"account {SYSTEM}/{each}",) for each in controllers}).items():
        yield Wanted(CLUSTER_ROLE_BINDINGS, _binding(_metadata(name), "ClusterRole", name, subjects), settled_binding)


def namespaced_objects() -> Iterator[Wanted]:
    """Roles and their bindings in the system's namespaces, which must be there."""
    for namespace, name, lines in _NAMESPACED:
        yield Wanted(ROLES, {"metadata": {**_metadata(name), "namespace": namespace}, "rules": rules(lines)}, settled_role)
    for namespace, name, role, subjects in _NAMESPACED_BOUND:
        binding = _binding({**_metadata(name), "namespace": namespace}, "Role", role or name, subjects)
        yield Wanted(ROLE_BINDINGS, binding, settled_binding)


def _metadata(name: str) -> Object:
    labels = {LABEL: "rbac-defaults"}
    if name in FEEDS:
        labels[f"{GROUP}/{FEEDS[name]}"] = "true"
    return {"name": name, "labels": labels, "annotations": {AUTO_UPDATE: "true"}}


def _binding(metadata: Object, kind: str, role: str, subjects: tuple[str, ...]) -> Object:
    binding: Object = {"metadata": metadata, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}}
    if subjects:
        binding["subjects"] = [_subject(each) for each in subjects]
    return binding


def _subject(line: str) -> Object:
    """`user NAME`, `group NAME` or `account NAMESPACE/NAME`."""
    kind, name = line.split(" ", 1)
    if kind == "account":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": kind.capitalize(), "apiGroup": GROUP, "name": name}


# --- what becomes of what there is --------------------------------------------------------------------------------------


def settled_role(present: Object, wanted: Object) -> Object | None:
    """A role with the rules, selectors, labels and annotations that it lacks; None when it lacks none."""
    if _is_protected(present):
        return None
    changed = _with_metadata(present, wanted)
    missing = uncovered(present.get("rules") or [], wanted.get("rules") or [])
    if missing:
        changed["rules"] = [*(present.get("rules") or []), *missing]
    selectors = _selectors(present)
    more = [each for each in _selectors(wanted) if each not in selectors]
    if more:
        changed["aggregationRule"] = {"clusterRoleSelectors": [*selectors, *more]}
    elif "aggregationRule" not in wanted:
        changed.pop("aggregationRule", None)
    return None if changed == present else changed


def settled_binding(present: Object, wanted: Object) -> Object | None:
    """A binding with the subjects, labels and annotations that it lacks; None when it lacks none.

    Raises Recreate when it is bound to another role, which cannot be changed."""
    if _is_protected(present):
        return None
    if present.get("roleRef") != wanted["roleRef"]:
        raise Recreate
    changed = _with_metadata(present, wanted)
    subjects = present.get("subjects") or []
    more = [each for each in wanted.get("subjects") or [] if each not in subjects]
    if more:
        changed["subjects"] = [*subjects, *more]
    return None if changed == present else changed


def _is_protected(present: Object) -> bool:
    return annotations_of(present).get(AUTO_UPDATE) == "false"


def _with_metadata(present: Object, wanted: Object) -> Object:
    """A copy with the wanted labels and annotations; where both say something, what is there stays."""
    labels, annotations = {**labels_of(wanted), **labels_of(present)}, {**annotations_of(wanted), **annotations_of(present)}
    meta: Object = dict(present["metadata"])
    if labels:
        meta["labels"] = labels
    if annotations:
        meta["annotations"] = annotations
    return {**present, "metadata": meta}


def _selectors(role: Object) -> list[Object]:
    return (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
