"""What is wrong with a certificate and a private key that are to be a pair, in the words of Go's `crypto/tls` (X509KeyPair).

Only the first thing wrong is told. Go words some malformed certificates in more detail than `_MALFORMED` does.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

_BLOCK: Final = re.compile(rb"-----BEGIN ([^\r\n-]*)-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)
_HEADERS: Final = re.compile(rb"\A(?:[^\r\n:]+:[^\r\n]*\r?\n)+\r?\n?")
_MALFORMED: Final = "x509: malformed certificate"
_UNPARSED: Final = "tls: failed to parse private key"


def problem_of(certificate: bytes, key: bytes) -> str:
    """The first thing wrong with the pair of PEM texts; "" when nothing is."""
    certificates = list(_blocks(certificate))
    der = next((data for kind, data in certificates if kind == "CERTIFICATE"), None)
    if der is None:
        return _missing("certificate", [kind for kind, _ in certificates])
    keys = list(_blocks(key))
    secret = next((data for kind, data in keys if kind == "PRIVATE KEY" or kind.endswith(" PRIVATE KEY")), None)
    if secret is None:
        return _missing("key", [kind for kind, _ in keys])
    return _problem_of(der, secret)


def _blocks(text: bytes) -> Iterator[tuple[str, bytes]]:
    """(type, contents) of the PEM blocks in a text (RFC 7468); what cannot be decoded is none."""
    for found in _BLOCK.finditer(text):
        body = _HEADERS.sub(b"", found[2])
        try:
            yield found[1].decode("utf-8", "replace"), base64.b64decode(b"".join(body.split()), validate=True)
        except binascii.Error:
            continue


def _missing(what: str, skipped: list[str]) -> str:
    if not skipped:
        return f"tls: failed to find any PEM data in {what} input"
    if what == "certificate":
        if len(skipped) == 1 and skipped[0].endswith("PRIVATE KEY"):
            return (
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
                "PEM inputs may have been switched"
            )
        wanted = '"CERTIFICATE" PEM block in certificate'
    elif len(skipped) == 1 and skipped[0] == "CERTIFICATE":
        return "tls: found a certificate rather than a key in the PEM for the private key"
    else:
        wanted = 'PEM block with type ending in "PRIVATE KEY" in key'
    return f"tls: failed to find {wanted} input after skipping PEM blocks of the following types: [{' '.join(skipped)}]"


def _problem_of(certificate: bytes, key: bytes) -> str:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return _MALFORMED
    try:
        private = load_der_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _UNPARSED
    return _mismatch(public, private)


def _mismatch(public: PublicKeyTypes, private: PrivateKeyTypes) -> str:
    of_key: Any = private.public_key()
    if type(of_key) is not type(public):
        return "tls: private key type does not match public key type"
    return "" if of_key == public else "tls: private key does not match public key"
