"""Groups and versions that an APIService says are served by somebody else.

# deviates: requests are not passed on to extension API servers: their paths answer 503, as upstream's do while one cannot be reached
"""

from __future__ import annotations

from apiserver.handlers.request import Response
from apiserver.registry.registry import Registries
from kube.resources import Resource

_API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
_UNAVAILABLE = Response(503, b"service unavailable\n", "text/plain; charset=utf-8")


def extension_answer(registries: Registries, group: str, version: str) -> Response | None:
    """The answer to any request for a group and version that has an APIService with a Service; None where there is none."""
    cache = registries.get(_API_SERVICES).cache
    entry = cache.get("", f"{version}.{group}")
    if entry is None or not (cache.object_of(entry).get("spec") or {}).get("service"):
        return None
    return _UNAVAILABLE
