"""Keeps what extension API servers say of themselves: their part of discovery and of the OpenAPI index, asked for once a minute.

Where one cannot be reached, its group and version stay in discovery, marked `Stale`. Source: kube-aggregator
`pkg/apiserver/handler_discovery.go`, `pkg/controllers/openapiv3`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from apiserver.bootstrap.api_services import API_SERVICES
from apiserver.handlers.extension_client import NoAnswer, ask
from apiserver.handlers.extension_documents import (
    AGGREGATED_ACCEPT,
    Extension,
    Extensions,
    converted,
    is_aggregated,
    openapi_entry,
    resources_in,
)
from apiserver.handlers.extension_target import Unreachable
from apiserver.handlers.server import Server
from apiserver.loops.follow import Concerns
from apiserver.registry.cache import DELETED, Change
from kube.objects import Object, is_condition_true
from kube.resources import Resource

REFRESH_S: Final = 60.0
RETRY_S: Final = 0.5
_JSON: Final = "application/json"


class ExtensionDiscoveryLoop:
    """Keys are names of APIServices."""

    name = "extension-discovery"

    def __init__(self, server: Server, extensions: Extensions) -> None:
        self._server, self._extensions = server, extensions
        self._api_services = server.registries.get(API_SERVICES).cache
        self._failures: dict[str, int] = {}

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((API_SERVICES, self._changed),)

    def _changed(self, change: Change) -> Iterable[str]:
        name = change.entry.name
        if change.type != DELETED and name not in self._extensions.by_name and b'"service":' not in change.entry.value:
            return ()
        return (name,)

    def reset(self) -> Iterable[str]:
        return [*self._extensions.by_name, *(each.name for each in self._api_services.entries() if b'"service":' in each.value)]

    async def settle(self, key: str) -> float | None:
        entry = self._api_services.get("", key)
        api_service = self._api_services.object_of(entry) if entry is not None else {}
        spec = api_service.get("spec") or {}
        if not spec.get("service") or spec.get("group", "") in ("", *self._server.registries.built_in_groups):
            self._extensions.remove(key)
            self._failures.pop(key, None)
            return None
        found, is_fresh = await self._asked(key, api_service)
        self._extensions.put(key, found)
        failures = self._failures[key] = 0 if is_fresh else self._failures.get(key, 0) + 1
        return REFRESH_S if is_fresh else min(REFRESH_S, RETRY_S * 2.0 ** min(failures, 16))

    async def _asked(self, key: str, api_service: Object) -> tuple[Extension, bool]:
        """What there is to say about an APIService's group and version, and whether it has just been asked."""
        spec = api_service["spec"]
        known = self._extensions.by_name.get(key) or Extension(spec["group"], spec["version"])
        priorities = {"group_priority": spec.get("groupPriorityMinimum", 0), "version_priority": spec.get("versionPriority", 0)}
        known = replace(known, group=spec["group"], version=spec["version"], **priorities)
        if not is_condition_true(api_service, "Available"):
            return replace(known, resources=(), is_fresh=False), False
        try:
            resources = await self._resources(api_service, spec["group"], spec["version"])
            openapi = await self._openapi(api_service, spec["group"], spec["version"])
        except (NoAnswer, Unreachable, ValueError):
            return replace(known, is_fresh=False), False
        return replace(known, resources=resources, openapi=openapi, is_fresh=True), True

    async def _resources(self, api_service: Object, group: str, version: str) -> tuple[Any, ...]:
        """Raises NoAnswer, Unreachable, ValueError."""
        reply = await ask(self._server, api_service, "/apis", accept=f"{AGGREGATED_ACCEPT},{_JSON}")
        if reply.status == 200 and is_aggregated(reply.headers["content-type"]):
            return resources_in(_mapping(reply.body), group, version)
        reply = await ask(self._server, api_service, f"/apis/{group}/{version}", accept=_JSON)
        if reply.status != 200:
            raise NoAnswer(f"failed to download legacy discovery for {reply.url}: {reply.status}")
        return converted(_mapping(reply.body).get("resources") or ())

    async def _openapi(self, api_service: Object, group: str, version: str) -> Any:
        # deviates: an extension API server that has OpenAPI v2 only is not in /openapi/v3, and none is in /openapi/v2
        reply = await ask(self._server, api_service, "/openapi/v3", accept=_JSON)
        return openapi_entry(_mapping(reply.body), group, version) if reply.status == 200 else None


def _mapping(body: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    found = orjson.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
