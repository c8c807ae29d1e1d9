"""Keeps IPAddress objects and Services' cluster IPs together: a server that was killed between the two leaves one without the other.

An address whose Service does not have it is given back after a minute; one that a Service has and nobody claimed is claimed for it.
Source: kubernetes `pkg/registry/core/service/ipallocator/controller/repairip.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from apiserver.bootstrap.ensure import Wanted, ensure, server_context
from apiserver.kinds.core.cluster_ips import FAMILY_LABEL, MANAGER, MANAGER_LABEL
from apiserver.kinds.core.service_families import family_of
from apiserver.loops.follow import Concerns
from apiserver.registry.cache import DELETED, Change, Entry
from apiserver.registry.registry import Registries
from kube import errors
from kube.clock import parse_time
from kube.objects import Object, uid_of
from kube.resources import IP_ADDRESSES, SERVICES, Resource

GRACE_S: Final = 60.0
"""How old an address must be before it counts as forgotten: its Service may be about to be stored."""


def cluster_ips_of(service: Object) -> list[str]:
    """The addresses of a Service."""
    return [each for each in (service.get("spec") or {}).get("clusterIPs") or () if each != "None"]


class IPAddressLoop:
    """Keys are addresses."""

    name = "ip-address"

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._addresses, self._services = registries.get(IP_ADDRESSES).cache, registries.get(SERVICES).cache
        self._holders: dict[str, tuple[str, str]] = {}  # the Service (namespace, name) that has an address
        self._held: dict[tuple[str, str], list[str]] = {}

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((IP_ADDRESSES, lambda change: (change.entry.name,)), (SERVICES, self._changed))

    def reset(self) -> Iterable[str]:
        self._holders.clear()
        self._held.clear()
        for entry in self._services.entries():
            self._note(entry)
        return {*self._holders, *(entry.name for entry in self._addresses.entries())}

    def _changed(self, change: Change) -> Iterable[str]:
        service = (change.entry.namespace, change.entry.name)
        before = self._held.pop(service, [])
        for ip in before:
            self._holders.pop(ip, None)
        if change.type != DELETED:
            self._note(change.entry)
        after = self._held.get(service, [])
        return () if before == after else {*before, *after}

    def _note(self, entry: Entry) -> None:
        service, ips = (entry.namespace, entry.name), cluster_ips_of(self._services.object_of(entry))
        if ips:
            self._held[service] = ips
            self._holders.update((ip, service) for ip in ips)

    async def settle(self, key: str) -> float | None:
        entry, holder = self._addresses.get("", key), self._holders.get(key)
        if entry is None:
            if holder is not None:
                await self._claim(key, *holder)
            return None
        if entry.labels.get(MANAGER_LABEL) != MANAGER or holder is not None:
            return None
        address = self._addresses.object_of(entry)
        made = parse_time(address["metadata"].get("creationTimestamp"))
        left_s = GRACE_S - (self._registries.clock.now() - made).total_seconds() if made is not None else 0.0
        if left_s > 0:
            return left_s
        await self._release(address)
        return None

    async def _claim(self, ip: str, namespace: str, name: str) -> None:
        labels = {FAMILY_LABEL: family_of(ip), MANAGER_LABEL: MANAGER}
        reference = {"resource": "services", "namespace": namespace, "name": name}
        await ensure(
            self._registries, [Wanted(IP_ADDRESSES, {"metadata": {"name": ip, "labels": labels}, "spec": {"parentRef": reference}})]
        )

    async def _release(self, address: Object) -> None:
        options: Object = {"preconditions": {"uid": uid_of(address)}}
        try:
            context = server_context(self._registries, verb="delete")
            await self._registries.get(IP_ADDRESSES).delete("", address["metadata"]["name"], options, context)
        except errors.NotFound:
            return
