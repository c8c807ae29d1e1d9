"""Bindings: POST puts a pod on a node; nothing is stored. The pod's own door to the same is `pods/binding`."""

from __future__ import annotations

from typing import Any

from apiserver.kinds.pod_binding import bind
from apiserver.registry.kind import Context, Kind
from kube.objects import Object, name_of
from kube.resources import Resource


async def _create(registries: Any, namespace: str, body: Object, ctx: Context) -> Object:
    return await bind(registries, None, namespace, name_of(body), body, ctx)


BINDING = Kind(
    resource=Resource("", "v1", "bindings", "Binding"),
    definition="io.k8s.api.core.v1.Binding",
    singular="binding",
    verbs=("create",),
    create=_create,
)

KINDS = [BINDING]
