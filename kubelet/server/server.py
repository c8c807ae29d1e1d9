"""The kubelet's server: one port for all nodes of the process. Which node is meant follows from the pod.

    /healthz  /healthz/ping            alive?
    /pods                              the pods of the node
    /containerLogs/{ns}/{pod}/{container}?follow&tailLines&sinceSeconds&sinceTime&timestamps&previous&limitBytes&stream
    /exec/{ns}/{pod}[/{uid}]/{container}?command=..&input&output&error&tty         SPDY/3.1 or WebSocket
    /attach/{ns}/{pod}[/{uid}]/{container}?input&output&error&tty                  likewise
    /portForward/{ns}/{pod}[/{uid}]                                              likewise
    /run/{ns}/{pod}[/{uid}]/{container}?cmd=..                                     a command's output, in one answer
    /stats/summary  /metrics  /metrics/resource  /metrics/cadvisor  /metrics/probes  /configz  /logs/

Where a path names no pod and the process has several nodes, the Host header or `?node=` may name one; else all count together.
Nobody gets in without `callers.py` saying so. Every connection, head and stream is bounded.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from kube.http.exchange import Answer, BadRequest, Head, skip_body
from kube.http.server import HttpServer, peer_certificate
from kube.objects import Object, uid_of
from kube.runtime import metrics
from kubelet import metrics as kubelet_metrics
from kubelet.agent import Agents, NodeAgent
from kubelet.observed import newest_first
from kubelet.runtime.base import ByteStream, CommandTimeout, ContainerState, ContainerStats, CRIError
from kubelet.server import logs, pages, port_forward, remote_command, statistics
from kubelet.server.callers import Callers
from kubelet.server.spdy import SpdyError
from kubelet.server.websocket import WebSocketError
from kubelet.stages.simulation import Simulation
from kubelet.volumes.refresh import bring_tokens
from kubelet.worker import PodWorker

CONNECTIONS_MAX = 2_000
RUN_S_MAX = 60.0
STATISTICS = frozenset({"stats", "metrics"})
"""What readers of statistics are let in to."""
Authenticate = Callable[[Mapping[str, Any] | None, str], bool]
"""(verified peer certificate as getpeercert gives it, Authorization header) -> may they."""


class KubeletServer:
    """`start` it, `stop` it. `authenticate` decides on every request; without TLS only tokens can convince it."""

    def __init__(
        self,
        agents: Agents,
        ssl_context: ssl.SSLContext | None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        authenticate: Authenticate | None = None,
    ) -> None:
        callers = Callers()
        self._agents, self._ssl, self._authenticate = agents, ssl_context, authenticate or callers
        self._may_read_statistics = callers.may_read_statistics
        self.host, self.port = host, port
        self._http = HttpServer(self._dispatch, connections_max=CONNECTIONS_MAX)
        self._routes: dict[str, Callable[[Head, Answer, asyncio.StreamReader], Awaitable[None]]] = {
            "healthz": self._healthz,
            "pods": self._pods,
            "runningpods": self._pods,
            "containerLogs": self._container_logs,
            "exec": self._exec,
            "attach": self._attach,
            "portForward": self._port_forward,
            "run": self._run,
            "stats": self._stats,
            "metrics": self._metrics,
            "configz": self._configz,
            "logs": self._node_logs,
        }

    async def start(self) -> None:
        """Listen; `port` is then the real one (0 lets the system choose). Raises OSError."""
        self.port = await self._http.start(self.host, self.port, self._ssl)

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        await self._http.stop()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection that came another way than through the port, to its end."""
        await self._http.connected(reader, writer)

    async def _dispatch(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        peer = peer_certificate(answer)
        is_reader = head.segments[0] in STATISTICS and head.method == "GET" and self._may_read_statistics(peer)
        if not is_reader and not self._authenticate(peer, head.headers.get("authorization", "")):
            raise BadRequest("Unauthorized", status=401)
        route = self._routes.get(head.segments[0])
        if route is None:
            raise BadRequest("404 page not found", status=404)
        if head.method not in ("GET", "POST"):
            raise BadRequest("405: Method Not Allowed", status=405)
        if not head.upgrade:
            await skip_body(head, reader)
        try:
            await route(head, answer, reader)
        except CRIError as error:
            if answer.has_started:
                raise ConnectionResetError(str(error)) from error
            raise BadRequest(str(error), status=500) from error
        except (SpdyError, WebSocketError) as error:
            raise ConnectionResetError(str(error)) from error

    # --- which pod, which node ------------------------------------------------------------------------------------------------

    def _worker(self, head: Head, rest: int) -> tuple[PodWorker, tuple[str, ...]]:
        """The pod that `/x/{ns}/{pod}[/{uid}]/...` names, and the `rest` last segments. Raises BadRequest."""
        parts = head.segments[1:]
        if len(parts) not in (2 + rest, 3 + rest) or not all(parts):
            raise BadRequest("404 page not found", status=404)
        worker = self._agents.worker_of(parts[0], parts[1])
        if worker is None or (len(parts) == 3 + rest and parts[2] != worker.uid):
            raise BadRequest(f'pod "{parts[1]}" does not exist', status=404)
        return worker, parts[len(parts) - rest :] if rest else ()

    def _nodes(self, head: Head) -> list[NodeAgent]:
        """The node that is meant, or all of them."""
        named = head.value("node") or head.headers.get("host", "").partition(":")[0]
        node = self._agents.nodes.get(named)
        return [node] if node else list(self._agents.nodes.values())

    @staticmethod
    async def _running_container(worker: PodWorker, name: str) -> str:
        """The id of the running container of that name. Raises BadRequest."""
        newest, _, _ = newest_first(await worker.host.runtime.list_containers(worker.uid))
        status = newest.get(name)
        if status is None:
            raise BadRequest(f'container not found ("{name}")', status=404)
        if status.state is not ContainerState.RUNNING:
            raise BadRequest(f'container {name} is not running ("{worker.key}")')
        return status.id

    # --- routes ---------------------------------------------------------------------------------------------------------------

    async def _healthz(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        await answer.send_text(200, "ok")

    async def _pods(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        items = [worker.pod for node in self._nodes(head) for worker in node.workers.values()]
        await answer.send_json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def _container_logs(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        worker, (container,) = self._worker(head, 1)
        options = logs.options_of(head, worker.host.clock.now())
        statuses = await worker.host.runtime.list_containers(worker.uid)
        container_id = logs.container_for_log(worker.pod, container, statuses, previous=head.flag("previous"))
        stream = worker.host.runtime.logs(container_id, options)
        await answer.start_chunks()
        gone = asyncio.ensure_future(reader.read(1)) if options.follow else None
        try:
            await _until_gone(_copy_log(stream, answer), gone)
        finally:
            if gone is not None:
                answer.keeps_alive = False
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)

    async def _exec(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        worker, (container,) = self._worker(head, 1)
        command = head.values("command")
        if not command:
            raise BadRequest("you must specify at least one command")
        container_id = await self._running_container(worker, container)
        await bring_tokens(worker, container, container_id)
        runtime = worker.host.runtime
        await remote_command.serve(head, answer, reader, lambda streams: runtime.exec(container_id, command, streams))

    async def _attach(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        worker, (container,) = self._worker(head, 1)
        container_id = await self._running_container(worker, container)

        async def attach(streams: remote_command.CommandStreams) -> int:
            await worker.host.runtime.attach(container_id, streams)
            return 0

        await remote_command.serve(head, answer, reader, attach)

    async def _port_forward(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        worker, _ = self._worker(head, 0)
        sandboxes = [each for each in await worker.host.runtime.list_pod_sandboxes(worker.uid) if each.is_ready]
        if not sandboxes:
            raise BadRequest(f"pod {worker.key} is not running", status=404)

        async def forward(port: int, stream: ByteStream) -> None:
            await worker.host.runtime.port_forward(sandboxes[0].id, port, stream)

        await port_forward.serve(head, answer, reader, forward)

    async def _run(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        worker, (container,) = self._worker(head, 1)
        container_id = await self._running_container(worker, container)
        try:
            result = await worker.host.runtime.exec_sync(container_id, head.value("cmd").split(), timeout_s=RUN_S_MAX)
        except CommandTimeout as error:
            raise BadRequest(str(error), status=504) from error
        await answer.send(200 if result.exit_code == 0 else 500, result.stdout + result.stderr)

    async def _stats(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        if head.segments not in (("stats",), ("stats", "summary")):
            raise BadRequest("404 page not found", status=404)
        nodes = self._nodes(head)
        pods, stats = await _usage(nodes)
        await answer.send_json(statistics.summary(nodes[0].name, pods, stats, nodes[0].host.clock.now()))

    async def _metrics(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        which = head.segments[1:]
        if which == ():
            own = await kubelet_metrics.exposition(node.host for node in self._nodes(head))
            await answer.send(200, metrics.exposition() + own, metrics.CONTENT_TYPE)
        elif which == ("resource",):
            pods, stats = await _usage(self._nodes(head))
            await answer.send(200, statistics.resource_metrics(pods, stats).encode(), metrics.CONTENT_TYPE)
        elif which in (("cadvisor",), ("probes",)):
            await answer.send(200, b"", metrics.CONTENT_TYPE)
        else:
            await self._page("/" + "/".join(head.segments), answer)

    async def _page(self, path: str, answer: Answer) -> None:
        """What a Metric object of the simulation describes at this path. Raises BadRequest where there is none."""
        anyone = next(iter(self._agents.nodes.values()), None)
        simulation: Simulation | None = getattr(anyone.host.runtime, "simulation", None) if anyone is not None else None
        for metric in simulation.metrics if simulation is not None else ():
            node = self._agents.nodes.get(metric.node_in(path) or "")
            if node is not None:
                pods, stats = await _usage([node])
                text = pages.page(metric, node.node, pods, stats, node.host.clock.now(), node.host.rng)
                await answer.send(200, text.encode(), metrics.CONTENT_TYPE)
                return
        raise BadRequest("404 page not found", status=404)

    async def _configz(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        port = next(iter(self._agents.nodes.values())).heartbeat.facts.port
        await answer.send_json(
            {"kubeletconfig": {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", "port": port}}
        )

    async def _node_logs(self, head: Head, answer: Answer, reader: asyncio.StreamReader) -> None:
        raise BadRequest("logs endpoint is disabled.", status=405)


async def _usage(nodes: list[NodeAgent]) -> tuple[list[Object], list[ContainerStats]]:
    pods = [worker.pod for node in nodes for worker in node.workers.values()]
    stats = [each for node in nodes for each in await node.host.runtime.container_stats()]
    known = {uid_of(pod) for pod in pods}
    return pods, [each for each in stats if each.pod_uid in known]


async def _copy_log(stream: Any, answer: Answer) -> None:
    async with aclosing(stream) as pieces:
        async for data in pieces:
            await answer.chunk(data)
    await answer.end()


async def _until_gone(work: Any, gone: asyncio.Future[bytes] | None) -> None:
    """Do the work, but no longer than the client is there."""
    if gone is None:
        await work
        return
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.wait([doing, gone], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
