"""The pytest plugin (entry point `wherry`): the fixture `cluster`, a running `wherry.Cluster` for each test that asks for it.

    def test_it(cluster): ...

    @pytest.mark.cluster(nodes=5, time="real")          # the arguments of Cluster
    def test_more(cluster): ...

`--cluster-nodes N` (or `cluster_nodes` in the configuration file) is how many nodes it has where no marker says so. When a test fails, its
report shows the pods and the latest warnings. Nothing of the cluster is imported before a test wants one.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wherry.cluster import Cluster

NODES = 3
_OPTION = "cluster_nodes"


def pytest_addoption(parser: pytest.Parser) -> None:
    text = f"nodes of the `cluster` fixture, where its marker names none (default {NODES})"
    parser.getgroup("wherry").addoption("--cluster-nodes", type=int, default=None, metavar="N", help=text)
    parser.addini(_OPTION, text, default=str(NODES))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster(**options): how the fixture `cluster` is made; the arguments of wherry.Cluster")


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster of its own for this test. Time stands still in it unless something waits; see docs/python-api.md."""
    from wherry.cluster import Cluster

    marker = request.node.get_closest_marker("cluster")
    if marker is not None and marker.args:
        raise pytest.UsageError("@pytest.mark.cluster takes keyword arguments only, those of wherry.Cluster")
    options = {"nodes": _nodes(request.config), **(marker.kwargs if marker is not None else {})}
    try:
        made = Cluster(**options)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"the fixture `cluster`: {error}") from error
    with made:
        yield made


def _nodes(config: pytest.Config) -> int:
    given = config.getoption(_OPTION)
    if given is not None:
        return int(given)
    text = str(config.getini(_OPTION))
    if not text.isdigit():
        raise pytest.UsageError(f"{_OPTION} = {text}: expected a number")
    return int(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what its cluster looks like."""
    report = yield
    module = sys.modules.get("wherry.cluster")
    if report.when == "call" and report.failed and module is not None:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, module.Cluster):
                report.sections.append((f"wherry: {name}", _described(value)))
    return report


def _described(cluster: Cluster) -> str:
    try:
        return cluster.describe()
    except Exception as error:  # the report of the failed test is what matters
        return f"the cluster cannot tell: {error!r}"
