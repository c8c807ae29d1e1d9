"""The binder: the loop that brings PersistentVolumeClaims and PersistentVolumes together.

What is done about a claim is decided in `persistent_volume_claim.py`, about a volume in `persistent_volume.py`; here the facts are gathered
and the steps carried out, one after the other. One worker, so that two claims never reach for the same volume.
Source: upstream `pkg/controller/volume/persistentvolume/pv_controller_base.go`.
"""

from __future__ import annotations

from kube.client.informer import Informer
from kube.errors import AlreadyExists, NotFound
from kube.objects import Object, key_of, name_of, namespace_of, split_key, uid_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES, Resource
from kube.runtime.controller import Run
from kube.runtime.perform import Create, perform
from kube.storage import claim_key, class_of, default_class, has_class, is_default

from . import persistent_volume, persistent_volume_claim
from .index import CLAIM, with_claim, with_claims
from .pod import is_terminal
from .volume_binding import Plan, phase_of

RESYNC_S = 15.0
"""How often those that wait for something are looked at again; they say for what each time."""
STEPS_MAX = 16
CLASS, VOLUME = "pending by class", "pending by volume"
"""Names of the indexes of claims that are not bound: by the class they ask for, and by the volume they name."""


def class_values(claim: Object) -> list[str]:
    return [class_of(claim)] if phase_of(claim) == "Pending" else []


def volume_values(claim: Object) -> list[str]:
    return [claim["spec"].get("volumeName") or ""] if phase_of(claim) == "Pending" else []


class PersistentVolumeBinder:
    """Keys are namespace/name of claims, and names of volumes."""

    name = "persistentvolume-binder"
    tick_s = RESYNC_S

    def start(self, run: Run) -> None:
        self.run = run
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.volumes = with_claim(run.informers.of(PERSISTENT_VOLUMES))
        self.classes = run.informers.of(STORAGE_CLASSES)
        self.pods = with_claims(run.informers.of(PODS))
        self.claims.add_index(CLASS, class_values)
        self.claims.add_index(VOLUME, volume_values)
        self.claims.add_handler(self._claim_changed)
        self.volumes.add_handler(self._volume_changed)
        self.classes.add_handler(self._class_changed)
        self.pods.add_handler(self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        for _ in range(STEPS_MAX):
            todo = await (self._plan_claim(key) if "/" in key else self._plan_volume(key))
            try:
                answers = await perform(todo.actions, client=self.run.client, events=self.run.events)
            except AlreadyExists:
                return None  # a recycler pod that the cache does not know yet
            for action, answer in zip(todo.actions, answers, strict=True):
                informer = self._informer(getattr(action, "resource", None))
                if informer is not None and answer is not None and not isinstance(action, Create):
                    informer.put(answer)
            if todo.wakes:
                self.run.queue.add(todo.wakes)
            if not todo.more:
                break
        return None

    def _informer(self, resource: Resource | None) -> Informer | None:
        return {PERSISTENT_VOLUMES: self.volumes, PERSISTENT_VOLUME_CLAIMS: self.claims}.get(resource) if resource else None

    async def _plan_claim(self, key: str) -> Plan:
        claim = self.claims.get(key)
        if claim is None:
            return Plan()
        named = claim["spec"].get("volumeName")
        using = self.pods.by_index(CLAIM, key)
        world = persistent_volume_claim.World(
            volume=self.volumes.get(named) if named else None,
            candidates=[] if named else [*self.volumes.by_index(CLAIM, key), *self.volumes.by_index(CLAIM, "")],
            storage_class=self.classes.get(class_of(claim)),
            default_class=None if has_class(claim) else default_class(self.classes.list()),
            waiting=sorted(name_of(pod) for pod in using if not pod["spec"].get("nodeName") and not is_terminal(pod)),
        )
        return persistent_volume_claim.plan(claim, world, self.run.clock.now())

    async def _plan_volume(self, key: str) -> Plan:
        volume = self.volumes.get(key)
        if volume is None:
            return Plan()
        wanted = claim_key(volume)
        world = persistent_volume.World(
            claim=await self._claim_of(volume),
            users=sorted(key_of(pod) for pod in self.pods.by_index(CLAIM, wanted) if wanted and not is_terminal(pod)),
            recycler=self.pods.get(f"{persistent_volume.RECYCLER_NAMESPACE}/{persistent_volume.recycler_name(key)}"),
        )
        return persistent_volume.plan(volume, world, self.run.clock.now())

    async def _claim_of(self, volume: Object) -> Object | None:
        """The claim that the volume names. Before it is called gone, the server is asked: a volume must not be reclaimed by mistake."""
        key = claim_key(volume)
        reference = volume["spec"].get("claimRef") or {}
        claim = self.claims.get(key) if key else None
        is_certain = not reference.get("uid") or phase_of(volume) in ("Released", "Failed")
        if is_certain or (claim is not None and uid_of(claim) == reference["uid"]):
            return claim
        namespace, name = split_key(key)
        try:
            return await self.run.client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace=namespace)
        except NotFound:
            return None

    # --- what is worth a look --------------------------------------------------------------------------------------------

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        claim = new or old or {}
        if new is not None:
            self.run.queue.add(key_of(new))
        if new is None or old is None or old["spec"].get("volumeName") != new["spec"].get("volumeName"):
            for volume in self.volumes.by_index(CLAIM, key_of(claim)):
                self.run.queue.add(name_of(volume))

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.run.queue.add(name_of(new))
        for each in (old, new):
            if each is not None and each["spec"].get("claimRef"):
                self.run.queue.add(claim_key(each))
        if new is not None and phase_of(new) == "Available" and not new["spec"].get("claimRef"):
            self._wake_pending(CLASS, class_of(new))
            self._wake_pending(VOLUME, name_of(new))

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._wake_pending(CLASS, name_of(new))
            if is_default(new):
                self._wake_pending(CLASS, "")

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """The pods that empty volumes tell by their phase that they are done."""
        pod = new or old or {}
        prefix = persistent_volume.recycler_name("")
        if namespace_of(pod) == persistent_volume.RECYCLER_NAMESPACE and name_of(pod).startswith(prefix):
            self.run.queue.add(name_of(pod).removeprefix(prefix))

    def _wake_pending(self, index: str, value: str) -> None:
        for claim in self.claims.by_index(index, value):
            self.run.queue.add(key_of(claim))

    async def tick(self) -> None:
        for claim in self.claims.list():
            if phase_of(claim) != "Bound":
                self.run.queue.add(key_of(claim))
        for volume in self.volumes.list():
            if phase_of(volume) not in ("Bound", "Available"):
                self.run.queue.add(name_of(volume))
