"""The way from an API server to the node agents (and extension API servers) of the same process, without a port: logs, exec, attach,
port-forward, statistics.

Each connection is a pair of sockets that only this process has, so nobody has to prove who they are.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from kube.http.exchange import HEAD_BYTES_MAX
from kubelet.agent import Agents
from kubelet.server.server import KubeletServer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
PORT: Final = 10250
"""What Nodes say that their kubelet listens on. It does not."""


class KubeletLine:
    """What `apiserver.serving.build` takes as `kubelets`."""

    def __init__(self) -> None:
        self._server: KubeletServer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._extensions: dict[str, Connect] = {}

    @asynccontextmanager
    async def serving(self, agents: Agents) -> AsyncIterator[None]:
        """While inside, `agents` answer."""
        agents.set_server_port(PORT)
        server = self._server = KubeletServer(agents, None, authenticate=lambda _certificate, _header: True)
        try:
            yield
        finally:
            self._server = None
            await server.stop()

    async def open(self, host: str, port: int, node: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server of the node. Raises ConnectionRefusedError while there is none."""
        if self._server is None:
            raise ConnectionRefusedError("connect: connection refused")
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=theirs, limit=HEAD_BYTES_MAX)
        task = asyncio.get_running_loop().create_task(self._server.connected(reader, writer), name=f"kubelet of {node}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.open_connection(sock=ours, limit=1 << 18)

    @asynccontextmanager
    async def serving_extension(self, host: str, connect: Connect) -> AsyncIterator[None]:
        """While inside, `connect` makes the connections to the extension API server that is said to be at `host`."""
        self._extensions[host] = connect
        try:
            yield
        finally:
            del self._extensions[host]

    async def extension(self, host: str, port: int, trust: object) -> Streams:
        """A connection to an extension API server of this process. Raises ConnectionRefusedError where there is none."""
        connect = self._extensions.get(host)
        if connect is None:
            raise ConnectionRefusedError("connect: connection refused")
        return await connect()
