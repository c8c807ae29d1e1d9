"""Whether a policy or a binding is for a write. Pure. Source: apiserver `pkg/admission/plugin/policy/matching/matching.go` and
`pkg/admission/plugin/webhook/predicates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apiserver.admission.policies.facts import Facts, Form
from kube.errors import ApiError
from kube.labels import Selector, from_object
from kube.objects import Object
from kube.resources import Resource

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Match:
    """MatchResources, read. `of` makes one."""

    rules: Sequence[Object]
    excluded: Sequence[Object]
    equivalent: bool
    namespaces: Selector
    objects: Selector

    @classmethod
    def of(cls, resources: Object) -> Match:
        return cls(
            resources.get("resourceRules") or (),
            resources.get("excludeResourceRules") or (),
            resources.get("matchPolicy") == "Equivalent",
            from_object(resources.get("namespaceSelector") or {}),
            from_object(resources.get("objectSelector") or {}),
        )

    def may_be_for(self, operation: str, plural: str, subresource: str) -> bool:
        """Whether a rule names such a write; if not, it is for none of them."""
        return not self.rules or any(
            _has(rule, "operations", operation) and any(_names(each, plural, subresource) for each in rule.get("resources") or ())
            for rule in self.rules
        )

    def form(self, facts: Facts, namespace: Labels | ApiError | None) -> Form | None:
        """The version in which it is for a write; None where it is not. `namespace`: its labels, or why nobody knows them. Raises that
        where it matters."""
        unknown = None
        if not self.namespaces.is_empty and (facts.namespace or facts.resource.plural == "namespaces"):
            labels = facts.labels[0] if _brings_labels(facts) and facts.labels else namespace
            if isinstance(labels, ApiError):
                unknown = labels
            elif not self.namespaces.matches(labels or {}):
                return None
        if not self.objects.is_empty and not any(self.objects.matches(each) for each in facts.labels):
            return None
        if _matched(self.excluded, facts, equivalent=self.equivalent) is not None:
            return None
        found = _matched(self.rules, facts, equivalent=self.equivalent) if self.rules else facts.forms[0]
        if found is not None and unknown is not None:
            raise unknown
        return found

    def concerns(self, facts: Facts) -> bool:
        """Whether a rule is for writes of this kind and operation at all: what `form` can only narrow, and what is so for all of them."""
        return any(_names_it(rule, facts, form.resource) for rule in self.rules for form in facts.forms)


def _brings_labels(facts: Facts) -> bool:
    """Whether the labels of the namespace are in the object itself."""
    is_namespace = facts.resource.plural == "namespaces" and not facts.subresource
    return is_namespace and facts.operation in ("CREATE", "UPDATE")


def _matched(rules: Sequence[Object], facts: Facts, *, equivalent: bool) -> Form | None:
    """The request's own version if a rule is for it, or else the first version that one is for."""
    own, *others = facts.forms
    if any(_is_for(rule, facts, own.resource) for rule in rules):
        return own
    for rule in rules if equivalent else ():
        for form in others:
            if _is_for(rule, facts, form.resource):
                return form
    return None


def _is_for(rule: Object, facts: Facts, resource: Resource) -> bool:
    names = rule.get("resourceNames")
    return _names_it(rule, facts, resource) and _is_in_scope(rule.get("scope") or "*", facts) and (not names or facts.name in names)


def _names_it(rule: Object, facts: Facts, resource: Resource) -> bool:
    return (
        _has(rule, "operations", facts.operation)
        and _has(rule, "apiGroups", resource.group)
        and _has(rule, "apiVersions", resource.version)
        and any(_names(each, resource.plural, facts.subresource) for each in rule.get("resources") or ())
    )


def _has(rule: Object, field: str, value: str) -> bool:
    values = rule.get(field) or ()
    return value in values or "*" in values


def _is_in_scope(scope: str, facts: Facts) -> bool:
    """A Namespace belongs to no namespace, although requests for it name one: itself."""
    is_namespace = (facts.resource.group, facts.resource.version, facts.resource.plural) == ("", "v1", "namespaces")
    is_namespaced = bool(facts.namespace) and not is_namespace
    return scope == "*" or (scope == "Namespaced") == is_namespaced


def _names(pattern: str, plural: str, subresource: str) -> bool:
    of, _, part = pattern.partition("/")
    return of in ("*", plural) and part in ("*", subresource)
