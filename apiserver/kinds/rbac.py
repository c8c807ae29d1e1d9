"""rbac.authorization.k8s.io. Who may write what is in `rbac_escalation.py`; rules are in `validation/rbac.py`.

Source: kubernetes `pkg/registry/rbac`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.kinds import rbac_escalation
from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, wide
from apiserver.kinds.strategy import CREATED_AT, created_at_row
from apiserver.registry.kind import Column, Kind
from apiserver.validation import rbac as validation
from kube.objects import Object
from kube.resources import Resource

GROUP = "rbac.authorization.k8s.io"
DEFINITION = "io.k8s.api.rbac.v1."


def default_binding(binding: Object) -> None:
    """The groups of the role and of the subjects."""
    role = binding.setdefault("roleRef", {})
    if not role.get("apiGroup"):
        role["apiGroup"] = GROUP
    for subject in binding.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = GROUP


def _binding_row(binding: Object, now: datetime) -> list[Any]:
    role, subjects = binding.get("roleRef") or {}, binding.get("subjects") or []
    users = [each.get("name", "") for each in subjects if each.get("kind") == "User"]
    groups = [each.get("name", "") for each in subjects if each.get("kind") == "Group"]
    accounts = [f"{each.get('namespace', '')}/{each.get('name', '')}" for each in subjects if each.get("kind") == "ServiceAccount"]
    return [
        binding["metadata"].get("name", ""),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(binding, now),
        ", ".join(users),
        ", ".join(groups),
        ", ".join(accounts),
    ]


_BINDING_COLUMNS = (NAME, Column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts"))


def _role(plural: str, kind: str, *, namespaced: bool) -> Kind:
    return Kind(
        resource=Resource(GROUP, "v1", plural, kind, namespaced=namespaced),
        definition=DEFINITION + kind,
        singular=kind.lower(),
        columns=CREATED_AT,
        row=created_at_row,
        default_table=True,
        begin=rbac_escalation.of_role(plural),
        validate=validation.validate_role if namespaced else validation.validate_cluster_role,
        name_rule="path-segment",
        create_on_update=True,
    )


def _binding(plural: str, kind: str, *, namespaced: bool) -> Kind:
    return Kind(
        resource=Resource(GROUP, "v1", plural, kind, namespaced=namespaced),
        definition=DEFINITION + kind,
        singular=kind.lower(),
        columns=_BINDING_COLUMNS,
        row=_binding_row,
        default=default_binding,
        begin=rbac_escalation.of_binding(plural),
        validate=validation.validate_role_binding if namespaced else validation.validate_cluster_role_binding,
        name_rule="path-segment",
        create_on_update=True,
    )


KINDS = [
    _binding("clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _role("clusterroles", "ClusterRole", namespaced=False),
    _binding("rolebindings", "RoleBinding", namespaced=True),
    _role("roles", "Role", namespaced=True),
]
