"""Groups and versions that an APIService says are served by somebody else: requests for them are passed on, both ways, as they are.

The extension API server is told who asks (`remote_user.py`) over TLS that shows it our front proxy's certificate; whether they may is its
own business too. Where it is: `extension_target.py`. What the server itself asks such servers: `extension_client.py`.
Source: kube-aggregator `pkg/apiserver/handler_proxy.go`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from apiserver.handlers import backends, extension_target
from apiserver.handlers.extension_target import Unreachable, trust_of
from apiserver.handlers.http_exchange import Head
from apiserver.handlers.proxy import HEAD_S_MAX, PATH_SAFE, answer_headers, exchange, passed_on, upgrade_headers
from apiserver.handlers.proxy_target import Target
from apiserver.handlers.remote_user import user_headers, without_users
from apiserver.handlers.request import Answer, Request, Response, StreamResponse
from apiserver.handlers.server import Server
from apiserver.handlers.upgrade import is_upgrade, pass_through
from apiserver.registry.registry import Registries
from kube.errors import ServiceUnavailable
from kube.objects import Object, is_condition_true
from kube.resources import Resource

DISCOVERY_S_MAX: Final = 5.0
"""How long an extension API server may think about what it serves: every client asks that first."""
_API_SERVICES: Final = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
_OPENAPI: Final = "/openapi/v3/apis/"
_REDIRECTED: Final = "the backend attempted to redirect this request, which is not permitted"


def extension_at(registries: Registries, path: str) -> Object | None:
    """The APIService by which somebody else answers at this path (`/apis/<group>/<version>...`, or its OpenAPI); None where nobody does."""
    if path.startswith("/apis/"):
        parts = path.split("/", 4)[2:4]
    elif path.startswith(_OPENAPI):
        parts = path.removeprefix(_OPENAPI).split("/")
    else:
        return None
    return extension_of(registries, *parts) if len(parts) == 2 and all(parts) else None


def extension_of(registries: Registries, group: str, version: str) -> Object | None:
    """The APIService by which somebody else serves a group and version; None where nobody does, or the group is our own."""
    if group in registries.built_in_groups:
        return None
    cache = registries.get(_API_SERVICES).cache
    entry = cache.get("", f"{version}.{group}")
    if entry is None or b'"service":' not in entry.value:
        return None
    api_service = cache.object_of(entry)
    return api_service if (api_service.get("spec") or {}).get("service") else None


async def serve(request: Request, api_service: Object) -> Answer:
    """The extension API server's answer to a request. Raises ClientGone, Upgraded."""
    if not is_condition_true(api_service, "Available"):
        return _text(503, "service unavailable")
    server = request.server
    try:
        host, port = extension_target.find(
            server.registries, api_service["spec"]["service"], server.rng, endpoints=server.aggregator_routing
        )
    except Unreachable:
        return _text(503, "service unavailable")
    target = _target(server, host, port, api_service)
    try:
        return await _passed_on(request, target)
    except ServiceUnavailable as error:
        return _text(503, error.message)
    except ValueError as error:
        return _text(500, str(error))


async def _passed_on(request: Request, target: Target) -> Answer:
    path = request.scope["path"]
    query = request.scope["query_string"]
    url = quote(path, safe=PATH_SAFE) + (f"?{query.decode('latin-1')}" if query else "")
    headers = _headers(request, target)
    if is_upgrade(request):
        return await pass_through(request, target.connect, url, [*headers, *upgrade_headers(request)])
    is_discovery = not request.info.is_resource and len(path.strip("/").split("/")) == 3
    head, body = await exchange(request, target, url, headers, head_s_max=DISCOVERY_S_MAX if is_discovery else HEAD_S_MAX)
    if _is_redirect(head):
        await body.aclose()
        return _text(502, _REDIRECTED)
    out = answer_headers(head, target, client_host=request.header(b"host"), within="")
    return StreamResponse(head.status, body, head.get("content-type"), out)


def _is_redirect(head: Head) -> bool:
    return 300 <= head.status <= 399 and bool(head.get("location"))


def _headers(request: Request, target: Target) -> list[tuple[bytes, bytes]]:
    authority = target.authority.encode()
    forwarded = [
        (b"X-Forwarded-Uri", quote(request.scope["path"], safe=PATH_SAFE).encode()),
        (b"X-Forwarded-Host", authority),
        (b"X-Forwarded-Proto", b"https"),
    ]
    ours = {name.lower() for name, _ in forwarded}
    kept = [(name, value) for name, value in without_users(passed_on(request)) if name.lower() not in ours]
    return [(b"Host", authority), *kept, *forwarded, *user_headers(request.user)]


def _target(server: Server, host: str, port: int, api_service: Object) -> Target:
    trust = trust_of(api_service)
    return Target(backends.joined(host, port), lambda: backends.open_extension(server, host, port, trust))


def _text(status: int, text: str) -> Response:
    """As Go's http.Error: extension API servers are not ours, and neither is the form in which their absence is told."""
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8", [("x-content-type-options", "nosniff")])


__all__ = ["extension_at", "extension_of", "serve"]
