"""Which requests a webhook or an admission policy is for. Source: kubernetes `pkg/apis/admissionregistration/validation/validation.go`."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.expressions import BOOL, NO_PARAMS, Scope, admission_error
from apiserver.validation.metadata import complaints
from apiserver.validation.names import is_path_segment_name, is_qualified_name
from kube.errors import FieldError, duplicate, invalid, not_supported, required, too_many
from kube.objects import Object

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
CONDITIONS_MAX = 64


def validate_rule(rule: Object, path: str) -> list[FieldError]:
    """A RuleWithOperations."""
    operations, groups, versions = (rule.get(each) or [] for each in ("operations", "apiGroups", "apiVersions"))
    errors = _listed(operations, f"{path}.operations", "operations")
    for index, each in enumerate(operations):
        if each not in OPERATIONS:
            errors.append(not_supported(f"{path}.operations[{index}]", each, OPERATIONS))
    errors += _listed(groups, f"{path}.apiGroups", "API groups")
    errors += _listed(versions, f"{path}.apiVersions", "API versions")
    errors += [required(f"{path}.apiVersions[{index}]") for index, each in enumerate(versions) if not each]
    errors += _resources(rule.get("resources") or [], f"{path}.resources")
    scope = rule.get("scope")
    if scope is not None and scope not in SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, SCOPES))
    return errors


def validate_named_rule(rule: Object, path: str) -> list[FieldError]:
    """A NamedRuleWithOperations."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, name in enumerate(rule.get("resourceNames") or []):
        at = f"{path}.resourceNames[{index}]"
        errors += complaints(at, name, is_path_segment_name(name))
        if name in seen:
            errors.append(duplicate(at, name))
        seen.add(name)
    return errors + validate_rule(rule, path)


def _listed(values: Sequence[str], path: str, what: str) -> list[FieldError]:
    if not values:
        return [required(path)]
    if len(values) > 1 and "*" in values:
        return [invalid(path, list(values), f"if '*' is present, must not specify other {what}")]
    return []


def _resources(resources: Sequence[str], path: str) -> list[FieldError]:
    """No two of the wildcards may mean the same thing."""
    errors = [] if resources else [required(path)]
    any_sub: set[str] = set()
    any_resource: set[str] = set()
    has_plain = False
    for index, each in enumerate(resources):
        at = f"{path}[{index}]"
        if not each:
            errors.append(required(at))
            continue
        resource, slash, sub = each.partition("/")
        if not slash:
            has_plain = each != "*"
            continue
        if resource in any_sub:
            errors.append(invalid(at, each, f"if '{resource}/*' is present, must not specify {each}"))
        if sub in any_resource:
            errors.append(invalid(at, each, f"if '*/{sub}' is present, must not specify {each}"))
        if sub == "*":
            any_sub.add(resource)
        if resource == "*":
            any_resource.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        errors.append(invalid(path, list(resources), "if '*/*' is present, must not specify other resources"))
    if "*" in resources and has_plain:
        errors.append(invalid(path, list(resources), "if '*' is present, must not specify other resources without subresources"))
    return errors


def validate_match_conditions(conditions: Sequence[Object], path: str, *, scope: Scope = NO_PARAMS) -> list[FieldError]:
    errors = [too_many(path, len(conditions), CONDITIONS_MAX)] if len(conditions) > CONDITIONS_MAX else []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name = f"{path}[{index}]", condition.get("name") or ""
        if not (condition.get("expression") or "").strip():
            errors.append(required(f"{at}.expression"))
        elif wrong := admission_error(condition["expression"], f"{at}.expression", returns=(BOOL,), scope=scope):
            errors.append(wrong)
        errors += complaints(f"{at}.name", name, is_qualified_name(name)) if name else [required(f"{at}.name")]
        if name and name in seen:
            errors.append(duplicate(f"{at}.name", name))
        seen.add(name)
    return errors
