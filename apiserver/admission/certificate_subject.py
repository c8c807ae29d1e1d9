"""CertificateSubjectRestriction: nobody asks the cluster's own signer for a certificate of system:masters.

Source: `plugin/pkg/admission/certificates/subjectrestriction/admission.go`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from apiserver.registry.admission import Attributes
from kube import errors

SIGNER: Final = "kubernetes.io/kube-apiserver-client"
MASTERS: Final = "system:masters"


def organizations_of(request: str) -> list[str]:
    """The organizations that a CSR (base64 of PEM) asks for; none where it cannot be read (which validation tells)."""
    try:
        subject = x509.load_pem_x509_csr(base64.b64decode(request)).subject
    except (ValueError, binascii.Error):
        return []
    return [str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


class CertificateSubjectRestriction:
    """See the module."""

    resources = frozenset({("certificates.k8s.io", "certificatesigningrequests")})

    async def validate(self, attributes: Attributes) -> None:
        if attributes.operation != "CREATE" or attributes.subresource:
            return
        assert attributes.obj is not None
        spec = attributes.obj.get("spec") or {}
        if spec.get("signerName") == SIGNER and MASTERS in organizations_of(spec.get("request") or ""):
            why = f"use of {SIGNER} signer with {MASTERS} group is not allowed"
            raise errors.forbidden("certificatesigningrequests", "certificates.k8s.io", attributes.name, why)
