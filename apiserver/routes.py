"""The server's own endpoint beside Kubernetes' API: its metrics. FastAPI's part of the server, loaded when it is asked for."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from apiserver.handlers.server import Server
from apiserver.metrics import RequestMetrics

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""Upstream asks for no method in particular."""


def add(api: FastAPI, server: Server, metrics: RequestMetrics) -> None:
    """Add the routes to `api`."""

    @api.api_route("/metrics", methods=METHODS)
    async def metrics_text() -> PlainTextResponse:
        text = metrics.text() + server.registries.admission.metrics() + _cache_metrics(server)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _cache_metrics(server: Server) -> str:
    lines = ["# TYPE apiserver_storage_objects gauge"]
    for registry in server.registries.all():
        if registry.cache.revision:
            lines.append(f'apiserver_storage_objects{{resource="{registry.resource.qualified}"}} {registry.cache.count()}')
    lines.append("# TYPE apiserver_longrunning_requests gauge")
    watchers = sum(registry.cache.watchers for registry in server.registries.all())
    lines.append(f'apiserver_longrunning_requests{{verb="WATCH"}} {watchers}')
    return "\n".join(lines) + "\n"
