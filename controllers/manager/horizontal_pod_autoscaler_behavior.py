"""From the number of replicas that the metrics ask for to the one that is set: stabilized, within limits, and not too fast. Pure.

A `History` is what an autoscaler remembers of itself, in memory only, as upstream does; each decision gives a new one.
Source: upstream `pkg/controller/podautoscaler/horizontal.go` (normalizeDesiredReplicas, ...WithBehaviors).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

DOWNSCALE_STABILIZATION_S = 300
SCALE_UP_FACTOR, SCALE_UP_MINIMUM = 2, 4
"""Without `behavior`, one step at most doubles the replicas, or makes them this many."""
_UP = ("ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
_DOWN = ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
_STEADY = ("ReadyForNewScale", "recommended size matches current size")
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")

Said = tuple[str, str]
"""Reason and message of a condition."""
Rules = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """A number of replicas (recommended, or changed by) and when."""

    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """Recommendations as the metrics gave them, and by how much it was scaled up and down, oldest first."""

    recommendations: tuple[Moment, ...] = ()
    ups: tuple[Moment, ...] = ()
    downs: tuple[Moment, ...] = ()

    def begun(self, current: int, now: datetime) -> History:
        """With the present replicas as the first recommendation, where there is none."""
        return self if self.recommendations else replace(self, recommendations=(Moment(current, now),))

    def recommended(self, count: int, now: datetime, *, keep_s: float) -> History:
        """With another recommendation, and without those that no window reaches any more."""
        kept = tuple(each for each in self.recommendations if each.at >= now - timedelta(seconds=keep_s))
        return replace(self, recommendations=(*kept, Moment(count, now)))

    def scaled(self, behavior: Mapping[str, Any] | None, before: int, after: int, now: datetime) -> History:
        """With a change of the replicas, which only the rates of a `behavior` ask for."""
        if not behavior:
            return self
        if after > before:
            return replace(self, ups=(*_recent(self.ups, behavior.get("scaleUp"), now), Moment(after - before, now)))
        return replace(self, downs=(*_recent(self.downs, behavior.get("scaleDown"), now), Moment(before - after, now)))


def _recent(moments: Iterable[Moment], rules: Rules | None, now: datetime) -> Iterable[Moment]:
    longest_s = max((each["periodSeconds"] for each in (rules or {}).get("policies") or ()), default=0)
    return [each for each in moments if each.at >= now - timedelta(seconds=longest_s)]


@dataclass(frozen=True, slots=True)
class Decision:
    """The replicas to have; what the conditions AbleToScale and ScalingLimited say; what is to be remembered."""

    replicas: int
    able: Said
    limited: Said
    is_limited: bool
    history: History


@dataclass(frozen=True, slots=True)
class Bounds:
    """minReplicas and maxReplicas."""

    low: int
    high: int


def decide(
    current: int,
    wanted: int,
    bounds: Bounds,
    behavior: Mapping[str, Any] | None,
    history: History,
    now: datetime,
) -> Decision:
    """What becomes of the `wanted` replicas."""
    if not behavior:
        stabilized, able = _held_up(wanted, history, now)
        history = history.recommended(wanted, now, keep_s=DOWNSCALE_STABILIZATION_S)
        replicas, limited = _limited(current, stabilized, bounds)
    else:
        windows_s = _window_s(behavior.get("scaleUp"), 0), _window_s(behavior.get("scaleDown"), DOWNSCALE_STABILIZATION_S)
        stabilized, able = _within_windows(current, wanted, windows_s, history, now)
        history = history.recommended(wanted, now, keep_s=max(windows_s))
        replicas, limited = _at_rate(current, stabilized, bounds, behavior, history, now)
    return Decision(replicas, able if stabilized != wanted else _STEADY, limited, replicas != stabilized, history)


def _window_s(rules: Rules | None, default_s: int) -> int:
    found = (rules or {}).get("stabilizationWindowSeconds")
    return default_s if found is None else int(found)


# --- without a behavior ---------------------------------------------------------------------------------------------------------


def _held_up(wanted: int, history: History, now: datetime) -> tuple[int, Said]:
    """The highest of what was recommended in the last minutes."""
    since = now - timedelta(seconds=DOWNSCALE_STABILIZATION_S)
    return max([wanted, *(each.count for each in history.recommendations if each.at >= since)]), _DOWN


def _limited(current: int, wanted: int, bounds: Bounds) -> tuple[int, Said]:
    fastest = max(SCALE_UP_FACTOR * current, SCALE_UP_MINIMUM)
    highest, why = (fastest, _TOO_FAST_UP) if bounds.high > fastest else (bounds.high, _TOO_MANY)
    if wanted < bounds.low:
        return bounds.low, _TOO_FEW
    if wanted > highest:
        return highest, why
    return wanted, _WITHIN


# --- with one -------------------------------------------------------------------------------------------------------------------


def _within_windows(current: int, wanted: int, windows_s: tuple[int, int], history: History, now: datetime) -> tuple[int, Said]:
    """As near to the present as the lowest of the one window and the highest of the other allow."""
    up_since, down_since = (now - timedelta(seconds=each) for each in windows_s)
    lowest = min([wanted, *(each.count for each in history.recommendations if each.at > up_since)])
    highest = max([wanted, *(each.count for each in history.recommendations if each.at > down_since)])
    return min(max(current, lowest), highest), _UP if wanted >= current else _DOWN


def _at_rate(current: int, wanted: int, bounds: Bounds, behavior: Mapping[str, Any], history: History, now: datetime) -> tuple[int, Said]:
    if wanted > current:
        fastest = max(current, fastest_up(current, behavior.get("scaleUp") or {}, history, now))
        highest, why = (fastest, _TOO_FAST_UP) if bounds.high > fastest else (bounds.high, _TOO_MANY)
        return (highest, why) if wanted > highest else (wanted, _WITHIN)
    if wanted < current:
        fastest = min(current, fastest_down(current, behavior.get("scaleDown") or {}, history, now))
        lowest, why = (fastest, _TOO_FAST_DOWN) if bounds.low < fastest else (bounds.low, _TOO_FEW)
        return (lowest, why) if wanted < lowest else (wanted, _WITHIN)
    return wanted, _WITHIN


def fastest_up(current: int, rules: Rules, history: History, now: datetime) -> int:
    """The most replicas that the policies allow now."""

    def proposal(policy: Rules, before: int) -> int:
        if policy["type"] == "Pods":
            return before + int(policy["value"])
        return math.ceil(before * (1 + int(policy["value"]) / 100))

    return _picked(current, rules, history, now, proposal, largest=max, smallest=min)


def fastest_down(current: int, rules: Rules, history: History, now: datetime) -> int:
    """The fewest replicas that the policies allow now: what changes least is what leaves most."""

    def proposal(policy: Rules, before: int) -> int:
        if policy["type"] == "Pods":
            return before - int(policy["value"])
        return int(before * (1 - int(policy["value"]) / 100))

    return _picked(current, rules, history, now, proposal, largest=min, smallest=max)


def _picked(
    current: int,
    rules: Rules,
    history: History,
    now: datetime,
    proposal: Callable[[Rules, int], int],
    *,
    largest: Callable[[list[int]], int],
    smallest: Callable[[list[int]], int],
) -> int:
    """The policies' proposal that makes the largest change, or the smallest, as `selectPolicy` says; each from where its period began."""
    policies = rules.get("policies") or ()
    if rules.get("selectPolicy") == "Disabled" or not policies:
        return current
    found = []
    for policy in policies:
        since = now - timedelta(seconds=policy["periodSeconds"])
        added = sum(each.count for each in history.ups if each.at > since)
        removed = sum(each.count for each in history.downs if each.at > since)
        found.append(proposal(policy, current - added + removed))
    return smallest(found) if rules.get("selectPolicy") == "Min" else largest(found)
