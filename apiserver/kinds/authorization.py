"""authorization.k8s.io: access reviews. Answered, never stored. Source: kubernetes `pkg/registry/authorization`; rules in
`validation/access_review.py`.

They ask `registries.authorizer` (`registry/authorization.py`), whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from apiserver.kinds.unstored import own
from apiserver.registry.authorization import Attributes, Decision, Rules
from apiserver.registry.kind import Context, Kind, User
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
    error = "\n".join([*problems, *([decision.error] if decision.error else [])])
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
    """What the review asks about. Selectors that cannot be read are left out and noted among `problems`."""
    other = spec.get("nonResourceAttributes")
    if other is not None:
        return Attributes(other.get("verb") or "", path=other.get("path") or "")
    asked = spec["resourceAttributes"]
    selected = _selected(asked, "fieldSelector", _field_requirements, problems)
    _selected(asked, "labelSelector", _check_labels, problems)
    given = {each: asked.get(each) or "" for each in ("verb", "group", "version", "resource", "subresource", "namespace", "name")}
    return Attributes(**given, field_selector=tuple(selected or ()))


def _selected(asked: Object, name: str, read: Callable[[Object], T], problems: list[str]) -> T | None:
    selector = asked.get(name)
    if selector is None:
        return None
    try:
        return read(selector)
    except ValueError:
        problems.append(f"spec.resourceAttributes.{name} ignored due to parse error")
        return None


def _field_requirements(selector: Object) -> list[FieldRequirement]:
    if selector.get("rawSelector"):
        return [*fields.parse(selector["rawSelector"]).requirements]
    found = []
    for each in selector.get("requirements") or ():
        operator, values = _FIELD_OPERATORS.get(each.get("operator")), list[str](each.get("values") or ())
        if operator is None or len(values) != 1:
            raise ValueError(f"{each} is no field selector")
        found.append(FieldRequirement(each.get("key") or "", operator, values[0]))
    return found


def _check_labels(selector: Object) -> None:
    """Nothing that decides here looks at labels."""
    if selector.get("rawSelector"):
        labels.parse(selector["rawSelector"])
    labels.from_object({"matchExpressions": selector.get("requirements") or ()})


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
