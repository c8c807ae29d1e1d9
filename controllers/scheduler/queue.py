"""The pods that wait to be scheduled: those to try now, those to try a little later, and those that something has to happen for.

A pod that fits nowhere waits until an event that its rejecting plugins have named, and 5 minutes at most. Who comes back soon waits out a
back-off of 1 to 10 s (unless told otherwise), but not while nobody else is waiting; after an error, always.
Source: `pkg/scheduler/backend/queue/scheduling_queue.go`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

from controllers.scheduler.framework import ClusterEvent
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from kube.objects import Object

UNSCHEDULABLE_S_MAX = 300.0
_Group = tuple[str, frozenset[str]]
"""(profile, the plugins that said no)."""


class Where(StrEnum):
    """The places a pod can be in; the values are upstream's, of the metric `pending_pods`."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"
    IN_FLIGHT = "in_flight"


@dataclass(slots=True, eq=False)
class QueuedPod:
    """`info` is the pod as last seen. `attempts` counts how often it was tried, `failures` how often in a row it failed likewise."""

    info: PodInfo
    added_at: float
    attempts: int = 0
    failures: int = 0
    failed_at: float = 0.0
    had_error: bool = False
    rejected_by: frozenset[str] = frozenset()
    where: Where = Where.ACTIVE
    ticket: int = field(default=0)
    """Which entry of a heap is its valid one: heaps are not searched, outdated entries are skipped."""

    @property
    def group(self) -> _Group:
        """Those who wait for the same events."""
        return self.info.scheduler_name, self.rejected_by


class SchedulingQueue:
    """Used on one event loop. Time is the loop's. Pods are of the profile that their `schedulerName` names; all have the same order."""

    def __init__(self, *profiles: Profile, backoff_s: float = 1.0, backoff_s_max: float = 10.0) -> None:
        self._profiles = {each.name: each for each in profiles}
        self._sort_key = profiles[0].queue_sort.sort_key
        self._backoff_s, self._backoff_s_max = backoff_s, backoff_s_max
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[tuple[Any, ...], int, QueuedPod]] = []
        self._backoff: list[tuple[float, int, QueuedPod]] = []
        self._errors: list[tuple[float, int, QueuedPod]] = []
        self._unschedulable: dict[_Group, dict[str, QueuedPod]] = {}
        self._tickets = count(1)
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, key: str) -> QueuedPod | None:
        return self._pods.get(key)

    def sizes(self) -> dict[Where, int]:
        sizes = dict.fromkeys(Where, 0)
        for each in self._pods.values():
            sizes[each.where] += 1
        return sizes

    # What comes in.

    def put(self, pod: Object) -> PodInfo:
        """A pod that needs a node is new, or has changed."""
        info = PodInfo(pod)
        queued = self._pods.get(info.key)
        if queued is not None and queued.info.uid != info.uid:
            self.remove(info.key)
            queued = None
        if queued is None:
            queued = self._pods[info.key] = QueuedPod(info, self._now())
            self._enqueue(queued)
            return info
        old, queued.info = queued.info, info
        changed = old.signature != info.signature
        if queued.where is Where.GATED or (queued.where is Where.UNSCHEDULABLE and changed):
            self._leave(queued)
            self._enqueue(queued)
        elif queued.where is Where.ACTIVE and old.priority != info.priority:
            self._activate(queued)
        return info

    def remove(self, key: str) -> None:
        """The pod is gone, or has a node."""
        queued = self._pods.pop(key, None)
        if queued is not None:
            self._leave(queued)

    def give_back(self, queued: QueuedPod, rejected_by: frozenset[str], *, error: bool = False) -> None:
        """A pod that was taken out could not be scheduled; `error`: for a reason that has nothing to do with where it fits."""
        if self._pods.get(queued.info.key) is not queued:
            return
        queued.failures = queued.failures + 1 if queued.had_error == error else 1
        queued.had_error, queued.failed_at, queued.rejected_by = error, self._now(), rejected_by
        if error:
            self._back_off(queued)
        else:
            queued.where, queued.ticket = Where.UNSCHEDULABLE, 0
            self._unschedulable.setdefault(queued.group, {})[queued.info.key] = queued
            self._wake.set()

    def move(
        self,
        event: ClusterEvent,
        *,
        concerns: Callable[[PodInfo], bool] | None = None,
        hint: Callable[[Profile, PodInfo, frozenset[str]], bool] | None = None,
    ) -> None:
        """Something has happened: try again those for whom it may matter, by the event; of these only those whom it `concerns`, and for
        whom their profile has the `hint` that it may help (given also who rejected them)."""
        if not event or not self._unschedulable:
            return
        for waits_for in [each for each in self._unschedulable if self._profiles[each[0]].wakes(each[1]) & event]:
            group, profile = self._unschedulable[waits_for], self._profiles[waits_for[0]]
            moved = [
                key
                for key, queued in group.items()
                if (concerns is None or concerns(queued.info)) and (hint is None or hint(profile, queued.info, waits_for[1]))
            ]
            for queued in [group.pop(key) for key in moved]:
                self._requeue(queued)
            if not group:
                del self._unschedulable[waits_for]

    def activate(self, key: str) -> None:
        """Try that pod again, whatever it waits for."""
        queued = self._pods.get(key)
        if queued is not None and queued.where is Where.UNSCHEDULABLE:
            self._leave(queued)
            self._requeue(queued)

    # What goes out.

    async def pop(self) -> QueuedPod:
        """The next pod to try. It is the caller's until `give_back` or `remove`."""
        while True:
            self._promote()
            queued = self._first_active() or self._first_backing_off()
            if queued is not None:
                queued.where, queued.ticket = Where.IN_FLIGHT, 0
                queued.attempts += 1
                return queued
            self._wake.clear()
            try:
                async with asyncio.timeout_at(self._next_deadline()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _promote(self) -> None:
        """Move those whose time has come."""
        now = self._now()
        for heap in (self._backoff, self._errors):
            while heap and (heap[0][0] <= now or not _is_valid(heap[0])):
                entry = heapq.heappop(heap)
                if _is_valid(entry):
                    self._activate(entry[2])
        for queued in list(self._waiting_since(now - UNSCHEDULABLE_S_MAX)):
            self._leave(queued)
            self._requeue(queued)

    def _waiting_since(self, moment: float) -> Iterator[QueuedPod]:
        """Each group is in the order in which its pods were given back."""
        for group in self._unschedulable.values():
            for queued in group.values():
                if queued.failed_at > moment:
                    break
                yield queued

    def _first_active(self) -> QueuedPod | None:
        while self._active:
            entry = heapq.heappop(self._active)
            if _is_valid(entry):
                return entry[2]
        return None

    def _first_backing_off(self) -> QueuedPod | None:
        """With nobody else to try there is nothing to gain by waiting."""
        while self._backoff:
            entry = heapq.heappop(self._backoff)
            if _is_valid(entry):
                return entry[2]
        return None

    def _next_deadline(self) -> float | None:
        deadlines = [heap[0][0] for heap in (self._backoff, self._errors) if heap]
        deadlines += [next(iter(group.values())).failed_at + UNSCHEDULABLE_S_MAX for group in self._unschedulable.values()]
        return min(deadlines, default=None)

    # From place to place.

    def _enqueue(self, queued: QueuedPod) -> None:
        """Into the active queue, unless a plugin keeps it out."""
        if any(plugin.pre_enqueue(queued.info) is not None for plugin in self._profiles[queued.info.scheduler_name].pre_enqueue):
            queued.where, queued.ticket = Where.GATED, 0
        else:
            self._activate(queued)

    def _requeue(self, queued: QueuedPod) -> None:
        if self._backoff_ends(queued) > self._now():
            self._back_off(queued)
        else:
            self._activate(queued)

    def _activate(self, queued: QueuedPod) -> None:
        queued.where, queued.ticket = Where.ACTIVE, next(self._tickets)
        heapq.heappush(self._active, (self._sort_key(queued.info, queued.added_at), queued.ticket, queued))
        self._wake.set()

    def _back_off(self, queued: QueuedPod) -> None:
        queued.where, queued.ticket = Where.BACKOFF, next(self._tickets)
        heapq.heappush(self._errors if queued.had_error else self._backoff, (self._backoff_ends(queued), queued.ticket, queued))
        self._wake.set()

    def _backoff_ends(self, queued: QueuedPod) -> float:
        if not queued.failures:
            return 0.0
        doublings = min(queued.failures - 1, 10)
        return queued.failed_at + min(self._backoff_s * (1 << doublings), self._backoff_s_max)

    def _leave(self, queued: QueuedPod) -> None:
        """Out of wherever it is; what is left of it in heaps is skipped later."""
        queued.ticket = 0
        if queued.where is Where.UNSCHEDULABLE:
            group = self._unschedulable[queued.group]
            group.pop(queued.info.key, None)
            if not group:
                del self._unschedulable[queued.group]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _is_valid(entry: tuple[Any, int, QueuedPod]) -> bool:
    return entry[1] == entry[2].ticket
