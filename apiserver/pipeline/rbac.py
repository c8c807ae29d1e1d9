"""RBAC: what the rules of roles allow to whom they are bound. Pure. Source: kubernetes `plugin/pkg/auth/authorizer/rbac`,
`pkg/registry/rbac/validation` and component-helpers `auth/rbac/validation`.

Everything that is bound adds up; nothing takes away. `Book` holds the roles and bindings of a moment; `rbac_authorizer.py` keeps one up to
date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final, NamedTuple

from apiserver.registry.authorization import Attributes, Decision, aggregate
from apiserver.registry.kind import User
from kube.errors import quoted
from kube.objects import Object

GROUP: Final = "rbac.authorization.k8s.io"
ALL: Final = "*"
_ACCOUNT: Final = "system:serviceaccount:"

SubjectKey = tuple[str, str]
"""A subject as users are looked up by it: kind, and name (`namespace:name` of an account)."""


class Rule(NamedTuple):
    """A PolicyRule."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def allows(self, wanted: Attributes) -> bool:
        if wanted.verb not in self.verbs and ALL not in self.verbs:
            return False
        if not wanted.resource:
            return any(_path_matches(each, wanted.path) for each in self.paths)
        return (
            (wanted.group in self.groups or ALL in self.groups)
            and self._has(wanted.resource, wanted.subresource)
            and (not self.names or wanted.name in self.names)
        )

    def _has(self, resource: str, subresource: str) -> bool:
        if ALL in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources

    def covers(self, single: Rule) -> bool:
        """Whether all that a rule of `broken_down` allows is allowed here."""
        if not (ALL in self.verbs or set(single.verbs) <= set(self.verbs)):
            return False
        if single.paths:
            return all(any(_path_covers(own, each) for own in self.paths) for each in single.paths)
        return (
            (ALL in self.groups or set(single.groups) <= set(self.groups))
            and all(self._covers_resource(each) for each in single.resources)
            and (not self.names or (bool(single.names) and set(single.names) <= set(self.names)))
        )

    def _covers_resource(self, resource: str) -> bool:
        if ALL in self.resources or resource in self.resources:
            return True
        _, slash, subresource = resource.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources


def _path_matches(rule: str, path: str) -> bool:
    return rule in (ALL, path) or (rule.endswith(ALL) and path.startswith(rule.rstrip(ALL)))


def _path_covers(owner: str, wanted: str) -> bool:
    return owner in (ALL, wanted) or (owner.endswith(ALL) and wanted.startswith(owner.rstrip(ALL)))


def rule_of(rule: Object) -> Rule:
    """A PolicyRule from its object."""
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return Rule(*(tuple(rule.get(each) or ()) for each in fields))


def rules_of(role: Object) -> tuple[Rule, ...]:
    return tuple(rule_of(each) for each in role.get("rules") or ())


def broken_down(rule: Rule) -> Iterator[Rule]:
    """A rule as rules of one verb, group, resource and name, or one path, each."""
    for group, resource, verb in product(rule.groups, rule.resources, rule.verbs):
        if not rule.names:
            yield Rule((verb,), (group,), (resource,))
        for name in rule.names:
            yield Rule((verb,), (group,), (resource,), (name,))
    for path, verb in product(rule.paths, rule.verbs):
        yield Rule((verb,), paths=(path,))


def uncovered(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of `wanted` goes beyond `owned`, in single rules."""
    return [single for rule in wanted for single in broken_down(rule) if not any(each.covers(single) for each in owned)]


# --- who has which rules ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding, and the keys of its subjects, each with how upstream writes the subject. `namespace` is "" for a ClusterRoleBinding."""

    name: str
    namespace: str
    role_kind: str
    role: str
    subjects: Mapping[SubjectKey, str]

    @property
    def refers_to(self) -> tuple[str, str]:
        """The role, as `Book.roles` has it."""
        return (self.namespace if self.role_kind == "Role" else "", self.role)

    @property
    def unresolved(self) -> str:
        """What is said of it where that role is not there."""
        return f"{self.role_kind.lower()}.{GROUP} {quoted(self.role)} not found"

    def said(self, subject: str) -> str:
        """Why something was allowed."""
        kind, name = ("RoleBinding", f"{self.name}/{self.namespace}") if self.namespace else ("ClusterRoleBinding", self.name)
        return f"RBAC: allowed by {kind} {quoted(name)} of {self.role_kind} {quoted(self.role)} to {subject}"


def binding_of(binding: Object) -> Binding:
    """A binding from its object."""
    metadata, role = binding["metadata"], binding.get("roleRef") or {}
    namespace = metadata.get("namespace") or ""
    subjects: dict[SubjectKey, str] = {}
    for each in binding.get("subjects") or ():
        kind, name = each.get("kind", ""), each.get("name", "")
        if kind == "ServiceAccount":
            own = each.get("namespace") or namespace
            if own:
                subjects.setdefault((kind, f"{own}:{name}"), f"{kind} {quoted(f'{name}/{own}')}")
        else:
            subjects.setdefault((kind, name), f"{kind} {quoted(name)}")
    return Binding(metadata.get("name") or "", namespace, role.get("kind", ""), role.get("name", ""), subjects)


def keys_of(user: User) -> list[SubjectKey]:
    """The subjects that the user is."""
    keys = [("User", user.name), *(("Group", each) for each in user.groups)]
    if user.name.startswith(_ACCOUNT):
        keys.append(("ServiceAccount", user.name.removeprefix(_ACCOUNT)))
    return keys


@dataclass(slots=True)
class Book:
    """The roles and bindings of a moment. Roles by (namespace, name), namespace "" for a ClusterRole."""

    roles: Mapping[tuple[str, str], tuple[Rule, ...]]
    _bound: dict[str, dict[SubjectKey, list[Binding]]] = field(default_factory=dict)

    def add(self, binding: Binding) -> None:
        bound = self._bound.setdefault(binding.namespace, {})
        for key in binding.subjects:
            bound.setdefault(key, []).append(binding)

    def bindings(self, user: User, namespace: str) -> Iterator[tuple[Binding, str]]:
        """What is bound to the user for the whole cluster, then what is in the namespace, by name; each with the first of its subjects that
        the user is."""
        keys = keys_of(user)
        for where in ("", namespace) if namespace else ("",):
            bound = self._bound.get(where)
            if not bound:
                continue
            found = {binding.name: binding for key in keys for binding in bound.get(key, ())}
            for _, binding in sorted(found.items()):
                yield binding, next(said for key, said in binding.subjects.items() if key in keys)

    def decide(self, user: User, wanted: Attributes) -> Decision:
        missing: list[str] = []
        for binding, subject in self.bindings(user, wanted.namespace):
            rules = self.roles.get(binding.refers_to)
            if rules is None:
                missing.append(binding.unresolved)
            elif any(rule.allows(wanted) for rule in rules):
                return Decision(True, reason=binding.said(subject))
        return Decision(False, reason=f"RBAC: {aggregate(missing)}" if missing else "")

    def rules_for(self, user: User, namespace: str) -> tuple[list[Rule], list[Binding]]:
        """All rules that the user has there, and the bindings whose role is not there."""
        rules: list[Rule] = []
        missing: list[Binding] = []
        for binding, _ in self.bindings(user, namespace):
            found = self.roles.get(binding.refers_to)
            if found is None:
                missing.append(binding)
            else:
                rules += found
        return rules, missing
