"""Claims, volumes and what storage drivers tell of themselves, as the scheduler sees them. In memory, no I/O.

What the scheduler has decided about a claim or a volume counts at once: it is assumed, until a newer version comes from the API, or the
decision is taken back. Source: `pkg/scheduler/util/assumecache`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from controllers.scheduler.framework import NO_EVENT, ClusterEvent
from kube.client.informer import Informers
from kube.objects import Object, key_of, name_of, resource_version_of
from kube.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    Resource,
)
from kube.storage import claim_key, class_of

RESOURCES = (
    STORAGE_CLASSES,
    CSI_NODES,
    CSI_DRIVERS,
    CSI_STORAGE_CAPACITIES,
    VOLUME_ATTACHMENTS,
    PERSISTENT_VOLUMES,
    PERSISTENT_VOLUME_CLAIMS,
)
"""What is watched."""


class Assumed:
    """Objects by key: as the API has them, and as they are assumed to be. `moved(old, new)` is told of every change of the latter."""

    def __init__(self, moved: Callable[[Object | None, Object | None], None] = lambda old, new: None) -> None:
        self._api: dict[str, Object] = {}
        self._latest: dict[str, Object] = {}
        self._held: set[str] = set()
        self._moved = moved

    def get(self, key: str) -> Object | None:
        return self._latest.get(key)

    def values(self) -> Iterable[Object]:
        return self._latest.values()

    def api(self, key: str) -> Object | None:
        """As the API has it."""
        return self._api.get(key)

    def set(self, obj: Object) -> None:
        """A version has come from the API. Older ones than that which is known change nothing."""
        key = key_of(obj)
        known = self._api.get(key)
        if known is not None and version(obj) < version(known) and known["metadata"].get("uid") == obj["metadata"].get("uid"):
            return
        self._api[key] = obj
        if key in self._held and self._latest[key]["metadata"].get("uid") == obj["metadata"].get("uid"):
            return
        self._held.discard(key)
        self._put(key, obj)

    def remove(self, key: str) -> None:
        self._api.pop(key, None)
        self._held.discard(key)
        self._put(key, None)

    def assume(self, obj: Object, *, held: bool = False) -> None:
        """Take `obj`, a changed version of one that the API has, for what it is going to be. `held`: whatever versions come from the API on
        the way there, until it is `settled` or taken back (`restore`)."""
        if held:
            self._held.add(key_of(obj))
        self._put(key_of(obj), obj)

    def settled(self, obj: Object) -> None:
        """`obj` has been written as it was assumed; it is what the API answered."""
        key = key_of(obj)
        self._held.discard(key)
        known = self._api.get(key)
        if known is not None:
            self._api[key] = obj if version(obj) >= version(known) else known
            self._put(key, self._api[key])

    def restore(self, key: str) -> None:
        """Nothing is assumed any more."""
        self._held.discard(key)
        self._put(key, self._api.get(key))

    def _put(self, key: str, new: Object | None) -> None:
        old = self._latest.pop(key, None)
        if new is not None:
            self._latest[key] = new
        self._moved(old, new)


def version(obj: Object) -> int:
    """The resourceVersion as a number, 0 where it is none."""
    text = resource_version_of(obj)
    return int(text) if text.isdecimal() else 0


class Volumes:
    """See the module."""

    def __init__(self) -> None:
        self.version = 0
        """Grows with every change."""
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._free: dict[str, dict[str, Object]] = {}
        self._reserved: dict[str, dict[str, Object]] = {}
        self.claims = Assumed(self._claim_moved)
        self.volumes = Assumed(self._volume_moved)
        self.classes: dict[str, Object] = {}
        self.csi_nodes: dict[str, Object] = {}
        self.drivers: dict[str, Object] = {}
        self.capacities: dict[str, Object] = {}
        self._attachments: dict[str, dict[str, Object]] = {}
        """By node, by name."""

    def watch(self, informers: Informers, told: Callable[[Resource, Object, ClusterEvent], None]) -> None:
        """Follow these informers from now on; `told` hears what has changed and what kind of event that is."""
        for resource in RESOURCES:
            informers.of(resource).add_handler(self._handler(resource, told))

    def _handler(
        self, resource: Resource, told: Callable[[Resource, Object, ClusterEvent], None]
    ) -> Callable[[Object | None, Object | None], None]:
        def handle(old: Object | None, new: Object | None) -> None:
            event = self.take(resource, old, new)
            if event:
                told(resource, new or old or {}, event)

        return handle

    def take(self, resource: Resource, old: Object | None, new: Object | None) -> ClusterEvent:
        """An object of one of `RESOURCES` is new, has changed or is gone; what pods may be waiting for in that."""
        obj = new or old or {}
        if resource in (PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES):
            known = self.claims if resource == PERSISTENT_VOLUME_CLAIMS else self.volumes
            if new is None:
                known.remove(key_of(obj))
                return NO_EVENT
            known.set(new)
            return ClusterEvent.CLAIM if resource == PERSISTENT_VOLUME_CLAIMS else ClusterEvent.VOLUME
        if resource == VOLUME_ATTACHMENTS:
            self._take_attachment(obj, is_gone=new is None)
            return ClusterEvent.ATTACHMENT_DELETE if new is None else NO_EVENT
        kept, event = {
            STORAGE_CLASSES: (self.classes, ClusterEvent.STORAGE_CLASS),
            CSI_NODES: (self.csi_nodes, ClusterEvent.CSI_NODE),
            CSI_DRIVERS: (self.drivers, ClusterEvent.CSI_DRIVER),
            CSI_STORAGE_CAPACITIES: (self.capacities, ClusterEvent.CSI_CAPACITY),
        }[resource]
        if new is None:
            kept.pop(key_of(obj), None)
        else:
            kept[key_of(new)] = new
        self._touched(old, new)
        return event if new is not None else NO_EVENT

    def _take_attachment(self, attachment: Object, *, is_gone: bool) -> None:
        there = self._attachments.setdefault(attachment["spec"].get("nodeName", ""), {})
        if is_gone:
            there.pop(name_of(attachment), None)
        else:
            there[name_of(attachment)] = attachment
        self._touched(None, None)

    def attachments_of(self, node: str) -> Iterable[Object]:
        """The VolumeAttachments to a node."""
        return self._attachments.get(node, {}).values()

    def candidates(self, claim: Object) -> list[Object]:
        """The volumes that the claim may be bound to: those reserved for it, and those of its class that are nobody's."""
        reserved, free = self._reserved.get(key_of(claim), {}), self._free.get(class_of(claim), {})
        return [*reserved.values(), *free.values()]

    def _claim_moved(self, old: Object | None, new: Object | None) -> None:
        self._touched(old, new)
        for key in {key_of(each) for each in (old, new) if each is not None}:
            self.tell(key)

    def _volume_moved(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._index(old).pop(name_of(old), None)
        if new is not None:
            self._index(new)[name_of(new)] = new
        self._touched(old, new)
        for each in (old, new):
            if each is not None:
                self.tell(name_of(each))
                self.tell(claim_key(each))

    def _index(self, volume: Object) -> dict[str, Object]:
        key = claim_key(volume)
        return self._reserved.setdefault(key, {}) if key else self._free.setdefault(class_of(volume), {})

    def _touched(self, _old: Object | None, _new: Object | None) -> None:
        self.version += 1

    # Waiting.

    async def news(self, keys: Collection[str]) -> None:
        """Wait until something happens to one of these: keys of claims, names of volumes, or whatever else `tell` is told."""
        event = asyncio.Event()
        for key in keys:
            self._waiting.setdefault(key, set()).add(event)
        try:
            await event.wait()
        finally:
            for key in keys:
                left = self._waiting[key]
                left.discard(event)
                if not left:
                    del self._waiting[key]

    def tell(self, key: str) -> None:
        """Whoever waits for news of that should look again."""
        for event in self._waiting.get(key, ()):
            event.set()
