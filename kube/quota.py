"""What an object costs a ResourceQuota: one evaluator per resource. Pure; admission charges by it, the quota controller counts by it.

Everything namespaced can be counted (`count/<resource>.<group>`); pods, claims, Services and ResourceClaims cost more than their number,
and some resources have an old name too (`configmaps`). Pods and claims can be told apart by scopes.
Source: kubernetes `pkg/quota/v1/evaluator/core`, apiserver `pkg/quota/v1/generic/evaluator.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from kube.amounts import Amounts, plus, read
from kube.clock import parse_time
from kube.objects import Object
from kube.pod_amounts import BEST_EFFORT, is_pod_level, pod_limits, pod_requests, qos_class
from kube.quantity import ZERO, Quantity, from_value, parse
from kube.storage import class_of

IGNORED: Final = frozenset(
    {
        ("", "bindings"),
        ("", "componentstatuses"),
        ("", "events"),
        ("events.k8s.io", "events"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
    }
)
"""Resources (group, plural) that quotas know nothing of: what is not stored, and events."""
OLD_NAMES: Final = {
    ("", "configmaps"): "configmaps",
    ("", "resourcequotas"): "resourcequotas",
    ("", "replicationcontrollers"): "replicationcontrollers",
    ("", "secrets"): "secrets",
}
ONE: Final = from_value(1)

Scope = Mapping[str, Any]
"""A ScopedResourceSelectorRequirement: scopeName, operator, values."""


def scopes_of(quota: Object) -> list[Scope]:
    """Everything that an object must fit to be the quota's."""
    spec = quota.get("spec") or {}
    plain = [{"scopeName": each, "operator": "Exists"} for each in spec.get("scopes") or ()]
    return [*plain, *((spec.get("scopeSelector") or {}).get("matchExpressions") or ())]


def count_name(group: str, plural: str) -> str:
    """`count/deployments.apps`, `count/pods`."""
    return f"count/{plural}.{group}" if group else f"count/{plural}"


class Evaluator:
    """Counts objects of one resource; those of some cost more (below)."""

    def __init__(self, group: str, plural: str) -> None:
        self.group, self.plural = group, plural
        self.counted = count_name(group, plural)
        old_name = OLD_NAMES.get((group, plural))
        self.names = frozenset({self.counted, old_name} if old_name else {self.counted})

    def handles(self, operation: str, subresource: str, obj: Object | None, old: Object | None) -> bool:
        """Whether such a request can change what is used."""
        return operation == "CREATE" and not subresource

    def tracks(self, name: str) -> bool:
        """Whether that name of a quota's `hard` is this evaluator's to measure."""
        return name in self.names

    def matching(self, names: Iterable[str]) -> list[str]:
        return [each for each in names if self.tracks(each)]

    def fits(self, scope: Scope, obj: Object) -> bool:
        return False

    def belongs(self, obj: Object, quota: Object) -> bool:
        """Whether the object is one of those that the quota is about."""
        return all(self.fits(each, obj) for each in scopes_of(quota))

    def usage(self, obj: Object, now: datetime) -> Amounts:
        return dict.fromkeys(self.names, ONE)

    def missing(self, names: Iterable[str], obj: Object) -> str:
        """What the object has to say before it can be charged for `names`; "" when nothing."""
        return ""


# --- pods -------------------------------------------------------------------------------------------------------------

_REQUESTS, _LIMITS, _HUGE_PAGES = "requests.", "limits.", "hugepages-"
_DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"
_COMPUTE: Final = ("cpu", "memory", "ephemeral-storage")
_MUST_BE_SAID: Final = frozenset({*_COMPUTE[:2], *(prefix + each for prefix in (_REQUESTS, _LIMITS) for each in _COMPUTE[:2])})
"""Upstream calls it a mistake and keeps it: quotas on these refuse pods that leave them out."""


class Pods(Evaluator):
    """Pods cost their requests and limits until they have come to their end; `count/pods` counts them after that too."""

    def __init__(self) -> None:
        super().__init__("", "pods")
        named = (prefix + each for prefix in ("", _REQUESTS, _LIMITS) for each in _COMPUTE)
        self.names = frozenset({self.counted, "pods", *named})

    def handles(self, operation: str, subresource: str, obj: Object | None, old: Object | None) -> bool:
        if subresource == "resize":
            return operation == "UPDATE"
        if subresource:
            return False
        if operation == "UPDATE" and obj is not None and old is not None:
            return _is_terminating(obj) != _is_terminating(old)
        return operation == "CREATE"

    def tracks(self, name: str) -> bool:
        if name in self.names or name.startswith((_HUGE_PAGES, _REQUESTS + _HUGE_PAGES)):
            return True
        return name.startswith(_REQUESTS) and (not _is_native(name) or name.startswith(_REQUESTS + _DEVICE_CLASS))

    def fits(self, scope: Scope, obj: Object) -> bool:
        spec = obj["spec"]
        match scope["scopeName"]:
            case "Terminating":
                return _is_terminating(obj)
            case "NotTerminating":
                return not _is_terminating(obj)
            case "BestEffort":
                return qos_class(spec) == BEST_EFFORT
            case "NotBestEffort":
                return qos_class(spec) != BEST_EFFORT
            case "PriorityClass":
                return selects(scope, [spec["priorityClassName"]] if spec.get("priorityClassName") else [])
            case "CrossNamespacePodAffinity":
                return _reaches_other_namespaces(spec)
        return False

    def usage(self, obj: Object, now: datetime) -> Amounts:
        cost = {self.counted: ONE}
        return plus(cost, _compute_cost(pod_requests(obj), pod_limits(obj))) if is_charged(obj, now) else cost

    def missing(self, names: Iterable[str], obj: Object) -> str:
        spec = obj["spec"]
        if is_pod_level(spec.get("resources") or {}):
            return ""
        found: dict[str, set[str]] = {}
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            resources = container.get("resources") or {}
            said = _compute_cost(read(resources.get("requests")), read(resources.get("limits")))
            for name in _MUST_BE_SAID.intersection(names) - said.keys():
                found.setdefault(name, set()).add(container.get("name", ""))
        told = (f"{name} for: {','.join(sorted(found[name]))}" for name in sorted(found))
        return f"must specify {'; '.join(told)}" if found else ""


def is_charged(pod: Object, now: datetime) -> bool:
    """Whether the pod still costs something: it has not ended, and is not overdue with being gone."""
    if (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
        return False
    metadata = pod["metadata"]
    since, grace_s = parse_time(metadata.get("deletionTimestamp")), metadata.get("deletionGracePeriodSeconds")
    return since is None or grace_s is None or now <= since + timedelta(seconds=grace_s)


def _compute_cost(requests: Amounts, limits: Amounts) -> Amounts:
    cost = {"pods": ONE}
    for name, amount in requests.items():
        if name in _COMPUTE or name.startswith(_HUGE_PAGES):
            cost[name] = cost[_REQUESTS + name] = amount
        elif (not _is_native(name) and not name.startswith(_REQUESTS)) or name.startswith(_DEVICE_CLASS):
            cost[_REQUESTS + name] = amount
    for name in _COMPUTE:
        if name in limits:
            cost[_LIMITS + name] = limits[name]
    return cost


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_terminating(pod: Object) -> bool:
    deadline_s = pod["spec"].get("activeDeadlineSeconds")
    return deadline_s is not None and deadline_s >= 0


def _reaches_other_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for each in (affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}):
        weighted = each.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms = [*(each.get("requiredDuringSchedulingIgnoredDuringExecution") or ()), *(term["podAffinityTerm"] for term in weighted)]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def selects(scope: Scope, values: Iterable[str]) -> bool:
    """Whether a scope that is about a name (a priority class) selects an object that mentions `values`."""
    wanted, mentioned = scope.get("values") or (), list(values)
    match scope.get("operator"):
        case "Exists":
            return bool(mentioned)
        case "DoesNotExist":
            return not mentioned
        case "In":
            return any(each in wanted for each in mentioned)
        case "NotIn":
            return not mentioned or any(each not in wanted for each in mentioned)
    return False


# --- claims for volumes -----------------------------------------------------------------------------------------------

_BY_CLASS = ".storageclass.storage.k8s.io/"
_STORAGE = "requests.storage"


class Claims(Evaluator):
    """PersistentVolumeClaims cost what they request, and that again per storage class."""

    def __init__(self) -> None:
        super().__init__("", "persistentvolumeclaims")
        self.names = frozenset({self.counted, "persistentvolumeclaims", _STORAGE})

    def handles(self, operation: str, subresource: str, obj: Object | None, old: Object | None) -> bool:
        return operation in ("CREATE", "UPDATE")

    def tracks(self, name: str) -> bool:
        return name in self.names or name.endswith((f"{_BY_CLASS}persistentvolumeclaims", _BY_CLASS + _STORAGE))

    def fits(self, scope: Scope, obj: Object) -> bool:
        return scope["scopeName"] == "VolumeAttributesClass" and selects(scope, attributes_classes_of(obj))

    def usage(self, obj: Object, now: datetime) -> Amounts:
        cost = {self.counted: ONE, "persistentvolumeclaims": ONE}
        storage = storage_of(obj)
        if storage is not None:
            cost[_STORAGE] = storage
        storage_class = class_of(obj)
        if storage_class:
            mine = {storage_class + _BY_CLASS + name: amount for name, amount in cost.items() if name != self.counted}
            cost.update(mine)
        return cost


def storage_of(claim: Object) -> Quantity | None:
    """What the claim holds in whole bytes: its request, or what was allocated to it if that is more."""
    wanted = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is None:
        return None
    allocated = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    return max(parse(wanted), parse(allocated)).rounded_up(0)


def attributes_classes_of(claim: Object) -> list[str]:
    """The VolumeAttributesClasses that the claim has, has asked for, or is on the way to."""
    status = claim.get("status") or {}
    target = (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    names = (claim["spec"].get("volumeAttributesClassName"), status.get("currentVolumeAttributesClassName"), target)
    return [each for each in names if each]


# --- Services ---------------------------------------------------------------------------------------------------------


class Services(Evaluator):
    """Services cost node ports and load balancers too."""

    def __init__(self) -> None:
        super().__init__("", "services")
        self.names = frozenset({self.counted, "services", "services.nodeports", "services.loadbalancers"})

    def handles(self, operation: str, subresource: str, obj: Object | None, old: Object | None) -> bool:
        return operation in ("CREATE", "UPDATE")

    def usage(self, obj: Object, now: datetime) -> Amounts:
        kind, ports = obj["spec"].get("type"), len(obj["spec"].get("ports") or ())
        return {
            self.counted: ONE,
            "services": ONE,
            "services.nodeports": from_value(ports) if kind in ("NodePort", "LoadBalancer") else ZERO,
            "services.loadbalancers": ONE if kind == "LoadBalancer" else ZERO,
        }


# --- ResourceClaims ---------------------------------------------------------------------------------------------------

_DEVICES = ".deviceclass.resource.k8s.io/devices"
_DEVICES_MAX = 32
"""What a request for all devices may get at most."""


class ResourceClaims(Evaluator):
    """ResourceClaims cost devices, per class; of alternatives, the dearest."""

    def __init__(self) -> None:
        super().__init__("resource.k8s.io", "resourceclaims")

    def handles(self, operation: str, subresource: str, obj: Object | None, old: Object | None) -> bool:
        return operation in ("CREATE", "UPDATE") and not subresource

    def tracks(self, name: str) -> bool:
        return name in self.names or name.endswith(_DEVICES)

    def usage(self, obj: Object, now: datetime) -> Amounts:
        cost = {self.counted: ONE}
        for request in (obj["spec"].get("devices") or {}).get("requests") or ():
            alternatives = request.get("firstAvailable") or [request.get("exactly") or {}]
            dearest: Amounts = {}
            for each in alternatives:
                name, amount = each.get("deviceClassName", "") + _DEVICES, _devices(each)
                dearest[name] = max(dearest.get(name, ZERO), amount)
            cost = plus(cost, dearest)
        return cost


def _devices(request: Object) -> Quantity:
    match request.get("allocationMode"):
        case "ExactCount":
            return from_value(request.get("count") or 0)
        case "All":
            return from_value(_DEVICES_MAX)
    return ZERO


# --- all of them ------------------------------------------------------------------------------------------------------

_OWN: Final[dict[tuple[str, str], Callable[[], Evaluator]]] = {
    ("", "pods"): Pods,
    ("", "persistentvolumeclaims"): Claims,
    ("", "services"): Services,
    ("resource.k8s.io", "resourceclaims"): ResourceClaims,
}
_MADE: dict[tuple[str, str], Evaluator] = {}


def evaluator_of(group: str, plural: str) -> Evaluator | None:
    """The evaluator of a resource; None for what quotas ignore."""
    key = (group, plural)
    if key in IGNORED:
        return None
    if key not in _MADE:
        make = _OWN.get(key)
        _MADE[key] = make() if make is not None else Evaluator(group, plural)
    return _MADE[key]
