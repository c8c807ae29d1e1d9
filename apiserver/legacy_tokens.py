"""Tokens that are in Secrets (`kubernetes.io/service-account-token`): they say nothing of an end, and hold as long as their Secret does.

Who signs them is the controller `serviceaccount-token-controller`. Source: kubernetes `pkg/serviceaccount/legacy.go`.
# deviates: when such a token was used last is not noted in its Secret's labels, so none is ever cleaned up for being old
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from apiserver.pipeline.authentication import AUTHENTICATED
from apiserver.registry.kind import User
from apiserver.registry.registry import Registries
from kube import errors
from kube.objects import is_deleting, labels_of, uid_of
from kube.resources import SECRETS, SERVICE_ACCOUNTS

ISSUER: Final = "kubernetes/serviceaccount"
INVALID_SINCE: Final = "kubernetes.io/legacy-token-invalid-since"
_PREFIX = "kubernetes.io/serviceaccount/"


async def legacy_user(registries: Registries, claims: Mapping[str, Any], token: str) -> User | None:
    """The user of a token whose signature is good; None where its Secret or its account do not bear it out."""
    keys = ("namespace", "secret.name", "service-account.name", "service-account.uid")
    namespace, secret_name, name, uid = (str(claims.get(_PREFIX + each) or "") for each in keys)
    subject = f"system:serviceaccount:{namespace}:{name}"
    if not secret_name or not uid or claims.get("sub") != subject:
        return None
    try:
        secret = await registries.get(SECRETS).get(namespace, secret_name)
        account = await registries.get(SERVICE_ACCOUNTS).get(namespace, name)
    except errors.NotFound:
        return None
    given = (secret.get("data") or {}).get("token")
    if given != base64.b64encode(token.encode()).decode() or is_deleting(secret) or INVALID_SINCE in labels_of(secret):
        return None
    if is_deleting(account) or uid_of(account) != uid:
        return None
    return User(subject, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED), uid)
