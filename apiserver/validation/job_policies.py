"""The rules of a Job's podFailurePolicy, successPolicy and podReplacementPolicy. Source: kubernetes `pkg/apis/batch/validation`."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.validation.job_indexes import IndexesError, parse_indexes
from apiserver.validation.metadata import complaints, not_negative
from apiserver.validation.names import is_qualified_name
from kube.errors import FieldError, duplicate, invalid, not_supported, required, too_long, too_many
from kube.objects import Object

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_OPERATORS = ("In", "NotIn")
_STATUSES = ("False", "True", "Unknown")
_REPLACEMENT = ("Failed", "TerminatingOrFailed")
_RULES_MAX, _EXIT_CODES_MAX, _PATTERNS_MAX = 20, 255, 20
_INDEXES_BYTES_MAX = 64 * 1024


def whole_invalid(path: str, why: str) -> FieldError:
    """An Invalid that does not print the value."""
    return FieldError("FieldValueInvalid", path, f"Invalid value: {why}")


def _listed(values: Sequence[str]) -> str:
    """A list as Go's %q prints it."""
    return "valid values: [" + " ".join(f'"{value}"' for value in values) + "]"


def _one_of(value: str, known: Sequence[str], path: str) -> list[FieldError]:
    if not value:
        return [required(path, _listed(known))]
    return [] if value in known else [not_supported(path, value, known)]


# --- pod failure policy -----------------------------------------------------------------------------------------------


def validate_pod_failure_policy(spec: Object, path: str) -> list[FieldError]:
    rules = spec["podFailurePolicy"].get("rules") or []
    errors = [too_many(f"{path}.rules", len(rules), _RULES_MAX)] if len(rules) > _RULES_MAX else []
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {each.get("name") for part in ("containers", "initContainers") for each in pod.get(part) or ()}
    for index, rule in enumerate(rules):
        errors += _failure_rule(rule, spec, names, f"{path}.rules[{index}]")
    return errors


def _failure_rule(rule: Object, spec: Object, names: set[str | None], path: str) -> list[FieldError]:
    action = rule.get("action") or ""
    errors = _one_of(action, _ACTIONS, f"{path}.action")
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        errors.append(invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set"))
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        errors += _exit_codes(codes, names, f"{path}.onExitCodes")
    errors += _pod_conditions(patterns, f"{path}.onPodConditions")
    if codes is not None and patterns:
        errors.append(whole_invalid(path, "specifying both OnExitCodes and OnPodConditions is not supported"))
    if codes is None and not patterns:
        errors.append(whole_invalid(path, "specifying one of OnExitCodes and OnPodConditions is required"))
    return errors


def _exit_codes(codes: Object, names: set[str | None], path: str) -> list[FieldError]:
    operator, container = codes.get("operator") or "", codes.get("containerName")
    errors = _one_of(operator, _OPERATORS, f"{path}.operator")
    if container is not None and container not in names:
        why = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", container, why))
    values, at = codes.get("values") or [], f"{path}.values"
    if not values:
        errors.append(invalid(at, codes.get("values"), "at least one value is required"))
    elif len(values) > _EXIT_CODES_MAX:
        errors.append(too_many(at, len(values), _EXIT_CODES_MAX))
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.append(invalid(f"{at}[{index}]", value, "must not be 0 for the In operator"))
        if value in values[:index]:
            errors.append(duplicate(f"{at}[{index}]", value))
    if values != sorted(values):
        errors.append(invalid(at, values, "must be ordered"))
    return errors


def _pod_conditions(patterns: list[Object], path: str) -> list[FieldError]:
    errors = [too_many(path, len(patterns), _PATTERNS_MAX)] if len(patterns) > _PATTERNS_MAX else []
    for index, pattern in enumerate(patterns):
        kind = pattern.get("type") or ""
        errors += complaints(f"{path}[{index}].type", kind, is_qualified_name(kind))
        errors += _one_of(pattern.get("status") or "", _STATUSES, f"{path}[{index}].status")
    return errors


# --- success and replacement policies ---------------------------------------------------------------------------------


def validate_success_policy(spec: Object, path: str) -> list[FieldError]:
    """Only Indexed jobs, which have completions, can have one."""
    policy = spec["successPolicy"]
    if spec.get("completionMode") != "Indexed":
        return [invalid(path, policy, "requires indexed completion mode")]
    rules, at = policy.get("rules") or [], f"{path}.rules"
    errors: list[FieldError] = []
    if not rules:
        errors.append(required(at, "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > _RULES_MAX:
        errors.append(too_many(at, len(rules), _RULES_MAX))
    for index, rule in enumerate(rules):
        errors += _success_rule(rule, spec.get("completions") or 0, f"{at}[{index}]")
    return errors


def _success_rule(rule: Object, completions: int, path: str) -> list[FieldError]:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    errors: list[FieldError] = []
    if count is None and indexes is None:
        errors.append(required(path, "at least one of succeededCount or succeededIndexes must be specified"))
    total = 0
    if indexes is not None:
        at = f"{path}.succeededIndexes"
        if len(indexes) > _INDEXES_BYTES_MAX:
            errors.append(too_long(at, _INDEXES_BYTES_MAX))
        try:
            total = sum(last - first + 1 for first, last in parse_indexes(indexes, completions))
        except IndexesError as problem:
            errors.append(invalid(at, indexes, f"error parsing succeededIndexes: {problem}"))
    if count is not None:
        at = f"{path}.succeededCount"
        errors += not_negative(count, at)
        if count > completions:
            errors.append(invalid(at, count, f"must be less than or equal to {completions} (the number of specified completions)"))
        if indexes is not None and count > total:
            why = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
            errors.append(invalid(at, count, why))
    return errors


def validate_pod_replacement_policy(spec: Object, path: str) -> list[FieldError]:
    policy = spec.get("podReplacementPolicy")
    known = _REPLACEMENT[:1] if spec.get("podFailurePolicy") is not None else _REPLACEMENT
    return [] if policy is None or policy in known else [not_supported(path, policy, known)]
