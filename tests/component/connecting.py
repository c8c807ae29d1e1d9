"""A server that listens on 127.0.0.1, backends behind it, and raw requests to it. Nothing here is a test.

`Backends` leads every address to a local `Backend`, so that pods can have the addresses that pods have.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn

from apiserver.connection import Connection
from apiserver.handlers.backends import Trust
from apiserver.registry.kind import User
from apiserver.serving import Built, build
from apiserver.settings import Settings
from apiserver.store.memory import MemoryStore
from kube.clock import RealClock
from kube.objects import Object

TOKEN = "of-the-test"
WITHIN_S = 20.0
REACHING = Settings(storage="memory", kubelet_preferred_address_types=("InternalIP",), enable_aggregator_routing=True)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Heard:
    """A request as a backend got it."""

    line: str
    headers: dict[str, str]
    body: bytes = b""


Answering = Callable[[Heard, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Backend:
    """A local server that answers each connection's one request with `answer`; `open` counts its connections."""

    answer: Answering
    port: int = 0
    open: int = 0
    heard: list[Heard] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = raw.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines if each)}
            heard = Heard(first, headers)
            self.heard.append(heard)
            await self.answer(heard, reader, writer)
        except (OSError, EOFError):
            pass
        finally:
            self.open -= 1
            writer.close()


async def read_body(heard: Heard, reader: asyncio.StreamReader) -> bytes:
    """The whole body of a request."""
    if heard.headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            heard.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    else:
        heard.body = await reader.readexactly(int(heard.headers.get("content-length", "0")))
    return heard.body


def answering(data: bytes) -> Answering:
    """Always this, byte for byte, once the request is whole."""

    async def answer(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(heard, reader)
        writer.write(data)
        await writer.drain()

    return answer


def ok(body: bytes = b"ok", *headers: str) -> bytes:
    """An answer with this body."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: text/plain", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Backends:
    """In place of the server's own way to kubelets and pods."""

    def __init__(self) -> None:
        self.at: dict[str, Backend | OSError] = {}
        self.asked: list[tuple[str, str, bool]] = []
        self.trusted: list[Trust] = []

    async def open(self, host: str, port: int, node: str) -> Streams:
        return await self._connect(f"{host}:{port}", node, tls=True)

    async def dial(self, host: str, port: int, *, tls: bool) -> Streams:
        return await self._connect(f"{host}:{port}", "", tls=tls)

    async def extension(self, host: str, port: int, trust: Trust) -> Streams:
        self.trusted.append(trust)
        return await self._connect(f"{host}:{port}", "", tls=True)

    async def _connect(self, where: str, node: str, *, tls: bool) -> Streams:
        self.asked.append((where, node, tls))
        found = self.at[where]
        if isinstance(found, OSError):
            raise found
        return await asyncio.open_connection("127.0.0.1", found.port, limit=1 << 18)


@dataclass
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Site:
    """The listening server, its backends, and requests to it."""

    built: Built
    port: int
    backends: Backends
    _stack: contextlib.AsyncExitStack

    async def backend(self, where: str, answer: Answering) -> Backend:
        """Something that listens at this address."""
        backend = Backend(answer)
        server = await asyncio.start_server(backend.serve, "127.0.0.1", 0, limit=1 << 18)
        backend.port = server.sockets[0].getsockname()[1]
        self._stack.callback(server.close)
        self.backends.at[where] = backend
        return backend

    async def open(self, method: str, path: str, *headers: str) -> Streams:
        """A connection on which the head of a request was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 18)
        self._stack.callback(writer.close)
        lines = [f"{method} {path} HTTP/1.1", "Host: the-api:6443", f"Authorization: Bearer {TOKEN}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        return reader, writer

    async def call(self, method: str, path: str, body: bytes = b"", *headers: str) -> Said:
        """One request and its whole answer."""
        length = [f"Content-Length: {len(body)}"] if body else []
        reader, writer = await self.open(method, path, *length, *headers, "Connection: close")
        writer.write(body)
        return await said(reader, method)

    async def put(self, path: str, obj: Object) -> None:
        """Create an object, or write its status where the path says so."""
        method = "PUT" if path.endswith("/status") else "POST"
        answer = await self.call(method, path, orjson.dumps(obj), "Content-Type: application/json")
        assert answer.status < 300, answer.body


async def said(reader: asyncio.StreamReader, method: str = "GET") -> Said:
    """The answer on this connection."""
    async with asyncio.timeout(WITHIN_S):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [(name.lower(), value.strip()) for name, _, value in (each.partition(":") for each in lines if each)]
        headers = dict(pairs)
        status = int(first.split()[1])
        if method == "HEAD" or status in (101, 204, 304):
            return Said(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            heard = Heard(first, headers)
            return Said(status, headers, await read_body(heard, reader))
        return Said(status, headers, await reader.readexactly(int(headers["content-length"])))


async def until(true: Callable[[], bool]) -> None:
    """Wait for what other tasks are about to do."""
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """A fresh server that listens, with namespace and service account `default`."""
    clock, backends = RealClock(), Backends()
    admin = User("admin", ("system:masters", "system:authenticated"))
    built = build(MemoryStore(clock), clock=clock, rng=random.Random(7), tokens={TOKEN: admin}, settings=REACHING, kubelets=backends)
    await built.start(advertise_address="", port=6443)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(built.app, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
    async with contextlib.AsyncExitStack() as stack:
        found = Site(built, sock.getsockname()[1], backends, stack)
        try:
            await until(lambda: server.started)
            await found.put("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
            yield found
        finally:
            server.should_exit = True
            await asyncio.wait([serving], timeout=WITHIN_S)
            sock.close()
            await built.stop()


# --- what the tests are about ---------------------------------------------------------------------------------------------

PODS = "/api/v1/namespaces/default/pods"


async def add_node(site: Site, name: str = "n1", address: str = "10.0.0.5", port: int = 10250, runtime: str = "containerd://2.0") -> None:
    """A node whose kubelet is said to listen there."""
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {"containerRuntimeVersion": runtime},
    }
    await site.put("/api/v1/nodes", {"metadata": {"name": name}, "status": status})


async def add_pod(site: Site, name: str = "web", node: str = "n1", address: str = "10.1.0.7", port: int = 8080) -> None:
    """A pod that runs on the node and has the address."""
    container = {"name": "c", "image": "c:1"} | ({"ports": [{"containerPort": port}]} if port else {})
    spec = {"containers": [container], "automountServiceAccountToken": False} | ({"nodeName": node} if node else {})
    obj: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    await site.put(PODS, obj)
    if address:
        await site.put(f"{PODS}/{name}/status", obj | {"status": {"phase": "Running", "podIPs": [{"ip": address}], "podIP": address}})
