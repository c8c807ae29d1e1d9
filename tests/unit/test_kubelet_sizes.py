"""How large pods and containers are, and what is told of it: `kubelet/sizes.py`, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from kube.objects import Object
from kubelet.sizes import (
    allocated_by_status,
    as_given,
    changed,
    container_resources,
    is_resized,
    must_restart,
    pod_resources,
    with_allocation,
)


def sized(cpu: str | None = None, memory: str | None = None, /, **limits: str) -> Object:
    requests = {name: amount for name, amount in (("cpu", cpu), ("memory", memory)) if amount}
    return {kind: amounts for kind, amounts in (("requests", requests), ("limits", limits)) if amounts}


def pod(*containers: Object, init: list[Object] | None = None, whole: Object | None = None, **rest: Any) -> Object:
    spec: Object = {"containers": [{"name": f"c{at}", "resources": each} for at, each in enumerate(containers)]}
    if init:
        spec["initContainers"] = init
    if whole is not None:
        spec["resources"] = whole
    return {"metadata": {"name": "p", "uid": "u", "generation": 2}, "spec": {**spec, **rest}}


# --- what containers are run with -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("whole", "own", "expected"),
    [
        pytest.param(None, sized("1", cpu="2"), sized("1", cpu="2"), id="what it asks for"),
        pytest.param(sized(cpu="4", memory="4Gi"), sized("1"), sized("1", cpu="4", memory="4Gi"), id="the pod's limits where it has none"),
        pytest.param(sized(cpu="4"), sized("1", cpu="2"), sized("1", cpu="2"), id="its own where it has some"),
        pytest.param(sized(cpu="4", memory="4Gi"), sized(cpu="2"), sized(cpu="2", memory="4Gi"), id="each resource for itself"),
        pytest.param(sized(cpu="4"), sized(cpu="0"), sized(cpu="4"), id="none is none"),
        pytest.param(sized("4"), {}, {}, id="requests are not handed on"),
        pytest.param({"limits": {"hugepages-2Mi": "4Mi"}}, {}, {}, id="nor are huge pages"),
    ],
)
def test_what_a_container_is_run_with(whole: Object | None, own: Object, expected: Object) -> None:
    given = pod(own, whole=whole)
    (container,) = given["spec"]["containers"]
    assert as_given(given, container)["resources"] == expected
    assert (as_given(given, container) is container) == (own == expected)


def test_a_container_without_resources_gets_the_pods_limits() -> None:
    assert as_given(pod(whole=sized(cpu="4")), {"name": "c"}) == {"name": "c", "resources": sized(cpu="4")}
    assert as_given(pod(), {"name": "c"}) == {"name": "c"}


@pytest.mark.parametrize(
    ("had", "wanted", "expected"),
    [
        pytest.param(sized("1"), sized("1"), set(), id="the same"),
        pytest.param(sized("1"), sized("1000m"), set(), id="the same amount, written differently"),
        pytest.param(None, {}, set(), id="nothing"),
        pytest.param(sized("1"), sized("2"), {"cpu"}, id="another request"),
        pytest.param(sized("1", memory="1Gi"), sized("1", memory="2Gi"), {"memory"}, id="another limit"),
        pytest.param(sized("1"), sized("1", "1Gi"), {"memory"}, id="a request where there was none"),
        pytest.param(sized("1", "1Gi"), {}, {"cpu", "memory"}, id="none where there were some"),
        pytest.param({"requests": {"example.com/gpu": "1"}}, {"requests": {"example.com/gpu": "2"}}, set(), id="others cannot be changed"),
    ],
)
def test_what_changes(had: Object | None, wanted: Object | None, expected: set[str]) -> None:
    assert changed(had, wanted) == expected


def test_who_must_be_restarted() -> None:
    policies = [{"resourceName": "cpu", "restartPolicy": "NotRequired"}, {"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    container = {"name": "c", "resizePolicy": policies}
    assert must_restart(container, ["cpu", "memory"])
    assert not must_restart(container, ["cpu"])
    assert not must_restart({"name": "c"}, ["cpu", "memory"])


# --- what is allocated ----------------------------------------------------------------------------------------------------


def side(resources: Object) -> list[Object]:
    return [{"name": "side", "restartPolicy": "Always", "resources": resources}]


@pytest.mark.parametrize(
    ("asked", "resized"),
    [
        pytest.param(pod(sized("1"), init=side(sized("1")), whole=sized("3")), False, id="nothing changes"),
        pytest.param(pod(sized("2"), init=side(sized("1")), whole=sized("3")), True, id="a container"),
        pytest.param(pod(sized("1"), init=side(sized("2")), whole=sized("3")), True, id="an init container"),
        pytest.param(pod(sized("1"), init=side(sized("1")), whole=sized("4")), True, id="the pod as a whole"),
        pytest.param(pod(sized("1"), init=side(sized("1"))), True, id="the pod as a whole no more"),
    ],
)
def test_a_pod_keeps_what_is_allocated(asked: Object, resized: bool) -> None:
    allocated = pod(sized("1"), init=side(sized("1")), whole=sized("3"))
    assert is_resized(asked, allocated) is resized
    assert with_allocation(asked, allocated) == allocated
    assert not is_resized(with_allocation(asked, allocated), allocated)


def test_the_status_tells_what_was_allocated() -> None:
    told = {"name": "c0", "resources": sized("1", cpu="2"), "allocatedResources": {"cpu": "1"}}
    whole = {"requests": {"cpu": "3"}, "limits": {"cpu": "5"}}
    pending = [{"type": "PodResizePending", "status": "True"}]
    status = {"startTime": "2026-01-01T00:00:00Z", "observedGeneration": 2, "containerStatuses": [told], "conditions": pending}
    asked = pod(sized("4", cpu="4"), sized("1"), whole=sized("8")) | {"status": {**status, "resources": whole}}
    found = allocated_by_status(asked)
    assert [each.get("resources") for each in found["spec"]["containers"]] == [sized("1", cpu="2"), sized("1")]
    assert found["spec"]["resources"] == sized("3"), "limits that it does not have are its containers'"
    settled = asked | {"status": {**asked["status"], "conditions": []}}
    assert allocated_by_status(settled) is settled
    unseen = asked | {"status": {**settled["status"], "observedGeneration": 1}}
    assert allocated_by_status(unseen)["spec"] == found["spec"], "the agent has not seen this version of the pod yet"
    new = asked | {"status": {"phase": "Pending"}}
    assert allocated_by_status(new) is new


# --- what is told ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allocated", "actual", "expected"),
    [
        pytest.param(sized("2"), None, sized("2"), id="what is allocated, where nothing else is known"),
        pytest.param(sized("2", cpu="2"), sized("1", cpu="1"), sized("1", cpu="1"), id="what it is run with"),
        pytest.param(sized("2"), sized("1", cpu="4"), sized("1"), id="limits of the pod are not its own"),
        pytest.param(sized(cpu="2"), sized(cpu="2", memory="1Gi"), sized(cpu="2", memory="1Gi"), id="unless it has some itself"),
        pytest.param({"requests": {"example.com/gpu": "1"}}, {}, {"requests": {"example.com/gpu": "1"}}, id="others are as allocated"),
    ],
)
def test_a_containers_resources_are_told(allocated: Object, actual: Object | None, expected: Object) -> None:
    found = container_resources({"name": "c", "resources": allocated}, actual)
    requests = allocated.get("requests")
    assert found == ({"resources": expected, "allocatedResources": requests} if requests else {"resources": expected})


@pytest.mark.parametrize(
    ("given", "is_running", "expected"),
    [
        pytest.param(pod({}), True, {"resources": {}}, id="nothing is asked for"),
        pytest.param(
            pod(sized("1", cpu="2"), sized("500m", "1Gi")),
            True,
            {"resources": sized("1500m", "1Gi", cpu="2"), "allocatedResources": {"cpu": "1500m", "memory": "1Gi"}},
            id="containers together",
        ),
        pytest.param(
            pod(sized("1"), init=[*side(sized("2")), {"name": "i", "resources": sized("4")}]),
            True,
            {"resources": sized("6"), "allocatedResources": {"cpu": "6"}},
            id="what initializing needs, with the sidecars before it",
        ),
        pytest.param(
            pod(sized("1"), whole=sized("3", cpu="4"), overhead={"cpu": "1"}),
            True,
            {"resources": sized("4", cpu="5"), "allocatedResources": {"cpu": "4"}},
            id="the pod as a whole, with its overhead",
        ),
        pytest.param(
            pod({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}),
            False,
            {
                "resources": {"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}},
                "allocatedResources": {"cpu": "1", "ephemeral-storage": "1Gi"},
            },
            id="everything, before it runs",
        ),
        pytest.param(
            pod({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}),
            True,
            {"resources": {"requests": {"cpu": "1"}}, "allocatedResources": {"cpu": "1", "ephemeral-storage": "1Gi"}},
            id="CPU and memory, once it runs",
        ),
    ],
)
def test_a_pods_resources_are_told(given: Object, is_running: bool, expected: Object) -> None:
    assert pod_resources(given, is_running=is_running) == expected
