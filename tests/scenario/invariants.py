"""What must hold at every moment, whatever goes wrong. Fed by a watch straight from the store.

A `Promise` looks at every write to its resource, in order, and says what it breaks. `Witness` asks them all; `broken` must stay empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import orjson

from apiserver.store.base import Event, Store
from controllers.manager.job_index import INDEX
from kube.clock import Clock
from kube.objects import Object, annotations_of, controller_of, is_condition_true, is_deleting, labels_of, name_of, namespace_of, uid_of
from kube.quota import is_charged

There = dict[str, Object]
"""What there is of a resource, by key."""


class Promise(Protocol):
    """See the module."""

    resource: str
    """As the store's keys have it: `pods`."""

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterable[str]:
        """What is wrong about this write. `there` is after it; of a deletion `after` is None; another object of a name is a deletion
        and a creation."""
        ...


class Witness:
    """Sees every write in order, and notes each broken promise in `broken`."""

    def __init__(self, store: Store, *, after: int, promises: Sequence[Promise] = ()) -> None:
        self.broken: list[str] = []
        self.promises: list[Promise] = [Identity(), *promises]
        self._there: dict[str, There] = {each.resource: {} for each in self.promises}
        self._revision = after
        self._subscription = store.subscribe("/registry/", after=after, deliver=self._deliver)

    def close(self) -> None:
        self._subscription.cancel()

    def _deliver(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kv.mod_revision <= self._revision:
                self.broken.append(f"revision {event.kv.mod_revision} came after {self._revision}")
            self._revision = event.kv.mod_revision
            resource = event.kv.key.split("/", 3)[2]
            if resource in self._there:
                self._see(resource, event)

    def _see(self, resource: str, event: Event) -> None:
        there = self._there[resource]
        before = there.pop(event.kv.key, None)
        after = None if event.deleted else orjson.loads(event.kv.value)
        if after is not None:
            there[event.kv.key] = after
        for promise in self.promises:
            if promise.resource == resource:
                self.broken += promise.check(before, after, there)


def is_new(before: Object | None, after: Object | None) -> bool:
    """Whether the write created a pod."""
    return after is not None and (before is None or uid_of(before) != uid_of(after))


def is_told_to_go(before: Object | None, after: Object | None) -> bool:
    """Whether the write is the first that somebody's deletion of the pod makes."""
    return before is not None and not is_deleting(before) and (after is None or is_deleting(after) or uid_of(after) != uid_of(before))


def is_up(pod: Object) -> bool:
    """Ready, and nobody has told it to go."""
    return is_condition_true(pod, "Ready") and not is_deleting(pod)


def is_over(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


class Identity:
    """A pod stays on its node, keeps its address, and does not come back when it is over."""

    resource = "pods"

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        if before is None or after is None or uid_of(before) != uid_of(after):
            return
        name, node, status = name_of(after), before["spec"].get("nodeName"), before["status"]
        if node and after["spec"].get("nodeName") != node:
            yield f"pod {name} moved from {node} to {after['spec'].get('nodeName')}"
        if is_over(before) and after["status"].get("phase") != status["phase"]:
            yield f"pod {name} came back from {status['phase']}"
        if status.get("podIP") and after["status"].get("podIP") not in (status["podIP"], None):
            yield f"pod {name} changed its address"


class AtMost:
    """Of the pods of one owner there are never more than `most` that nobody has told to go."""

    resource = "pods"

    def __init__(self, most: int) -> None:
        self._most = most

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        owner = controller_of(after) if after is not None and is_new(before, after) else None
        if owner is None:
            return
        count = sum(1 for each in there.values() if (controller_of(each) or {}).get("uid") == owner["uid"] and not is_deleting(each))
        if count > self._most:
            yield f"{owner['kind']} {owner['name']} has {count} pods, more than {self._most}"


class Room:
    """Of the pods with these labels, none that is up is told to go while no more than `least` are up: what a rolling update (desired -
    unavailable) and a disruption budget promise."""

    resource = "pods"

    def __init__(self, labels: dict[str, str], least: int) -> None:
        self._labels, self._least = labels, least

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        if before is None or not is_told_to_go(before, after) or not is_up(before) or not self._is_mine(before):
            return
        up = sum(1 for each in there.values() if self._is_mine(each) and is_up(each))
        if up < self._least:
            yield f"pod {name_of(before)} had to go when only {up} others of {self._labels} were up, fewer than {self._least}"

    def _is_mine(self, pod: Object) -> bool:
        return self._labels.items() <= labels_of(pod).items()


class AskedFor:
    """Never more pods are asked for than `most` (desired + surge), of all ReplicaSets together: how upstream counts, too. The pods that an
    old set has been told to give up may still be there when the new one's come."""

    resource = "replicasets"

    def __init__(self, most: int) -> None:
        self._most = most

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        asked = sum(each["spec"]["replicas"] for each in there.values())
        if asked > self._most:
            yield f"the ReplicaSets ask for {asked} pods, more than {self._most}"


class InOrder:
    """An ordered StatefulSet of that name: pod N comes only after pod N-1 has been up, and goes for good only after pod N+1 has gone."""

    resource = "pods"

    def __init__(self, stateful_set: str, replicas: Callable[[], int]) -> None:
        self._name, self._replicas = stateful_set, replicas
        self._have_been_up: set[str] = set()

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        mine = {name_of(each): each for each in there.values() if (controller_of(each) or {}).get("name") == self._name}
        self._have_been_up |= {uid_of(each) for each in mine.values() if is_up(each)}
        changed = after if after is not None else before
        if changed is None or (controller_of(changed) or {}).get("name") != self._name:
            return
        ordinal = int(name_of(changed).rpartition("-")[2])
        lower, higher = mine.get(f"{self._name}-{ordinal - 1}"), mine.get(f"{self._name}-{ordinal + 1}")
        if is_new(before, after) and ordinal > 0 and (lower is None or uid_of(lower) not in self._have_been_up):
            yield f"pod {name_of(changed)} came before pod {ordinal - 1} was up"
        if is_told_to_go(before, after) and ordinal >= self._replicas() and higher is not None:
            yield f"pod {name_of(changed)} had to go before pod {ordinal + 1} was gone"


class OneRun:
    """Of a Job whose pods do not fail: one pod per index (or `completions` in all) and no more, `parallelism` of them at once at most."""

    resource = "pods"

    def __init__(self, *, completions: int, parallelism: int) -> None:
        self._completions, self._parallelism = completions, parallelism
        self._made: Counter[tuple[str, str]] = Counter()

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        owner = controller_of(after) if after is not None and is_new(before, after) else None
        if owner is None or after is None or owner["kind"] != "Job":
            return
        index = annotations_of(after).get(INDEX, "")
        self._made[owner["uid"], index] += 1
        made = self._made[owner["uid"], index]
        if made > (self._completions if index == "" else 1):
            yield f"Job {owner['name']} made pod number {made} for index {index or 'none'}"
        running = [each for each in there.values() if (controller_of(each) or {}).get("uid") == owner["uid"] and not is_over(each)]
        if len(running) > self._parallelism:
            yield f"Job {owner['name']} has {len(running)} pods at once, more than {self._parallelism}"


class InQuota:
    """Never more pods in the namespace than its quota allows. Those that are over do not count, nor those that should have gone by now:
    by `clock`, whoever sets it."""

    resource = "pods"

    def __init__(self, namespace: str, hard: int, clock: Clock) -> None:
        self._namespace, self._hard, self._clock = namespace, hard, clock

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        if not is_new(before, after):
            return
        now = self._clock.now()
        count = sum(1 for each in there.values() if namespace_of(each) == self._namespace and is_charged(each, now))
        if count > self._hard:
            yield f"{count} pods in {self._namespace}, more than its quota of {self._hard}"


class Fits:
    """The pods on one node never ask for more CPU (whole ones) than it has."""

    resource = "pods"

    def __init__(self, cpus: int) -> None:
        self._cpus = cpus

    def check(self, before: Object | None, after: Object | None, there: There) -> Iterator[str]:
        node = after["spec"].get("nodeName") if after is not None else None
        if after is None or not node or (before is not None and before["spec"].get("nodeName")):
            return
        asked = sum(_cpus(each) for each in there.values() if each["spec"].get("nodeName") == node and not is_over(each))
        if asked > self._cpus:
            yield f"pod {name_of(after)} came to {node}, whose pods ask for {asked} CPUs of {self._cpus}"


def _cpus(pod: Object) -> int:
    return sum(int((each.get("resources") or {}).get("requests", {}).get("cpu", 0)) for each in pod["spec"]["containers"])
