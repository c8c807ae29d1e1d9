"""NodeDeclaredFeatureValidator: a pod on a node is changed only in ways for which the node declares the features.

What needs what is upstream's list of v1.36, as far as it matters to pods that are on a node already; what decides where a pod may go is the
scheduler's. Source: kubernetes `plugin/pkg/admission/nodedeclaredfeatures/admission.go`, component-helpers
`nodedeclaredfeatures/features`.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes
from apiserver.validation.metadata import same
from kube import errors
from kube.objects import Object, name_of
from kube.resources import NODES

POD_LEVEL_RESIZE: Final = "InPlacePodLevelResourcesVerticalScaling"
INIT_CONTAINER_RESIZE: Final = "InPlacePodVerticalScalingInitContainers"


class NodeDeclaredFeatureValidator:
    """See the module."""

    resources = frozenset({("", "pods")})
    operations = frozenset({"UPDATE"})
    subresources = frozenset({"", "resize"})

    async def validate(self, attributes: Attributes) -> None:
        new, old = attributes.obj, attributes.old
        if new is None or old is None or not new["spec"].get("nodeName") or _generation(new) == _generation(old):
            return
        needed = required_features(new["spec"], old["spec"])
        if needed:
            await self._check(attributes, new, needed)

    async def _check(self, attributes: Attributes, pod: Object, needed: list[str]) -> None:
        node_name = pod["spec"]["nodeName"]
        try:
            node = await attributes.registries.get(NODES).get("", node_name)
        except errors.NotFound as error:
            raise errors.forbidden("pods", "", name_of(pod), f'node "{node_name}" not found') from error
        declared = (node.get("status") or {}).get("declaredFeatures") or ()
        missing = [each for each in needed if each not in declared]
        if missing:
            why = f'pod update requires features {", ".join(missing)} which are not available on node "{node_name}"'
            raise errors.forbidden("pods", "", name_of(pod), why)


def required_features(new: Object, old: Object) -> list[str]:
    """What a node must declare so that a pod of the spec `old` may become one of the spec `new`; sorted. Pure."""
    needed = []
    if not same(new.get("resources"), old.get("resources")):
        needed.append(POD_LEVEL_RESIZE)
    pairs = zip(old.get("initContainers") or (), new.get("initContainers") or (), strict=False)
    if any(
        before.get("restartPolicy") != "Always" and not same(after.get("resources"), before.get("resources")) for before, after in pairs
    ):
        needed.append(INIT_CONTAINER_RESIZE)
    return needed


def _generation(pod: Object) -> int:
    return int(pod["metadata"].get("generation") or 0)
