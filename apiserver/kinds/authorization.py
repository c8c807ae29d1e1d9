"""authorization.k8s.io: access reviews. Answered, never stored. Source: kubernetes `pkg/registry/authorization`; rules in
`validation/access_review.py`.

They ask `registries.authorize(user, spec)` (async; see `Decision`) and `registries.rules_for(user, namespace)` (async; resource rules,
non-resource rules, incomplete). A server without them allows everything to everyone it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.kinds.unstored import own
from apiserver.registry.kind import Context, Kind, User
from apiserver.validation import access_review as validation
from kube.errors import BadRequest, FieldError, invalid_object
from kube.objects import Object
from kube.resources import Resource

GROUP = "authorization.k8s.io"
DEFINITION = "io.k8s.api.authorization.v1."


@dataclass(frozen=True, slots=True)
class Decision:
    """What an authorizer says."""

    allowed: bool
    denied: bool = False
    reason: str = ""
    error: str = ""


def _check(problems: Sequence[FieldError]) -> None:
    """Upstream's reviews fail with an empty kind: `.authorization.k8s.io "" is invalid`."""
    if problems:
        error = invalid_object("", GROUP, "", problems)
        if error.details is not None:
            error.details.setdefault("group", GROUP)
        raise error


def _subject(spec: Object) -> User:
    extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", extra)


async def _decided(registries: Any, body: Object, user: User) -> Object:
    authorize = getattr(registries, "authorize", None)
    decision: Decision = await authorize(user, body["spec"]) if authorize is not None else Decision(True)
    status: Object = {"allowed": decision.allowed}
    if decision.denied:
        status["denied"] = True
    if decision.reason:
        status["reason"] = decision.reason
    if decision.error:
        status["evaluationError"] = decision.error
    body["status"] = status
    return body


async def review_subject(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """May that user do this? Raises Invalid."""
    own(registries, body, DEFINITION + "SubjectAccessReview", ctx)
    _check(validation.validate_subject_review(body))
    return await _decided(registries, body, _subject(body["spec"]))


async def review_local_subject(registries: Any, namespace: str, body: Object, ctx: Context) -> Object:
    """May that user do this in this namespace? Raises Invalid, BadRequest."""
    own(registries, body, DEFINITION + "LocalSubjectAccessReview", ctx)
    _check(validation.validate_local_subject_review(body))
    if namespace != (body.get("metadata") or {}).get("namespace", ""):
        raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
    return await _decided(registries, body, _subject(body["spec"]))


async def review_self(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """May I do this? Raises Invalid."""
    own(registries, body, DEFINITION + "SelfSubjectAccessReview", ctx)
    _check(validation.validate_self_subject_review(body))
    return await _decided(registries, body, ctx.user)


async def review_rules(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """What may I do in a namespace? Raises BadRequest without one."""
    namespace = (body.get("spec") or {}).get("namespace")
    if not namespace:
        raise BadRequest("no namespace on request")
    rules_for = getattr(registries, "rules_for", None)
    resource_rules: list[Object] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    other_rules: list[Object] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    incomplete = False
    if rules_for is not None:
        resource_rules, other_rules, incomplete = await rules_for(ctx.user, namespace)
    return {
        "kind": "SelfSubjectRulesReview",
        "apiVersion": f"{GROUP}/v1",
        "metadata": {},
        "spec": {},
        "status": {"resourceRules": resource_rules, "nonResourceRules": other_rules, "incomplete": incomplete},
    }


def _kind(plural: str, kind: str, create: Any, *, namespaced: bool = False) -> Kind:
    return Kind(
        resource=Resource(GROUP, "v1", plural, kind, namespaced=namespaced),
        definition=DEFINITION + kind,
        singular=kind.lower(),
        verbs=("create",),
        create=create,
    )


KINDS = [
    _kind("localsubjectaccessreviews", "LocalSubjectAccessReview", review_local_subject, namespaced=True),
    _kind("selfsubjectaccessreviews", "SelfSubjectAccessReview", review_self),
    _kind("selfsubjectrulesreviews", "SelfSubjectRulesReview", review_rules),
    _kind("subjectaccessreviews", "SubjectAccessReview", review_subject),
]
