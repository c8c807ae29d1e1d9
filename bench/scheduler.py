"""The scheduler's decisions alone, in process: how many pods a second get a node, on how many nodes, with which wishes.

Per pod: it is parsed, queued, decided about and assumed on its node, then seen there as the API would tell it. No API and no network; the
cases are those of upstream's scheduler_perf (`test/integration/scheduler_perf`). *alike*: replicas of one template, which share their
evaluation; *distinct*: no two pods are alike, so that everything is worked out for each.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from controllers.scheduler.plugins.default import default_profile
from controllers.scheduler.pod_info import PodInfo
from controllers.scheduler.queue import SchedulingQueue
from controllers.scheduler.schedule import Evaluations, schedule
from controllers.scheduler.snapshot import Snapshot

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
ZONES = 3
SECONDS_MAX = 10.0
"""A case ends after so long, however many pods are left."""
Spec = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """`spec(app)` is what pods of an app wish for. `aim` in pods a second on 5,000 nodes, alike."""

    name: str
    spec: Spec
    aim: int
    is_owned: bool = False
    """By a ReplicaSet: upstream's default spreading applies."""


def _selects(app: str) -> dict[str, Any]:
    return {"matchLabels": {"app": app}}


def _spread(when: str, key: str) -> Spec:
    return lambda app: {
        "topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": _selects(app)}]
    }


def _affinity(kind: str, key: str) -> Spec:
    return lambda app: {
        "affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": _selects(app)}]}}
    }


def _preferred(kind: str, key: str) -> Spec:
    def spec(app: str) -> dict[str, Any]:
        term = {"topologyKey": key, "labelSelector": _selects(app)}
        return {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}}}

    return spec


CASES = (
    Case("plain", lambda app: {}, 300),
    Case("of a ReplicaSet", lambda app: {}, 300, is_owned=True),
    Case("spread over zones, required", _spread("DoNotSchedule", ZONE), 100),
    Case("spread over zones, preferred", _spread("ScheduleAnyway", ZONE), 100),
    Case("affinity by zone, required", _affinity("podAffinity", ZONE), 30),
    Case("anti-affinity by node, required", _affinity("podAntiAffinity", HOSTNAME), 30),
    Case("affinity by node, preferred", _preferred("podAffinity", HOSTNAME), 30),
)


def node(number: int) -> dict[str, Any]:
    name = f"node-{number}"
    labels = {HOSTNAME: name, ZONE: f"zone-{number % ZONES}"}
    status: dict[str, Any] = {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"}}
    if number % 2:
        status["images"] = [{"names": ["app:1"], "sizeBytes": 100 << 20}]
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}


def owner(app: str) -> dict[str, Any]:
    spec = {"selector": _selects(app)}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": app, "namespace": "default", "uid": app}, "spec": spec}


def pod(number: int, app: str, case: Case, *, on: str = "") -> dict[str, Any]:
    container = {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": "10m", "memory": "50Mi"}}}
    metadata: dict[str, Any] = {"name": f"pod-{number}", "namespace": "default", "uid": f"uid-{number}", "labels": {"app": app}}
    if case.is_owned:
        metadata["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": app, "controller": True}]
    whole = {"containers": [container], **({"nodeName": on} if on else {}), **case.spec(app)}
    return {"kind": "Pod", "metadata": metadata, "spec": whole, "status": {"phase": "Pending"}}


async def pods_per_s(case: Case, *, nodes: int, before: int, pods: int, distinct: bool) -> tuple[float, float]:
    """(pods a second by the clock, CPU milliseconds a pod), with `before` pods of the kind there already."""
    rng, snapshot, profile, memory = random.Random(1), Snapshot(), default_profile(), Evaluations()
    queue = SchedulingQueue(profile)
    for number in range(nodes):
        snapshot.set_node(node(number))
    for number in range(before):
        app = "there" if distinct else "bench"
        snapshot.set_pod(PodInfo(pod(number, app, case, on=f"node-{number % nodes}")))
    apps = [f"app-{number}" if distinct else "bench" for number in range(pods)]
    told = [pod(before + number, app, case) for number, app in enumerate(apps)]
    for app in dict.fromkeys(("there", *apps)):
        snapshot.workloads.owner(None, owner(app))
    began, began_cpu, done = time.perf_counter(), time.process_time(), 0
    for each in told:
        queue.put(each)
        queued = await queue.pop()
        decision = schedule(queued.info, snapshot, profile, rng=rng, memory=memory)
        if decision.node is None:
            raise RuntimeError(f"{case.name}: {decision.message}")
        snapshot.advance(decision.visited)
        snapshot.assume(queued.info, decision.node)
        queue.remove(queued.info.key)
        snapshot.set_pod(PodInfo({**each, "spec": {**each["spec"], "nodeName": decision.node}}))
        done += 1
        if time.perf_counter() - began > SECONDS_MAX:
            break
    return done / (time.perf_counter() - began), 1000 * (time.process_time() - began_cpu) / done


def measure(*, nodes: int, pods: int, console: Console) -> None:
    """Print a row for each case."""
    table = Table("case", "alike: pods/s", "CPU ms a pod", "distinct: pods/s", "CPU ms a pod", "aim", box=None, header_style="bold")
    for case in CASES:
        cells: list[str] = []
        for distinct in (False, True):
            rate, cpu_ms = asyncio.run(pods_per_s(case, nodes=nodes, before=1000, pods=pods, distinct=distinct))
            cells += [f"{rate:.0f}", f"{cpu_ms:.2f}"]
        table.add_row(case.name, *cells, str(case.aim))
    console.print(table)
