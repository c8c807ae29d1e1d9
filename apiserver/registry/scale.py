"""The Scale of an object: autoscaling/v1's view of its replicas. Pure. Source: `ScaleREST` in upstream's `pkg/registry/apps/*/storage`."""

from __future__ import annotations

from typing import Any, Final

from apiserver.registry.kind import Kind
from kube.objects import Object
from kube.patch.scale import SCALE_VERSION
from kube.resources import Resource

SCALE: Final = Resource("autoscaling", "v1", "scales", "Scale")
DEFINITION: Final = "io.k8s.api.autoscaling.v1.Scale"


def scale_of(kind: Kind, obj: Object) -> Object:
    """The Scale of an object, without managedFields. Pure."""
    assert kind.scale is not None
    meta = obj["metadata"]
    metadata = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if key in meta}
    status: Object = {"replicas": number_at(obj, kind.scale.status_path)}
    selector = kind.scale.selector(obj)
    if selector:
        status["selector"] = selector
    replicas = number_at(obj, kind.scale.replicas_path)
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": SCALE_VERSION, "metadata": metadata, "spec": spec, "status": status}


def number_at(obj: Any, path: tuple[str, ...]) -> int:
    """The number at a path; 0 where there is none."""
    for part in path:
        obj = (obj or {}).get(part)
    return int(obj or 0)


def set_replicas(kind: Kind, obj: Object, replicas: int) -> None:
    """Put a Scale's wish into the object, in place."""
    assert kind.scale is not None
    target = obj
    for part in kind.scale.replicas_path[:-1]:
        target = target.setdefault(part, {})
    target[kind.scale.replicas_path[-1]] = replicas
