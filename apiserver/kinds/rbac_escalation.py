"""Nobody grants what they do not have: who writes a role must hold all its rules, or be allowed to `escalate`; who binds one must hold its
rules, too, or be allowed to `bind` it.

Source: kubernetes `pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased` and
`pkg/registry/rbac/validation/rule.go` (ConfirmNoEscalation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apiserver.pipeline.rbac import ALL, GROUP, Binding, Book, Rule, binding_of, rules_of, uncovered
from apiserver.registry.authorization import MASTERS, Attributes, aggregate
from apiserver.registry.kind import Begin, Context, User
from kube import errors
from kube.errors import ApiError, quoted
from kube.objects import Object, name_of, namespace_of

_EVERYTHING: Final = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), paths=(ALL,)))
_SET_BY_SERVER: Final = frozenset({"uid", "resourceVersion", "creationTimestamp"})
_ROLES: Final = {"Role": "roles", "ClusterRole": "clusterroles"}


def of_role(plural: str) -> Begin:
    """The check of a role, or of a ClusterRole, that is to be written: whatever changes of it, all its rules count."""

    async def begin(new: Object, old: Object | None, ctx: Context, registries: Any) -> None:
        if _is_let_go(new, old, ctx) or MASTERS in ctx.user.groups:
            return
        name = "" if ctx.verb == "create" else name_of(new)
        wanted = Attributes("escalate", GROUP, ALL, plural, namespace=namespace_of(new), name=name)
        if registries.authorizer.decide(ctx.user, wanted).allowed:
            return
        grant = _Grant(ctx.user, plural, namespace_of(new), registries.rbac.book)
        if problem := grant.problem(rules_of(new)):
            raise errors.forbidden(plural, GROUP, name_of(new), problem)
        if (_aggregates(new) or _aggregates(old)) and grant.problem(_EVERYTHING):
            raise errors.forbidden(plural, GROUP, name_of(new), "must have cluster-admin privileges to use the aggregationRule")

    return begin


def of_binding(plural: str) -> Begin:
    """The check of a RoleBinding, or of a ClusterRoleBinding, that is to be written."""

    async def begin(new: Object, old: Object | None, ctx: Context, registries: Any) -> None:
        if _is_let_go(new, old, ctx) or MASTERS in ctx.user.groups:
            return
        binding, book = binding_of(new), registries.rbac.book
        roles = _ROLES.get(binding.role_kind)
        if roles is None:
            raise ApiError(f"unsupported role reference kind: {quoted(binding.role_kind)}")
        group = (new.get("roleRef") or {}).get("apiGroup") or ""
        wanted = Attributes("bind", group, ALL, roles, namespace=binding.namespace, name=binding.role)
        if registries.authorizer.decide(ctx.user, wanted).allowed:
            return
        rules = book.roles.get(binding.refers_to)
        if rules is None:
            raise errors.not_found(plural, GROUP, binding.role)
        if problem := _Grant(ctx.user, plural, binding.namespace, book).problem(rules):
            raise errors.forbidden(plural, GROUP, name_of(new), problem)

    return begin


def _is_let_go(new: Object, old: Object | None, ctx: Context) -> bool:
    """Whether nothing changes but what the garbage collector changes, so that what a role grants already does not stand in its way. Who
    sends a whole object must send all of it: upstream fills in what only the server sets later than this."""
    if old is None or _without_ties(new) != _without_ties(old):
        return False
    return ctx.verb != "update" or set((ctx.sent() or {}).get("metadata") or ()) >= _SET_BY_SERVER


def _without_ties(obj: Object) -> Object:
    ties = ("finalizers", "ownerReferences", "managedFields", "resourceVersion")
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in ties}}


def _aggregates(role: Object | None) -> bool:
    return bool(((role or {}).get("aggregationRule") or {}).get("clusterRoleSelectors"))


@dataclass(frozen=True, slots=True)
class _Grant:
    """Somebody grants something, by a write to `plural`."""

    user: User
    plural: str
    namespace: str
    book: Book

    def problem(self, wanted: Sequence[Rule]) -> str:
        """What is wrong with granting these rules; "" for nothing."""
        owned, missing = self.book.rules_for(self.user, self.namespace)
        beyond = uncovered(owned, wanted)
        if not beyond:
            return ""
        lines = "\n".join(sorted({_text(each) for each in _compacted(beyond)}))
        who = f"user {quoted(self.user.name)} (groups={_list(self.user.groups)})"
        why = f"{who} is attempting to grant RBAC permissions not currently held:\n{lines}"
        return f"{why}; resolution errors: [{self._unresolved(missing)}]" if missing else why

    def _unresolved(self, missing: Sequence[Binding]) -> str:
        """The roles that are not there, which upstream calls by the resource that is being written."""
        return aggregate([errors.not_found(self.plural, GROUP, each.role).message for each in missing])


def _compacted(rules: Iterable[Rule]) -> list[Rule]:
    """Single rules, those about the same resource with their verbs in one."""
    verbs: dict[Rule, list[str]] = {}
    paths: list[Rule] = []
    for rule in rules:
        if rule.paths:
            paths.append(rule)
        else:
            verbs.setdefault(rule._replace(verbs=()), []).extend(rule.verbs)
    return [*paths, *(about._replace(verbs=tuple(each)) for about, each in verbs.items())]


def _text(rule: Rule) -> str:
    parts = {
        "APIGroups": rule.groups,
        "Resources": rule.resources,
        "NonResourceURLs": rule.paths,
        "ResourceNames": rule.names,
        "Verbs": rule.verbs,
    }
    return "{" + ", ".join(f"{name}:{_list(values)}" for name, values in parts.items() if values) + "}"


def _list(values: Sequence[str]) -> str:
    return f"[{' '.join(quoted(each) for each in values)}]"
