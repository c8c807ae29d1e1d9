"""What the checks look at, and the words that they share. Pure.

Source: `k8s.io/pod-security-admission` (policy/visitor.go, policy/helpers.go, policy/checks.go).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kube.objects import Object, annotations_of

_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")


class Violation(NamedTuple):
    """Why a check does not let a pod pass: in general, and of this pod in particular."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})"


class Subject:
    """A pod, or the template of one, taken apart for the checks. Its metadata may be missing.

    `context` is the pod's security context; `containers` are all there are, in upstream's order; `contexts` are their names and security
    contexts. What is not there is empty."""

    __slots__ = ("annotations", "containers", "context", "contexts", "spec")

    def __init__(self, pod: Object) -> None:
        self.annotations: Mapping[str, str] = annotations_of(pod) if pod.get("metadata") else {}
        self.spec: Object = pod.get("spec") or {}
        self.context: Object = self.spec.get("securityContext") or {}
        self.containers: list[Object] = [each for name in _LISTS for each in self.spec.get(name) or ()]
        self.contexts: list[tuple[str, Object]] = [(name_of(each), each.get("securityContext") or {}) for each in self.containers]

    @property
    def is_windows(self) -> bool:
        """Whether the pod says that it is for Windows, where there is nothing to be restricted by Linux's means."""
        return bool((self.spec.get("os") or {}).get("name") == "windows")

    @property
    def has_own_users(self) -> bool:
        """Whether the pod runs in a user namespace: its root is nobody on the node."""
        return self.spec.get("hostUsers") is False

    def where(self, is_bad: Callable[[Object], Any]) -> list[str]:
        """The names of the containers whose security context is bad."""
        return [name for name, context in self.contexts if is_bad(context)]


Check = Callable[[Subject], Violation | None]


def name_of(container: Object) -> str:
    return container.get("name") or ""


def plural(one: str, many: str, of: Collection[Any]) -> str:
    return one if len(of) == 1 else many


def listed(texts: Iterable[str]) -> str:
    """Each in quotes. Upstream escapes nothing here."""
    return ", ".join([f'"{each}"' for each in texts])


def containers(names: Sequence[str]) -> str:
    """`container "a"` or `containers "a", "b"`."""
    return f"{plural('container', 'containers', names)} {listed(names)}"


def setters(names: Sequence[str], *, pod: bool) -> str:
    """Who set something: `pod and container "a"`; empty when nobody did."""
    return " and ".join([*(["pod"] if pod else []), *([containers(names)] if names else [])])


class Profiles(NamedTuple):
    """Where a pod's profiles (seccomp, AppArmor) are of a type that is not allowed, and which types those are, sorted."""

    in_pod: bool
    in_containers: list[str]
    types: list[str]


def bad_profiles(subject: Subject, field: str, allowed: Collection[str]) -> Profiles:
    """The profiles in a field of the security contexts that are not of an allowed type. What is not set is allowed."""

    def bad_type(context: Object) -> str | None:
        profile = context.get(field)
        kind: str = (profile.get("type") or "") if profile is not None else ""
        return kind if profile is not None and kind not in allowed else None

    of_pod = bad_type(subject.context)
    found = [(name, kind) for name, context in subject.contexts if (kind := bad_type(context)) is not None]
    types = {kind for _, kind in found} | ({of_pod} if of_pod is not None else set())
    return Profiles(of_pod is not None, [name for name, _ in found], sorted(types))
