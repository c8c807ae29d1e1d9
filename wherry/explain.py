"""`wherry explain pod NAME`: where a pod is bound or could be, and per node who says no, or how many points it gets. What is said is worked
out in `explanation.py`; here it is fetched and printed."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from controllers.scheduler.framework import Rejection
from kube.client.client import Client
from kube.client.config import ConfigError, load_kubeconfig
from kube.errors import ApiError, NotFound
from kube.objects import Object, is_deleting, key_of
from kube.resources import PODS, Resource
from wherry.explanation import PROFILE, RESOURCES, Explanation, Verdict, explained

ROWS_MAX: Final = 40
NAMES_MAX: Final = 4
CONNECT_S: Final = 10.0
_PAGE = 500
_WORD = re.compile(r"[A-Z][a-z]+")


async def explain(data_dir: Path, namespace: str, name: str) -> int:
    """Explain the pod of that name in the data directory's cluster; the exit code. Problems are one line on stderr."""
    try:
        config = load_kubeconfig(data_dir / "kubeconfig")
    except ConfigError as error:
        missing = not (data_dir / "kubeconfig").exists()
        return _failed(f"no cluster has been started in {data_dir}; `wherry up` starts one" if missing else str(error))
    client = Client.from_config(config, user_agent="wherry")
    try:
        await _reach(config.server)
        pod = await client.get(PODS, name, namespace=namespace)
        objects = await fetched(client)
    except NotFound as error:
        return _failed(f"{error} (namespace {namespace})")
    except (ApiError, ValueError) as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(
            f"the API server at {config.server} does not answer ({error}); `wherry status` says what runs, `wherry up` starts it"
        )
    finally:
        await client.close()
    show(explained(pod, objects), Console(highlight=False))
    return 0


async def _reach(url: str) -> None:
    """Find out at once that nobody listens: the client would try for seconds. Raises OSError."""
    parts = urlsplit(url)
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443)
    writer.close()


def _failed(text: str) -> int:
    print(f"wherry: {text}", file=sys.stderr)
    return 1


async def fetched(client: Client) -> dict[Resource, list[Object]]:
    """All objects that scheduling looks at. Raises ApiError, OSError."""
    lists = await asyncio.gather(*(_all(client, resource) for resource in RESOURCES))
    return dict(zip(RESOURCES, lists, strict=True))


async def _all(client: Client, resource: Resource) -> list[Object]:
    found: list[Object] = []
    continue_ = ""
    while True:
        page = await client.list(resource, limit=_PAGE, continue_=continue_)
        found += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page["items"]]
        continue_ = page["metadata"].get("continue") or ""
        if not continue_:
            return found


# --- printing -------------------------------------------------------------------------------------------------------------


def show(explanation: Explanation, console: Console) -> None:
    """Print all of it."""
    for line in summary(explanation):
        console.print(line)
    feasible = [each for each in explanation.verdicts if not each.refusals]
    refused = [each for each in explanation.verdicts if each.refusals]
    if refused:
        console.print()
        console.print(_refusals(refused))
    if feasible:
        console.print()
        console.print(_points(explanation, feasible))


def summary(explanation: Explanation) -> list[str]:
    """Where the pod is and what the scheduler says of it, as lines with rich's markup."""
    pod, decision = explanation.pod, explanation.decision
    phase, node = (pod.get("status") or {}).get("phase", "Unknown"), pod["spec"].get("nodeName")
    where = f"bound to [bold]{escape(node)}[/]" if node else "not bound to a node"
    lines = [f"[bold]pod {escape(key_of(pod))}[/] is {escape(phase)}{' and being deleted' if is_deleting(pod) else ''}, {where}"]
    scheduler = pod["spec"].get("schedulerName", PROFILE.name)
    if scheduler != PROFILE.name and not node:
        lines.append(f"[yellow]it waits for the scheduler {escape(scheduler)}[/]; {PROFILE.name} would say:")
    if explanation.waits_for:
        lines.append(f"[yellow]it is not tried yet[/]: {escape(explanation.waits_for)}; without that:")
    begin = "were it scheduled now, it would go" if node else "it can go"
    if decision.node is None:
        lines.append(f"[red]{escape(decision.message)}[/]")
        lines += _preemption(explanation)
    elif len(explanation.best) > 1 and decision.node in explanation.best:
        lines.append(f"{begin} to [green]{_names(explanation.best)}[/], which are equally good: chance decides")
    else:
        lines.append(f"{begin} to [green]{escape(decision.node)}[/]")
    return lines


def _preemption(explanation: Explanation) -> list[str]:
    result = explanation.decision.preemption
    if result is None or result.node is None:
        return []
    victims = ", ".join(each.key for each in result.victims)
    return [f"it would make room for itself on [yellow]{escape(result.node)}[/] by preempting {escape(victims)}"]


def _names(names: list[str]) -> str:
    shown = ", ".join(map(escape, names[:NAMES_MAX]))
    return f"{shown} and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else shown


def _refusals(refused: Sequence[Verdict]) -> Table:
    """Nodes that are refused for the same reasons share a row; where there are many, numbers are left out to that end."""
    alike: dict[tuple[Rejection, ...], list[str]] = {}
    for verdict in refused:
        noes = verdict.refusals if len(refused) <= ROWS_MAX else tuple(replace(each, detail="") for each in verdict.refusals)
        alike.setdefault(noes, []).append(verdict.node)
    table = _table("REFUSED", "BY PLUGIN", "BECAUSE")
    rows = [(nodes, each) for noes, nodes in alike.items() for each in noes]
    shown: list[str] = []
    for nodes, each in rows[:ROWS_MAX]:
        reason = ", ".join(each.reasons) + (f" ({each.detail})" if each.detail else "")
        table.add_row("" if nodes is shown else _names(nodes), f"[red]{escape(each.plugin)}[/]", escape(reason))
        shown = nodes
    if len(rows) > ROWS_MAX:
        table.add_row(f"... {len(rows) - ROWS_MAX} more rows", "", "")
    return table


def _points(explanation: Explanation, feasible: list[Verdict]) -> Table:
    plugins = explanation.weights
    table = _table("POSSIBLE")
    for header in ("TOTAL", *("\n".join(_WORD.findall(plugin)) + f"\n(x{weight})" for plugin, weight in plugins.items())):
        table.add_column(header, justify="right", vertical="bottom")
    best = explanation.best
    for each in feasible[:ROWS_MAX]:
        name = f"[green]{escape(each.node)}[/]" if each.node in best else escape(each.node)
        table.add_row(name, str(each.total), *(str(each.points.get(plugin, 0)) for plugin in plugins))
    if len(feasible) > ROWS_MAX:
        table.add_row(f"... {len(feasible) - ROWS_MAX} more nodes")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, vertical="top", no_wrap=column in ("POSSIBLE", "BY PLUGIN"))
    return table
