"""Pods leave nodes with NoExecute taints that they do not tolerate, or not for so long.

Promises: a pod that does not tolerate a taint goes at once; one that tolerates all of them goes when the shortest of its
tolerationSeconds is over, counted from when the taint was added, so that a restart of this process delays nobody; a taint that does not
say when (people's and kubectl's do not) counts from when it was first seen here with the pod, as all do upstream.
Source: upstream `pkg/controller/tainteviction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kube.client.client import PatchKind
from kube.clock import parse_time, rfc3339
from kube.objects import Object, is_deleting, key_of, name_of, namespace_of, uid_of
from kube.resources import NODES, PODS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, Patch, Record, perform

from .index import NODE, with_nodes
from .pod import is_terminal


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Whether one toleration covers one taint. An empty key covers every key, an empty effect every effect."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator, ours, theirs = toleration.get("operator") or "Equal", toleration.get("value") or "", taint.get("value") or ""
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool(ours == theirs)
    numbers = ours.lstrip("-").isdecimal() and theirs.lstrip("-").isdecimal()
    if operator == "Lt":
        return numbers and int(theirs) < int(ours)
    return operator == "Gt" and numbers and int(theirs) > int(ours)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, or when to look again."""

    actions: list[Action] = field(default_factory=list)
    again_s: float | None = None


def plan(desired: Object, observed: Sequence[Object], now: datetime, seen: datetime | None = None) -> Plan:
    """Whether the pod `desired` has to go, its node having the taints `observed`, first `seen` then (None: now)."""
    end = leaves_at(desired, observed, now, seen)
    if end is None or is_deleting(desired):
        return Plan()
    if end > now:
        return Plan(again_s=(end - now).total_seconds())
    namespace, name = namespace_of(desired), name_of(desired)
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastTransitionTime": rfc3339(now),
    }
    marked: Action = Patch(PODS, namespace, name, {"status": {"conditions": [condition]}}, PatchKind.STRATEGIC, "status")
    told = Record(desired, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
    deleted = Delete(PODS, namespace, name, uid=uid_of(desired))
    return Plan([told, deleted] if is_terminal(desired) else [told, marked, deleted])


def leaves_at(pod: Object, taints: Sequence[Object], now: datetime, seen: datetime | None = None) -> datetime | None:
    """When the pod has to leave a node with these taints, first `seen` then (None: now); None where it may stay."""
    ends: list[datetime] = []
    created = parse_time(pod["metadata"].get("creationTimestamp")) or now
    for taint in taints:
        if taint.get("effect") != "NoExecute":
            continue
        matching = [each for each in pod["spec"].get("tolerations") or () if tolerates(each, taint)]
        if not matching:
            return now
        limits = [each["tolerationSeconds"] for each in matching if each.get("tolerationSeconds") is not None]
        if limits:
            since = max(parse_time(taint.get("timeAdded")) or seen or now, created)
            ends.append(since + timedelta(seconds=max(0, min(limits))))
    return min(ends, default=None)


class TaintEvictionController:
    """Keys are namespace/name of pods on tainted nodes."""

    name = "taint-eviction-controller"

    def start(self, run: Run) -> None:
        self.run = run
        self.nodes = run.informers.of(NODES)
        self.pods = with_nodes(run.informers.of(PODS))
        self._pending: dict[str, datetime] = {}
        """Since when each pod has been waiting to leave."""
        self.nodes.add_handler(self._node_changed)
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        pod = self.pods.get(key)
        node = self.nodes.get(pod["spec"].get("nodeName", "")) if pod is not None else None
        if pod is None or node is None:
            self._pending.pop(key, None)
            return None
        now = self.run.clock.now()
        seen = self._pending.get(key, now)
        todo = plan(pod, _no_execute(node), now, seen)
        if todo.again_s is not None:
            self._pending[key] = seen
        elif self._pending.pop(key, None) is not None and not todo.actions and not is_deleting(pod):
            self.run.events.record(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
        await perform(todo.actions, client=self.run.client, events=self.run.events)
        return todo.again_s

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None or _no_execute(old or {"spec": {}}) == _no_execute(new):
            return
        for pod in self.pods.by_index(NODE, name_of(new)):
            self.run.queue.add(key_of(pod))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None or is_deleting(new) or not new["spec"].get("nodeName"):
            return
        if old is not None and _placing(old) == _placing(new):
            return
        node = self.nodes.get(new["spec"]["nodeName"])
        if node is not None and _no_execute(node):
            self.run.queue.add(key_of(new))


def _no_execute(node: Object) -> list[Object]:
    return [each for each in node["spec"].get("taints") or () if each.get("effect") == "NoExecute"]


def _placing(pod: Object) -> object:
    return pod["spec"].get("nodeName"), pod["spec"].get("tolerations")
