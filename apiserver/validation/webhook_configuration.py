"""Validating- and MutatingWebhookConfigurations.

Source: kubernetes `pkg/apis/admissionregistration/validation/validation.go`. What the stored object breaks already, an update may go on
breaking: side effects, review versions, unique names, label values, match conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apiserver.validation.admission_rules import FAILURE_POLICIES, MATCH_POLICIES, validate_match_conditions, validate_rule
from apiserver.validation.metadata import complaints, same, validate_label_selector
from apiserver.validation.names import is_dns1035_label, is_dns1123_subdomain
from apiserver.validation.webhook_client import validate_client_config
from kube.errors import FieldError, duplicate, invalid, not_supported, required
from kube.objects import Object

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

REVIEW_VERSIONS = ("v1", "v1beta1")
SIDE_EFFECTS, ALL_SIDE_EFFECTS = ("None", "NoneOnDryRun"), ("None", "NoneOnDryRun", "Some", "Unknown")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
TIMEOUT_MIN_S, TIMEOUT_MAX_S = 1, 30


@dataclass(frozen=True, slots=True)
class _Strictness:
    """What is asked of this write."""

    side_effects: bool = True
    versions: bool = True
    names: bool = True
    labels: bool = True
    conditions: bool = True


def validate_validating(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    return _webhooks(new, old, mutating=False)


def validate_mutating(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    return _webhooks(new, old, mutating=True)


def _strictness(new: Object, old: Object | None) -> _Strictness:
    if old is None:
        return _Strictness()
    hooks, given = old.get("webhooks") or [], new.get("webhooks") or []
    names = [hook.get("name") for hook in hooks]
    selectors = [hook.get(name) for hook in hooks for name in ("namespaceSelector", "objectSelector")]
    return _Strictness(
        side_effects=all(hook.get("sideEffects") in SIDE_EFFECTS for hook in hooks),
        versions=all(not (versions := set(hook.get("admissionReviewVersions") or ())) or versions & set(REVIEW_VERSIONS) for hook in hooks),
        names=len(set(names)) == len(names),
        labels=not any(validate_label_selector(selector, "") for selector in selectors),
        conditions=not same([hook.get("matchConditions") for hook in given], [hook.get("matchConditions") for hook in hooks]),
    )


def _webhooks(new: Object, old: Object | None, *, mutating: bool) -> list[FieldError]:
    strict = _strictness(new, old)
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, hook in enumerate(new.get("webhooks") or []):
        path, name = f"webhooks[{index}]", hook.get("name") or ""
        errors += _webhook(hook, path, strict, mutating=mutating)
        errors += _versions(hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions", must_know=strict.versions)
        if strict.names and name:
            if name in seen:
                errors.append(duplicate(f"{path}.name", name))
            seen.add(name)
    return errors


def _webhook(hook: Object, path: str, strict: _Strictness, *, mutating: bool) -> list[FieldError]:
    errors = _name(hook.get("name") or "", f"{path}.name")
    for index, rule in enumerate(hook.get("rules") or []):
        errors += validate_rule(rule, f"{path}.rules[{index}]")
    errors += _one_of(hook, "failurePolicy", FAILURE_POLICIES, path) + _one_of(hook, "matchPolicy", MATCH_POLICIES, path)
    classes = SIDE_EFFECTS if strict.side_effects else ALL_SIDE_EFFECTS
    if hook.get("sideEffects") is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(classes)}"))
    errors += _one_of(hook, "sideEffects", classes, path)
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not TIMEOUT_MIN_S <= timeout <= TIMEOUT_MAX_S:
        errors.append(invalid(f"{path}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds"))
    for name in ("namespaceSelector", "objectSelector"):
        errors += validate_label_selector(hook.get(name), f"{path}.{name}", allow_bad_values=not strict.labels)
    if mutating:
        errors += _one_of(hook, "reinvocationPolicy", REINVOCATION_POLICIES, path)
    errors += validate_client_config(hook.get("clientConfig") or {}, f"{path}.clientConfig")
    if strict.conditions:
        errors += validate_match_conditions(hook.get("matchConditions") or [], f"{path}.matchConditions")
    return errors


def _one_of(hook: Object, name: str, values: Sequence[str], path: str) -> list[FieldError]:
    given = hook.get(name)
    return [] if given is None or given in values else [not_supported(f"{path}.{name}", given, values)]


def _name(name: str, path: str) -> list[FieldError]:
    """A fully qualified name: a subdomain of at least three segments."""
    if not name:
        return [required(path)]
    found = is_dns1123_subdomain(name)
    if found:
        return [invalid(path, name, ",".join(found))]
    return [] if name.count(".") >= 2 else [invalid(path, name, "should be a domain with at least three segments separated by dots")]


def _versions(versions: Sequence[str], path: str, *, must_know: bool) -> list[FieldError]:
    known = ", ".join(REVIEW_VERSIONS)
    if not versions:
        return [required(path, f"must specify one of {known}")]
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        at = f"{path}[{index}]"
        errors += [invalid(at, version, "duplicate version")] if version in seen else complaints(at, version, is_dns1035_label(version))
        seen.add(version)
    if must_know and not seen & set(REVIEW_VERSIONS):
        errors.append(invalid(path, list(versions), f"must include at least one of {known}"))
    return errors
