"""pods/{name}/exec, attach and portforward: found here, served by the node's kubelet over the connection that is passed through.

Source: `pkg/registry/core/pod/rest/subresources.go` and `strategy.go` (the order of the checks).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from apiserver.handlers import pod_options
from apiserver.handlers.backends import kubelet_of, open_kubelet
from apiserver.handlers.request import Answer, Request
from apiserver.handlers.upgrade import pass_through
from apiserver.registry.registry import Served
from kube.errors import BadRequest, MethodNotAllowed

_PASSED_ON: Final = (b"upgrade", b"connection", b"x-stream-protocol-version", b"content-length", b"accept", b"user-agent", b"origin")


async def serve(request: Request, served: Served, subresource: str) -> Answer:
    """Serve `exec`, `attach` or `portforward`. Raises ApiError; Upgraded when it is over."""
    if request.method not in ("GET", "POST"):
        raise MethodNotAllowed("the server does not allow this method on the requested resource", details={})
    ports = pod_options.port_query(request.query) if subresource == "portforward" else ""
    pod = await served.registry.get(request.info.namespace, request.info.name)
    meta = pod["metadata"]
    where = f"{quote(meta['namespace'])}/{quote(meta['name'])}"
    if subresource == "portforward":
        target = f"/portForward/{where}{ports}"
    else:
        container = pod_options.container_of(pod, request.param("container"))
        query = pod_options.command_query(request.query, with_command=subresource == "exec")
        target = f"/{subresource}/{where}/{quote(container)}{query}"
    node = pod["spec"].get("nodeName")
    if not node:
        raise BadRequest(f"pod {meta['name']} does not have a host assigned")
    kubelet = await kubelet_of(request, node)
    headers = [(b"Host", kubelet.node.encode())]
    headers += [(name, value) for name, value in request.scope["headers"] if name in _PASSED_ON or name.startswith(b"sec-websocket-")]
    return await pass_through(request, lambda: open_kubelet(request, kubelet), target, headers)
