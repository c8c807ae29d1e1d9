"""AdmissionReviews: what a webhook is sent, and what its answer says. Pure. Source: apiserver `pkg/admission/plugin/webhook/request`."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from kube.errors import ApiError, BadRequest, quoted
from kube.objects import Object
from kube.patch.json_patch import json_kind
from kube.schema.leaves import LeafError, base64

VERSIONS: Final = ("v1", "v1beta1")
_GROUP: Final = "admission.k8s.io"
_KIND: Final = "AdmissionReview"
_SCHEME: Final = "pkg/runtime/scheme.go:111"
_ERROR_CODE_MIN: Final = 400
_ERROR_CODE_MAX: Final = 599
_GO_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "uid": (str, "types.UID"),
    "allowed": (bool, "bool"),
    "status": (dict, "v1.Status"),
    "patch": (str, "[]uint8"),
    "patchType": (str, "{version}.PatchType"),
    "auditAnnotations": (dict, "map[string]string"),
    "warnings": (list, "[]string"),
}
_GO_TYPES_OF_STATUS: Final[Mapping[str, tuple[type, str]]] = {
    "status": (str, "string"),
    "message": (str, "string"),
    "reason": (str, "v1.StatusReason"),
    "details": (dict, "v1.StatusDetails"),
    "code": (int, "int32"),
}


class Undecodable(Exception):
    """An answer that is no AdmissionReview of the version that was sent: as good as none. The text is Go's."""


class Unfit(Exception):
    """An AdmissionReview that does not answer what was sent. The text is upstream's."""


class Response(NamedTuple):
    """What a webhook says. `patch` is JSON, b"" where there is none; `result` is why not, a Status."""

    allowed: bool
    patch: bytes = b""
    patch_type: str = ""
    result: Object | None = None
    warnings: Sequence[str] = ()


def version_for(accepted: Sequence[str]) -> str:
    """The version of AdmissionReview that a webhook is sent: the first that it accepts and we know; "" where there is none."""
    return next((each for each in accepted if each in VERSIONS), "")


def review(version: str, uid: str, request: Object) -> Object:
    """The document that a webhook is sent, of an AdmissionRequest."""
    return {"kind": _KIND, "apiVersion": f"{_GROUP}/{version}", "request": {**request, "uid": uid}}


def read(document: Any, *, version: str, uid: str, mutating: bool) -> Response:
    """What a webhook says with this answer to a review of that version and uid. Raises Undecodable, Unfit."""
    found = document if isinstance(document, dict) else {}
    _check_kind(found, version)
    response = found.get("response")
    if response is None:
        raise Unfit("webhook response was absent")
    _check_types(response, version)
    try:
        patch = b64decode(base64(response.get("patch") or ""))
    except LeafError as error:
        raise Undecodable(str(error)) from None
    patch_type = response.get("patchType")
    if version == "v1":
        _check(found, response, uid)
        _check_patch(patch, patch_type, mutating=mutating)
    elif patch:
        patch_type = "JSONPatch"
    return Response(
        response.get("allowed") or False,
        patch if mutating else b"",
        patch_type or "",
        response.get("status"),
        response.get("warnings") or (),
    )


def _check_kind(found: Object, version: str) -> None:
    """What is of another kind is not read at all; what does not say its kind is, and complained about afterwards."""
    api_version, kind = found.get("apiVersion") or f"{_GROUP}/{version}", found.get("kind") or _KIND
    if (api_version, kind) == (f"{_GROUP}/{version}", _KIND):
        return
    if (api_version, kind) == ("v1", "Status") or (kind == _KIND and api_version in [f"{_GROUP}/{each}" for each in VERSIONS]):
        other = api_version.rpartition("/")[2]
        raise Undecodable(f"converting ({other}.{kind}) to ({version}.{_KIND}): unknown conversion")
    raise Undecodable(unknown_kind(api_version, kind))


def unknown_kind(api_version: str, kind: str) -> str:
    """What Go says of a kind that nobody knows."""
    return f"no kind {quoted(kind)} is registered for version {quoted(api_version)} in scheme {quoted(_SCHEME)}"


def _check_types(response: Any, version: str) -> None:
    if not isinstance(response, dict):
        raise _mistyped(response, "AdmissionReview.response", f"{version}.AdmissionResponse")
    _check_fields(response, "AdmissionResponse.response", _GO_TYPES, version)
    _check_fields(response.get("status") or {}, "Status.response.status", _GO_TYPES_OF_STATUS, version)
    for name, values in (
        ("warnings", response.get("warnings") or ()),
        ("auditAnnotations", (response.get("auditAnnotations") or {}).values()),
    ):
        for each in values:
            if each is not None and not isinstance(each, str):
                raise _mistyped(each, f"AdmissionResponse.response.{name}", "string")


def _check_fields(value: Object, path: str, types: Mapping[str, tuple[type, str]], version: str) -> None:
    for name, (kind, go) in types.items():
        given = value.get(name)
        if given is not None and (not isinstance(given, kind) or (kind is int and isinstance(given, bool))):
            raise _mistyped(given, f"{path}.{name}", go.format(version=version))


def _mistyped(value: Any, path: str, go: str) -> Undecodable:
    return Undecodable(f"json: cannot unmarshal {json_kind(value)} into Go struct field {path} of type {go}")


def _check(found: Object, response: Object, uid: str) -> None:
    given = response.get("uid") or ""
    if given != uid:
        raise Unfit(f"expected response.uid={quoted(uid)}, got {quoted(given)}")
    group, _, version = (found.get("apiVersion") or "").rpartition("/")
    kind = found.get("kind") or ""
    if (group, version, kind) != (_GROUP, "v1", _KIND):
        raise Unfit(f"expected webhook response of {_GROUP}/v1, Kind={_KIND}, got {group}/{version}, Kind={kind}")


def _check_patch(patch: bytes, patch_type: str | None, *, mutating: bool) -> None:
    if not mutating:
        if patch:
            raise Unfit("validating webhook may not return response.patch")
        if patch_type is not None:
            raise Unfit("validating webhook may not return response.patchType")
    elif patch and patch_type is None:
        raise Unfit("webhook returned response.patch but not response.patchType")
    elif not patch and patch_type is not None:
        raise Unfit("webhook returned response.patchType but not response.patch")
    elif patch_type == "":
        raise Unfit('webhook returned invalid response.patchType of ""')


def denial(name: str, result: Object | None) -> ApiError:
    """The answer to a write that a webhook does not allow: its Status, with the webhook's name before the message, and never a success."""
    status = result or {}
    why = status.get("message") or status.get("reason")
    by = f"admission webhook {quoted(name)} denied the request"
    code = max(status.get("code") or 0, _ERROR_CODE_MIN)
    if code > _ERROR_CODE_MAX:
        code = 500  # deviates: upstream answers with the codes above 599 that webhooks say, and hangs up for those of four digits
    message = f"{by}: {why}" if why else f"{by} without explanation"
    return ApiError(message, details=status.get("details"), code=code, reason=status.get("reason") or "")


def no_dry_run(name: str) -> ApiError:
    """The answer to a dry run that a webhook is for which may have side effects."""
    return BadRequest(f"admission webhook {quoted(name)} does not support dry run")
