"""What containers find in their volumes of ConfigMaps, Secrets and the downward API, at their start and when that changes later.

Mounts with a subPath are as they were at the start, as upstream's are; what cannot be looked up any more stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from kube.objects import Object, namespace_of
from kube.resources import Resource
from kubelet.environment import Sources
from kubelet.observed import RuntimeState, all_containers
from kubelet.volumes.contents import LookUp, MountError, files_of
from kubelet.volumes.tokens import token_files, token_mounts

if TYPE_CHECKING:
    from kubelet.worker import PodWorker


@dataclass(frozen=True, slots=True)
class Filled:
    """A container whose volumes have files."""

    container_id: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    with_tokens: bool = False


async def files_for(worker: PodWorker, container: Object, pod_ips: tuple[str, ...], *, with_tokens: bool) -> Mapping[str, str]:
    """The files of the container's volumes, as they are now; the pod is looked at again when they change. Raises MountError."""
    pod, fetch, place = worker.pod, partial(_fetch, worker), worker.host.place_of(worker.pod, pod_ips)
    try:
        files = await files_of(pod, container, fetch=fetch, place=place)
        if not with_tokens:
            return files
        return {**files, **await token_files(worker, container, LookUp(pod, container, Sources(pod, fetch, binary=True), place))}
    except TimeoutError as error:
        raise MountError("Unable to attach or mount volumes: timed out waiting for the condition") from error


async def _fetch(worker: PodWorker, resource: Resource, name: str) -> Object:
    host, namespace = worker.host, namespace_of(worker.pod)

    def stale() -> None:
        worker.starts.are_files_stale = True
        worker.poke()

    if host.followed is None:
        return await host.client.get(resource, name, namespace=namespace)
    return await host.followed.get(worker.uid, (resource, namespace, name), stale)


async def bring_tokens(worker: PodWorker, name: str, container_id: str) -> None:
    """Somebody goes into a container: it gets its tokens, if it has none yet."""
    container = next((each for each in all_containers(worker.pod) if each["name"] == name), None)
    if container is None or not token_mounts(worker.pod, container):
        return
    start = worker.starts.of(name)
    filled = start.filled
    if filled.container_id == container_id and filled.with_tokens:
        return
    (sandbox, *_) = await worker.host.runtime.list_pod_sandboxes(worker.uid)
    try:
        files = await files_for(worker, container, sandbox.ips, with_tokens=True)
    except MountError:
        return
    start.filled = Filled(container_id, files, with_tokens=True)
    await worker.host.runtime.update_files(container_id, files, ())


async def refresh(worker: PodWorker, observed: RuntimeState) -> None:
    """Give running containers the files that have changed."""
    starts = worker.starts
    starts.are_files_stale = False
    running = {each.id for each in observed.running()}
    for container in all_containers(worker.pod):
        filled = starts.of(container["name"]).filled
        container_id, before = filled.container_id, filled.files
        if container_id not in running or observed.sandbox is None:
            continue
        whole = [each for each in container.get("volumeMounts") or () if not (each.get("subPath") or each.get("subPathExpr"))]
        try:
            files = await files_for(worker, {**container, "volumeMounts": whole}, observed.sandbox.ips, with_tokens=filled.with_tokens)
        except MountError:
            continue
        roots = tuple(f"{each['mountPath'].rstrip('/')}/" for each in whole)
        gone = [path for path in before if path not in files and path.startswith(roots)]
        changed = {path: text for path, text in files.items() if before.get(path) != text}
        if gone or changed:
            left = {path: text for path, text in before.items() if path not in gone}
            starts.of(container["name"]).filled = Filled(container_id, left | changed, filled.with_tokens)
            await worker.host.runtime.update_files(container_id, changed, gone)
