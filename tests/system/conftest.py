"""What system tests share: a cluster that runs for the whole session. Everything in this directory starts real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.kubectl import ENDS, NONE_INSTALLED, Kubectl, installed, parameters
from tests.system.running import Up, free_port, running_up
from tests.system.walk import own_namespace, rolled_out

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory is marked `system`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A cluster of three simulated nodes, shared by the whole session. Keep to a namespace of your own."""
    with running_up(tmp_path_factory.mktemp("cluster") / "data", f"--secure-port={free_port()}") as up:
        yield up


@pytest.fixture(scope="session")
def kubectl_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory for kubectls."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def kubectl_installed() -> None:
    """Skips the test where there is no kubectl."""
    if not installed():
        pytest.skip(NONE_INSTALLED)


@pytest.fixture(params=parameters(ENDS))
def walk(request: pytest.FixtureRequest, cluster: Up, kubectl_home: Path) -> Iterator[Kubectl]:
    """The oldest and the newest kubectl, in a namespace of their own for each test."""
    with own_namespace(Kubectl(request.param, cluster.kubeconfig, kubectl_home), request.function.__name__.removeprefix("test_")) as inside:
        yield inside


@pytest.fixture
def web(walk: Kubectl) -> Kubectl:
    """`walk`, whose namespace holds a Deployment `web` of three ready replicas."""
    assert walk("create", "deployment", "web", "--image=nginx", "--replicas=3").out == "deployment.apps/web created\n"
    rolled_out(walk, "web")
    return walk
