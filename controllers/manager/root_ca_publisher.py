"""Every namespace has the ConfigMap `kube-root-ca.crt`, by which its pods know the API server.

Source: upstream `pkg/controller/certificates/rootcacertpublisher`.
"""

from __future__ import annotations

from datetime import datetime

from kube.objects import Object, name_of, namespace_of
from kube.resources import CONFIG_MAPS, NAMESPACES
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Create, Update, perform

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service"
    " IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


def plan(desired: Object, observed: Object | None, now: datetime, *, root_ca: str) -> list[Action]:
    """What to do so that the Namespace `desired` has the ConfigMap; `observed` is the one it has. Nothing without a bundle."""
    if not root_ca or desired.get("status", {}).get("phase", "Active") != "Active":
        return []
    data = {KEY: root_ca}
    if observed is None:
        metadata = {"name": NAME, "namespace": name_of(desired), "annotations": {DESCRIPTION: TEXT}}
        return [Create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})]
    annotations = observed["metadata"].get("annotations") or {}
    if observed.get("data") == data and annotations.get(DESCRIPTION):
        return []
    metadata = {**observed["metadata"], "annotations": {**annotations, DESCRIPTION: TEXT}}
    return [Update(CONFIG_MAPS, {**observed, "metadata": metadata, "data": data})]


class RootCaPublisher:
    """Keys are names of namespaces. `root_ca` is the bundle in PEM."""

    name = "root-ca-certificate-publisher"

    def __init__(self, root_ca: str) -> None:
        self._root_ca = root_ca

    def start(self, run: Run) -> None:
        self.run = run
        self.namespaces = run.informers.of(NAMESPACES)
        self.config_maps = run.informers.of(CONFIG_MAPS, field_selector=f"metadata.name={NAME}")
        self.namespaces.add_handler(lambda old, new: run.queue.add(name_of(new)) if new is not None else None)
        self.config_maps.add_handler(lambda old, new: run.queue.add(namespace_of(new or old or {})) if old is not None else None)

    async def reconcile(self, key: str) -> float | None:
        namespace = self.namespaces.get(key)
        if namespace is not None:
            observed = self.config_maps.get(f"{key}/{NAME}")
            actions = plan(namespace, observed, self.run.clock.now(), root_ca=self._root_ca)
            await perform(actions, client=self.run.client, events=self.run.events)
        return None
