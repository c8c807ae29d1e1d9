"""What is in the request that a CertificateSigningRequest carries, and whether it is one that its signer signs. Pure.

Loaded when there is a request to read: `cryptography` is 4 MB that the manager of a cluster without one does without.
Source: kubernetes `pkg/apis/certificates/helpers.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from kube.objects import Object

from .certificate_request import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN, client_problem

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


PROBLEMS: Final[dict[str, Callable[[Asked, Sequence[str]], str]]] = {
    KUBELET_SERVING: kubelet_serving_problem,
    KUBELET_CLIENT: kubelet_client_problem,
    CLIENT: lambda _, usages: client_problem(usages),
    LEGACY_UNKNOWN: lambda _what, _usages: "",
}
"""Why a signer does not sign a request."""
