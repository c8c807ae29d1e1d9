"""Says of each APIService whether it can be reached (condition `Available`).

What this server serves itself always can. For others there must be a Service, listening on the port, with ready endpoints, that answers.
Source: kube-aggregator `pkg/controllers/status` (local and remote).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from apiserver.bootstrap.api_services import API_SERVICES
from apiserver.handlers.extension_client import NoAnswer, ask
from apiserver.handlers.extension_target import Unreachable
from apiserver.handlers.server import Server
from apiserver.loops.follow import Concerns
from apiserver.loops.status import says, update_condition
from apiserver.registry.cache import DELETED, Change, Entry
from apiserver.registry.registry import Registries
from kube.objects import Object, condition_of
from kube.resources import ENDPOINT_SLICES, SERVICES, Resource

RECHECK_S: Final = 30.0
RETRY_S: Final = 0.25
"""Half the time after which a server that did not answer is asked again; twice as long each time, up to `RECHECK_S`."""
ATTEMPTS_MORE: Final = 4
_SERVICE_NAME: Final = "kubernetes.io/service-name"

Probe = Callable[[Object, str], Awaitable[str]]
"""async (APIService, path of its discovery document) -> "" when it answers, else what is wrong. Must not take long."""


def prober(server: Server) -> Probe:
    """The Probe that asks. One answer in the 200s, out of a few attempts, is enough."""

    async def probe(api_service: Object, path: str) -> str:
        problem = await _asked(server, api_service, path)
        if problem:
            problems = await asyncio.gather(*(_asked(server, api_service, path) for _ in range(ATTEMPTS_MORE)))
            problem = "" if "" in problems else problems[-1]
        return problem

    return probe


async def _asked(server: Server, api_service: Object, path: str) -> str:
    try:
        reply = await ask(server, api_service, path)
    except (NoAnswer, Unreachable) as error:
        return str(error)
    return "" if 200 <= reply.status < 300 else f"failing or missing response from {reply.url}: bad status from {reply.url}: {reply.status}"


# --- deciding ----------------------------------------------------------------------------------------------------------


def _condition(status: str, reason: str, message: str) -> Object:
    return {"type": "Available", "status": status, "reason": reason, "message": message}


LOCAL: Final = _condition("True", "Local", "Local APIServices are always available")
PASSED: Final = _condition("True", "Passed", "all checks passed")


def failed(why: str) -> Object:
    """The condition when the extension API server does not answer."""
    return _condition("False", "FailedDiscoveryCheck", why)


def unavailable(reference: Object, service: Object | None, slices: Sequence[Object]) -> Object | None:
    """The condition of an APIService whose `spec.service` is `reference`, as far as can be told without asking it; None: ask it."""
    port = reference.get("port", 443)
    where = f'service/{reference.get("name", "")} in "{reference.get("namespace", "")}"'
    if service is None:
        return _condition("False", "ServiceNotFound", f"{where} is not present")
    spec = service.get("spec") or {}
    if spec.get("type", "ClusterIP") != "ClusterIP":
        return None
    listening = [each for each in spec.get("ports") or () if each.get("port") == port]
    if not listening:
        return _condition("False", "ServicePortError", f"{where} is not listening on port {port}")
    if not slices:
        return _condition("False", "EndpointsNotFound", f"cannot find endpointslices for {where}")
    name = listening[0].get("name", "")
    if not any(_is_active(each, name) for each in slices):
        return _condition("False", "MissingEndpoints", f'endpointslices for {where} have no addresses with port name "{name}"')
    return None


def _is_active(slice_: Object, port_name: str) -> bool:
    ready = any((each.get("conditions") or {}).get("ready") is not False for each in slice_.get("endpoints") or ())
    return ready and any(each.get("name", "") == port_name and each.get("port") is not None for each in slice_.get("ports") or ())


def discovery_path(api_service: Object) -> str:
    """Where an extension API server says what it serves."""
    spec = api_service["spec"]
    return f"/apis/{spec['group']}/{spec['version']}" if spec.get("group") else f"/api/{spec['version']}"


# --- doing -------------------------------------------------------------------------------------------------------------


class LocalAPIServiceLoop:
    """Keys are names of APIServices; those with a Service are left alone."""

    name = "local-api-service"

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._api_services = registries.get(API_SERVICES).cache

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((API_SERVICES, lambda change: (change.entry.name,) if change.type != DELETED else ()),)

    def reset(self) -> Iterable[str]:
        return [entry.name for entry in self._api_services.entries()]

    async def settle(self, key: str) -> float | None:
        entry = self._api_services.get("", key)
        if entry is not None:
            api_service = self._api_services.object_of(entry)
            is_local = not (api_service.get("spec") or {}).get("service")
            if is_local and not says(condition_of(api_service, "Available"), LOCAL):
                await update_condition(self._registries, API_SERVICES, key, LOCAL)
        return None


class APIServiceLoop:
    """Keys are names of APIServices that have a Service. Asking takes its time, so this is a loop of its own."""

    name = "api-service"

    def __init__(self, registries: Registries, probe: Probe) -> None:
        self._registries, self._probe = registries, probe
        self._failures: dict[str, int] = {}  # how often in a row an extension API server has not answered
        self._api_services = registries.get(API_SERVICES).cache
        self._services, self._slices = registries.get(SERVICES).cache, registries.get(ENDPOINT_SLICES).cache
        self._behind: dict[str, tuple[str, str]] = {}  # the Service (namespace, name) of those APIServices that have one

    def sources(self) -> Sequence[tuple[Resource, Concerns]]:
        return ((API_SERVICES, self._changed), (SERVICES, self._of_service), (ENDPOINT_SLICES, self._of_slice))

    def reset(self) -> Iterable[str]:
        self._behind.clear()
        for entry in self._api_services.entries():
            self._note(entry)
        return list(self._behind)

    def _note(self, entry: Entry) -> None:
        self._behind.pop(entry.name, None)
        if b'"service":' in entry.value:
            reference = (self._api_services.object_of(entry).get("spec") or {}).get("service")
            if reference:
                self._behind[entry.name] = (reference.get("namespace", ""), reference.get("name", ""))

    def _changed(self, change: Change) -> Iterable[str]:
        if change.type == DELETED:
            self._behind.pop(change.entry.name, None)
            self._failures.pop(change.entry.name, None)
            return ()
        self._note(change.entry)
        return (change.entry.name,) if change.entry.name in self._behind else ()

    def _of_service(self, change: Change) -> Iterable[str]:
        return self._with(change.entry.namespace, change.entry.name)

    def _of_slice(self, change: Change) -> Iterable[str]:
        return self._with(change.entry.namespace, change.entry.labels.get(_SERVICE_NAME, ""))

    def _with(self, namespace: str, name: str) -> Iterable[str]:
        return [key for key, service in self._behind.items() if service == (namespace, name)]

    async def settle(self, key: str) -> float | None:
        entry = self._api_services.get("", key)
        reference = (self._api_services.object_of(entry).get("spec") or {}).get("service") if entry is not None else None
        if entry is None or not reference:
            return None
        api_service = self._api_services.object_of(entry)
        condition, again_s = await self._condition(key, api_service, reference)
        if not says(condition_of(api_service, "Available"), condition):
            await update_condition(self._registries, API_SERVICES, key, condition)
        return again_s

    async def _condition(self, key: str, api_service: Object, reference: Object) -> tuple[Object, float | None]:
        """The condition, and after how many seconds to ask again; None: only when something changes."""
        namespace, name = reference.get("namespace", ""), reference.get("name", "")
        found = self._services.get(namespace, name)
        service = self._services.object_of(found) if found is not None else None
        slices = (
            [self._slices.object_of(each) for each in self._slices.entries(namespace) if each.labels.get(_SERVICE_NAME) == name]
            if service is not None and namespace
            else []
        )
        condition = unavailable(reference, service, slices)
        if condition is not None:
            return condition, None
        problem = await self._probe(api_service, discovery_path(api_service))
        failures = self._failures[key] = self._failures.get(key, 0) + 1 if problem else 0
        return (failed(problem), min(RECHECK_S, RETRY_S * 2.0 ** min(failures, 16))) if problem else (PASSED, RECHECK_S)
