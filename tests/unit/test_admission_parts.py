"""The pure parts of admission plugins: tolerations, certificate subjects, priorities of plugins."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from apiserver.admission.certificate_subject import organizations_of
from apiserver.admission.chain import Chain, chain_of
from apiserver.admission.runtime_class import merged_tolerations
from apiserver.pipeline.limits import InFlight
from apiserver.registry.admission import Attributes
from apiserver.registry.kind import Context, Kind, User
from kube.errors import TooManyRequests
from kube.objects import Object
from kube.resources import Resource

TEAM = {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}
ANY_TEAM = {"key": "team", "operator": "Exists"}
ALL = {"operator": "Exists"}
SHORT = {"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
LONG = {"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 50}

TOLERATIONS: dict[str, tuple[list[Object], list[Object], list[Object]]] = {
    "both": ([TEAM], [SHORT], [TEAM, SHORT]),
    "the same once": ([TEAM], [dict(TEAM)], [TEAM]),
    "the wider one of the second list": ([TEAM], [ANY_TEAM], [ANY_TEAM]),
    "the wider one of the first list": ([ANY_TEAM], [TEAM], [ANY_TEAM]),
    "everything covers all": ([TEAM, SHORT], [ALL], [ALL]),
    "a longer time covers a shorter": ([SHORT], [LONG], [LONG]),
    "another value is another toleration": ([TEAM], [{**TEAM, "value": "b"}], [TEAM, {**TEAM, "value": "b"}]),
    "another effect too": ([TEAM], [{**TEAM, "effect": "NoExecute"}], [TEAM, {**TEAM, "effect": "NoExecute"}]),
}


@pytest.mark.parametrize(("first", "second", "merged"), TOLERATIONS.values(), ids=TOLERATIONS.keys())
def test_merged_tolerations(first: list[Object], second: list[Object], merged: list[Object]) -> None:
    assert merged_tolerations(first, second) == merged


def test_the_organizations_of_a_certificate_request() -> None:
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in ("system:masters", "dev")]
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(Encoding.PEM)).decode()
    assert organizations_of(pem) == ["system:masters", "dev"]
    assert organizations_of("") == organizations_of("bm90IGEgcmVxdWVzdA==") == organizations_of("%") == []


async def test_mutating_plugins_come_first_and_each_is_asked_only_what_it_answers() -> None:
    said: list[str] = []

    class Mutates:
        async def mutate(self, _attributes: object) -> None:
            said.append("mutate")

    class Validates:
        async def validate(self, _attributes: object) -> None:
            said.append("validate")

    class OfPods(Mutates):
        resources = frozenset({("", "pods")})

    chain = Chain([Validates(), Mutates(), OfPods()])
    await chain.mutate(of("", "configmaps"))
    await chain.validate(of("", "configmaps"))
    await chain.mutate(of("example.com", "pods"))
    assert said == ["mutate", "validate", "mutate"]
    await chain.mutate(of("", "pods"))
    assert said[3:] == ["mutate", "mutate"]


async def test_a_plugin_of_objects_themselves_is_not_asked_about_their_subresources() -> None:
    said: list[str] = []

    class OfObjects:
        subresources = frozenset({""})

        async def mutate(self, attributes: Attributes) -> None:
            said.append(attributes.subresource)

    chain = Chain([OfObjects()])
    for subresource in ("", "status", ""):
        await chain.mutate(of("", "pods", subresource))
    assert said == ["", ""]


def of(group: str, plural: str, subresource: str = "") -> Attributes:
    kind = Kind(resource=Resource(group, "v1", plural, "X"), definition="", singular="x")
    ctx = Context(User("u"), datetime.now(UTC), "create", subresource=subresource)
    return Attributes(kind, "CREATE", "", "", {}, None, ctx, None)


def test_every_plugin_of_the_default_chain_does_something() -> None:
    assert all(hasattr(each, "mutate") or hasattr(each, "validate") for each in chain_of()._plugins)


def test_reads_and_writes_are_counted_apart() -> None:
    limits = InFlight(2, 1)
    read, write = limits.enter("GET"), limits.enter("POST")
    with pytest.raises(TooManyRequests) as caught:
        limits.enter("PATCH")
    assert caught.value.headers == {"Retry-After": "1"}
    limits.enter("HEAD")
    with pytest.raises(TooManyRequests):
        limits.enter("GET")
    limits.leave(read)
    limits.leave(write)
    assert limits.enter("DELETE") is False
    assert limits.enter("GET") is True


def test_a_limit_of_zero_is_none() -> None:
    limits = InFlight(0, 0)
    assert [limits.enter("POST") for _ in range(1000)] == [False] * 1000
