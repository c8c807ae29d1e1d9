"""The small HTTP server of every component: /healthz, /livez, /readyz, /metrics, /version. Plain HTTP, on loopback by default.

It listens at once, and answers a moment later: what serves the pages takes as long to load as all the rest of a component, which has better
things to do when it starts. Who asks earlier waits. Source of paths and texts: k8s.io/apiserver `pkg/server/healthz/healthz.go`.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[], str | None]
"""Answers what is wrong, or None. Must not block."""

LOAD_AFTER_S: Final = 1.5
_log = logging.getLogger(__name__)


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
        load_after_s: float = LOAD_AFTER_S,
    ) -> None:
        self.port, self.host = port, host
        self._pages = (dict(checks or {}), dict(ready_checks or {}), dict(version or {}))
        self._load_after_s = load_after_s
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._runner: Any = None

    async def start(self) -> None:
        """Listen; `port` is then the real one (0 lets the system choose). Raises OSError when it is taken."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.create_server((self.host, self.port), family=family, backlog=128)
        self.port = self._socket.getsockname()[1]
        self._serving = asyncio.create_task(self._serve(self._socket), name="health server")

    async def _serve(self, sock: socket.socket) -> None:
        await asyncio.sleep(self._load_after_s)
        try:
            pages = await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "kube.runtime.health_pages")
            self._runner = await pages.serve(sock, *self._pages)
        except Exception:
            _log.exception("health is not served")

    async def stop(self) -> None:
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
