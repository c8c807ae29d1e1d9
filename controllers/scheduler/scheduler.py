"""The scheduler: takes pods from the queue, decides, and has the decision carried out. Read `framework.py` and `schedule.py` first.

Deciding is one synchronous step on the snapshot, which handlers keep like the cluster. A decided pod is assumed to be on its node at once,
while it is bound in the background; so the next decision need not wait for the API server. Source: `pkg/scheduler/schedule_one.go`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from controllers.scheduler import metrics
from controllers.scheduler.cluster_events import Watcher
from controllers.scheduler.config.models import KubeSchedulerConfiguration
from controllers.scheduler.devices import RESOURCE_CLAIMS
from controllers.scheduler.extender import ExtenderError, extenders_of, resources_ignored
from controllers.scheduler.extending import schedule_extended
from controllers.scheduler.framework import PluginError, Rejection
from controllers.scheduler.messages import unavailable
from controllers.scheduler.plugins.default import Parts
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.preempting import preempt
from controllers.scheduler.profile import Profile
from controllers.scheduler.profiles import profiles_of
from controllers.scheduler.queue import QueuedPod, SchedulingQueue
from controllers.scheduler.reports import Report, Reporter
from controllers.scheduler.schedule import Decision, Evaluations, schedule
from controllers.scheduler.snapshot import Snapshot
from controllers.scheduler.waiting import WaitingPod, WaitingPods
from kube.client.client import Client
from kube.client.informer import Informers
from kube.clock import Clock
from kube.errors import ApiError, NotFound
from kube.objects import Object, is_deleting, key_of
from kube.resources import PODS
from kube.runtime.events import EventRecorder

BINDS_MAX = 32
"""How many pods are being bound at a time."""
MESSAGE_CHARS_MAX = 1024
_TURN = 4
"""After so many decisions, others get a turn on the loop."""
_log = logging.getLogger(__name__)


class Scheduler:
    """`run` schedules until cancelled; the informers and `events` must be run by someone else. Raises SchedulerConfigError.

    `events` are told of what is done for the pods of every profile; each profile beyond the first has a recorder of its own."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        clock: Clock,
        rng: random.Random,
        events: EventRecorder,
        config: KubeSchedulerConfiguration | None = None,
    ) -> None:
        config = config or KubeSchedulerConfiguration()
        self._client, self._clock, self._rng = client, clock, rng
        self._informers = informers.scoped()
        self._pods = self._informers.of(PODS)
        self.extenders = extenders_of(config)
        self.waiting = WaitingPods()
        parts = Parts(client, resources_ignored(config.extenders), self.waiting, clock, self._record)
        self.profiles = {each.name: each for each in profiles_of(config, parts)}
        first, *others = self.profiles
        self._recorders = {first: events} | {name: EventRecorder(client, component=name, clock=clock, rng=rng) for name in others}
        self.snapshot = Snapshot()
        self.queue = SchedulingQueue(
            *self.profiles.values(),
            backoff_s=config.pod_initial_backoff_seconds,
            backoff_s_max=config.pod_max_backoff_seconds,
        )
        self.decisions: dict[str, Decision] = {}
        """By pod key: why a pod that is waiting has no node yet."""
        self._watcher = Watcher(self.snapshot, self.queue, self.profiles, self._forget_decision)
        self._memory = Evaluations()
        self._reporter = Reporter(client, clock, self._pods.get)
        self._binds = asyncio.Semaphore(BINDS_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._watcher.start(self._informers)
        await self._informers.wait_synced()
        metrics.show_pending(self.queue)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reporter.run(), name="scheduler reports")
                for name in list(self.profiles)[1:]:
                    tasks.create_task(self._recorders[name].run(), name=f"events of {name}")
                tasks.create_task(self._schedule_all(), name="scheduler")
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for extender in self.extenders:
                await extender.close()

    async def _schedule_all(self) -> None:
        turns = 0
        while True:
            await self._binds.acquire()
            try:
                queued = await self.queue.pop()
                bind = await self._schedule_one(queued)
            except BaseException:
                self._binds.release()
                raise
            if bind is None:
                self._binds.release()
            else:
                self._start(bind)
            turns += 1
            if turns % _TURN == 0:
                await asyncio.sleep(0)

    async def _schedule_one(self, queued: QueuedPod) -> Coroutine[Any, Any, None] | None:
        """Decide for one pod. What is left to do, when there is: binding it."""
        pod = queued.info
        if is_deleting(pod.pod):
            self._record(pod, "Warning", "FailedScheduling", f"skip schedule deleting pod: {pod.key}")
            self.queue.remove(pod.key)
            return None
        began = self._clock.monotonic()
        try:
            decision = await self._decide(pod)
        except PluginError as error:
            self._failed(queued, str(error))
            return None
        except Exception as error:  # a bug in a plugin must not stop everyone else
            _log.exception("deciding about pod %s failed", pod.key)
            self._failed(queued, str(error) or type(error).__name__)
            return None
        if self.queue.get(pod.key) is not queued:
            return None  # it has gone, or was given a node, while extenders were asked
        metrics.ALGORITHM_DURATION.observe(self._clock.monotonic() - began)
        self.snapshot.advance(decision.visited)
        if decision.node is None:
            self._unschedulable(queued, decision)
            return None
        return self._assume(queued, decision.node)

    async def _decide(self, pod: PodInfo) -> Decision:
        profile = self._profile(pod)
        if self.extenders:
            return await schedule_extended(pod, self.snapshot, profile, self.extenders, rng=self._rng, memory=self._memory)
        return schedule(pod, self.snapshot, profile, rng=self._rng, memory=self._memory)

    # A node was found.

    def _assume(self, queued: QueuedPod, node: str) -> Coroutine[Any, Any, None] | None:
        pod = queued.info
        self.snapshot.assume(pod, node)
        refused = self._reserve(pod, node) or self._permit(pod, node)
        if refused is None:
            return self._bind(queued, node)
        self._turn_back(queued, node, refused)
        return None

    def _turn_back(self, queued: QueuedPod, node: str, refused: Rejection) -> None:
        """The node that was found is not to be, after all."""
        self._undo(queued.info, node)
        self._rejected(queued, frozenset((refused.plugin,)), unavailable(1, [refused], None), nominated_node=None)

    def _reserve(self, pod: PodInfo, node: str) -> Rejection | None:
        for plugin in self._profile(pod).reserve:
            refused = plugin.reserve(pod, self.snapshot.nodes[node], self.snapshot)
            if refused is not None:
                return refused
        return None

    def _permit(self, pod: PodInfo, node: str) -> Rejection | None:
        waits: dict[str, float] = {}
        for plugin in self._profile(pod).permit:
            answer = plugin.permit(pod, node)
            if isinstance(answer, Rejection):
                return answer
            if answer is not None:
                waits[plugin.name] = answer.timeout_s
        if waits:
            self.waiting.put(WaitingPod(pod, node, waits))
        return None

    def _undo(self, pod: PodInfo, node: str) -> None:
        for plugin in reversed(self._profile(pod).reserve):
            plugin.unreserve(pod, node, self.snapshot)
        if self.snapshot.forget(pod):
            self._watcher.room_was_freed()

    async def _bind(self, queued: QueuedPod, node: str) -> None:
        """In the background. A failure puts the pod back in the queue."""
        pod = queued.info
        profile = self._profile(pod)
        try:
            refused = await self._permitted(pod)
            if refused is not None:
                self._not_permitted(queued, node, refused)
                return
            for plugin in profile.pre_bind:
                if plugin.pre_bind_pre_flight(pod, node):
                    doing = f'running PreBind plugin "{plugin.name}"'
                    async with self._out_of_the_way():
                        await plugin.pre_bind(pod, node)
            doing = "binding rejected"
            if not await self._bound_by_extender(pod, node):
                doing = f'binding rejected: running Bind plugin "{profile.bind[0].name}"'
                await profile.bind[0].bind(pod, node)
        except (ApiError, OSError, PluginError) as error:
            self._undo(pod, node)
            self._bind_failed(queued, error, doing)
            return
        except BaseException:
            self._undo(pod, node)
            raise
        finally:
            self._binds.release()
        self._record(pod, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}")
        self._forget_decision(pod.key)
        for post_bind in profile.post_bind:
            post_bind.post_bind(pod, node)
        self._count_success(queued)
        if self.queue.get(pod.key) is queued:
            self.queue.remove(pod.key)

    async def _bound_by_extender(self, pod: PodInfo, node: str) -> bool:
        for extender in self.extenders:
            if extender.binds and extender.is_interested(pod):
                try:
                    await extender.bind(pod, node)
                except ExtenderError as error:
                    if not extender.is_ignorable:
                        raise
                    _log.warning("an extender is passed over: %s", error)
                else:
                    return True
        return False

    async def _permitted(self, pod: PodInfo) -> Rejection | None:
        """Wait where a plugin has asked for that; who it is that does not permit it."""
        waiting = self.waiting.get(pod.key)
        if waiting is None or waiting.pod is not pod:
            return None
        try:
            async with self._out_of_the_way():
                return await waiting.outcome()
        finally:
            self.waiting.remove(waiting)

    def _not_permitted(self, queued: QueuedPod, node: str, refused: Rejection) -> None:
        self._undo(queued.info, node)
        pod = self._pods.get(queued.info.key)
        if self.queue.get(queued.info.key) is not queued or pod is None:
            return
        self.queue.put(pod)  # changes of a pod that has a node were not looked at
        self._rejected(queued, frozenset((refused.plugin,)), unavailable(1, [refused], None), nominated_node=None)

    @asynccontextmanager
    async def _out_of_the_way(self) -> AsyncIterator[None]:
        """What may take long is not to keep others from being bound."""
        self._binds.release()
        try:
            yield
        finally:
            await self._binds.acquire()

    def _count_success(self, queued: QueuedPod) -> None:
        metrics.ATTEMPTS.labels("scheduled", queued.info.scheduler_name).inc()
        metrics.POD_ATTEMPTS.observe(queued.attempts)
        waited_s = asyncio.get_running_loop().time() - queued.added_at
        metrics.SLI_DURATION.labels(str(queued.attempts) if queued.attempts < 15 else "15+").observe(waited_s)

    def _bind_failed(self, queued: QueuedPod, error: Exception, doing: str) -> None:
        pod = self._pods.get(queued.info.key)
        if isinstance(error, NotFound) or pod is None or pod["spec"].get("nodeName"):
            self.queue.remove(queued.info.key)  # it is gone, or someone else has found it a node
            return
        self.queue.put(pod)  # changes of a pod that is being bound were not looked at
        self._failed(queued, f"{doing}: {error}")

    # No node was found.

    def _unschedulable(self, queued: QueuedPod, decision: Decision) -> None:
        pod, preemption = queued.info, decision.preemption
        self.decisions[pod.key] = decision
        nominated_node: str | None = None
        if preemption is not None and (preemption.node is not None or preemption.clears_nomination):
            nominated_node = preemption.node or ""
            self.snapshot.nominate(pod, nominated_node)
        self._rejected(queued, decision.rejected_by, decision.message, nominated_node=nominated_node)
        if preemption is not None and preemption.node is not None:
            metrics.PREEMPTION_VICTIMS.observe(len(preemption.victims))
            self._start(self._preempt(queued, decision))
        if preemption is not None and preemption.deallocates is not None:
            self._start(self._deallocate(queued, preemption.deallocates))
        if decision.preemption is not None:
            metrics.PREEMPTION_ATTEMPTS.inc()

    async def _preempt(self, queued: QueuedPod, decision: Decision) -> None:
        pod, result = queued.info, decision.preemption
        assert result is not None
        assert result.node is not None
        for other in list(self.snapshot.nodes[result.node].nominated.values()):
            if other.priority < pod.priority:
                self.snapshot.nominate(other, "")
                self._reporter.report(Report(other.pod, nominated_node=""))
                self.queue.activate(other.key)
        try:
            await preempt(
                pod, result, client=self._client, events=self._recorders[pod.scheduler_name], clock=self._clock, waiting=self.waiting
            )
        except (ApiError, OSError) as error:
            _log.warning("preemption for pod %s failed: %s", pod.key, error)
            self.queue.activate(pod.key)

    async def _deallocate(self, queued: QueuedPod, claim: Object) -> None:
        """Have a claim lose its devices; whoever waits hears of it as of any change."""
        try:
            await self._client.update(RESOURCE_CLAIMS, claim, subresource="status")
        except (ApiError, OSError) as error:
            _log.warning("the claim %s for pod %s was not deallocated: %s", key_of(claim), queued.info.key, error)
            self.queue.activate(queued.info.key)

    def _rejected(self, queued: QueuedPod, rejected_by: frozenset[str], message: str, *, nominated_node: str | None) -> None:
        """Nothing wrong with the scheduler: the pod has to wait."""
        metrics.ATTEMPTS.labels("unschedulable", queued.info.scheduler_name).inc()
        self.queue.give_back(queued, rejected_by)
        self._tell(queued.info, "Unschedulable", message, nominated_node)

    def _failed(self, queued: QueuedPod, message: str) -> None:
        """Something went wrong: the pod is tried again after a back-off."""
        metrics.ATTEMPTS.labels("error", queued.info.scheduler_name).inc()
        _log.warning("scheduling pod %s failed: %s", queued.info.key, message)
        self.queue.give_back(queued, frozenset(), error=True)
        self._tell(queued.info, "SchedulerError", message, None)

    def _tell(self, pod: PodInfo, reason: str, message: str, nominated_node: str | None) -> None:
        short = message if len(message) <= MESSAGE_CHARS_MAX else f"{message[: MESSAGE_CHARS_MAX - 4]} ..."
        self._record(pod, "Warning", "FailedScheduling", short)
        self._reporter.report(Report(pod.pod, reason, message, nominated_node))

    def _record(self, pod: PodInfo, type: str, reason: str, message: str) -> None:
        self._recorders[pod.scheduler_name].record(pod.pod, type, reason, message)

    def _profile(self, pod: PodInfo) -> Profile:
        return self.profiles[pod.scheduler_name]

    def _forget_decision(self, key: str) -> None:
        self.decisions.pop(key, None)
        waiting = self.waiting.get(key)
        if waiting is not None:
            waiting.reject("", "it is gone or has a node")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task of the scheduler failed", exc_info=error)
