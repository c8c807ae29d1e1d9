"""PodTopologyLabels: what a pod hears of its node's zone and region."""

from __future__ import annotations

from typing import Any

import pytest

from kube.objects import Object
from tests.component.served import PODS, Api, pod, served
from tests.virtual import virtual

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
PLACED = {ZONE: "z1", REGION: "r1"}


async def bound(api: Api, target: Object, labels: Object | None = None) -> Object:
    await api.ok("POST", PODS, {**pod("p"), "metadata": {"name": "p", "labels": {"a": "b", **(labels or {})}}})
    await api.ok("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": target})
    found: Object = (await api.ok("GET", f"{PODS}/p"))["metadata"]["labels"]
    return found


async def with_node(api: Api) -> None:
    labels = {**PLACED, "kubernetes.io/hostname": "n1"}
    await api.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": labels}})


BOUND: dict[str, tuple[Object, Object, Object]] = {
    "to a node": ({"kind": "Node", "name": "n1"}, {}, {"a": "b", **PLACED}),
    "a pod's own labels stay": ({"kind": "Node", "name": "n1"}, {ZONE: "own"}, {"a": "b", ZONE: "own", REGION: "r1"}),
    "to a node that is not there": ({"kind": "Node", "name": "n2"}, {}, {"a": "b"}),
    "to what does not say that it is a node": ({"name": "n1"}, {}, {"a": "b"}),
}


@pytest.mark.parametrize(("target", "labels", "expected"), BOUND.values(), ids=BOUND.keys())
@virtual
async def test_bound_pods(target: Object, labels: Object, expected: Object) -> None:
    async with served() as api:
        await with_node(api)
        assert await bound(api, target, labels) == expected


@virtual
async def test_pods_that_are_made_for_a_node() -> None:
    async def made(api: Api, **spec: Any) -> Object | None:
        body = {**pod("p", **spec), "metadata": {"generateName": "p-", "labels": {ZONE: "own"}}}
        labels: Object = (await api.ok("POST", PODS, body))["metadata"]["labels"]
        return labels

    async with served() as api:
        await with_node(api)
        assert await made(api, nodeName="n1") == PLACED
        assert await made(api, nodeName="n2") == await made(api) == {ZONE: "own"}


@virtual
async def test_it_can_be_off() -> None:
    async with served(disable_admission_plugins=("PodTopologyLabels",)) as api:
        await with_node(api)
        assert await bound(api, {"kind": "Node", "name": "n1"}) == {"a": "b"}
