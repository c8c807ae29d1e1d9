"""What is wrong with a certificate and a key that are to be a pair."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from apiserver.validation.key_pair import problem_of

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.test")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key()).serial_number(1)
    made = made.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return made.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


def block(kind: str, data: bytes = b"x") -> bytes:
    return f"-----BEGIN {kind}-----\n{base64.b64encode(data).decode()}\n-----END {kind}-----\n".encode()


CERTIFICATE = certificate()
SWITCHED = "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched"
SKIPPED = "input after skipping PEM blocks of the following types: [A B]"

PAIRS: dict[str, tuple[bytes, bytes, str]] = {
    "a pair": (CERTIFICATE, pem(KEY), ""),
    "a key in the form of its own kind": (CERTIFICATE, pem(KEY, PrivateFormat.TraditionalOpenSSL), ""),
    "other blocks before the right ones": (block("A") + CERTIFICATE, block("EC PARAMETERS") + pem(KEY), ""),
    "text around the blocks": (b"first\r\n" + CERTIFICATE.replace(b"\n", b"\r\n"), b"a note\n" + pem(KEY) + b"the end", ""),
    "nothing": (b"", pem(KEY), "tls: failed to find any PEM data in certificate input"),
    "no key": (CERTIFICATE, b"secret", "tls: failed to find any PEM data in key input"),
    "a block that is no base64": (
        b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        pem(KEY),
        "tls: failed to find any PEM data in certificate input",
    ),
    "switched": (pem(KEY), CERTIFICATE, SWITCHED),
    "a certificate as the key": (CERTIFICATE, CERTIFICATE, "tls: found a certificate rather than a key in the PEM for the private key"),
    "other blocks alone": (block("A") + block("B"), pem(KEY), f'tls: failed to find "CERTIFICATE" PEM block in certificate {SKIPPED}'),
    "other blocks in place of the key": (
        CERTIFICATE,
        block("A") + block("B"),
        f'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key {SKIPPED}',
    ),
    "a certificate that is none": (block("CERTIFICATE"), pem(KEY), "x509: malformed certificate"),
    "a key that is none": (CERTIFICATE, block("RSA PRIVATE KEY"), "tls: failed to parse private key"),
    "another key": (CERTIFICATE, pem(ec.generate_private_key(ec.SECP256R1())), "tls: private key does not match public key"),
    "another kind of key": (CERTIFICATE, pem(ed25519.Ed25519PrivateKey.generate()), "tls: private key type does not match public key type"),
}


@pytest.mark.parametrize(("cert", "key", "problem"), PAIRS.values(), ids=PAIRS.keys())
def test_the_first_thing_that_is_wrong_with_a_pair(cert: bytes, key: bytes, problem: str) -> None:
    assert problem_of(cert, key) == problem
