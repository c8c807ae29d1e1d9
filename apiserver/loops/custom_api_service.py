"""Registers an APIService for each group and version of custom resources, and takes it away with the last of them.

Source: kubernetes `pkg/controlplane/controller/crdregistration`, kube-aggregator `pkg/controllers/autoregister`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from apiserver.bootstrap.api_services import ALWAYS, API_SERVICES, MANAGED, api_service, settled
from apiserver.bootstrap.ensure import Wanted, ensure, server_context
from apiserver.loops.follow import Concerns
from apiserver.registry.cache import DELETED, Change, Entry
from apiserver.registry.registry import Registries
from kube import errors
from kube.objects import Object
from kube.resources import Resource

CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)


def served_versions(definition: Object) -> frozenset[str]:
    """The names (`v1.example.com`) of the APIServices that a CustomResourceDefinition needs."""
    spec = definition.get("spec") or {}
    return frozenset(f"{each['name']}.{spec.get('group', '')}" for each in spec.get("versions") or () if each.get("served"))


class CustomAPIServiceLoop:
    """Keys are names of APIServices."""

    name = "custom-api-service"

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._definitions = registries.get(CUSTOM_RESOURCE_DEFINITIONS).cache
        self._api_services = registries.get(API_SERVICES).cache
        self._needed: dict[str, set[str]] = {}  # an APIService's name -> the definitions that need it
        self._versions: dict[str, frozenset[str]] = {}  # a definition's name -> the APIServices it needs

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((CUSTOM_RESOURCE_DEFINITIONS, self._changed), (API_SERVICES, lambda change: (change.entry.name,)))

    def reset(self) -> Iterable[str]:
        self._needed.clear()
        self._versions.clear()
        for entry in self._definitions.entries():
            self._note(entry)
        managed = [entry.name for entry in self._api_services.entries() if entry.labels.get(MANAGED) == ALWAYS]
        return {*managed, *self._needed}

    def _changed(self, change: Change) -> Iterable[str]:
        before = self._versions.get(change.entry.name, frozenset())
        if change.type == DELETED:
            self._needs(change.entry.name, frozenset())
        else:
            self._note(change.entry)
        return before | self._versions.get(change.entry.name, frozenset())

    def _note(self, entry: Entry) -> None:
        self._needs(entry.name, served_versions(self._definitions.object_of(entry)))

    def _needs(self, definition: str, names: frozenset[str]) -> None:
        for name in self._versions.pop(definition, frozenset()) - names:
            self._needed[name].discard(definition)
            if not self._needed[name]:
                del self._needed[name]
        for name in names:
            self._needed.setdefault(name, set()).add(definition)
        if names:
            self._versions[definition] = names

    async def settle(self, key: str) -> float | None:
        if key in self._needed:
            version, _, group = key.partition(".")
            await ensure(self._registries, [Wanted(API_SERVICES, api_service(group, version, managed=ALWAYS), settled)])
            return None
        entry = self._api_services.get("", key)
        if entry is not None and entry.labels.get(MANAGED) == ALWAYS:
            context = server_context(self._registries, verb="delete")
            try:
                await self._registries.get(API_SERVICES).delete("", key, {}, context)
            except errors.NotFound:
                return None
        return None
