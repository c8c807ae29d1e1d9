"""A node agent's server that listens, and plain requests to it. Nothing here is a test."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from kube.clock import RealClock
from kube.objects import Object
from kubelet.runtime.base import ContainerConfig, SandboxConfig
from kubelet.runtime.simulated import SimulatedRuntime
from kubelet.server.callers import Callers
from kubelet.server.server import KubeletServer

TOKEN = "let-me-in"
OPENED: list[asyncio.StreamWriter] = []
"""The clients' connections of the running test."""


@dataclass
class Worker:
    """What of a PodWorker the server uses."""

    pod: Object
    host: Any

    @property
    def key(self) -> str:
        return f"default/{self.pod['metadata']['name']}"

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])


class Agents:
    """What of kubelet.agent.Agents the server uses: one node, pods with one container each."""

    def __init__(self) -> None:
        self.clock = RealClock()
        self.runtime = SimulatedRuntime(clock=self.clock, rng=random.Random(1))
        self.host = SimpleNamespace(runtime=self.runtime, clock=self.clock, name="n1")
        self.workers: dict[str, Worker] = {}
        facts = SimpleNamespace(port=10250)
        self.nodes = {"n1": SimpleNamespace(name="n1", workers=self.workers, host=self.host, heartbeat=SimpleNamespace(facts=facts))}

    def worker_of(self, namespace: str, name: str) -> Worker | None:
        return self.workers.get(name) if namespace == "default" else None

    async def add(self, name: str, script: str = "sleep 3600") -> Worker:
        container = {"name": "c", "image": "busybox", "command": ["sh", "-c", script]}
        metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
        pod: Object = {"metadata": metadata, "spec": {"nodeName": "n1", "containers": [container]}, "status": {}}
        sandbox = await self.runtime.run_pod_sandbox(SandboxConfig(pod))
        container_id = await self.runtime.create_container(sandbox.id, ContainerConfig(container, "ref"))
        await self.runtime.start_container(container_id)
        self.workers[name] = Worker(pod, self.host)
        return self.workers[name]


@asynccontextmanager
async def serving(**rest: Any) -> AsyncIterator[tuple[Agents, KubeletServer]]:
    agents = Agents()
    server = KubeletServer(agents, rest.get("context"), authenticate=rest.get("callers", Callers(tokens=[TOKEN])))  # type: ignore[arg-type]
    await server.start()
    try:
        yield agents, server
    finally:
        await server.stop()
        await agents.runtime.close()
        for writer in OPENED:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in OPENED), return_exceptions=True)
        OPENED.clear()


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


async def opened(server: KubeletServer, **tls: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **tls)
    OPENED.append(writer)
    return reader, writer


async def connect(server: KubeletServer, head: str, **tls: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Answered]:
    """Send a request head; the connection, and the answer's head."""
    reader, writer = await opened(server, **tls)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    async with asyncio.timeout(20):
        raw = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = raw.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines if each)}
    return reader, writer, Answered(int(first.split()[1]), headers, b"")


async def get(server: KubeletServer, path: str, *, token: str = TOKEN, **tls: Any) -> Answered:
    """One plain request, its whole answer."""
    reader, writer, answered = await connect(
        server, f"GET {path} HTTP/1.1\nHost: kubelet\nConnection: close\nAuthorization: Bearer {token}", **tls
    )
    async with asyncio.timeout(20):
        raw = await reader.read()
    writer.close()
    answered.body = dechunked(raw) if answered.headers.get("transfer-encoding") == "chunked" else raw
    return answered


def dechunked(raw: bytes) -> bytes:
    out = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        out, raw = out + raw[: int(size, 16)], raw[int(size, 16) + 2 :]
    return out


def query(**values: Any) -> str:
    return "&".join(f"{key}={quote(each)}" for key, value in values.items() for each in ([value] if isinstance(value, str) else value))
