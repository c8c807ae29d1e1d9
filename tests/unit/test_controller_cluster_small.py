"""ServiceCIDRs, statuses of admission policies, and how long nodes may keep what they have read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager import admission_policy_status, node_ttl, service_cidr
from controllers.manager.node_ttl import ANNOTATION, step_for
from controllers.manager.registry import select
from controllers.manager.service_cidr import FINALIZER, READY, TERMINATING, may_go, wanted_condition
from controllers.selection import UnknownController
from kube.clock import rfc3339
from kube.objects import Object
from kube.runtime.perform import Patch

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cidr(name: str, *ranges: str, deleted_s: int | None = None, held: bool = True, condition: Object | None = None) -> Object:
    metadata: Object = {"name": name, "uid": name, "finalizers": [FINALIZER] if held else []}
    if deleted_s is not None:
        metadata["deletionTimestamp"] = rfc3339(NOW - timedelta(seconds=deleted_s))
    conditions = [{"type": "Ready", **condition}] if condition else []
    return {"metadata": metadata, "spec": {"cidrs": list(ranges)}, "status": {"conditions": conditions}}


def address(ip: str, manager: str = "ipallocator.k8s.io") -> Object:
    return {"metadata": {"name": ip, "labels": {"ipaddress.kubernetes.io/managed-by": manager}}}


WHOLE = cidr("whole", "10.0.0.0/16")

LEAVING: dict[str, tuple[Object, list[Object], list[Object], bool]] = {
    "nobody has an address of it": (cidr("a", "10.1.0.0/24"), [WHOLE], [address("10.0.0.1")], True),
    "somebody has": (cidr("a", "10.1.0.0/24"), [WHOLE], [address("10.1.0.1")], False),
    "another range has that address too": (cidr("a", "10.1.0.0/24"), [cidr("b", "10.1.0.0/25")], [address("10.1.0.1")], True),
    "all of it is in another range": (cidr("a", "10.0.1.0/24"), [WHOLE], [address("10.0.1.1")], True),
    "the address is not a Service's": (cidr("a", "10.1.0.0/24"), [], [address("10.1.0.1", "someone")], True),
    "of two families one is in use": (cidr("a", "10.1.0.0/24", "fd00::/112"), [WHOLE], [address("fd00::1")], False),
}


@pytest.mark.parametrize(("of", "others", "addresses", "free"), LEAVING.values(), ids=LEAVING.keys())
def test_when_a_range_may_go(of: Object, others: list[Object], addresses: list[Object], free: bool) -> None:
    assert may_go(of, [of, *others], addresses) is free


def finalizers(actions: list[Any]) -> list[list[str]]:
    return [each.body["metadata"]["finalizers"] for each in actions if isinstance(each, Patch)]


def test_a_range_is_held_and_let_go_a_little_after_its_deletion() -> None:
    assert finalizers(service_cidr.plan(cidr("a", "10.1.0.0/24", held=False), [], NOW)) == [[FINALIZER]]
    assert service_cidr.plan(cidr("a", "10.1.0.0/24"), [], NOW) == []
    early, late = (cidr("a", "10.1.0.0/24", deleted_s=each) for each in (5, 11))
    assert service_cidr.plan(early, [early], NOW) == []
    assert finalizers(service_cidr.plan(late, [late], NOW)) == [[]]
    assert service_cidr.plan(late, [late], NOW, addresses=[address("10.1.0.1")]) == []


def test_the_condition_of_a_range() -> None:
    found = wanted_condition(cidr("a", "10.1.0.0/24"), [], NOW, addresses=[])
    assert found is not None
    assert (found["status"], found["message"]) == ("True", "Kubernetes Service CIDR is ready")
    assert wanted_condition(cidr("a", "10.1.0.0/24", condition=READY), [], NOW, addresses=[]) is None
    leaving = cidr("a", "10.1.0.0/24", deleted_s=1, condition=READY)
    told = wanted_condition(leaving, [leaving], NOW, addresses=[address("10.1.0.1")])
    assert told is not None
    assert told["reason"] == TERMINATING["reason"] == "Terminating"
    assert wanted_condition(leaving, [leaving], NOW, addresses=[]) is None


def test_a_policy_is_told_its_generation_once() -> None:
    wanted = admission_policy_status.plan({"metadata": {"name": "p", "generation": 2}, "status": {"observedGeneration": 1}}, None, NOW)
    assert wanted is not None
    assert wanted["status"] == {"observedGeneration": 2, "typeChecking": {}}
    assert admission_policy_status.plan({"metadata": {"generation": 2}, "status": {"observedGeneration": 2}}, None, NOW) is None


@pytest.mark.parametrize(
    ("count", "before", "after"),
    [
        pytest.param(100, 0, 0, id="small"),
        pytest.param(101, 0, 1, id="a little more"),
        pytest.param(95, 1, 1, id="a little less again"),
        pytest.param(89, 1, 0, id="much less"),
        pytest.param(5000, 0, 4, id="many at once"),
    ],
)
def test_the_step_of_a_cluster(count: int, before: int, after: int) -> None:
    assert step_for(count, before) == after


def test_a_node_is_told_its_seconds() -> None:
    [patch] = node_ttl.plan({"metadata": {"name": "n"}}, 15, NOW)
    assert isinstance(patch, Patch)
    assert patch.body == {"metadata": {"annotations": {ANNOTATION: "15"}}}
    assert node_ttl.plan({"metadata": {"name": "n", "annotations": {ANNOTATION: "15"}}}, 15, NOW) == []


def test_what_is_off_by_default_and_what_is_elsewhere() -> None:
    everything = select(["*", "-service-lb-controller"])
    assert "token-cleaner-controller" not in everything
    assert "bootstrap-signer-controller" not in everything
    assert "token-cleaner-controller" in select(["*", "tokencleaner"])
    with pytest.raises(UnknownController):
        select(["service-lb-controller"])
