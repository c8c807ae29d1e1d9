"""Upstream's own binaries with Wherry's: each may take the place of the other's, and nothing is different for who uses the cluster.

Needs the binaries (docs/upstream.md), else everything here is skipped. What is done on each cluster: `upstream_scheduling.py`,
`upstream_controllers.py`, `upstream_housekeeping.py`, `upstream_storage.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system import upstream_controllers, upstream_housekeeping, upstream_scheduling, upstream_storage
from tests.system.client import Api
from tests.system.running import Processes, wait_until
from tests.system.upstream import (
    Place,
    new_place,
    require,
    upstream_manager,
    upstream_scheduler,
    upstream_server,
    wherry_component,
    wherry_nodes,
    wherry_server,
)
from tests.system.upstream_world import World, is_true
from wherry.plan import Process

Scenario = Callable[[World], None]
CONTROLLING = (*upstream_controllers.SCENARIOS, *upstream_housekeeping.SCENARIOS, *upstream_storage.SCENARIOS)
SCHEDULING = upstream_scheduling.SCENARIOS
MANY, FEW = 20, 3
COMPLAINT = re.compile(
    r"failed to (list|watch)|could not find the requested resource|unable to decode|no kind \"|unmarshal|cannot .* resource|panic",
    re.IGNORECASE,
)
"""What an upstream component logs when the server is not what it expects."""


def each(scenarios: Sequence[Scenario]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda scenario: scenario.__name__)


@contextmanager
def running(place: Place, servers: Sequence[Process], others: Sequence[Process], nodes: int) -> Iterator[World]:
    """The cluster, once its nodes are Ready; nothing of it may end before the block does."""
    processes = Processes([*servers, *others])
    try:
        for each_server in servers:
            processes.start(each_server.name)
        wait_until(lambda: place.admin.exists() or bool(processes.ended()), "a kubeconfig")
        world = World(Api.of(place.admin), nodes)
        wait_until(lambda: world.api.is_ready() or bool(processes.ended()), "a server that is ready")
        for other in others:
            processes.start(other.name)
        wait_until(lambda: bool(processes.ended()) or _are_ready(world), f"{nodes} Ready nodes")
        yield world
        assert not processes.ended(), {name: processes.log(name)[-2000:] for name in processes.ended()}
    finally:
        with suppress(KeyError):
            processes.kill("kube-apiserver")  # it would wait half a minute for its watchers to go
        processes.stop()


def _are_ready(world: World) -> bool:
    return [is_true(node, "Ready") for node in world.items("Node")] == [True] * world.nodes


STRANGERS = ("service-ca-cert-publisher",)
"""Loops that builds of other distributions add; upstream's roles, which are ours, have none for them."""


def complaints(log: Path) -> list[str]:
    """Errors and warnings about the server in a log as klog writes it."""
    lines = (line for line in log.read_text(errors="replace").splitlines() if re.match(r"(\S+ )?[EWF]\d{4} ", line))
    return [line for line in lines if COMPLAINT.search(line) and not any(each in line for each in STRANGERS)]


def forbidden(place: Place) -> set[tuple[str, ...]]:
    """Who was denied what for want of rights. Before the server has made its roles nobody may even ask whether it is ready."""
    events = map(json.loads, place.audit.read_text().splitlines())
    denied = [event for event in events if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"]
    return {(event["user"]["username"], event["verb"], event["requestURI"]) for event in denied if event["requestURI"] != "/readyz"}


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """kube-scheduler with Wherry's server, controllers and nodes."""
    require("kube-scheduler")
    place = new_place(tmp_path_factory.mktemp("kube-scheduler") / "data")
    others = [wherry_nodes(place, f"node-{{1..{MANY}}}"), wherry_component(place, "controller-manager"), upstream_scheduler(place)]
    with running(place, [wherry_server(place)], others, MANY) as world:
        yield world
        assert complaints(place.log("kube-scheduler")) == []


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """kube-controller-manager with Wherry's server, scheduler and nodes."""
    require("kube-controller-manager")
    place = new_place(tmp_path_factory.mktemp("kube-controller-manager") / "data")
    others = [wherry_nodes(place, f"node-{{1..{MANY}}}"), upstream_manager(place), wherry_component(place, "scheduler")]
    with running(place, [wherry_server(place)], others, MANY) as world:
        yield world
        assert complaints(place.log("kube-controller-manager")) == []


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """kube-apiserver over etcd, with RBAC, the Node authorizer and NodeRestriction, and Wherry's controllers, scheduler and nodes, each
    under the identity that upstream has for it."""
    require("kube-apiserver", "etcd")
    place = new_place(tmp_path_factory.mktemp("kube-apiserver") / "data")
    names = [f"node-{number}" for number in range(1, FEW + 1)]
    manager = wherry_component(place, "controller-manager", "--use-service-account-credentials=true")
    others = [*(wherry_nodes(place, name, user=name) for name in names), manager, wherry_component(place, "scheduler")]
    place.data.mkdir()
    with running(place, upstream_server(place, nodes=names), others, FEW) as world:
        yield world
    assert forbidden(place) == set()


@each(SCHEDULING)
def test_kube_scheduler_with_wherrys_server(scheduled: World, scenario: Scenario) -> None:
    scenario(scheduled)


@each((*CONTROLLING, upstream_scheduling.taints, upstream_scheduling.devices))
def test_kube_controller_manager_with_wherrys_server(managed: World, scenario: Scenario) -> None:
    scenario(managed)


@each((*SCHEDULING, *CONTROLLING))
def test_wherrys_loops_and_nodes_with_kube_apiserver(stored: World, scenario: Scenario) -> None:
    scenario(stored)
