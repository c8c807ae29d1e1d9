"""What an authorizer is asked, and what it says. Source: apiserver `pkg/authorization/authorizer/interfaces.go`.

Who needs to know whether somebody may do something (the pipeline, access reviews, admission, checks against escalation) asks
`registries.authorizer`. It answers from what the server holds in memory, so it is not async.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from apiserver.registry.kind import User
from kube.fields import FieldRequirement
from kube.objects import Object

MASTERS = "system:masters"
"""The group that may do everything, whatever the rules say."""


class Attributes(NamedTuple):
    """What is to be done: to a resource, or, when `resource` is "", at a `path`."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: tuple[FieldRequirement, ...] = ()
    """What a list or watch asks for; RBAC does not look at it."""


class Decision(NamedTuple):
    """Allowed, or not: nobody has allowed it, or somebody has `denied` it, which no other authorizer overrules. `error`: what could not be
    found out."""

    allowed: bool
    denied: bool = False
    reason: str = ""
    error: str = ""


class Rules(NamedTuple):
    """What somebody may do in a namespace, as SelfSubjectRulesReview tells it."""

    resource_rules: Sequence[Object]
    other_rules: Sequence[Object]
    is_incomplete: bool = False
    error: str = ""


class Authorizer(Protocol):
    """Says who may do what."""

    def decide(self, user: User, attributes: Attributes) -> Decision: ...

    def rules_for(self, user: User, namespace: str) -> Rules: ...


PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")


class AllowAll:
    """Everybody who is known may do everything (`--authorization-mode=AlwaysAllow`); who is not may ask whether the server is well."""

    def decide(self, user: User, attributes: Attributes) -> Decision:
        if "system:unauthenticated" not in user.groups:
            return Decision(True)
        return Decision(not attributes.resource and f"/{attributes.path.split('/')[1]}" in PUBLIC_PATHS)

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], [{"verbs": ["*"], "nonResourceURLs": ["*"]}])


class DenyAll:
    """Nobody may do anything (`--authorization-mode=AlwaysDeny`), but those of system:masters."""

    def decide(self, user: User, attributes: Attributes) -> Decision:
        return Decision(False, reason="Everything is forbidden.")

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules([], [])


class Union:
    """Several authorizers, one after the other: the first that allows or denies has decided."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = authorizers

    def decide(self, user: User, attributes: Attributes) -> Decision:
        if MASTERS in user.groups:
            return Decision(True)
        reasons: list[str] = []
        problems: list[str] = []
        for each in self._authorizers:
            decision = each.decide(user, attributes)
            if decision.allowed or decision.denied:
                return decision
            reasons += [decision.reason] if decision.reason else []
            problems += [decision.error] if decision.error else []
        return Decision(False, reason="\n".join(reasons), error=aggregate(problems))

    def rules_for(self, user: User, namespace: str) -> Rules:
        found = [each.rules_for(user, namespace) for each in self._authorizers]
        return Rules(
            [rule for each in found for rule in each.resource_rules],
            [rule for each in found for rule in each.other_rules],
            any(each.is_incomplete for each in found),
            aggregate([each.error for each in found if each.error]),
        )


def aggregate(problems: Sequence[str]) -> str:
    """Several errors as one, each once. Source: apimachinery `util/errors/errors.go`."""
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]" if distinct else ""
