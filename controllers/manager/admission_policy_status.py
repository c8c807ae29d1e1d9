"""ValidatingAdmissionPolicies are told which generation has been looked at.

# deviates: the types of a policy's expressions are not checked, so status.typeChecking warns of nothing

Source: upstream `pkg/controller/validatingadmissionpolicystatus/controller.go`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from kube.objects import Object, key_of, name_of
from kube.resources import Resource
from kube.runtime.controller import Run

POLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
FIELD_MANAGER: Final = "validatingadmissionpolicy-status"


def plan(desired: Object, observed: None, now: datetime) -> Object | None:
    """The status to apply; None where it is told."""
    generation = desired["metadata"].get("generation") or 0
    if generation <= ((desired.get("status") or {}).get("observedGeneration") or 0):
        return None
    kind = {"apiVersion": POLICIES.api_version, "kind": POLICIES.kind}
    return {**kind, "metadata": {"name": name_of(desired)}, "status": {"observedGeneration": generation, "typeChecking": {}}}


class AdmissionPolicyStatus:
    """Keys are names of policies."""

    name = "validatingadmissionpolicy-status"

    def start(self, run: Run) -> None:
        self.run = run
        self.policies = run.informers.of(POLICIES)
        self.policies.add_handler(lambda old, new: run.queue.add(key_of(new)) if new is not None else None)

    async def reconcile(self, key: str) -> float | None:
        policy = self.policies.get(key)
        wanted = plan(policy, None, self.run.clock.now()) if policy is not None else None
        if wanted is not None:
            await self.run.client.apply(POLICIES, wanted, field_manager=FIELD_MANAGER, force=True, subresource="status")
        return None
