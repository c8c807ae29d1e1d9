"""`python -m bench [server|cluster|growth|scheduler|scale|loss ...]`: run the benchmarks and print their figures.

With no argument: the API server alone with 10,000 pods, then a cluster of 100 nodes and a Deployment of 3,000 pods. `growth` shows what
requests cost as more and more is stored; it takes a few minutes. `scheduler` is about decisions only, on 5,000 nodes. `scale` runs clusters
of 100, 1,000 and 5,000 nodes (ten minutes), `loss` has every tenth of 1,000 nodes vanish.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console

from bench import cluster, growth, scale, scheduler, server

WIDTH = 140
"""Of what is printed to a file."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="How fast and how small it is.")
    parser.add_argument(
        "which", nargs="*", choices=["server", "cluster", "growth", "scheduler", "scale", "loss", []], help="default: server and cluster"
    )
    parser.add_argument("--storage", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--stored", type=int, default=10_000, help="pods stored in the server benchmark (default 10000)")
    parser.add_argument("--growth", type=int, nargs="+", default=growth.STORED, help="pods stored at each step (default 100 10000 100000)")
    parser.add_argument("--nodes", type=int, help="nodes of the cluster (default 100), and of the scheduler benchmark (default 5000)")
    parser.add_argument("--rest", type=float, default=0, metavar="S", help="watch the cluster at rest for so many seconds afterwards")
    parser.add_argument("--pods", type=int, help="pods of the cluster (default 3000), and of each case of the scheduler's (default 1000)")
    flags = parser.parse_args()
    which = flags.which or ["server", "cluster"]
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=WIDTH)

    if "scheduler" in which:
        nodes, pods = flags.nodes or 5000, flags.pods or 1000
        console.print(f"[bold]Scheduling decisions[/]: {nodes} nodes, {pods} pods")
        scheduler.measure(nodes=nodes, pods=pods, console=console)

    async def measure() -> None:
        nodes, pods = flags.nodes or 100, flags.pods or 3000
        with tempfile.TemporaryDirectory(prefix="wherry-bench-") as directory:
            if "server" in which:
                console.print(f"[bold]API server alone[/] ({flags.storage}, TLS, 16 connections)")
                await server.measure(Path(directory), storage=flags.storage, pods=flags.stored, console=console)
            if "growth" in which:
                console.print("[bold]What a request costs[/] as more is stored (16 connections)")
                await growth.measure(Path(directory), storage=flags.storage, stored=flags.growth, console=console)
            if "cluster" in which:
                console.print(f"[bold]A cluster[/]: {nodes} simulated nodes, one Deployment of {pods} pods")
                await cluster.measure(Path(directory), nodes=nodes, pods=pods, rest_s=flags.rest, console=console)
            if "scale" in which:
                sizes = [flags.nodes] if flags.nodes else scale.NODES
                await scale.grow(Path(directory), nodes=sizes, pods=flags.pods, console=console)
            if "loss" in which:
                await scale.lose(Path(directory), nodes=flags.nodes or 1000, pods=pods, console=console)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure())


if __name__ == "__main__":
    main()
