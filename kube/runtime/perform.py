"""Carrying out what a pure plan decided: one way for every controller.

A plan answers with actions; `perform` carries them out in order. Creates that follow each other are slow-started (1, 2, 4, ... at a time,
stopping at the first batch that fails: a quota or a webhook that refuses one would refuse them all), deletes that follow each other
run side by side. Source: `slowStartBatch` in kubernetes `pkg/controller/replicaset/replica_set.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, TypeVar

from kube.client.client import Client, PatchKind
from kube.errors import ApiError, NotFound
from kube.objects import Object, name_of
from kube.resources import Resource

PARALLEL_MAX = 64
"""How many requests of one plan are under way at once."""


class Recorder(Protocol):
    """What of `kube.runtime.events.EventRecorder` is needed here."""

    def record(self, obj: Object, type: str, reason: str, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Record:
    """An Event about `obj` (an object, or a reference to one); `type` is Normal or Warning."""

    obj: Object
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Create:
    """POST `obj`. With `done`, that event is recorded once it is created, `{name}` of its message being the name the server gave;
    with `failed`, that one when it is refused, `{error}` being the server's message."""

    resource: Resource
    obj: Object
    done: Record | None = None
    failed: Record | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """PUT `obj`; its resourceVersion is the precondition."""

    resource: Resource
    obj: Object
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """PATCH the object of that name."""

    resource: Resource
    namespace: str | None
    name: str
    body: Any
    kind: PatchKind = PatchKind.STRATEGIC
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE the object of that name, if it is still the one of `uid` and `resource_version`. `done` and `failed` as for Create."""

    resource: Resource
    namespace: str | None
    name: str
    uid: str = ""
    resource_version: str = ""
    propagation: str = ""
    grace_period_s: int | None = None
    done: Record | None = None
    failed: Record | None = None


Action = Create | Update | Patch | Delete | Record
A = TypeVar("A")


async def perform(actions: Sequence[Action], *, client: Client, events: Recorder) -> list[Object | None]:
    """Carry them out; the answers in the same order (None for a Record and for a Delete of what was gone).

    The first failure is raised, after what was begun with it has ended, and nothing after it is begun. What is fine: NotFound on Delete,
    and a Create refused because its namespace is going away. What is not: AlreadyExists, Conflict ("look again"), everything else."""
    answers: list[Object | None] = []
    for kind, run in groupby(actions, key=type):
        batch: Any = list(run)
        if kind is Create:
            answers += await _slow_start(batch, lambda each: _create(each, client, events))
        elif kind is Delete:
            answers += await _side_by_side(batch, lambda each: _delete(each, client, events))
        else:
            for each in batch:
                answers.append(await _single(each, client, events))
    return answers


async def _slow_start(actions: Sequence[A], act: Callable[[A], Awaitable[Object | None]]) -> list[Object | None]:
    answers: list[Object | None] = []
    size = 1
    while len(answers) < len(actions):
        begin = len(answers)
        answers += await _side_by_side(actions[begin : begin + min(size, PARALLEL_MAX)], act)
        size *= 2
    return answers


async def _side_by_side(actions: Sequence[A], act: Callable[[A], Awaitable[Object | None]]) -> list[Object | None]:
    """All of them, at most PARALLEL_MAX at once; the first failure is raised when those begun have ended."""
    answers: list[Object | None] = []
    for begin in range(0, len(actions), PARALLEL_MAX):
        batch = actions[begin : begin + PARALLEL_MAX]
        if len(batch) == 1:
            answers.append(await act(batch[0]))
            continue
        results = await asyncio.gather(*(act(each) for each in batch), return_exceptions=True)
        for each in results:
            if isinstance(each, BaseException):
                raise each
            answers.append(each)
    return answers


async def _create(action: Create, client: Client, events: Recorder) -> Object | None:
    try:
        created = await client.create(action.resource, action.obj)
    except ApiError as error:
        if _namespace_is_going(error):
            return None
        _record(events, action.failed, error=error.message)
        raise
    _record(events, action.done, name=name_of(created))
    return created


async def _delete(action: Delete, client: Client, events: Recorder) -> Object | None:
    try:
        answer = await client.delete(
            action.resource,
            action.name,
            namespace=action.namespace,
            propagation_policy=action.propagation,
            grace_period_s=action.grace_period_s,
            uid=action.uid,
            resource_version=action.resource_version,
        )
    except NotFound:
        return None
    except ApiError as error:
        _record(events, action.failed, error=error.message)
        raise
    _record(events, action.done, name=action.name)
    return answer


async def _single(action: Update | Patch | Record, client: Client, events: Recorder) -> Object | None:
    match action:
        case Update():
            return await client.update(action.resource, action.obj, subresource=action.subresource)
        case Patch():
            return await client.patch(
                action.resource,
                action.name,
                action.body,
                namespace=action.namespace,
                kind=action.kind,
                subresource=action.subresource,
            )
        case Record():
            events.record(action.obj, action.type, action.reason, action.message)
            return None


def _record(events: Recorder, record: Record | None, **known: str) -> None:
    if record is not None:
        message = record.message
        for name, value in known.items():
            message = message.replace(f"{{{name}}}", value)
        events.record(record.obj, record.type, record.reason, message)


def _namespace_is_going(error: ApiError) -> bool:
    """Whether it was refused because its namespace is being deleted: then nothing more is to be done."""
    causes = (error.details or {}).get("causes") or ()
    return any(each.get("reason") == "NamespaceTerminating" for each in causes)
