"""The API server alone: requests a second as shares of the echo ceiling, lists, memory, start-up. NUMBERS of upstream beside ours."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from bench.load import Connection, Result, run
from bench.processes import admin_tls, free_port, resident_mb, running, until_listening

CONNECTIONS = 16
UPSTREAM = {"create": 0.076, "get": 0.147, "patch": 0.040}
PATCH = "application/strategic-merge-patch+json"


def pod(name: str) -> dict[str, Any]:
    """One container with a probe, environment, resources and a mount."""
    container = {
        "name": "app",
        "image": "registry.example.com/shop/app:1.2.3",
        "ports": [{"containerPort": 8080, "name": "http"}],
        "env": [{"name": "MODE", "value": "fast"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": "app"}}], "automountServiceAccountToken": False}
    parity = "even" if int(name.rpartition("-")[2]) % 2 == 0 else "odd"
    labels = {"app": "shop", "parity": parity, "hundred": str(int(name.rpartition("-")[2]) % 100)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def status(number: int) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True" if number % 2 else "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"status": {"phase": "Running", "podIP": f"10.1.{number // 250 % 250}.{number % 250}", "conditions": [condition]}}


async def measure(directory: Path, *, storage: str = "sqlite", pods: int = 10_000, console: Console) -> None:
    """Run everything and print it."""
    data, port, echo_port = directory / "data", free_port(), free_port()
    data.mkdir()
    log = directory / "log"
    server = ["-m", "apiserver", f"--data-dir={data}", f"--secure-port={port}", f"--storage={storage}"]
    begin = time.perf_counter()
    with running(server, log) as process:
        ready = await _until_ready(data, port, begin)
        cold = await _memory(process.pid)
        echo_command = ["-m", "bench.echo", str(echo_port), str(data / "pki/apiserver.crt"), str(data / "pki/apiserver.key")]
        with running(echo_command, log):
            await until_listening(echo_port)
            echo_post, echo_get = await _echo(data, echo_port)
        table = Table(
            "what", "per second", "share of echo", "upstream's share", "p50 ms", "p99 ms", "failed", box=None, header_style="bold"
        )
        _row(table, "echo POST", echo_post, None, None)
        _row(table, "echo GET", echo_get, None, None)
        connections = await _connect(data, port)
        await _prepare(connections[0])
        base = "/api/v1/namespaces/bench/pods"

        def create(number: int) -> tuple[str, str, bytes, str]:
            return "POST", base, orjson.dumps(pod(f"p-{number}")), "application/json"

        created = await run(connections, pods, create)
        _row(table, f"create a pod ({pods} in all)", created, echo_post, UPSTREAM["create"])
        got = await run(connections, pods, lambda n: ("GET", f"{base}/p-{n % pods}", b"", ""))
        _row(table, "GET a pod", got, echo_get, UPSTREAM["get"])
        patched = await run(connections, pods // 2, lambda n: ("PATCH", f"{base}/p-{n}/status", orjson.dumps(status(n)), PATCH))
        _row(table, "PATCH pod status (strategic)", patched, echo_post, UPSTREAM["patch"])
        console.print(table)
        await _lists(connections[0], base, console)
        console.print(f"resident memory: {cold:.0f} MB idle, {await _memory(process.pid):.0f} MB with {pods} pods")
        for each in connections:
            each.close()
    begin = time.perf_counter()
    with running(server, log):
        again = await _until_ready(data, port, begin)
    console.print(f"start to /readyz: {ready:.2f} s on an empty store, {again:.2f} s with {pods} pods stored\n")


def _row(table: Table, what: str, result: Result, ceiling: Result | None, upstream: float | None) -> None:
    share = f"{result.per_second / ceiling.per_second:.3f}" if ceiling else ""
    p50, p99 = result.percentile(0.5) * 1000, result.percentile(0.99) * 1000
    table.add_row(
        what, f"{result.per_second:,.0f}", share, f"{upstream:.3f}" if upstream else "", f"{p50:.1f}", f"{p99:.1f}", str(result.failed)
    )


async def _memory(pid: int) -> float:
    return resident_mb(pid)


async def _connect(data: Path, port: int) -> list[Connection]:
    tls = admin_tls(data)
    headers = {"User-Agent": "bench", "Accept": "application/json"}
    return list(await asyncio.gather(*(Connection.open("127.0.0.1", port, tls, headers) for _ in range(CONNECTIONS))))


async def _until_ready(data: Path, port: int, begin: float) -> float:
    while time.perf_counter() - begin < 60:
        try:
            connection = await Connection.open("127.0.0.1", port, admin_tls(data), {})
            code, _ = await connection.request("GET", "/readyz")
            connection.close()
            if code == 200:
                return time.perf_counter() - begin
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        await asyncio.sleep(0.01)
    raise TimeoutError("the API server is not ready after 60 s")


async def _echo(data: Path, port: int) -> tuple[Result, Result]:
    connections = await _connect(data, port)
    body = orjson.dumps(pod("p-1"))
    post = await run(connections, 10_000, lambda _: ("POST", "/", body, "application/json"))
    get = await run(connections, 10_000, lambda _: ("GET", "/", b"", ""))
    for each in connections:
        each.close()
    return post, get


async def _prepare(connection: Connection) -> None:
    namespace = orjson.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}})
    await connection.request("POST", "/api/v1/namespaces", namespace)
    account = orjson.dumps({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    await connection.request("POST", "/api/v1/namespaces/bench/serviceaccounts", account)


async def _lists(connection: Connection, base: str, console: Console) -> None:
    for what, query in (
        ("LIST all", ""),
        ("LIST with a label selector of 1 %", "?labelSelector=hundred%3D7"),
        ("LIST limit=500", "?limit=500"),
    ):
        best, size = 1e9, 0
        for _ in range(3):
            begin = time.perf_counter()
            _, body = await connection.request("GET", base + query)
            best, size = min(best, time.perf_counter() - begin), len(body)
        console.print(f"{what}: {best * 1000:.1f} ms for {size / 1e6:.1f} MB")
