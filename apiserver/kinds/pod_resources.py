"""What a pod asks for as a whole: QoS class, and the defaults of requests and limits that only Pods (not templates) get.

Amounts are `kube.quantity.Quantity`. Source: kubernetes `pkg/apis/core/v1/helper/qos`, `component-helpers/resource/helpers.go` and
the pod-level defaults of `pkg/apis/core/v1/defaults.go` (KEP-2837).
"""

from __future__ import annotations

from collections.abc import Iterable

from kube.objects import Object
from kube.quantity import Quantity, parse

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
_COMPUTE = ("cpu", "memory")
HUGE_PAGES = "hugepages-"

Amounts = dict[str, Quantity]


def default_requests(spec: Object) -> None:
    """A container that limits a resource and does not request it, requests its limit."""
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            resources = container.get("resources") or {}
            limits = resources.get("limits")
            if limits:
                resources["requests"] = {**limits, **(resources.get("requests") or {})}


# --- QoS class --------------------------------------------------------------------------------------------------------


def _compute(resources: Object, name: str) -> Amounts:
    """The amounts of CPU and memory above zero."""
    listed = resources.get(name) or {}
    found = {key: parse(listed[key]) for key in _COMPUTE if key in listed}
    return {key: amount for key, amount in found.items() if amount.nano > 0}


def _requirements(spec: Object) -> Iterable[Object]:
    """What counts for the QoS class: the pod's own requirements where it has some, else each container's."""
    own = spec.get("resources") or {}
    if is_pod_level(own):
        return [own]
    return [each.get("resources") or {} for name in ("containers", "initContainers") for each in spec.get(name) or ()]


def is_pod_level(resources: Object) -> bool:
    """Whether these pod-level requirements name a resource that pods can have."""
    return any(is_pod_level_resource(each) for name in ("limits", "requests") for each in resources.get(name) or ())


def qos_class(spec: Object) -> str:
    """Guaranteed: every container limits CPU and memory and requests as much. BestEffort: nobody asks. Burstable: the rest."""
    requests: Amounts = {}
    limits: Amounts = {}
    limited_everywhere = True
    for resources in _requirements(spec):
        if not resources:
            limited_everywhere = False
            continue
        _add(requests, _compute(resources, "requests"))
        limited = _compute(resources, "limits")
        limited_everywhere = limited_everywhere and len(limited) == len(_COMPUTE)
        _add(limits, limited)
    if not requests and not limits:
        return BEST_EFFORT
    if limited_everywhere and requests == limits:
        return GUARANTEED
    return BURSTABLE


# --- pod-level requests and limits ------------------------------------------------------------------------------------


def is_pod_level_resource(name: str) -> bool:
    return name in _COMPUTE or name.startswith(HUGE_PAGES)


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _most(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if name not in total or total[name] < amount:
            total[name] = amount


def _amounts(container: Object, name: str) -> Amounts:
    return {key: parse(text) for key, text in ((container.get("resources") or {}).get(name) or {}).items()}


def aggregate(spec: Object, name: str) -> Amounts:
    """The effective `requests` or `limits` of all containers: the sum of the long-running ones, or what initializing needs at most."""
    running: Amounts = {}
    for container in spec.get("containers") or ():
        _add(running, _amounts(container, name))
    sidecars: Amounts = {}
    initializing: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _amounts(container, name)
        if container.get("restartPolicy") == "Always":
            _add(running, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            _add(own, sidecars)
        _most(initializing, own)
    _most(running, initializing)
    return running


def default_pod_level(spec: Object) -> None:
    """Fills in pod-level requests and limits where the pod gives some of them, in upstream's order."""
    own = spec.get("resources")
    if not own or not (own.get("limits") or own.get("requests")):
        return
    _default_huge_pages(spec, own)
    if own.get("limits"):
        _default_requests(spec, own)
    if not any(is_pod_level_resource(each) for each in own.get("limits") or ()):
        _default_limits(spec, own)


def _default_huge_pages(spec: Object, own: Object) -> None:
    limits = dict(own.get("limits") or {})
    for name, amount in aggregate(spec, "limits").items():
        if name.startswith(HUGE_PAGES) and name not in (own.get("requests") or {}):
            limits.setdefault(name, str(amount))
    if limits:
        own["limits"] = limits


def _default_requests(spec: Object, own: Object) -> None:
    requests = dict(own.get("requests") or {})
    for name, amount in aggregate(spec, "requests").items():
        if name in _COMPUTE:
            requests.setdefault(name, str(amount))
    for name, text in own["limits"].items():
        if is_pod_level_resource(name):
            requests.setdefault(name, text)
    if requests:
        own["requests"] = requests


def _default_limits(spec: Object, own: Object) -> None:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    limits = dict(own.get("limits") or {})
    for name, amount in aggregate(spec, "limits").items():
        everywhere = all(name in ((each.get("resources") or {}).get("limits") or {}) for each in containers)
        if name in _COMPUTE and everywhere:
            limits.setdefault(name, str(amount))
    if limits:
        own["limits"] = limits
