"""From a write to what is to be evaluated about it: which policies match, by which binding, with which parameter.

Source: apiserver `pkg/admission/plugin/policy/generic/{plugin,policy_dispatcher,policy_matcher}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from apiserver.admission.policies.facts import Facts, Form
from apiserver.admission.policies.hooks import Hook
from apiserver.admission.policies.params import ParamError, collected, source_of
from apiserver.admission.policies.policy import Policy
from apiserver.registry import authorization
from apiserver.registry.admission import Attributes
from apiserver.registry.cache import Entry
from apiserver.registry.kind import User
from kube.cel.library.authorization import Authorizer, Question, Remembering
from kube.errors import ApiError
from kube.objects import Object
from kube.resources import NAMESPACES

_NAMESPACE_METADATA: Final = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
    *("deletionGracePeriodSeconds", "labels", "annotations", "finalizers"),
)


@dataclass(slots=True)
class Invocation:
    """One evaluation of a policy, or with `problem`, why there can be none. `binding` "": it is the policy's own problem."""

    policy: Policy
    binding: str
    actions: Sequence[str] = ()
    form: Form | None = None
    params: Object | None = None
    problem: str = ""


class Write:
    """A write on its way through the policies: its facts, its namespace, and who answers for its authorizer."""

    def __init__(self, facts: Facts, namespace: Entry | None) -> None:
        self.facts, self._namespace = facts, namespace
        registries = facts.attributes.registries
        self._decide = Remembering(lambda user, question: registries.authorizer.decide(user, _attributes(question)))
        self._namespaces = registries.get(NAMESPACES)

    def labels(self) -> dict[str, str] | ApiError | None:
        """Those of the namespace; why they are not known; None where there is no namespace."""
        if not self.facts.namespace:
            return None
        return self._namespace.labels if self._namespace is not None else self._namespaces.not_found(self.facts.namespace)

    def values(self, invocation: Invocation) -> dict[str, Any]:
        """What expressions see. Raises NotFound where the namespace is not there."""
        assert invocation.form is not None
        return {**self.seen(invocation.form), "params": invocation.params, "namespaceObject": self._shown_namespace()}

    def seen(self, form: Form) -> dict[str, Any]:
        """The same of the write alone: what conditions see."""
        facts = self.facts
        authorizer = Authorizer(facts.attributes.ctx.user, self._decide, _account)
        resource = facts.resource
        question = Question(
            group=resource.group,
            version="*",
            resource=resource.plural,
            subresource=facts.subresource,
            namespace=facts.namespace,
            name=facts.name,
        )
        return {
            **facts.shown(form),
            "request": facts.request(form.resource, form.kind),
            "authorizer": authorizer,
            "authorizer.requestResource": authorizer.resource_of(question),
        }

    def _shown_namespace(self) -> Object | None:
        if not self.facts.namespace or self.facts.is_namespace:
            return None
        if self._namespace is None:
            raise self._namespaces.not_found(self.facts.namespace)
        obj = self._namespaces.cache.object_of(self._namespace)
        metadata = {name: obj["metadata"][name] for name in _NAMESPACE_METADATA if name in obj["metadata"]}
        return {"metadata": metadata, "spec": obj.get("spec") or {}, "status": obj.get("status") or {}}


def _attributes(question: Question) -> authorization.Attributes:
    return authorization.Attributes(
        question.verb,
        question.group,
        question.version,
        question.resource,
        question.subresource,
        question.namespace,
        question.name,
        question.path,
    )


def _account(namespace: str, name: str) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{namespace}:{name}", groups)


async def write_of(attributes: Attributes) -> Write:
    """A write, with the namespace that it is in."""
    facts = Facts(attributes)
    namespace: Entry | None = None
    if facts.namespace:
        cache = attributes.registries.get(NAMESPACES).cache
        await cache.catch_up()
        namespace = cache.get("", facts.namespace)
    return Write(facts, namespace)


async def invocations(write: Write, hooks: Iterable[Hook]) -> list[Invocation]:
    """What is to be evaluated, in order."""
    found: list[Invocation] = []
    for hook in hooks:
        found += await _of(write, hook)
    return found


async def _of(write: Write, hook: Hook) -> list[Invocation]:
    policy, facts = hook.policy, write.facts
    try:
        form = policy.match.form(facts, write.labels())
        if form is None:
            return []
        source = source_of(policy.param_kind, facts.attributes.registries) if policy.param_kind is not None else None
    except (ApiError, ParamError) as error:
        return [Invocation(policy, "", problem=f"failed to configure policy: {error}")]
    found: list[Invocation] = []
    for binding in hook.bindings:
        try:
            if binding.match is not None and binding.match.form(facts, write.labels()) is None:
                continue
            await facts.see(form)
            params = await collected(source, binding.reference, facts.namespace)
            found += [Invocation(policy, binding.name, binding.actions, form, each) for each in params]
        except (ApiError, ParamError) as error:
            found.append(Invocation(policy, binding.name, problem=f"failed to configure binding: {error}"))
    return found
