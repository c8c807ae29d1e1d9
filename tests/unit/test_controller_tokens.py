"""Tokens in Secrets: of ServiceAccounts, and those by which nodes join."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controllers.manager import bootstrap_signer, legacy_token_cleaner, service_account_token, token_cleaner
from controllers.manager.bootstrap_token import detached_signature, is_expired, signing_tokens
from controllers.manager.legacy_token_cleaner import INVALID_SINCE, LAST_USED, Known, secrets_of
from controllers.manager.service_account_token import NAME, TYPE, UID, account_key, is_of, signer, without_secret
from kube.clock import rfc3339
from kube.objects import Object
from kube.resources import SECRETS
from kube.runtime.perform import Delete, Patch, Update

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- ServiceAccounts --------------------------------------------------------------------------------------------------

ACCOUNT: Object = {"metadata": {"name": "bot", "namespace": "ns", "uid": "u"}, "secrets": [{"name": "a"}, {"name": "b"}]}


def secret(data: Object | None = None, *, uid: str = "", labels: Object | None = None, days: int = 800) -> Object:
    annotations = {NAME: "bot"} | ({UID: uid} if uid else {})
    made = rfc3339(NOW - timedelta(days=days))
    metadata = {"name": "a", "namespace": "ns", "uid": "s", "annotations": annotations, "labels": labels or {}, "creationTimestamp": made}
    return {"metadata": {**metadata, "resourceVersion": "7"}, "type": TYPE, "data": data or {}}


def said(claims: Object) -> str:
    return f"signed {claims['sub']}"


def test_a_secret_is_filled_in() -> None:
    [update] = service_account_token.plan(secret(), ACCOUNT, NOW, root_ca="ca", sign=said)
    assert isinstance(update, Update)
    signed = b64("signed system:serviceaccount:ns:bot")
    assert update.obj["data"] == {"ca.crt": b64("ca"), "namespace": b64("ns"), "token": signed}
    assert update.obj["metadata"]["annotations"] == {NAME: "bot", UID: "u"}
    assert service_account_token.plan(update.obj, ACCOUNT, NOW, root_ca="ca", sign=said) == []


def test_what_is_there_stays() -> None:
    present = secret({"token": "mine", "namespace": "other", "ca.crt": "old", "more": "x"})
    [update] = service_account_token.plan(present, ACCOUNT, NOW, root_ca="new", sign=said)
    assert isinstance(update, Update)
    assert update.obj["data"] == {"token": "mine", "namespace": "other", "ca.crt": b64("new"), "more": "x"}
    assert service_account_token.plan(secret({"namespace": "x"}), ACCOUNT, NOW, root_ca="", sign=None) == [], "nothing to sign with"


def test_a_secret_goes_with_its_account() -> None:
    assert service_account_token.plan(secret(), None, NOW, root_ca="", sign=said) == [Delete(SECRETS, "ns", "a", uid="s")]
    assert is_of(secret(), ACCOUNT)
    assert not is_of(secret(uid="another"), ACCOUNT)
    assert account_key(secret()) == "ns/bot"


def test_an_account_loses_a_secret_that_is_gone() -> None:
    [update] = without_secret(ACCOUNT, "a")
    assert isinstance(update, Update)
    assert update.obj["secrets"] == [{"name": "b"}]
    assert without_secret(ACCOUNT, "c") == []


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), "ES256", id="an elliptic curve"),
        pytest.param(rsa.generate_private_key(65537, 2048), "RS256", id="RSA"),
    ],
)
def test_tokens_are_signed_by_the_key_of_a_file(key: Any, algorithm: str, tmp_path: Path) -> None:
    file = tmp_path / "sa.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    sign = signer(str(file))
    assert sign is not None
    claims = service_account_token.claims_of(ACCOUNT, secret())
    assert jwt.decode(sign(claims), key.public_key(), [algorithm], issuer="kubernetes/serviceaccount") == claims
    assert claims["kubernetes.io/serviceaccount/secret.name"] == "a"
    assert signer("") is None


OLD = (NOW - timedelta(days=500)).date()
USED = Known(ACCOUNT, is_mounted=False, tracked_since=OLD)

UNUSED: dict[str, tuple[Object, Known, str]] = {
    "not used for a year": (secret(), USED, "marked"),
    "marked long ago": (secret(labels={INVALID_SINCE: OLD.isoformat()}), USED, "deleted"),
    "marked yesterday": (secret(labels={INVALID_SINCE: (NOW - timedelta(days=1)).date().isoformat()}), USED, ""),
    "used last month": (secret(labels={LAST_USED: "2026-05-01"}), USED, ""),
    "used long ago": (secret(labels={LAST_USED: "2024-05-01"}), USED, "marked"),
    "used who knows when": (secret(labels={LAST_USED: "yesterday"}), USED, ""),
    "young": (secret(days=10), USED, ""),
    "mounted": (secret(), Known(ACCOUNT, True, OLD), ""),
    "made by hand": (secret(), Known({**ACCOUNT, "secrets": []}, False, OLD), ""),
    "of no account": (secret(), Known(None, False, OLD), ""),
    "uses noted for a short time only": (secret(), Known(ACCOUNT, False, NOW.date()), ""),
    "uses not noted": (secret(), Known(ACCOUNT, False, None), ""),
}


@pytest.mark.parametrize(("of", "known", "outcome"), UNUSED.values(), ids=UNUSED.keys())
def test_old_tokens(of: Object, known: Known, outcome: str) -> None:
    words = {Patch: "marked", Delete: "deleted"}
    assert "".join(words[type(each)] for each in legacy_token_cleaner.plan(of, known, NOW)) == outcome


def test_the_secrets_of_a_pod() -> None:
    container = {"env": [{"valueFrom": {"secretKeyRef": {"name": "e"}}}, {"value": "x"}], "envFrom": [{"secretRef": {"name": "f"}}]}
    volumes = [{"secret": {"secretName": "v"}}, {"projected": {"sources": [{"secret": {"name": "p"}}]}}, {"emptyDir": {}}]
    spec = {"containers": [container], "volumes": volumes, "imagePullSecrets": [{"name": "i"}]}
    assert sorted(secrets_of({"spec": spec})) == ["e", "f", "i", "p", "v"]


# --- bootstrap tokens -------------------------------------------------------------------------------------------------


def token(token_id: str = "abcdef", **data: str) -> Object:
    whole = {"token-id": token_id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **data}
    metadata = {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system", "uid": "t"}
    return {
        "metadata": metadata,
        "type": "bootstrap.kubernetes.io/token",
        "data": {key.replace("_", "-"): b64(value) for key, value in whole.items()},
    }


@pytest.mark.parametrize(
    ("expiration", "expired"),
    [
        pytest.param("", False, id="never"),
        pytest.param("2026-06-01T11:59:59Z", True, id="a second ago"),
        pytest.param("2026-06-01T14:30:00+02:00", False, id="in another time zone, in half an hour"),
        pytest.param("tomorrow", True, id="a time that is none"),
    ],
)
def test_when_a_token_ends(expiration: str, expired: bool) -> None:
    assert is_expired(token(expiration=expiration), NOW) is expired
    assert bool(token_cleaner.plan(token(expiration=expiration), None, NOW)) is expired


def test_who_may_sign() -> None:
    misnamed = {**token("ghijkl"), "metadata": {"name": "bootstrap-token-other"}}
    tokens = [token(), token("aaaaaa", usage_bootstrap_signing="false"), token("bbbbbb", expiration="2020-01-01T00:00:00Z"), misnamed]
    assert signing_tokens(tokens, NOW) == {"abcdef": "0123456789abcdef"}


def test_a_signature_is_a_jws_without_its_content() -> None:
    header, nothing, _ = detached_signature("content", "abcdef", "secret-of-thirty-two-bytes-length").split(".")
    assert (base64.urlsafe_b64decode(header + "=="), nothing) == (b'{"alg":"HS256","kid":"abcdef"}', "")
    whole = detached_signature("content", "id", "s" * 32).replace("..", f".{b64('content').rstrip('=')}.")
    assert jwt.api_jws.decode(whole, "s" * 32, ["HS256"]) == b"content"


def test_the_cluster_info_has_the_signatures_of_all_tokens_and_no_others() -> None:
    info = {"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": "k", "jws-kubeconfig-gone": "x", "more": "y"}}
    [update] = bootstrap_signer.plan(info, [token()], NOW)
    assert isinstance(update, Update)
    assert sorted(update.obj["data"]) == ["jws-kubeconfig-abcdef", "kubeconfig", "more"]
    assert bootstrap_signer.plan(update.obj, [token()], NOW) == []
    assert bootstrap_signer.plan({"metadata": {}, "data": {}}, [token()], NOW) == []
