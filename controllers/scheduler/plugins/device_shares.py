"""What devices share: the capacity of one device between claims, and the counters of a pool between devices. Pure.

A device that allows several allocations is given in parts; each consumes of its capacities what was asked for, rounded as the capacity's
policy says. A device may draw on counters of its pool, too (partitions of a GPU): it can be had while there is enough of each.
Source: `k8s.io/dynamic-resource-allocation/structured/internal/incubating` (consumable_capacity.go, checkAvailableCounters).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from controllers.scheduler.devices import DeviceId, Devices
from kube.amounts import Amounts, exceeding, minus, plus, read
from kube.quantity import ZERO, Format, Quantity, from_value, parse

Told = Mapping[str, Any]
"""A device, as its slice tells of it."""
CounterId = tuple[str, str, str, str]
"""(driver, pool, counter set, counter)."""


class Shares:
    """What is left of counters, and what is used of capacities. `left` are a cluster's counters before anything is taken."""

    def __init__(self, left: Mapping[CounterId, Quantity], used: Mapping[DeviceId, Amounts], parts: Mapping[DeviceId, int]) -> None:
        self._left, self._used, self._parts = dict(left), dict(used), Counter(parts)

    def copy(self) -> Shares:
        return Shares(self._left, self._used, self._parts)

    def fits(self, id: DeviceId, told: Told, asked: Mapping[str, str]) -> Amounts | None:
        """What of the device's capacities a request consumes; None where there is not enough of one, or its policy forbids it."""
        wanted = consumed(told.get("capacity") or {}, asked)
        if wanted is None:
            return None
        limits = {name: parse(each.get("value")) for name, each in (told.get("capacity") or {}).items()}
        return None if exceeding(plus(wanted, self._used.get(id, {})), limits) else wanted

    def take(self, id: DeviceId, told: Told, asked: Mapping[str, str]) -> Amounts | None:
        """Take the device, or a part of it. What a part consumes ({} of a device that is taken whole); None where it cannot be had."""
        wanted = self.fits(id, told, asked)
        if wanted is None:
            return None
        is_first = not self._parts[id]
        needs = _counters(id, told) if is_first else {}
        if any(self._left.get(counter, ZERO) < amount for counter, amount in needs.items()):
            return None
        self.draw(id, told)
        if not told.get("allowMultipleAllocations"):
            return {}
        self._used[id] = plus(self._used.get(id, {}), wanted)
        return wanted

    def draw(self, id: DeviceId, told: Told) -> None:
        """Whoever has it first uses the counters, be there enough or not."""
        self._parts[id] += 1
        if self._parts[id] == 1:
            for counter, amount in _counters(id, told).items():
                self._left[counter] = self._left.get(counter, ZERO) - amount

    def give_back(self, id: DeviceId, told: Told, wanted: Amounts) -> None:
        """Undo `take`, which answered `wanted`."""
        self._parts[id] -= 1
        if not self._parts[id]:
            for counter, amount in _counters(id, told).items():
                self._left[counter] += amount
        if wanted:
            self._used[id] = minus(self._used[id], wanted)


def shares_of(devices: Devices, slices: Iterable[Mapping[str, Any]]) -> Shares:
    """What is left in these slices beside what claims have."""
    left: dict[CounterId, Quantity] = {}
    known: dict[DeviceId, Told] = {}
    for spec in slices:
        driver, pool = spec["driver"], spec["pool"]["name"]
        for counters in spec.get("sharedCounters") or ():
            for name, each in (counters.get("counters") or {}).items():
                left[driver, pool, counters["name"], name] = parse(each.get("value"))
        known |= {(driver, pool, each["name"]): each for each in spec.get("devices") or () if each.get("consumesCounters")}
    used: dict[DeviceId, Amounts] = {}
    for id, amounts in devices.parts():
        used[id] = plus(used.get(id, {}), amounts)
    shares = Shares(left, used, {})
    for id in (*devices.taken(), *(id for id, _ in devices.parts())):
        shares.draw(id, known.get(id, {}))
    return shares


def _counters(id: DeviceId, told: Told) -> dict[CounterId, Quantity]:
    driver, pool, _ = id
    return {
        (driver, pool, each["counterSet"], name): parse(counter.get("value"))
        for each in told.get("consumesCounters") or ()
        for name, counter in (each.get("counters") or {}).items()
    }


# --- what a request consumes --------------------------------------------------------------------------------------------------------


def consumed(capacities: Mapping[str, Any], asked: Mapping[str, str]) -> Amounts | None:
    """Of each capacity: what is asked for, rounded up as its policy says; its default, or all of it, where nothing is. None where a
    policy forbids it, or a capacity is asked for that there is not."""
    if any(name not in capacities for name in asked):
        return None
    requests = read(asked)
    out: Amounts = {}
    for name, each in capacities.items():
        policy = each.get("requestPolicy") or {}
        out[name] = _rounded(requests[name], policy) if name in requests else parse(policy.get("default") or each.get("value"))
        if _is_forbidden(out[name], policy):
            return None
    return out


def _rounded(request: Quantity, policy: Mapping[str, Any]) -> Quantity:
    span, values = policy.get("validRange") or {}, policy.get("validValues") or ()
    if span.get("min") is not None:
        least = parse(span["min"])
        if request < least:
            return least
        if span.get("step") is None:
            return request
        step = parse(span["step"]).value()
        steps = -(-(request.value() - least.value()) // step)
        return from_value(least.value() + step * steps, Format.BINARY_SI)
    return next((valid for valid in map(parse, values) if request <= valid), request)


def _is_forbidden(amount: Quantity, policy: Mapping[str, Any]) -> bool:
    if policy.get("default") is not None and amount == parse(policy["default"]):
        return False
    span, values = policy.get("validRange"), policy.get("validValues") or ()
    if span is None:
        return bool(values) and all(amount != parse(each) for each in values)
    if span.get("max") is not None and amount > parse(span["max"]):
        return True
    if span.get("step") is None:
        return False
    return (amount.value() - parse(span.get("min") or "0").value()) % parse(span["step"]).value() != 0
