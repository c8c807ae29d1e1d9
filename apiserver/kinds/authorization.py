"""authorization.k8s.io: access reviews. Answered, never stored. Source: kubernetes `pkg/registry/authorization`; rules in
`validation/access_review.py`.

They ask `registries.authorizer` (`registry/authorization.py`), whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from apiserver.registry.authorization import Attributes, Decision, Rules
from apiserver.registry.kind import Context, Kind, User
from apiserver.registry.unstored import own
from apiserver.validation import access_review as validation
from kube import fields, labels
from kube.errors import BadRequest, FieldError, invalid_object
from kube.fields import FieldRequirement
from kube.objects import Object
from kube.resources import Resource

GROUP = "authorization.k8s.io"
DEFINITION = "io.k8s.api.authorization.v1."
_FIELD_OPERATORS: Final = {"In": fields.EQUALS, "NotIn": fields.NOT_EQUALS}
T = TypeVar("T")


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


def _decided(registries: Any, body: Object, user: User) -> Object:
    spec, problems = body["spec"], list[str]()
    decision: Decision = registries.authorizer.decide(user, _attributes(spec, problems))
    error = "; ".join([*([decision.error] if decision.error else []), *problems])
    status: Object = {"allowed": decision.allowed}
    body["status"] = status
    if decision.denied:
        status["denied"] = True
    if decision.reason:
        status["reason"] = decision.reason
    if error:
        status["evaluationError"] = error
    return body


def _attributes(spec: Object, problems: list[str]) -> Attributes:
    """What the review asks about. What of its selectors cannot be read is left out and noted among `problems`."""
    other = spec.get("nonResourceAttributes")
    if other is not None:
        return Attributes(other.get("verb") or "", path=other.get("path") or "")
    asked = spec["resourceAttributes"]
    selected = _selected(asked, "fieldSelector", lambda raw: fields.parse(raw).requirements, _field_requirement, problems)
    _selected(asked, "labelSelector", lambda raw: labels.parse(raw).requirements, _label_requirement, problems)
    given = {each: asked.get(each) or "" for each in ("verb", "group", "version", "resource", "subresource", "namespace", "name")}
    return Attributes(**given, field_selector=tuple(selected))


def _selected(
    asked: Object, name: str, parse: Callable[[str], Sequence[T]], read: Callable[[Object], T], problems: list[str]
) -> Sequence[T]:
    """The requirements that can be read: the others would only have narrowed what is asked for."""
    selector = asked.get(name) or {}
    found: list[T] = []
    failed = False
    try:
        found = [*parse(selector.get("rawSelector") or "")]
    except ValueError:
        failed = True
    for each in selector.get("requirements") or ():
        try:
            found.append(read(each))
        except ValueError:
            failed = True
    if failed:
        problems.append(f"spec.resourceAttributes.{name} {'partially ' if found else ''}ignored due to parse error")
    return found


def _field_requirement(requirement: Object) -> FieldRequirement:
    operator, values = _FIELD_OPERATORS.get(requirement.get("operator") or ""), list[str](requirement.get("values") or ())
    if operator is None or len(values) != 1:
        raise ValueError(f"{requirement} is no field selector")
    return FieldRequirement(requirement.get("key") or "", operator, values[0])


def _label_requirement(requirement: Object) -> labels.Requirement:
    """Nothing that decides here looks at labels, but who asks hears which are wrong."""
    return labels.from_object({"matchExpressions": [requirement]}).requirements[0]


async def review_subject(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """May that user do this? Raises Invalid."""
    own(registries, body, DEFINITION + "SubjectAccessReview", ctx)
    _check(validation.validate_subject_review(body))
    return _decided(registries, body, _subject(body["spec"]))


async def review_local_subject(registries: Any, namespace: str, body: Object, ctx: Context) -> Object:
    """May that user do this in this namespace? Raises Invalid, BadRequest."""
    own(registries, body, DEFINITION + "LocalSubjectAccessReview", ctx)
    _check(validation.validate_local_subject_review(body))
    if namespace != (body.get("metadata") or {}).get("namespace", ""):
        raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
    return _decided(registries, body, _subject(body["spec"]))


async def review_self(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """May I do this? Raises Invalid."""
    own(registries, body, DEFINITION + "SelfSubjectAccessReview", ctx)
    _check(validation.validate_self_subject_review(body))
    return _decided(registries, body, ctx.user)


async def review_rules(registries: Any, _namespace: str, body: Object, ctx: Context) -> Object:
    """What may I do in a namespace? Raises BadRequest without one."""
    namespace = (body.get("spec") or {}).get("namespace")
    if not namespace:
        raise BadRequest("no namespace on request")
    rules: Rules = registries.authorizer.rules_for(ctx.user, namespace)
    status: Object = {"resourceRules": rules.resource_rules, "nonResourceRules": rules.other_rules, "incomplete": rules.is_incomplete}
    if rules.error:
        status["evaluationError"] = rules.error
    return {
        "kind": "SelfSubjectRulesReview",
        "apiVersion": f"{GROUP}/v1",
        "metadata": {},
        "spec": {},
        "status": status,
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
