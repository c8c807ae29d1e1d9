"""What is in use is not removed: volumes, claims and VolumeAttributesClasses have a finalizer that goes only when nobody uses them.

The finalizer is put on by admission; it is added here to what has come around that. Three controllers, one decision.
Source: upstream `pkg/controller/volume/{pvprotection,pvcprotection,vacprotection}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from kube.objects import Object, is_deleting, key_of, name_of, namespace_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTRIBUTES_CLASSES, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Update, perform
from kube.storage import PV_PROTECTION, PVC_PROTECTION, VAC_PROTECTION, claim_keys, claims_of, not_for_pod

from .index import CLAIM, with_claims
from .volume_binding import phase_of

CLASS = "volume attributes class"
"""Name of the indexes of volumes and of claims by the VolumeAttributesClasses that they mention."""


def plan(desired: Object, observed: bool, now: datetime, *, resource: Resource, finalizer: str) -> list[Action]:
    """Add the finalizer, or take it away from what is being deleted and not in use (`observed`)."""
    finalizers = desired["metadata"].get("finalizers") or []
    if is_deleting(desired):
        if finalizer not in finalizers or observed:
            return []
        wanted = [each for each in finalizers if each != finalizer]
    elif finalizer in finalizers:
        return []
    else:
        wanted = [*finalizers, finalizer]
    return [Update(resource, {**desired, "metadata": {**desired["metadata"], "finalizers": wanted}})]


def concerns(obj: Object, finalizer: str) -> bool:
    """Whether there may be something to do about it."""
    return is_deleting(obj) == (finalizer in (obj["metadata"].get("finalizers") or ()))


def uses(pod: Object, claim: Object) -> bool:
    """Whether the pod keeps the claim from being removed. One without a node does not: it will not be started with it any more."""
    if not pod["spec"].get("nodeName"):
        return False
    mine = [each for each in claims_of(pod) if each.name == name_of(claim)]
    return any(not each.is_ephemeral or (not _is_shut_down(pod) and not not_for_pod(claim, pod)) for each in mine)


def _is_shut_down(pod: Object) -> bool:
    """Whether the kubelet is done with it and it only waits for its finalizers."""
    return is_deleting(pod) and pod["metadata"].get("deletionGracePeriodSeconds") == 0


class VolumeProtection:
    """Keys are names of volumes. A volume is in use while it is Bound."""

    name = "pv-protection"

    def start(self, run: Run) -> None:
        self.run = run
        self.volumes = run.informers.of(PERSISTENT_VOLUMES)
        self.volumes.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None and concerns(new, PV_PROTECTION) else None)

    async def reconcile(self, key: str) -> float | None:
        volume = self.volumes.get(key)
        if volume is not None:
            in_use = phase_of(volume) == "Bound"
            actions = plan(volume, in_use, self.run.clock.now(), resource=PERSISTENT_VOLUMES, finalizer=PV_PROTECTION)
            await perform(actions, client=self.run.client, events=self.run.events)
        return None


@dataclass(frozen=True, slots=True)
class _Live:
    """The pods of a namespace as the server has them, after so many deletions of claims had been noticed."""

    namespace: str = ""
    deletions: int = -1
    pods: Sequence[Object] = ()


class ClaimProtection:
    """Keys are namespace/name of claims. A claim is in use while a pod that has a node uses it."""

    name = "pvc-protection"

    def start(self, run: Run) -> None:
        self.run = run
        self._deletions = 0
        self._noticed: dict[str, int] = {}
        """By key of a claim on its way out: how many deletions had been noticed with its own."""
        self._live = _Live()
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.pods = with_claims(run.informers.of(PODS))
        self.claims.add_handler(self._claim_changed)
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is not None:
            in_use = is_deleting(claim) and await self._is_in_use(claim)
            actions = plan(claim, in_use, self.run.clock.now(), resource=PERSISTENT_VOLUME_CLAIMS, finalizer=PVC_PROTECTION)
            await perform(actions, client=self.run.client, events=self.run.events)
        return None

    async def _is_in_use(self, claim: Object) -> bool:
        """Before a claim is let go, the server is asked for pods that the cache does not know yet: once for all claims of the namespace
        whose deletion had been noticed by then."""
        if any(uses(pod, claim) for pod in self.pods.by_index(CLAIM, key_of(claim))):
            return True
        known, namespace = self._live, namespace_of(claim)
        is_recent = known.namespace == namespace and known.deletions >= self._noticed.get(key_of(claim), self._deletions)
        if is_recent and not any(uses(pod, claim) for pod in known.pods):
            return False
        deletions = self._deletions
        listed = await self.run.client.list(PODS, namespace=namespace)
        self._live = _Live(namespace, deletions, listed.get("items") or ())
        return any(uses(pod, claim) for pod in self._live.pods)

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            self._noticed.pop(key_of(old or {}), None)
            return
        if is_deleting(new) and (old is None or not is_deleting(old)):
            self._deletions += 1
            self._noticed[key_of(new)] = self._deletions
        if concerns(new, PVC_PROTECTION):
            self.run.queue.add(key_of(new))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A pod that is gone, or has come to its end, may have been the last to use a claim."""
        pod = new or old or {}
        if new is None or not uses_still(new) or (old is not None and old["metadata"].get("uid") != new["metadata"].get("uid")):
            for key in {*claim_keys(pod), *(claim_keys(old) if old is not None else ())}:
                claim = self.claims.get(key)
                if claim is not None and is_deleting(claim):
                    self.run.queue.add(key)


def uses_still(pod: Object) -> bool:
    """Whether the pod goes on: it has not ended and is not shut down."""
    return not _is_shut_down(pod) and phase_of(pod) not in ("Succeeded", "Failed")


class AttributesClassProtection:
    """Keys are names of VolumeAttributesClasses. A class is in use while a volume or a claim mentions it."""

    name = "volumeattributesclass-protection"

    def start(self, run: Run) -> None:
        self.run = run
        self.classes = run.informers.of(VOLUME_ATTRIBUTES_CLASSES)
        self.users = [run.informers.of(each) for each in (PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS)]
        self.classes.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None and concerns(new, VAC_PROTECTION) else None)
        for informer in self.users:
            informer.add_index(CLASS, classes_of)
            informer.add_handler(self._user_changed)

    async def reconcile(self, key: str) -> float | None:
        found = self.classes.get(key)
        if found is not None:
            in_use = any(informer.by_index(CLASS, key) for informer in self.users)
            actions = plan(found, in_use, self.run.clock.now(), resource=VOLUME_ATTRIBUTES_CLASSES, finalizer=VAC_PROTECTION)
            await perform(actions, client=self.run.client, events=self.run.events)
        return None

    def _user_changed(self, old: Object | None, new: Object | None) -> None:
        before, after = (set(_names(classes_of(each) if each is not None else ())) for each in (old, new))
        for name in before - after:
            self.run.queue.add(name)


def classes_of(obj: Object) -> list[str]:
    """The VolumeAttributesClasses that a volume or a claim mentions."""
    status = obj.get("status") or {}
    target = (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    return _names((obj["spec"].get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"), target))


def _names(values: Iterable[str | None]) -> list[str]:
    return [each for each in values if each]
