"""KWOK's `ResourceUsage` (of one pod) and `ClusterResourceUsage` (of all that it selects): what containers are said to use.

A container's own entry comes before the one for all; a ResourceUsage of the pod's name before those of the cluster, in their order.
Source: https://kwok.sigs.k8s.io/docs/user/resource-usage-configuration/, `pkg/kwok/server/metrics_resource_usage.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kube.objects import Object, name_of, namespace_of
from kube.quantity import QuantityError, parse
from kubelet.stages.expression import Expression, Unanswered, World
from kubelet.stages.query import StageError

RESOURCES = ("cpu", "memory")


@dataclass(frozen=True, slots=True)
class Selector:
    """Which pods: those of these names in these namespaces; none named, all."""

    namespaces: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def matches(self, pod: Object) -> bool:
        in_namespace = not self.namespaces or namespace_of(pod) in self.namespaces
        return in_namespace and (not self.names or name_of(pod) in self.names)


def selector_of(spec: Mapping[str, Any]) -> Selector:
    given = spec.get("selector") or {}
    return Selector(frozenset(given.get("matchNamespaces") or ()), frozenset(given.get("matchNames") or ()))


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """What some containers (none named: all) use: a number, or an expression, for each resource."""

    containers: frozenset[str]
    amounts: Mapping[str, float | Expression]


@dataclass(frozen=True, slots=True)
class PodUsage:
    """One object, compiled."""

    name: str
    selector: Selector
    is_of_one_pod: bool
    usages: Sequence[ContainerUsage]

    def of(self, container: str) -> ContainerUsage | None:
        own = next((each for each in self.usages if container in each.containers), None)
        return own or next((each for each in self.usages if not each.containers), None)


class UsageSet:
    """All of them."""

    def __init__(self, usages: Iterable[PodUsage] = ()) -> None:
        self._usages = sorted(usages, key=lambda each: not each.is_of_one_pod)

    def __bool__(self) -> bool:
        return bool(self._usages)

    def amount(self, pod: Object, container: Object, resource: str, world: World) -> float | None:
        """Cores or bytes; None where nothing is said, or what is said has no value for this pod."""
        for each in self._usages:
            if not each.selector.matches(pod):
                continue
            usage = each.of(str(container["name"]))
            if usage is not None:
                amount = usage.amounts.get(resource)
                return _evaluated(amount, world) if isinstance(amount, Expression) else amount
            if each.is_of_one_pod:
                return None
        return None


def _evaluated(expression: Expression, world: World) -> float | None:
    try:
        return max(expression.number(world), 0.0)
    except Unanswered:
        return None


# --- reading ------------------------------------------------------------------------------------------------------------------------


def compiled_usage(obj: Object) -> PodUsage:
    """A ResourceUsage or ClusterResourceUsage, ready to use. Raises StageError."""
    name, spec = name_of(obj), obj.get("spec") or {}
    is_one = obj.get("kind") == "ResourceUsage"
    selector = Selector(frozenset([namespace_of(obj) or "default"]), frozenset([name])) if is_one else selector_of(spec)
    try:
        return PodUsage(name, selector, is_one, tuple(_container_usage(each) for each in spec.get("usages") or ()))
    except StageError as error:
        raise StageError(f"{obj.get('kind')} {name}: {error}") from error


def _container_usage(entry: Mapping[str, Any]) -> ContainerUsage:
    amounts: dict[str, float | Expression] = {}
    for resource, given in (entry.get("usage") or {}).items():
        if resource not in RESOURCES:
            raise StageError(f"usage of {resource!r} is not understood, only that of {' and '.join(RESOURCES)}")
        amounts[resource] = _amount(given or {})
    return ContainerUsage(frozenset(entry.get("containers") or ()), amounts)


def _amount(given: Mapping[str, Any]) -> float | Expression:
    if given.get("value") is not None:
        try:
            return parse(given["value"]).nano / 1e9
        except QuantityError as error:
            raise StageError(f"value {given['value']!r}: {error}") from error
    if given.get("expression"):
        return Expression(str(given["expression"]).strip())
    raise StageError("a usage needs a value or an expression")
