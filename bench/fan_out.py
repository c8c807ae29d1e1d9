"""Watch fan-out: many watchers of one namespace while pods are created there. How fast events arrive, how late, and what they cost.

The watchers are a process of their own (`watchers.py`) and the creates come from this one, so generator and server share the machine's
cores: beside an idle generator the server could do more. *Events a second*: all events that all watchers got, over the time from the
first create to the last event. *Latest*: the longest that any event was under way to any watcher, from the answer to its create.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from bench.load import Connection
from bench.pods import pod
from bench.processes import cpu_s


@dataclass(frozen=True, slots=True)
class FanOut:
    """What one run gave."""

    watchers: int
    creates: int
    delivered: int
    elapsed_s: float
    latest_s: float
    server_cpu_s: float

    @property
    def per_second(self) -> float:
        return self.delivered / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def cpu_us(self) -> float:
        """Processor time of the server for each event, the creates included."""
        return self.server_cpu_s / self.delivered * 1e6 if self.delivered else 0.0


RUNS = 3


async def report(
    data: Path, port: int, pid: int, connections: list[Connection], fan_outs: Sequence[tuple[int, int]], console: Console
) -> None:
    """Measure each (watchers, creates) a few times and print the best."""
    table = Table("watch fan-out", "events per second", "latest s", "CPU us an event", "delivered", box=None, header_style="bold")
    for watchers, creates in fan_outs:
        runs = []
        for number in range(RUNS):
            namespace = f"fan-out-{watchers}-{number}"
            runs.append(await measure(data, port, pid, connections, namespace=namespace, watchers=watchers, creates=creates))
        best = max(runs, key=lambda each: each.per_second)
        cpu_us = min(each.cpu_us for each in runs)
        share = f"{best.delivered / (watchers * creates):.0%}"
        table.add_row(f"{watchers} watchers, {creates} creates", f"{best.per_second:,.0f}", f"{best.latest_s:.2f}", f"{cpu_us:.1f}", share)
    console.print(table)


async def measure(data: Path, port: int, pid: int, connections: list[Connection], *, namespace: str, watchers: int, creates: int) -> FanOut:
    """Create `creates` pods in a namespace that `watchers` watch. `pid` is the server's."""
    base = f"/api/v1/namespaces/{namespace}/pods"
    await connections[0].request("POST", "/api/v1/namespaces", orjson.dumps({"metadata": {"name": namespace}}))
    for _ in range(50):
        account = orjson.dumps({"metadata": {"name": "default"}})
        if (await connections[0].request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account))[0] in (201, 409):
            break
    arguments = ["-m", "bench.watchers", str(data), str(port), f"{base}?watch=1", str(watchers), str(creates)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, limit=1 << 28)
    assert process.stdout is not None
    try:
        if (await process.stdout.readline()).strip() != b"watching":
            raise RuntimeError("the watchers could not begin")
        await asyncio.sleep(1)
        cpu = cpu_s(pid)
        began, answered = time.monotonic(), await _create(connections, base, creates)
        arrivals: list[list[tuple[float, int]]] = json.loads(await process.stdout.readline())
        used = cpu_s(pid) - cpu
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    delivered = sum(each[-1][1] for each in arrivals if each)
    end = max((each[-1][0] for each in arrivals if each), default=began)
    return FanOut(watchers, creates, delivered, end - began, latest(arrivals, answered), used)


async def _create(connections: list[Connection], base: str, count: int) -> list[float]:
    """When each create was answered, in that order."""
    numbers = iter(range(count))
    answered: list[float] = []

    async def one(connection: Connection) -> None:
        for number in numbers:
            status, body = await connection.request("POST", base, orjson.dumps(pod(f"f-{number}")))
            if status != 201:
                raise RuntimeError(f"a create was refused: {body[:300]!r}")
            answered.append(time.monotonic())

    await asyncio.gather(*(one(each) for each in connections))
    return answered


def latest(arrivals: list[list[tuple[float, int]]], answered: list[float]) -> float:
    """The longest time from the answer to a create to the arrival of its event anywhere; events arrive in the order of the answers."""
    worst = 0.0
    for watch in arrivals:
        before = 0
        for at, events in watch:
            worst = max(worst, at - answered[before])
            before = events
    return worst
