"""What a pod asks for as a whole: its QoS class, and the effective requests and limits of all its containers.

Amounts are `kube.quantity.Quantity`. Pure; rules, defaults and quotas read it. Source: kubernetes `pkg/apis/core/v1/helper/qos` and
`component-helpers/resource/helpers.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kube.amounts import Amounts, read
from kube.objects import Object, condition_of
from kube.quantity import Quantity, parse

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
COMPUTE = ("cpu", "memory")
HUGE_PAGES = "hugepages-"

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


def _own_amounts(container: Object, name: str) -> Amounts:
    return read((container.get("resources") or {}).get(name))


def aggregate(spec: Object, name: str, of: Callable[[Object, str], Amounts] = _own_amounts) -> Amounts:
    """The effective `requests` or `limits` of all containers: the sum of the long-running ones, or what initializing needs at most."""
    running: Amounts = {}
    for container in spec.get("containers") or ():
        _add(running, of(container, name))
    sidecars: Amounts = {}
    initializing: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            own = of(container, name)
            _add(running, own)
            _add(sidecars, own)
            own = dict(sidecars)
        else:
            own = _own_amounts(container, name)
            _add(own, sidecars)
        _most(initializing, own)
    _most(running, initializing)
    return running


def with_pod_level(spec: Object, name: str, total: Amounts) -> Amounts:
    """The effective amounts, replaced by the pod's own where it has some."""
    own = read((spec.get("resources") or {}).get(name))
    return total | {key: amount for key, amount in own.items() if is_pod_level_resource(key)}


def pod_requests(pod: Object) -> Amounts:
    """What the pod holds while it is being resized too, with the overhead of its runtime."""
    total = _with_held_pod_level(pod, "requests")
    _add(total, read(pod["spec"].get("overhead")))
    return total


def pod_limits(pod: Object) -> Amounts:
    """Likewise; the overhead counts where there is a limit."""
    total = _with_held_pod_level(pod, "limits")
    _add(total, {key: amount for key, amount in read(pod["spec"].get("overhead")).items() if total.get(key)})
    return total


def _with_held_pod_level(pod: Object, name: str) -> Amounts:
    spec, status = pod["spec"], pod.get("status") or {}
    total = with_pod_level(spec, name, aggregate(spec, name, _held_by(pod)))
    if status.get("resources") is not None:
        own = read((spec.get("resources") or {}).get(name))
        held = _effective(own, status, name, is_infeasible=_is_infeasible(pod))
        total |= {key: held.get(key, Quantity(0)) for key in own if is_pod_level_resource(key)}
    return total


def _held_by(pod: Object) -> Callable[[Object, str], Amounts]:
    """How much a container counts: the most of what it asks for and what it has; only what it has where the resize cannot be done."""
    status = pod.get("status") or {}
    lists = (status.get(key) or () for key in ("containerStatuses", "initContainerStatuses"))
    statuses = {each.get("name"): each for several in lists for each in several if each.get("resources") is not None}
    if not statuses:
        return _own_amounts
    is_infeasible = _is_infeasible(pod)

    def held(container: Object, name: str) -> Amounts:
        own = _own_amounts(container, name)
        found = statuses.get(container.get("name"))
        return own if found is None else _effective(own, found, name, is_infeasible=is_infeasible)

    return held


def _effective(asked: Amounts, status: Object, name: str, *, is_infeasible: bool) -> Amounts:
    """What counts of a container, or of a pod as a whole, whose `status` says what it has."""
    total: Amounts = {} if is_infeasible else dict(asked)
    _most(total, read(status["resources"].get(name)))
    if name == "requests":
        _most(total, read(status.get("allocatedResources")))
    return total


def _is_infeasible(pod: Object) -> bool:
    return (condition_of(pod, "PodResizePending") or {}).get("reason") == "Infeasible"
