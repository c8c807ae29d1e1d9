"""The API server alone: requests a second as shares of the echo ceiling (upstream's beside ours), lists, fan-out, memory, start-up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench import fan_out
from bench.load import Connection, Make, Result, run
from bench.pods import PATCH, pod, status
from bench.processes import admin_tls, compile_bytecode, cpu_s, free_port, resident_mb, running, until_listening

CONNECTIONS = 16
UPSTREAM = {"create": 0.076, "get": 0.147, "patch": 0.040}


FAN_OUTS = ((100, 500), (1000, 100))
"""(watchers, creates)."""
STARTS = 3
LISTS = 8


async def measure(directory: Path, *, storage: str = "sqlite", pods: int = 10_000, console: Console) -> None:
    """Run everything and print it."""
    compile_bytecode()
    starts = [await start(directory / f"empty-{number}", directory / "log", storage) for number in range(STARTS)]
    data, port, echo_port = directory / "data", free_port(), free_port()
    data.mkdir()
    log = directory / "log"
    with running(command(data, port, storage), log) as process:
        await until_ready(data, port, time.perf_counter())
        cold = resident_mb(process.pid)
        echo_command = ["-m", "bench.echo", str(echo_port), str(data / "pki/apiserver.crt"), str(data / "pki/apiserver.key")]
        with running(echo_command, log) as echo:
            await until_listening(echo_port)
            echo_post, echo_get = await _echo(data, echo_port, echo.pid)
        table = Table(
            "what", "per second", "share of echo", "upstream's share", "p50 ms", "p99 ms", "CPU us", "failed", box=None, header_style="bold"
        )
        _row(table, "echo POST", echo_post, None, None)
        _row(table, "echo GET", echo_get, None, None)
        connections = await connect(data, port)
        await prepare(connections[0])

        async def measured(count: int, make: Make) -> Measured:
            return await _measured(process.pid, connections, count, make)

        _row(table, f"create a pod ({pods} in all)", await measured(pods, creates("p")), echo_post, UPSTREAM["create"])
        _row(table, "GET a pod", await measured(pods, gets(pods)), echo_get, UPSTREAM["get"])
        _row(table, "PATCH pod status (strategic)", await measured(pods // 2, patches(pods)), echo_post, UPSTREAM["patch"])
        console.print(table)
        await _lists(process.pid, connections[0], console)
        console.print(f"resident memory: {cold:.0f} MB idle, {resident_mb(process.pid):.0f} MB with {pods} pods")
        await fan_out.report(data, port, process.pid, connections, FAN_OUTS, console)
        for each in connections:
            each.close()
    again = [await start(data, log, storage) for _ in range(STARTS)]
    for what, measured_starts in (("an empty store", starts), (f"{pods} pods stored", again if storage != "memory" else [])):
        if measured_starts:
            wall, cpu = (min(part) for part in zip(*measured_starts, strict=True))
            console.print(f"start to /readyz: {wall:.2f} s on {what}, of which {cpu:.2f} s CPU (best of {STARTS})")
    console.print()


def command(data: Path, port: int, storage: str) -> list[str]:
    """What starts a server."""
    return ["-m", "apiserver", f"--data-dir={data}", f"--secure-port={port}", f"--storage={storage}"]


async def start(data: Path, log: Path, storage: str) -> tuple[float, float]:
    """Start a server and stop it: seconds until it said that it was ready, and the CPU seconds that it used until then."""
    port, begin = free_port(), time.perf_counter()
    with running(command(data, port, storage), log) as process:
        wall = await until_ready(data, port, begin)
        return wall, cpu_s(process.pid)


BASE = "/api/v1/namespaces/bench/pods"


def creates(prefix: str) -> Make:
    """Creates of pods whose names begin so."""
    return lambda number: ("POST", BASE, orjson.dumps(pod(f"{prefix}-{number}")), "application/json")


def gets(pods: int) -> Make:
    """Gets of the pods that `creates("p")` made, one after the other."""
    return lambda number: ("GET", f"{BASE}/p-{number % pods}", b"", "")


def patches(pods: int) -> Make:
    """Patches of their statuses."""
    return lambda number: ("PATCH", f"{BASE}/p-{number % pods}/status", orjson.dumps(status(number)), PATCH)


Measured = tuple[Result, float]
"""What a run gave, and the server's CPU seconds for each request."""


async def _measured(pid: int, connections: list[Connection], count: int, make: Make) -> Measured:
    before = cpu_s(pid)
    result = await run(connections, count, make)
    return result, (cpu_s(pid) - before) / count


def _row(table: Table, what: str, measured: Measured, ceiling: Measured | None, upstream: float | None) -> None:
    result, cpu = measured
    share = f"{result.per_second / ceiling[0].per_second:.3f}" if ceiling else ""
    p50, p99 = (f"{result.percentile(each) * 1000:.1f}" for each in (0.5, 0.99))
    theirs = f"{upstream:.3f}" if upstream else ""
    table.add_row(what, f"{result.per_second:,.0f}", share, theirs, p50, p99, f"{cpu * 1e6:.0f}", str(result.failed))


async def connect(data: Path, port: int) -> list[Connection]:
    tls = admin_tls(data)
    headers = {"User-Agent": "bench", "Accept": "application/json"}
    return list(await asyncio.gather(*(Connection.open("127.0.0.1", port, tls, headers) for _ in range(CONNECTIONS))))


async def until_ready(data: Path, port: int, begin: float) -> float:
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


async def _echo(data: Path, port: int, pid: int) -> tuple[Measured, Measured]:
    connections = await connect(data, port)
    body = orjson.dumps(pod("p-1"))
    post = await _measured(pid, connections, 10_000, lambda _: ("POST", "/", body, "application/json"))
    get = await _measured(pid, connections, 10_000, lambda _: ("GET", "/", b"", ""))
    for each in connections:
        each.close()
    return post, get


async def prepare(connection: Connection) -> None:
    namespace = orjson.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}})
    await connection.request("POST", "/api/v1/namespaces", namespace)
    account = orjson.dumps({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    await connection.request("POST", "/api/v1/namespaces/bench/serviceaccounts", account)


async def _lists(pid: int, connection: Connection, console: Console) -> None:
    for what, query in (
        ("LIST all", ""),
        ("LIST with a label selector of 1 %", "?labelSelector=hundred%3D7"),
        ("LIST limit=500", "?limit=500"),
    ):
        best, size, cpu = 1e9, 0, cpu_s(pid)
        for _ in range(LISTS):
            begin = time.perf_counter()
            _, body = await connection.request("GET", BASE + query)
            best, size = min(best, time.perf_counter() - begin), len(body)
        used = (cpu_s(pid) - cpu) / LISTS
        console.print(f"{what}: {best * 1000:.1f} ms for {size / 1e6:.1f} MB (best of {LISTS}; {used * 1000:.1f} ms CPU of the server)")
