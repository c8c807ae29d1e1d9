"""NamespaceLifecycle: nothing is created in a namespace that is not there or is going away; the system's namespaces stay.

Source: apiserver `pkg/admission/plugin/namespace/lifecycle/admission.go`.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes
from kube import errors
from kube.resources import NAMESPACES

IMMORTAL: Final = frozenset({"default", "kube-system", "kube-public"})
_REVIEWS: Final = frozenset({"localsubjectaccessreviews"})


class NamespaceLifecycle:
    """See the module."""

    operations = frozenset({"CREATE", "DELETE"})

    async def mutate(self, attributes: Attributes) -> None:
        resource = attributes.kind.resource
        if attributes.operation == "DELETE" and resource.plural == "namespaces" and attributes.name in IMMORTAL:
            raise errors.forbidden("namespaces", "", attributes.name, "this namespace may not be deleted")
        if attributes.operation != "CREATE" or not resource.namespaced or resource.plural in _REVIEWS:
            return
        registry = attributes.registries.get(NAMESPACES)
        await registry.cache.catch_up()
        entry = registry.cache.get("", attributes.namespace)
        if entry is None:
            raise errors.not_found("namespaces", "", attributes.namespace)
        if b'"deletionTimestamp"' not in entry.value:
            return
        namespace = registry.cache.object_of(entry)
        if namespace["metadata"].get("deletionTimestamp"):
            raise self._terminating(attributes)

    def _terminating(self, attributes: Attributes) -> errors.Forbidden:
        resource = attributes.kind.resource
        namespace = attributes.namespace
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        error = errors.forbidden(resource.plural, resource.group, attributes.name, why)
        cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated", "field": "metadata.namespace"}
        error.details = {**(error.details or {}), "causes": [cause]}
        return error
