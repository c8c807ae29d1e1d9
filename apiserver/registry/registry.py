"""All resources of one server, by name and by what is served. One resource, and everything there is to do with it: `resource.py`.

Read `kind.py` first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from apiserver.registry.admission import Admission, NoAdmission
from apiserver.registry.kind import Conversion, Kind
from apiserver.registry.resource import Change, Registry, Written
from apiserver.store.base import Store
from kube.clock import Clock
from kube.resources import Resource
from kube.schema.definitions import Definitions


@dataclass(frozen=True, slots=True)
class Served:
    """A resource as one of its versions serves it."""

    registry: Registry
    resource: Resource
    conversion: Conversion | None
    type_name: str
    derived: dict[Any, Any] = field(default_factory=dict)
    """What handlers have worked out about this resource and keep."""


class Registries:
    """All resources of one server. `issue_token`, `service_cidr` and the rest are what hooks of kinds may ask for."""

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
    ) -> None:
        self.store, self.definitions, self.clock, self.rng = store, definitions, clock, rng
        self.admission: Admission = admission or NoAdmission()
        self.service_cidr, self.issue_token = service_cidr, issue_token
        self.kinds = list(kinds)
        self._by_name: dict[tuple[str, str], Registry] = {}
        self._served: dict[tuple[str, str, str], Served] = {}
        for kind in self.kinds:
            registry = Registry(kind, self)
            resource = kind.resource
            self._by_name[resource.group, resource.plural] = registry
            self._served[resource.group, resource.version, resource.plural] = Served(registry, resource, None, kind.definition)
            for each in kind.conversions:
                r = each.resource
                self._served[r.group, r.version, r.plural] = Served(registry, r, each, each.definition)
        self.groups = {group for group, _, _ in self._served}

    def get(self, resource: Resource) -> Registry:
        return self._by_name[resource.group, resource.plural]

    def served(self, group: str, version: str, plural: str) -> Served | None:
        return self._served.get((group, version, plural))

    def serves_group(self, group: str) -> bool:
        return group in self.groups

    def all(self) -> Iterable[Registry]:
        return self._by_name.values()

    def close(self) -> None:
        for registry in self._by_name.values():
            registry.cache.close()


__all__ = ["Change", "Registries", "Registry", "Served", "Written"]
