"""What a pod asks for as a whole: its QoS class, and the effective requests and limits of all its containers.

Amounts are `kube.quantity.Quantity`. Pure; both rules and defaults read it. Source: kubernetes `pkg/apis/core/v1/helper/qos` and
`component-helpers/resource/helpers.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kube.objects import Object
from kube.quantity import Quantity, parse

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
COMPUTE = ("cpu", "memory")
HUGE_PAGES = "hugepages-"

Amounts = dict[str, Quantity]


# --- QoS class --------------------------------------------------------------------------------------------------------


def _compute(resources: Object, name: str) -> Amounts:
    """The amounts of CPU and memory above zero."""
    listed = resources.get(name) or {}
    found = {key: parse(listed[key]) for key in COMPUTE if key in listed}
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
        limited_everywhere = limited_everywhere and len(limited) == len(COMPUTE)
        _add(limits, limited)
    if not requests and not limits:
        return BEST_EFFORT
    if limited_everywhere and requests == limits:
        return GUARANTEED
    return BURSTABLE


# --- pod-level requests and limits ------------------------------------------------------------------------------------


def is_pod_level_resource(name: str) -> bool:
    return name in COMPUTE or name.startswith(HUGE_PAGES)


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
