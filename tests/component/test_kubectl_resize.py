"""`kubectl patch --subresource resize`, from a real kubectl to what the node tells of it. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from kube.objects import Object
from tests.system.kubectl import ENDS, NONE_INSTALLED, Kubectl, Ran
from wherry import Cluster

pytestmark = pytest.mark.skipif(not ENDS, reason=NONE_INSTALLED)
ONE, TWO = {"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=1, time="real") as made:
        yield made


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(ENDS[-1], cluster.kubeconfig, tmp_path_factory.mktemp("home"))


def running(cluster: Cluster, name: str, **spec: Any) -> None:
    containers = [{"name": "c", "image": "c", "resources": ONE}]
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}})


def patched(kubectl: Kubectl, name: str, **spec: Any) -> Ran:
    return kubectl("patch", "pod", name, "--subresource", "resize", "--patch", orjson.dumps({"spec": spec}).decode(), code=None)


def told(cluster: Cluster, name: str, field: str) -> Object | None:
    """The resources that the node tells of the pod's only container in `field`."""
    statuses: list[Object] = cluster.client.get("Pod", name)["status"].get(field) or [{}]
    resources: Object | None = statuses[0].get("resources")
    return resources


def test_containers_and_pods_are_resized(cluster: Cluster, kubectl: Kubectl) -> None:
    init = [{"name": "i", "image": "busybox:1", "command": ["sleep", "3600"], "resources": ONE}]
    running(cluster, "whole", resources={"requests": {"cpu": "3"}})
    running(cluster, "initializing", initContainers=init)
    cluster.wait_until(lambda: told(cluster, "whole", "containerStatuses") == ONE, what="a container with its size")
    cluster.wait_until(lambda: told(cluster, "initializing", "initContainerStatuses") == ONE, what="an init container with its size")
    assert patched(kubectl, "whole", resources={"requests": {"cpu": "4"}}, containers=[{"name": "c", "resources": TWO}]).code == 0
    assert patched(kubectl, "initializing", initContainers=[{"name": "i", "resources": TWO}]).code == 0
    cluster.wait_until(lambda: told(cluster, "whole", "containerStatuses") == TWO, what="another size")
    cluster.wait_until(lambda: told(cluster, "initializing", "initContainerStatuses") == TWO, what="another size")
    status = cluster.client.get("Pod", "whole")["status"]
    assert (status["resources"], status["allocatedResources"]) == ({"requests": {"cpu": "4"}}, {"cpu": "4"})


def test_what_no_node_holds_is_refused(cluster: Cluster, kubectl: Kubectl) -> None:
    running(cluster, "large")
    cluster.wait_until(lambda: told(cluster, "large", "containerStatuses") == ONE, what="a container with its size")
    answer = patched(kubectl, "large", containers=[{"name": "c", "resources": {"requests": {"cpu": "9"}}}])
    assert answer.code == 1
    assert "node didn't have enough allocatable resources: cpu, requested: 9000, allocatable: 8000" in answer.err
