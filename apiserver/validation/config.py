"""ConfigMaps and Secrets. Source: kubernetes `pkg/apis/core/validation/validation.go` (ValidateConfigMap, ValidateSecret)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from apiserver.validation.key_pair import problem_of
from apiserver.validation.metadata import complaints, immutable, validate_object_meta
from apiserver.validation.names import byte_length, is_config_map_key
from kube.errors import FieldError, invalid, not_allowed, required, too_long
from kube.objects import Object, annotations_of
from kube.schema.gojson import syntax_error

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

SIZE_MAX = 1024 * 1024
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
_IMMUTABLE = "field is immutable when `immutable` is set"
_REDACTED = "<secret contents redacted>"


def _key_errors(data: Mapping[str, str], path: str) -> list[FieldError]:
    return [error for key in data for error in complaints(f"{path}[{key}]", key, is_config_map_key(key))]


def _decoded_length(text: str) -> int:
    """Bytes of a base64 text, without decoding it."""
    return len(text) // 4 * 3 - (text.endswith("=") + text.endswith("=="))


def _frozen_errors(new: Object, old: Object, *fields: str) -> list[FieldError]:
    """What was marked immutable stays so, and keeps its data."""
    if not old.get("immutable"):
        return []
    errors = [] if new.get("immutable") else [not_allowed("immutable", _IMMUTABLE)]
    return errors + [not_allowed(name, _IMMUTABLE) for name in fields if (new.get(name) or {}) != (old.get(name) or {})]


def validate_config_map(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    errors = _frozen_errors(new, old, "data", "binaryData") if old is not None else []
    for key in data:
        errors += complaints(f"data[{key}]", key, is_config_map_key(key))
        if key in binary:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    errors += _key_errors(binary, "binaryData")
    total = sum(byte_length(value) for value in data.values()) + sum(map(_decoded_length, binary.values()))
    if total > SIZE_MAX:
        errors.append(too_long("[]", SIZE_MAX))  # upstream's path for "the whole object"
    return errors


# --- Secrets ----------------------------------------------------------------------------------------------------------


def validate_secret(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    errors: list[FieldError] = []
    if old is not None:
        errors += immutable(new.get("type") or "", old.get("type") or "", "type")
        errors += _frozen_errors(new, old, "data")
        errors += validate_object_meta(new["metadata"], namespaced=True, name_rule="subdomain", legacy_finalizers=True)
    data: Mapping[str, str] = new.get("data") or {}
    errors += _key_errors(data, "data")
    if sum(map(_decoded_length, data.values())) > SIZE_MAX:
        errors.append(too_long("data", SIZE_MAX))
    check = _TYPES.get(new.get("type") or "")
    errors += check(new, data) if check else []
    if not errors and new.get("type") == "kubernetes.io/tls":
        problem = problem_of(base64.b64decode(data["tls.crt"] or ""), base64.b64decode(data["tls.key"] or ""))
        ctx.warnings += [problem] if problem else []
    return errors


def _missing(*keys: str) -> list[FieldError]:
    return [required(f"data[{key}]") for key in keys]


def _account_token(secret: Object, _data: Mapping[str, str]) -> list[FieldError]:
    if annotations_of(secret).get(ACCOUNT_ANNOTATION):
        return []
    return [required(f"metadata.annotations[{ACCOUNT_ANNOTATION}]")]


def _docker(key: str) -> Callable[[Object, Mapping[str, str]], list[FieldError]]:
    def check(_secret: Object, data: Mapping[str, str]) -> list[FieldError]:
        if key not in data:
            return _missing(key)
        problem = _object_error(base64.b64decode(data[key] or ""))
        return [invalid(f"data[{key}]", _REDACTED, problem)] if problem else []

    return check


def _object_error(text: bytes) -> str:
    """Why a text is not a JSON object, in Go's words; "" when it is one (or null)."""
    wrong = syntax_error(text)
    if wrong:
        return wrong
    value = json.loads(text)
    if value is None or isinstance(value, dict):
        return ""
    kinds = {list: "array", str: "string", bool: "bool"}
    return f"json: cannot unmarshal {kinds.get(type(value), 'number')} into Go value of type map[string]interface {{}}"


def _basic_auth(_secret: Object, data: Mapping[str, str]) -> list[FieldError]:
    return [] if "username" in data or "password" in data else _missing("username", "password")


def _ssh_auth(_secret: Object, data: Mapping[str, str]) -> list[FieldError]:
    return [] if data.get("ssh-privatekey") else _missing("ssh-privatekey")


def _tls(_secret: Object, data: Mapping[str, str]) -> list[FieldError]:
    return _missing(*(key for key in ("tls.crt", "tls.key") if key not in data))


_TYPES: dict[str, Callable[[Object, Mapping[str, str]], list[FieldError]]] = {
    "kubernetes.io/service-account-token": _account_token,
    "kubernetes.io/dockercfg": _docker(".dockercfg"),
    "kubernetes.io/dockerconfigjson": _docker(".dockerconfigjson"),
    "kubernetes.io/basic-auth": _basic_auth,
    "kubernetes.io/ssh-auth": _ssh_auth,
    "kubernetes.io/tls": _tls,
}
