"""Topology hints by annotation: each zone gets endpoints by its share of the CPU, or there are none, and it is said why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from controllers.manager.topology_hints import is_auto, ratios_of, with_hints
from kube.objects import Object, name_of
from kube.resources import ENDPOINT_SLICES
from kube.runtime.perform import Action, Create, Delete, Record, Update

SERVICE: Object = {"kind": "Service", "metadata": {"name": "web", "namespace": "ns"}}
ZONE = "topology.kubernetes.io/zone"


def node(zone: str, cpu: str = "4", ready: str = "True", **labels: str) -> Object:
    known = {ZONE: zone} if zone else {}
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": {"name": "n", "labels": {**known, **labels}}, "status": {"allocatable": {"cpu": cpu}, "conditions": conditions}}


def endpoint(number: int, zone: str, hint: str = "", *, ready: bool = True) -> Object:
    hints = {"hints": {"forZones": [{"name": hint}]}} if hint else {}
    return {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": ready}, **({"zone": zone} if zone else {}), **hints}


def made(name: str, *zones: str, hints: str = "", family: str = "IPv4") -> Object:
    endpoints = [endpoint(number, zone, hints[number] if hints else "") for number, zone in enumerate(zones)]
    return {"metadata": {"name": name}, "addressType": family, "endpoints": endpoints}


def hints(actions: list[Action]) -> Counter[str]:
    """How many endpoints of the written slices are recommended to each zone ("": to none)."""
    found: Counter[str] = Counter()
    for each in actions:
        if isinstance(each, Create | Update):
            found.update((one.get("hints") or {"forZones": [{"name": ""}]})["forZones"][0]["name"] for one in each.obj["endpoints"])
    return found


def notes(actions: list[Action]) -> list[tuple[str, str]]:
    return [(each.reason, each.message) for each in actions if isinstance(each, Record)]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, False),
        ({"service.kubernetes.io/topology-mode": "Auto"}, True),
        ({"service.kubernetes.io/topology-aware-hints": "auto"}, True),
        ({"service.kubernetes.io/topology-mode": "Auto", "service.kubernetes.io/topology-aware-hints": "Disabled"}, False),
    ],
)
def test_who_asks_for_hints(annotations: Object, expected: bool) -> None:
    assert is_auto({"metadata": {"annotations": annotations}}) is expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param([node("a"), node("b"), node("b", "8")], {"a": 0.25, "b": 0.75}, id="by their CPU"),
        pytest.param([node("a"), node("b"), node("c", ready="False")], {"a": 0.5, "b": 0.5}, id="of ready nodes"),
        pytest.param(
            [node("a"), node("b"), node("c", **{"node-role.kubernetes.io/control-plane": ""})], {"a": 0.5, "b": 0.5}, id="for workloads"
        ),
        pytest.param([node("a"), node("a")], {}, id="one zone is none"),
        pytest.param([node("a"), node("b"), node("")], {}, id="a node in no zone"),
        pytest.param([node("a"), node("b", "0")], {}, id="a node without CPU"),
    ],
)
def test_each_zones_share(nodes: list[Object], expected: dict[str, float]) -> None:
    assert ratios_of(nodes) == expected


HALVES, THREE_TO_ONE = {"a": 0.5, "b": 0.5}, {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize(
    ("zones", "ratios", "expected"),
    [
        pytest.param("aabb", HALVES, {"a": 2, "b": 2}, id="each zone keeps its own"),
        pytest.param("aaaaaaaabb", HALVES, {"a": 5, "b": 5}, id="what is too much in one goes to the other"),
        pytest.param("aabb", THREE_TO_ONE, {"a": 3, "b": 1}, id="by their shares"),
        pytest.param("aaab", HALVES, {"a": 2, "b": 2}, id="one more is enough"),
        pytest.param("aaaabbb", HALVES, {"a": 4, "b": 3}, id="half an endpoint is not worth it"),
    ],
)
def test_endpoints_are_shared_out(zones: str, ratios: dict[str, float], expected: dict[str, int]) -> None:
    actions = with_hints(SERVICE, [Create(ENDPOINT_SLICES, made("s", *zones))], [], ratios, had_hints=False)
    assert hints(actions) == expected
    assert notes(actions) == [("TopologyAwareHintsEnabled", "Topology Aware Hints has been enabled, addressType: IPv4")]


INSUFFICIENT = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"


@pytest.mark.parametrize(
    ("zones", "ratios", "why"),
    [
        pytest.param(["a", "b"], {}, INSUFFICIENT, id="nothing is known of the zones"),
        pytest.param(["a"], HALVES, "Insufficient number of endpoints (1 endpoints, 2 zones)", id="too few"),
        pytest.param(
            ["a", "b", "a"],
            {"a": 0.5, "b": 0.5},
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (3 endpoints, 2 zones)",
            id="a zone would have too much to bear",
        ),
        pytest.param(["a", "b", ""] * 2, HALVES, "One or more endpoints do not have a zone specified", id="an endpoint in no zone"),
    ],
)
def test_there_are_none_where_that_would_be_unfair(zones: list[str], ratios: dict[str, float], why: str) -> None:
    actions = with_hints(SERVICE, [Create(ENDPOINT_SLICES, made("s", *zones, hints="a" * len(zones)))], [], ratios, had_hints=True)
    assert hints(actions) == {"": len(zones)}
    assert notes(actions) == [("TopologyAwareHintsDisabled", f"{why}, addressType: IPv4")]


def test_hints_that_were_there_are_taken_away() -> None:
    actions = with_hints(SERVICE, [], [made("kept", *"ab", hints="ab"), made("bare", "a")], {}, had_hints=True)
    [update, _] = actions
    assert isinstance(update, Update)
    assert (name_of(update.obj), hints(actions)) == ("kept", {"": 2})


def test_a_slice_that_is_as_it_should_be_is_not_written() -> None:
    kept = made("kept", *"aabb", hints="aabb")
    assert with_hints(SERVICE, [], [kept], HALVES, had_hints=True) == []


def test_a_slice_is_written_when_its_hints_are_too_many_for_a_zone_or_for_one_that_is_gone() -> None:
    for wrong in ("aaaaaa", "aaabbc", "aaabb "):
        one = made("kept", *"aaabbb", hints=wrong.replace(" ", "b"))
        if " " in wrong:
            del one["endpoints"][5]["hints"]
        [update] = with_hints(SERVICE, [], [one], HALVES, had_hints=True)
        assert isinstance(update, Update)
        assert hints([update]) == {"a": 3, "b": 3}


def test_endpoints_that_are_not_ready_are_recommended_to_nobody_and_deletions_come_last() -> None:
    one = made("s", *"aabb")
    one["endpoints"].append(endpoint(9, "a", "a", ready=False))
    gone = Delete(ENDPOINT_SLICES, "ns", "gone")
    actions = with_hints(SERVICE, [gone, Update(ENDPOINT_SLICES, one)], [made("gone", "a"), made("s", "a")], HALVES, had_hints=True)
    assert hints(actions) == {"a": 2, "b": 2, "": 1}
    assert actions[-1] is gone
    assert [name_of(each.obj) for each in actions if isinstance(each, Update)] == ["s"]


def test_each_family_is_looked_at_by_itself() -> None:
    created: list[Any] = [Create(ENDPOINT_SLICES, made("s", *"aabb")), Create(ENDPOINT_SLICES, made("t", "a", family="IPv6"))]
    actions = with_hints(SERVICE, created, [], HALVES, had_hints=False)
    assert [message.rpartition(" ")[2] for _, message in notes(actions)] == ["IPv4", "IPv6"]
    assert hints(actions) == {"a": 2, "b": 2, "": 1}
