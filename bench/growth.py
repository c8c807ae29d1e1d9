"""What a create, a get and a patch cost with few and with many objects stored: it should be the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import Connection, Make, run
from bench.processes import cpu_s, free_port, resident_mb, running
from bench.server import command, connect, creates, gets, patches, prepare, until_ready

REQUESTS = 1000
ROUNDS = 5
STORED = (100, 10_000, 100_000)


async def measure(directory: Path, *, storage: str, stored: Sequence[int] = STORED, console: Console) -> None:
    """Fill one server step by step and print, at each, CPU and time of a request: the best of a few rounds."""
    data, port = directory / "growth", free_port()
    data.mkdir()
    table = Table("pods stored", "create", "get", "patch", "resident MB", box=None, header_style="bold")
    with running(command(data, port, storage), directory / "log") as process:
        await until_ready(data, port, time.perf_counter())
        connections = await connect(data, port)
        await prepare(connections[0])
        there = 0
        for count in sorted(stored):
            begin, make = there, creates("p")
            await run(connections, count - there, lambda number, begin=begin, make=make: make(begin + number))  # type: ignore[misc]
            there = count
            cells = [
                await _cost(process.pid, connections, [creates(f"{count}-{turn}") for turn in range(ROUNDS)]),
                await _cost(process.pid, connections, [gets(count)] * ROUNDS),
                await _cost(process.pid, connections, [patches(count)] * ROUNDS),
            ]
            table.add_row(f"{count:,}", *cells, f"{resident_mb(process.pid):.0f}")
        for each in connections:
            each.close()
    console.print(table)


async def _cost(pid: int, connections: list[Connection], rounds: Sequence[Make]) -> str:
    cpu_us, per_second = 1e9, 0.0
    for make in rounds:
        before = cpu_s(pid)
        result = await run(connections, REQUESTS, make)
        cpu_us, per_second = min(cpu_us, (cpu_s(pid) - before) / REQUESTS * 1e6), max(per_second, result.per_second)
    return f"{cpu_us:.0f} us CPU, {per_second:,.0f}/s"
