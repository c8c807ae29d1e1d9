"""ServiceAccount tokens: issued by the token subresource, accepted as bearer tokens while their account (and pod) exists.

JWTs signed with ES256 by the cluster's `sa.key`. Source: KEP-1205, `pkg/serviceaccount/claims.go` and `jwt.go`.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from apiserver.identity import Authority
from apiserver.legacy_tokens import ISSUER, legacy_user
from apiserver.openid import OpenId
from apiserver.pipeline.authentication import AUTHENTICATED
from apiserver.registry.kind import User
from apiserver.registry.metadata import new_uid
from apiserver.registry.registry import Registries
from kube import errors
from kube.clock import parse_time, rfc3339
from kube.memo import Memo
from kube.objects import Object, name_of, uid_of
from kube.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS, Resource

DEFAULT_EXPIRATION_S: Final = 3600
ALGORITHM: Final = "ES256"


TOKENS_MAX: Final = 1024
"""How many tokens' claims are remembered, and how many objects that tokens hang on."""
LEEWAY_S: Final = 60
"""By how much clocks may differ, and how long what is deleted still counts (go-jose's DefaultLeeway)."""
_SIGNATURE_ONLY: Final[Any] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False}
_BAD_SIGNATURE: Final = "go-jose/go-jose: error in cryptographic primitive"
_BOUND: Final = {"secret": SECRETS, "pod": PODS, "node": NODES}


class TokenRefused(Exception):
    """A token of this cluster that is no good (any more). The text says why, in upstream's words."""


class ServiceAccountTokens:
    """Issues and checks tokens of one cluster."""

    def __init__(self, registries: Registries, authority: Authority, issuer: str) -> None:
        self._registries, self._issuer = registries, issuer
        self._key = authority.signing_key()
        self._public = self._key.public_key()
        der = self._public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._signed: Memo[Mapping[str, Any]] = Memo(TOKENS_MAX)
        self._seen: Memo[Object] = Memo(TOKENS_MAX)
        self._key_id = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    def published(self) -> OpenId:
        """What tells others how to verify these tokens."""
        key = {"use": "sig", "kty": "EC", "kid": self._key_id, "crv": "P-256", "alg": ALGORITHM}
        return OpenId(self._issuer, ALGORITHM, [key | ECAlgorithm.to_jwk(self._public, as_dict=True)])

    async def issue(self, account: Object, spec: Object) -> Object:
        """The status of a TokenRequest for `account` (a ServiceAccount): {"token", "expirationTimestamp"}. `spec` gets its audiences."""
        now = self._registries.clock.now()
        expiration = now + dt.timedelta(seconds=spec.get("expirationSeconds") or DEFAULT_EXPIRATION_S)
        meta = account["metadata"]
        spec["audiences"] = spec.get("audiences") or [self._issuer]
        private: dict[str, Any] = {"namespace": meta["namespace"], "serviceaccount": {"name": meta["name"], "uid": meta["uid"]}}
        bound = spec.get("boundObjectRef")
        if bound:
            private[bound["kind"].lower()] = {"name": bound["name"], "uid": bound.get("uid", "")}
            if bound["kind"] == "Pod":
                private |= await self._node_of(meta["namespace"], bound["name"])
        claims = {
            "aud": spec["audiences"],
            "exp": int(expiration.timestamp()),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "iss": self._issuer,
            "jti": new_uid(self._registries.rng),
            "kubernetes.io": private,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        token = jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._key_id})
        return {"token": token, "expirationTimestamp": rfc3339(expiration)}

    async def _node_of(self, namespace: str, pod: str) -> dict[str, Any]:
        """The claim that names the node a pod is on."""
        try:
            name = (await self._registries.get(PODS).get(namespace, pod))["spec"].get("nodeName")
            return {"node": {"name": name, "uid": uid_of(await self._registries.get(NODES).get("", name))}} if name else {}
        except errors.NotFound:
            return {}

    async def user(self, token: str) -> User | None:
        """The user of a valid token, else None."""
        try:
            found = await self.authenticated(token, ())
        except TokenRefused:
            return None
        return found[0] if found is not None else None

    async def authenticated(self, token: str, audiences: Sequence[str]) -> tuple[User, tuple[str, ...]] | None:
        """The user of a token, and which of `audiences` (the server's own, when empty) it is for. None for what is no token of this
        cluster's. Raises TokenRefused for one that is no good, or no good any more."""
        wanted = tuple(audiences) or (self._issuer,)
        claims = self._signed_claims(token)
        if claims is None:
            return None
        given = claims.get("aud") or [self._issuer]
        given = [given] if isinstance(given, str) else given
        fitting = tuple(each for each in given if each in wanted)
        if not fitting:
            raise TokenRefused(f"token audiences {_quoted(given)} is invalid for the target audiences {_quoted(wanted)}")
        if claims["iss"] == ISSUER:
            legacy = await legacy_user(self._registries, claims, token)
            if legacy is None:
                raise TokenRefused("Token has been invalidated")
            return legacy, fitting
        return await self._user_of(claims), fitting

    def _signed_claims(self, token: str) -> Mapping[str, Any] | None:
        """What a token says, its signature being good; None for what is no token of this cluster's. Raises TokenRefused. A good signature
        stays good, so it is remembered (by the token's digest); times and accounts are looked at anew each time."""
        key = hashlib.sha256(token.encode()).digest()
        claims: Mapping[str, Any] | None = self._signed.get(key)
        if claims is not None:
            return claims
        try:
            header, issuer = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.InvalidTokenError:
            return None
        if issuer not in (self._issuer, ISSUER):
            return None
        try:
            claims = jwt.decode(token, self._public, [ALGORITHM], options=_SIGNATURE_ONLY)
        except jwt.InvalidTokenError as error:
            is_known = header.get("kid", self._key_id) == self._key_id
            raise TokenRefused(_BAD_SIGNATURE if is_known else "invalid signature, no keys found") from error
        self._signed.put(key, claims)
        return claims

    async def _look(self, resource: Resource, namespace: str, name: str) -> Object:
        """An object's metadata, to look at and not to change. Raises NotFound."""
        registry = self._registries.get(resource)
        entry = await registry.entry(namespace, name)
        key = (entry.key, entry.revision)
        found = self._seen.get(key)
        if found is None:
            found = {"metadata": registry.cache.object_of(entry)["metadata"]}
            self._seen.put(key, found)
        return found

    async def _user_of(self, claims: Mapping[str, Any]) -> User:
        now = self._registries.clock.now().timestamp()
        if claims.get("exp", 0) < now - LEEWAY_S:
            raise TokenRefused("service account token has expired")
        if claims.get("nbf", 0) > now + LEEWAY_S:
            raise TokenRefused("service account token is not valid yet")
        private = claims.get("kubernetes.io") or {}
        namespace, account = private.get("namespace", ""), private.get("serviceaccount") or {}
        try:
            found = await self._look(SERVICE_ACCOUNTS, namespace, account.get("name", ""))
        except errors.NotFound as error:
            raise TokenRefused(error.message) from error
        if uid_of(found) != account.get("uid"):
            raise TokenRefused(f"service account UID ({uid_of(found)}) does not match claim ({account.get('uid')})")
        if self._is_gone(found):
            raise TokenRefused(f"service account {namespace}/{name_of(found)} has been deleted")
        await self._check_bound(private, namespace)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account["uid"], _extra(claims, private))

    async def _check_bound(self, private: Mapping[str, Any], namespace: str) -> None:
        """What a token is bound to must still be there; the node of a pod-bound token need not."""
        for kind, resource in _BOUND.items():
            ref = private.get(kind)
            if ref is None or (kind == "node" and "pod" in private):
                continue
            try:
                found = await self._look(resource, namespace if resource.namespaced else "", ref.get("name", ""))
            except errors.NotFound as error:
                raise TokenRefused("service account token has been invalidated") from error
            if uid_of(found) != ref.get("uid"):
                name = {"pod": "pod UID", "secret": "secret UID", "node": "node UID"}[kind]
                raise TokenRefused(f"{name} ({uid_of(found)}) does not match service account {kind} ref claim ({ref.get('uid')})")
            if self._is_gone(found):
                raise TokenRefused("service account token has been invalidated")

    def _is_gone(self, obj: Object) -> bool:
        deleted = parse_time(obj["metadata"].get("deletionTimestamp"))
        return deleted is not None and deleted.timestamp() < self._registries.clock.now().timestamp() - LEEWAY_S


def _extra(claims: Mapping[str, Any], private: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What is known of the credential beside its user."""
    extra = {"credential-id": f"JTI={claims['jti']}"} if claims.get("jti") else {}
    for kind in ("pod", "node"):
        ref = private.get(kind)
        if ref:
            extra |= {f"{kind}-name": ref.get("name", ""), f"{kind}-uid": ref.get("uid", "")}
    return {f"authentication.kubernetes.io/{key}": (value,) for key, value in extra.items()}


def _quoted(texts: Sequence[str]) -> str:
    """A list as Go's %q prints it."""
    return "[" + " ".join(json.dumps(each, ensure_ascii=False) for each in texts) + "]"
