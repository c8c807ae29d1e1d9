"""The metrics server inside a cluster of one process: asked by the API server, and asking the nodes, without a port.

It is registered at an address where nobody listens; connections to it are pairs of sockets that only this process has, as those to node
agents are, so nobody has to prove who they are.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from apiserver.handlers.backends import Gate, Line
from apiserver.handlers.http_exchange import BadAnswer, Body, read_head, request_head
from controllers.metrics.access import FrontProxy
from controllers.metrics.process import CONNECTIONS_MAX, handler
from controllers.metrics.registration import PORT, Place, register
from controllers.metrics.server import MetricsServer
from controllers.metrics.summaries import Summaries
from kube.client.client import Client
from kube.clock import Clock
from kube.http.exchange import HEAD_BYTES_MAX
from kube.http.server import HttpServer
from kube.objects import Object, name_of
from wherry.kubelet_line import KubeletLine

ADDRESS: Final = "192.0.2.2"
"""Where the API server thinks it is (TEST-NET: nobody listens there)."""
HEAD_S_MAX: Final = 5.0
_HEADERS: Final = FrontProxy(
    "",
    user_headers=("X-Remote-User",),
    uid_headers=("X-Remote-Uid",),
    group_headers=("X-Remote-Group",),
    extra_prefixes=("X-Remote-Extra-",),
)


async def run_metrics_server(client: Client, line: KubeletLine, clock: Clock) -> None:
    """Serve metrics.k8s.io through `line` until cancelled."""
    summaries = Summaries(lambda node: _summary(line, node), clock=clock)
    server = MetricsServer(client, summaries, clock=clock)
    http = HttpServer(handler(server, lambda head, _: _HEADERS.user_in(head.fields)), connections_max=CONNECTIONS_MAX)
    try:
        async with asyncio.TaskGroup() as connections, line.serving_extension(ADDRESS, lambda: _connected(http, connections)):
            await register(client, Place(ADDRESS, PORT))
            await asyncio.get_running_loop().create_future()
    finally:
        await http.stop()
        await summaries.close()


async def _connected(http: HttpServer, connections: asyncio.TaskGroup) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs, limit=HEAD_BYTES_MAX)
    connections.create_task(http.connected(reader, writer), name="metrics server")
    return await asyncio.open_connection(sock=ours, limit=1 << 18)


async def _summary(line: KubeletLine, node: Object) -> bytes:
    """Raises OSError."""
    gate = Gate()
    gate.enter()
    connection = Line(await line.open("", 0, name_of(node)), gate)
    try:
        target, headers = "/stats/summary", [(b"Host", name_of(node).encode()), (b"Connection", b"close")]
        connection.writer.write(request_head("GET", target, headers))
        head = await read_head(connection, timeout_s=HEAD_S_MAX)
        body = b"".join([piece async for piece in Body(connection, head, "GET")])
    except BadAnswer as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    if head.status != 200:
        raise ConnectionError(f"status {head.status}")
    return body
