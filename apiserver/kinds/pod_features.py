"""Fields behind feature gates that are off by default in v1.36: dropped on write, unless the stored object already uses them.

Source: kubernetes `pkg/api/pod/util.go` (DropDisabledPodFields) and `pkg/features/kube_features.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apiserver.kinds.podspec import CONTAINER_LISTS
from kube.objects import Object


def _containers(spec: Object) -> Iterator[Object]:
    for name in CONTAINER_LISTS:
        yield from spec.get(name) or ()


def _stop_signals(spec: Object) -> list[Object]:
    return [life for each in _containers(spec) if "stopSignal" in (life := each.get("lifecycle") or {})]


def _projections(name: str) -> Callable[[Object], list[Object]]:
    def users(spec: Object) -> list[Object]:
        return [
            source
            for volume in spec.get("volumes") or ()
            if volume.get("projected")
            for source in volume["projected"].get("sources") or ()
            if name in source
        ]

    return users


def _spec_field(name: str) -> Callable[[Object], list[Object]]:
    return lambda spec: [spec] if name in spec else []


@dataclass(frozen=True, slots=True)
class _Gate:
    """One gate that is off: the field that it guards, and the objects of a spec that have the field."""

    field: str
    users: Callable[[Object], list[Object]]


_OFF = (
    _Gate("stopSignal", _stop_signals),
    _Gate("clusterTrustBundle", _projections("clusterTrustBundle")),
    _Gate("podCertificate", _projections("podCertificate")),
    _Gate("workloadRef", _spec_field("workloadRef")),
    _Gate("schedulingGroup", _spec_field("schedulingGroup")),
)


def drop_disabled_fields(spec: Object, old_spec: Object | None) -> None:
    """Takes the guarded fields out of a pod spec, in place; those that `old_spec` uses stay."""
    for gate in _OFF:
        users = gate.users(spec)
        if users and not (old_spec and gate.users(old_spec)):
            for user in users:
                del user[gate.field]
            if gate.field == "stopSignal":
                _drop_empty_lifecycles(spec)


def _drop_empty_lifecycles(spec: Object) -> None:
    for container in _containers(spec):
        if container.get("lifecycle") == {}:
            del container["lifecycle"]


def drop_disabled_template_fields(new: Object, old: Object | None) -> None:
    """The same for the pod template at `spec.template` of a workload."""
    spec = _template_spec(new)
    if spec:
        drop_disabled_fields(spec, _template_spec(old) if old else None)


def _template_spec(owner: Object) -> Object | None:
    return ((owner.get("spec") or {}).get("template") or {}).get("spec")
