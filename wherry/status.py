"""`wherry status`: what runs in a data directory, and whether it is well."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kube.client.client import Client
from kube.client.config import ConfigError, load_kubeconfig
from kube.errors import ApiError
from kube.objects import is_condition_true, name_of
from kube.resources import NODES, PODS
from wherry import state


async def status(data_dir: Path) -> int:
    """Print it; 0 when everything is well, 1 when something is not or nothing runs."""
    run = state.load(data_dir)
    if run is None:
        print(f"wherry: no cluster is running in {data_dir}; `wherry up` starts one", file=sys.stderr)
        return 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("COMPONENT", "STATUS", "PID"):
        table.add_column(column)
    well = True
    for name, pid in run.children.items():
        alive = bool(state.process_start(pid))
        well &= alive
        table.add_row(name, "[green]running[/]" if alive else "[red]not running[/]", str(pid))
    console = Console(highlight=False)
    console.print(f"cluster in {data_dir}, {run.url}\n")
    console.print(table)
    try:
        client = Client.from_config(load_kubeconfig(data_dir / "kubeconfig"), user_agent="wherry")
        try:
            nodes = (await client.list(NODES))["items"]
            pods = (await client.list(PODS))["items"]
        finally:
            await client.close()
    except (ApiError, OSError, ConfigError) as error:
        console.print(f"\n[red]the API server does not answer: {error}[/]")
        return 1
    unready = [name_of(node) for node in nodes if not is_condition_true(node, "Ready")]
    running = sum(pod.get("status", {}).get("phase") == "Running" for pod in pods)
    console.print(f"\n{len(nodes) - len(unready)} of {len(nodes)} nodes Ready, {running} of {len(pods)} pods Running")
    if unready:
        console.print(f"[red]not Ready: {', '.join(unready)}[/]")
    return 0 if well and not unready else 1
