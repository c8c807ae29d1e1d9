"""How fast and how far a HorizontalPodAutoscaler goes: stabilization, policies, limits."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from controllers.manager.horizontal_pod_autoscaler_behavior import Bounds, History, Moment, decide
from kube.objects import Object
from tests.unit.autoscaling import NOW, ago, behavior


def one(kind: str, value: int, period_s: int = 60) -> Object:
    return {"policies": [{"type": kind, "value": value, "periodSeconds": period_s}]}


NOTHING_YET = History()


@dataclass(frozen=True)
class Step:
    """From `current` to `wanted`, within 1 and `high`: the replicas that come of it, and the reasons of AbleToScale and ScalingLimited."""

    current: int
    wanted: int
    replicas: int
    able: str = "ReadyForNewScale"
    limited: str = "DesiredWithinRange"
    high: int = 100
    low: int = 1
    rules: Object | None = None
    history: History = NOTHING_YET


def recommended(*moments: tuple[int, float]) -> History:
    return History(tuple(Moment(count, ago(seconds=seconds)) for count, seconds in moments))


def ups(*moments: tuple[int, float]) -> History:
    return History(ups=tuple(Moment(count, ago(seconds=seconds)) for count, seconds in moments))


def downs(*moments: tuple[int, float]) -> History:
    return History(downs=tuple(Moment(count, ago(seconds=seconds)) for count, seconds in moments))


STEPS = {
    "up to what is wanted": Step(5, 7, 7),
    "up, at most to twice as many": Step(5, 30, 10, limited="ScaleUpLimit"),
    "or to four": Step(1, 30, 4, limited="ScaleUpLimit"),
    "up to the maximum": Step(5, 30, 8, limited="TooManyReplicas", high=8),
    "down at once, when nothing else was recommended": Step(5, 2, 2),
    "down to the minimum": Step(5, 1, 3, limited="TooFewReplicas", low=3),
    "down, but not below what was recommended of late": Step(5, 2, 4, "ScaleDownStabilized", history=recommended((4, 100), (9, 301))),
    "behavior: up by four or to twice as many": Step(3, 30, 7, limited="ScaleUpLimit", rules=behavior()),
    "behavior: whichever is more": Step(6, 30, 12, limited="ScaleUpLimit", rules=behavior()),
    "behavior: or less": Step(6, 30, 10, limited="ScaleUpLimit", rules=behavior({"selectPolicy": "Min"})),
    "behavior: never up": Step(6, 30, 6, limited="ScaleUpLimit", rules=behavior({"selectPolicy": "Disabled"})),
    "behavior: what was added in the period counts": Step(
        6, 30, 7, limited="ScaleUpLimit", rules=behavior(one("Pods", 3)), history=ups((2, 30), (9, 61))
    ),
    "behavior: what was taken away in the period is given back": Step(
        6, 30, 11, limited="ScaleUpLimit", rules=behavior(one("Pods", 3)), history=downs((2, 30))
    ),
    "behavior: all of the period is used up": Step(6, 30, 6, limited="ScaleUpLimit", rules=behavior(one("Pods", 3)), history=ups((5, 30))),
    "behavior: percentages are rounded up": Step(3, 30, 4, limited="ScaleUpLimit", rules=behavior(one("Percent", 10))),
    "behavior: down all at once": Step(10, 1, 1, rules=behavior()),
    "behavior: down by two at a time": Step(10, 1, 8, limited="ScaleDownLimit", rules=behavior(down=one("Pods", 2))),
    "behavior: down by a share, rounded down": Step(9, 1, 6, limited="ScaleDownLimit", rules=behavior(down=one("Percent", 30))),
    "behavior: never down": Step(10, 1, 10, limited="ScaleDownLimit", rules=behavior(down={"selectPolicy": "Disabled"})),
    "behavior: what was taken away already counts": Step(
        9, 1, 8, limited="ScaleDownLimit", rules=behavior(down=one("Pods", 2)), history=downs((1, 10))
    ),
    "behavior: down to the minimum": Step(10, 1, 4, limited="TooFewReplicas", low=4, rules=behavior()),
    "behavior: up to the maximum": Step(5, 30, 6, limited="TooManyReplicas", high=6, rules=behavior()),
    "behavior: not below what was recommended in five minutes": Step(
        10, 1, 6, "ScaleDownStabilized", rules=behavior(), history=recommended((6, 299))
    ),
    "behavior: unless the window is shorter": Step(
        10, 1, 1, rules=behavior(down={"stabilizationWindowSeconds": 60}), history=recommended((6, 61))
    ),
    "behavior: not above what was recommended in the window": Step(
        4, 9, 5, "ScaleUpStabilized", rules=behavior({"stabilizationWindowSeconds": 60}), history=recommended((5, 30))
    ),
    "behavior: nor down while waiting to go up": Step(
        4, 9, 4, "ScaleUpStabilized", rules=behavior({"stabilizationWindowSeconds": 60}), history=recommended((2, 30))
    ),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_what_becomes_of_the_wanted_replicas(step: Step) -> None:
    found = decide(step.current, step.wanted, Bounds(step.low, step.high), step.rules, step.history, NOW)
    assert (found.replicas, found.able[0], found.limited[0]) == (step.replicas, step.able, step.limited)
    assert found.is_limited is (step.limited != "DesiredWithinRange")
    assert found.history.recommendations[-1] == Moment(step.wanted, NOW)


def test_what_no_window_reaches_is_forgotten() -> None:
    found = decide(5, 5, Bounds(1, 9), None, recommended((9, 301), (3, 299)), NOW)
    assert [each.count for each in found.history.recommendations] == [3, 5]
    history = ups((1, 61), (2, 59)).scaled(behavior(one("Pods", 3)), 3, 5, NOW)
    assert [each.count for each in history.ups] == [2, 2]
    assert ups((1, 1)).scaled(None, 3, 5, NOW) == ups((1, 1)), "without a behavior nobody asks"
