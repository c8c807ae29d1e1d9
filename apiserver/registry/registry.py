"""All resources of one server, by name and by what is served. One resource, and everything there is to do with it: `resource.py`.

Read `kind.py` first.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from apiserver.registry.admission import Admission, NoAdmission
from apiserver.registry.authorization import AllowAll, Authorizer
from apiserver.registry.kind import Conversion, Kind
from apiserver.registry.resource import Change, Registry, Written
from apiserver.registry.webhooks import NoWebhooks, WebhookCaller
from apiserver.store.base import Store
from kube.clock import Clock
from kube.resources import Resource
from kube.schema.definitions import Definitions
from kube.schema.types import StructType


@dataclass(frozen=True, slots=True)
class Served:
    """A resource as one of its versions serves it."""

    registry: Registry
    resource: Resource
    conversion: Conversion | None
    type_name: str
    derived: dict[Any, Any] = field(default_factory=dict)
    """What handlers have worked out about this resource and keep."""

    @property
    def type(self) -> StructType:
        """How objects of this version are read."""
        return self.registry.type if self.conversion is None else self.registry.registries.definitions.type(self.type_name)


class Registries:
    """All resources of one server. `issue_token`, `service_cidr` and the rest are what hooks of kinds may ask for. `hidden` kinds are kept
    for the server's own use and not served."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        store: Store,
        *,
        definitions: Definitions,
        clock: Clock,
        rng: random.Random,
        admission: Admission | None = None,
        service_cidr: str = "10.0.0.0/24",
        issue_token: Callable[..., Any] | None = None,
        hidden: Iterable[Kind] = (),
        gates: frozenset[str] = frozenset(),
    ) -> None:
        self.store, self.definitions, self.clock, self.rng = store, definitions, clock, rng
        self.admission: Admission = admission or NoAdmission()
        self.service_cidr, self.issue_token = service_cidr, issue_token
        self.gates = gates
        """The features that are on (`--feature-gates`)."""
        self.authorizer: Authorizer = AllowAll()
        """Who may do what: the server sets it, as it does `rbac`, which knows the rules that somebody has."""
        self.rbac: Any = None
        self.webhooks: WebhookCaller = NoWebhooks()
        """Who calls webhooks: the server sets it."""
        self.definition_settled: Callable[[str, int], Awaitable[None]] | None = None
        """async (name, revision): wait until what a CustomResourceDefinition defines is served as of that revision, but not for long."""
        self.kinds: list[Kind] = []
        self.generation = 0
        """Goes up when the set of kinds changes: what is made from `kinds` is then to be made anew."""
        self.groups: set[str] = set()
        """The groups that are served."""
        self._by_name: dict[tuple[str, str], Registry] = {}
        self._served: dict[tuple[str, str, str], Served] = {}
        for kind in kinds:
            self.add_kind(kind)
        for kind in hidden:
            self._by_name[kind.resource.group, kind.resource.plural] = Registry(kind, self)
        self.built_in_groups = self.groups
        """The groups that do not come from CustomResourceDefinitions."""

    def add_kind(self, kind: Kind) -> Registry:
        """Serve a kind from now on, in the place of one of the same name and version. Requests that are under way with that one fail."""
        resource = kind.resource
        self.remove_kind(resource)
        registry = Registry(kind, self)
        self.kinds.append(kind)
        if kind.custom is None or kind.custom.storage_version == resource.version:
            self._by_name[resource.group, resource.plural] = registry
        else:
            self._by_name.setdefault((resource.group, resource.plural), registry)
        self._served[resource.group, resource.version, resource.plural] = Served(registry, resource, None, kind.definition)
        for each in kind.conversions:
            r = each.resource
            self._served[r.group, r.version, r.plural] = Served(registry, r, each, each.definition)
        self._kinds_changed()
        return registry

    def remove_kind(self, resource: Resource) -> None:
        """Serve a version of a resource no more, if it is served at all: its watches end."""
        served = self._served.get((resource.group, resource.version, resource.plural))
        if served is None:
            return
        registry = served.registry
        self.kinds = [each for each in self.kinds if each is not registry.kind]
        self._served = {key: each for key, each in self._served.items() if each.registry is not registry}
        self._by_name = {key: each for key, each in self._by_name.items() if each is not registry}
        registry.cache.retire()
        if registry.kind.custom is not None:
            retired: Any = registry.store
            retired.retire()
        self._kinds_changed()

    def _kinds_changed(self) -> None:
        self.generation += 1
        self.groups = {group for group, _, _ in self._served}

    def get(self, resource: Resource) -> Registry:
        return self._by_name[resource.group, resource.plural]

    def served(self, group: str, version: str, plural: str) -> Served | None:
        return self._served.get((group, version, plural))

    def answers(self, group: str, version: str, plural: str) -> bool:
        """Whether a path is this server's to answer, if only to say that there is no such resource in a built-in group."""
        return group in self.built_in_groups or (group, version, plural) in self._served

    def serves_group(self, group: str) -> bool:
        return group in self.groups

    def all(self) -> Iterable[Registry]:
        return self._by_name.values()

    def close(self) -> None:
        for registry in {*self._by_name.values(), *(each.registry for each in self._served.values())}:
            registry.cache.close()


__all__ = ["Change", "Registries", "Registry", "Served", "Written"]
