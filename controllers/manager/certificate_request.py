"""What is in a CertificateSigningRequest, and whether it is one that a kubelet makes. Pure.

Shared by the controllers that approve, sign and clean up. Source: kubernetes `pkg/apis/certificates/helpers.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from kube.objects import Object, is_condition_true
from kube.resources import Resource

REQUESTS = Resource("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False)
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"

_NODES = "system:nodes"
_NODE = "system:node:"


class UnreadableRequest(ValueError):
    """`spec.request` is not a certificate request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: a subject and other names."""

    request: x509.CertificateSigningRequest
    common_name: str
    organizations: tuple[str, ...]
    names: x509.SubjectAlternativeName | None

    def has(self, *kinds: type[x509.GeneralName]) -> bool:
        """Whether it asks for names of one of these kinds."""
        return self.names is not None and any(isinstance(each, kinds) for each in self.names)


def asked(csr: Object) -> Asked:
    """Read `spec.request`. Raises UnreadableRequest."""
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(csr["spec"].get("request") or ""))
        organizations = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        common_names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        names = _names_of(request)
    except (ValueError, binascii.Error) as error:
        raise UnreadableRequest(f"unable to parse csr: {error}") from error
    return Asked(request, common_names[-1] if common_names else "", tuple(organizations), names)


def _names_of(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def is_approved(csr: Object) -> bool:
    """Approved, and not denied as well."""
    kinds = _conditions(csr)
    return "Approved" in kinds and "Denied" not in kinds


def is_decided(csr: Object) -> bool:
    """Approved or denied."""
    return not _conditions(csr).isdisjoint({"Approved", "Denied"})


def is_failed(csr: Object) -> bool:
    return is_condition_true(csr, "Failed")


def certificate_of(csr: Object) -> str:
    """What was issued, base64 of PEM; "" when nothing was."""
    return str((csr.get("status") or {}).get("certificate") or "")


def _conditions(csr: Object) -> set[str]:
    return {each.get("type", "") for each in (csr.get("status") or {}).get("conditions") or ()}


def kubelet_client_problem(what: Asked, usages: Collection[str]) -> str:
    """Why this is not a request for a kubelet's client certificate; "" when it is."""
    if what.organizations != (_NODES,):
        return "subject organization is not system:nodes"
    for kind, name in _FORBIDDEN_CLIENT:
        if what.has(kind):
            return f"{name} subjectAltNames are not allowed"
    if not what.common_name.startswith(_NODE):
        return "subject common name does not begin with system:node:"
    return _usages_problem(usages, "client auth")


def kubelet_serving_problem(what: Asked, usages: Collection[str]) -> str:
    """Why this is not a request for a kubelet's serving certificate; "" when it is."""
    if what.organizations != (_NODES,):
        return "subject organization is not system:nodes"
    if not what.has(x509.DNSName, x509.IPAddress):
        return "DNS or IP subjectAltName is required"
    for kind, name in _FORBIDDEN_SERVING:
        if what.has(kind):
            return f"{name} subjectAltNames are not allowed"
    problem = _usages_problem(usages, "server auth")
    return problem or ("" if what.common_name.startswith(_NODE) else "subject common name does not begin with system:node:")


_FORBIDDEN_SERVING: tuple[tuple[type[x509.GeneralName], str], ...] = ((x509.RFC822Name, "Email"), (x509.UniformResourceIdentifier, "URI"))
_FORBIDDEN_CLIENT: tuple[tuple[type[x509.GeneralName], str], ...] = (
    (x509.DNSName, "DNS"),
    (x509.RFC822Name, "Email"),
    (x509.IPAddress, "IP"),
    (x509.UniformResourceIdentifier, "URI"),
)


def _usages_problem(usages: Collection[str], purpose: str) -> str:
    """Keys that are not RSA have no use for encipherment."""
    with_rsa = {"digital signature", "key encipherment", purpose}
    if set(usages) in (with_rsa, with_rsa - {"key encipherment"}):
        return ""
    return f"usages did not match [{' '.join(sorted(with_rsa))}]"


def client_problem(usages: Collection[str]) -> str:
    """Why these are not the usages of a client certificate; "" when they are."""
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"
