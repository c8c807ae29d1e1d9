"""ReplicationControllers: ReplicaSets from before there were set-based selectors. Everything is in `replica_set.py`.

Source: upstream `pkg/controller/replication`, which wraps the ReplicaSet controller the same way.
"""

from __future__ import annotations

from kube.labels import Selector
from kube.labels import from_object as selector_from
from kube.objects import Object
from kube.resources import REPLICATION_CONTROLLERS

from .replica_set import ReplicaController, Variant


def selector_of_controller(controller: Object) -> Selector:
    """The selector, a plain map here."""
    return selector_from({"matchLabels": controller["spec"].get("selector") or {}})


REPLICATION_CONTROLLER = Variant("replicationmanager", REPLICATION_CONTROLLERS, selector_of_controller, counts_terminating=False)


def replication_controller() -> ReplicaController:
    return ReplicaController(REPLICATION_CONTROLLER)
