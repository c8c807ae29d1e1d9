"""ResourceQuota: nothing is admitted that would use more than the namespace's quotas allow; what is admitted is charged at once.

A charge is a write of the quota's status at the version it was judged by: of two servers that race, one judges again. Requests of one
namespace that wait while a charge is under way are judged together and charged in one write. What is charged and then not stored after
all is given back when the quota controller counts. Everything about usage is in `kube/quota.py`.
Source: apiserver `pkg/admission/plugin/resourcequota/controller.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, User
from kube import errors
from kube.amounts import Amounts, exceeding, minus, only, plus, read, shown, without_zeros, written
from kube.clock import rfc3339
from kube.objects import Object, name_of, resource_version_of
from kube.quantity import ZERO
from kube.quota import Evaluator, evaluator_of
from kube.resources import RESOURCE_QUOTAS

MANAGER: Final = "kube-apiserver"
RETRIES_MAX: Final = 3
TIMEOUT_S: Final = 10.0


@dataclass(slots=True)
class Quota:
    """A quota as it is being judged by: its limits, and what is used with what has been admitted so far."""

    obj: Object
    hard: Amounts
    used: Amounts

    @classmethod
    def of(cls, obj: Object) -> Quota:
        status = obj.get("status") or {}
        return cls(obj, read(status.get("hard")), read(status.get("used")))


@dataclass(slots=True)
class Waiting:
    """A request that waits to be judged."""

    attributes: Attributes
    evaluator: Evaluator
    done: asyncio.Future[None]

    def admit(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def charged(quotas: Sequence[Quota], attributes: Attributes, evaluator: Evaluator, now: datetime) -> list[Amounts]:
    """What each quota has used once the request is through. Raises Forbidden when that is more than one of them allows."""
    obj = attributes.obj
    assert obj is not None
    mine = [each for each in quotas if evaluator.matching(each.hard) and evaluator.belongs(obj, each.obj)]
    for quota in mine:
        _check_can_be_judged(quota, attributes, evaluator)
    usage = evaluator.usage(obj, now)
    negative = sorted(name for name, amount in usage.items() if amount < ZERO)
    if negative:
        raise _forbidden(attributes, f"quota usage is negative for resource(s): {','.join(negative)}")
    old = attributes.old if attributes.operation == "UPDATE" else None
    before = evaluator.usage(old, now) if old is not None and resource_version_of(old) else {}
    out = []
    for quota in quotas:
        more: Amounts = {}
        if any(quota is each for each in mine):
            had_it = old is not None and evaluator.belongs(old, quota.obj)
            more = only(without_zeros(minus(usage, before) if had_it else usage), quota.hard)
        after = plus(quota.used, more)
        if more and attributes.subresource != "status":
            _check_fits(quota, more, after, attributes)
        out.append(after if more else quota.used)
    return out


def _check_can_be_judged(quota: Quota, attributes: Attributes, evaluator: Evaluator) -> None:
    """The object must say what it needs, and it must be known what is used."""
    assert attributes.obj is not None
    names = evaluator.matching(quota.hard)
    missing = evaluator.missing(names, attributes.obj)
    if missing:
        raise _forbidden(attributes, f"failed quota: {name_of(quota.obj)}: {missing}")
    if any(name not in quota.used for name in names):
        raise _forbidden(attributes, f"status unknown for quota: {name_of(quota.obj)}, resources: {','.join(sorted(names))}")


def _check_fits(quota: Quota, more: Amounts, after: Amounts, attributes: Attributes) -> None:
    over = exceeding(only(after, more), quota.hard)
    if over:
        asked, used, hard = (shown(only(each, over)) for each in (more, quota.used, quota.hard))
        raise _forbidden(attributes, f"exceeded quota: {name_of(quota.obj)}, requested: {asked}, used: {used}, limited: {hard}")


def _forbidden(attributes: Attributes, why: str) -> errors.Forbidden:
    resource = attributes.kind.resource
    return errors.forbidden(resource.plural, resource.group, attributes.name, why)


@dataclass(slots=True)
class ResourceQuota:
    """See the module."""

    operations = frozenset({"CREATE", "UPDATE"})
    _waiting: dict[str, list[Waiting]] = field(default_factory=dict)
    _workers: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def validate(self, attributes: Attributes) -> None:
        resource, namespace = attributes.kind.resource, attributes.namespace
        if not namespace or not resource.namespaced:
            return
        evaluator = evaluator_of(resource.group, resource.plural)
        if evaluator is None or not evaluator.handles(attributes.operation, attributes.subresource, attributes.obj, attributes.old):
            return
        cache = attributes.registries.get(RESOURCE_QUOTAS).cache
        await cache.catch_up()
        if cache.count(namespace) and attributes.obj is not None:
            await self._judged(attributes, evaluator)

    async def _judged(self, attributes: Attributes, evaluator: Evaluator) -> None:
        namespace = attributes.namespace
        waiting = Waiting(attributes, evaluator, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(namespace, []).append(waiting)
        if namespace not in self._workers:
            self._workers[namespace] = asyncio.create_task(self._work(namespace, attributes.registries), name=f"quota of {namespace}")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await waiting.done
        except TimeoutError as error:
            raise errors.InternalError("Internal error occurred: resource quota evaluation timed out") from error

    async def _work(self, namespace: str, registries: Any) -> None:
        """Judge what waits, round by round, until nothing does."""
        try:
            while batch := self._waiting.pop(namespace, None):
                try:
                    await _judge(batch, namespace, registries)
                except Exception as error:
                    for each in batch:
                        each.refuse(error)
        finally:
            del self._workers[namespace]


async def _judge(batch: Sequence[Waiting], namespace: str, registries: Any) -> None:
    """Judge all, charge the quotas that they change, and again by what could not be charged since somebody else has written it."""
    registry = registries.get(RESOURCE_QUOTAS)
    names: set[str] | None = None
    undecided = list(batch)
    for attempt in range(RETRIES_MAX + 1):
        objects = await registry.list_objects(namespace)
        before = [Quota.of(each) for each in objects if names is None or name_of(each) in names]
        quotas, undecided = _judged(before, undecided, registries.clock.now())
        conflicts: set[str] = set()
        for old, new in zip(before, quotas, strict=True):
            if old.used != new.used and not await _charge(registry, new, registries.clock.now(), namespace):
                conflicts.add(name_of(new.obj))
        if not conflicts:
            break
        names = conflicts
        if attempt == RETRIES_MAX:
            why = "the object has been modified; please apply your changes to the latest version and try again"
            failure = errors.conflict("resourcequotas", "", sorted(conflicts)[0], why)
            for each in undecided:
                each.refuse(failure)
    for each in undecided:
        each.admit()


def _judged(quotas: Sequence[Quota], waiting: Sequence[Waiting], now: datetime) -> tuple[list[Quota], list[Waiting]]:
    """The quotas with everything charged that fits, and the requests that wait for that to be written."""
    current = list(quotas)
    undecided = []
    for each in waiting:
        try:
            used = charged(current, each.attributes, each.evaluator, now)
        except errors.Forbidden as error:
            each.refuse(error)
            continue
        changed = any(after != quota.used for after, quota in zip(used, current, strict=True))
        if each.attributes.ctx.dry_run or not changed:
            each.admit()
            continue
        current = [Quota(quota.obj, quota.hard, after) for quota, after in zip(current, used, strict=True)]
        undecided.append(each)
    return current, undecided


async def _charge(registry: Any, quota: Quota, now: datetime, namespace: str) -> bool:
    """Write what is used, at the version that was judged by. False: somebody else has written it, or it is gone."""

    def with_usage(current: Object | None) -> Object:
        if current is None:
            raise registry.not_found(name_of(quota.obj))
        current["metadata"]["resourceVersion"] = resource_version_of(quota.obj)
        current["status"] = {**(current.get("status") or {}), "used": written(quota.used)}
        return current

    user = User("system:apiserver", ("system:masters",))
    ctx = Context(user, now, "update", "status", field_manager=MANAGER, api_version="v1", timestamp=rfc3339(now))
    try:
        await registry.write(namespace, name_of(quota.obj), with_usage, ctx, subresource="status")
    except (errors.Conflict, errors.NotFound):
        return False
    return True
