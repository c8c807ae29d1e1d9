"""PodResizeValidator: a pod on a node is resized to no more than the node has for pods, and on Linux nodes alone.

What fits on the node, but not beside the pods that are there, is the kubelet's to put off. Source: kubernetes
`plugin/pkg/admission/podresize/admission.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.registry.admission import Attributes
from kube import errors
from kube.amounts import Amounts, plus, read
from kube.objects import Object, labels_of, name_of
from kube.pod_amounts import aggregate, with_pod_level
from kube.quantity import ZERO
from kube.resources import NODES

NODE_CAPACITY, UNSUPPORTED_PLATFORM = "NodeCapacity", "UnsupportedPlatform"
_OS = "kubernetes.io/os"


class PodResizeValidator:
    """See the module."""

    resources = frozenset({("", "pods")})
    operations = frozenset({"UPDATE"})
    subresources = frozenset({"resize"})

    async def validate(self, attributes: Attributes) -> None:
        new, old = attributes.obj, attributes.old
        if new is None or old is None or not new["spec"].get("nodeName"):
            return
        if new["metadata"].get("generation") == old["metadata"].get("generation"):
            return
        node_name = new["spec"]["nodeName"]
        try:
            node = await attributes.registries.get(NODES).get("", node_name)
        except errors.NotFound as error:
            raise errors.forbidden("pods", "", name_of(new), f'node "{node_name}" not found') from error
        if found := refusal(new["spec"], node):
            cause, why = found
            told = errors.forbidden("pods", "", name_of(new), why)
            raise errors.Forbidden(told.message, details={**(told.details or {}), "causes": [{"reason": cause}]})


def refusal(spec: Object, node: Object) -> tuple[str, str] | None:
    """(cause, message) of why a pod may not be resized to this spec on that node; None where it may. Pure."""
    system = labels_of(node).get(_OS)
    if system not in (None, "linux"):
        return UNSUPPORTED_PLATFORM, f'pod resize is only supported on linux nodes, node "{name_of(node)}" is "{system}"'
    if lacking := _lacking(spec, (node.get("status") or {}).get("allocatable") or {}):
        return NODE_CAPACITY, f"node didn't have enough allocatable resources: {'; '.join(lacking)}"
    return None


def _lacking(spec: Object, allocatable: Mapping[str, str]) -> list[str]:
    wanted: Amounts = plus(with_pod_level(spec, "requests", aggregate(spec, "requests")), read(spec.get("overhead")))
    has = read(allocatable)
    cpu, cpu_has = wanted.get("cpu", ZERO), has.get("cpu", ZERO)
    memory, memory_has = wanted.get("memory", ZERO), has.get("memory", ZERO)
    found = []
    if cpu > cpu_has:
        found.append(f"cpu, requested: {cpu.milli_value()}, allocatable: {cpu_has.milli_value()}")
    if memory > memory_has:
        found.append(f"memory, requested: {memory.value()}, allocatable: {memory_has.value()}")
    return found
