"""Arithmetic on ResourceLists: amounts by the name of the resource. Source: apiserver `pkg/quota/v1/resources.go`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kube.quantity import ZERO, Quantity, parse

Amounts = dict[str, Quantity]


def read(listed: Mapping[str, str] | None) -> Amounts:
    """A ResourceList as amounts."""
    return {name: parse(text) for name, text in (listed or {}).items()}


def written(amounts: Mapping[str, Quantity]) -> dict[str, str]:
    """As a ResourceList."""
    return {name: str(amount) for name, amount in amounts.items()}


def plus(one: Mapping[str, Quantity], other: Mapping[str, Quantity]) -> Amounts:
    """The sum of each resource that either names."""
    return {**other, **{name: amount + other[name] if name in other else amount for name, amount in one.items()}}


def minus(one: Mapping[str, Quantity], other: Mapping[str, Quantity]) -> Amounts:
    """What `one` has more than `other`; 0 where it has less."""
    rest = {name: amount - other.get(name, ZERO) for name, amount in one.items()}
    return {**dict.fromkeys(other, ZERO), **{name: amount if amount > ZERO else ZERO for name, amount in rest.items()}}


def only(amounts: Mapping[str, Quantity], names: Collection[str]) -> Amounts:
    """Those of these names."""
    return {name: amount for name, amount in amounts.items() if name in names}


def without_zeros(amounts: Mapping[str, Quantity]) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount}


def exceeding(amounts: Mapping[str, Quantity], limits: Mapping[str, Quantity]) -> list[str]:
    """The names of what is more than its limit."""
    return [name for name, limit in limits.items() if name in amounts and amounts[name] > limit]


def shown(amounts: Mapping[str, Quantity]) -> str:
    """As error messages write it: `cpu=1,memory=2Gi`."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))
