"""Tokens that are in Secrets (`kubernetes.io/service-account-token`): they say nothing of an end, and hold as long as their Secret does.

Who signs them is the controller `serviceaccount-token-controller`. On which day one was used last is noted in its Secret's labels, by which
`legacy-serviceaccount-token-cleaner-controller` knows the old ones. Source: kubernetes `pkg/serviceaccount/legacy.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from apiserver.pipeline.authentication import AUTHENTICATED
from apiserver.registry.kind import Context, User
from apiserver.registry.registry import Registries
from kube import errors
from kube.clock import rfc3339
from kube.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from kube.resources import SECRETS, SERVICE_ACCOUNTS

ISSUER: Final = "kubernetes/serviceaccount"
LAST_USED: Final = "kubernetes.io/legacy-token-last-used"
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
    await _note_use(registries, secret)
    return User(subject, ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED), uid)


async def _note_use(registries: Registries, secret: Object) -> None:
    """Once a day. That it cannot be noted keeps nobody out."""
    now = registries.clock.now()
    today, tomorrow = (moment.strftime("%Y-%m-%d") for moment in (now, now + timedelta(days=1)))
    if labels_of(secret).get(LAST_USED) in (today, tomorrow):
        return

    def noted(current: Object) -> None:
        current["metadata"]["labels"] = {**labels_of(current), LAST_USED: today}

    user = User("system:apiserver", ("system:masters",))
    ctx = Context(user, now, "patch", field_manager="kube-apiserver", api_version="v1", timestamp=rfc3339(now))
    with suppress(errors.ApiError):
        await registries.get(SECRETS).update_with(namespace_of(secret), name_of(secret), noted, ctx)
