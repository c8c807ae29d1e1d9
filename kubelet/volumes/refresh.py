"""What containers find in their volumes of ConfigMaps, Secrets and the downward API, at their start and when that changes later.

Mounts with a subPath are as they were at the start, as upstream's are; what cannot be looked up any more stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kube.objects import Object, namespace_of
from kube.resources import Resource
from kubelet.observed import RuntimeState, all_containers
from kubelet.volumes.contents import MountError, files_of

if TYPE_CHECKING:
    from kubelet.worker import PodWorker


async def files_for(worker: PodWorker, container: Object, pod_ips: tuple[str, ...]) -> Mapping[str, str]:
    """The files of the container's volumes, as they are now; the pod is looked at again when they change. Raises MountError."""
    host = worker.host

    def stale() -> None:
        worker.starts.are_files_stale = True
        worker.poke()

    async def fetch(resource: Resource, name: str) -> Object:
        if host.followed is None:
            return await host.client.get(resource, name, namespace=namespace_of(worker.pod))
        return await host.followed.get(worker.uid, (resource, namespace_of(worker.pod), name), stale)

    try:
        return await files_of(worker.pod, container, fetch=fetch, place=host.place_of(worker.pod, pod_ips))
    except TimeoutError as error:
        raise MountError("Unable to attach or mount volumes: timed out waiting for the condition") from error


async def refresh(worker: PodWorker, observed: RuntimeState) -> None:
    """Give running containers the files that have changed."""
    starts = worker.starts
    starts.are_files_stale = False
    running = {each.id for each in observed.running()}
    for container in all_containers(worker.pod):
        container_id, before = starts.files.get(container["name"], ("", {}))
        if container_id not in running or observed.sandbox is None:
            continue
        whole = [each for each in container.get("volumeMounts") or () if not (each.get("subPath") or each.get("subPathExpr"))]
        try:
            files = await files_for(worker, {**container, "volumeMounts": whole}, observed.sandbox.ips)
        except MountError:
            continue
        roots = tuple(f"{each['mountPath'].rstrip('/')}/" for each in whole)
        gone = [path for path in before if path not in files and path.startswith(roots)]
        changed = {path: text for path, text in files.items() if before.get(path) != text}
        if gone or changed:
            starts.files[container["name"]] = container_id, {path: text for path, text in before.items() if path not in gone} | changed
            await worker.host.runtime.update_files(container_id, changed, gone)
