"""The small HTTP server of every component: /healthz, /livez, /readyz, /metrics, /version. Plain HTTP, on loopback by default.

Source of paths and texts: k8s.io/apiserver `pkg/server/healthz/healthz.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from kube.runtime import metrics

Check = Callable[[], str | None]
"""Answers what is wrong, or None. Must not block."""


class HealthServer:
    """Serves until stopped. `checks` make /livez and /healthz, those and `ready_checks` make /readyz; all have `ping`."""

    def __init__(
        self,
        *,
        port: int,
        host: str = "127.0.0.1",
        checks: Mapping[str, Check] | None = None,
        ready_checks: Mapping[str, Check] | None = None,
        version: Mapping[str, str] | None = None,
    ) -> None:
        self.port, self.host = port, host
        self._version = dict(version or {})
        self._runner: web.AppRunner | None = None
        alive = {"ping": _ping, **(checks or {})}
        app = web.Application()
        for path, which in (("healthz", alive), ("livez", alive), ("readyz", {**alive, **(ready_checks or {})})):
            endpoint = _Endpoint(path, which)
            app.router.add_get(f"/{path}", endpoint.all)
            app.router.add_get(f"/{path}/{{check}}", endpoint.one)
        app.router.add_get("/metrics", _metrics)
        app.router.add_get("/version", self._serve_version)
        self._app = app

    async def start(self) -> None:
        """Listen; `port` is then the real one (0 lets the system choose). Raises OSError when it is taken."""
        self._runner = web.AppRunner(self._app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except BaseException:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve_version(self, _request: web.Request) -> web.Response:
        return web.json_response(self._version)


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
