"""The cluster's identity: its CA, the server's certificate, the key that signs ServiceAccount tokens, and certificates for users.

Made at the first start in `<data-dir>/pki` (directory 0700, files 0600) and kept from then on. Keys are ECDSA P-256. User
certificates follow upstream's convention: CN is the user's name, each O a group.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kube.clock import Clock

CA_LIFETIME: Final = dt.timedelta(days=3650)
LIFETIME: Final = dt.timedelta(days=365)
RENEW_BEFORE: Final = dt.timedelta(days=30)
BACKDATE: Final = dt.timedelta(minutes=5)


class IdentityError(Exception):
    """The key files cannot be used; the text names the file and what to do."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM bytes of a certificate and its private key."""

    certificate: bytes
    key: bytes


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common_name: str, organizations: Iterable[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sans(names: Sequence[str]) -> x509.SubjectAlternativeName:
    out: list[x509.GeneralName] = []
    for each in dict.fromkeys(names):
        try:
            out.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            out.append(x509.DNSName(each))
    return x509.SubjectAlternativeName(out)


class Authority:
    """The cluster CA. `load_or_create` it, then `issue`."""

    def __init__(self, directory: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
        self.directory, self._certificate, self._key, self._clock = directory, certificate, key, clock
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def load_or_create(cls, directory: Path, clock: Clock, *, name: str = "wherry-ca") -> Authority:
        """The CA in `directory`, made there, under that name, if there is none. Raises IdentityError."""
        crt, key_file = directory / "ca.crt", directory / "ca.key"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            missing = [each for each in (crt, key_file) if not each.exists()]
            if len(missing) == 1:
                raise IdentityError(f"{missing[0]} is missing: restore it, or move {directory} away to have a new identity made")
            if not missing:
                key = serialization.load_pem_private_key(key_file.read_bytes(), None)
                if not isinstance(key, ec.EllipticCurvePrivateKey):
                    raise IdentityError(f"{key_file}: not an ECDSA key; move {directory} away to have a new identity made")
                return cls(directory, x509.load_pem_x509_certificate(crt.read_bytes()), key, clock)
            return cls._create(directory, clock, name)
        except (ValueError, TypeError) as error:
            raise IdentityError(f"{directory}: cannot read the cluster's CA ({error}); restore it, or move the directory away") from error
        except OSError as error:
            raise IdentityError(
                f"{error.filename or directory}: {error.strerror}; the data directory must belong to the user who starts the server"
            ) from error

    @classmethod
    def _create(cls, directory: Path, clock: Clock, common_name: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        now, name = clock.now(), _name(common_name)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - BACKDATE, now + CA_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(directory / "ca.key", _pem(key))
        write_private(directory / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM))
        return cls(directory, certificate, key, clock)

    def issue(self, user: str, groups: Sequence[str] = (), *, server_names: Sequence[str] = (), client: bool = True) -> KeyPair:
        """A new key and certificate: for a client (user and groups), a server (its names and addresses), or both (a node)."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = self._clock.now()
        usages = ([ExtendedKeyUsageOID.CLIENT_AUTH] if client else []) + ([ExtendedKeyUsageOID.SERVER_AUTH] if server_names else [])
        serial = x509.random_serial_number()
        end = min(now + LIFETIME, self._certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder(self._certificate.subject, _name(user, groups), key.public_key(), serial, now - BACKDATE, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if server_names:
            builder = builder.add_extension(_sans(server_names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    def kept(
        self, file_name: str, user: str, groups: Sequence[str] = (), *, server_names: Sequence[str] = (), client: bool = True
    ) -> KeyPair:
        """Like `issue`, kept as `<file_name>.crt` and `.key`; made anew when it nears its end, is another CA's, or its names or groups
        change."""
        crt, key = self.directory / f"{file_name}.crt", self.directory / f"{file_name}.key"
        try:
            certificate = x509.load_pem_x509_certificate(crt.read_bytes())
            pair = KeyPair(crt.read_bytes(), key.read_bytes())
            fits = serialization.load_pem_private_key(pair.key, None).public_key() == certificate.public_key()
        except (OSError, ValueError, TypeError):
            certificate, pair, fits = None, None, False
        if certificate is not None and pair is not None and fits and self._still_good(certificate, _name(user, groups), server_names):
            return pair
        pair = self.issue(user, groups, server_names=server_names, client=client)
        write_private(key, pair.key)
        write_private(crt, pair.certificate)
        return pair

    def _still_good(self, certificate: x509.Certificate, name: x509.Name, server_names: Sequence[str]) -> bool:
        if certificate.subject != name or certificate.not_valid_after_utc - self._clock.now() < RENEW_BEFORE:
            return False
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        if not server_names:
            return True
        try:
            present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return False
        return present == _sans(server_names)

    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs ServiceAccount tokens (`sa.key`)."""
        path = self.directory / "sa.key"
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key
            raise IdentityError(f"{path}: not an ECDSA key")
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(path, _pem(key))
        return key

    @property
    def fingerprint(self) -> str:
        """A short name of this CA, to tell clusters apart."""
        return hashlib.sha256(self.certificate_pem).hexdigest()[:16]


def server_names(bind_address: str, service_ip: str, extra: Sequence[str]) -> list[str]:
    """Every name and address under which clients of this machine may reach the server."""
    names = ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local", service_ip, socket.gethostname(), *extra]
    if bind_address not in ("0.0.0.0", "::"):
        names.append(bind_address)
    return list(dict.fromkeys(each for each in names if each))


def server_context(authority: Authority, pair_file: str) -> ssl.SSLContext:
    """The server's TLS: its own certificate, client certificates welcome and verified against the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(authority.directory / f"{pair_file}.crt", authority.directory / f"{pair_file}.key")
    context.load_verify_locations(cadata=authority.certificate_pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
