"""Validating- and MutatingAdmissionPolicies and their bindings. Source: kubernetes `pkg/apis/admissionregistration/validation`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from apiserver.validation.admission_rules import FAILURE_POLICIES, MATCH_POLICIES, validate_match_conditions, validate_named_rule
from apiserver.validation.expressions import APPLY_CONFIGURATION, BOOL, JSON_PATCH, NULL, STRING, Scope, admission_error
from apiserver.validation.metadata import complaints, same, validate_conditions, validate_label_selector
from apiserver.validation.names import byte_length, is_dns1035_label, is_dns1123_subdomain, is_path_segment_name, is_qualified_name
from kube.errors import FieldError, duplicate, invalid, not_allowed, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
ACTIONS = ("Audit", "Deny", "Warn")
NOT_FOUND_ACTIONS = ("Deny", "Allow")
PATCH_TYPES = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_PATCHES = {"ApplyConfiguration": APPLY_CONFIGURATION, "JSONPatch": JSON_PATCH}
REINVOCATION_POLICIES = ("IfNeeded", "Never")
MUTABLE_OPERATIONS = ("*", "CONNECT", "CREATE", "UPDATE")
AUDIT_ANNOTATIONS_MAX, VALUE_EXPRESSION_MAX = 20, 5 * 1024
_NO_EXPRESSION = "expression is not specified"
_ONE_CHECK = "validations or auditAnnotations must contain at least one item"
_EXCLUSIVE = "name and selector are mutually exclusive"

_identifier_re = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    )
)
_unclosed_re = re.compile(r"\[[^\]]*$")


# --- policies ---------------------------------------------------------------------------------------------------------


def validate_validating_policy(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec, name = new.get("spec") or {}, new["metadata"].get("name") or ""
    errors = _shared_errors(spec, None if old is None else old.get("spec") or {})
    checks, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not checks and not annotations:
        return [*errors, required("spec.validations", _ONE_CHECK), required("spec.auditAnnotations", _ONE_CHECK)]
    scope = _scope(spec)
    for index, check in enumerate(checks):
        errors += _check(check, f"spec.validations[{index}]", scope)
    if len(annotations) > AUDIT_ANNOTATIONS_MAX:
        why = f"must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations"
        errors.append(invalid("spec.auditAnnotations", annotations, why))
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", annotation.get("key") or ""
        errors += _audit_annotation(annotation, name, path, scope)
        if key in seen:
            errors.append(duplicate(f"{path}.key", key))
        seen.add(key)
    return errors


def validate_mutating_policy(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = _shared_errors(spec, None if old is None else old.get("spec") or {}, is_mutating=True)
    if not spec.get("mutations"):
        errors.append(required("spec.mutations", "mutations must contain at least one item"))
    scope = _scope(spec)
    scope = replace(scope, variables=scope.variables or {}, has_patch_types=True)
    for index, mutation in enumerate(spec.get("mutations") or []):
        errors += _mutation(mutation, f"spec.mutations[{index}]", scope)
    return errors + _choice(spec.get("reinvocationPolicy"), REINVOCATION_POLICIES, "spec.reinvocationPolicy")


def _choice(value: str | None, values: Sequence[str], path: str) -> list[FieldError]:
    """A required field with few values."""
    if not value:
        return [required(path)]
    return [] if value in values else [not_supported(path, value, values)]


def _shared_errors(spec: Object, old: Object | None, *, is_mutating: bool = False) -> list[FieldError]:
    """What both kinds of policy have: when they apply, and their variables. Match conditions that an update leaves alone are not checked
    again."""
    errors = _choice(spec.get("failurePolicy"), FAILURE_POLICIES, "spec.failurePolicy")
    parameters, constraints, path = spec.get("paramKind"), spec.get("matchConstraints"), "spec.matchConstraints"
    if parameters is not None:
        errors += _param_kind(parameters, "spec.paramKind")
    if constraints is None:
        errors.append(required(path))
    else:
        errors += _match_resources(constraints, path)
        if not constraints.get("resourceRules"):
            errors.append(required(f"{path}.resourceRules"))
        errors += _immutable_operations(constraints, path) if is_mutating else []
    if old is None or not all(same(spec.get(name), old.get(name)) for name in ("paramKind", "matchConditions")):
        known = Scope(has_params=parameters is not None)
        errors += validate_match_conditions(spec.get("matchConditions") or [], "spec.matchConditions", scope=known)
    scope = _scope(spec, 0)
    for index, variable in enumerate(spec.get("variables") or []):
        errors += _variable(variable, f"spec.variables[{index}]", scope)
        scope = scope.with_variable(variable.get("name") or "", variable.get("expression") or "")
    return errors


def _immutable_operations(constraints: Object, path: str) -> list[FieldError]:
    """What cannot be mutated: neither what is deleted nor what no request is."""
    named = [each for rule in constraints.get("resourceRules") or () for each in rule.get("operations") or ()]
    return [not_supported(f"{path}.resourceRules.operations", each, MUTABLE_OPERATIONS) for each in named if each not in MUTABLE_OPERATIONS]


def _scope(spec: Object, count: int | None = None) -> Scope:
    """What a policy's expressions may mention: its parameters and its variables (the first `count` of them)."""
    variables = spec.get("variables") or []
    scope = Scope(spec.get("paramKind") is not None, {} if variables else None)
    for each in variables[:count]:
        scope = scope.with_variable(each.get("name") or "", each.get("expression") or "")
    return scope


def _expression_errors(expression: str, path: str, scope: Scope, *returns: str) -> list[FieldError]:
    found = admission_error(expression, path, returns=returns, scope=scope)
    return [found] if found is not None else []


def _param_kind(parameters: Object, path: str) -> list[FieldError]:
    version, kind = parameters.get("apiVersion") or "", parameters.get("kind") or ""
    errors = _api_version(version, f"{path}.apiVersion")
    if not kind:
        return [*errors, required(f"{path}.kind")]
    found = is_dns1035_label(kind.lower())
    why = "may have mixed case, but should otherwise match: " + ",".join(found)
    return [*errors, invalid(f"{path}.kind", kind, why)] if found else errors


def _api_version(text: str, path: str) -> list[FieldError]:
    if not text:
        return [required(path)]
    if text.count("/") > 1:
        return [invalid(path, text, f"unexpected GroupVersion string: {text}")]
    group, _, version = text.rpartition("/")
    found = is_dns1123_subdomain(group) if group else []
    errors = [invalid(path, group, ",".join(found))] if found else []
    if not version:
        return [*errors, invalid(path, text, "version must be specified")]
    found = is_dns1035_label(version)
    return [*errors, invalid(path, version, ",".join(found))] if found else errors


def _match_resources(match: Object, path: str) -> list[FieldError]:
    errors = _choice(match.get("matchPolicy"), MATCH_POLICIES, f"{path}.matchPolicy")
    for name in ("namespaceSelector", "objectSelector"):
        errors += validate_label_selector(match.get(name), f"{path}.{name}")
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(name) or []):
            errors += validate_named_rule(rule, f"{path}.{name}[{index}]")
    return errors


def _variable(variable: Object, path: str, scope: Scope) -> list[FieldError]:
    name = variable.get("name") or ""
    errors: list[FieldError] = []
    if not name.strip():
        errors.append(required(f"{path}.name", "name is not specified"))
    elif not _identifier_re.fullmatch(name) or name in _RESERVED:
        errors.append(invalid(f"{path}.name", name, "must be a valid CEL identifier"))
    return errors + _expression(variable, f"{path}.expression", scope)


def _expression(holder: Object, path: str, scope: Scope, *returns: str) -> list[FieldError]:
    expression = holder.get("expression") or ""
    return _expression_errors(expression, path, scope, *returns) if expression.strip() else [required(path, _NO_EXPRESSION)]


def _check(check: Object, path: str, scope: Scope) -> list[FieldError]:
    """One of a policy's validations."""
    message, computed = (check.get(each) or "" for each in ("message", "messageExpression"))
    reason = check.get("reason")
    errors = _expression(check, f"{path}.expression", scope, BOOL)
    if computed and not computed.strip():
        errors.append(invalid(f"{path}.messageExpression", computed, "must be non-empty if specified"))
    elif computed:
        errors += _expression_errors(computed, f"{path}.messageExpression", replace(scope, has_authorizer=False), STRING)
    if message and not message.strip():
        errors.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif "\n" in message.strip() or "\r" in message.strip():
        errors.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    if reason is not None and reason not in REASONS:
        errors.append(not_supported(f"{path}.reason", reason, REASONS))
    return errors


def _audit_annotation(annotation: Object, policy: str, path: str, scope: Scope) -> list[FieldError]:
    """The key is written to the audit log with the policy's name before it."""
    key, expression = annotation.get("key") or "", (annotation.get("valueExpression") or "").strip()
    if policy:
        errors = complaints(f"{path}.key", f"{policy}/{key}", is_qualified_name(f"{policy}/{key}"))
    else:
        errors = [invalid(f"{path}.key", key, "requires metadata.name be non-empty")]
    at = f"{path}.valueExpression"
    if not expression:
        errors.append(required(at, "valueExpression is not specified"))
    elif byte_length(expression) > VALUE_EXPRESSION_MAX:
        errors.append(required(at, f"must not exceed {VALUE_EXPRESSION_MAX} bytes in length"))
    else:
        errors += _expression_errors(expression, at, scope, STRING, NULL)
    return errors


def _mutation(mutation: Object, path: str, scope: Scope) -> list[FieldError]:
    """The part that the patch type names, and no other."""
    kind = mutation.get("patchType") or ""
    errors = _choice(kind, tuple(PATCH_TYPES), f"{path}.patchType")
    if errors:
        return errors
    part, *others = sorted(PATCH_TYPES.values(), key=lambda each: each != PATCH_TYPES[kind])
    given = mutation.get(part)
    if given is None:
        errors.append(required(f"{path}.{part}", f"must be specified when patchType is {kind}"))
    else:
        at, expression = f"{path}.{part}.expression", (given.get("expression") or "").strip()
        errors += _expression_errors(expression, at, scope, _PATCHES[kind]) if expression else [required(at)]
    for other in others:
        if mutation.get(other) is not None:
            errors.append(invalid(f"{path}.{other}", f"{{{other}}}", f"must not be specified when patchType is {kind}"))
    return errors


def validate_policy_status(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    status = new.get("status") or {}
    errors: list[FieldError] = []
    for index, warning in enumerate((status.get("typeChecking") or {}).get("expressionWarnings") or []):
        path, reference = f"status.typeChecking.expressionWarnings[{index}]", warning.get("fieldRef") or ""
        if not warning.get("warning"):
            errors.append(required(f"{path}.warning"))
        if not reference.strip():
            errors.append(required(f"{path}.fieldRef"))
        elif _unclosed_re.search(reference):
            errors.append(invalid(f"{path}.fieldRef", reference, "invalid JSONPath: unterminated array"))
    return errors + validate_conditions(status.get("conditions"), "status.conditions")


# --- bindings ---------------------------------------------------------------------------------------------------------


def validate_validating_binding(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    return _binding(spec) + _actions(spec.get("validationActions") or [], "spec.validationActions")


def validate_mutating_binding(new: Object, _old: Object | None, _ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    return _binding(spec) + _immutable_operations(spec.get("matchResources") or {}, "spec.matchResources")


def _binding(spec: Object) -> list[FieldError]:
    name, parameters, match = spec.get("policyName") or "", spec.get("paramRef"), spec.get("matchResources")
    errors = complaints("spec.policyName", name, is_dns1123_subdomain(name)) if name else [required("spec.policyName")]
    if parameters is not None:
        errors += _param_ref(parameters, "spec.paramRef")
    return errors + (_match_resources(match, "spec.matchResources") if match is not None else [])


def _param_ref(reference: Object, path: str) -> list[FieldError]:
    name, selector = reference.get("name") or "", reference.get("selector")
    both = name and selector is not None
    errors = complaints(f"{path}.name", name, is_path_segment_name(name)) if name else []
    errors += [not_allowed(f"{path}.name", _EXCLUSIVE)] if both else []
    errors += validate_label_selector(selector, f"{path}.selector")
    errors += [not_allowed(f"{path}.selector", _EXCLUSIVE)] if both else []
    if not name and selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    return errors + _choice(reference.get("parameterNotFoundAction"), NOT_FOUND_ACTIONS, f"{path}.parameterNotFoundAction")


def _actions(actions: Sequence[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, action in enumerate(actions):
        if action not in ACTIONS:
            errors.append(not_supported(f"{path}[{index}]", action, ACTIONS))
        if action in actions[:index]:
            errors.append(duplicate(f"{path}[{index}]", action))
    if "Deny" in actions and "Warn" in actions:
        why = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves "
            "no purpose)"
        )
        errors.append(invalid(path, list(actions), why))
    return errors if actions else [*errors, required(path, "at least one validation action is required")]
