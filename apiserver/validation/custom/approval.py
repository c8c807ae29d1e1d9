"""What a definition in a group of the Kubernetes community says of its review, in the annotation api-approved.kubernetes.io.

Source: apiextensions-apiserver `pkg/apihelpers/helpers.go` (GetAPIApprovalState).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apiserver.validation.go_url import UrlError, parse
from kube.schema.goquote import quote

APPROVAL: Final = "api-approved.kubernetes.io"
MISSING, INVALID, APPROVED, BYPASSED = "MissingAnnotation", "InvalidAnnotation", "ApprovedAnnotation", "UnapprovedAnnotation"
APPROVED_REASONS: Final = frozenset({APPROVED, BYPASSED})
"""With one of these a definition may be made."""

_NEED: Final = f"protected groups must have approval annotation {quote(APPROVAL)}"
_SEE: Final = "see https://github.com/kubernetes/enhancements/pull/1111"


@dataclass(frozen=True, slots=True)
class Approval:
    """`reason` is the condition's, `message` what is said of it."""

    reason: str
    message: str


def is_protected(group: str) -> bool:
    """Whether a group is one of the Kubernetes community."""
    return f".{group}".endswith((".k8s.io", ".kubernetes.io"))


def approval_of(annotations: Mapping[str, str]) -> Approval:
    word = annotations.get(APPROVAL) or ""
    if not word:
        return Approval(MISSING, f"{_NEED}, {_SEE}")
    if word.startswith("unapproved"):
        return Approval(BYPASSED, f"not approved: {quote(word)}")
    if _is_url(word):
        return Approval(APPROVED, f"approved in {word}")
    return Approval(INVALID, f'{_NEED} with either a URL or a reason starting with "unapproved", {_SEE}')


def _is_url(text: str) -> bool:
    try:
        url = parse(text)
    except UrlError:
        return False
    return bool(url.scheme and url.host)
