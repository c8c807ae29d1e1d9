"""Admission of what goes through the server: the operation CONNECT, whose object is the options that the query asks for.

Source: apiserver `pkg/endpoints/handlers/rest.go` (ConnectResource), core/v1 `PodExecOptions`, `PodAttachOptions`, `PodPortForwardOptions`,
`PodProxyOptions`, `ServiceProxyOptions`, `NodeProxyOptions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apiserver.handlers import pod_options
from apiserver.handlers.request import Request
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Subresource
from apiserver.registry.registry import Served
from kube.objects import Object

_FLAGS = ("stdin", "stdout", "stderr", "tty")
Query = Mapping[str, Sequence[str]]


def options_of(part: Subresource, query: Query, rest: str) -> Object:
    """The options of a request, as an object; `rest` is the path behind `proxy`."""
    found: Object = {"kind": part.kind, "apiVersion": "v1"}
    if part.name == "proxy":
        return found | {"path": f"/{rest}"} if rest else found
    if part.name == "portforward":
        ports = [int(each) for value in query.get("ports") or () for each in value.split(",") if each.isdecimal()]
        return found | {"ports": ports} if ports else found
    found |= {name: True for name in _FLAGS if pod_options.flag(query, name)}
    if container := (query.get("container") or [""])[0]:
        found["container"] = container
    if part.name == "exec":
        found["command"] = list(query.get("command") or ()) or None
    return found


async def admit(request: Request, served: Served, part: Subresource) -> None:
    """Raises ApiError where admission refuses the connection."""
    info, registry = request.info, served.registry
    ctx = request.context({}, verb="connect")
    namespace = info.namespace if registry.resource.namespaced else ""
    options = options_of(part, request.query, info.rest)
    attributes = Attributes(registry.kind, "CONNECT", namespace, info.name, dict(options), None, ctx, registry.registries)
    await registry.registries.admission.mutate(attributes)
    await registry.registries.admission.validate(attributes)
    if part.name != "proxy" and attributes.obj is not None and attributes.obj != options:
        request.ask(query_of(attributes.obj))


def query_of(options: Object) -> dict[str, list[str]]:
    """The query that asks for such options of exec, attach or port-forward."""
    found = {name: ["true"] for name in _FLAGS if options.get(name) is True}
    if options.get("container"):
        found["container"] = [str(options["container"])]
    if options.get("command"):
        found["command"] = [str(each) for each in options["command"]]
    if options.get("ports"):
        found["ports"] = [",".join(map(str, options["ports"]))]
    return found
