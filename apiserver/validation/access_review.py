"""Access reviews: what they must and must not ask. Source: kubernetes `pkg/apis/authorization/validation/validation.go`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiserver.validation.metadata import validate_field_selector_requirement, validate_selector_requirement
from kube.errors import FieldError, invalid, required
from kube.objects import Object

_SELECTORS: tuple[tuple[str, Callable[..., list[FieldError]]], ...] = (
    ("fieldSelector", validate_field_selector_requirement),
    ("labelSelector", validate_selector_requirement),
)


def validate_subject_review(review: Object) -> list[FieldError]:
    """A SubjectAccessReview."""
    return _subject_errors(review.get("spec") or {}) + _metadata_errors(review, "must be empty")


def validate_self_subject_review(review: Object) -> list[FieldError]:
    """A SelfSubjectAccessReview."""
    spec = review.get("spec") or {}
    return _attribute_errors(spec) + _selectors_errors(spec) + _metadata_errors(review, "must be empty")


def validate_local_subject_review(review: Object) -> list[FieldError]:
    """A LocalSubjectAccessReview: about resources of its own namespace."""
    spec, namespace = review.get("spec") or {}, (review.get("metadata") or {}).get("namespace") or ""
    errors = _subject_errors(spec) + _metadata_errors(review, "must be empty except for namespace", "namespace")
    asked = spec.get("resourceAttributes")
    if asked is not None and (asked.get("namespace") or "") != namespace:
        errors.append(invalid("spec.resourceAttributes.namespace", asked.get("namespace") or "", "must match metadata.namespace"))
    if spec.get("nonResourceAttributes") is not None:
        errors.append(invalid("spec.nonResourceAttributes", spec["nonResourceAttributes"], "disallowed on this kind of request"))
    return errors


def _subject_errors(spec: Object) -> list[FieldError]:
    errors = _attribute_errors(spec)
    if not spec.get("user") and not spec.get("groups"):
        errors.append(invalid("spec.user", "", "at least one of user or group must be specified"))
    return errors + _selectors_errors(spec)


def _attribute_errors(spec: Object) -> list[FieldError]:
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    errors: list[FieldError] = []
    if resource is not None and other is not None:
        errors.append(invalid("spec.nonResourceAttributes", other, "cannot be specified in combination with resourceAttributes"))
    if resource is None and other is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.append(invalid("spec.resourceAttributes", None, why))
    return errors


def _selectors_errors(spec: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, check in _SELECTORS:
        selector = (spec.get("resourceAttributes") or {}).get(name)
        if selector is not None:
            errors += _selector_errors(selector, f"spec.resourceAttributes.{name}", check)
    return errors


def _selector_errors(selector: Object, path: str, check: Callable[..., list[FieldError]]) -> list[FieldError]:
    """Operators that this server does not know are fine: newer clients may have them."""
    raw, requirements = selector.get("rawSelector") or "", selector.get("requirements") or []
    errors: list[FieldError] = []
    if raw and requirements:
        errors.append(invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements"))
    if not raw and not requirements:
        errors.append(required(f"{path}.requirements", f"when {path} is specified, requirements or rawSelector is required"))
    for index, each in enumerate(requirements):
        errors += check(each, f"{path}.requirements[{index}]", allow_unknown_operators=True)
    return errors


def _metadata_errors(review: Object, why: str, *allowed: str) -> list[FieldError]:
    meta: dict[str, Any] = review.get("metadata") or {}
    extra = {key for key, value in meta.items() if value and key not in ("managedFields", *allowed)}
    return [invalid("metadata", meta, why)] if extra else []
