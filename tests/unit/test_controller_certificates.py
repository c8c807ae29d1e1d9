"""CertificateSigningRequests: who is approved, what is signed and for how long, what is cleaned up."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controllers.manager import certificate_approving, certificate_cleaner, certificate_signing
from controllers.manager.certificate_authority import CannotSign, SigningAuthority, granted, key_usages
from controllers.manager.certificate_request import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN, REQUESTS
from kube.clock import rfc3339
from kube.objects import Object
from kube.runtime.perform import Delete, Update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT_USAGES = ["digital signature", "client auth"]
SERVING_USAGES = ["digital signature", "server auth"]
NODE_NAMES: list[x509.GeneralName] = [x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]


def authority(days: int = 3650) -> SigningAuthority:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, NOW - timedelta(days=1), NOW + timedelta(days=days))
    certificate = builder.add_extension(x509.SubjectKeyIdentifier(b"id"), critical=False).sign(KEY, hashes.SHA256())
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SigningAuthority.read(certificate.public_bytes(Encoding.PEM), key)


CA = authority()


def request(common_name: str, *organizations: str, names: list[x509.GeneralName] | None = None) -> str:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return base64.b64encode(builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)).decode()


NODE_REQUEST = request("system:node:n1", "system:nodes")


def csr(signer: str, usages: list[str], text: str = NODE_REQUEST, *conditions: str, **spec: Any) -> Object:
    told = [{"type": each, "status": "True", "lastUpdateTime": rfc3339(NOW)} for each in conditions]
    whole = {"signerName": signer, "usages": usages, "request": text, "username": "someone", **spec}
    return {"metadata": {"name": "c", "uid": "u", "creationTimestamp": rfc3339(NOW)}, "spec": whole, "status": {"conditions": told}}


def signed(of: Object, ca: SigningAuthority = CA) -> x509.Certificate:
    [update] = certificate_signing.plan(of, ca, NOW, serial=7)
    assert isinstance(update, Update)
    return x509.load_pem_x509_certificate(base64.b64decode(update.obj["status"]["certificate"]))


def test_a_client_certificate_is_what_was_asked_for() -> None:
    found = signed(csr(CLIENT, ["client auth", "key encipherment"], request("jane", "dev", "ops"), "Approved"))
    assert found.subject.rfc4514_string() == "CN=jane,O=ops,O=dev"
    assert found.issuer == CA.certificate.subject
    assert (found.serial_number, found.not_valid_before_utc) == (7, NOW - timedelta(minutes=5))
    assert found.not_valid_after_utc == NOW + timedelta(days=365, minutes=-5)
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_encipherment, usage.value.digital_signature) == (True, True, False)
    assert list(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == b"id"
    found.verify_directly_issued_by(CA.certificate)


def test_the_names_of_a_server_are_kept() -> None:
    text = request("system:node:n1", "system:nodes", names=NODE_NAMES)
    found = signed(csr(KUBELET_SERVING, SERVING_USAGES, text, "Approved"))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n1"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]


FAILURES: dict[str, tuple[Object, str]] = {
    "a client that wants to be a server": (
        csr(CLIENT, ["client auth", "server auth"], NODE_REQUEST, "Approved"),
        "invalid usage for client certificate: server auth",
    ),
    "a client that does not want to be one": (
        csr(CLIENT, ["digital signature"], NODE_REQUEST, "Approved"),
        "missing required usage for client certificate: client auth",
    ),
    "a kubelet of no group": (
        csr(KUBELET_CLIENT, CLIENT_USAGES, request("system:node:n1"), "Approved"),
        "subject organization is not system:nodes",
    ),
    "a kubelet without a node's name": (
        csr(KUBELET_CLIENT, CLIENT_USAGES, request("n1", "system:nodes"), "Approved"),
        "subject common name does not begin with system:node:",
    ),
    "a client with the names of a server": (
        csr(KUBELET_CLIENT, CLIENT_USAGES, request("system:node:n1", "system:nodes", names=NODE_NAMES), "Approved"),
        "DNS subjectAltNames are not allowed",
    ),
    "a kubelet's server without a name": (
        csr(KUBELET_SERVING, SERVING_USAGES, NODE_REQUEST, "Approved"),
        "DNS or IP subjectAltName is required",
    ),
    "a kubelet's server with a client's usages": (
        csr(KUBELET_SERVING, CLIENT_USAGES, request("system:node:n1", "system:nodes", names=NODE_NAMES), "Approved"),
        "usages did not match [digital signature key encipherment server auth]",
    ),
}


@pytest.mark.parametrize(("of", "why"), FAILURES.values(), ids=FAILURES.keys())
def test_what_is_not_signed_fails(of: Object, why: str) -> None:
    [update] = certificate_signing.plan(of, CA, NOW, serial=1)
    assert isinstance(update, Update)
    failed = update.obj["status"]["conditions"][-1]
    assert (failed["type"], failed["reason"], failed["message"]) == ("Failed", "SignerValidationFailure", why)
    assert "certificate" not in update.obj["status"]


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(csr(LEGACY_UNKNOWN, []), id="not approved"),
        pytest.param(csr(LEGACY_UNKNOWN, [], NODE_REQUEST, "Approved", "Denied"), id="denied as well"),
        pytest.param(csr(LEGACY_UNKNOWN, [], NODE_REQUEST, "Approved", "Failed"), id="failed"),
        pytest.param(csr("example.com/signer", [], NODE_REQUEST, "Approved"), id="somebody else's"),
    ],
)
def test_what_is_left_alone(of: Object) -> None:
    assert certificate_signing.plan(of, CA, NOW, serial=1) == []


def test_the_unknown_signer_signs_everything() -> None:
    assert signed(csr(LEGACY_UNKNOWN, [], request("x"), "Approved")).subject.rfc4514_string() == "CN=x"


def test_how_long_a_certificate_is_valid() -> None:
    short = signed(csr(LEGACY_UNKNOWN, [], request("x"), "Approved", expirationSeconds=3600))
    assert short.not_valid_after_utc == NOW + timedelta(hours=1), "a short one is not backdated"
    assert signed(csr(LEGACY_UNKNOWN, [], request("x"), "Approved"), authority(10)).not_valid_after_utc == NOW + timedelta(days=10)
    year = timedelta(days=365)
    assert [granted(each, year) for each in (None, 60, 10**9)] == [year, timedelta(minutes=10), year]
    with pytest.raises(CannotSign, match="expired in the past"):
        certificate_signing.plan(csr(LEGACY_UNKNOWN, [], request("x"), "Approved"), authority(0), NOW, serial=1)


def test_usages() -> None:
    assert key_usages([]) == (None, None)
    plain, extended = key_usages(["s/mime", "email protection", "any", "decipher only"])
    assert plain is None
    assert extended is not None
    assert len(list(extended)) == 2
    with pytest.raises(CannotSign, match="nonsense"):
        key_usages(["nonsense"])


NODE = {"username": "system:node:n1"}


@pytest.mark.parametrize(
    ("of", "has", "message"),
    [
        pytest.param(
            csr(KUBELET_CLIENT, CLIENT_USAGES, **NODE), ["selfnodeclient"], "Auto approving self kubelet client", id="a node for itself"
        ),
        pytest.param(csr(KUBELET_CLIENT, CLIENT_USAGES), ["selfnodeclient"], "", id="not for somebody else"),
        pytest.param(csr(KUBELET_CLIENT, CLIENT_USAGES), ["nodeclient"], "Auto approving kubelet client", id="a bootstrapper"),
        pytest.param(csr(KUBELET_CLIENT, CLIENT_USAGES, **NODE), [], "", id="without permission"),
        pytest.param(csr(CLIENT, CLIENT_USAGES), ["nodeclient"], "", id="another signer"),
        pytest.param(csr(KUBELET_CLIENT, SERVING_USAGES), ["nodeclient"], "", id="other usages"),
        pytest.param(csr(KUBELET_CLIENT, CLIENT_USAGES, NODE_REQUEST, "Denied"), ["nodeclient"], "", id="denied"),
    ],
)
def test_who_is_approved(of: Object, has: list[str], message: str) -> None:
    actions = certificate_approving.plan(of, has, NOW)
    assert bool(actions) == bool(message)
    for action in actions:
        assert isinstance(action, Update)
        assert action.subresource == "approval"
        approved = action.obj["status"]["conditions"][-1]
        assert (approved["type"], approved["reason"]) == ("Approved", "AutoApproved")
        assert approved["message"].startswith(message)


def test_what_the_server_is_asked() -> None:
    asked = certificate_approving.review(csr(KUBELET_CLIENT, CLIENT_USAGES, groups=["g"]), "nodeclient")["spec"]
    assert (asked["user"], asked["groups"]) == ("someone", ["g"])
    assert asked["resourceAttributes"] == {
        "group": "certificates.k8s.io",
        "resource": "certificatesigningrequests",
        "verb": "create",
        "subresource": "nodeclient",
    }


HOURS = timedelta(hours=1)


@pytest.mark.parametrize(
    ("conditions", "issued", "age", "end", "gone"),
    [
        pytest.param([], "", 23 * HOURS, None, False, id="pending for less than a day"),
        pytest.param([], "", 25 * HOURS, None, True, id="pending for more than a day"),
        pytest.param(["Denied"], "", 2 * HOURS, None, True, id="denied an hour ago"),
        pytest.param(["Approved", "Failed"], "", 2 * HOURS, None, True, id="failed an hour ago"),
        pytest.param(["Approved"], "x", 2 * HOURS, None, True, id="issued an hour ago"),
        pytest.param(["Approved"], "x", HOURS / 2, None, False, id="issued just now"),
        pytest.param(["Approved"], "", 48 * HOURS, None, False, id="approved and not signed"),
        pytest.param(["Approved"], "x", HOURS / 2, NOW, True, id="the certificate has ended"),
    ],
)
def test_what_is_cleaned_up(conditions: list[str], issued: str, age: timedelta, end: datetime | None, gone: bool) -> None:
    of = csr(CLIENT, [], NODE_REQUEST, *conditions)
    of["status"]["certificate"] = issued
    actions = certificate_cleaner.plan(of, end, NOW + age)
    assert actions == ([Delete(REQUESTS, None, "c", uid="u")] if gone else [])


def test_the_end_of_a_certificate_that_cannot_be_read_is_not_known() -> None:
    assert certificate_cleaner.end_of("") is certificate_cleaner.end_of("%") is None
