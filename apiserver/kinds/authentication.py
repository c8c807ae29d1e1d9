"""authentication.k8s.io: TokenReview and SelfSubjectReview. Answered, never stored. Source: kubernetes `pkg/registry/authentication`.

TokenReview asks `registries.authenticate_token(token, audiences)` (async; see `TokenAnswer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apiserver.registry.kind import Context, Kind, User
from apiserver.registry.unstored import own
from kube.clock import rfc3339
from kube.errors import BadRequest, NotImplementedByServer
from kube.objects import Object
from kube.resources import Resource

GROUP = "authentication.k8s.io"
DEFINITION = "io.k8s.api.authentication.v1."


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What an authenticator says of a token. `user` None: not authenticated, `error` says why."""

    user: User | None
    audiences: tuple[str, ...] = ()
    error: str = ""


def user_info(user: User) -> Object:
    """A user as a UserInfo."""
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in info.items() if value}


async def review_token(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """Raises BadRequest without a token, NotImplementedByServer without an authenticator."""
    own(registries, body, DEFINITION + "TokenReview", ctx)
    spec = body.setdefault("spec", {})
    if body.get("metadata", {}).get("namespace"):
        raise BadRequest(f"namespace is not allowed on this type: {body['metadata']['namespace']}")
    if not spec.get("token"):
        raise BadRequest("token is required for TokenReview in authentication")
    authenticate = getattr(registries, "authenticate_token", None)
    if authenticate is None:
        raise NotImplementedByServer("this server has no authenticator for token reviews")
    answer: TokenAnswer = await authenticate(spec["token"], tuple(spec.get("audiences") or ()))
    status: Object = {"user": user_info(answer.user) if answer.user else {}}
    if answer.user is not None:
        status["authenticated"] = True
        if answer.audiences:
            status["audiences"] = list(answer.audiences)
    if answer.error:
        status["error"] = answer.error
    body["status"] = status
    return body


async def review_self(_registries: Any, _namespace: str, _body: Object, ctx: Context) -> Object:
    """Who asks, as the server sees it."""
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": f"{GROUP}/v1",
        "metadata": {"creationTimestamp": rfc3339(ctx.now)},
        "status": {"userInfo": user_info(ctx.user)},
    }


SELF_SUBJECT_REVIEW = Kind(
    resource=Resource(GROUP, "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False),
    definition=DEFINITION + "SelfSubjectReview",
    singular="selfsubjectreview",
    verbs=("create",),
    create=review_self,
)

TOKEN_REVIEW = Kind(
    resource=Resource(GROUP, "v1", "tokenreviews", "TokenReview", namespaced=False),
    definition=DEFINITION + "TokenReview",
    singular="tokenreview",
    verbs=("create",),
    create=review_token,
)

KINDS = [SELF_SUBJECT_REVIEW, TOKEN_REVIEW]
