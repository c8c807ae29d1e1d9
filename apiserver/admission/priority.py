"""Priority: a pod's priority class becomes its priority and preemption policy; one PriorityClass at most is the global default.

Source: `plugin/pkg/admission/priority/admission.go`.
"""

from __future__ import annotations

from typing import Any, Final

from apiserver.registry.admission import Attributes
from kube import errors
from kube.objects import Object
from kube.resources import PRIORITY_CLASSES

SYSTEM_CLASSES: Final = frozenset({"system-node-critical", "system-cluster-critical"})


class Priority:
    """See the module."""

    resources = frozenset({("", "pods"), ("scheduling.k8s.io", "priorityclasses")})
    subresources = frozenset({""})

    def __init__(self) -> None:
        self._default: Object | None = None
        self._default_as_of: tuple[Any, int] = (None, 0)

    async def mutate(self, attributes: Attributes) -> None:
        if attributes.kind.resource.plural != "pods" or attributes.subresource or attributes.obj is None:
            return
        spec = attributes.obj.get("spec")
        if not isinstance(spec, dict):
            return
        if attributes.operation == "UPDATE":
            old = (attributes.old or {}).get("spec", {})
            for field in ("priority", "preemptionPolicy"):
                if field not in spec and field in old:
                    spec[field] = old[field]
            return
        if attributes.operation == "CREATE":
            await self._assign(attributes, spec)

    async def _assign(self, attributes: Attributes, spec: Object) -> None:
        name = spec.get("priorityClassName") or ""
        found = await self._class(attributes, name)
        value = found["value"] if found is not None else 0
        policy = (found or {}).get("preemptionPolicy") or "PreemptLowerPriority"
        if found is not None and not name:
            spec["priorityClassName"] = found["metadata"]["name"]
        for field, computed in (("priority", value), ("preemptionPolicy", policy)):
            given = spec.get(field)
            if given is not None and given != computed:
                what = "the integer value of priority" if field == "priority" else "the string value of PreemptionPolicy"
                why = f"{what} ({given}) must not be provided in pod spec; priority admission controller computed {computed} from the given"
                why += " PriorityClass name"
                raise errors.forbidden("pods", "", attributes.obj["metadata"].get("name", "") if attributes.obj else "", why)
        spec["priority"], spec["preemptionPolicy"] = value, policy

    async def _class(self, attributes: Attributes, name: str) -> Object | None:
        registry = attributes.registries.get(PRIORITY_CLASSES)
        if name:
            try:
                found: Object = await registry.get("", name)
            except errors.NotFound as error:
                pod = attributes.obj["metadata"].get("name", "") if attributes.obj else ""
                raise errors.forbidden("pods", "", pod, f"no PriorityClass with name {name} was found") from error
            return found
        cache = registry.cache
        await cache.catch_up()
        if self._default_as_of != (cache, cache.changes):
            defaults = [cache.object_of(entry) for entry in cache.entries() if b'"globalDefault":true' in entry.value]
            self._default = min(defaults, key=lambda each: each["value"], default=None)  # of several, as upstream, the lowest
            self._default_as_of = (cache, cache.changes)
        return self._default

    async def validate(self, attributes: Attributes) -> None:
        if attributes.kind.resource.plural != "priorityclasses" or attributes.subresource:
            return
        if attributes.operation == "DELETE" and attributes.name in SYSTEM_CLASSES:
            why = "this is a system priority class and cannot be deleted"
            raise errors.forbidden("priorityclasses", "scheduling.k8s.io", attributes.name, why)
        if attributes.obj is None or not attributes.obj.get("globalDefault"):
            return
        registry = attributes.registries.get(PRIORITY_CLASSES)
        for other in await registry.list_objects():
            name = other["metadata"]["name"]
            if other.get("globalDefault") and name != attributes.obj["metadata"].get("name"):
                why = f"PriorityClass {name} is already marked as default. Only one default can exist"
                raise errors.forbidden("priorityclasses", "scheduling.k8s.io", attributes.obj["metadata"].get("name", ""), why)
