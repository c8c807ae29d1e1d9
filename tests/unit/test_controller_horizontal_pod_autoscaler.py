"""HorizontalPodAutoscalers: what a metric asks for, what becomes of it, and what is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from controllers.manager.horizontal_pod_autoscaler_replicas import (
    CannotTell,
    PodMetric,
    Tolerance,
    by_average,
    by_utilization,
    by_value,
    grouped,
    per_pod,
    request_of,
)
from kube.objects import Object
from tests.unit.autoscaling import NOW, ago, metrics, pod, pods

USUAL = Tolerance()


# --- which pods count ---------------------------------------------------------------------------------------------------------------

YOUNG = ago(minutes=1)
GROUPS: dict[str, tuple[Object, str, str]] = {
    "a running pod counts": (pod("p0"), "", "ready"),
    "a pod on its way out does not": (pod("p0", deleting=True), "", "ignored"),
    "nor one that has failed": (pod("p0", phase="Failed"), "", "ignored"),
    "a pending one is not ready": (pod("p0", phase="Pending"), "", "unready"),
    "one without metrics is missing": (pod("other"), "", "missing"),
    "readiness is no matter but for CPU": (pod("p0", ready="False", started=YOUNG), "memory", "ready"),
    "a young pod that is not ready": (pod("p0", ready="False", started=YOUNG), "cpu", "unready"),
    "a young pod measured since it is ready": (pod("p0", started=ago(minutes=4), changed=ago(minutes=2)), "cpu", "ready"),
    "a young pod measured before it was ready": (pod("p0", started=YOUNG, changed=ago(seconds=30)), "cpu", "unready"),
    "an old pod that is not ready any more": (pod("p0", ready="False", changed=ago(minutes=10)), "cpu", "ready"),
    "an old pod that was never ready": (pod("p0", ready="False", changed=ago(hours=1)), "cpu", "unready"),
    "a pod that says nothing of its readiness": (pod("p0", ready=None), "cpu", "unready"),
    "a pod that has not started": (pod("p0", started=None), "cpu", "unready"),
}


@pytest.mark.parametrize(("of", "resource", "expected"), GROUPS.values(), ids=GROUPS.keys())
def test_which_pods_count(of: Object, resource: str, expected: str) -> None:
    groups = grouped([of], metrics(100), NOW, resource=resource)
    found = {
        "ready": groups.ready,
        "unready": len(groups.unready),
        "missing": len(groups.missing),
        "ignored": len(groups.ignored),
    }
    assert {name for name, count in found.items() if count} == {expected}


# --- replicas from usage ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usage:
    """Thousandths of CPU of each pod (None: not measured), out of a CPU each; the percentage wanted; and what should come of it."""

    used: Sequence[int | None]
    target: int
    expected: int
    utilization: int
    current: int = 0
    pods: Sequence[Object] = ()
    tolerance: Tolerance = USUAL


def unready(*names: int, of: int) -> list[Object]:
    return [pod(f"p{index}", ready="False" if index in names else "True", changed=ago(hours=1)) for index in range(of)]


USAGES = {
    "more is used than wanted": Usage([300, 500, 700], 30, 5, 50),
    "less is used than wanted": Usage([100, 300, 500, 250, 250], 50, 3, 28),
    "as much as wanted": Usage([500, 500], 50, 2, 50),
    "a little more than wanted is let be": Usage([530, 530], 50, 2, 53),
    "a little less as well": Usage([460, 460], 50, 2, 46),
    "as much as the tolerance allows, and no more": Usage([550, 550], 50, 2, 55),
    "a tight tolerance": Usage([530, 530], 50, 3, 53, tolerance=Tolerance(0.1, 0.02)),
    "a loose tolerance downwards": Usage([300, 300], 50, 2, 30, tolerance=Tolerance(0.5, 0.1)),
    "nothing is used": Usage([0, 0, 0], 50, 0, 0),
    "a pod that is not ready dampens scaling up": Usage([None, 500, 700], 30, 4, 60, pods=[pod("p0", phase="Pending"), *pods(3)[1:]]),
    "pods that are not ready may keep it from scaling up": Usage(
        [400, 500, 700], 30, 3, 40, pods=[pod("p0"), *(pod(f"p{each}", phase="Pending") for each in (1, 2))]
    ),
    "hot pods that were never ready count for nothing": Usage([400, 800, 900], 30, 3, 40, current=3, pods=unready(1, 2, of=3)),
    "pods that are not ready do not hinder scaling down": Usage([100, 300, 500, 250, 250], 50, 2, 40, pods=unready(0, 3, 4, of=5)),
    "a pod that was not measured dampens scaling up": Usage([500, 700, None], 50, 3, 60),
    "and counts in full on the way down": Usage([100, None], 50, 2, 10),
    "of many pods one that was not measured still lets it scale down": Usage([100, 100, 100, None], 50, 3, 10),
    "with a target above the requests, as that target": Usage([1000, None], 200, 2, 100),
    "a pod that failed is no pod": Usage([300, 500, 700, None], 30, 5, 50, pods=[*pods(3), pod("p3", phase="Failed")]),
}


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES.keys())
def test_replicas_by_utilization(usage: Usage) -> None:
    count = len(usage.used)
    given = list(usage.pods) or pods(count)
    replicas, utilization, _ = by_utilization(
        usage.current or count,
        usage.target,
        given,
        metrics(*usage.used),
        resource="cpu",
        container="",
        tolerance=usage.tolerance,
        now=NOW,
    )
    assert (replicas, utilization) == (usage.expected, usage.utilization)


AVERAGES: dict[str, tuple[Sequence[int | None], int, int, int]] = {
    "more than wanted": ([20_000, 10_000, 30_000], 15_000, 4, 20_000),
    "less than wanted": ([12_000] * 5, 20_000, 3, 12_000),
    "about as much": ([20_666] * 3, 20_000, 3, 20_666),
    "a missing pod dampens scaling up": ([20_000, 10_000, None], 10_000, 3, 15_000),
    "and scaling down": ([10_000, None], 20_000, 2, 10_000),
}


@pytest.mark.parametrize(("used", "target", "expected", "average"), AVERAGES.values(), ids=AVERAGES.keys())
def test_replicas_by_average(used: Sequence[int | None], target: int, expected: int, average: int) -> None:
    count = len(used)
    assert by_average(count, target, pods(count), metrics(*used), tolerance=USUAL, now=NOW) == (expected, average)


NOTHING: dict[str, tuple[list[Object], dict[str, PodMetric], str]] = {
    "no pods": ([], metrics(1), "no pods returned by selector while calculating replica count"),
    "no metrics of pods that count": (
        pods(1, phase="Pending"),
        metrics(1),
        "did not receive metrics for targeted pods (pods might be unready)",
    ),
    "no requests": (pods(1, request=None), metrics(1), "missing request for cpu in container app of Pod p0"),
    "metrics of other pods": ([pod("x")], metrics(1), "no metrics returned matched known pods"),
}


@pytest.mark.parametrize(("of", "measured", "text"), NOTHING.values(), ids=NOTHING.keys())
def test_when_nothing_can_be_told(of: list[Object], measured: dict[str, PodMetric], text: str) -> None:
    with pytest.raises(CannotTell) as caught:
        by_utilization(1, 50, of, measured, resource="cpu", container="", tolerance=USUAL, now=NOW)
    assert str(caught.value) == text


def test_what_a_pod_requests() -> None:
    spec: Object = {
        "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m"}}}, {"name": "b", "resources": {"requests": {"cpu": "1"}}}],
        "initContainers": [
            {"name": "once", "resources": {"requests": {"cpu": "9"}}},
            {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
        ],
    }
    found = {"metadata": {"name": "p"}, "spec": spec}
    assert request_of(found, "cpu") == 1150, "sidecars count, other init containers do not"
    assert request_of(found, "cpu", "b") == 1000
    spec["resources"] = {"requests": {"cpu": "2"}}
    assert request_of(found, "cpu") == 2000, "the pod's own word"
    assert request_of(found, "cpu", "a") == 100


VALUES: dict[str, tuple[int, int, int, list[Object], int]] = {
    "a value above its target, over the ready pods": (3, 15, 20, pods(3), 4),
    "near its target": (3, 20, 21, pods(3), 3),
    "below it": (5, 20, 12, pods(5), 3),
    "pods that are not ready do not count": (4, 15, 20, [*pods(3), pod("x", ready="False")], 4),
    "from none it is the ratio itself": (0, 5, 12, [], 3),
    "from none, however near": (0, 10, 10, [], 1),
    "none are needed": (0, 10, 0, [], 0),
}


@pytest.mark.parametrize(("current", "target", "usage", "of", "expected"), VALUES.values(), ids=VALUES.keys())
def test_replicas_by_one_value(current: int, target: int, usage: int, of: list[Object], expected: int) -> None:
    assert by_value(current, target, usage, of, tolerance=USUAL) == expected


SHARES: dict[str, tuple[int, int, int, tuple[int, int]]] = {
    "each has too much": (3, 2144, 8600, (5, 2867)),
    "each has enough": (3, 2867, 8600, (3, 2867)),
    "each has little": (5, 8600, 8600, (1, 1720)),
    "there are none yet": (0, 100, 250, (3, 250)),
}


@pytest.mark.parametrize(("replicas", "target", "usage", "expected"), SHARES.values(), ids=SHARES.keys())
def test_replicas_by_each_ones_share(replicas: int, target: int, usage: int, expected: tuple[int, int]) -> None:
    assert per_pod(replicas, target, usage, tolerance=USUAL) == expected
