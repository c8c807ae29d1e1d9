"""Indexes that let a controller find what it needs without walking over all objects of a kind: dependents, pods of a node, of a claim."""

from __future__ import annotations

from kube.client.informer import Informer
from kube.objects import Object, controller_of, namespace_of
from kube.storage import claim_key, claim_keys

CONTROLLER = "controller"
"""Name of the index: by the controller's uid; objects without one by `orphans_of` their namespace."""


def orphans_of(namespace: str) -> str:
    """The index value of objects in `namespace` that nobody controls."""
    return f"orphans/{namespace}"


def controller_values(obj: Object) -> list[str]:
    owner = controller_of(obj)
    return [owner["uid"] if owner else orphans_of(namespace_of(obj))]


def with_controllers(informer: Informer) -> Informer:
    """The informer, with the index on it."""
    informer.add_index(CONTROLLER, controller_values)
    return informer


NODE = "node"
"""Name of the index of pods: by `spec.nodeName`, "" for those not scheduled."""


def node_values(pod: Object) -> list[str]:
    return [pod["spec"].get("nodeName", "")]


def with_nodes(pods: Informer) -> Informer:
    """The informer of pods, with the index on it."""
    pods.add_index(NODE, node_values)
    return pods


CLAIM = "claim"
"""Name of the indexes by the key of a PersistentVolumeClaim: of the pods that use it, and of the volumes that are for it ("": nobody's)."""


def with_claims(pods: Informer) -> Informer:
    """The informer of pods, with the index on it."""
    pods.add_index(CLAIM, claim_keys)
    return pods


def claim_values(volume: Object) -> list[str]:
    return [claim_key(volume)]


def with_claim(volumes: Informer) -> Informer:
    """The informer of PersistentVolumes, with the index on it."""
    volumes.add_index(CLAIM, claim_values)
    return volumes
