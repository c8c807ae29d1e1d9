"""ServiceAccounts and TokenRequests. Source: kubernetes `pkg/apis/authentication/validation/validation.go`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kube.errors import FieldError, invalid
from kube.objects import Object, annotations_of

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

LIFETIME_MIN_S, LIFETIME_MAX_S = 600, 1 << 32
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """Nothing beyond the metadata; a deprecated annotation is warned of when it is new."""
    if _MOUNTABLE in annotations_of(new) and (old is None or _MOUNTABLE not in annotations_of(old)):
        ctx.warnings.append(
            f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        )
    return []


def validate_token_request(request: Object) -> list[FieldError]:
    seconds = (request.get("spec") or {}).get("expirationSeconds") or 0
    if seconds < LIFETIME_MIN_S:
        return [invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")]
    if seconds > LIFETIME_MAX_S:
        return [invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")]
    return []
