"""Everything that is not a resource: health, version, metrics, discovery, OpenAPI. FastAPI's part of the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from fastapi.responses import Response as FastAPIResponse

from apiserver.handlers import pretty
from apiserver.handlers.documents import Documents
from apiserver.handlers.negotiation import check_acceptable
from apiserver.handlers.read import error_response
from apiserver.handlers.request import JSON, PAGE_NOT_FOUND, Response, json_response
from apiserver.handlers.resources import no_such_path, not_allowed
from apiserver.handlers.server import Server
from apiserver.health import Health
from apiserver.metrics import RequestMetrics
from apiserver.openid import CONFIGURATION, KEYS, OpenId
from apiserver.version import version_document
from kube.errors import ApiError

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def add(api: FastAPI, server: Server, metrics: RequestMetrics) -> None:
    """Add the routes to `api`."""
    health = Health(server)

    @api.api_route("/metrics", methods=METHODS)
    async def metrics_text() -> FastAPIResponse:
        return FastAPIResponse(metrics.text() + _cache_metrics(server), media_type="text/plain; version=0.0.4; charset=utf-8")

    @api.api_route("/{path:path}", methods=METHODS)
    async def everything_else(request: FastAPIRequest) -> FastAPIResponse:
        headers, query = dict(request.headers), request.scope["query_string"]
        try:
            if request.url.path == "/":
                documents: Documents = server.extra["documents"]
                published = [CONFIGURATION, KEYS] if server.extra.get("openid") is not None else []
                paths = [*documents.paths(), *health.paths(), *published, "/metrics", "/version"]
                return _sent(json_response(200, {"paths": sorted(paths)}))
            answer = document_at(server, request.method, request.url.path, request.url.query, headers)
        except ApiError as error:
            answer = error_response(error, headers.get("accept", ""))
        if not request.url.path.startswith("/openapi/") and pretty.is_wanted(
            query, headers.get("user-agent", "").encode("latin-1"), headers.get("accept", "").encode("latin-1")
        ):
            answer = pretty.indented(answer)
        return _sent(answer)


def _sent(answer: Response) -> FastAPIResponse:
    out = FastAPIResponse(answer.body, status_code=answer.status, headers=dict(answer.headers))
    out.headers["content-type"] = answer.content_type  # set by hand: FastAPI would add a charset to it
    return out


def document_at(server: Server, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
    """Version, discovery, OpenAPI and OpenID. Raises ApiError. Like upstream, some paths answer to any method and others to GET alone."""
    if path.rstrip("/") == "/version":
        _check_route(method, headers, (JSON,))
        return json_response(200, version_document(server.registries.definitions))
    openid: OpenId | None = server.extra.get("openid")
    if openid is not None and (found := openid.answer(method, path, headers)) is not None:
        return found
    documents: Documents = server.extra["documents"]
    answer = documents.answer(method, path, query, headers)
    if answer is None:
        if path.startswith(("/api/", "/apis/")) and _group_of(path) in server.registries.built_in_groups:
            raise no_such_path()
        return PAGE_NOT_FOUND
    return answer


def _check_route(method: str, headers: Mapping[str, str], produces: tuple[str, ...]) -> None:
    if method != "GET":
        raise not_allowed()
    check_acceptable(headers.get("accept", ""), produces)


def _group_of(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "apis" and len(parts) > 1 else ""


def _cache_metrics(server: Server) -> str:
    lines = ["# TYPE apiserver_storage_objects gauge"]
    for registry in server.registries.all():
        if registry.cache.revision:
            lines.append(f'apiserver_storage_objects{{resource="{registry.resource.qualified}"}} {registry.cache.count()}')
    lines.append("# TYPE apiserver_longrunning_requests gauge")
    watchers = sum(registry.cache.watchers for registry in server.registries.all())
    lines.append(f'apiserver_longrunning_requests{{verb="WATCH"}} {watchers}')
    return "\n".join(lines) + "\n"
