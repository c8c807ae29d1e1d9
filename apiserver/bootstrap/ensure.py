"""Making what should be there so: each object is created, changed or left as it is, all of them at once (so that they share commits).

What to do about an object that is there already is a pure `Settle`; here it is only carried out, through the registry, like any write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import orjson

from apiserver.registry.kind import Context, User
from apiserver.registry.registry import Registries
from kube import errors
from kube.clock import rfc3339
from kube.objects import Object, name_of, namespace_of
from kube.resources import Resource

MANAGER: Final = "kube-apiserver"
_SERVER: Final = User("system:apiserver", ("system:masters", "system:authenticated"))
_TRIES_MAX: Final = 4
"""How often an object that changes (or comes and goes) under our hands is looked at again: another server may be starting, too."""

_TRY_AGAIN_S: Final = 0.05
"""How long to wait before the second time, and so much longer each time: what is taken now (an address) may be another server's."""

Settle = Callable[[Object, Object], "Object | None"]
"""(the object that is there, the wanted one) -> what it is to become; None when it can stay as it is. Must not change its arguments."""


class Recreate(Exception):
    """Raised by a Settle: the object cannot be changed into the wanted one; it is to be deleted and made again."""


def leave(_present: Object, _wanted: Object) -> None:
    """A Settle that never changes anything."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that should be there. `obj` needs no kind and apiVersion; it is defaulted before `settle` sees it."""

    resource: Resource
    obj: Object
    settle: Settle = leave
    manager: str = MANAGER


def server_context(registries: Registries, *, manager: str = MANAGER, verb: str = "update", subresource: str = "") -> Context:
    """The server itself, writing."""
    now = registries.clock.now()
    return Context(user=_SERVER, now=now, verb=verb, subresource=subresource, field_manager=manager, timestamp=rfc3339(now))


class Keeper:
    """`ensure` of the same objects again and again: those that are as they were when last looked at cost nothing."""

    def __init__(self, registries: Registries, wanted: Iterable[Wanted]) -> None:
        self._registries, self._wanted = registries, list(wanted)
        self._seen: dict[int, int] = {}

    async def ensure(self) -> None:
        """See `ensure`."""
        changed = [index for index, each in enumerate(self._wanted) if self._revision(each) != self._seen.get(index, 0)]
        if changed:
            await ensure(self._registries, [self._wanted[index] for index in changed])
            self._seen.update({index: self._revision(self._wanted[index]) for index in changed})

    def _revision(self, wanted: Wanted) -> int:
        """That of the object in the cache; -1 when there is none."""
        entry = self._registries.get(wanted.resource).cache.get(namespace_of(wanted.obj), name_of(wanted.obj))
        return -1 if entry is None else entry.revision


async def ensure(registries: Registries, wanted: Iterable[Wanted]) -> None:
    """See the module. Raises what a write raises."""
    wanted = list(wanted)
    for resource in {each.resource for each in wanted}:
        await registries.get(resource).cache.catch_up()
    due = [each for each in wanted if _is_due(registries, each)]
    if due:
        await asyncio.gather(*(_make_so(registries, each) for each in due))


def _is_due(registries: Registries, wanted: Wanted) -> bool:
    """False when the cache already holds it and there is nothing to do."""
    registry = registries.get(wanted.resource)
    entry = registry.cache.get(namespace_of(wanted.obj), name_of(wanted.obj))
    if entry is None:
        return True
    if wanted.settle is leave:
        return False
    try:
        return wanted.settle(registry.cache.object_of(entry), _whole(registries, wanted)) is not None
    except Recreate:
        return True


def _whole(registries: Registries, wanted: Wanted) -> Object:
    obj = {"kind": wanted.resource.kind, "apiVersion": wanted.resource.api_version, **_copy(wanted.obj)}
    registries.get(wanted.resource).kind.default(obj)
    return obj


def _copy(obj: Object) -> Object:
    copied: Object = orjson.loads(orjson.dumps(obj))
    return copied


async def _make_so(registries: Registries, wanted: Wanted) -> None:
    registry = registries.get(wanted.resource)
    namespace, name = namespace_of(wanted.obj), name_of(wanted.obj)
    for attempt in range(_TRIES_MAX):
        try:
            if registry.cache.get(namespace, name) is None:
                context = server_context(registries, manager=wanted.manager, verb="create")
                await registry.create(namespace, _whole(registries, wanted), context)
            else:
                await _change(registries, wanted)
            return
        except Recreate:
            options: Object = {}
            await registry.delete(namespace, name, options, server_context(registries, manager=wanted.manager, verb="delete"))
        except (errors.AlreadyExists, errors.NotFound, errors.Conflict, errors.Invalid):
            if attempt == _TRIES_MAX - 1:
                raise
            await asyncio.sleep(_TRY_AGAIN_S * attempt)
            await registry.cache.catch_up()


async def _change(registries: Registries, wanted: Wanted) -> None:
    whole = _whole(registries, wanted)

    def change(present: Object) -> None:
        settled = wanted.settle(present, whole)
        if settled is not None:
            present.clear()
            present.update(_copy(settled))

    context = server_context(registries, manager=wanted.manager)
    await registries.get(wanted.resource).update_with(namespace_of(wanted.obj), name_of(wanted.obj), change, context)
