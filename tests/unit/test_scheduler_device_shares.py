"""Devices that are given in parts, and devices that draw on counters of their pool."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.scheduler.plugins.device_allocation import Offers, allocate
from controllers.scheduler.plugins.device_shares import consumed
from kube.amounts import written
from kube.objects import Object
from tests.unit.test_scheduler_devices import DRIVER, claim, cluster, device, given, published, request

RANGE = {"requestPolicy": {"default": "2Gi", "validRange": {"min": "1Gi", "max": "8Gi", "step": "1Gi"}}}
VALUES = {"requestPolicy": {"default": "1", "validValues": ["1", "2", "4"]}}

CONSUMED: dict[str, tuple[Object, dict[str, str], dict[str, str] | None]] = {
    "without a policy, all of it": ({"memory": {"value": "8Gi"}}, {}, {"memory": "8Gi"}),
    "without a policy, what is asked for": ({"memory": {"value": "8Gi"}}, {"memory": "3Gi"}, {"memory": "3Gi"}),
    "the policy's default": ({"memory": {"value": "8Gi", **RANGE}}, {}, {"memory": "2Gi"}),
    "no less than the least": ({"memory": {"value": "8Gi", **RANGE}}, {"memory": "1"}, {"memory": "1Gi"}),
    "rounded up to a step": ({"memory": {"value": "8Gi", **RANGE}}, {"memory": "1500Mi"}, {"memory": "2Gi"}),
    "no more than the most": ({"memory": {"value": "80Gi", **RANGE}}, {"memory": "9Gi"}, None),
    "rounded up to a value": ({"cores": {"value": "8", **VALUES}}, {"cores": "3"}, {"cores": "4"}),
    "beyond all values": ({"cores": {"value": "8", **VALUES}}, {"cores": "5"}, None),
    "something that it has not": ({"cores": {"value": "8"}}, {"memory": "1"}, None),
    "one of two": ({"a": {"value": "1"}, "b": {"value": "5"}}, {"b": "2"}, {"a": "1", "b": "2"}),
}


@pytest.mark.parametrize(("capacities", "asked", "expected"), CONSUMED.values(), ids=CONSUMED.keys())
def test_what_a_request_consumes(capacities: Object, asked: dict[str, str], expected: dict[str, str] | None) -> None:
    found = consumed(capacities, asked)
    assert (None if found is None else written(found)) == expected


def shared(name: str, memory: str = "8Gi", **rest: Any) -> Object:
    return {**device(name), "allowMultipleAllocations": True, "capacity": {"memory": {"value": memory, **RANGE}}, **rest}


def asking(memory: str, name: str = "r", **told: Any) -> Object:
    return request(name, capacity={"requests": {"memory": memory}}, **told)


def having(name: str, *memory: str) -> list[Object]:
    """Claims that have parts of that device."""
    out = []
    for number, each in enumerate(memory):
        result = {
            "request": "r",
            "driver": DRIVER,
            "pool": "a",
            "device": name,
            "shareID": str(number),
            "consumedCapacity": {"memory": each},
        }
        out.append(claim(name=f"part-{number}", status={"allocation": {"devices": {"results": [result]}}}))
    return out


@pytest.mark.parametrize(
    ("wanted", "taken", "expected"),
    [
        pytest.param(claim(asking("4Gi")), ["2Gi", "2Gi"], ["gpu"], id="what is left is enough"),
        pytest.param(claim(asking("4Gi")), ["2Gi", "4Gi"], None, id="what is left is too little"),
        pytest.param(claim(asking("4Gi", "x"), asking("4Gi", "y")), [], ["gpu", "gpu"], id="two parts for one claim"),
        pytest.param(claim(asking("4Gi", "x"), asking("5Gi", "y")), [], None, id="two parts that are too much together"),
        pytest.param(claim(asking("2Gi", count=4)), [], ["gpu"] * 4, id="a number of parts"),
        pytest.param(claim(asking("2Gi", count=5)), [], None, id="one more than there is room for"),
        pytest.param(claim(request()), ["6Gi"], ["gpu"], id="the default is enough for who asks for nothing"),
        pytest.param(claim(asking("1Gi", allocationMode="All")), ["7Gi"], ["gpu"], id="all, of each a part"),
        pytest.param(claim(asking("9Gi")), [], None, id="more than the policy allows"),
    ],
)
def test_a_device_is_shared_by_capacity(wanted: Object, taken: list[str], expected: list[str] | None) -> None:
    assert given(wanted, published("a", shared("gpu")), taken=having("gpu", *taken)) == expected


def test_each_part_is_told_with_what_it_consumes_and_a_name_of_its_own() -> None:
    snapshot = cluster([published("a", shared("gpu"))])
    [allocation] = allocate([claim(asking("1500Mi", "x"), asking("1Gi", "y"))], snapshot.nodes["a"], Offers(snapshot.devices)) or [{}]
    first, second = allocation["devices"]["results"]
    assert [each["consumedCapacity"] for each in (first, second)] == [{"memory": "2Gi"}, {"memory": "1Gi"}]
    assert first["shareID"] != second["shareID"]


def test_a_device_that_is_not_shared_must_have_what_is_asked_for() -> None:
    small, large = ({**device(name), "capacity": {"memory": {"value": size}}} for name, size in (("small", "1Gi"), ("large", "9Gi")))
    wanted = claim(request(capacity={"requests": {"memory": "2Gi"}}))
    assert given(wanted, published("a", small, large)) == ["large"]
    snapshot = cluster([published("a", small, large)])
    [allocation] = allocate([wanted], snapshot.nodes["a"], Offers(snapshot.devices)) or [{}]
    assert not {"shareID", "consumedCapacity"} & allocation["devices"]["results"][0].keys()


# --- counters ------------------------------------------------------------------------------------------------------------------------


def counters(**values: str) -> Object:
    """A slice of the pool a that has counters only."""
    made = published("a", count=2, nodeName="a")
    sets = [{"name": "gpu-0", "counters": {name: {"value": value} for name, value in values.items()}}]
    return {**made, "metadata": {"name": "counters"}, "spec": {**made["spec"], "sharedCounters": sets, "devices": []}}


def partition(name: str, **rest: Any) -> Object:
    amounts = {counter: {"value": value} for counter, value in rest.pop("needs").items()}
    return {**device(name, **rest.pop("attributes", {})), "consumesCounters": [{"counterSet": "gpu-0", "counters": amounts}], **rest}


HALF, WHOLE = {"memory": "20Gi", "slices": "4"}, {"memory": "40Gi", "slices": "7"}
PARTITIONS = [partition("left", needs=HALF), partition("right", needs={**HALF, "slices": "3"}), partition("whole", needs=WHOLE)]


def has(*names: str) -> list[Object]:
    results = [{"request": "r", "driver": DRIVER, "pool": "a", "device": each} for each in names]
    return [claim(name="other", status={"allocation": {"devices": {"results": results}}})]


@pytest.mark.parametrize(
    ("count", "taken", "expected"),
    [
        pytest.param(2, [], ["left", "right"], id="both halves"),
        pytest.param(3, [], None, id="not the whole as well"),
        pytest.param(1, ["left"], ["right"], id="what a taken half leaves"),
        pytest.param(1, ["whole"], None, id="the whole leaves nothing"),
        pytest.param(1, ["left", "right"], None, id="neither do both halves"),
    ],
)
def test_partitions_draw_on_the_counters_of_their_pool(count: int, taken: list[str], expected: list[str] | None) -> None:
    slices = counters(memory="40Gi", slices="7"), published("a", *PARTITIONS, count=2)
    assert given(claim(request(count=count)), *slices, taken=has(*taken) if taken else []) == expected


def test_a_choice_that_leads_nowhere_gives_its_counters_back() -> None:
    slices = counters(memory="40Gi", slices="7"), published("a", PARTITIONS[2], *PARTITIONS[:2], count=2)
    assert given(claim(request(count=2)), *slices) == ["left", "right"], "the whole, which comes first, leaves nothing for another"


def test_parts_of_one_device_draw_on_its_counters_once() -> None:
    part = {**shared("gpu"), **partition("gpu", needs={"memory": "40Gi"})}
    slices = counters(memory="40Gi"), published("a", part, count=2)
    assert given(claim(asking("2Gi", count=2)), *slices) == ["gpu", "gpu"]
    assert given(claim(asking("2Gi")), *slices, taken=having("gpu", "2Gi")) == ["gpu"]
    assert given(claim(asking("2Gi")), *slices, taken=having("gpu", "8Gi")) is None
