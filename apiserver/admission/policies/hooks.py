"""The policies that there are, each with its bindings: read from the registries' caches, compiled once per version.

A policy without bindings does nothing, so as long as there are no bindings nobody looks for policies.
Source: apiserver `pkg/admission/plugin/policy/generic/policy_source.go` (where the order is that of Go's maps; here it is by name).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from apiserver.registry.admission import Attributes
from kube.objects import Object, name_of
from kube.resources import Resource

if TYPE_CHECKING:  # a server without policies need not load CEL
    from apiserver.admission.policies.matching import Match
    from apiserver.admission.policies.policy import Policy


_EXEMPT: Final = {
    "authentication.k8s.io": frozenset({"selfsubjectreviews", "tokenreviews"}),
    "authorization.k8s.io": frozenset(
        {"localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"}
    ),
    "admissionregistration.k8s.io": frozenset(
        {
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
        }
    ),
}
"""What no policy is asked about: a cluster could not be mended any more."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding, read. `match` None: it is for whatever its policy is for."""

    name: str
    match: Match | None
    reference: Object | None
    actions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Hook:
    """A policy that is in force."""

    policy: Policy
    bindings: Sequence[Binding]


class Hooks:
    """See the module. `policies` and `bindings` name the two resources."""

    def __init__(self, policies: Resource, bindings: Resource) -> None:
        self._resources = policies, bindings
        self._registries: Any = None
        self._policies: Any = None
        self._bindings: Any = None
        self._as_of = (-1, -1)
        self._hooks: Sequence[Hook] = ()
        self._compiled: dict[tuple[str, str], Policy] = {}
        self._concerned: dict[tuple[str, str, str], Sequence[Hook]] = {}

    def is_idle(self, registries: Any) -> bool:
        """See `Chain`."""
        return registries is self._registries and self._bindings is not None and bool(self._bindings.is_known_empty)

    async def current(self, attributes: Attributes) -> Sequence[Hook]:
        """The policies to be asked about a write; none about what no policy is for."""
        registries = attributes.registries
        if self._registries is not registries:
            self._find(registries)
        if self._bindings is None:
            return ()
        await self._bindings.catch_up()
        if not self._bindings.count():
            return ()
        await self._policies.catch_up()
        as_of = (self._policies.changes, self._bindings.changes)
        if as_of != self._as_of:
            self._hooks, self._as_of = self._read(), as_of
            self._concerned.clear()
        resource = attributes.kind.resource
        is_exempt = resource.plural in _EXEMPT.get(resource.group, ()) or attributes.ctx.is_part
        return () if is_exempt else self._of(attributes.operation, resource.plural, attributes.ctx.subresource)

    def _of(self, operation: str, plural: str, subresource: str) -> Sequence[Hook]:
        """Those that have a rule for such a write, whatever its group, version and name."""
        key = (operation, plural, subresource)
        found = self._concerned.get(key)
        if found is None:
            found = self._concerned[key] = [each for each in self._hooks if each.policy.match.may_be_for(*key)]
        return found

    def _find(self, registries: Any) -> None:
        """The two caches; none in a version of Kubernetes that has no such policies."""
        policies, bindings = (registries.served(each.group, each.version, each.plural) for each in self._resources)
        is_served = policies is not None and bindings is not None
        self._policies, self._bindings = (policies.registry.cache, bindings.registry.cache) if is_served else (None, None)
        self._registries, self._as_of = registries, (-1, -1)

    def _read(self) -> list[Hook]:
        by_policy: dict[str, list[Binding]] = {}
        for entry in self._bindings.entries():
            spec = self._bindings.object_of(entry).get("spec") or {}
            by_policy.setdefault(spec.get("policyName") or "", []).append(_binding(entry.name, spec))
        known, self._compiled = self._compiled, {}
        hooks = []
        for entry in self._policies.entries():
            if entry.name in by_policy:
                hooks.append(Hook(self._policy(self._policies.object_of(entry), known), by_policy[entry.name]))
        return hooks

    def _policy(self, obj: Object, known: dict[tuple[str, str], Policy]) -> Policy:
        from apiserver.admission.policies.policy import compiled

        meta = obj["metadata"]
        key = (meta.get("uid") or name_of(obj), meta.get("resourceVersion") or "")
        found = self._compiled[key] = known.get(key) or compiled(obj)
        return found


def _binding(name: str, spec: Object) -> Binding:
    from apiserver.admission.policies.matching import Match

    match = spec.get("matchResources")
    return Binding(name, Match.of(match) if match is not None else None, spec.get("paramRef"), spec.get("validationActions") or ())
