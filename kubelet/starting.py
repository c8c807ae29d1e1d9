"""Starting one container: its image, its environment, create, start, postStart; and why it is not started yet.

Waiting reasons and events are upstream's (`pkg/kubelet/images/image_manager.go`, `kuberuntime_container.go startContainer`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kube.clock import parse_time
from kube.objects import Object
from kubelet import backoff, hooks, images
from kubelet.backoff import BackOff
from kubelet.environment import ConfigError, environment_of
from kubelet.observed import RuntimeState, Waiting, all_containers
from kubelet.own_files import own_files
from kubelet.plan import StartContainer
from kubelet.runtime.base import ContainerConfig, ContainerState, ContainerStatus, CRIError, ImagePullError, ImageStatus
from kubelet.volumes.contents import MountError, has_contents
from kubelet.volumes.refresh import Filled, files_for
from kubelet.volumes.sub_paths import with_sub_paths

if TYPE_CHECKING:
    from kubelet.worker import PodWorker

RETRY_S = 10.0
MOUNT_RETRY_S = 5.0
SHOW_ERROR_S = (2.0, 5.0)
"""For how long ErrImagePull is shown before it becomes ImagePullBackOff."""


@dataclass(slots=True)
class Starts:
    """What a worker remembers of starting its containers; by container name unless said otherwise."""

    waiting: dict[str, Waiting] = field(default_factory=dict)
    retry_at: dict[str, float] = field(default_factory=dict)
    back_off: dict[str, BackOff] = field(default_factory=dict)
    image_back_off: dict[str, BackOff] = field(default_factory=dict)
    pull_error: dict[str, str] = field(default_factory=dict)
    pulled: dict[str, ImageStatus] = field(default_factory=dict)
    """Images that have come and wait for their container to be made."""
    images: dict[str, str] = field(default_factory=dict)
    """Container id -> the image that its spec named."""
    resources: dict[str, Object] = field(default_factory=dict)
    """Container id -> the resources it was made with, of those whose resizePolicy can demand a restart."""
    files: dict[str, Filled] = field(default_factory=dict)
    """What is in the containers' volumes, of those that have files of the API's."""
    tokens: dict[tuple[str, int | None], tuple[str, float]] = field(default_factory=dict)
    """(audience, expirationSeconds) -> a token, and when (POSIX seconds) another one is due."""
    are_files_stale: bool = False
    """Something that the files are made of has changed."""

    def remember(self, pod: Object) -> None:
        """What the pod's status tells a restarted agent: how long crashing containers have come to wait."""
        status = pod.get("status", {})
        for entry in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            waits = ((entry.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
            ended = parse_time(((entry.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))
            if waits and ended:
                delay_s = min(backoff.INITIAL_S * 2 ** max(int(entry.get("restartCount") or 0) - 1, 0), backoff.MAX_S)
                self.back_off[entry["name"]] = BackOff(delay_s, ended.timestamp())

    def changed(self, pod: Object, newest: Mapping[str, ContainerStatus]) -> frozenset[str]:
        """Containers that run another image than the spec now names, or that must be restarted to be resized."""
        if not self.images:
            return frozenset()
        specs = {each["name"]: each for each in all_containers(pod)}
        return frozenset(
            name
            for name, status in newest.items()
            if status.state is ContainerState.RUNNING and self._is_another(specs.get(name, {}), status.id)
        )

    def _is_another(self, spec: Object, container_id: str) -> bool:
        image, resources = self.images.get(container_id, spec.get("image")), self.resources.get(container_id)
        return image != spec.get("image") or (resources is not None and _sizes(spec) != resources)

    def was_ready(self, pod: Object, status: ContainerStatus) -> bool:
        """Whether the pod's status says so of this very container: a restarted agent believes it until its own probes tell otherwise."""
        entries = (*(pod.get("status", {}).get("containerStatuses") or ()), *(pod.get("status", {}).get("initContainerStatuses") or ()))
        return any(each.get("ready") and str(each.get("containerID", "")).endswith(status.id) for each in entries)


def _sizes(spec: Object) -> Object:
    """(kind, resource) -> amount, of the resources that only a restart resizes."""
    names = {each["resourceName"] for each in spec.get("resizePolicy") or () if each.get("restartPolicy") == "RestartContainer"}
    given = spec.get("resources") or {}
    return {f"{kind}.{name}": amount for kind in given for name, amount in (given[kind] or {}).items() if name in names}


def _spec_of(worker: PodWorker, name: str) -> Object:
    return next(each for each in all_containers(worker.pod) if each["name"] == name)


async def start_container(worker: PodWorker, action: StartContainer, observed: RuntimeState) -> bool:
    """Go as far as is possible at once; answers whether anything is different now. Raises CRIError only for what is worth a retry."""
    container = _spec_of(worker, action.name)
    try:
        image = str(images.parse(str(container.get("image") or "")))
    except images.InvalidImageName as error:
        given = container.get("image")
        message = f'Failed to apply default image tag "{given}": couldn\'t parse image name "{given}": {error}'
        worker.record(action.name, "Warning", "InspectFailed", message)
        return _cannot(worker, action.name, "InvalidImageName", message)
    ref = await _image(worker, action, container, image)
    if ref is None:
        return False
    if isinstance(ref, bool):
        return ref
    return await _create(worker, action, container, ref, observed)


def _cannot(worker: PodWorker, name: str, reason: str, message: str, *, retry_s: float = RETRY_S, told: str = "") -> bool:
    """The container waits for `reason`; answers whether that is news. `told` is what the event says (the reason, if nothing else)."""
    waiting = Waiting(reason, message)
    is_news = worker.starts.waiting.get(name) != waiting
    worker.starts.waiting[name] = waiting
    now_s = worker.host.clock.now().timestamp()
    worker.starts.retry_at[name] = now_s + retry_s
    worker.wake_at(now_s + retry_s)
    worker.record(name, "Warning", "Failed", f"Error: {told or reason}")
    return is_news


def _cannot_mount(worker: PodWorker, name: str, image: ImageStatus, message: str) -> bool:
    """The container goes on as ContainerCreating; upstream, too, says why in an event only."""
    now_s = worker.host.clock.now().timestamp()
    worker.starts.retry_at[name] = now_s + MOUNT_RETRY_S
    worker.starts.pulled[name] = image
    worker.wake_at(now_s + MOUNT_RETRY_S)
    worker.host.record(worker.pod, "Warning", "FailedMount", message)
    return False


# --- the image --------------------------------------------------------------------------------------------------------------


async def _image(worker: PodWorker, action: StartContainer, container: Object, image: str) -> ImageStatus | bool | None:
    """The image, if it is here; else a pull is started (None), or it cannot be had now (whether that is news)."""
    starts, name = worker.starts, action.name
    if name in starts.pulled:
        return starts.pulled.pop(name)
    present = await worker.host.runtime.image_status(image)
    policy = container.get("imagePullPolicy") or ("Always" if image.endswith(":latest") else "IfNotPresent")
    given = container.get("image")
    if present is not None and policy != "Always":
        worker.record(name, "Normal", "Pulled", f'Container image "{given}" already present on machine and can be accessed by the pod')
        return present
    if policy == "Never":
        message = f'Container image "{given}" is not present with pull policy of Never'
        worker.record(name, "Warning", "ErrImageNeverPull", message)
        return _cannot(worker, name, "ErrImageNeverPull", message)
    now_s = worker.host.clock.now().timestamp()
    entry = starts.image_back_off.get(name)
    if entry is not None and (until_s := backoff.waits_until(entry, event_s=entry.updated_s, now_s=now_s)) is not None:
        message = f'Back-off pulling image "{given}"'
        worker.record(name, "Normal", "BackOff", message)
        return _cannot(worker, name, "ImagePullBackOff", f"{message}: {starts.pull_error.get(name, '')}", retry_s=until_s - now_s)
    worker.record(name, "Normal", "Pulling", f'Pulling image "{given}"')
    worker.beside(f"pull:{name}", _pull(worker, name, str(given), image))
    return None


async def _pull(worker: PodWorker, name: str, given: str, image: str) -> None:
    starts, clock, rng = worker.starts, worker.host.clock, worker.host.rng
    began = clock.now()
    try:
        status = await worker.host.runtime.pull_image(image, pod=worker.pod)
    except CRIError as error:
        reason = error.reason if isinstance(error, ImagePullError) else "ErrImagePull"
        now_s = clock.now().timestamp()
        worker.record(name, "Warning", "Failed", f'Failed to pull image "{given}": {error}')
        starts.image_back_off[name] = backoff.following(starts.image_back_off.get(name), event_s=now_s, now_s=now_s)
        starts.pull_error[name] = f"{reason}: {error}"
        _cannot(worker, name, reason, str(error), retry_s=rng.uniform(*SHOW_ERROR_S))
        return
    took = backoff.go_duration(int((clock.now() - began).total_seconds() * 1000) / 1000)
    text = f'Successfully pulled image "{given}" in {took} ({took} including waiting). Image size: {status.size_bytes} bytes.'
    worker.record(name, "Normal", "Pulled", text)
    starts.image_back_off.pop(name, None)
    starts.retry_at.pop(name, None)
    starts.pulled[name] = status


# --- the container ------------------------------------------------------------------------------------------------------------


async def _create(worker: PodWorker, action: StartContainer, container: Object, image: ImageStatus, observed: RuntimeState) -> bool:
    assert observed.sandbox is not None
    name, host, starts = action.name, worker.host, worker.starts
    place = host.place_of(worker.pod, observed.sandbox.ips)
    try:
        envs = await environment_of(worker.pod, container, client=host.client, place=place)
        container = with_sub_paths(container, envs)
    except ConfigError as error:
        return _cannot(worker, name, "CreateContainerConfigError", str(error), told=str(error))
    try:
        with_tokens = host.runtime.has_program(container, envs)
        files = await files_for(worker, container, observed.sandbox.ips, with_tokens=with_tokens)
    except MountError as error:
        return _cannot_mount(worker, name, image, str(error))
    log_path = f"{name}/{action.attempt}.log"
    own = own_files(worker.pod, container, place)
    config = ContainerConfig(
        container, image.ref, action.attempt, envs, log_path, is_init=action.is_init, files={**own, **files} if files else own
    )
    try:
        container_id = await host.runtime.create_container(observed.sandbox.id, config)
    except CRIError as error:
        return _cannot(worker, name, "CreateContainerError", str(error), told=str(error))
    worker.record(name, "Normal", "Created", "Container created")
    starts.images[container_id] = str(container.get("image"))
    if container.get("resizePolicy"):
        starts.resources[container_id] = _sizes(container)
    if files or has_contents(worker.pod, container):
        starts.files[name] = Filled(container_id, files, with_tokens)
    try:
        await host.runtime.start_container(container_id)
    except CRIError as error:
        return _cannot(worker, name, "RunContainerError", str(error), told=str(error))
    worker.record(name, "Normal", "Started", "Container started")
    _started(worker, action)
    if (container.get("lifecycle") or {}).get("postStart"):
        worker.beside(f"hook:{container_id}", hooks.post_start(worker, container, container_id))
    return True


def _started(worker: PodWorker, action: StartContainer) -> None:
    starts, now_s = worker.starts, worker.host.clock.now().timestamp()
    starts.waiting.pop(action.name, None)
    starts.retry_at.pop(action.name, None)
    if action.failed_at_s is not None:
        entry = starts.back_off.get(action.name)
        starts.back_off[action.name] = backoff.following(entry, event_s=action.failed_at_s, now_s=now_s)
