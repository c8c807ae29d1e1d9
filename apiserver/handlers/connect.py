"""What goes through to a node: logs, exec, attach, port-forward and the node proxy.

Logs are streamed; upgraded connections (SPDY and WebSocket alike) are passed through as bytes: the kubelet ends the protocol.
Source: `pkg/registry/core/pod/strategy.go` (which container, which errors), `pod/rest/subresources.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from apiserver.handlers.request import Answer, Request, Response, StreamResponse
from apiserver.registry.kind import Subresource
from apiserver.registry.registry import Served
from kube.errors import ApiError, BadRequest, InternalError, NotImplementedByServer, ServiceUnavailable
from kube.objects import Object
from kube.resources import NODES

COPY_BYTES = 1 << 16
STREAMED = frozenset({"log", "exec", "attach", "portforward", "proxy"})
"""The subresources whose answers have whatever form the node gives them: `Accept` is not looked at."""
_PASSED_ON = (b"upgrade", b"connection", b"x-stream-protocol-version", b"content-length", b"accept", b"user-agent", b"origin")


class Kubelets(Protocol):
    """How the server reaches node agents: TLS verified against the cluster CA, with the server's own client certificate."""

    async def open(self, host: str, port: int, node: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, ready for an HTTP/1.1 request. Raises OSError."""
        ...


class Upgraded(Exception):
    """The connection was taken over; there is no answer to send."""


async def connect(request: Request, served: Served, part: Subresource) -> Answer:
    """Serve one of the connect subresources. Raises ApiError."""
    plural, name = served.resource.plural, part.name
    if plural == "pods" and name == "log":
        return await _logs(request, served)
    if plural == "pods" and name in ("exec", "attach", "portforward"):
        return await _stream(request, served, name)
    if plural == "nodes" and name == "proxy":
        return await _node_proxy(request, served)
    raise NotImplementedByServer(f"{served.resource.qualified}/{name} is not implemented by this server yet")


# --- where to --------------------------------------------------------------------------------------------------------


def _containers(pod: Object) -> list[str]:
    spec = pod["spec"]
    return [each["name"] for group in ("containers", "initContainers", "ephemeralContainers") for each in spec.get(group) or ()]


def container_of(pod: Object, asked: str) -> str:
    """The container a request means. Raises BadRequest where it must be named, or is not there."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    if asked:
        if asked not in _containers(pod):
            raise BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    main = [each["name"] for each in spec["containers"]]
    if len(main) == 1:
        return str(main[0])
    inits = [each["name"] for each in spec.get("initContainers") or ()]
    text = f"a container name must be specified for pod {name}, choose one of: [{' '.join(main)}]"
    if inits:
        text += f" or one of the init containers: [{' '.join(inits)}]"
    raise BadRequest(text)


async def _open(request: Request, node_name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    kubelets: Kubelets | None = request.server.kubelets
    if kubelets is None:
        raise NotImplementedByServer("this server has no way to reach node agents (it runs in process, without sockets)")
    registry = request.server.registries.get(NODES)
    node = await registry.get("", node_name)
    status = node.get("status") or {}
    addresses = {each["type"]: each["address"] for each in status.get("addresses") or ()}
    host = addresses.get("InternalIP") or addresses.get("Hostname")
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port")
    if not host or not port:
        raise ServiceUnavailable(f'node "{node_name}" has not said where its kubelet listens')
    try:
        async with asyncio.timeout(10):
            return await kubelets.open(host, port, node_name)
    except (OSError, TimeoutError) as error:
        raise InternalError(f'Get "https://{host}:{port}": dial tcp {host}:{port}: {error or "timed out"}') from error


def _head(method: str, path: str, query: list[tuple[str, str]], headers: list[tuple[bytes, bytes]]) -> bytes:
    target = path + (f"?{urlencode(query)}" if query else "")
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: kubelet", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


# --- logs ------------------------------------------------------------------------------------------------------------


async def _logs(request: Request, served: Served) -> Answer:
    pod = await served.registry.get(request.info.namespace, request.info.name)
    container = container_of(pod, request.param("container"))
    node = pod["spec"].get("nodeName")
    if not node:
        return Response(200, b"", "text/plain")
    query = [(key, value) for key, values in request.query.items() if key != "container" for value in values]
    meta = pod["metadata"]
    path = f"/containerLogs/{meta['namespace']}/{meta['name']}/{quote(container)}"
    return await _relay(request, node, "GET", path, query, b"")


async def _relay(request: Request, node: str, method: str, path: str, query: list[tuple[str, str]], body: bytes) -> Answer:
    """A plain HTTP exchange with a kubelet, its body streamed as it comes."""
    reader, writer = await _open(request, node)
    try:
        headers = [(b"Connection", b"close"), (b"Content-Length", b"%d" % len(body))]
        content_type = request.headers.get(b"content-type")
        if content_type:
            headers.append((b"Content-Type", content_type))
        writer.write(_head(method, path, query, headers) + body)
        await writer.drain()
        status, answered = await _answer_head(reader)
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise InternalError(f"the kubelet of node {node} did not answer: {error}") from error
    except BaseException:
        writer.close()
        raise
    if status >= 400:
        text = (await reader.read(COPY_BYTES)).decode(errors="replace").strip()
        writer.close()
        raise _kubelet_error(status, text)
    return StreamResponse(status, _copied(reader, writer, answered), answered.get("content-type", "text/plain"))


def _kubelet_error(status: int, text: str) -> ApiError:
    reason = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(status, "InternalError")
    return ApiError(text or f"the kubelet answered {status}", code=status, reason=reason)


async def _answer_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(first.split(" ", 2)[1]), headers


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> AsyncIterator[bytes]:
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                size = int((await reader.readline()).split(b";", 1)[0] or b"0", 16)
                if not size:
                    return
                yield await reader.readexactly(size)
                await reader.readexactly(2)
        while chunk := await reader.read(COPY_BYTES):
            yield chunk
    except (OSError, ValueError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


# --- upgraded connections -----------------------------------------------------------------------------------------------


async def _stream(request: Request, served: Served, name: str) -> Answer:
    if request.method not in ("GET", "POST"):
        raise ApiError("the server does not allow this method on the requested resource", code=405, reason="MethodNotAllowed", details={})
    pod = await served.registry.get(request.info.namespace, request.info.name)
    meta = pod["metadata"]
    query = [(key, value) for key, values in request.query.items() for value in values]
    if name == "portforward":
        path = f"/portForward/{meta['namespace']}/{meta['name']}"
    else:
        container = container_of(pod, request.param("container"))
        renamed = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty", "command": "command"}
        query = [(renamed[key], "1" if value in ("true", "1") and key != "command" else value) for key, value in query if key in renamed]
        query = [(key, value) for key, value in query if key == "command" or value == "1"]
        if name == "exec" and not any(key == "command" for key, _ in query):
            raise BadRequest("you must specify at least one command for the container")
        path = f"/{name}/{meta['namespace']}/{meta['name']}/{quote(container)}"
    node = pod["spec"].get("nodeName")
    if not node:
        raise BadRequest(f"pod {meta['name']} does not have a host assigned")
    take_over: Any = request.scope.get("state", {}).get("take_over")
    if b"upgrade" not in request.headers or take_over is None:
        raise BadRequest("Upgrade request required")
    kubelet_reader, kubelet_writer = await _open(request, node)
    headers = [(key, value) for key, value in request.scope["headers"] if key in _PASSED_ON or key.startswith(b"sec-websocket-")]
    kubelet_writer.write(_head(request.method, path, query, headers))
    reader, writer = take_over()
    await _both_ways((reader, writer), (kubelet_reader, kubelet_writer))
    raise Upgraded


async def _both_ways(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Copy bytes in both directions until either side ends."""
    loop = asyncio.get_running_loop()
    copies = [loop.create_task(_copy(one[0], other[1])), loop.create_task(_copy(other[0], one[1]))]
    try:
        # the kubelet's end is the end; a client that only closes its sending side still gets the rest
        await asyncio.wait(copies[1:])
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)
        for _, writer in (one, other):
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(COPY_BYTES):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        elif writer.transport is not None:
            writer.close()
    except (OSError, RuntimeError):
        writer.close()


# --- node proxy ---------------------------------------------------------------------------------------------------------


async def _node_proxy(request: Request, served: Served) -> Answer:
    query = [(key, value) for key, values in request.query.items() for value in values]
    node = request.info.name.removeprefix("https:").split(":", 1)[0]
    return await _relay(request, node, request.method, f"/{quote(request.info.rest)}", query, await request.body())
