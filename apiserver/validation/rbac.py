"""Roles and bindings: their rules, their subjects, and a roleRef that never changes. Source: kubernetes `pkg/apis/rbac/validation`.

Not here: whether the writer may grant what he grants (escalation) - that is authorization's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.validation.metadata import complaints, validate_label_selector
from apiserver.validation.names import is_dns1123_subdomain, is_path_segment_name
from kube.errors import FieldError, invalid, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

GROUP = "rbac.authorization.k8s.io"
_NAMESPACED_ROLES, _CLUSTER_ROLES = ("Role", "ClusterRole"), ("ClusterRole",)
_SUBJECTS = ("ServiceAccount", "User", "Group")


def validate_role(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return _rules(new, namespaced=True)


def validate_cluster_role(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    errors = _rules(new, namespaced=False)
    aggregation = new.get("aggregationRule")
    if aggregation is None:
        return errors
    path, selectors = "aggregationRule.clusterRoleSelectors", aggregation.get("clusterRoleSelectors") or []
    if not selectors:
        errors.append(required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
    for index, selector in enumerate(selectors):
        found = validate_label_selector(selector, f"{path}[{index}]")
        errors += found
        if found:
            errors.append(invalid(f"{path}[{index}]", None, "invalid label selector."))
    return errors


def validate_role_binding(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    return _binding(new, old, _NAMESPACED_ROLES, namespaced=True)


def validate_cluster_role_binding(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    return _binding(new, old, _CLUSTER_ROLES, namespaced=False)


def _rules(role: Object, *, namespaced: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, rule in enumerate(role.get("rules") or []):
        errors += _rule(rule, f"rules[{index}]", namespaced=namespaced)
    return errors


def _rule(rule: Object, path: str, *, namespaced: bool) -> list[FieldError]:
    errors = [] if rule.get("verbs") else [required(f"{path}.verbs", "verbs must contain at least one value")]
    urls = rule.get("nonResourceURLs")
    if urls:
        at = f"{path}.nonResourceURLs"
        if namespaced:
            errors.append(invalid(at, urls, "namespaced rules cannot apply to non-resource URLs"))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            errors.append(invalid(at, urls, "rules cannot apply to both regular resources and non-resource URLs"))
        return errors
    if not rule.get("apiGroups"):
        errors.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        errors.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return errors


def _binding(new: Object, old: Object | None, kinds: Sequence[str], *, namespaced: bool) -> list[FieldError]:
    reference = new.get("roleRef") or {}
    group, kind, name = (reference.get(each) or "" for each in ("apiGroup", "kind", "name"))
    errors = [] if group == GROUP else [not_supported("roleRef.apiGroup", group, [GROUP])]
    if kind not in kinds:
        errors.append(not_supported("roleRef.kind", kind, kinds))
    errors += complaints("roleRef.name", name, is_path_segment_name(name)) if name else [required("roleRef.name")]
    for index, subject in enumerate(new.get("subjects") or []):
        errors += _subject(subject, f"subjects[{index}]", namespaced=namespaced)
    if old is not None and reference != (old.get("roleRef") or {}):
        errors.append(invalid("roleRef", reference, "cannot change roleRef"))
    return errors


def _subject(subject: Object, path: str, *, namespaced: bool) -> list[FieldError]:
    kind, name, group = (subject.get(each) or "" for each in ("kind", "name", "apiGroup"))
    errors = [] if name else [required(f"{path}.name")]
    if kind == "ServiceAccount":
        if name:
            errors += complaints(f"{path}.name", name, is_dns1123_subdomain(name))
        if group:
            errors.append(not_supported(f"{path}.apiGroup", group, [""]))
        if not namespaced and not subject.get("namespace"):
            errors.append(required(f"{path}.namespace"))
    elif kind in _SUBJECTS:
        if group != GROUP:
            errors.append(not_supported(f"{path}.apiGroup", group, [GROUP]))
    else:
        errors.append(not_supported(f"{path}.kind", kind, _SUBJECTS))
    return errors
