"""Nodes that fall silent: their conditions become Unknown, their pods not ready, and taints keep new pods away and send old ones off.

Promises: a node counts as alive as long as its Lease or its Ready heartbeat moves, by our own clock (clocks need not agree); taints
follow conditions at once, except that NoExecute taints are dealt out slowly per zone and not at all when everything is down.
What NoExecute does to pods is `taint_eviction.py`. Read first: `node_health.py`.
Source: upstream `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kube.client.client import PatchKind
from kube.clock import SteadyClock, rfc3339
from kube.errors import Conflict, NotFound
from kube.objects import Object, condition_of, is_deleting, name_of, namespace_of, resource_version_of, uid_of
from kube.resources import LEASES, NODES, PODS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Patch, Record, Update, perform

from .index import NODE, with_nodes
from .node_health import (
    USUAL_RATES,
    EvictionRates,
    ZoneHealth,
    evictions_per_s,
    is_all_disrupted,
    needs_no_execute,
    ready_status,
    silenced_conditions,
    wanted_taints,
    zone_of,
    zones,
)
from .pod import is_ready
from .status import same_status

MONITOR_PERIOD_S = 5.0
GRACE_S = 50.0
STARTUP_GRACE_S = 60.0
LEASE_NAMESPACE = "kube-node-lease"


@dataclass(frozen=True, slots=True)
class Heard:
    """When we last heard of a node (by a clock that nobody sets), and what it said then: by that we know when it says something new."""

    at: datetime
    heartbeat: str = ""
    renewal: str = ""


def plan(
    desired: Object, observed: Heard, now: datetime, *, grace_s: float = GRACE_S, may_evict: bool = False, keep_pods: bool = False
) -> list[Action]:
    """What to do about the node `desired`, last heard of as `observed`: tell that it is silent, and set its taints."""
    if is_silent(desired, observed, now, grace_s=grace_s):
        status = desired.get("status") or {}
        silenced = {**status, "conditions": silenced_conditions(desired, now)}
        if not same_status(silenced, status):
            told = Update(NODES, {**desired, "status": silenced}, subresource="status")
            was_ready = ready_status(desired) == "True"
            return [told, *([node_event(desired, "NodeNotReady", is_status=True)] if was_ready else [])]
    taints = wanted_taints(desired, now, may_evict=may_evict, keep_pods=keep_pods)
    if taints is None:
        return []
    body = {"metadata": {"resourceVersion": resource_version_of(desired)}, "spec": {"taints": taints}}
    return [Patch(NODES, None, name_of(desired), body, PatchKind.MERGE)]


def is_silent(node: Object, heard: Heard, now: datetime, *, grace_s: float) -> bool:
    """Whether nothing was heard for longer than allowed; a node that has never told its state gets longer."""
    allowed_s = grace_s if condition_of(node, "Ready") is not None else STARTUP_GRACE_S
    return now - heard.at > timedelta(seconds=allowed_s)


def node_event(node: Object, reason: str, *, is_status: bool = False) -> Record:
    name = name_of(node)
    words = {"RegisteredNode": f"Registered Node {name} in Controller", "RemovingNode": f"Removing Node {name} from Controller"}
    message = f"Node {name} status is now: {reason}" if is_status else words[reason]
    return Record({"kind": "Node", "apiVersion": "v1", "name": name, "uid": uid_of(node)}, "Normal", reason, message)


def not_ready(pod: Object, now: datetime) -> Object | None:
    """The status of a pod whose node is gone silent: not ready. None where it says so already."""
    if not is_ready(pod):
        return None
    change = {"status": "False", "lastTransitionTime": rfc3339(now)}
    conditions = [{**each, **change} if each["type"] == "Ready" else each for each in pod["status"]["conditions"]]
    return {**pod["status"], "conditions": conditions}


class NodeLifecycleController:
    """Watches nodes and their Leases. Keys are names of nodes."""

    name = "node_lifecycle"
    tick_s = MONITOR_PERIOD_S

    def __init__(self, *, grace_s: float = GRACE_S, rates: EvictionRates = USUAL_RATES) -> None:
        self._grace_s, self._rates = grace_s, rates
        self._heard: dict[str, Heard] = {}
        self._zones: dict[str, ZoneHealth] = {}
        self._next_eviction: dict[str, datetime] = {}
        self._keep_pods = False

    def start(self, run: Run) -> None:
        self.run = run
        self.steady = SteadyClock(run.clock)
        self.nodes = run.informers.of(NODES)
        self.pods = with_nodes(run.informers.of(PODS))
        self.leases = run.informers.of(LEASES)
        self.nodes.add_handler(self._node_changed)
        self.leases.add_handler(self._lease_changed)

    async def tick(self) -> None:
        """Look at every node's clock. Only those with something to do are looked at more closely."""
        now = self.steady.now()
        nodes = self.nodes.list()
        self._zones = zones(nodes)
        was_kept, self._keep_pods = self._keep_pods, is_all_disrupted(self._zones)
        for node in nodes:
            heard = self._heard.get(name_of(node)) or Heard(now)
            is_due = is_silent(node, heard, now, grace_s=self._grace_s) and ready_status(node) != "Unknown"
            if is_due or needs_no_execute(node) or condition_of(node, "Ready") is None or self._keep_pods != was_kept:
                self.run.queue.add(name_of(node))

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is None:
            return None
        now, steady = self.run.clock.now(), self.steady.now()
        heard = self._heard.setdefault(key, Heard(steady))
        turn_in_s = self._turn_in_s(node, steady)
        may_evict = turn_in_s == 0
        actions = plan(
            node, replace(heard, at=now - (steady - heard.at)), now, grace_s=self._grace_s, may_evict=may_evict, keep_pods=self._keep_pods
        )
        if may_evict and needs_no_execute(node) and any(isinstance(each, Patch) for each in actions):
            self._note_eviction(node, steady)  # before anything is awaited: others are looking at nodes of the zone, too
        for answer in await perform(actions, client=self.run.client, events=self.run.events):
            if answer is not None:
                self.nodes.put(answer)
        if ready_status(node) != "True":
            await self._mark_pods(key, now)
        return turn_in_s if turn_in_s and needs_no_execute(node) else None

    # --- evictions

    def _turn_in_s(self, node: Object, now: datetime) -> float | None:
        """When the pods of another node of the zone may be evicted: in so many seconds; None while nobody's are."""
        zone = zone_of(node)
        health = self._zones.get(zone)
        if self._keep_pods or health is None or evictions_per_s(health, self._rates) <= 0:
            return None
        return max((self._next_eviction.get(zone, now) - now).total_seconds(), 0.0)

    def _note_eviction(self, node: Object, now: datetime) -> None:
        zone = zone_of(node)
        rate = evictions_per_s(self._zones[zone], self._rates)
        self._next_eviction[zone] = now + timedelta(seconds=1 / rate)

    async def _mark_pods(self, node_name: str, now: datetime) -> None:
        """Nobody can tell any more whether these pods work: they are not ready, and no Service sends anyone there."""
        for pod in self.pods.by_index(NODE, node_name):
            status = not_ready(pod, now)
            if status is None or is_deleting(pod):
                continue
            try:
                answer = await self.run.client.update(PODS, {**pod, "status": status}, subresource="status")
            except (NotFound, Conflict):
                self.run.queue.add_after(node_name, 1)
                continue
            self.pods.put(answer)
            self.run.events.record(pod, "Warning", "NodeNotReady", "Node is not ready")

    # --- hearing

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        now = self.steady.now()
        if new is None:
            if old is not None:
                self._heard.pop(name_of(old), None)
                self._record(node_event(old, "RemovingNode"))
            return
        name = name_of(new)
        if old is None:
            self._record(node_event(new, "RegisteredNode"))
        self._hear(name, now, heartbeat=str((condition_of(new, "Ready") or {}).get("lastHeartbeatTime", "")))
        if old is None or _signature(old) != _signature(new):
            self.run.queue.add(name)

    def _lease_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and namespace_of(new) == LEASE_NAMESPACE:
            self._hear(name_of(new), self.steady.now(), renewal=str((new.get("spec") or {}).get("renewTime", "")))

    def _hear(self, name: str, now: datetime, *, heartbeat: str = "", renewal: str = "") -> None:
        """The node said something; if it is new, the node is alive."""
        before = self._heard.get(name)
        if before is None:
            self._heard[name] = Heard(now, heartbeat, renewal)
        elif (heartbeat and heartbeat != before.heartbeat) or (renewal and renewal != before.renewal):
            self._heard[name] = Heard(now, heartbeat or before.heartbeat, renewal or before.renewal)

    def _record(self, event: Record) -> None:
        self.run.events.record(event.obj, event.type, event.reason, event.message)


def _signature(node: Object) -> object:
    """What of a node decides about its taints."""
    conditions = [(each.get("type"), each.get("status")) for each in (node.get("status") or {}).get("conditions") or ()]
    return conditions, node["spec"].get("taints"), node["spec"].get("unschedulable"), zone_of(node)
