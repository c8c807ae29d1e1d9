"""PodDisruptionBudgets: how many pods may be evicted now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controllers.manager.disruption import plan, selected
from kube.clock import rfc3339
from kube.objects import Object
from kube.runtime.perform import Record, Update

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def budget(status: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": "b", "namespace": "ns", "generation": 4}
    return {
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": {"a": "b"}}, **spec},
        "status": status or {},
    }


def pod(name: str, *, ready: bool = True, owner: str = "rs", **metadata: Any) -> Object:
    owners = [{"uid": owner, "controller": True}] if owner else []
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": name, "ownerReferences": owners, "labels": {"a": "b"}, **metadata},
        "status": {"phase": "Running", "conditions": conditions},
    }


def status(of: Object, pods: list[Object], scale: int = 4) -> Object:
    [update] = [each for each in plan(of, pods, NOW, scales={"rs": scale}).actions if isinstance(each, Update)]
    told: Object = update.obj["status"]
    return told


FOUR = [pod(each) for each in "abcd"]


@pytest.mark.parametrize(
    ("of", "pods", "want"),
    [
        pytest.param(budget(minAvailable=2), FOUR, (4, 2, 4, 2), id="a number of pods must stay"),
        pytest.param(budget(minAvailable="50%"), FOUR, (4, 2, 4, 2), id="or a share of what the controller wants"),
        pytest.param(budget(minAvailable="51%"), FOUR, (4, 3, 4, 1), id="rounded up"),
        pytest.param(budget(maxUnavailable=1), FOUR, (4, 3, 4, 1), id="or a number may be missing"),
        pytest.param(budget(maxUnavailable=1), FOUR[:3], (3, 3, 4, 0), id="one that is missing already counts"),
        pytest.param(budget(maxUnavailable="30%"), FOUR, (4, 2, 4, 2), id="a share that may be missing is rounded up too"),
        pytest.param(budget(maxUnavailable=9), FOUR, (4, 0, 4, 4), id="no more than all can be missing"),
        pytest.param(
            budget(minAvailable=2), [*FOUR[:2], pod("c", ready=False)], (2, 2, 3, 0), id="pods that are not ready are not healthy"
        ),
        pytest.param(
            budget(minAvailable=2), [*FOUR[:3], pod("d", deletionTimestamp="x")], (3, 2, 4, 1), id="nor are pods on their way out"
        ),
        pytest.param(budget(minAvailable=0), [], (0, 0, 0, 0), id="without pods there is nothing to evict"),
    ],
)
def test_what_may_be_evicted(of: Object, pods: list[Object], want: tuple[int, int, int, int]) -> None:
    told = status(of, pods)
    assert tuple(told[each] for each in ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed")) == want
    [condition] = told["conditions"]
    assert (condition["status"], condition["reason"]) == (("True", "SufficientPods") if want[3] else ("False", "InsufficientPods"))
    assert told["observedGeneration"] == 4


def test_a_pod_whose_eviction_was_granted_counts_as_gone_for_two_minutes() -> None:
    granted = {"disruptedPods": {"a": rfc3339(NOW - timedelta(seconds=60))}}
    todo = plan(budget(granted, minAvailable=2), FOUR, NOW, scales={})
    [update] = [each for each in todo.actions if isinstance(each, Update)]
    assert (update.obj["status"]["currentHealthy"], update.obj["status"]["disruptedPods"]) == (3, granted["disruptedPods"])
    assert todo.again_s == pytest.approx(60, abs=1)
    late = plan(budget(granted, minAvailable=2), FOUR, NOW + timedelta(seconds=61), scales={})
    [told] = [each for each in late.actions if isinstance(each, Update)]
    assert told.obj["status"]["currentHealthy"] == 4
    assert [each.reason for each in late.actions if isinstance(each, Record)] == ["NotDeleted"]


def test_when_the_scale_is_unknown_nothing_may_be_evicted() -> None:
    todo = plan(budget({"disruptionsAllowed": 2}, maxUnavailable=1), [pod("a", owner="job")], NOW, scales={})
    [update] = [each for each in todo.actions if isinstance(each, Update)]
    assert update.obj["status"]["disruptionsAllowed"] == 0
    assert update.obj["status"]["conditions"][0]["reason"] == "SyncFailed"
    assert [each.reason for each in todo.actions if isinstance(each, Record)] == ["CalculateExpectedPodCountFailed"]


def test_nothing_is_written_when_nothing_changed() -> None:
    told = status(budget(minAvailable=2), FOUR)
    assert plan(budget(told, minAvailable=2), FOUR, NOW + timedelta(hours=1), scales={}).actions == []


def test_whom_a_budget_is_about() -> None:
    assert selected(budget(), FOUR) == FOUR
    assert selected({"spec": {"selector": {}}}, FOUR) == FOUR
    assert selected({"spec": {}}, FOUR) == []
