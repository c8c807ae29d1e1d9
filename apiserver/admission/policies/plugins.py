"""The two plugins. A server without policies loads nothing of what they would need, and asks only whether there is a binding."""

from __future__ import annotations

from typing import Final

from apiserver.admission.policies.hooks import Hooks
from apiserver.registry.admission import Attributes
from kube.resources import Resource

_GROUP: Final = "admissionregistration.k8s.io"
VALIDATING: Final = Resource(_GROUP, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
VALIDATING_BINDINGS: Final = Resource(
    _GROUP, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)

MUTATING: Final = Resource(_GROUP, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False)
MUTATING_BINDINGS: Final = Resource(_GROUP, "v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", namespaced=False)


class MutatingPolicies:
    """MutatingAdmissionPolicy: see `mutating.py`. What is deleted is not changed any more."""

    operations = frozenset({"CREATE", "UPDATE", "CONNECT"})

    def __init__(self) -> None:
        self._hooks = Hooks(MUTATING, MUTATING_BINDINGS)
        self.is_idle = self._hooks.is_idle

    async def mutate(self, attributes: Attributes) -> None:
        hooks = await self._hooks.current(attributes)
        if hooks:
            from apiserver.admission.policies.mutating import mutate

            await mutate(hooks, attributes)


class ValidatingPolicies:
    """ValidatingAdmissionPolicy: see `validating.py`."""

    def __init__(self) -> None:
        self._hooks = Hooks(VALIDATING, VALIDATING_BINDINGS)
        self.is_idle = self._hooks.is_idle

    async def validate(self, attributes: Attributes) -> None:
        hooks = await self._hooks.current(attributes)
        if hooks:
            from apiserver.admission.policies.validating import validate

            await validate(hooks, attributes)
