"""What controllers ask of a pod."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from controllers.manager.pod import (
    available_in_s,
    by_deletion_order,
    deletion_cost,
    from_template,
    generate_name,
    is_active,
    is_available,
    is_terminating,
)
from kube.objects import Object

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def pod(
    name: str, *, phase: str = "Running", ready_since: str = "", node: str = "n", created: str = "2026-01-01T00:00:00Z", **rest: Any
) -> Object:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready_since}] if ready_since else []
    metadata = {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": created, **rest.get("metadata", {})}
    statuses = [{"name": "c", "restartCount": rest.get("restarts", 0)}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status}


OLD, NEW = "2026-01-01T02:00:00Z", "2026-01-01T11:59:00Z"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod("a", node=""), pod("b", phase="Pending"), id="an unassigned pod goes before an assigned one"),
        pytest.param(pod("a", phase="Pending"), pod("b", phase="Unknown"), id="pending goes before unknown"),
        pytest.param(pod("a", phase="Unknown"), pod("b"), id="unknown goes before running"),
        pytest.param(pod("a"), pod("b", ready_since=OLD), id="not ready goes before ready"),
        pytest.param(
            pod("a", ready_since=OLD, metadata={"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}),
            pod("b", ready_since=NEW),
            id="the cheaper pod goes first, however long it has been ready",
        ),
        pytest.param(pod("a", ready_since=NEW), pod("b", ready_since=OLD), id="the one ready for a shorter time goes first"),
        pytest.param(pod("a", ready_since=OLD, restarts=3), pod("b", ready_since=OLD), id="the one restarted more often goes first"),
        pytest.param(pod("a", created=NEW), pod("b", created=OLD), id="the younger one goes first"),
        pytest.param(pod("a"), pod("b"), id="equals go by uid"),
    ],
)
def test_the_pod_that_would_be_missed_least_goes_first(first: Object, second: Object) -> None:
    assert by_deletion_order([second, first], now=NOW) == [first, second]


def test_of_two_equal_pods_the_one_on_the_fuller_node_goes_first() -> None:
    crowded, lonely = pod("z", node="full", ready_since=OLD), pod("a", node="empty", ready_since=OLD)
    related = [crowded, lonely, pod("other", node="full")]
    assert by_deletion_order([lonely, crowded], related=related, now=NOW) == [crowded, lonely]


def test_pods_ready_for_about_the_same_time_are_taken_by_uid_not_by_time() -> None:
    younger, older = pod("b", ready_since="2026-01-01T06:00:01Z"), pod("a", ready_since="2026-01-01T06:00:00Z")
    assert by_deletion_order([younger, older], now=NOW) == [older, younger]


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        pytest.param("10", 10, id="a number is the cost"),
        pytest.param("-10", -10, id="it may be negative"),
        pytest.param("+10", 0, id="a plus sign makes it no number"),
        pytest.param("010", 0, id="a leading zero makes it no number"),
        pytest.param("0", 0, id="zero is zero"),
        pytest.param("3000000000", 0, id="beyond int32 it does not count"),
        pytest.param("cheap", 0, id="words do not count"),
    ],
)
def test_the_deletion_cost_is_read_as_upstream_reads_it(text: str, cost: int) -> None:
    assert deletion_cost({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": text}}}) == cost


def test_a_pod_is_available_once_it_has_been_ready_for_min_ready_seconds() -> None:
    ready = pod("a", ready_since="2026-01-01T11:59:50Z")
    assert is_available(ready, min_ready_s=0, now=NOW)
    assert is_available(ready, min_ready_s=10, now=NOW)
    assert not is_available(ready, min_ready_s=11, now=NOW)
    assert not is_available(pod("b"), min_ready_s=0, now=NOW)


def test_the_next_pod_to_become_available_says_when_to_look_again() -> None:
    pods = [pod("a", ready_since="2026-01-01T11:59:50Z"), pod("b", ready_since="2026-01-01T11:59:55Z"), pod("c")]
    assert available_in_s(pods, min_ready_s=30, now=NOW) == 20
    assert available_in_s(pods, min_ready_s=0, now=NOW) is None


def test_a_pod_being_deleted_is_terminating_until_it_has_ended() -> None:
    deleting = pod("a", metadata={"deletionTimestamp": NEW})
    assert (is_active(deleting), is_terminating(deleting)) == (False, True)
    ended = pod("a", phase="Failed", metadata={"deletionTimestamp": NEW})
    assert (is_active(ended), is_terminating(ended)) == (False, False)


def test_a_pod_from_a_template_has_its_labels_and_its_controller() -> None:
    template = {"metadata": {"labels": {"app": "web"}, "finalizers": ["x"]}, "spec": {"containers": []}}
    owner = {"metadata": {"name": "web", "namespace": "ns", "uid": "u"}}
    made = from_template(template, owner, {"uid": "u", "controller": True})
    assert made["metadata"] == {
        "generateName": "web-",
        "namespace": "ns",
        "labels": {"app": "web"},
        "finalizers": ["x"],
        "ownerReferences": [{"uid": "u", "controller": True}],
    }


def test_a_name_too_long_for_a_dash_is_used_as_it_is() -> None:
    assert generate_name("a" * 252) == "a" * 252 + "-"
    assert generate_name("a" * 253) == "a" * 253
