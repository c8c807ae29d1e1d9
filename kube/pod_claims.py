"""The ResourceClaims of a pod: which there are to be, by which names. Pure.

Source: `k8s.io/dynamic-resource-allocation/resourceclaim`.
"""

from __future__ import annotations

from dataclasses import dataclass

from kube.objects import Object, controller_of, name_of, namespace_of, uid_of


@dataclass(frozen=True, slots=True)
class PodClaim:
    """One entry of `spec.resourceClaims`. `claim` is the ResourceClaim's name, None while it is not made; `template` what it is made by.
    `is_needed` is False where it was found that none is."""

    name: str
    claim: str | None
    template: str = ""
    is_needed: bool = True


def claims_of(pod: Object) -> list[PodClaim]:
    """All of them. Those that are made by a template are named in the pod's status."""
    found = []
    statuses = {each["name"]: each for each in (pod.get("status") or {}).get("resourceClaimStatuses") or ()}
    for each in pod["spec"].get("resourceClaims") or ():
        template = each.get("resourceClaimTemplateName") or ""
        if not template:
            found.append(PodClaim(each["name"], each.get("resourceClaimName")))
            continue
        status = statuses.get(each["name"])
        made = status.get("resourceClaimName") if status is not None else None
        found.append(PodClaim(each["name"], made, template, is_needed=status is None or made is not None))
    return found


def claim_keys(pod: Object) -> list[str]:
    """namespace/name of the claims that are known by name."""
    return [f"{namespace_of(pod)}/{each.claim}" for each in claims_of(pod) if each.claim]


def not_for_pod(claim: Object, pod: Object) -> str:
    """Why a claim that was made by a template is not the pod's; "" when it is."""
    owner = controller_of(claim)
    if owner is not None and owner.get("uid") == uid_of(pod):
        return ""
    where = f"{namespace_of(claim)}/{name_of(claim)}"
    return f"ResourceClaim {where} was not created for pod {namespace_of(pod)}/{name_of(pod)} (pod is not owner)"


def is_reserved_for(claim: Object, pod: Object) -> bool:
    return any(each.get("uid") == uid_of(pod) for each in (claim.get("status") or {}).get("reservedFor") or ())
