"""Volumes with tokens of ServiceAccounts, which nearly every pod has: for containers in which somebody may read them.

A simulated container without a program of its own gets its tokens when somebody goes in, so that most pods cost no token. Upstream:
`pkg/kubelet/token/token_manager.go`, `pkg/volume/projected`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kube.client.base import ConnectionFailed
from kube.clock import parse_time
from kube.errors import ApiError
from kube.objects import Object, name_of, namespace_of
from kube.resources import SERVICE_ACCOUNTS
from kubelet.environment import ConfigError
from kubelet.volumes.contents import LookUp, mounted

if TYPE_CHECKING:
    from kubelet.worker import PodWorker

USED_PART = 0.8
"""A token is not given out any more when this part of its life is over."""


def token_mounts(pod: Object, container: Object) -> list[tuple[Object, Object]]:
    """(volume, mount) of the container's volumes with tokens."""
    volumes = {each["name"]: each for each in pod["spec"].get("volumes") or () if _has_token(each)}
    return [(volumes[each["name"]], each) for each in container.get("volumeMounts") or () if each["name"] in volumes]


def _has_token(volume: Object) -> bool:
    return any("serviceAccountToken" in each for each in (volume.get("projected") or {}).get("sources") or ())


async def token_files(worker: PodWorker, container: Object, look_up: LookUp) -> dict[str, str]:
    """Their files. What cannot be had is left out. deviates: a container starts without a token where none is to be had (no CA)"""
    found: dict[str, str] = {}
    for volume, mount in token_mounts(worker.pod, container):
        contents: dict[str, str] = {}
        for source in volume["projected"]["sources"]:
            try:
                if "serviceAccountToken" in source:
                    contents[source["serviceAccountToken"]["path"]] = await _token(worker, source["serviceAccountToken"])
                else:
                    contents |= {path: text async for path, text in look_up.source(source)}
            except (ConfigError, ApiError, ConnectionFailed):
                continue
        found |= mounted(contents, mount)
    return found


async def _token(worker: PodWorker, source: Object) -> str:
    """A token bound to the pod; the same one for as long as it is young enough."""
    pod, now = worker.pod, worker.host.clock.now()
    key = source.get("audience") or "", source.get("expirationSeconds")
    known = worker.starts.tokens.get(key)
    if known is not None and now.timestamp() < known[1]:
        return known[0]
    spec: Object = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": worker.uid}}
    spec |= {"audiences": [key[0]]} if key[0] else {}
    spec |= {"expirationSeconds": key[1]} if key[1] else {}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    account = pod["spec"].get("serviceAccountName") or "default"
    client = worker.host.client
    status = (await client.create(SERVICE_ACCOUNTS, request, namespace=namespace_of(pod), name=account, subresource="token"))["status"]
    end = parse_time(status.get("expirationTimestamp")) or now
    worker.starts.tokens[key] = str(status["token"]), now.timestamp() + USED_PART * (end - now).total_seconds()
    return str(status["token"])
