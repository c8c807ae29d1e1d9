"""PodTopologyLabels: a pod has its node's zone and region among its labels, from the moment that it has a node.

A Binding takes them to the pod that it binds, where they stand behind the pod's own (`kinds/pod_binding.py`); of a pod that is made for a
node they replace its own. A node that is not known has none. Source: kubernetes `plugin/pkg/admission/podtopologylabels`.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes
from kube.memo import Memo
from kube.resources import NODES

TOPOLOGY: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")

_LABELS: Memo[dict[str, str]] = Memo()
"""By the stored bytes of a node: each is asked for by all pods that come to it."""


class PodTopologyLabels:
    """See the module."""

    resources = frozenset({("", "pods")})
    operations = frozenset({"CREATE"})
    subresources = frozenset({"", "binding"})

    async def mutate(self, attributes: Attributes) -> None:
        obj = attributes.obj or {}
        if attributes.subresource:
            target = obj.get("target") or {}
            node = target.get("name") if target.get("kind") == "Node" else ""
        else:
            node = (obj.get("spec") or {}).get("nodeName")
        if node and (labels := await self._of_node(attributes, node)):
            metadata = obj.setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels}

    async def _of_node(self, attributes: Attributes, name: str) -> dict[str, str]:
        cache = attributes.registries.get(NODES).cache
        await cache.catch_up()
        entry = cache.get("", name)
        if entry is None:
            return {}
        found = _LABELS.get(entry.value)
        if found is None:
            labels = cache.object_of(entry)["metadata"].get("labels") or {}
            found = {key: labels[key] for key in TOPOLOGY if key in labels}
            _LABELS.put(entry.value, found)
        return found
