"""Nobody grants what they do not have: who writes a role must hold all its rules, or be allowed to `escalate`; who binds one must hold its
rules, too, or be allowed to `bind` it.

Source: kubernetes `pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased` and
`pkg/registry/rbac/validation/rule.go` (ConfirmNoEscalation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from apiserver.pipeline.rbac import ALL, GROUP, Rule, binding_of, rules_of, uncovered
from apiserver.registry.authorization import MASTERS, Attributes
from apiserver.registry.kind import Begin, Context, User
from kube import errors
from kube.errors import quoted
from kube.objects import Object, name_of, namespace_of

_EVERYTHING: Final = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), paths=(ALL,)))


def of_role(plural: str) -> Begin:
    """The check of a role, or of a ClusterRole, that is to be written."""

    async def begin(new: Object, old: Object | None, ctx: Context, registries: Any) -> None:
        rules, changed = rules_of(new), old is None or rules_of(old) != rules_of(new)
        aggregates = any((each or {}).get("aggregationRule") for each in (new, old))
        if not (changed or aggregates) or _is_let_go(new, old) or MASTERS in ctx.user.groups:
            return
        name = "" if ctx.verb == "create" else name_of(new)
        wanted = Attributes("escalate", GROUP, "v1", plural, namespace=namespace_of(new), name=name)
        if registries.authorizer.decide(ctx.user, wanted).allowed:
            return
        if changed and (problem := _escalation(ctx.user, rules, namespace_of(new), registries)):
            raise errors.forbidden(plural, GROUP, name_of(new), problem)
        if aggregates and _escalation(ctx.user, _EVERYTHING, "", registries):
            raise errors.forbidden(plural, GROUP, name_of(new), "must have cluster-admin privileges to use the aggregationRule")

    return begin


def of_binding(plural: str) -> Begin:
    """The check of a RoleBinding, or of a ClusterRoleBinding, that is to be written."""

    async def begin(new: Object, old: Object | None, ctx: Context, registries: Any) -> None:
        if _is_let_go(new, old) or MASTERS in ctx.user.groups:
            return
        binding = binding_of(new)
        roles = "roles" if binding.role_kind == "Role" else "clusterroles"
        wanted = Attributes("bind", GROUP, "v1", roles, namespace=binding.namespace, name=binding.role)
        if registries.authorizer.decide(ctx.user, wanted).allowed:
            return
        try:
            rules = registries.rbac.book.rules_of(binding)
        except LookupError:
            raise errors.not_found(plural, GROUP, binding.role) from None
        if problem := _escalation(ctx.user, rules, binding.namespace, registries):
            raise errors.forbidden(plural, GROUP, name_of(new), problem)

    return begin


def _is_let_go(new: Object, old: Object | None) -> bool:
    """Whether nothing changes but what the garbage collector changes, so that what a role grants already does not stand in its way."""
    return old is not None and _without_ties(new) == _without_ties(old)


def _without_ties(obj: Object) -> Object:
    ties = ("finalizers", "ownerReferences", "managedFields", "resourceVersion")
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in ties}}


def _escalation(user: User, wanted: Sequence[Rule], namespace: str, registries: Any) -> str:
    """What is wrong with the user's granting these rules there; "" for nothing."""
    owned, missing = registries.rbac.book.rules_for(user, namespace)
    beyond = uncovered(owned, wanted)
    if not beyond:
        return ""
    lines = "\n".join(sorted({_text(each) for each in _compacted(beyond)}))
    why = f"user {quoted(user.name)} (groups={_list(user.groups)}) is attempting to grant RBAC permissions not currently held:\n{lines}"
    return why + (f"; resolution errors: [{', '.join(missing)}]" if missing else "")


def _compacted(rules: Iterable[Rule]) -> list[Rule]:
    """Single rules, those about the same with their verbs in one."""
    verbs: dict[Rule, list[str]] = {}
    for rule in rules:
        held = verbs.setdefault(rule._replace(verbs=()), [])
        held += [each for each in rule.verbs if each not in held]
    return [rule._replace(verbs=tuple(each)) for rule, each in verbs.items()]


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
