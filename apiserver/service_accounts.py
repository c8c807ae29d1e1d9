"""ServiceAccount tokens: issued by the token subresource, accepted as bearer tokens while their account (and pod) exists.

JWTs signed with ES256 by the cluster's `sa.key`. Source: KEP-1205, `pkg/serviceaccount/claims.go`.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apiserver.identity import Authority
from apiserver.legacy_tokens import ISSUER, legacy_user
from apiserver.pipeline.authentication import AUTHENTICATED
from apiserver.registry.kind import User
from apiserver.registry.metadata import new_uid
from apiserver.registry.registry import Registries
from kube import errors
from kube.clock import rfc3339
from kube.objects import Object, uid_of
from kube.resources import PODS, SERVICE_ACCOUNTS

DEFAULT_EXPIRATION_S: Final = 3600
ALGORITHM: Final = "ES256"


class ServiceAccountTokens:
    """Issues and checks tokens of one cluster."""

    def __init__(self, registries: Registries, authority: Authority, issuer: str) -> None:
        self._registries, self._issuer = registries, issuer
        self._key = authority.signing_key()
        self._public = self._key.public_key()
        digest = self._public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        import hashlib

        self._key_id = hashlib.sha256(digest).hexdigest()[:32]

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

    async def user(self, token: str) -> User | None:
        """The user of a valid token, else None."""
        try:
            options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
            claims = jwt.decode(token, self._public, [ALGORITHM], audience=self._issuer, issuer=self._issuer, options=options)
        except jwt.InvalidIssuerError:
            return await self._legacy(token)
        except jwt.InvalidTokenError:
            return None
        now = self._registries.clock.now().timestamp()
        private = claims.get("kubernetes.io") or {}
        if claims.get("exp", 0) <= now or claims.get("nbf", 0) > now + 60:
            return None
        namespace, account = private.get("namespace", ""), private.get("serviceaccount") or {}
        try:
            found = await self._registries.get(SERVICE_ACCOUNTS).get(namespace, account.get("name", ""))
            if uid_of(found) != account.get("uid"):
                return None
            pod = private.get("pod")
            if pod and uid_of(await self._registries.get(PODS).get(namespace, pod.get("name", ""))) != pod.get("uid"):
                return None
        except errors.NotFound:
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(claims["sub"], groups, account["uid"])

    async def _legacy(self, token: str) -> User | None:
        try:
            claims = jwt.decode(token, self._public, [ALGORITHM], issuer=ISSUER, options={"verify_aud": False})
        except jwt.InvalidTokenError:
            return None
        return await legacy_user(self._registries, claims, token)
