"""Who may ask a kubelet: the API server by its client certificate, or a holder of a static token. Everybody else is refused.

The TLS layer has verified the chain already (`server_context` trusts the cluster CA only); here the certificate's subject decides.
"""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

USERS = frozenset({"kube-apiserver", "kube-apiserver-kubelet-client"})
GROUPS = frozenset({"system:masters"})
READERS = frozenset({"system:metrics-server"})


def server_context(*, certificate: Path, key: Path, client_ca: bytes) -> ssl.SSLContext:
    """TLS with the kubelet's serving certificate; client certificates are asked for, and must come from the cluster CA if they come."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=client_ca.decode())
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class Callers:
    """Who is let in. `tokens` are static bearer tokens; without any, only certificates count. `readers` are users who may read statistics
    and nothing else."""

    users: Collection[str] = USERS
    groups: Collection[str] = GROUPS
    tokens: Collection[str] = ()
    readers: Collection[str] = READERS

    def __call__(self, peer: Mapping[str, Any] | None, authorization: str) -> bool:
        """`peer` is `SSLObject.getpeercert()` of a verified certificate, `authorization` the header."""
        return self._has_certificate(peer) or self._has_token(authorization)

    def may_read_statistics(self, peer: Mapping[str, Any] | None) -> bool:
        """Whether a verified certificate is a reader's."""
        return bool(_subject(peer, "commonName") & set(self.readers))

    def _has_certificate(self, peer: Mapping[str, Any] | None) -> bool:
        return bool(_subject(peer, "commonName") & set(self.users) or _subject(peer, "organizationName") & set(self.groups))

    def _has_token(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return False
        return any(hmac.compare_digest(token.strip().encode(), each.encode()) for each in self.tokens if each)


def _subject(peer: Mapping[str, Any] | None, wanted: str) -> set[str]:
    """The values of one attribute of a certificate's subject."""
    return {value for part in (peer or {}).get("subject") or () for key, value in part if key == wanted}
