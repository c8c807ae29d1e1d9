"""Devices, classes of them and claims to them (dynamic resource allocation), as the scheduler sees them. In memory, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from controllers.scheduler.framework import ClusterEvent
from controllers.scheduler.volumes import Assumed
from kube.amounts import Amounts, read
from kube.client.informer import Informers
from kube.objects import Object, key_of, name_of
from kube.resources import Resource

_GROUP = "resource.k8s.io"
RESOURCE_CLAIMS: Final = Resource(_GROUP, "v1", "resourceclaims", "ResourceClaim")
DEVICE_CLASSES: Final = Resource(_GROUP, "v1", "deviceclasses", "DeviceClass", namespaced=False)
RESOURCE_SLICES: Final = Resource(_GROUP, "v1", "resourceslices", "ResourceSlice", namespaced=False)
RESOURCES: Final = (DEVICE_CLASSES, RESOURCE_SLICES, RESOURCE_CLAIMS)

DeviceId = tuple[str, str, str]
"""(driver, pool, device)."""


def qualified(name: str, driver: str) -> str:
    """The name of an attribute or a capacity with its domain: the driver's, where it says none."""
    return name if "/" in name else f"{driver}/{name}"


class Devices:
    """`version` grows with every change."""

    def __init__(self) -> None:
        self.version = 0
        self.claims = Assumed(self._moved)
        self.classes: dict[str, Object] = {}
        self.slices: dict[str, Object] = {}

    def watch(self, informers: Informers, told: Callable[[ClusterEvent], None]) -> None:
        """Follow these informers from now on."""

        def handler(resource: Resource) -> Callable[[Object | None, Object | None], None]:
            def handle(old: Object | None, new: Object | None) -> None:
                self.take(resource, old, new)
                told(ClusterEvent.DEVICES)

            return handle

        for resource in RESOURCES:
            informers.of(resource).add_handler(handler(resource))

    def take(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        """An object of one of `RESOURCES` is new, has changed or is gone."""
        if resource == RESOURCE_CLAIMS:
            if new is not None:
                self.claims.set(new)
            elif old is not None:
                self.claims.remove(key_of(old))
            return
        kept = self.classes if resource == DEVICE_CLASSES else self.slices
        self.version += 1
        if new is not None:
            kept[name_of(new)] = new
        elif old is not None:
            kept.pop(name_of(old), None)

    def taken(self) -> set[DeviceId]:
        """The devices that are allocated, those that are assumed to be included. Administrators' access takes nothing."""
        return {device for claim in self.claims.values() for device in devices_of(claim)}

    def parts(self) -> list[tuple[DeviceId, Amounts]]:
        """The parts that claims have of devices that they share, and what each consumes of the device's capacities."""
        return [part for claim in self.claims.values() for part in parts_of(claim)]

    def _moved(self, _old: Object | None, _new: Object | None) -> None:
        self.version += 1


def devices_of(claim: Object) -> Iterator[DeviceId]:
    """The devices that a claim has for itself."""
    for each in _results(claim):
        if not each.get("adminAccess") and not each.get("shareID"):
            yield each["driver"], each["pool"], each["device"]


def parts_of(claim: Object) -> Iterator[tuple[DeviceId, Amounts]]:
    """The parts that a claim has of devices that others may share."""
    for each in _results(claim):
        if each.get("shareID"):
            yield (each["driver"], each["pool"], each["device"]), read(each.get("consumedCapacity"))


def _results(claim: Object) -> list[Object]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    found: list[Object] = (allocation.get("devices") or {}).get("results") or []
    return found
