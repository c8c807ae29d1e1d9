"""What goes through the server to somewhere else: logs, exec, attach, port-forward, and the proxies of pods, services and nodes.

    pod_log.py       logs, streamed
    pod_streams.py   exec, attach, portforward: upgraded connections, passed through as bytes (`upgrade.py`)
    proxy.py         pods, services and nodes behind `proxy`; `proxy_target.py` says where each leads
    backends.py      the addresses that may be connected to, and the connections
    http_exchange.py what is said over them
    connect_admission.py  whether admission lets it through (not logs: those are read)

Nothing here looks into what passes through.
"""

from __future__ import annotations

from apiserver.handlers import connect_admission, pod_log, pod_streams, proxy
from apiserver.handlers.request import Answer, Request
from apiserver.handlers.upgrade import Upgraded
from apiserver.registry.kind import Subresource
from apiserver.registry.registry import Served
from kube.errors import BadRequest, NotImplementedByServer

STREAMED = frozenset({"log", "exec", "attach", "portforward", "proxy"})
"""The subresources whose answers have whatever form the node gives them: `Accept` is not looked at."""


async def connect(request: Request, served: Served, part: Subresource) -> Answer:
    """Serve one of the connect subresources. Raises ApiError; Upgraded when the connection was taken over."""
    plural, name = served.resource.plural, part.name
    if "dryRun" in request.query and name != "log":
        raise BadRequest("dryRun is not supported")
    if plural == "pods" and name == "log":
        return await pod_log.serve(request, served)
    await connect_admission.admit(request, served, part)
    if plural == "pods" and name in ("exec", "attach", "portforward"):
        return await pod_streams.serve(request, served, name)
    if name == "proxy":
        return await proxy.serve(request, plural)
    raise NotImplementedByServer(f"{served.resource.qualified}/{name} is not implemented by this server yet")


__all__ = ["STREAMED", "Upgraded", "connect"]
