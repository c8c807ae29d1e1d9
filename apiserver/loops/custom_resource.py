"""Serves custom resources: keeps the kinds in step with the CustomResourceDefinitions, and their statuses true.

One key is one definition. To settle it: accept its names and establish it (`kinds/custom/names.py`), then have its kinds served, made
anew whenever what they are made from has changed. A definition that is being removed first loses its objects, then its finalizer.
Source: apiextensions-apiserver `pkg/controller/{status,establish,finalizer}`, `apiserver/customresource_handler.go`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from apiserver.bootstrap.ensure import server_context
from apiserver.kinds.apiextensions import CLEANUP
from apiserver.kinds.custom.definition import kinds_of
from apiserver.kinds.custom.names import is_served, settled_status, terminating
from apiserver.loops.custom_api_service import CUSTOM_RESOURCE_DEFINITIONS
from apiserver.loops.follow import Concerns
from apiserver.registry.cache import DELETED, Change
from apiserver.registry.kind import Kind
from apiserver.registry.registry import Registries
from apiserver.registry.resource import Registry
from kube import errors
from kube.objects import Object, is_deleting

STILL_THERE_S: Final = 1.0
"""How often a definition is looked at that waits for its objects to go."""

TOGETHER_MAX: Final = 64
WAIT_MAX_S: Final = 2.0
_STARTED: Final = ("InstanceDeletionInProgress", "CustomResource deletion is in progress")
_COMPLETED: Final = ("InstanceDeletionCompleted", "removed all instances")
_NEVER: Final = ("NeverEstablished", "resource was never established")


class CustomResourceLoop:
    """See the module. Keys are names of definitions."""

    name = "custom-resource"

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._registry = registries.get(CUSTOM_RESOURCE_DEFINITIONS)
        self._kinds: dict[str, tuple[bytes, list[Kind]]] = {}  # by definition: what its kinds were made from, and the kinds
        self._accepted: dict[str, tuple[int, Object]] = {}  # by definition: the revision, and the names that it had got
        self._settled: dict[str, int] = {}  # by definition: the revision up to which it is settled
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        registries.definition_settled = self.wait

    def sources(self) -> Sequence[tuple[Any, Concerns]]:
        return ((CUSTOM_RESOURCE_DEFINITIONS, self._changed),)

    def reset(self) -> Iterable[str]:
        return {*self._kinds, *(entry.name for entry in self._registry.cache.entries())}

    def _changed(self, change: Change) -> Iterable[str]:
        """The definition itself, and others of its group, which may now have a name that they were refused."""
        if change.previous is None or (change.type != DELETED and _names(change.previous.value) == _names(change.entry.value)):
            return (change.entry.name,)
        group = change.entry.name.partition(".")[2]
        same_group = [each.name for each in self._registry.cache.entries() if each.name.partition(".")[2] == group]
        return (change.entry.name, *same_group)

    async def wait(self, name: str, revision: int) -> None:
        """Until a definition as of that revision is settled, or for two seconds."""
        if self._settled.get(name, 0) >= revision:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, []).append(future)
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                await future
        except TimeoutError:
            return

    async def settle(self, key: str) -> float | None:
        entry = self._registry.cache.get("", key)
        if entry is None:
            self._serve(key, None)
            self._settled.pop(key, None)
            self._accepted.pop(key, None)
            return None
        definition = self._registry.cache.object_of(entry)
        definition = await self._with_status(key, definition)
        self._serve(key, definition if is_served(definition) else None)
        self._settled[key] = entry.revision
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)
        if is_deleting(definition) and CLEANUP in (definition["metadata"].get("finalizers") or ()):
            return await self._remove(key, definition)
        return None

    async def _with_status(self, key: str, definition: Object) -> Object:
        ctx = server_context(self._registries, subresource="status")
        taken = functools.partial(self._taken, key)
        status = settled_status(definition, taken, ctx.timestamp)
        if status == definition.get("status"):
            return definition

        def change(current: Object) -> None:
            current["status"] = settled_status(current, taken, ctx.timestamp)

        return await self._registry.update_with("", key, change, ctx, subresource="status")

    def _taken(self, key: str) -> list[Object]:
        """The names that the other definitions of the group have got. (The group is in each definition's name.)"""
        group = key.partition(".")[2]
        found = []
        for entry in self._registry.cache.entries():
            if entry.name != key and entry.name.endswith(group) and entry.name.partition(".")[2] == group:
                revision, names = self._accepted.get(entry.name, (0, {}))
                if revision != entry.revision:
                    names = (orjson.loads(entry.value).get("status") or {}).get("acceptedNames") or {}
                    self._accepted[entry.name] = entry.revision, names
                found.append(names)
        return found

    # --- kinds

    def _serve(self, key: str, definition: Object | None) -> None:
        """Have the kinds of a definition served as it says now; none without one."""
        source = b"" if definition is None else _source(definition)
        before, kinds = self._kinds.get(key, (b"", []))
        if source == before:
            return
        wanted = kinds_of(definition, self._registries.definitions) if definition is not None else []
        for kind in kinds:
            self._registries.remove_kind(kind.resource)
        for kind in wanted:
            self._registries.add_kind(kind)
        if wanted:
            self._kinds[key] = (source, wanted)
        else:
            self._kinds.pop(key, None)

    # --- removal

    async def _remove(self, key: str, definition: Object) -> float | None:
        """Delete the objects, then let the definition go. Seconds until a next look while some are still there."""
        _, kinds = self._kinds.get(key, (b"", []))
        if kinds:
            await self._terminating(key, _STARTED, status="True")
            registry = self._registries.get(kinds[0].resource)
            if await self._delete_all(registry):
                return STILL_THERE_S
        await self._terminating(key, _COMPLETED if kinds else _NEVER, status="False", release=True)
        return None

    async def _terminating(self, key: str, why: tuple[str, str], *, status: str, release: bool = False) -> None:
        ctx = server_context(self._registries, subresource="status")

        def change(current: Object) -> None:
            current["status"]["conditions"] = terminating(current, *why, ctx.timestamp, status=status)
            if release:
                meta = current["metadata"]
                meta["finalizers"] = [each for each in meta.get("finalizers") or () if each != CLEANUP]
                if not meta["finalizers"]:
                    del meta["finalizers"]

        try:
            await self._registry.update_with("", key, change, ctx, subresource="status")
        except errors.NotFound:
            return

    async def _delete_all(self, registry: Registry) -> int:
        """Delete every object of a resource; how many are left (finalizers hold them)."""
        await registry.cache.catch_up()
        entries = list(registry.cache.entries())
        for start in range(0, len(entries), TOGETHER_MAX):
            await asyncio.gather(*(self._delete(registry, each.namespace, each.name) for each in entries[start : start + TOGETHER_MAX]))
        await registry.cache.catch_up()
        return registry.cache.count()

    async def _delete(self, registry: Registry, namespace: str, name: str) -> None:
        try:
            await registry.delete(namespace, name, {}, server_context(self._registries, verb="deletecollection"))
        except errors.NotFound:
            return


def _names(value: bytes) -> Any:
    return (orjson.loads(value).get("status") or {}).get("acceptedNames")


def _source(definition: Object) -> bytes:
    """All that kinds are made from."""
    ending = is_deleting(definition)
    return orjson.dumps([definition["metadata"]["uid"], definition["spec"], definition["status"]["acceptedNames"], ending])
