"""FlowSchemas and PriorityLevelConfigurations. Source: kubernetes `pkg/apis/flowcontrol/validation/validation.go`, and for the specs of the
mandatory objects apiserver `pkg/apis/flowcontrol/bootstrap/default.go`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apiserver.validation.metadata import complaints, same
from apiserver.validation.names import is_dns1123_label, is_dns1123_subdomain
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

PRECEDENCE_MAX = 10_000
QUEUES_MAX = 10_000_000
HASH_BITS_MAX = 60
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
SUBJECTS = ("Group", "ServiceAccount", "User")
METHODS = ("ByNamespace", "ByUser")
LEVEL_TYPES = ("Exempt", "Limited")
RESPONSE_TYPES = ("Queue", "Reject")
_NOT_NEGATIVE = "must be a non-negative integer"


def _everything(*groups: str) -> list[Object]:
    return [
        {
            "subjects": [{"kind": "Group", "group": {"name": group}} for group in groups],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }
    ]


MANDATORY_SCHEMAS: dict[str, Object] = {
    "exempt": {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": _everything("system:masters"),
    },
    "catch-all": {
        "priorityLevelConfiguration": {"name": "catch-all"},
        "matchingPrecedence": PRECEDENCE_MAX,
        "distinguisherMethod": {"type": "ByUser"},
        "rules": _everything("system:unauthenticated", "system:authenticated"),
    },
}
"""Schemas whose spec is fixed."""

MANDATORY_LEVELS: dict[str, Object] = {
    "catch-all": {
        "type": "Limited",
        "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0},
    },
}
"""Priority levels whose spec is fixed (of `exempt`, all but the part of that name is)."""


def _fixed(obj: Object, mandatory: dict[str, Object]) -> list[FieldError]:
    name, spec = obj["metadata"].get("name") or "", obj.get("spec") or {}
    if name not in mandatory or same(spec, mandatory[name]):
        return []
    return [invalid("spec", spec, f"spec of '{name}' must equal the fixed value")]


# --- FlowSchema -------------------------------------------------------------------------------------------------------


def validate_flow_schema(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec, path = new.get("spec") or {}, "spec.matchingPrecedence"
    precedence, method = spec.get("matchingPrecedence") or 0, spec.get("distinguisherMethod")
    errors = [] if precedence > 0 else [invalid(path, precedence, "must be a positive value")]
    if precedence > PRECEDENCE_MAX:
        errors.append(invalid(path, precedence, f"must not be greater than {PRECEDENCE_MAX}"))
    if precedence == 1 and new["metadata"].get("name") != "exempt":
        errors.append(invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
    if method is not None and method.get("type") not in METHODS:
        errors.append(not_supported("spec.distinguisherMethod.type", method, METHODS))
    level, at = (spec.get("priorityLevelConfiguration") or {}).get("name") or "", "spec.priorityLevelConfiguration.name"
    errors += complaints(at, level, is_dns1123_subdomain(level)) if level else [required(at, "must reference a priority level")]
    for index, rule in enumerate(spec.get("rules") or []):
        errors += _rule(rule, f"spec.rules[{index}]")
    return errors + _fixed(new, MANDATORY_SCHEMAS) + _conditions(new)


def _rule(rule: Object, path: str) -> list[FieldError]:
    subjects, resources, others = (rule.get(each) or [] for each in ("subjects", "resourceRules", "nonResourceRules"))
    errors = [] if subjects else [required(f"{path}.subjects", "subjects must contain at least one value")]
    for index, subject in enumerate(subjects):
        errors += _subject(subject, f"{path}.subjects[{index}]")
    if not resources and not others:
        errors.append(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
    for index, each in enumerate(resources):
        errors += _resource_rule(each, f"{path}.resourceRules[{index}]")
    for index, each in enumerate(others):
        errors += _other_rule(each, f"{path}.nonResourceRules[{index}]")
    return errors


def _subject(subject: Object, path: str) -> list[FieldError]:
    kind = subject.get("kind") or ""
    if kind not in SUBJECTS:
        return [not_supported(f"{path}.kind", kind, SUBJECTS)]
    fields = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}
    name = fields.pop(kind)
    given, at = subject.get(name), f"{path}.{name}"
    errors = _subject_of(given, name, at) if given is not None else [required(at, f"{name} is required when subject kind is '{kind}'")]
    for other, field in fields.items():
        if subject.get(field) is not None:
            errors.append(not_allowed(f"{path}.{field}", f"{field} is forbidden when subject kind is not '{other}'"))
    return errors


def _subject_of(given: Object, name: str, path: str) -> list[FieldError]:
    who = given.get("name") or ""
    errors = [] if who else [required(f"{path}.name")]
    if name != "serviceAccount":
        return errors
    if who and who != "*":
        errors += complaints(f"{path}.name", who, is_dns1123_subdomain(who))
    namespace, at = given.get("namespace") or "", f"{path}.namespace"
    if namespace:
        return errors + complaints(at, namespace, is_dns1123_label(namespace))
    return [*errors, required(at, "must specify namespace for service account")]


def _alone(values: Sequence[str], path: str, missing: str, others: str) -> list[FieldError]:
    """At least one; `*` only alone."""
    if not values:
        return [required(path, missing)]
    if "*" in values and len(values) > 1:
        return [invalid(path, list(values), f"if '*' is present, must not specify other {others}")]
    return []


def _verbs(verbs: Sequence[str], path: str) -> list[FieldError]:
    if verbs and "*" not in verbs and not set(verbs) <= set(VERBS):
        return [not_supported(path, list(verbs), VERBS)]
    return _alone(verbs, path, "verbs must contain at least one value", "verbs")


def _resource_rule(rule: Object, path: str) -> list[FieldError]:
    groups, resources, namespaces = (rule.get(each) or [] for each in ("apiGroups", "resources", "namespaces"))
    errors = _verbs(rule.get("verbs") or [], f"{path}.verbs")
    errors += _alone(groups, f"{path}.apiGroups", "resource rules must supply at least one api group", "api groups")
    errors += _alone(resources, f"{path}.resources", "resource rules must supply at least one resource", "resources")
    at = f"{path}.namespaces"
    if "*" in namespaces or (not namespaces and not rule.get("clusterScope")):
        missing = "resource rules that are not cluster scoped must supply at least one namespace"
        return errors + _alone(namespaces, at, missing, "namespaces")
    for index, each in enumerate(namespaces):
        found = [f"each member of this list must be '*' or a DNS-1123 label; {why}" for why in is_dns1123_label(each)]
        errors += complaints(f"{at}[{index}]", each, found)
    return errors


def _other_rule(rule: Object, path: str) -> list[FieldError]:
    urls, at = rule.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    errors = _verbs(rule.get("verbs") or [], f"{path}.verbs")
    if not urls or "*" in urls:
        return errors + _alone(urls, at, "nonResourceURLs must contain at least one value", "non-resource URLs")
    for index, url in enumerate(urls):
        why = _url_problem(url)
        if why:
            errors.append(invalid(f"{at}[{index}]", url, why))
    return errors


def _url_problem(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    stars = url.count("*")
    return "wildcard can only do suffix matching" if stars > 1 or (stars and not url.endswith("/*")) else ""


# --- PriorityLevelConfiguration ---------------------------------------------------------------------------------------


def validate_priority_level(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec, name = new.get("spec") or {}, new["metadata"].get("name")
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    errors: list[FieldError] = []
    if (name == "exempt") != (kind == "Exempt"):
        errors.append(invalid("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'"))
    if kind == "Exempt":
        if limited is not None:
            errors.append(not_allowed("spec.limited", "must be nil if the type is not Limited"))
        errors += _shares(exempt or {}, "spec.exempt") + _lendable(exempt or {}, "spec.exempt")
    elif kind == "Limited":
        if exempt is not None:
            errors.append(not_allowed("spec.exempt", "must be nil if the type is Limited"))
        errors += _limited(limited) if limited is not None else [required("spec.limited", "must not be empty when type is Limited")]
    else:
        errors.append(not_supported("spec.type", kind, LEVEL_TYPES))
    if name == "exempt" and not same({**spec, "exempt": None}, {"type": "Exempt"}):
        errors.append(invalid("spec", spec, "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"))
    return errors + _fixed(new, MANDATORY_LEVELS) + _conditions(new)


def _shares(part: Object, path: str) -> list[FieldError]:
    shares = part.get("nominalConcurrencyShares") or 0
    return [invalid(f"{path}.nominalConcurrencyShares", shares, _NOT_NEGATIVE)] if shares < 0 else []


def _lendable(part: Object, path: str) -> list[FieldError]:
    percent = part.get("lendablePercent") or 0
    return [] if 0 <= percent <= 100 else [invalid(f"{path}.lendablePercent", percent, "must be between 0 and 100, inclusive")]


def _limited(limited: Object) -> list[FieldError]:
    path, borrowing = "spec.limited", limited.get("borrowingLimitPercent")
    errors = _shares(limited, path) + _response(limited.get("limitResponse") or {}, f"{path}.limitResponse") + _lendable(limited, path)
    if borrowing is not None and borrowing < 0:
        errors.append(invalid(f"{path}.borrowingLimitPercent", borrowing, "if specified, must be a non-negative integer"))
    return errors


def _response(response: Object, path: str) -> list[FieldError]:
    kind, queuing, at = response.get("type") or "", response.get("queuing"), f"{path}.queuing"
    if kind not in RESPONSE_TYPES:
        return [not_supported(f"{path}.type", kind, RESPONSE_TYPES)]
    if kind == "Reject":
        return [] if queuing is None else [not_allowed(at, "must be nil if limited.limitResponse.type is not Limited")]
    if queuing is None:
        return [required(at, "must not be empty if limited.limitResponse.type is Limited")]
    return _queuing(queuing, at)


def _queuing(queuing: Object, path: str) -> list[FieldError]:
    limit, queues, hand = (queuing.get(each) or 0 for each in ("queueLengthLimit", "queues", "handSize"))
    errors = [invalid(f"{path}.{name}", value, "must be positive") for name, value in _sizes(limit, queues) if value <= 0]
    if queues > QUEUES_MAX:
        errors.append(invalid(f"{path}.queues", queues, f"must not be greater than {QUEUES_MAX}"))
    return errors + _hand(hand, queues, f"{path}.handSize")


def _sizes(limit: int, queues: int) -> tuple[tuple[str, Any], ...]:
    return ("queueLengthLimit", limit), ("queues", queues)


def _hand(hand: int, queues: int, path: str) -> list[FieldError]:
    """A hand of queues is dealt by a 60-bit hash."""
    if hand <= 0:
        return [invalid(path, hand, "must be positive")]
    if hand > queues:
        return [invalid(path, hand, f"should not be greater than queues ({queues})")]
    if math.ceil(math.log2(queues) * hand) <= HASH_BITS_MAX:
        return []
    why = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS_MAX}"
    return [invalid(path, hand, why)]


# --- status -----------------------------------------------------------------------------------------------------------


def _conditions(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate((obj.get("status") or {}).get("conditions") or []):
        path, kind = f"status.conditions[{index}].type", condition.get("type") or ""
        if kind in seen:
            errors.append(duplicate(path, kind))
        seen.add(kind)
        if not kind:
            errors.append(required(path, "must not be empty"))
    return errors


def validate_flow_schema_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return _conditions(new)


def validate_priority_level_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    return _conditions(new)
