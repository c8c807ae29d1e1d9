"""The default runtime: pods that live and die on a clock, without a process, an image or a network. Thousands of nodes fit in one process.

What a pod does is data: `kubelet/stages/*.yaml` (see `stages/stage.py` for the annotations) says how long images take and how
containers end; commands that `kubelet/shell` knows are interpreted, so `sh -c "echo hello; sleep 30; exit 1"` says hello and fails after
30 s. Everything else runs until it is stopped. SIGTERM is honoured at once (exit code 0; 143 in pods that are not restarted), or
after `wherry.dev/stop-s`. Probes succeed, but for:

    wherry.dev/readiness: "false"  (also liveness, startup)        that probe fails for as long as the annotation says so
    wherry.dev/liveness-fails-after-s: "30"  (also readiness)      ... from 30 s after the start
    exec probes whose command is known are run in the container's (made up) files
    wherry.dev/usage-cpu: 250m, wherry.dev/usage-memory: 64Mi      what the container's statistics say

`<container>.wherry.dev/x` stands in for `wherry.dev/x` for one container. After a restart of the agent `restore` rebuilds pods from their
status, ids and start times included. Files are in containers, and in emptyDirs, which the containers of a pod share. Not simulated: traffic
between pods, other volumes, resource limits.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

from kube.clock import Clock
from kube.objects import Object, annotations_of, uid_of
from kubelet import images
from kubelet.observed import all_containers
from kubelet.runtime import simulated_restore, simulated_streams
from kubelet.runtime.addresses import AddressPool
from kubelet.runtime.base import (
    ByteStream,
    ContainerConfig,
    ContainerEvent,
    ContainerState,
    ContainerStats,
    ContainerStatus,
    ExecResult,
    ExecStreams,
    ImagePullError,
    ImageStatus,
    InvalidState,
    LogOptions,
    NotFound,
    OwnFiles,
    ProbeResult,
    SandboxConfig,
    SandboxStatus,
)
from kubelet.runtime.simulated_container import KILLED_EXIT_CODE, TERMINATED_EXIT_CODE, SimulatedContainer
from kubelet.runtime.simulated_files import files_of
from kubelet.runtime.simulated_log import lines_of
from kubelet.runtime.simulated_pod import SimulatedPod, annotation, container_annotations
from kubelet.runtime.simulated_program import Program, argv_of, program_of
from kubelet.runtime.simulated_usage import usage_of
from kubelet.shell.machine import Lookup
from kubelet.stages.inside import first
from kubelet.stages.simulation import Simulation
from kubelet.stages.stage import StageSet, defaults, seconds
from kubelet.stages.template import Functions

log = logging.getLogger(__name__)

VERSION = "0.1"
_IMAGE_BYTES = (2_000_000, 180_000_000)
_PRESENT_IMAGE_PULL_S = 0.05
_STOP_S = 0.05


class SimulatedRuntime:
    """See the module. One per node; `clock` and `rng` are the only sources of time and chance."""

    name = "wherry-simulated"
    version = VERSION

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        node_name: str = "",
        node_ip: str = "127.0.0.1",
        pod_cidr: str = "10.244.0.0/24",
        stages: StageSet | None = None,
        simulation: Simulation | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        """`lookup`: how commands ask DNS; without it those that do are not known."""
        self._clock, self._rng, self._node_name, self._node_ip, self._lookup = clock, rng, node_name, node_ip, lookup
        self._addresses = AddressPool(pod_cidr)
        self.simulation = simulation or Simulation(stages or StageSet(defaults()))
        self._pods: dict[str, SimulatedPod] = {}
        """By pod uid."""
        self._sandboxes: dict[str, SimulatedPod] = {}
        self._containers: dict[str, SimulatedContainer] = {}
        self._images: dict[str, ImageStatus] = {}
        self._listeners: list[Callable[[ContainerEvent], None]] = []

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        for container in self._containers.values():
            container.cancel_timer()
        for pod in self._pods.values():
            pod.cancel_timer()

    def set_pod_cidr(self, cidr: str) -> None:
        """From now on; addresses that were given out stay with their pods."""
        self._addresses = AddressPool(cidr)
        for pod in self._sandboxes.values():
            if not pod.host_network and pod.ip:
                self._addresses.reserve(pod.ip)

    async def restore(self, pod: Object, own_files: OwnFiles | None = None) -> None:
        if uid_of(pod) in self._pods or not simulated_restore.was_here(pod):
            return
        known = simulated_restore.rebuilt(
            pod, name=self.name, new_id=self._new_id, now=self._clock.now, on_end=self._ended, has_program=self.has_program
        )
        if known.ip and not known.host_network:
            self._addresses.reserve(known.ip)
        self._pods[known.uid] = known
        self._sandboxes[known.sandbox.id] = known
        for container in known.containers.values():
            self._containers[container.id] = container
            if own_files is not None and container.state is ContainerState.RUNNING:
                container.files.update(own_files(container.spec, known.sandbox.ips))
            status = images.parse(str(container.spec.get("image")))
            self._images.setdefault(str(status), _image(str(status)))
            if container.state is ContainerState.RUNNING:
                self._live(known, container)
        self._stage_pod(known)

    def keep(self, pod: Object) -> None:
        if known := self._pods.get(uid_of(pod)):
            known.keep(pod)

    # --- sandboxes -------------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, config: SandboxConfig) -> SandboxStatus:
        host_network = bool(config.pod["spec"].get("hostNetwork"))
        ip = self._node_ip if host_network else self._addresses.take()
        whole = config.pod["spec"].get("resources")
        status = SandboxStatus(self._new_id(), uid_of(config.pod), config.attempt, True, self._clock.now(), (ip,), whole)
        known = self._pods.get(status.pod_uid)
        if known is None:
            known = self._pods[status.pod_uid] = SimulatedPod(config.pod, status)
        known.pod, known.sandbox = config.pod, status
        self._sandboxes[status.id] = known
        return status

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        known = self._sandboxes.get(sandbox_id)
        if known is None or not known.sandbox.is_ready or known.sandbox.id != sandbox_id:
            return
        for container in known.of_sandbox(sandbox_id):
            if container.state is ContainerState.RUNNING:
                container.end(KILLED_EXIT_CODE)
        known.stop()
        if not known.host_network:
            self._addresses.give_back(known.ip)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self.stop_pod_sandbox(sandbox_id)
        known = self._sandboxes.pop(sandbox_id, None)
        if known is None:
            return
        for container in known.of_sandbox(sandbox_id):
            await self.remove_container(container.id)
        if known.sandbox.id == sandbox_id:
            self._pods.pop(known.uid, None)

    async def update_pod_sandbox(self, sandbox_id: str, config: SandboxConfig) -> None:
        known = self._sandboxes.get(sandbox_id)
        if known is None:
            raise NotFound(f"sandbox {sandbox_id} not found")
        changed = annotations_of(known.pod) != annotations_of(config.pod)
        if changed:
            for container in known.of_sandbox(sandbox_id):
                if container.state is ContainerState.RUNNING:
                    container.count(self._usage(container)[0])  # what was used until now was used at the old rate
        known.pod = config.pod
        if changed:
            self._tell(ContainerEvent(known.uid, "", "changed"))
        self._stage_pod(known)

    async def update_pod_sandbox_resources(self, sandbox_id: str, resources: Object | None) -> None:
        known = self._sandboxes.get(sandbox_id)
        if known is None:
            raise NotFound(f"sandbox {sandbox_id} not found")
        known.sandbox = replace(known.sandbox, resources=resources)

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> Sequence[SandboxStatus]:
        if pod_uid is not None:
            known = self._pods.get(pod_uid)
            return (known.sandbox,) if known else ()
        return [known.sandbox for known in self._pods.values()]

    # --- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        known = self._sandboxes.get(sandbox_id)
        if known is None or not known.sandbox.is_ready:
            raise NotFound(f"failed to find sandbox id {sandbox_id!r}")
        image = str(images.parse(str(config.container.get("image"))))
        files = files_of(known.pod, config.container, known.volumes)
        files.update(config.files)
        config = replace(config, files=_NO_FILES)  # the container has them now
        container = SimulatedContainer(
            self._new_id(), sandbox_id, known.uid, config, image, self._clock.now(), self._clock.now, self._ended, files=files
        )
        self._containers[container.id] = known.containers[container.id] = container
        return container.id

    async def start_container(self, container_id: str) -> None:
        container = self._container(container_id)
        if container.state is not ContainerState.CREATED:
            raise InvalidState(f"container {container_id} is in {container.state} state, not CREATED")
        known = self._pods[container.pod_uid]
        self._begin_log(known, container)
        container.run(quiet=self.has_program(container.spec, container.config.envs))
        self._tell(ContainerEvent(known.uid, container.id, "started"))
        self._live(known, container)
        self._stage_pod(known)

    async def stop_container(self, container_id: str, *, timeout_s: float) -> None:
        container = self._containers.get(container_id)
        if container is None or container.state is not ContainerState.RUNNING:
            return
        known = self._pods[container.pod_uid]
        needs_s = seconds(annotation(known.pod, container.name, "stop-s"), self._clock.now())
        wait_s = min(_STOP_S if needs_s is None else needs_s, timeout_s)
        if wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await container.ended()
            except TimeoutError:
                pass
        restarts = known.pod["spec"].get("restartPolicy", "Always") == "Always"
        in_time = (needs_s or 0.0) <= timeout_s and timeout_s > 0
        container.end((0 if restarts else TERMINATED_EXIT_CODE) if in_time else KILLED_EXIT_CODE)

    async def remove_container(self, container_id: str) -> None:
        container = self._containers.pop(container_id, None)
        if container is None:
            return
        container.end(KILLED_EXIT_CODE)
        if known := self._pods.get(container.pod_uid):
            known.containers.pop(container_id, None)

    async def update_container_resources(self, container_id: str, resources: Object) -> None:
        container = self._running(container_id)
        container.count(self._usage(container)[0])  # what was used until now was used at the old rate
        container.resize(resources)

    def has_program(self, container: Object, envs: Mapping[str, str]) -> bool:
        return Program.is_known(argv_of(container, envs), resolves=self._lookup is not None)

    async def update_files(self, container_id: str, changed: Mapping[str, str], gone: Sequence[str]) -> None:
        container = self._container(container_id)
        container.files.update(changed)
        for path in gone:
            container.files.pop(path, None)

    async def container_status(self, container_id: str) -> ContainerStatus:
        return self._container(container_id).status()

    async def list_containers(self, pod_uid: str | None = None) -> Sequence[ContainerStatus]:
        if pod_uid is not None:
            known = self._pods.get(pod_uid)
            return [each.status() for each in known.containers.values()] if known else ()
        return [each.status() for each in self._containers.values()]

    async def container_stats(self, pod_uid: str | None = None) -> Sequence[ContainerStats]:
        now = self._clock.now()
        found = []
        for container in self._containers.values():
            if container.state is not ContainerState.RUNNING or (pod_uid is not None and container.pod_uid != pod_uid):
                continue
            nanos, memory = self._usage(container)
            used = container.count(nanos)
            found.append(ContainerStats(container.id, container.name, container.pod_uid, now, used, nanos, memory, container.started_at))
        return found

    def _usage(self, container: SimulatedContainer) -> tuple[int, int]:
        """(nanocores, bytes) that a container uses now."""
        pod, now = self._pods[container.pod_uid].pod, self._clock.now()
        return usage_of(pod, container.spec, self.simulation.usages, node_name=self._node_name, now=now, rng=self._rng)

    def logs(self, container_id: str, options: LogOptions) -> AsyncGenerator[bytes, None]:
        return self._container(container_id).log.read(options)

    # --- getting inside --------------------------------------------------------------------------------------------

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_s: float) -> ExecResult:
        container = self._running(container_id)
        return await simulated_streams.exec_sync(self._shell(container), container, command, timeout_s=timeout_s)

    async def exec(self, container_id: str, command: Sequence[str], streams: ExecStreams) -> int:
        container = self._running(container_id)
        return await simulated_streams.exec_stream(self._shell(container), container, command, streams)

    async def attach(self, container_id: str, streams: ExecStreams) -> None:
        await simulated_streams.attach(self._running(container_id), streams)

    async def port_forward(self, sandbox_id: str, port: int, stream: ByteStream) -> None:
        known = self._sandboxes.get(sandbox_id)
        if known is None or not known.sandbox.is_ready:
            raise NotFound(f"sandbox {sandbox_id} not found")
        await simulated_streams.answer_http(known.pod, port, stream)

    async def probe(self, container_id: str, probe: Object, *, kind: str) -> ProbeResult:
        container = self._containers.get(container_id)
        if container is None or container.state is not ContainerState.RUNNING:
            return ProbeResult(False, "container is not running")
        pod = self._pods[container.pod_uid].pod
        if annotation(pod, container.name, kind) == "false":
            return ProbeResult(False, simulated_streams.probe_failure(probe, f"wherry.dev/{kind}"), steady=True)
        after_s = seconds(annotation(pod, container.name, f"{kind}-fails-after-s"), self._clock.now())
        if after_s is not None:
            is_good = self._clock.now() - (container.started_at or self._clock.now()) < timedelta(seconds=after_s)
            output = "" if is_good else simulated_streams.probe_failure(probe, f"wherry.dev/{kind}-fails-after-s")
            return ProbeResult(is_good, output, steady=not is_good)
        return await simulated_streams.exec_probe(self._program(container), probe) or ProbeResult(True, steady=True)

    # --- images ----------------------------------------------------------------------------------------------------

    async def image_status(self, image: str) -> ImageStatus | None:
        return self._images.get(image)

    async def pull_image(self, image: str, *, pod: Object) -> ImageStatus:
        stage, wanted = None, None
        for container in all_containers(pod):
            if str(images.parse(str(container.get("image")))) == image:
                wanted = simulated_streams.image_object(pod, container_annotations(pod, container["name"]), images.parse(image))
                stage = self.simulation.stages.next("Image", wanted, self._rng)
                break
        if stage is None or wanted is None:
            return self._store(image, None)
        delay_s = stage.delay_s(wanted, self._rng, self._clock.now())
        await asyncio.sleep(_PRESENT_IMAGE_PULL_S if image in self._images and not _fails(stage.status(wanted, {})) else delay_s)
        answer = stage.status(wanted, {})
        if _fails(answer):
            raise ImagePullError(str(answer["error"]), reason=str(answer.get("reason") or "ErrImagePull"))
        return self._store(image, answer.get("sizeBytes"))

    async def list_images(self) -> Sequence[ImageStatus]:
        return list(self._images.values())

    def _store(self, image: str, size_bytes: int | None) -> ImageStatus:
        return self._images.setdefault(image, _image(image, size_bytes))

    # --- events ----------------------------------------------------------------------------------------------------

    def subscribe(self, told: Callable[[ContainerEvent], None]) -> None:
        self._listeners.append(told)

    def _tell(self, event: ContainerEvent) -> None:
        """Soon, so that whoever has made it happen is through with that first."""
        for told in self._listeners:
            asyncio.get_running_loop().call_soon(told, event)

    # --- what happens by itself --------------------------------------------------------------------------------------

    def _ended(self, container: SimulatedContainer) -> None:
        self._tell(ContainerEvent(container.pod_uid, container.id, "stopped"))
        if known := self._pods.get(container.pod_uid):
            self._stage_pod(known)

    def _program(self, container: SimulatedContainer) -> Program:
        return program_of(self._pods[container.pod_uid], container, self._lookup)

    def _shell(self, container: SimulatedContainer) -> Program:
        """What exec'd commands run in."""
        program, pod = self._program(container), self._pods[container.pod_uid].pod
        shell = first(self.simulation.execs, pod, container.name)
        if shell is not None:
            program.machine.env.update(shell.envs)
            program.machine.cwd = shell.directory or program.machine.cwd
        return program

    def _begin_log(self, known: SimulatedPod, container: SimulatedContainer) -> None:
        """Begin a container's log with the lines of its file, if it has one."""
        path = first(self.simulation.logs, known.pod, container.name)
        try:
            for line in lines_of(path, self._clock.now()) if path is not None else ():
                container.log.append(line)
        except OSError as error:
            log.warning("log of %s: %s: %s", container.name, path, error.strerror)

    def _live(self, known: SimulatedPod, container: SimulatedContainer) -> None:
        """A container that has just started (or come back) goes its way: its command's, or a Stage's, or on and on."""
        is_known = self.has_program(container.spec, container.config.envs)
        obj = simulated_streams.container_object(known.pod, container, is_known=is_known)
        stage = self.simulation.stages.next("Container", obj, self._rng)
        lived_s = (self._clock.now() - (container.started_at or self._clock.now())).total_seconds()
        if stage is None:
            self._program(container).run(lived_s=lived_s)
            return
        delay_s = stage.delay_s(obj, self._rng, self._clock.now()) - lived_s

        def end() -> None:
            answer = stage.status(obj, _NO_FUNCTIONS)
            code = int(answer.get("exitCode") or 0)
            container.end(code, reason=str(answer.get("reason") or ""), message=str(answer.get("message") or ""))

        container.timer = asyncio.get_running_loop().call_later(max(delay_s, 0.0), end)

    def _stage_pod(self, known: SimulatedPod) -> None:
        """KWOK's Pod stages: the next one for the pod as it now is, if there are any."""
        if not self.simulation.stages.has("Pod"):
            return
        known.cancel_timer()
        obj = known.as_object(self.name)
        stage = self.simulation.stages.next("Pod", obj, self._rng)
        if stage is None:
            return
        delay_s = stage.delay_s(obj, self._rng, self._clock.now())

        def apply() -> None:
            known.apply(stage.status(obj, known.functions(self._clock.now(), self._node_ip)))

        known.timer = asyncio.get_running_loop().call_later(delay_s, apply)

    # --- lookups -----------------------------------------------------------------------------------------------------

    def _new_id(self) -> str:
        return f"{self._rng.getrandbits(256):064x}"

    def _container(self, container_id: str) -> SimulatedContainer:
        container = self._containers.get(container_id)
        if container is None:
            raise NotFound(f"container {container_id!r} not found")
        return container

    def _running(self, container_id: str) -> SimulatedContainer:
        container = self._container(container_id)
        if container.state is not ContainerState.RUNNING:
            raise InvalidState(f"container {container.name} is not running")
        return container

    def __repr__(self) -> str:
        return f"<SimulatedRuntime of {self._node_name}: {len(self._pods)} pods>"


_NO_FUNCTIONS: Functions = {}
_NO_FILES: Mapping[str, str] = {}


def _fails(answer: Object) -> bool:
    return bool(answer.get("error"))


@lru_cache(maxsize=1024)
def _image(image: str, size_bytes: int | None = None) -> ImageStatus:
    """A made-up image: the same name is always the same digest and size. Many nodes have the same few."""
    reference = images.parse(image)
    digest = reference.digest or images.made_up_digest(image)
    low, high = _IMAGE_BYTES
    size = size_bytes if size_bytes is not None else low + int(digest[-12:], 16) % (high - low)
    return ImageStatus(f"{reference.repository}@{digest}", image, size)
