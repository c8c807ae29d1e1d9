"""CertificateApproval and CertificateSigning: only who may approve, or sign, for a signer does so.

The signer is asked about as if it were an object: `signers.certificates.k8s.io`, verb `approve` or `sign`, named as the signer or, for all
of a domain, `<domain>/*`. It is the stored request's: one that is being changed is refused later.

Source: `plugin/pkg/admission/certificates/{approval,signing}/admission.go`, `pkg/certauthorization`.
"""

from __future__ import annotations

from typing import Final

from apiserver.registry.admission import Attributes
from apiserver.registry.authorization import Attributes as Asked
from apiserver.registry.authorization import Authorizer
from apiserver.registry.kind import User
from kube import errors
from kube.errors import quoted
from kube.objects import Object

GROUP: Final = "certificates.k8s.io"
REQUESTS: Final = "certificatesigningrequests"


def may_for_signer(authorizer: Authorizer, user: User, verb: str, signer: str) -> bool:
    """Whether a user may do that for a signer, or for all signers of its domain."""
    names = (signer, f"{signer.split('/')[0]}/*")
    return any(authorizer.decide(user, Asked(verb, GROUP, "*", "signers", name=each)).allowed for each in names)


class CertificateApproval:
    """See the module: `/approval`."""

    resources = frozenset({(GROUP, REQUESTS)})
    operations = frozenset({"UPDATE"})
    subresources = frozenset({"approval"})

    async def validate(self, attributes: Attributes) -> None:
        _demand(attributes, "approve")


class CertificateSigning:
    """See the module: `/status`, where it changes the certificate or the conditions."""

    resources = frozenset({(GROUP, REQUESTS)})
    operations = frozenset({"UPDATE"})
    subresources = frozenset({"status"})

    async def validate(self, attributes: Attributes) -> None:
        if _signed(attributes.obj) != _signed(attributes.old):
            _demand(attributes, "sign")


def _signed(request: Object | None) -> tuple[str, list[Object]]:
    status = (request or {}).get("status") or {}
    return status.get("certificate") or "", status.get("conditions") or []


def _demand(attributes: Attributes, verb: str) -> None:
    """Raises Forbidden."""
    assert attributes.old is not None
    signer = (attributes.old.get("spec") or {}).get("signerName") or ""
    if not may_for_signer(attributes.registries.authorizer, attributes.ctx.user, verb, signer):
        why = f"user not permitted to {verb} requests with signerName {quoted(signer)}"
        raise errors.forbidden(REQUESTS, GROUP, attributes.name, why)
