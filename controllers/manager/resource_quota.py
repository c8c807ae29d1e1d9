"""ResourceQuotas: their status says what is allowed (`hard`) and what is used, counted from everything that is there.

Promises: a new or changed quota is counted at once, one whose objects go or cost less soon, and every one every few minutes, whatever
happened. Charging what comes is the API server's (admission), so that counting is never too late for that; and what was charged is given
back only by a count that cannot have missed it. Custom resources are counted as soon as they are known. Nothing is watched for this while
the cluster has no quota.
Read first: `kube/quota.py` (what an object costs). Source: upstream `pkg/controller/resourcequota`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from kube.amounts import Amounts, only, plus, read, written
from kube.client.informer import Informer
from kube.objects import Object, is_deleting, key_of, namespace_of, resource_version_of
from kube.quantity import ZERO
from kube.quota import Evaluator, attributes_classes_of, evaluator_of, is_charged, storage_of
from kube.resources import RESOURCE_QUOTAS, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Update, perform

from .discovery import discover

DISCOVERY = "discovery"
"""The one key that is no quota's: look which kinds there are."""
DISCOVERY_PERIOD_S = 30.0
RESYNC_PERIOD_S = 300.0
FIRST_LISTS_S = 30.0
ADDED_COUNTED_IN_S = 5.0
"""What is new was charged when it was admitted. It is counted a little later, lest a count that ran beside its creation has lost it."""

CHARGE_STORED_IN_S = 0.2
"""So long after a charge at most, what it is for is stored: admission is the last that a request meets before the store."""

Counted = tuple[Evaluator, Sequence[Object]]
"""All objects of one resource in the quota's namespace."""


def plan(desired: Object, observed: Iterable[Counted], now: datetime) -> list[Action]:
    """Write what the quota allows and what `observed` uses of it, if its status does not say so."""
    spec, status = desired.get("spec") or {}, desired.get("status") or {}
    hard = read(spec.get("hard"))
    before = read(status.get("used"))
    used = only(before | counted(desired, hard, observed, now), hard)
    if status.get("hard") is not None and status.get("used") is not None and read(status["hard"]) == hard and before == used:
        return []
    told = {"hard": written(hard), "used": written(used)}
    return [Update(RESOURCE_QUOTAS, {**desired, "status": told}, subresource="status")]


def lowered(quota: Object, todo: Iterable[Action]) -> frozenset[str]:
    """The names of what these writes would give back of what was charged."""
    before = read((quota.get("status") or {}).get("used"))
    after = [read(each.obj["status"]["used"]) for each in todo if isinstance(each, Update)]
    return frozenset(name for used in after for name, amount in before.items() if name in used and used[name] < amount)


def counted(quota: Object, hard: Amounts, observed: Iterable[Counted], now: datetime) -> Amounts:
    """What is used of everything that can be measured."""
    total: Amounts = {}
    for evaluator, objects in observed:
        names = evaluator.matching(hard)
        if not names:
            continue
        used: Amounts = dict.fromkeys(names, ZERO)
        for obj in objects:
            if evaluator.belongs(obj, quota):
                used = plus(used, only(evaluator.usage(obj, now), names))
        total = plus(total, used)
    return total


def frees(resource: Resource, old: Object, new: Object, now: datetime) -> bool:
    """Whether a change of an object lets it cost something else."""
    match resource.group, resource.plural:
        case "", "pods":
            return is_charged(old, now) and not is_charged(new, now)
        case "", "services":
            return _service_type(old) != _service_type(new)
        case "", "persistentvolumeclaims":
            return storage_of(old) != storage_of(new) or attributes_classes_of(old) != attributes_classes_of(new)
    return False


def _service_type(service: Object) -> str:
    found = service["spec"].get("type", "")
    return found if found in ("NodePort", "LoadBalancer") else ""


class ResourceQuotaController:
    """Keys are namespace/name of quotas, and DISCOVERY."""

    name = "resourcequota"
    tick_s = DISCOVERY_PERIOD_S

    def start(self, run: Run) -> None:
        self.run = run
        self._watched: dict[Resource, Informer] = {}
        self._discovering = asyncio.Lock()
        self._next_resync = run.clock.now()
        self._charged_at: dict[str, float] = {}
        self.quotas = run.informers.of(RESOURCE_QUOTAS)
        self.quotas.add_handler(self._quota_changed)

    async def tick(self) -> None:
        if not len(self.quotas):
            return
        self.run.queue.add(DISCOVERY)
        now = self.run.clock.now()
        if now >= self._next_resync:
            self._next_resync = now + timedelta(seconds=RESYNC_PERIOD_S)
            for quota in self.quotas.list():
                self.run.queue.add(key_of(quota))

    async def reconcile(self, key: str) -> float | None:
        if key == DISCOVERY or not self._watched:
            async with self._discovering:
                if key == DISCOVERY or not self._watched:
                    await self._discover()
        quota = self.quotas.get(key)
        if quota is None or is_deleting(quota):
            return None
        todo = plan(quota, await self._observed(quota), self.run.clock.now())
        if names := lowered(quota, todo):
            early_s = self._charged_at.get(key, float("-inf")) + CHARGE_STORED_IN_S - self.run.clock.monotonic()
            if early_s > 0:
                return early_s
            todo = plan(quota, await self._observed(quota, surely=names), self.run.clock.now())
        for answer in await perform(todo, client=self.run.client, events=self.run.events):
            if answer is not None:
                self.quotas.put(answer)
        return None

    async def _observed(self, quota: Object, *, surely: Collection[str] = ()) -> list[Counted]:
        """What there is of everything that the quota limits. What is counted as these names is `surely` as new as the quota, so that all
        that had been charged by then is there: whoever watches many resources may be later with one than with another."""
        wanted, namespace = read((quota.get("spec") or {}).get("hard")), namespace_of(quota)
        version = resource_version_of(quota)
        found: list[Counted] = []
        for resource, informer in list(self._watched.items()):
            evaluator = evaluator_of(resource.group, resource.plural)
            if evaluator is None or not evaluator.matching(wanted):
                continue
            if informer.has_seen(version) or not set(surely).intersection(evaluator.matching(wanted)):
                found.append((evaluator, informer.list(namespace)))
            else:
                found.append((evaluator, (await self.run.client.list(resource, namespace=namespace)).get("items") or ()))
        return found

    async def _discover(self) -> None:
        """Watch every kind that can be created, listed, watched and deleted in a namespace; count all again when there are new ones."""
        found = await discover(self.run.client)
        able = [each for each in found.able_to("create", "list", "watch", "delete") if each.namespaced]
        new = [each for each in able if each not in self._watched and evaluator_of(each.group, each.plural) is not None]
        informers = {resource: self.run.informers.of(resource) for resource in new}
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_LISTS_S):
                await asyncio.gather(*(each.wait_synced() for each in informers.values()))
        listed = {resource: informer for resource, informer in informers.items() if informer.synced.is_set()}
        for resource, informer in listed.items():
            self._watched[resource] = informer
            informer.add_handler(lambda old, new, resource=resource: self._changed(resource, old, new))  # type: ignore[misc]
        for gone in [each for each in self._watched if each not in able and each.api_version not in found.stale]:
            del self._watched[gone]
        if listed:
            for quota in self.quotas.list():
                self.run.queue.add(key_of(quota))

    def _quota_changed(self, old: Object | None, new: Object | None) -> None:
        """Status alone is admission's charging: the count it is part of will be seen by the objects."""
        if new is None:
            self._charged_at.pop(key_of(old or {}), None)
            return
        if old is not None and _is_charged_more(old, new):
            self._charged_at[key_of(new)] = self.run.clock.monotonic()
        if old is None or old.get("spec") != new.get("spec") or _is_uncounted(new):
            self.run.queue.add(key_of(new))

    def _changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        obj = new or old or {}
        if old is not None and new is not None and not frees(resource, old, new, self.run.clock.now()):
            return
        evaluator = evaluator_of(resource.group, resource.plural)
        for quota in self.quotas.list(namespace_of(obj)):
            if evaluator is None or not evaluator.matching((quota.get("spec") or {}).get("hard") or ()):
                continue
            if old is None:
                self.run.queue.add_after(key_of(quota), ADDED_COUNTED_IN_S)
            else:
                self.run.queue.add(key_of(quota))


def _is_charged_more(old: Object, new: Object) -> bool:
    before, after = (read((each.get("status") or {}).get("used")) for each in (old, new))
    return any(amount > before.get(name, ZERO) for name, amount in after.items())


def _is_uncounted(quota: Object) -> bool:
    status = quota.get("status") or {}
    return status.get("hard") is None or status.get("used") is None
