"""Starting one container: its image, its environment, create, start, postStart; and why it is not started yet.

Waiting reasons and events are upstream's (`pkg/kubelet/images/image_manager.go`, `kuberuntime_container.go startContainer`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kube.objects import Object
from kubelet import backoff, hooks, images
from kubelet.environment import ConfigError, environment_of
from kubelet.observed import RuntimeState, Waiting, all_containers
from kubelet.own_files import own_files
from kubelet.plan import StartContainer
from kubelet.runtime.base import ContainerConfig, CRIError, ImagePullError, ImageStatus
from kubelet.sizes import as_given
from kubelet.volumes.contents import MountError, has_contents
from kubelet.volumes.refresh import Filled, files_for
from kubelet.volumes.sub_paths import with_sub_paths

if TYPE_CHECKING:
    from kubelet.worker import PodWorker

RETRY_S = 10.0
MOUNT_RETRY_S = 5.0
SHOW_ERROR_S = (2.0, 5.0)
"""For how long ErrImagePull is shown before it becomes ImagePullBackOff."""


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
    start, now_s = worker.starts.of(name), worker.host.clock.now().timestamp()
    is_news = start.waiting != waiting
    start.waiting, start.retry_at_s = waiting, now_s + retry_s
    worker.wake_at(now_s + retry_s)
    worker.record(name, "Warning", "Failed", f"Error: {told or reason}")
    return is_news


def _cannot_mount(worker: PodWorker, name: str, image: ImageStatus, message: str) -> bool:
    """The container goes on as ContainerCreating; upstream, too, says why in an event only."""
    start, now_s = worker.starts.of(name), worker.host.clock.now().timestamp()
    start.retry_at_s, start.pulled = now_s + MOUNT_RETRY_S, image
    worker.wake_at(now_s + MOUNT_RETRY_S)
    worker.host.record(worker.pod, "Warning", "FailedMount", message)
    return False


# --- the image --------------------------------------------------------------------------------------------------------------


async def _image(worker: PodWorker, action: StartContainer, container: Object, image: str) -> ImageStatus | bool | None:
    """The image, if it is here; else a pull is started (None), or it cannot be had now (whether that is news)."""
    name, start = action.name, worker.starts.of(action.name)
    if start.pulled is not None:
        pulled, start.pulled = start.pulled, None
        return pulled
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
    entry = start.image_back_off
    if entry is not None and (until_s := backoff.waits_until(entry, event_s=entry.updated_s, now_s=now_s)) is not None:
        message = f'Back-off pulling image "{given}"'
        worker.record(name, "Normal", "BackOff", message)
        return _cannot(worker, name, "ImagePullBackOff", f"{message}: {start.pull_error}", retry_s=until_s - now_s)
    worker.record(name, "Normal", "Pulling", f'Pulling image "{given}"')
    worker.beside(f"pull:{name}", _pull(worker, name, str(given), image))
    return None


async def _pull(worker: PodWorker, name: str, given: str, image: str) -> None:
    start, clock, rng = worker.starts.of(name), worker.host.clock, worker.host.rng
    began = clock.now()
    try:
        status = await worker.host.runtime.pull_image(image, pod=worker.pod)
    except CRIError as error:
        reason = error.reason if isinstance(error, ImagePullError) else "ErrImagePull"
        now_s = clock.now().timestamp()
        worker.record(name, "Warning", "Failed", f'Failed to pull image "{given}": {error}')
        start.image_back_off = backoff.following(start.image_back_off, event_s=now_s, now_s=now_s)
        start.pull_error = f"{reason}: {error}"
        _cannot(worker, name, reason, str(error), retry_s=rng.uniform(*SHOW_ERROR_S))
        return
    took = backoff.go_duration(int((clock.now() - began).total_seconds() * 1000) / 1000)
    text = f'Successfully pulled image "{given}" in {took} ({took} including waiting). Image size: {status.size_bytes} bytes.'
    worker.record(name, "Normal", "Pulled", text)
    start.image_back_off = start.retry_at_s = None
    start.pulled = status


# --- the container ------------------------------------------------------------------------------------------------------------


async def _create(worker: PodWorker, action: StartContainer, container: Object, image: ImageStatus, observed: RuntimeState) -> bool:
    assert observed.sandbox is not None
    name, host, start = action.name, worker.host, worker.starts.of(action.name)
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
    own = own_files(worker.pod, container, place, host.dns)
    config = ContainerConfig(
        as_given(worker.pod, container),
        image.ref,
        action.attempt,
        envs,
        log_path,
        is_init=action.is_init,
        files={**own, **files} if files else own,
    )
    try:
        container_id = await host.runtime.create_container(observed.sandbox.id, config)
    except CRIError as error:
        return _cannot(worker, name, "CreateContainerError", str(error), told=str(error))
    worker.record(name, "Normal", "Created", "Container created")
    start.container_id, start.image = container_id, str(container.get("image"))
    if files or has_contents(worker.pod, container):
        start.filled = Filled(container_id, files, with_tokens)
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
    start, now_s = worker.starts.of(action.name), worker.host.clock.now().timestamp()
    start.waiting = start.retry_at_s = None
    if action.failed_at_s is not None:
        start.back_off = backoff.following(start.back_off, event_s=action.failed_at_s, now_s=now_s)
