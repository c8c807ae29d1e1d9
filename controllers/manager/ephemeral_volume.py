"""Ephemeral volumes: for each volume of a pod that has a claim template, the claim, which is the pod's and goes with it.

Source: upstream `pkg/controller/volume/ephemeral/controller.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kube.errors import AlreadyExists
from kube.objects import Object, controller_reference, is_deleting, key_of, name_of, namespace_of
from kube.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Record, perform
from kube.storage import claims_of, not_for_pod

from .index import CLAIM, with_claims

RETRY_S = 15.0
"""How long to wait for the owner of a claim of the name that is needed to give it up."""


def plan(desired: Object, observed: Mapping[str, Object], now: datetime) -> list[Action]:
    """The claims that the pod `desired` lacks; `observed` are the claims there are, by name. What follows a foreign claim must wait."""
    if is_deleting(desired):
        return []
    actions: list[Action] = []
    templates = {each["name"]: (each.get("ephemeral") or {}).get("volumeClaimTemplate") for each in desired["spec"].get("volumes") or ()}
    for claim in claims_of(desired):
        if not claim.is_ephemeral:
            continue
        present = observed.get(claim.name)
        if present is None:
            told = Record(desired, "Warning", "FailedBinding", f"ephemeral volume {claim.volume}: create PVC {claim.name}: {{error}}")
            actions.append(Create(PERSISTENT_VOLUME_CLAIMS, new_claim(desired, claim.name, templates[claim.volume] or {}), failed=told))
        elif why := not_for_pod(present, desired):
            return [*actions, Record(desired, "Warning", "FailedBinding", f"ephemeral volume {claim.volume}: {why}")]
    return actions


def new_claim(pod: Object, name: str, template: Object) -> Object:
    """The claim for one of the pod's volumes."""
    described = template.get("metadata") or {}
    metadata: Object = {
        "name": name,
        "namespace": namespace_of(pod),
        "ownerReferences": [controller_reference(pod, api_version=PODS.api_version, kind=PODS.kind)],
    }
    metadata |= {key: dict(described[key]) for key in ("annotations", "labels") if described.get(key)}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template.get("spec") or {}}


class EphemeralVolumeController:
    """Keys are namespace/name of pods."""

    name = "ephemeral-volume"

    def start(self, run: Run) -> None:
        self.run = run
        self.pods = with_claims(run.informers.of(PODS))
        self.claims = run.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.pods.add_handler(self._pod_changed)
        self.claims.add_handler(self._claim_changed)

    async def reconcile(self, key: str) -> float | None:
        pod = self.pods.get(key)
        if pod is None:
            return None
        names = {each.name for each in claims_of(pod)}
        observed = {name: claim for name in names if (claim := self.claims.get(f"{namespace_of(pod)}/{name}")) is not None}
        todo = plan(pod, observed, self.run.clock.now())
        try:
            await perform(todo, client=self.run.client, events=self.run.events)
        except AlreadyExists:
            return 1.0  # the cache will show whose it is
        return RETRY_S if any(isinstance(each, Record) for each in todo) else None

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None and not is_deleting(new) and any(each.is_ephemeral for each in claims_of(new)):
            self.run.queue.add(key_of(new))

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        """A claim that is deleted while its pod lives is made again."""
        if new is None and old is not None:
            for pod in self.pods.by_index(CLAIM, key_of(old)):
                if any(each.is_ephemeral and each.name == name_of(old) for each in claims_of(pod)):
                    self.run.queue.add(key_of(pod))
