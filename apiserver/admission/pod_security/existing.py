"""What is told of the pods that a namespace has already when it becomes stricter: they stay, and whoever made it stricter is warned. Pure.

Source: `k8s.io/pod-security-admission` (admission/admission.go, EvaluatePodsInNamespace).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from apiserver.admission.pod_security.labels import LevelVersion
from apiserver.admission.pod_security.subject import Violation
from kube.objects import Object
from kube.schema.goquote import quote

PODS_MAX: Final = 3000
TIMEOUT_S: Final = 1.0
"""How many pods are looked at, and for how long, at most."""

T = TypeVar("T")


def controller_uid(pod: Object) -> str:
    """Whose pod it is; empty for a pod of nobody's."""
    owners = (pod.get("metadata") or {}).get("ownerReferences") or ()
    return next((str(each.get("uid", "")) for each in owners if each.get("controller")), "")


def prioritized(pods: Iterable[tuple[T, str]]) -> Iterator[T]:
    """Pods (each with its controller's uid) in the order in which they are to be looked at: of each controller's pods, which are much
    alike, the first one comes with the others' first."""
    seen: set[str] = set()
    later: list[T] = []
    for pod, uid in pods:
        if uid and uid in seen:
            later.append(pod)
            continue
        seen.add(uid)
        yield pod
    yield from later


@dataclass(slots=True)
class Tally:
    """The pods looked at so far: how many there were, and for each set of reasons the first name and how many share it."""

    looked_at: int = 0
    _by_reasons: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, name: str, found: list[Violation]) -> None:
        self.looked_at += 1
        if found:
            reasons = ", ".join([each.reason for each in found])
            first, count = self._by_reasons.get(reasons, (name, 0))
            self._by_reasons[reasons] = min(first, name), count + 1

    def warnings(self, namespace: str, enforce: LevelVersion, total: int) -> list[str]:
        """What to warn of, where `total` is how many pods the namespace has."""
        said = []
        if self.looked_at < total:
            said.append(f"new PodSecurity enforce level only checked against the first {self.looked_at} of {total} existing pods")
        if self._by_reasons:
            said.append(f"existing pods in namespace {quote(namespace)} violate the new PodSecurity enforce level {quote(str(enforce))}")
        return [*said, *sorted(f"{name}{_others(count - 1)}: {reasons}" for reasons, (name, count) in self._by_reasons.items())]


def _others(count: int) -> str:
    return "" if not count else f" (and {count} other pod{'' if count == 1 else 's'})"
