"""How large a pod and its containers are: what was allocated to them, what they are run with, and what is told of both. Pure.

Requests and limits of CPU and memory can be changed while a pod runs: those of its containers (KEP-1287), init containers among them,
and those of the pod as a whole (KEP-5419). Source: upstream `pkg/kubelet/allocation`, `kuberuntime_manager.go computePodResizeAction`,
`kubelet_pods.go convertContainerStatusResources` and `convertToAPIPodLevelResourcesStatus`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import orjson

from kube.amounts import plus, read, written
from kube.objects import Object, condition_of
from kube.pod_amounts import aggregate, is_pod_level_resource, with_pod_level
from kubelet.admission import amount_of

RESIZABLE = ("cpu", "memory")
KINDS = ("requests", "limits")
_LISTS = ("containers", "initContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses")


# --- what containers are run with -----------------------------------------------------------------------------------------


def given_to(pod: Object, container: Object) -> Object:
    """The resources that a container of the pod is run with: its own, and the pod's limits where it has none."""
    own, whole = container.get("resources") or {}, (pod["spec"].get("resources") or {}).get("limits") or {}
    limits = own.get("limits") or {}
    missing = {name: whole[name] for name in RESIZABLE if name in whole and not _amount(name, limits)}
    return {**own, "limits": {**limits, **missing}} if missing else own


def as_given(pod: Object, container: Object) -> Object:
    """The container as it is run; the very same where the pod as a whole has no limits."""
    given = given_to(pod, container)
    return container if given == (container.get("resources") or {}) else {**container, "resources": given}


def compute(resources: Object | None) -> dict[tuple[str, str], int]:
    """The amounts of CPU (in thousandths) and memory (in bytes) above zero, by kind (requests, limits) and name."""
    found = {(kind, name): _amount(name, (resources or {}).get(kind) or {}) for kind in KINDS for name in RESIZABLE}
    return {key: amount for key, amount in found.items() if amount}


def _amount(name: str, listed: Mapping[str, str]) -> int:
    return amount_of(name, str(listed[name])) if name in listed else 0


def changed(had: Object | None, wanted: Object | None) -> frozenset[str]:
    """The resources (cpu, memory) of which another amount is wanted than there is."""
    if had is wanted or had == wanted:
        return frozenset()
    before, after = compute(had), compute(wanted)
    return frozenset(name for kind in KINDS for name in RESIZABLE if before.get((kind, name)) != after.get((kind, name)))


def must_restart(container: Object, resources: Iterable[str]) -> bool:
    """Whether the container's resizePolicy has it restarted to change these."""
    policies = {each["resourceName"]: each.get("restartPolicy") for each in container.get("resizePolicy") or ()}
    return any(policies.get(name) == "RestartContainer" for name in resources)


# --- what is allocated ----------------------------------------------------------------------------------------------------


def is_resized(pod: Object, allocated: Object) -> bool:
    """Whether the pod asks for other amounts than `allocated`, the pod as its node has admitted it, has."""
    before = {each["name"]: each.get("resources") for name in _LISTS for each in allocated["spec"].get(name) or ()}
    parts = ((each.get("resources"), before.get(each["name"])) for name in _LISTS for each in pod["spec"].get(name) or ())
    return bool(changed(pod["spec"].get("resources"), allocated["spec"].get("resources"))) or any(changed(*each) for each in parts)


def with_allocation(pod: Object, allocated: Object) -> Object:
    """The pod with the resources that were allocated to it."""
    before = {each["name"]: each.get("resources") for name in _LISTS for each in allocated["spec"].get(name) or ()}
    return _with_resources(pod, allocated["spec"].get("resources"), before)


def allocated_by_status(pod: Object) -> Object:
    """The pod as its node has admitted it before the agent's restart, as far as the status tells; without a resize, the pod itself."""
    status = pod.get("status") or {}
    is_old = (status.get("observedGeneration") or 0) < (pod["metadata"].get("generation") or 0)
    if not status.get("startTime") or not (is_old or condition_of(pod, "PodResizePending")):
        return pod
    told = {each["name"]: each for name in _STATUSES for each in status.get(name) or () if each.get("resources") is not None}
    specs = {each["name"]: each.get("resources") for name in _LISTS for each in pod["spec"].get(name) or ()}
    before = {name: _allocated(specs[name], told[name]) if name in told else specs[name] for name in specs}
    whole = pod["spec"].get("resources")
    if whole and status.get("resources"):
        whole = {**whole, **{kind: _known(whole[kind], status["resources"].get(kind)) for kind in KINDS if kind in whole}}
    return _with_resources(pod, whole, before)


def _allocated(wanted: Object | None, told: Object) -> Object:
    """A container's resources as its status tells of them; limits that are the pod's are not its own."""
    limits = _known((wanted or {}).get("limits"), told["resources"].get("limits"))
    kinds = {"requests": told.get("allocatedResources") or {}, "limits": limits}
    return {**(wanted or {}), **{kind: amounts for kind, amounts in kinds.items() if amounts or kind in (wanted or {})}}


def _known(wanted: Mapping[str, str] | None, told: Mapping[str, str] | None) -> Object:
    return {name: amount for name, amount in (told or {}).items() if name in (wanted or {})}


def _with_resources(pod: Object, whole: Object | None, by_name: Mapping[str, Object | None]) -> Object:
    spec = {key: value for key, value in pod["spec"].items() if key != "resources"}
    if whole is not None:
        spec["resources"] = whole
    for name in _LISTS:
        if name in spec:
            spec[name] = [_sized(each, by_name.get(each["name"])) for each in spec[name] or ()]
    return {**pod, "spec": spec}


def _sized(container: Object, resources: Object | None) -> Object:
    rest = {key: value for key, value in container.items() if key != "resources"}
    return rest if resources is None else {**rest, "resources": resources}


# --- what is told ---------------------------------------------------------------------------------------------------------


def container_resources(container: Object, actual: Object | None) -> Object:
    """`resources` and `allocatedResources` of a container's status; `actual` is what a running one is run with, where that is known."""
    allocated = container.get("resources") or {}
    told = allocated if actual is None or actual == allocated else {**allocated, **_overlaid(allocated, actual)}
    requests = allocated.get("requests")
    return {"resources": told, "allocatedResources": requests} if requests else {"resources": told}


def _overlaid(allocated: Object, actual: Object) -> Object:
    """The kinds that the container has, with the actual amounts; those of the other kinds are the pod's as a whole."""
    found = {}
    for kind in KINDS:
        if amounts := allocated.get(kind):
            known = actual.get(kind) or {}
            found[kind] = amounts | {name: known[name] for name in RESIZABLE if name in known}
    return found


def pod_resources(pod: Object, *, is_running: bool) -> Object:
    """`resources` and `allocatedResources` of the pod's status. Of a running pod, those of its cgroup, CPU and memory, are told, and
    what its spec says of it as a whole."""
    spec = pod["spec"]
    parts = [[(each.get("restartPolicy"), each.get("resources")) for each in spec.get(name) or ()] for name in _LISTS]
    key = orjson.dumps([*parts, spec.get("resources"), spec.get("overhead")])
    return _pod_resources(key, is_running)


@lru_cache(maxsize=1024)
def _pod_resources(key: bytes, is_running: bool) -> Object:
    """Pods are made by the thousand, and few kinds of them."""
    # deviates: status.resources of a resized pod tells its new memory request, too; upstream goes on telling the one it had when it started
    containers, init_containers, whole, overhead = orjson.loads(key)
    lists = (("containers", containers), ("initContainers", init_containers))
    parts = {name: [{"restartPolicy": policy, "resources": own} for policy, own in each] for name, each in lists}
    spec = {**parts, "resources": whole}
    requests, limits = (with_pod_level(spec, kind, aggregate(spec, kind)) for kind in KINDS)
    requests = plus(requests, read(overhead))
    limits = {name: amount + read(overhead)[name] if amount and name in (overhead or {}) else amount for name, amount in limits.items()}
    told = {}
    for kind, amounts in (("requests", requests), ("limits", limits)):
        own = (whole or {}).get(kind) or {}
        shown = {name: amount for name, amount in amounts.items() if not is_running or name in RESIZABLE or _is_own(name, own)}
        if shown:
            told[kind] = written(shown)
    return {"resources": told, "allocatedResources": written(requests)} if requests else {"resources": told}


def _is_own(name: str, own: Mapping[str, str]) -> bool:
    return name in own and is_pod_level_resource(name)
