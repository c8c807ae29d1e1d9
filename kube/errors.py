"""Errors of the Kubernetes API: one exception tree, one `Status` object each.

    ApiError                          any failed request; carries the whole Status
    +-- BadRequest            400     reason BadRequest
    +-- Unauthorized          401     reason Unauthorized
    +-- Forbidden             403     reason Forbidden
    +-- NotFound              404     reason NotFound
    +-- MethodNotAllowed      405     reason MethodNotAllowed
    +-- NotAcceptable         406     reason NotAcceptable
    +-- Conflict              409     reason Conflict
    |   +-- AlreadyExists     409     reason AlreadyExists
    +-- Expired               410     reason Expired (or Gone): the resourceVersion is too old
    +-- RequestEntityTooLarge 413     reason RequestEntityTooLarge
    +-- UnsupportedMediaType  415     reason UnsupportedMediaType
    +-- Invalid               422     reason Invalid, with one cause per field error
    +-- TooManyRequests       429     reason TooManyRequests, with details.retryAfterSeconds
    +-- InternalError         500     reason InternalError
    +-- NotImplementedByServer 501    reason NotImplemented: this server does not have it (yet), and says so
    +-- ServiceUnavailable    503     reason ServiceUnavailable
    +-- Timeout               504     reason Timeout

Source of shapes and messages: apimachinery `pkg/api/errors/errors.go` and `pkg/util/validation/field/errors.go`.
The server raises them; the client turns a Status back into the same class (`from_status`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kube.schema.goquote import quote


class ApiError(Exception):
    """A request that failed. `status` is the whole Status object, as it goes over the wire."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        code: int | None = None,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details is not None else None
        self.http_code = code if code is not None else self.code
        self.http_reason = reason if reason is not None else self.reason
        self.headers = dict(headers or {})

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.http_reason:
            status["reason"] = self.http_reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.http_code
        return status


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized", **rest: Any) -> None:
        super().__init__(message, **rest)


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class AlreadyExists(Conflict):
    code, reason = 409, "AlreadyExists"


class Expired(ApiError):
    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class NotImplementedByServer(ApiError):
    code, reason = 501, "NotImplemented"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


def _subclasses(of: type[ApiError]) -> Iterable[type[ApiError]]:
    """The tree below `of`, as this file draws it: what other modules derive for themselves is not for clients."""
    for each in of.__subclasses__():
        if each.__module__ == __name__:
            yield each
            yield from _subclasses(each)


def from_status(code: int, status: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ApiError:
    """The exception of a Status (or of any failed answer: `status` may lack everything). Picks the class by reason, else by code."""
    reason = status.get("reason") or ""
    by_reason = {each.reason: each for each in _subclasses(ApiError)}
    by_code = {each.code: each for each in _subclasses(ApiError) if each is not AlreadyExists}
    found = by_reason.get(reason) or by_code.get(code) or ApiError
    message = str(status.get("message") or f"the server answered {code}")
    return found(message, details=status.get("details"), code=code, reason=reason, headers=headers)


# --- errors about one object ------------------------------------------------------------------------------------------


def qualified(plural: str, group: str) -> str:
    """`deployments.apps`, or `pods` in the core group: how messages name a resource."""
    return f"{plural}.{group}" if group else plural


def _details(name: str, group: str, kind: str, **rest: Any) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    return details | rest


def not_found(plural: str, group: str, name: str) -> NotFound:
    return NotFound(f'{qualified(plural, group)} "{name}" not found', details=_details(name, group, plural))


def already_exists(plural: str, group: str, name: str) -> AlreadyExists:
    return AlreadyExists(f'{qualified(plural, group)} "{name}" already exists', details=_details(name, group, plural))


def conflict(plural: str, group: str, name: str, why: str) -> Conflict:
    return Conflict(f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}', details=_details(name, group, plural))


def forbidden(plural: str, group: str, name: str, why: str) -> Forbidden:
    if not plural:
        return Forbidden(f"forbidden: {why}")
    subject = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    return Forbidden(f"{subject} is forbidden: {why}", details=_details(name, group, plural))


# --- field errors: what validation answers ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field. `reason` is the CauseType of the wire; `message` is upstream's body, without the path."""

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def quoted(value: Any) -> str:
    """A rejected value as upstream's messages print it: strings as Go quotes them, None `null`, objects and lists as Go's JSON."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _unsafe_re.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_unsafe_re = re.compile("[<>&\u2028\u2029]")
"""What Go's JSON escapes for the sake of HTML and JavaScript."""


def required(field: str, why: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "Required value" + (f": {why}" if why else ""))


def invalid(field: str, value: Any, why: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, f"Invalid value: {quoted(value)}" + (f": {why}" if why else ""))


def type_invalid(field: str, value: Any, why: str) -> FieldError:
    return FieldError("FieldValueTypeInvalid", field, f"Invalid value: {quoted(value)}: {why}")


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", field, f"Duplicate value: {quoted(value)}")


def not_supported(field: str, value: Any, supported: Sequence[str]) -> FieldError:
    """`supported` is printed in the order given; upstream sorts most, but not all, of its lists."""
    listed = ", ".join(f'"{each}"' for each in supported)
    return FieldError(
        "FieldValueNotSupported", field, f"Unsupported value: {quoted(value)}" + (f": supported values: {listed}" if listed else "")
    )


def not_allowed(field: str, why: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, f"Forbidden: {why}" if why else "Forbidden")


def too_long(field: str, limit: int) -> FieldError:
    return FieldError("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def too_many(field: str, actual: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", field, f"Too many: {actual}: must have at most {limit} items")


def field_not_found(field: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", field, f"Not found: {quoted(value)}")


def invalid_object(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> Invalid:
    """The 422 that lists every field error: the message each text once, the causes all of them, as upstream does."""
    texts = list(dict.fromkeys(str(each) for each in errors))
    body = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    subject = f"{kind}.{group}" if group else kind
    causes = [{"reason": e.reason, "message": e.message, "field": e.field} for e in errors]
    details = _details(name, group, kind)
    if causes:
        details["causes"] = causes
    return Invalid(f'{subject} "{name}" is invalid: {body}', details=details)
