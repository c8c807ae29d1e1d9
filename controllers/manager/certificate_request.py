"""What a CertificateSigningRequest says of itself: its signer, whether it is decided, what was issued. Pure.

Shared by the controllers that approve, sign and clean up. What is in the request that it carries is read by `certificate_content.py`.
Source: kubernetes `pkg/apis/certificates/helpers.go`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kube.objects import Object, is_condition_true
from kube.resources import Resource

REQUESTS = Resource("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False)
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
SIGNERS: Final = (KUBELET_SERVING, KUBELET_CLIENT, CLIENT, LEGACY_UNKNOWN)
"""Those that are Kubernetes' own."""


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


def client_problem(usages: Collection[str]) -> str:
    """Why these are not the usages of a client certificate; "" when they are."""
    for usage in usages:
        if usage not in ("digital signature", "key encipherment", "client auth"):
            return f"invalid usage for client certificate: {usage}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"
