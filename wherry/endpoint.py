"""A port for a cluster in this process: its API server behind HTTPS on 127.0.0.1, and a kubeconfig for whoever wants to come in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn

from apiserver.connection import Connection
from apiserver.identity import Authority, server_context
from kube.client.config import ClientConfig, write_kubeconfig
from wherry.in_process import InProcessCluster

HOST: Final = "127.0.0.1"
STOP_S: Final = 2
_POLL_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server is, and the file with the admin's certificate for it."""

    url: str
    kubeconfig: Path


@asynccontextmanager
async def serving(cluster: InProcessCluster, authority: Authority, directory: Path) -> AsyncIterator[Endpoint]:
    """Serve on a port that the system chooses; the kubeconfig goes to `directory`. Ends watches and connections at the end."""
    authority.kept("apiserver", "kube-apiserver", server_names=["localhost", HOST], client=False)
    admin = authority.issue("admin", ["system:masters"])
    server = uvicorn.Server(_config(cluster, authority))
    with socket.create_server((HOST, 0), backlog=2048) as sock:
        url = f"https://{HOST}:{sock.getsockname()[1]}"
        kubeconfig = directory / "kubeconfig"
        write_kubeconfig(
            kubeconfig,
            ClientConfig(server=url, ca_data=authority.certificate_pem, client_cert_data=admin.certificate, client_key_data=admin.key),
        )
        task = asyncio.create_task(server.serve(sockets=[sock]), name="endpoint")
        try:
            while not server.started and not task.done():
                await asyncio.sleep(_POLL_S)
            yield Endpoint(url, kubeconfig)
        finally:
            cluster.built.server.stopping = True
            for registry in cluster.built.server.registries.all():
                registry.cache.close()  # ends the watches
            server.should_exit = True
            await task


def _config(cluster: InProcessCluster, authority: Authority) -> uvicorn.Config:
    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        await cluster.built.app(scope, receive, send)  # the server of the moment: it may be restarted

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=180,
        timeout_graceful_shutdown=STOP_S,
    )
    config.load()
    config.ssl = server_context(authority, "apiserver")
    return config
