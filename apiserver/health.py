"""`/healthz`, `/livez` and `/readyz`: named checks, one by one or all together. Source: apiserver `pkg/server/healthz/healthz.go`.

Everybody may ask whether the server is well; why it is not stays in the log. The names are upstream's, so that what monitors a cluster
finds them. What upstream starts in many hooks is here ready at one moment, when the server has started.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.handlers.request import PAGE_NOT_FOUND, Response
from apiserver.handlers.server import Server
from apiserver.pipeline.query import parse_query

log: Final = logging.getLogger("wherry.apiserver")

Check = Callable[[], Awaitable[str]]
"""A health check: "" when all is well, else what is not."""

_AT_START: Final = (
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks of a path together say."""

    lines: tuple[str, ...]
    failed: tuple[str, ...]


def report(problems: Mapping[str, str | None], excluded: Sequence[str]) -> Report:
    """The report of some checks: each with what is wrong ("" for nothing), or None where it was excluded and not asked."""
    lines, failed = [], []
    for name, problem in problems.items():
        if problem is None:
            lines.append(f"[+]{name} excluded: ok")
        elif problem:
            failed.append(name)
            lines.append(f"[-]{name} failed: reason withheld")
        else:
            lines.append(f"[+]{name} ok")
    unknown = sorted(set(excluded) - problems.keys())
    if unknown:
        quoted = ",".join(f'"{each}"' for each in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
    return Report(tuple(lines), tuple(failed))


class Health:
    """The checks of one server, by path. Any method is answered alike."""

    def __init__(self, server: Server) -> None:
        async def ping() -> str:
            return ""

        async def store() -> str:
            try:
                await server.registries.store.revision()
            except Exception as error:
                return str(error) or type(error).__name__
            return ""

        async def shutdown() -> str:
            return "process is shutting down" if server.stopping else ""

        async def started() -> str:
            return "" if server.extra.get("started") else "still starting"

        at_start: dict[str, Check] = dict.fromkeys(_AT_START, started)
        live: dict[str, Check] = {"ping": ping, "log": ping, "loopback-serving-certificate": ping, "etcd": store}
        ready: dict[str, Check] = {**live, "etcd-readiness": store, "informer-sync": started, **at_start, "shutdown": shutdown}
        self._checks: dict[str, Mapping[str, Check]] = {"healthz": {**live, **at_start}, "livez": {**live, **at_start}, "readyz": ready}

    def paths(self) -> list[str]:
        """All paths that are health's."""
        return [each for name, checks in self._checks.items() for each in (f"/{name}", *(f"/{name}/{check}" for check in checks))]

    async def answer(self, path: str, query: bytes) -> Response | None:
        """The answer at a path; None where that is none of health's."""
        name, slash, check = path[1:].partition("/")
        checks = self._checks.get(name)
        if checks is None:
            return None
        return await _one(checks, check) if slash else await _all(name, checks, query)


async def _all(name: str, checks: Mapping[str, Check], query: bytes) -> Response:
    asked = parse_query(query)
    excluded = asked.get("exclude", [])
    problems = {each: None if each in excluded else await check() for each, check in checks.items()}
    found = report(problems, excluded)
    if found.failed:
        log.warning("%s check failed: %s", name, "; ".join(f"{each}: {problems[each]}" for each in found.failed))
        return _plain("\n".join([*found.lines, f"{name} check failed\n"]), 500)
    if "verbose" in asked:
        return _plain("\n".join([*found.lines, f"{name} check passed\n"]))
    return _plain("ok")


async def _one(checks: Mapping[str, Check], name: str) -> Response:
    check = checks.get(name)
    if check is None:
        return _plain(PAGE_NOT_FOUND.body.decode(), 404)
    problem = await check()
    return _plain(f"internal server error: {problem}\n", 500) if problem else _plain("ok")


def _plain(text: str, status: int = 200) -> Response:
    headers = [("Cache-Control", "no-cache, private"), ("X-Content-Type-Options", "nosniff")]
    return Response(status, text.encode(), "text/plain; charset=utf-8", headers)
