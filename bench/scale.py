"""What a cluster costs as it grows, how quick its answers stay, and how it takes the loss of many nodes at once.

Answers are timed by a client of its own, which meanwhile asks for one thing after the other: Kubernetes' service levels are a p99 of 1 s
for writes and reads of one object, and of 30 s for lists (`sig-scalability/slos`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.cluster import Cluster, deploy, deployment, started, until
from bench.load import Connection, Result
from bench.processes import admin_tls
from kube.client.config import load_kubeconfig
from kube.objects import Object, is_condition_true, is_deleting
from kube.resources import PODS

NODES: Sequence[int] = (100, 1000, 5000)
PODS_A_NODE = 3
PAUSE_S = 0.05
LIST_EVERY_S = 5.0
LOST_SHARE = 10
LOST_AFTER_S = 5
"""Pods leave a node so long after it was found lost (upstream's default is five minutes)."""
_MAPS = "/api/v1/namespaces/default/configmaps"
_POD_LIST = "/api/v1/namespaces/default/pods"


async def grow(directory: Path, *, nodes: Sequence[int], pods: int | None, console: Console) -> None:
    """Clusters of so many nodes, one after the other, with `pods` each (default: three a node)."""
    for each in nodes:
        wanted = pods or each * PODS_A_NODE
        console.print(f"[bold]{each} nodes[/], one Deployment of {wanted} pods")
        async with started(directory / f"grow-{each}", each, console=console) as cluster, asked(cluster, console):
            await deploy(cluster.client, deployment(wanted), console)
            console.print(cluster.table())


async def lose(directory: Path, *, nodes: int, pods: int, console: Console) -> None:
    """Kill every tenth node at once, and wait until all pods are Ready again elsewhere."""
    lost = nodes // LOST_SHARE
    async with started(directory / "lose", nodes, apart=lost, console=console) as cluster:
        await deploy(cluster.client, _leaving(deployment(pods)), console)
        before = {each["metadata"]["uid"] for each in await _pods(cluster)}
        cluster.processes[f"kubelet ({lost} nodes)"].kill()
        begin = time.perf_counter()
        async with asked(cluster, console):
            found: list[Object] = []

            async def again() -> bool:
                await asyncio.sleep(2)
                found[:] = [each for each in await _pods(cluster) if not is_deleting(each) and is_condition_true(each, "Ready")]
                return len(found) >= pods and any(each["metadata"]["uid"] not in before for each in found)

            await until(again)
        new = sum(each["metadata"]["uid"] not in before for each in found)
        console.print(
            f"{lost} of {nodes} nodes lost: all {pods} pods Ready again after {time.perf_counter() - begin:.1f} s, {new} of them new"
        )
        console.print(cluster.table())


def _leaving(wanted: Object) -> Object:
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    tolerations = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_AFTER_S} for key in keys]
    wanted["spec"]["template"]["spec"]["tolerations"] = tolerations
    return wanted


async def _pods(cluster: Cluster) -> list[Object]:
    items: list[Object] = (await cluster.client.list(PODS, namespace="default", label_selector="app=bench"))["items"]
    return items


@contextlib.asynccontextmanager
async def asked(cluster: Cluster, console: Console) -> AsyncIterator[None]:
    """Ask for this and that while the block runs; then print how long the answers took."""
    times: dict[str, list[float]] = {"write": [], "read": [], "list": []}
    asking = asyncio.create_task(_ask(cluster.data, times))
    try:
        yield
    finally:
        asking.cancel()
        failed = (await asyncio.gather(asking, return_exceptions=True))[0]
        if not isinstance(failed, asyncio.CancelledError):
            console.print(f"[red]the client that timed the answers failed: {failed!r}[/]")
    table = Table("answers meanwhile", "asked", "p50 ms", "p99 ms", "most ms", box=None, header_style="bold")
    for what, taken in times.items():
        result = Result(len(taken), 0, 0.0, taken)
        table.add_row(what, str(len(taken)), *(f"{result.percentile(each) * 1000:.0f}" for each in (0.5, 0.99, 1.0)))
    console.print(table)


async def _ask(data: Path, times: dict[str, list[float]]) -> None:
    config = load_kubeconfig(data / "kubeconfig")
    port = int(config.server.rpartition(":")[2])
    connection = await Connection.open("127.0.0.1", port, admin_tls(data), {"User-Agent": "bench-asking", "Accept": "application/json"})
    await connection.request("POST", _MAPS, _map(0))
    listed, number = 0.0, 0
    while True:
        number += 1
        await _timed(connection, times["write"], "PUT", f"{_MAPS}/asking", _map(number))
        await _timed(connection, times["read"], "GET", f"{_MAPS}/asking")
        if time.perf_counter() - listed > LIST_EVERY_S:
            await _timed(connection, times["list"], "GET", _POD_LIST)
            listed = time.perf_counter()
        await asyncio.sleep(PAUSE_S)


def _map(number: int) -> bytes:
    return orjson.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "asking"}, "data": {"number": str(number)}})


async def _timed(connection: Connection, times: list[float], method: str, path: str, body: bytes = b"") -> None:
    begin = time.perf_counter()
    status, answer = await connection.request(method, path, body)
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {status} {answer[:200]!r}")
    times.append(time.perf_counter() - begin)
