"""What `HealthServer` serves: the pages, on aiohttp. Loaded after the component has started (see `health.py`)."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from aiohttp import web

from kube.runtime import metrics
from kube.runtime.health import Check


async def serve(sock: socket.socket, alive: Mapping[str, Check], ready: Mapping[str, Check], version: Mapping[str, str]) -> web.AppRunner:
    """Serve on a listening socket until the answer's `cleanup`."""

    async def version_page(_request: web.Request) -> web.Response:
        return web.json_response(dict(version))

    app = web.Application()
    alive = {"ping": _ping, **alive}
    for path, which in (("healthz", alive), ("livez", alive), ("readyz", {**alive, **ready})):
        endpoint = _Endpoint(path, which)
        app.router.add_get(f"/{path}", endpoint.all)
        app.router.add_get(f"/{path}/{{check}}", endpoint.one)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/version", version_page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


def _ping() -> str | None:
    return None


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})


class _Endpoint:
    """One of the health paths."""

    def __init__(self, name: str, checks: Mapping[str, Check]) -> None:
        self._name, self._checks = name, checks

    async def all(self, request: web.Request) -> web.Response:
        left_out = set(request.query.getall("exclude", []))
        lines, is_well = [], True
        for name, check in self._checks.items():
            if name in left_out:
                lines.append(f"[+]{name} excluded: ok")
            elif _failed(check):
                is_well = False
                lines.append(f"[-]{name} failed: reason withheld")
            else:
                lines.append(f"[+]{name} ok")
        if not is_well:
            return web.Response(status=500, text="\n".join([*lines, f"{self._name} check failed\n"]))
        verbose = "\n".join([*lines, f"{self._name} check passed\n"])
        return web.Response(text=verbose if "verbose" in request.query else "ok")

    async def one(self, request: web.Request) -> web.Response:
        check = self._checks.get(request.match_info["check"])
        if check is None:
            return web.Response(status=404, text="404 page not found\n")
        why = _failed(check)
        return web.Response(status=500, text=f"internal server error: {why}\n") if why else web.Response(text="ok")


def _failed(check: Check) -> str | None:
    """What is wrong; a check that raises is one that fails."""
    try:
        return check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
