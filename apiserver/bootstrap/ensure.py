"""Making what should be there so: each object is created, changed or left as it is, all of them at once (so that they share commits).

What to do about an object that is there already is a pure `Settle`; here it is only carried out, through the registry, like any other write.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

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
    obj = {"kind": wanted.resource.kind, "apiVersion": wanted.resource.api_version, **copy.deepcopy(wanted.obj)}
    registries.get(wanted.resource).kind.default(obj)
    return obj


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
        except (errors.AlreadyExists, errors.NotFound, errors.Conflict):
            if attempt == _TRIES_MAX - 1:
                raise
            await registry.cache.catch_up()


async def _change(registries: Registries, wanted: Wanted) -> None:
    whole = _whole(registries, wanted)

    def change(present: Object) -> None:
        settled = wanted.settle(present, whole)
        if settled is not None:
            present.clear()
            present.update(copy.deepcopy(settled))

    context = server_context(registries, manager=wanted.manager)
    await registries.get(wanted.resource).update_with(namespace_of(wanted.obj), name_of(wanted.obj), change, context)
