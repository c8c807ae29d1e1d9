"""Keeps the snapshot and the queue like the cluster: the handlers of the informers. Nothing is decided here.

Source: `pkg/scheduler/eventhandlers.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from controllers.scheduler.framework import Change, ClusterEvent
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.profile import Profile
from controllers.scheduler.queue import SchedulingQueue
from controllers.scheduler.snapshot import Snapshot
from kube.client.informer import Informers
from kube.objects import Object, key_of, name_of
from kube.resources import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from kube.storage import claim_keys

_OVER = ("Succeeded", "Failed")


class Watcher:
    """`scheduler_names`: whose pods are ours to schedule. `forget(key)` is called for pods that nothing needs to be known of any more."""

    def __init__(self, snapshot: Snapshot, queue: SchedulingQueue, scheduler_names: Collection[str], forget: Callable[[str], None]) -> None:
        self._snapshot, self._queue, self._scheduler_names, self._forget = snapshot, queue, scheduler_names, forget

    def start(self, informers: Informers) -> None:
        """What decides where pods go comes before the pods."""
        workloads = self._snapshot.workloads
        informers.of(NODES).add_handler(self.on_node)
        informers.of(NAMESPACES).add_handler(self.on_namespace)
        informers.of(SERVICES).add_handler(workloads.service)
        for owners in (REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS):
            informers.of(owners).add_handler(workloads.owner)
        self._snapshot.volumes.watch(informers, self.on_storage)
        self._snapshot.devices.watch(informers, self.on_devices)
        informers.of(POD_DISRUPTION_BUDGETS).add_handler(self.on_budget)
        informers.of(PODS).add_handler(self.on_pod)

    def room_was_freed(self) -> None:
        """A pod that was assumed on a node is not going there."""
        self._queue.move(ClusterEvent.POD_DELETE)

    def _move(self, change: Change) -> None:
        """Have those tried again whom the change may help."""
        snapshot = self._snapshot

        def hint(profile: Profile, pod: PodInfo, rejected_by: frozenset[str]) -> bool:
            return profile.may_help(pod, rejected_by, change, snapshot)

        self._queue.move(change.event, hint=hint)

    def on_node(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            event = self._snapshot.set_node(new)
            self._move(Change(event, node=self._snapshot.nodes[name_of(new)]))
        elif old is not None:
            self._move(Change(self._snapshot.remove_node(name_of(old))))

    def on_namespace(self, old: Object | None, new: Object | None) -> None:
        self._queue.move(self._snapshot.set_namespace(old, new))

    def on_storage(self, resource: Resource, obj: Object, event: ClusterEvent) -> None:
        """A claim concerns only those who use it."""
        if resource == PERSISTENT_VOLUME_CLAIMS:
            key = key_of(obj)
            self._queue.move(event, concerns=lambda pod: pod.has_claims and key in claim_keys(pod.pod))
        else:
            self._queue.move(event, concerns=lambda pod: pod.has_claims)

    def on_devices(self, event: ClusterEvent) -> None:
        self._queue.move(event, concerns=lambda pod: bool(pod.resource_claims))

    def on_budget(self, old: Object | None, new: Object | None) -> None:
        budgets = self._snapshot.budgets
        if new is not None:
            budgets[key_of(new)] = new
        elif old is not None:
            budgets.pop(key_of(old), None)

    def on_pod(self, old: Object | None, new: Object | None) -> None:
        if new is None or (new.get("status") or {}).get("phase") in _OVER:
            self._gone(old if new is None else new)
        elif new["spec"].get("nodeName"):
            self._on_node(new)
        elif (new["spec"].get("schedulerName") or "default-scheduler") in self._scheduler_names:
            self._needs_node(new)

    def _gone(self, pod: Object | None) -> None:
        """Deleted, or it has run to its end: what it held is free."""
        if pod is None:
            return
        key = key_of(pod)
        queued = self._queue.get(key)
        if queued is not None:
            self._snapshot.nominate(queued.info, "")
            self._queue.remove(key)
        self._forget(key)
        was = self._snapshot.pods.get(key)
        if self._snapshot.remove_pod(key):
            self._move(Change(ClusterEvent.POD_DELETE, pod=was))

    def _on_node(self, pod: Object) -> None:
        key = key_of(pod)
        if self._queue.get(key) is not None:
            self._queue.remove(key)
            self._forget(key)
        info = PodInfo(pod)
        self._move(Change(self._snapshot.set_pod(info), pod=info))

    def _needs_node(self, pod: Object) -> None:
        key = key_of(pod)
        if key in self._snapshot.assumed and self._snapshot.pods[key].uid == pod["metadata"].get("uid"):
            return  # it is being bound
        info = self._queue.put(pod)
        if info.nominated_node != self._snapshot.nominations.get(key, "") and info.nominated_node:
            self._snapshot.nominate(info, info.nominated_node)
