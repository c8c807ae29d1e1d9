"""Secrets of the type kubernetes.io/service-account-token: they get a token that does not expire, the CA and the namespace.

They are made by people only, nowadays. Promises: what is filled in stays what it is; a Secret whose account is gone (or another one) goes;
a Secret that goes is taken out of its account's list. Without a key (`--service-account-private-key-file`) no token is signed.
Source: upstream `pkg/controller/serviceaccount/tokens_controller.go`, `pkg/serviceaccount/legacy.go`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from kube.errors import NotFound
from kube.objects import Object, annotations_of, is_deleting, key_of, name_of, namespace_of, split_key, uid_of
from kube.resources import SECRETS, SERVICE_ACCOUNTS
from kube.runtime.controller import Run
from kube.runtime.perform import Action, Delete, Update, perform

TYPE: Final = "kubernetes.io/service-account-token"
NAME: Final = "kubernetes.io/service-account.name"
UID: Final = "kubernetes.io/service-account.uid"
ISSUER: Final = "kubernetes/serviceaccount"
_ACCOUNT = "service account"
_PREFIX = "kubernetes.io/serviceaccount/"

Sign = Callable[[Object], str]
"""From claims to a JWT."""


def plan(desired: Object, observed: Object | None, now: datetime, *, root_ca: str, sign: Sign | None) -> list[Action]:
    """Fill in what the Secret lacks; `observed` is its account, without which it goes."""
    if observed is None:
        return [Delete(SECRETS, namespace_of(desired), name_of(desired), uid=uid_of(desired))]
    data = dict(desired.get("data") or {})
    if root_ca and data.get("ca.crt") != _encoded(root_ca):
        data["ca.crt"] = _encoded(root_ca)
    if not data.get("namespace"):
        data["namespace"] = _encoded(namespace_of(desired))
    if not data.get("token") and sign is not None:
        data["token"] = _encoded(sign(claims_of(observed, desired)))
    if data == (desired.get("data") or {}):
        return []
    annotations = {**annotations_of(desired), NAME: name_of(observed), UID: uid_of(observed)}
    return [Update(SECRETS, {**desired, "metadata": {**desired["metadata"], "annotations": annotations}, "data": data})]


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def claims_of(account: Object, secret: Object) -> Object:
    """What a token says that is bound to a Secret only."""
    namespace, name = namespace_of(account), name_of(account)
    return {
        "iss": ISSUER,
        f"{_PREFIX}namespace": namespace,
        f"{_PREFIX}secret.name": name_of(secret),
        f"{_PREFIX}service-account.name": name,
        f"{_PREFIX}service-account.uid": uid_of(account),
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }


def without_secret(account: Object, secret_name: str) -> list[Action]:
    """Take a Secret that is gone out of the account's list."""
    listed = account.get("secrets") or []
    kept = [each for each in listed if each.get("name") != secret_name]
    return [] if kept == listed else [Update(SERVICE_ACCOUNTS, {**account, "secrets": kept})]


def account_key(secret: Object) -> str:
    return f"{namespace_of(secret)}/{annotations_of(secret).get(NAME, '')}"


def is_of(secret: Object, account: Object) -> bool:
    """Whether the account is the one that the Secret names."""
    uid = annotations_of(secret).get(UID)
    return not uid or uid == uid_of(account)


def signer(key_file: str) -> Sign | None:
    """Signs with the key of a PEM file; None for none. Raises OSError and ValueError."""
    if not key_file:
        return None
    import jwt  # these bring megabytes, and such Secrets are rare: only when there is one
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = serialization.load_pem_private_key(Path(key_file).read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"{key_file}: neither an ECDSA nor an RSA key")
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else f"ES{min(512, key.key_size)}".replace("ES521", "ES512")
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    key_id = base64.urlsafe_b64encode(hashlib.sha256(public).digest()).rstrip(b"=").decode()
    return lambda claims: jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})


class ServiceAccountTokens:
    """Keys are namespace/name of Secrets; `account:` and a Secret's key, a colon and an account's name for one that is gone."""

    name = "serviceaccount-token"

    def __init__(self, key_file: str, root_ca: str) -> None:
        self._key_file, self._root_ca = key_file, root_ca

    def start(self, run: Run) -> None:
        self.run = run
        self._sign: Sign | None = None
        if not self._key_file:
            run.log.info("no tokens are signed: no key was given by --service-account-private-key-file")
        self.accounts = run.informers.of(SERVICE_ACCOUNTS)
        self.secrets = run.informers.of(SECRETS, field_selector=f"type={TYPE}")
        self.secrets.add_index(_ACCOUNT, lambda secret: [account_key(secret)])
        self.accounts.add_handler(self._account_changed)
        self.secrets.add_handler(self._secret_changed)

    async def reconcile(self, key: str) -> float | None:
        if key.startswith("account:"):
            _, secret_key, account_name = key.split(":")
            await self._unlist(secret_key, account_name)
            return None
        secret = self.secrets.get(key)
        if secret is None or is_deleting(secret):
            return None
        account = await self._account(secret)
        self._sign = self._sign or signer(self._key_file)
        actions = plan(secret, account, self.run.clock.now(), root_ca=self._root_ca, sign=self._sign)
        await perform(actions, client=self.run.client, events=self.run.events)
        return None

    async def _account(self, secret: Object) -> Object | None:
        """The Secret's account; before it counts as gone the server is asked."""
        found = self.accounts.get(account_key(secret))
        if found is not None and is_of(secret, found):
            return found
        namespace, name = split_key(account_key(secret))
        try:
            live = await self.run.client.get(SERVICE_ACCOUNTS, name, namespace=namespace)
        except NotFound:
            return None
        return live if is_of(secret, live) else None

    async def _unlist(self, secret_key: str, account_name: str) -> None:
        namespace, name = split_key(secret_key)
        if self.secrets.get(secret_key) is not None:
            return
        try:
            account = await self.run.client.get(SERVICE_ACCOUNTS, account_name, namespace=namespace)
        except NotFound:
            return
        await perform(without_secret(account, name), client=self.run.client, events=self.run.events)

    def _account_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or uid_of(old) != uid_of(new):
            for secret in self.secrets.by_index(_ACCOUNT, key_of(new or old or {})):
                self.run.queue.add(key_of(secret))

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.run.queue.add(key_of(new))
        elif old is not None and (name := annotations_of(old).get(NAME)):
            self.run.queue.add(f"account:{key_of(old)}:{name}")
