"""What a pod asks a node for: the arithmetic of requests. Source: `k8s.io/component-helpers/resource/helpers.go`, PodRequests.

The sum over containers, or the peak while init containers run (restartable ones, "sidecars", go on running beside those after them),
replaced by pod-level requests where there are any, plus the overhead of the RuntimeClass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from kube.objects import condition_of
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
    spec, resizing = pod["spec"], _resizing(pod)
    return _total(
        spec,
        [_request(each, resizing) for each in spec.get("containers") or ()],
        [(each, _request(each, resizing)) for each in spec.get("initContainers") or ()],
        resizing,
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
    total = _total(
        spec, [defaults | _request(each, _AT_REST) for each in containers], [(each, defaults | _request(each, _AT_REST)) for each in init]
    )
    return total.get(CPU, 0), total.get(MEMORY, 0)


class _Resizing(NamedTuple):
    """What a pod that is being resized still holds, by container, and as a whole under "". Where the resize cannot be done, this is all
    that it asks for; else the larger of both."""

    held: Mapping[str, Amounts]
    is_infeasible: bool = False

    def effective(self, name: str, asked: Amounts) -> Amounts:
        held = self.held.get(name)
        if held is None:
            return asked
        return held if self.is_infeasible else _max(asked, held)


_AT_REST = _Resizing({})


def _request(container: Mapping[str, Any], resizing: _Resizing) -> Amounts:
    return resizing.effective(container.get("name", ""), amounts((container.get("resources") or {}).get("requests")))


def _resizing(pod: Mapping[str, Any]) -> _Resizing:
    status = pod.get("status") or {}
    statuses = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    held = {each.get("name", ""): _held(each) for each in statuses if each.get("resources") is not None}
    if status.get("resources") is not None:
        held[""] = _held(status)
    if not held:
        return _AT_REST
    return _Resizing(held, (condition_of(pod, "PodResizePending") or {}).get("reason") == "Infeasible")


def _held(status: Mapping[str, Any]) -> Amounts:
    return _max(amounts((status.get("resources") or {}).get("requests")), amounts(status.get("allocatedResources")))


def _total(
    spec: Mapping[str, Any],
    containers: Iterable[Amounts],
    init: Iterable[tuple[Mapping[str, Any], Amounts]],
    resizing: _Resizing = _AT_REST,
) -> Amounts:
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
        effective = resizing.effective("", amounts(pod_level))
        total |= {name: effective.get(name, 0) for name in pod_level if name in (CPU, MEMORY) or name.startswith(_HUGE_PAGES)}
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
