"""VolumeBinding: a pod goes only where its volumes can be, and is bound when they are bound.

Claims whose class waits for the first consumer are the scheduler's to decide about: once a node is chosen, a suitable volume is reserved
for each, or the claim is told the node, so that a volume is made for it there; then the pod waits until the binder has bound them all.
What would be done on which node is worked out in `volume_finding.py`. Source: `plugins/volumebinding/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from controllers.scheduler.config.arguments import VolumeBindingArgs
from controllers.scheduler.framework import ClusterEvent, Code, PluginError, Rejection, rejection
from controllers.scheduler.node_info import NodeInfo
from controllers.scheduler.plugins.volume_finding import Claims, find, sorted_out, wrong_with_claims
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.snapshot import Snapshot, node_news, pod_news
from controllers.scheduler.volumes import Volumes, version
from kube.client.client import Client
from kube.objects import Object, annotations_of, key_of, name_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from kube.storage import SELECTED_NODE, bound, fits_node, is_fully_bound

NAME = "VolumeBinding"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"


@dataclass(frozen=True, slots=True)
class State:
    claims: Claims
    volumes: Volumes


@dataclass(slots=True)
class Decided:
    """What a pod on its way to a node needs: claims with the volumes reserved for them, and claims that are told the node."""

    bindings: list[tuple[Object, Object]]
    provisions: list[Object]


class VolumeBinding:
    """`client` writes what was decided; without one the plugin can only decide."""

    name = NAME
    wakes = (
        ClusterEvent.STORAGE_CLASS
        | ClusterEvent.CLAIM
        | ClusterEvent.VOLUME
        | ClusterEvent.NODE_ADD
        | ClusterEvent.NODE_LABEL
        | ClusterEvent.CSI_NODE
        | ClusterEvent.CSI_DRIVER
        | ClusterEvent.CSI_CAPACITY
    )

    def __init__(self, client: Client | None = None, args: VolumeBindingArgs | None = None) -> None:
        args = args or VolumeBindingArgs()
        self._client, self._timeout_s = client, args.bind_timeout_seconds
        self._decided: dict[str, tuple[Decided, Snapshot]] = {}
        """By pod uid."""

    # Deciding.

    def pre_filter(self, pod: PodInfo, snapshot: Snapshot) -> State | Rejection | None:
        if not pod.has_claims:
            return None
        why = wrong_with_claims(pod, snapshot.volumes)
        claims = sorted_out(pod, snapshot.volumes)
        if not why and claims.immediate:
            why = UNBOUND
        return rejection(self.name, Code.UNRESOLVABLE, why) if why else State(claims, snapshot.volumes)

    def filter(self, state: State, node: NodeInfo) -> Rejection | None:
        found = find(state.claims, state.volumes, node)
        return rejection(self.name, Code.UNRESOLVABLE, *found) if isinstance(found, tuple) else None

    # Keeping what was decided.

    def reserve(self, pod: PodInfo, node: NodeInfo, snapshot: Snapshot) -> Rejection | None:
        claims = sorted_out(pod, snapshot.volumes)
        if not claims.late:
            return None
        found = find(claims, snapshot.volumes, node)
        if isinstance(found, tuple):
            return rejection(self.name, Code.UNRESOLVABLE, *found)
        decided = Decided(
            [(claim, bound(volume, claim) or volume) for claim, volume in found.bindings],
            [_on_node(claim, node.name) for claim in found.provisions],
        )
        for _, volume in decided.bindings:
            snapshot.volumes.volumes.assume(volume)
        for claim in decided.provisions:
            snapshot.volumes.claims.assume(claim)
        self._decided[pod.uid] = decided, snapshot
        return None

    def unreserve(self, pod: PodInfo, node: str, snapshot: Snapshot) -> None:
        decided, _ = self._decided.pop(pod.uid, (None, None))
        if decided is not None:
            for _, volume in decided.bindings:
                snapshot.volumes.volumes.restore(name_of(volume))
            for claim in decided.provisions:
                snapshot.volumes.claims.restore(key_of(claim))

    # Carrying it out.

    def pre_bind_pre_flight(self, pod: PodInfo, node: str) -> bool:
        return pod.uid in self._decided

    async def pre_bind(self, pod: PodInfo, node: str) -> None:
        """Write what was decided and wait until everything is bound. Raises ApiError, OSError; PluginError when it will not be."""
        assert self._client is not None
        decided, snapshot = self._decided[pod.uid]
        for index, (claim, volume) in enumerate(decided.bindings):
            decided.bindings[index] = claim, await self._client.update(PERSISTENT_VOLUMES, volume)
        for index, claim in enumerate(decided.provisions):
            decided.provisions[index] = await self._client.update(PERSISTENT_VOLUME_CLAIMS, claim)
        claims = [claim for claim, _ in decided.bindings] + decided.provisions
        concerned = {pod_news(pod.key), node_news(node), *map(key_of, claims), *(name_of(volume) for _, volume in decided.bindings)}
        try:
            async with asyncio.timeout(self._timeout_s):
                while not is_done(decided, pod, node, snapshot):
                    await snapshot.volumes.news(concerned)
        except TimeoutError:
            raise PluginError("binding volumes: context deadline exceeded") from None
        except PluginError as error:
            raise PluginError(f"binding volumes: {error}") from None
        self._decided.pop(pod.uid, None)


def _on_node(claim: Object, node: str) -> Object:
    return {**claim, "metadata": {**claim["metadata"], "annotations": {**annotations_of(claim), SELECTED_NODE: node}}}


def is_done(decided: Decided, pod: PodInfo, node: str, snapshot: Snapshot) -> bool:
    """Whether all that was decided for a pod has come about. Raises PluginError when it will not. Looks at what the API has."""
    if snapshot.pods.get(pod.key) is not pod:
        raise PluginError(f'pod does not exist any more: pod "{pod.name}" not found')
    volumes, place = snapshot.volumes, snapshot.nodes.get(node)
    if place is None or place.node is None:
        raise PluginError(f'failed to get node "{node}": node "{node}" not found')
    return all(_is_bound(claim, volume, volumes, place) for claim, volume in decided.bindings) and _are_made(
        decided.provisions, volumes, place
    )


def _is_bound(claim: Object, written: Object, volumes: Volumes, node: NodeInfo) -> bool:
    volume, now = volumes.volumes.api(name_of(written)), volumes.claims.api(key_of(claim))
    if volume is None:
        raise PluginError(f'failed to check binding: could not find v1.PersistentVolume "{name_of(written)}"')
    if now is None:
        raise PluginError(f'failed to check binding: could not find v1.PersistentVolumeClaim "{key_of(claim)}"')
    if version(volume) < version(written):
        return False
    _check_place(volume, node)
    if not (volume["spec"].get("claimRef") or {}).get("uid"):
        raise PluginError(f'ClaimRef got reset for pv "{name_of(volume)}"')
    return is_fully_bound(now)


def _are_made(provisions: Sequence[Object], volumes: Volumes, node: NodeInfo) -> bool:
    for written in provisions:
        claim = volumes.claims.api(key_of(written))
        if claim is None:
            raise PluginError(f'failed to check provisioning pvc: could not find v1.PersistentVolumeClaim "{key_of(written)}"')
        if version(claim) < version(written):
            return False
        if annotations_of(claim).get(SELECTED_NODE) != node.name:
            raise PluginError(f'provisioning failed for PVC "{name_of(claim)}"')
        volume_name = claim["spec"].get("volumeName") or ""
        volume = volumes.volumes.api(volume_name) if volume_name else None
        if volume_name and volume is None:
            return False
        if volume is not None:
            _check_place(volume, node)
        if not is_fully_bound(claim):
            return False
    return True


def _check_place(volume: Object, node: NodeInfo) -> None:
    if not fits_node(volume, node.labels):
        why = f'pv "{name_of(volume)}" node affinity doesn\'t match node "{node.name}": no matching NodeSelectorTerms'
        raise PluginError(why)
