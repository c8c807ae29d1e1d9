"""KWOK's objects as custom resources: what simulated pods do, changed while they do it (`--enable-crds`, as KWOK's flag of that name).

Their CustomResourceDefinitions are KWOK's own, and somebody else's to install; until they are there, nobody has any.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from kube.client.informer import Informers
from kube.objects import Object, key_of
from kube.resources import Resource
from kubelet.stages.query import StageError
from kubelet.stages.simulation import GROUP, Simulation

_log = logging.getLogger(__name__)
_PLURALS = {
    "Stage": "stages",
    "ResourceUsage": "resourceusages",
    "ClusterResourceUsage": "clusterresourceusages",
    "Metric": "metrics",
    "Exec": "execs",
    "ClusterExec": "clusterexecs",
}
_NAMESPACED = frozenset({"ResourceUsage", "Exec"})


def resource_of(kind: str) -> Resource:
    """Raises KeyError for a kind that is not read from the cluster."""
    return Resource(GROUP, "v1alpha1", _PLURALS[kind], kind, namespaced=kind in _NAMESPACED)


def follow(simulation: Simulation, informers: Informers, kinds: Iterable[str]) -> None:
    """Keep `simulation` as the cluster's objects of these kinds have it. One that is not understood is logged, and counts for nothing."""
    for kind in kinds:
        informers.of(resource_of(kind)).add_handler(partial(_changed, simulation, kind))


def _changed(simulation: Simulation, kind: str, old: Object | None, new: Object | None) -> None:
    if new is None:
        simulation.remove({**(old or {}), "kind": kind})
        return
    try:
        simulation.put({**new, "kind": kind, "apiVersion": f"{GROUP}/v1alpha1"})
    except StageError as error:
        _log.warning("%s %s is not understood: %s", kind, key_of(new), error)
