"""One pod on one node: gathers facts, lets `plan.py` decide, carries it out, and has `status.py` describe the outcome.

Everything about one pod happens one step at a time (`_sync`), in a task that exists only while there is something to do. What takes long
(pulling an image, stopping a container, a hook) runs beside it and pokes the worker when it is done, so a deletion is never held up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from kube.clock import rfc3339
from kube.objects import Object, annotations_of, is_deleting, key_of, labels_of, name_of, namespace_of, uid_of
from kubelet import backoff, hooks, resizing, sandbox, starting
from kubelet.host import Host
from kubelet.observed import (
    Resize,
    RuntimeState,
    Waiting,
    all_containers,
    has_ended,
    init_containers,
    is_ending,
    newest_first,
    regular_containers,
)
from kubelet.own_files import own_files
from kubelet.plan import (
    HoldBack,
    RemoveContainer,
    ResetContainer,
    ResizeContainer,
    ResizeSandbox,
    RestartAll,
    RunSandbox,
    RuntimeAction,
    StartContainer,
    StopContainer,
    StopSandbox,
    Terminate,
    Wait,
    plan,
)
from kubelet.prober import Prober
from kubelet.runtime.base import ContainerState, CRIError, SandboxConfig
from kubelet.starts import Starts
from kubelet.status import rejected_status, status_of
from kubelet.volumes.claims import look
from kubelet.volumes.refresh import refresh

log = logging.getLogger(__name__)

TURNS_MAX = 20
"""Steps of one sync, at most, before others get a turn."""
RETRY_S = 10.0
"""How soon a failed step is tried again (upstream's backOffPeriod), with up to half as much jitter."""


class PodWorker:
    """See the module. `update` and `poke` are called from the loop's thread; neither blocks."""

    def __init__(self, host: Host, pod: Object) -> None:
        self.host, self.pod, self.key, self.uid = host, pod, key_of(pod), uid_of(pod)
        self.prober = Prober(host.runtime, host.clock, changed=self.poke, failed=self._unhealthy)
        self.starts = Starts()
        self.is_finished = has_ended(pod)
        """Nothing of it runs, and nothing will."""
        self._is_new, self._is_gone, self._is_changed, self._dirty = True, False, False, False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake_s: float | None = None
        self._beside: dict[str, asyncio.Task[None]] = {}
        """What runs beside the worker, by what it is: pull:<container>, stop:<id>, hook:<id>."""
        self._stopping: dict[str, float] = {}
        self.attached_by_s: float | None = None
        self._terminating, self._reason, self._message = False, "", ""
        self.resize = resizing.told_by(pod, host.clock.now())
        self._restarting_all = False
        self._start_time = str(pod.get("status", {}).get("startTime") or "")

    # --- told from outside ------------------------------------------------------------------------------------------------

    def update(self, pod: Object) -> None:
        """The API has another version of the pod."""
        old, self.pod = self.pod, pod
        if _differs(old, pod):
            self._is_changed = True
            self.poke()
        elif not self._is_changed:
            self.host.runtime.keep(pod)

    def resized(self, pod: Object, resize: Resize) -> None:
        """The node has decided about the pod's resize: `pod` has the resources that are allocated to it."""
        self.pod, self.resize, self._is_changed = pod, resize, True
        self.poke()

    def poke(self) -> None:
        """Something may have changed: look."""
        self._dirty = True
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="pod worker")

    def event(self, kind: str) -> None:
        """The runtime reports something about the pod."""
        if kind == "changed":
            self.prober.wake()
        if kind in ("stopped", "deleted"):
            self.poke()

    def remove(self) -> None:
        """The API has the pod no more: stop whatever still runs, and forget it."""
        self._is_gone = True
        self.host.reporter.forget(self.uid)
        self.poke()

    def reject(self, reason: str, message: str) -> None:
        """The node does not take the pod."""
        self.is_finished = True
        self.host.record(self.pod, "Warning", reason, message)
        self.host.reporter.report(self.pod, rejected_status(self.pod, reason, message, self.host.clock.now()))

    async def close(self) -> None:
        """Stop working; the pod itself goes on."""
        self.prober.stop()
        if self._timer is not None:
            self._timer.cancel()
        tasks = [*self._beside.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- the loop -----------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._dirty:
                self._dirty = False
                try:
                    await (self._clean_up() if self._is_gone else self._sync())
                except CRIError as error:
                    log.warning("pod %s: %s", self.key, error)
                    self.retry_soon()
                except Exception:
                    log.exception("pod %s: cannot go on", self.key)
                    self.retry_soon()
        finally:
            self._task = None

    def retry_soon(self) -> None:
        """Look again in a while."""
        self.wake_at(self._now_s() + RETRY_S * (1 + self.host.rng.random() / 2))
        self._arm()

    async def _sync(self) -> None:
        """Look and act until there is nothing more to do at once, then tell how the pod is."""
        if self.is_finished:
            self._finish()
            return
        if self._is_new:
            pod, host = self.pod, self.host
            await host.runtime.restore(pod, lambda container, ips: own_files(pod, container, host.place_of(pod, ips), host.dns))
            self.starts.remember(self.pod)
            if self._start_time:
                self.host.attachments.use(self.uid, (await look(self.pod, client=self.host.client)).attachable)
            self._start_time = self._start_time or rfc3339(self.host.clock.now())
        self._wake_s = None
        observed = await self._observe()
        seen = self.pod
        if (self._is_changed or self.starts.are_files_stale) and observed.has_ready_sandbox and observed.sandbox:
            await self.host.runtime.update_pod_sandbox(observed.sandbox.id, self.sandbox_config(observed.sandbox.attempt))
            await refresh(self, observed)
        if self.pod is seen:  # else the runtime is told of the newer one in the next round, for which `update` has asked
            self._is_changed = False
        if self._is_new:
            self._is_new = False
            self._describe(observed)
        for _ in range(TURNS_MAX):
            if is_ending(self.pod, observed):
                self._give_up_starting()
            acted = False
            for action in plan(self.pod, observed, self._now_s()):
                acted = await self._perform(action, observed) or acted
            observed = await self._observe()
            if not acted:
                break
        self._describe(resizing.settle(self, observed))
        self._arm()

    async def _observe(self) -> RuntimeState:
        runtime = self.host.runtime
        sandboxes = await runtime.list_pod_sandboxes(self.uid)
        newest, previous, older = newest_first(await runtime.list_containers(self.uid))
        self._watch_probes(newest)
        return RuntimeState(
            sandbox=max(sandboxes, key=lambda each: each.attempt) if sandboxes else None,
            containers=newest,
            previous=previous,
            older=older,
            starting=frozenset(key[5:] for key in self._beside if key.startswith("pull:")),
            stopping=self._stopping,
            started=self.prober.started(),
            ready=self.prober.ready(),
            failing=self.prober.failing(),
            changed=self.starts.changed(self.pod, newest),
            waiting=self.starts.waiting(),
            retry_at=self.starts.retry_at(),
            back_off=self.starts.back_off(),
            terminating=self._terminating,
            start_time=self._start_time,
            reason=self._reason,
            message=self._message,
            resize=self.resize,
            restarting_all=self._restarting_all,
            restarts=self.starts.restarts(),
        )

    def _watch_probes(self, newest: dict[str, Any]) -> None:
        for container in (*init_containers(self.pod), *regular_containers(self.pod)):
            if not ("readinessProbe" in container or "livenessProbe" in container or "startupProbe" in container):
                continue
            status = newest.get(container["name"])
            if status is None or status.state is not ContainerState.RUNNING:
                self.prober.forget(container["name"])
            elif status.id not in self._stopping and not self._terminating and not is_deleting(self.pod):
                is_restored = not self.starts.has_made(status) and self.starts.was_ready(self.pod, status)
                self.prober.watch(container, status.id, status.started_at or self.host.clock.now(), was_ready=is_restored)

    def _describe(self, observed: RuntimeState) -> None:
        """Report the status; a pod that has come to its end is finished with it."""
        ended = is_ending(self.pod, observed) and not observed.running() and not observed.has_ready_sandbox and not self._beside
        status = status_of(
            self.pod, observed, self.host.clock.now(), runtime_name=self.host.runtime.name, host_ips=self.host.ips, ended=ended
        )
        self.is_finished = self.is_finished or ended
        self.host.reporter.report(self.pod, status, finish=ended and is_deleting(self.pod))
        if ended:
            self.prober.stop()
            self.host.released(self)

    def _finish(self) -> None:
        """A pod that has ended already: all that can still come is its deletion."""
        if is_deleting(self.pod):
            self.host.reporter.report(self.pod, self.pod.get("status") or {}, finish=True)

    async def _clean_up(self) -> None:
        """The pod is gone from the API; nothing of it stays."""
        self._give_up_starting()
        self.prober.stop()
        for task in list(self._beside.values()):
            task.cancel()
        for container in await self.host.runtime.list_containers(self.uid):
            if container.state is ContainerState.RUNNING and container.id not in self._stopping:
                self.record(container.name, "Normal", "Killing", f"Stopping container {container.name}")
        for each in await self.host.runtime.list_pod_sandboxes(self.uid):
            await self.host.runtime.remove_pod_sandbox(each.id)
        self.host.released(self)
        self.host.forgotten(self)

    # --- carrying out -------------------------------------------------------------------------------------------------------

    async def _perform(self, action: RuntimeAction, observed: RuntimeState) -> bool:
        """Carry out one action; answers whether the world is different now, so that another look is due."""
        match action:
            case StartContainer():
                return await starting.start_container(self, action, observed)
            case RunSandbox():
                return await sandbox.run_sandbox(self, action)
            case StopContainer():
                self._stop(action)
                return False
            case StopSandbox():
                await self.host.runtime.stop_pod_sandbox(action.sandbox_id)
                return True
            case RemoveContainer():
                await self.host.runtime.remove_container(action.container_id)
                return False
            case ResizeContainer() | ResizeSandbox():
                return await resizing.carry_out(self, action)
            case RestartAll():
                self._restarting_all = not action.is_over
                self.wake_at(self._now_s())  # soon, so that it is told of before it is over
                return action.is_over
            case ResetContainer():
                await self.host.runtime.remove_container(action.container_id)
                self.starts.reset(action.name, action.next_attempt)
                return True
            case HoldBack():
                return self._hold_back(action)
            case Wait():
                self.wake_at(action.until_s)
                return False
            case Terminate():
                self._terminating, self._reason, self._message = True, action.reason, action.message
                if action.reason:
                    self.host.record(self.pod, "Normal", action.reason, action.message)
                return True

    def sandbox_config(self, attempt: int) -> SandboxConfig:
        """What the pod's sandbox is made from."""
        return SandboxConfig(self.pod, attempt, self.host.log_directory(self.pod), self.pod["spec"].get("hostname") or name_of(self.pod))

    def _hold_back(self, action: HoldBack) -> bool:
        """CrashLoopBackOff, until its time is up."""
        self.wake_at(action.until_s)
        full = f"{name_of(self.pod)}_{namespace_of(self.pod)}({self.uid})"
        text = f"back-off {backoff.go_duration(action.delay_s)} restarting failed container={action.name} pod={full}"
        waiting = Waiting("CrashLoopBackOff", text)
        start = self.starts.of(action.name)
        if start.waiting == waiting:
            return False
        start.waiting = waiting
        self.record(action.name, "Warning", "BackOff", f"Back-off restarting failed container {action.name} in pod {full}")
        return True

    def _stop(self, action: StopContainer) -> None:
        key = f"stop:{action.container_id}"
        if running := self._beside.pop(key, None):
            running.cancel()  # hurried: the same again with less time
        else:
            self.record(action.name, "Normal", "Killing", action.message)
        self._stopping[action.container_id] = self._now_s() + action.grace_s
        self.prober.forget(action.name) if not is_deleting(self.pod) else self.prober.stop()
        container = next((each for each in all_containers(self.pod) if each["name"] == action.name), {})
        self.beside(key, self._stopped(action, container))

    async def _stopped(self, action: StopContainer, container: Object) -> None:
        try:
            left_s = await hooks.pre_stop(self, container, action.container_id, grace_s=action.grace_s)
            await self.host.runtime.stop_container(action.container_id, timeout_s=left_s)
        finally:
            if self._beside.get(f"stop:{action.container_id}") in (None, asyncio.current_task()):
                self._stopping.pop(action.container_id, None)

    # --- for the modules that help ------------------------------------------------------------------------------------------

    def beside(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the worker; poke it when that is done. Failures of the runtime are logged and tried again."""
        task = asyncio.get_running_loop().create_task(work, name=key)
        self._beside[key] = task

        def done(ended: asyncio.Task[None]) -> None:
            if self._beside.get(key) is ended:
                del self._beside[key]
            if ended.cancelled():
                return
            if error := ended.exception():
                log.warning(
                    "pod %s: %s: %s", self.key, key.partition(":")[0], error, exc_info=None if isinstance(error, CRIError) else error
                )
            self.poke()

        task.add_done_callback(done)

    def record(self, container: str, kind: str, reason: str, message: str) -> None:
        """An event about one container."""
        lists = ("initContainers", "ephemeralContainers")
        field = next((each for each in lists if _names(self.pod, each, container)), "containers")
        self.host.record(self.pod, kind, reason, message, field_path=f"spec.{field}{{{container}}}")

    def wake_at(self, moment_s: float) -> None:
        self._wake_s = moment_s if self._wake_s is None else min(self._wake_s, moment_s)

    def _arm(self) -> None:
        """Set the one timer of this pod."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wake_s is not None:
            self._timer = asyncio.get_running_loop().call_later(max(self._wake_s - self._now_s(), 0.0) + 1e-3, self.poke)

    def _now_s(self) -> float:
        return self.host.clock.now().timestamp()

    def _give_up_starting(self) -> None:
        self.starts.give_up()
        for key in [each for each in self._beside if each.startswith("pull:")]:
            self._beside.pop(key).cancel()

    def _unhealthy(self, container: str, kind: str, output: str) -> None:
        self.record(container, "Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {output}")


def _names(pod: Object, field: str, container: str) -> bool:
    return any(each["name"] == container for each in pod["spec"].get(field) or ())


def _differs(old: Object, new: Object) -> bool:
    """Whether a new version of the pod can change what is to be done: spec, deletion, annotations, labels, its end, others' conditions."""
    before, after = old["metadata"], new["metadata"]
    if any(before.get(key) != after.get(key) for key in ("generation", "deletionTimestamp", "deletionGracePeriodSeconds")):
        return True
    if annotations_of(old) != annotations_of(new) or labels_of(old) != labels_of(new) or has_ended(old) != has_ended(new):
        return True
    if "generation" not in after and old.get("spec") != new.get("spec"):
        return True
    return bool(new["spec"].get("readinessGates")) and old.get("status", {}).get("conditions") != new.get("status", {}).get("conditions")
