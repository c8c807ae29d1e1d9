"""ConfigMaps and Secrets that volumes of running pods are made of: each watched once for all who use it, for as long as somebody does.

A pod that mounts none costs nothing. Upstream's kubelet watches them one by one, too (`pkg/kubelet/util/manager/watch_based_manager.go`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from kube.client.client import Client
from kube.client.informer import Informer
from kube.errors import not_found
from kube.objects import Object
from kube.resources import Resource

SYNC_S = 30.0
"""How long the first answer may take; it is asked for again by whoever needs it."""
Key = tuple[Resource, str, str]
"""(kind, namespace, name)."""


@dataclass(slots=True)
class _Entry:
    informer: Informer
    task: asyncio.Task[None]
    users: dict[str, Callable[[], None]] = field(default_factory=dict)


class Followed:
    """For all nodes of a process. Users are pods, by uid."""

    def __init__(self, client: Client, rng: random.Random) -> None:
        self._client, self._rng = client, rng
        self._entries: dict[Key, _Entry] = {}
        self._used: dict[str, set[Key]] = {}

    async def get(self, uid: str, key: Key, told: Callable[[], None]) -> Object:
        """The object as it is now; `told()` whenever it changes, until the pod is released. Raises NotFound, and TimeoutError."""
        entry = self._entries.get(key) or self._follow(key)
        entry.users[uid] = told
        self._used.setdefault(uid, set()).add(key)
        async with asyncio.timeout(SYNC_S):
            await entry.informer.wait_synced()
        resource, namespace, name = key
        found = entry.informer.get(f"{namespace}/{name}")
        if found is None:
            raise not_found(resource.plural, resource.group, name)
        return found

    def release(self, uid: str) -> None:
        """The pod has no containers any more."""
        for key in self._used.pop(uid, ()):
            entry = self._entries[key]
            entry.users.pop(uid, None)
            if not entry.users:
                entry.task.cancel()
                del self._entries[key]

    async def close(self) -> None:
        tasks = [each.task for each in self._entries.values()]
        for task in tasks:
            task.cancel()
        self._entries.clear()
        self._used.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._entries)

    def _follow(self, key: Key) -> _Entry:
        resource, namespace, name = key
        rng = random.Random(self._rng.getrandbits(64))
        informer = Informer(self._client, resource, namespace=namespace, field_selector=f"metadata.name={name}", rng=rng)
        task = asyncio.get_running_loop().create_task(informer.run(), name=f"followed {resource.plural} {namespace}/{name}")
        entry = self._entries[key] = _Entry(informer, task)

        def changed(_old: Object | None, _new: Object | None) -> None:
            if informer.synced.is_set():
                for told in list(entry.users.values()):
                    told()

        informer.add_handler(changed)
        return entry
