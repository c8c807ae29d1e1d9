"""TaintNodesByCondition: a new Node is not ready until its conditions say otherwise. Source: `plugin/pkg/admission/nodetaint`."""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes

NOT_READY: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class TaintNodesByCondition:
    """See the module."""

    resources = frozenset({("", "nodes")})

    async def mutate(self, attributes: Attributes) -> None:
        if attributes.operation != "CREATE" or attributes.subresource or attributes.obj is None:
            return
        spec = attributes.obj.setdefault("spec", {})
        taints = spec.get("taints") or []
        if not any(each.get("key") == NOT_READY["key"] and each.get("effect") == NOT_READY["effect"] for each in taints):
            spec["taints"] = [*taints, dict(NOT_READY)]
