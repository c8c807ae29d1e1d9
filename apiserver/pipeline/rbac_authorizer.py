"""RBAC as an authorizer: the book of roles and bindings as the server's caches have them, made anew when one of them has changed.

What was decided is remembered until then: most requests of a cluster are the same few, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from apiserver.pipeline.rbac import GROUP, Book, Rule, binding_of, rules_of
from apiserver.registry.authorization import Attributes, Decision, Rules, aggregate
from apiserver.registry.cache import Entry, ResourceCache
from apiserver.registry.kind import User
from apiserver.registry.registry import Registries
from kube.memo import Memo
from kube.objects import Object
from kube.resources import Resource

DECISIONS_MAX: Final = 4096
CLUSTER_ROLES: Final = Resource(GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = Resource(GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ROLES: Final = Resource(GROUP, "v1", "roles", "Role")
ROLE_BINDINGS: Final = Resource(GROUP, "v1", "rolebindings", "RoleBinding")

T = TypeVar("T")
_Parsed = dict[str, tuple[int, Any]]
"""By storage key: the revision, and what became of the object."""


class RbacAuthorizer:
    """See the module. `start` before use."""

    def __init__(self, registries: Registries) -> None:
        self._roles = [registries.get(each).cache for each in (CLUSTER_ROLES, ROLES)]
        self._bindings = [registries.get(each).cache for each in (CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS)]
        self._as_of: list[int] = []
        self._book = Book({})
        self._parsed: _Parsed = {}
        self._decided: Memo[Decision] = Memo(DECISIONS_MAX)

    async def start(self) -> None:
        """Load the roles and bindings that there are."""
        for each in (*self._roles, *self._bindings):
            await each.start()

    def decide(self, user: User, attributes: Attributes) -> Decision:
        book = self.book
        key = (user.name, user.groups, attributes)
        decision = self._decided.get(key)
        if decision is None:
            decision = book.decide(user, attributes)
            self._decided.put(key, decision)
        return decision

    def rules_for(self, user: User, namespace: str) -> Rules:
        rules, missing = self.book.rules_for(user, namespace)
        return Rules(
            [_shown(each) for each in rules if each.resources],
            [_shown(each) for each in rules if each.paths],
            error=aggregate([each.unresolved for each in missing]),
        )

    @property
    def book(self) -> Book:
        """The book of this moment."""
        as_of = [each.changes for each in (*self._roles, *self._bindings)]
        if as_of != self._as_of:
            self._book = self._made()
            self._decided = Memo(DECISIONS_MAX)
            self._as_of = as_of
        return self._book

    def _made(self) -> Book:
        before, self._parsed = self._parsed, {}
        roles = {(entry.namespace, entry.name): each for entry, each in self._read(self._roles, rules_of, before)}
        book = Book(roles)
        for _, binding in self._read(self._bindings, binding_of, before):
            book.add(binding)
        return book

    def _read(self, caches: Iterable[ResourceCache], parse: Callable[[Object], T], before: _Parsed) -> Iterator[tuple[Entry, T]]:
        """All objects of those, each parsed; what has not changed since `before` is not parsed again."""
        for cache in caches:
            for entry in cache.entries():
                known = before.get(entry.key)
                if known is None or known[0] != entry.revision:
                    known = (entry.revision, parse(cache.object_of(entry)))
                self._parsed[entry.key] = known
                yield entry, known[1]


def _shown(rule: Rule) -> Object:
    """A rule as SelfSubjectRulesReview tells it."""
    if rule.paths:
        return {"verbs": [*rule.verbs], "nonResourceURLs": [*rule.paths]}
    out: Object = {"verbs": [*rule.verbs], "apiGroups": [*rule.groups], "resources": [*rule.resources]}
    if rule.names:
        out["resourceNames"] = [*rule.names]
    return out
