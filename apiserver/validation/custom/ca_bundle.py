"""Whether the certificates of a conversion webhook's authority can be read. Source: client-go `transport/transport.go` (rootCertPool)."""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography import x509

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n(.*?)-----END \1-----", re.DOTALL)
_INTRO: Final = "unable to load root certificates: "


def ca_bundle_problem(bundle: str) -> str:
    """What is wrong with a base64-encoded bundle; "" where it holds a certificate, or nothing."""
    pem = base64.b64decode(bundle)
    if not pem:
        return ""
    blocks = list(_BLOCK.finditer(pem.replace(b"\r\n", b"\n")))
    certificates = [each for each in blocks if each[1] == b"CERTIFICATE" and b":" not in each[2]]
    problems = [_problem(each[0]) for each in certificates]
    if "" in problems:
        return ""
    if problems:
        return f"{_INTRO}failed to parse certificate: {problems[0]}"
    rest = pem[blocks[-1].end() :] if blocks else pem
    return _INTRO + ("unable to parse bytes as PEM block" if rest.strip() or not blocks else "no valid certificate authority data seen")


def _problem(pem: bytes) -> str:
    try:
        x509.load_pem_x509_certificate(pem)
    except ValueError:
        return "x509: malformed certificate"
    return ""
