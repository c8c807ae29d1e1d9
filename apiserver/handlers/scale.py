"""The scale subresource: an autoscaling/v1 Scale read from and written to the kind's own replicas field."""

from __future__ import annotations

from typing import Any

from apiserver.handlers.write_options import decode_options
from apiserver.handlers.negotiation import negotiate
from apiserver.handlers.read import document
from apiserver.handlers.request import Request, Response
from apiserver.handlers.write import check_name, check_scope, read_object
from apiserver.registry.kind import Kind, Subresource
from apiserver.registry.registry import Served
from kube import errors
from kube.objects import Object

DEFINITION = "io.k8s.api.autoscaling.v1.Scale"


def scale_of(kind: Kind, obj: Object) -> Object:
    """The Scale of an object. Pure."""
    assert kind.scale is not None
    meta = obj["metadata"]
    metadata = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if key in meta}
    status: Object = {"replicas": _at(obj, kind.scale.status_path)}
    selector = kind.scale.selector(obj)
    if selector:
        status["selector"] = selector
    replicas = _at(obj, kind.scale.replicas_path)
    spec = {"replicas": replicas} if replicas else {}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _at(obj: Any, path: tuple[str, ...]) -> int:
    for part in path:
        obj = (obj or {}).get(part)
    return int(obj or 0)


def set_scale(kind: Kind, obj: Object, scale: Object) -> None:
    """Write a Scale's wish into the object, with the preconditions its metadata carries. Raises Invalid."""
    assert kind.scale is not None
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        problem = errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise errors.invalid_object("Scale", "autoscaling", obj["metadata"]["name"], [problem])
    target = obj
    for part in kind.scale.replicas_path[:-1]:
        target = target.setdefault(part, {})
    target[kind.scale.replicas_path[-1]] = replicas
    for field in ("uid", "resourceVersion"):
        if scale["metadata"].get(field):
            obj["metadata"][field] = scale["metadata"][field]


async def get(request: Request, served: Served) -> Response:
    form = negotiate(request.header(b"accept"))
    obj = await served.registry.get(request.info.namespace, request.info.name)
    return document(form, 200, scale_of(served.registry.kind, obj))


async def update(request: Request, served: Served, part: Subresource) -> Response:
    form = negotiate(request.header(b"accept"))
    options = decode_options(request.query, "UpdateOptions")
    scale = await read_object(request, served, part, options)
    namespace = check_scope(request, served, scale)
    check_name(request.info.name, scale)

    def change(current: Object | None) -> Object:
        assert current is not None
        current["metadata"].pop("resourceVersion", None)
        set_scale(served.registry.kind, current, scale)
        return current

    ctx = request.context(options, verb="update")
    written = await served.registry.write(namespace, request.info.name, change, ctx, replace=True, options=options)
    return document(form, 200, scale_of(served.registry.kind, written.obj))
