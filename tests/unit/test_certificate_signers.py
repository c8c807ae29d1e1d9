"""CertificateApproval and CertificateSigning: what is asked about a signer, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from apiserver.admission.certificate_signers import CertificateApproval, CertificateSigning, may_for_signer
from apiserver.kinds.certificates import CERTIFICATE_SIGNING_REQUEST
from apiserver.registry.admission import Attributes
from apiserver.registry.authorization import Attributes as Asked
from apiserver.registry.authorization import Decision, Rules
from apiserver.registry.kind import Context, User
from kube.errors import Forbidden
from kube.objects import Object

ANN = User("ann")


class Signers:
    """Allows what is named `verb name`, and remembers what it was asked."""

    def __init__(self, *allowed: str) -> None:
        self._allowed = allowed
        self.asked: list[Asked] = []

    def decide(self, user: User, attributes: Asked) -> Decision:
        assert user is ANN
        self.asked.append(attributes)
        return Decision(f"{attributes.verb} {attributes.name}" in self._allowed)

    def rules_for(self, user: User, namespace: str) -> Rules:
        raise AssertionError("nobody asks for rules")


MAY: dict[str, tuple[str, bool]] = {
    "this signer": ("approve a.io/b", True),
    "all of the domain": ("approve a.io/*", True),
    "another": ("approve a.io/c", False),
    "another domain": ("approve b.io/*", False),
    "something else with it": ("sign a.io/b", False),
}


@pytest.mark.parametrize(("allowed", "may"), MAY.values(), ids=MAY.keys())
def test_who_may_for_a_signer(allowed: str, may: bool) -> None:
    assert may_for_signer(Signers(allowed), ANN, "approve", "a.io/b") is may


def test_it_is_asked_about_as_an_object_of_the_cluster() -> None:
    signers = Signers()
    may_for_signer(signers, ANN, "sign", "a.io/b/c")
    assert signers.asked == [Asked("sign", "certificates.k8s.io", "*", "signers", name=each) for each in ("a.io/b/c", "a.io/*")]


def change(signers: Signers, new: Object, old: Object, subresource: str) -> Attributes:
    ctx = Context(ANN, datetime.now(UTC), "update", subresource=subresource)
    return Attributes(CERTIFICATE_SIGNING_REQUEST, "UPDATE", "", "r", new, old, ctx, SimpleNamespace(authorizer=signers))


def request(**status: object) -> Object:
    return {"spec": {"signerName": "a.io/b"}, "status": status}


async def test_every_approval_is_asked_about_by_the_stored_signer() -> None:
    signers, new = Signers("approve a.io/b"), {"spec": {"signerName": "evil.io/b"}}
    await CertificateApproval().validate(change(signers, new, request(), "approval"))
    assert [each.name for each in signers.asked] == ["a.io/b"]
    with pytest.raises(Forbidden) as caught:
        await CertificateApproval().validate(change(Signers(), request(), request(), "approval"))
    assert caught.value.message == (
        'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to approve requests with signerName "a.io/b"'
    )


FAILED = [{"type": "Failed", "status": "True"}]
CHANGES: dict[str, tuple[Object, Object, bool]] = {
    "a certificate": (request(certificate="eA=="), request(), True),
    "a condition": (request(conditions=FAILED), request(), True),
    "a condition that goes": (request(), request(conditions=FAILED), True),
    "neither": (request(certificate="eA==", conditions=FAILED), request(certificate="eA==", conditions=FAILED), False),
    "an empty list is none": (request(conditions=[]), request(), False),
}


@pytest.mark.parametrize(("new", "old", "asks"), CHANGES.values(), ids=CHANGES.keys())
async def test_signing_is_asked_about_when_something_is_signed(new: Object, old: Object, asks: bool) -> None:
    signers = Signers("sign a.io/b")
    await CertificateSigning().validate(change(signers, new, old, "status"))
    assert bool(signers.asked) is asks
    if asks:
        with pytest.raises(Forbidden, match="not permitted to sign requests"):
            await CertificateSigning().validate(change(Signers("approve a.io/b"), new, old, "status"))
