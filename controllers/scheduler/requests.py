"""What a pod asks a node for: the arithmetic of requests. Source: `k8s.io/component-helpers/resource/helpers.go`, PodRequests.

The sum over containers, or the peak while init containers run (restartable ones, "sidecars", go on running beside those after them),
replaced by pod-level requests where there are any, plus the overhead of the RuntimeClass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from kube.quantity import QuantityError, parse

CPU, MEMORY, EPHEMERAL_STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"
DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 << 20
"""What a container that requests nothing is taken for when nodes are scored (never when they are filtered)."""
_HUGE_PAGES = "hugepages-"

Amounts = dict[str, int]
"""By resource name: cpu in thousandths, all else in whole units."""


@lru_cache(maxsize=16384)
def _amount(name: str, quantity: str | int | float) -> int:
    try:
        parsed = parse(quantity)
    except QuantityError:
        return 0
    return parsed.milli_value() if name == CPU else parsed.value()


def amounts(resource_list: Mapping[str, Any] | None) -> Amounts:
    """A ResourceList in integers; what cannot be read is 0."""
    return {name: _amount(name, quantity) for name, quantity in resource_list.items()} if resource_list else {}


def pod_requests(pod: Mapping[str, Any]) -> Amounts:
    """What has to be free on a node."""
    spec = pod["spec"]
    resized = _resized(pod)
    return _total(
        spec,
        [_request(each, resized) for each in spec.get("containers") or ()],
        [(each, _request(each, resized)) for each in spec.get("initContainers") or ()],
    )


def pod_requests_nonzero(spec: Mapping[str, Any], requests: Amounts) -> tuple[int, int]:
    """(cpu, memory) with the defaults for containers that leave them out; `requests` is the pod's `pod_requests`."""
    containers, init = spec.get("containers") or (), spec.get("initContainers") or ()
    asked = [(each.get("resources") or {}).get("requests") or () for each in (*containers, *init)]
    pod_level = (spec.get("resources") or {}).get("requests") or ()
    needs_cpu = CPU not in pod_level and not all(CPU in each for each in asked)
    needs_memory = MEMORY not in pod_level and not all(MEMORY in each for each in asked)
    if not needs_cpu and not needs_memory:
        return requests.get(CPU, 0), requests.get(MEMORY, 0)
    defaults = {}
    if needs_cpu:
        defaults[CPU] = DEFAULT_MILLI_CPU
    if needs_memory:
        defaults[MEMORY] = DEFAULT_MEMORY
    total = _total(spec, [defaults | _request(each, {}) for each in containers], [(each, defaults | _request(each, {})) for each in init])
    return total.get(CPU, 0), total.get(MEMORY, 0)


def _request(container: Mapping[str, Any], resized: Mapping[str, Amounts]) -> Amounts:
    asked = amounts((container.get("resources") or {}).get("requests"))
    held = resized.get(container.get("name", ""))
    return asked if held is None else _max(asked, held)


def _resized(pod: Mapping[str, Any]) -> dict[str, Amounts]:
    """What the containers of a pod that is being resized still hold, where that differs from what they ask for."""
    status = pod.get("status") or {}
    found: dict[str, Amounts] = {}
    for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        held = (each.get("resources") or {}).get("requests")
        allocated = each.get("allocatedResources")
        if held or allocated:
            found[each.get("name", "")] = _max(amounts(held), amounts(allocated))
    return found


def _total(spec: Mapping[str, Any], containers: Iterable[Amounts], init: Iterable[tuple[Mapping[str, Any], Amounts]]) -> Amounts:
    total: Amounts = {}
    for asked in containers:
        _add(total, asked)
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container, asked in init:
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            peak = _max(peak, sidecars)
        else:
            peak = _max(peak, _sum(asked, sidecars))
    if peak:
        total = _max(total, peak)
    pod_level = (spec.get("resources") or {}).get("requests")
    if pod_level:
        total |= {name: value for name, value in amounts(pod_level).items() if name in (CPU, MEMORY) or name.startswith(_HUGE_PAGES)}
    _add(total, amounts(spec.get("overhead")))
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _sum(one: Amounts, other: Amounts) -> Amounts:
    total = dict(one)
    _add(total, other)
    return total


def _max(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one | other}
