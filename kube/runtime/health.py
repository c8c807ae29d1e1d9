"""The small HTTP server of every component: /healthz, /livez, /readyz, /metrics, /version. Plain HTTP, on loopback by default.

Source of paths and texts: k8s.io/apiserver `pkg/server/healthz/healthz.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from kube.http.exchange import Answer, BadRequest, Head, skip_body
from kube.http.server import HttpServer
from kube.runtime import metrics

Check = Callable[[], str | None]
"""Answers what is wrong, or None. Must not block."""
CONNECTIONS_MAX: Final = 200
ANSWER_S_MAX: Final = 30.0


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
        alive = {"ping": _ping, **(checks or {})}
        self._checks = {"healthz": alive, "livez": alive, "readyz": {**alive, **(ready_checks or {})}}
        self._version = dict(version or {})
        self._http = HttpServer(self._answer, connections_max=CONNECTIONS_MAX, answer_s_max=ANSWER_S_MAX)

    async def start(self) -> None:
        """Listen; `port` is then the real one (0 lets the system choose). Raises OSError when it is taken."""
        self.port = await self._http.start(self.host, self.port)

    async def stop(self) -> None:
        await self._http.stop()

    async def _answer(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await skip_body(head, reader)
        if head.method not in ("GET", "HEAD"):
            await answer.send(405, b"405: Method Not Allowed", headers={"Allow": "GET, HEAD"})
            return
        match head.segments:
            case (name,) if name in self._checks:
                is_verbose = any(key == "verbose" for key, _ in head.query)
                await answer.send_text(*_all(name, self._checks[name], head.values("exclude"), is_verbose=is_verbose))
            case (name, check) if check in self._checks.get(name, ()):
                why = _failed(self._checks[name][check])
                await answer.send_text(*((500, f"internal server error: {why}\n") if why else (200, "ok")))
            case ("metrics",):
                await answer.send(200, metrics.exposition(), metrics.CONTENT_TYPE)
            case ("version",):
                await answer.send_json(self._version)
            case _:
                raise BadRequest("404 page not found\n", status=404)


def _ping() -> str | None:
    return None


def _all(path: str, checks: Mapping[str, Check], left_out: list[str], *, is_verbose: bool) -> tuple[int, str]:
    """Status and text of a health path."""
    lines, is_well = [], True
    for name, check in checks.items():
        if name in left_out:
            lines.append(f"[+]{name} excluded: ok")
        elif _failed(check):
            is_well = False
            lines.append(f"[-]{name} failed: reason withheld")
        else:
            lines.append(f"[+]{name} ok")
    if not is_well:
        return 500, "\n".join([*lines, f"{path} check failed\n"])
    return 200, "\n".join([*lines, f"{path} check passed\n"]) if is_verbose else "ok"


def _failed(check: Check) -> str | None:
    """What is wrong; a check that raises is one that fails."""
    try:
        return check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
