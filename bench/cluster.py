"""A whole cluster of real processes: a Deployment of many pods on many simulated nodes, from `create` to every pod Ready."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.processes import cpu_s, free_port, resident_mb, running
from kube.client.client import Client
from kube.client.config import load_kubeconfig
from kube.client.informer import Informer
from kube.errors import ApiError
from kube.objects import Object, is_condition_true
from kube.resources import DEPLOYMENTS, NODES, PODS

WITHIN_S = 600.0
EVICTION_RATE = 5
"""Upstream's default of a lost node every ten seconds is for people to wake up, not to be waited for."""
SETTLING_S = 20.0
"""After so long nothing more happens to pods that are Ready."""


def deployment(replicas: int) -> Object:
    labels = {"app": "bench"}
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    container = {"name": "app", "image": "registry.example.com/app:1", "resources": resources}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "bench", "namespace": "default"}, "spec": spec}


@dataclass(slots=True)
class Cluster:
    """A running cluster: the admin's client of it, and its processes by name."""

    client: Client
    data: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def table(self) -> Table:
        """What each process holds, and has used since its start."""
        pids = {name: each.pid for name, each in self.processes.items() if each.poll() is None}
        table = Table("process", "resident MB", "CPU s", box=None, header_style="bold")
        for name, pid in pids.items():
            table.add_row(name, f"{resident_mb(pid):.0f}", f"{cpu_s(pid):.1f}")
        table.add_row("all", f"{sum(map(resident_mb, pids.values())):.0f}", f"{sum(map(cpu_s, pids.values())):.1f}")
        return table


@contextlib.asynccontextmanager
async def started(directory: Path, nodes: int, *, apart: int = 0, console: Console) -> AsyncIterator[Cluster]:
    """The API server, the controller manager, the scheduler and one kubelet for all nodes, the last `apart` of which a second one has; ends
    with the block. Prints when the nodes were Ready.

    RBAC decides, and the loops act as their accounts; only the kubelet may do everything: no node's identity would do for all of them."""
    data, port = directory / "cluster", free_port()
    data.mkdir(mode=0o700, parents=True)
    log = directory / "cluster.log"
    issued = {"system:kube-controller-manager": data / "manager", "system:kube-scheduler": data / "scheduler"}
    issued["system:node:bench,system:nodes,system:masters"] = data / "kubelet"
    issue = [f"--issue-kubeconfig={user}={path}" for user, path in issued.items()]
    async with contextlib.AsyncExitStack() as stack:
        processes = {}

        def start(name: str, *command: str) -> None:
            processes[name] = stack.enter_context(running(["-m", *command], log))

        start("apiserver", "apiserver", f"--data-dir={data}", f"--secure-port={port}", *issue)
        client = await _client(data)
        stack.push_async_callback(client.close)
        start(
            "controller-manager",
            "controllers",
            "manager",
            f"--kubeconfig={data / 'manager'}",
            "--use-service-account-credentials",
            "--cluster-cidr=10.128.0.0/9",
            f"--node-eviction-rate={EVICTION_RATE}",
            "--healthz-port=0",
        )
        start("scheduler", "controllers", "scheduler", f"--kubeconfig={data / 'scheduler'}", "--healthz-port=0")
        begin = time.perf_counter()
        for first, last in ((1, nodes - apart), (nodes - apart + 1, nodes)):
            if first <= last:
                names = f"--hostname-override=node-{{{first}..{last}}}"
                start(
                    f"kubelet ({last - first + 1} nodes)",
                    "kubelet",
                    f"--kubeconfig={data / 'kubelet'}",
                    names,
                    "--port=0",
                    "--healthz-port=0",
                )
        await until(lambda: _ready_nodes(client, nodes))
        console.print(f"{nodes} nodes Ready after {time.perf_counter() - begin:.1f} s")
        yield Cluster(client, data, processes)


async def measure(directory: Path, *, nodes: int, pods: int, rest_s: float = 0, console: Console) -> None:
    """Run the Deployment through, print when each stage was done and what the processes hold; with `rest_s`, also what they use during so
    many seconds in which nothing happens."""
    async with started(directory, nodes, console=console) as cluster:
        await deploy(cluster.client, deployment(pods), console)
        console.print(cluster.table())
        if rest_s:
            await _rest({name: each.pid for name, each in cluster.processes.items()}, rest_s, console)


async def _rest(processes: dict[str, int], rest_s: float, console: Console) -> None:
    await asyncio.sleep(SETTLING_S)
    before = {name: cpu_s(pid) for name, pid in processes.items()}
    await asyncio.sleep(rest_s)
    shares = {name: (cpu_s(pid) - before[name]) / rest_s for name, pid in processes.items()}
    parts = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    console.print(f"at rest ({rest_s:.0f} s): {sum(shares.values()):.1%} of a core ({parts})")


async def deploy(client: Client, wanted: Object, console: Console) -> None:
    """Create the Deployment, wait until all its pods are Ready, and print how long each stage took."""
    pods = wanted["spec"]["replicas"]
    informer = Informer(client, PODS, namespace="default", label_selector="app=bench", rng=random.Random(1))
    counts = {"created": 0, "bound": 0, "ready": 0, "failed": 0}
    reached: dict[str, float] = {}
    begin = time.perf_counter()

    def changed(old: Any, new: Any) -> None:
        for stage, is_at in (("created", _is_there), ("bound", _is_bound), ("ready", _is_ready), ("failed", _is_failed)):
            counts[stage] += is_at(new) - is_at(old)
            if stage not in reached and counts[stage] >= pods:
                reached[stage] = time.perf_counter() - begin

    informer.add_handler(changed)
    following = asyncio.create_task(informer.run())
    try:
        await informer.wait_synced()
        begin = time.perf_counter()
        await client.create(DEPLOYMENTS, wanted)

        async def done() -> bool:
            if following.done():
                following.result()
            return "ready" in reached

        await until(done)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    stages = ", ".join(f"{stage} after {reached[stage]:.1f} s" for stage in ("created", "bound", "ready"))
    console.print(f"a Deployment of {pods} pods: all {stages}; {counts['failed']} failed ({pods / reached['bound']:.0f} bound/s)")


def _is_there(pod: Any) -> bool:
    return pod is not None


def _is_bound(pod: Any) -> bool:
    return pod is not None and bool(pod["spec"].get("nodeName"))


def _is_ready(pod: Any) -> bool:
    return pod is not None and is_condition_true(pod, "Ready")


def _is_failed(pod: Any) -> bool:
    return pod is not None and pod.get("status", {}).get("phase") == "Failed"


async def _client(data: Path) -> Client:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(ApiError, OSError, ValueError):
            client = Client.from_config(load_kubeconfig(data / "kubeconfig"), user_agent="bench")
            await client.raw("GET", "/readyz")
            return client
        if time.monotonic() > deadline:
            raise TimeoutError("the API server is not ready after 60 s")
        await asyncio.sleep(0.05)


async def _ready_nodes(client: Client, count: int) -> bool:
    with contextlib.suppress(ApiError, OSError):
        nodes = (await client.list(NODES))["items"]
        return sum(is_condition_true(node, "Ready") for node in nodes) >= count
    return False


async def until(true: Any) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await true():
            await asyncio.sleep(0.1)
