"""What there is of a StatefulSet: its pods by ordinal, and which of them are not as they should be. In memory, no I/O.

Kept up to date one pod at a time, so that a look at the set costs what has changed and what is amiss, not what is there: the rollout of a
thousand pods has thousands of looks. It is made anew when the set's spec changes.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from kube.labels import from_object as selector_from
from kube.objects import Object, is_deleting, labels_of, name_of, uid_of

from .controller_revision import POD_HASH
from .pod import is_available, is_ready, phase_of, ready_since
from .stateful_pod import claim_name, first_ordinal, ordinal_of

Claims = Callable[[str], Object | None]
"""The claim of that name, in the set's namespace."""


class Ordinals:
    """Some ordinals, in order."""

    def __init__(self, ordinals: Iterable[int] = ()) -> None:
        self._all = sorted(ordinals)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[int]:
        return iter(self._all)

    def __reversed__(self) -> Iterator[int]:
        return reversed(self._all)

    def add(self, ordinal: int) -> None:
        if ordinal not in self:
            insort(self._all, ordinal)

    def discard(self, ordinal: int) -> None:
        if ordinal in self:
            del self._all[bisect_left(self._all, ordinal)]

    def __contains__(self, ordinal: object) -> bool:
        assert isinstance(ordinal, int)
        place = bisect_left(self._all, ordinal)
        return place < len(self._all) and self._all[place] == ordinal

    @property
    def lowest(self) -> int | None:
        return self._all[0] if self._all else None

    @property
    def highest(self) -> int | None:
        return self._all[-1] if self._all else None

    def up_to(self, limit: int | None) -> list[int]:
        """Those that are not greater; all without a limit."""
        return self._all[:] if limit is None else self._all[: bisect_right(self._all, limit)]


class _Facts(NamedTuple):
    """What is counted of one pod."""

    is_up: bool
    is_ready: bool
    is_living: bool
    revision: str


class World:
    """See the module. `claims` finds the claims there are."""

    def __init__(self, stateful_set: Object, claims: Claims, now: datetime) -> None:
        self.uid, self.generation = uid_of(stateful_set), stateful_set["metadata"].get("generation")
        self.claims = claims
        self._set, self._now = stateful_set, now
        replicas = stateful_set["spec"].get("replicas")
        start = first_ordinal(stateful_set)
        self._wanted = range(start, start + (1 if replicas is None else int(replicas)))
        self._min_ready_s = int(stateful_set["spec"].get("minReadySeconds") or 0)
        self._selector = selector_from(stateful_set["spec"].get("selector"))
        self.pods: dict[int, Object] = {}
        self.strangers: dict[str, Object] = {}
        """By uid: pods that belong to the set, and whose labels say that they should not."""
        self.missing, self.condemned = Ordinals(self._wanted), Ordinals()
        """Ordinals without the pod that should be there, and of pods that should not."""
        self.down = Ordinals()
        """Pods that should be there, and are not up or on their way out."""
        self.to_look_at = Ordinals()
        """Pods whose claims and labels may not be as they should."""
        self.ready = self.available = 0
        self.revisions: Counter[str] = Counter()
        """How many pods there are of each revision; those that stay: `living`."""
        self.living: Counter[str] = Counter()
        self._facts: dict[int, _Facts] = {}
        self._staying: dict[str, Ordinals] = {}
        self._stamps: dict[int, int] = {}
        self._stamp = 0
        self._ripening: list[tuple[datetime, int, str]] = []

    # --- keeping it up to date

    def put(self, pod: Object) -> None:
        """The pod, which belongs to the set, is like that now."""
        if not self._selector.matches(labels_of(pod)):
            self.drop(pod)
            self.strangers[uid_of(pod)] = pod
            return
        self.strangers.pop(uid_of(pod), None)
        ordinal = ordinal_of(self._set, pod)
        if ordinal < 0:
            return
        self._forget(ordinal)
        self.pods[ordinal] = pod
        is_wanted = ordinal in self._wanted
        facts = self._facts[ordinal] = self._facts_of(pod, ordinal)
        self.ready += facts.is_ready
        self.available += facts.is_ready and facts.is_up
        self.revisions[facts.revision] += 1
        self.living[facts.revision] += facts.is_living
        if not is_wanted:
            self.condemned.add(ordinal)
            return
        self.missing.discard(ordinal)
        if facts.is_living:
            self._staying.setdefault(facts.revision, Ordinals()).add(ordinal)
        if not (facts.is_living and facts.is_up):
            self.down.add(ordinal)
        self.look_at(ordinal)

    def drop(self, pod: Object) -> None:
        """The pod is gone, or the set's no more."""
        self.strangers.pop(uid_of(pod), None)
        ordinal = ordinal_of(self._set, pod)
        if ordinal in self.pods and uid_of(self.pods[ordinal]) == uid_of(pod):
            self._forget(ordinal)
            if ordinal in self._wanted:
                self.missing.add(ordinal)

    def look_at(self, ordinal: int) -> None:
        """Something about that pod, or its claims, has changed."""
        self._stamp += 1
        self._stamps[ordinal] = self._stamp
        self.to_look_at.add(ordinal)

    def claim_changed(self, claim: Object) -> None:
        """A claim of the namespace has come, changed or gone: it may be one of the set's."""
        ordinal = _ordinal_of_claim(self._set, claim)
        if ordinal in self.pods and ordinal not in self.condemned:
            self.look_at(ordinal)

    def looked_at(self, ordinals: Mapping[int, int]) -> None:
        """Those are as they should be, unless they have changed since they had these `stamps`."""
        for ordinal, stamp in ordinals.items():
            if self._stamps.get(ordinal) == stamp:
                self.to_look_at.discard(ordinal)
                del self._stamps[ordinal]

    def stamp(self, ordinal: int) -> int:
        return self._stamps.get(ordinal, 0)

    def pass_time(self, now: datetime) -> None:
        """Pods that have been ready for long enough are up."""
        self._now = now
        while self._ripening and self._ripening[0][0] <= now:
            _, ordinal, uid = heapq.heappop(self._ripening)
            pod = self.pods.get(ordinal)
            if pod is not None and uid_of(pod) == uid:
                self.put(pod)

    @property
    def ripe_in_s(self) -> float | None:
        """In so many seconds the next pod has been ready for long enough; it may have been deleted by then."""
        return (self._ripening[0][0] - self._now).total_seconds() if self._ripening else None

    def _facts_of(self, pod: Object, ordinal: int) -> _Facts:
        is_running = phase_of(pod) == "Running"
        up = is_running and is_available(pod, min_ready_s=self._min_ready_s, now=self._now)
        since = ready_since(pod) if is_running and not up and self._min_ready_s else None
        if since is not None:
            heapq.heappush(self._ripening, (since + timedelta(seconds=self._min_ready_s), ordinal, uid_of(pod)))
        return _Facts(up, is_running and is_ready(pod), not is_deleting(pod), labels_of(pod).get(POD_HASH, ""))

    def _forget(self, ordinal: int) -> None:
        """Undo what `put` did."""
        facts = self._facts.pop(ordinal, None)
        if facts is None:
            return
        del self.pods[ordinal]
        self.ready -= facts.is_ready
        self.available -= facts.is_ready and facts.is_up
        self.revisions[facts.revision] -= 1
        self.living[facts.revision] -= facts.is_living
        self.condemned.discard(ordinal)
        self.down.discard(ordinal)
        self.to_look_at.discard(ordinal)
        self._stamps.pop(ordinal, None)
        if facts.revision in self._staying:
            self._staying[facts.revision].discard(ordinal)

    # --- questions

    def is_up(self, ordinal: int) -> bool:
        return self._facts[ordinal].is_up

    @property
    def first_waiting(self) -> int | None:
        """The lowest ordinal whose pod is missing, not up, or on its way out."""
        both = [each for each in (self.missing.lowest, self.down.lowest) if each is not None]
        return min(both, default=None)

    @property
    def first_unhealthy(self) -> int | None:
        """The first pod, of all there are, that is to stay and is not up: those that should not be there first."""
        places = (*self.condemned, *self.down)
        return next((each for each in places if not is_deleting(self.pods[each]) and not self.is_up(each)), None)

    def not_at(self, revision: str) -> Iterator[int]:
        """The pods to stay that are of another revision, the highest ordinal first."""
        others = [reversed(staying) for name, staying in self._staying.items() if name != revision and len(staying)]
        return iter(heapq.merge(*others, reverse=True))

    def used_revisions(self) -> set[str]:
        return {name for name, count in self.revisions.items() if count}


def world(stateful_set: Object, pods: Iterable[Object], claims: Claims, now: datetime) -> World:
    """The world of these pods."""
    made = World(stateful_set, claims, now)
    for pod in pods:
        made.put(pod)
    return made


def _ordinal_of_claim(stateful_set: Object, claim: Object) -> int:
    """The ordinal of the pod that a claim of that name is for, -1 for a claim that is none of the set's."""
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        prefix = claim_name(stateful_set, template, 0)[:-1]
        rest = name_of(claim).removeprefix(prefix)
        if rest != name_of(claim) and rest.isdecimal() and rest.isascii() and len(rest) <= 10:
            return int(rest)
    return -1
