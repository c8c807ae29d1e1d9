"""The cluster's CA as it signs requests: what of a request becomes part of the certificate, and for how long. Pure but for the signature.

Source: upstream `pkg/controller/certificates/authority`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from .certificate_content import Asked

BACKDATE: Final = timedelta(minutes=5)
SHORT: Final = timedelta(hours=8)
"""What is valid for less than this is not backdated at its end."""
LEAST: Final = timedelta(minutes=10)

_USAGES: Final = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED: Final = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class CannotSign(ValueError):
    """The CA cannot sign this, or anything."""


@dataclass(frozen=True, slots=True)
class SigningAuthority:
    """A CA's certificate and key."""

    certificate: x509.Certificate
    key: SigningKey

    @classmethod
    def read(cls, certificate_pem: bytes, key_pem: bytes) -> SigningAuthority:
        """From PEM. Raises CannotSign."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            key = serialization.load_pem_private_key(key_pem, None)
        except (ValueError, TypeError) as error:
            raise CannotSign(f"cannot read the CA: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise CannotSign("the CA's key is neither ECDSA nor RSA nor Ed25519")
        if key.public_key() != certificate.public_key():
            raise CannotSign("the CA's key is not its certificate's")
        return cls(certificate, key)

    def sign(self, what: Asked, usages: Collection[str], lifetime: timedelta, now: datetime, *, serial: int) -> bytes:
        """The certificate, in PEM. Its subject and names are those asked for, its usages those given. Raises CannotSign."""
        if not what.request.is_signature_valid:
            raise CannotSign("unable to verify certificate request signature")
        last = self.certificate.not_valid_after_utc
        if now >= last:
            raise CannotSign(f"refusing to sign a certificate that expired in the past: NotAfter={last}")
        end = min(now + (lifetime if lifetime < SHORT else lifetime - BACKDATE), last)
        builder = x509.CertificateBuilder(
            self.certificate.subject, what.request.subject, what.request.public_key(), serial, now - BACKDATE, end
        )
        for extension, critical in self._extensions(what, usages):
            builder = builder.add_extension(extension, critical=critical)
        algorithm = None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(self.key, algorithm).public_bytes(serialization.Encoding.PEM)

    def _extensions(self, what: Asked, usages: Collection[str]) -> Iterable[tuple[x509.ExtensionType, bool]]:
        plain, extended = key_usages(usages)
        if plain is not None:
            yield plain, True
        if extended is not None:
            yield extended, False
        yield x509.BasicConstraints(ca=False, path_length=None), True
        yield self._key_identifier(), False
        if what.names is not None and (kept := [each for each in what.names if isinstance(each, _KEPT)]):
            yield x509.SubjectAlternativeName(kept), False

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


_KEPT = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)


def key_usages(usages: Collection[str]) -> tuple[x509.KeyUsage | None, x509.ExtendedKeyUsage | None]:
    """The two extensions of these usages; None for one that would say nothing. Raises CannotSign for a usage that is none."""
    unknown = [each for each in usages if each not in _USAGES and each not in _EXTENDED]
    if unknown:
        raise CannotSign(f"unrecognized usage values: {unknown}")
    wanted = {_USAGES[each] for each in usages if each in _USAGES}
    flags = {name: name in wanted for name in dict.fromkeys(_USAGES.values())}
    if not flags["key_agreement"]:
        flags["encipher_only"] = flags["decipher_only"] = False  # these two only say more of an agreement
    extended = list(dict.fromkeys(oid for name, oid in _EXTENDED.items() if name in usages))
    return x509.KeyUsage(**flags) if any(flags.values()) else None, x509.ExtendedKeyUsage(extended) if extended else None


def granted(wanted_s: int | None, most: timedelta) -> timedelta:
    """For how long a certificate is valid: as long as asked for, within bounds."""
    if wanted_s is None:
        return most
    wanted = timedelta(seconds=wanted_s)
    return most if wanted > most else max(wanted, LEAST)
