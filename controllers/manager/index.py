"""The index that lets a controller find its dependents without walking over all objects of a kind."""

from __future__ import annotations

from kube.client.informer import Informer
from kube.objects import Object, controller_of, namespace_of

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
