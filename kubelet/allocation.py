"""What one node has given to its pods, and the resizes that wait until it has more. Source: upstream `pkg/kubelet/allocation`.

A pod's worker only ever sees the pod with the resources that are allocated to it; a resize that does not fit is deferred, and looked at
again whenever a pod ends or shrinks, and now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kube.clock import Clock
from kube.objects import Object
from kube.pod_amounts import GUARANTEED, qos_class
from kubelet.admission import Refusal, Requests, Usage, refusal_of, requests_of
from kubelet.observed import Resize
from kubelet.resizing import DEFERRED, condition, message_of
from kubelet.sizes import is_resized, with_allocation

if TYPE_CHECKING:
    from kubelet.worker import PodWorker


class Allocations:
    """One node's. `node()` is the Node object; `workers` are its pods', by uid."""

    def __init__(self, node: Callable[[], Object], workers: Mapping[str, PodWorker], clock: Clock) -> None:
        self._node, self._workers, self._clock = node, workers, clock
        self.usage = Usage()
        self._waiting: dict[str, Object] = {}
        """Pods as the API has them, which ask for other resources than are allocated to them."""

    # --- pods come and go -------------------------------------------------------------------------------------------------

    def admit(self, pod: Object) -> Refusal | None:
        """Why a new pod cannot be taken; None where it can, and from now on has what it asks for."""
        requests = requests_of(pod)
        refusal = refusal_of(pod, self._node(), requests, self.usage)
        if refusal is None:
            self.usage.add(pod["metadata"]["uid"], requests)
        return refusal

    def keep(self, worker: PodWorker, pod: Object) -> None:
        """A pod that runs already. It has what its worker knows of; where the API's `pod` asks for other resources, it waits for them."""
        if is_resized(pod, worker.pod):
            self._waiting[worker.uid] = pod
        else:
            worker.pod = pod
            self._settled(worker)
        self.usage.add(worker.uid, requests_of(worker.pod))

    def release(self, uid: str) -> None:
        """The pod needs nothing of the node any more."""
        self._waiting.pop(uid, None)
        self.usage.remove(uid)
        self.retry()

    # --- resizes ----------------------------------------------------------------------------------------------------------

    def take(self, worker: PodWorker, pod: Object) -> None:
        """The API has another version of a pod: its worker is told of it, with the resources that it can have."""
        is_waiting = worker.uid in self._waiting
        if worker.is_finished or (not is_waiting and _is_same_spec(pod, worker.pod)):
            worker.update(pod)
        elif is_resized(pod, worker.pod):
            is_news = pod["metadata"].get("generation") != worker.pod["metadata"].get("generation")
            self._waiting[worker.uid] = pod
            worker.update(with_allocation(pod, worker.pod))
            if is_news or not is_waiting:
                self.retry()
        else:
            self._waiting.pop(worker.uid, None)
            self._settled(worker)
            worker.update(pod)

    def retry(self) -> None:
        """Look at all resizes that wait: allocate what fits."""
        for uid in sorted(self._waiting, key=self._order):
            worker, pod = self._workers.get(uid), self._waiting[uid]
            if worker is None or worker.is_finished:
                del self._waiting[uid]
                continue
            requests = requests_of(pod)
            refusal = self._refusal(uid, pod, requests)
            if refusal is None:
                del self._waiting[uid]
                self.usage.add(uid, requests)
                self._allocated(worker, pod)
            else:
                self._deferred(worker, pod, refusal.message)

    def _refusal(self, uid: str, pod: Object, requests: Requests) -> Refusal | None:
        """Why the pod has no room beside all others."""
        held = self.usage.pods.get(uid)
        self.usage.remove(uid)
        try:
            return refusal_of(pod, self._node(), requests, self.usage)
        finally:
            if held is not None:
                self.usage.add(uid, held)

    def _allocated(self, worker: PodWorker, pod: Object) -> None:
        generation = _generation(pod)
        worker.host.record(pod, "Normal", "ResizeStarted", message_of("started", pod, generation))
        worker.resized(pod, Resize(None, condition(None, self._clock.now(), generation)))

    def _deferred(self, worker: PodWorker, pod: Object, why: str) -> None:
        generation, old = _generation(pod), worker.resize.pending
        if old is not None and (old.generation, old.reason, old.message) == (generation, DEFERRED, why):
            return
        if old is None or (old.generation, old.reason) != (generation, DEFERRED):
            worker.host.record(pod, "Warning", "ResizeDeferred", message_of(DEFERRED, pod, generation, why))
        pending = condition(old, self._clock.now(), generation, DEFERRED, why)
        worker.resized(worker.pod, replace(worker.resize, pending=pending))

    @staticmethod
    def _settled(worker: PodWorker) -> None:
        """It has what it asks for."""
        if worker.resize.pending is not None:
            worker.resize = replace(worker.resize, pending=None)

    def _order(self, uid: str) -> tuple[bool, int, bool, float, str]:
        """Who comes first: what asks for no more than it has, then by priority, then what is guaranteed, then what has waited longest."""
        pod, worker = self._waiting[uid], self._workers.get(uid)
        held = self.usage.pods.get(uid)
        wanted, has = requests_of(pod).amounts, held.amounts if held else {}
        grows = any(wanted.get(name, 0) > has.get(name, 0) for name in ("cpu", "memory"))
        pending = worker.resize.pending if worker else None
        since = pending.since.timestamp() if pending else float("inf")
        return grows, -int(pod["spec"].get("priority") or 0), qos_class(pod["spec"]) != GUARANTEED, since, uid


def _generation(pod: Object) -> int:
    return int(pod["metadata"].get("generation") or 0)


def _is_same_spec(pod: Object, other: Object) -> bool:
    """By the generation, where there is one."""
    if (generation := pod["metadata"].get("generation")) and generation == other["metadata"].get("generation"):
        return True
    return bool(pod["spec"] == other["spec"])
