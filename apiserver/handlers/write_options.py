"""The options of writes and deletes (CreateOptions, UpdateOptions, PatchOptions, DeleteOptions), from the query or from a DELETE's body.

Values that cannot be read are 400, values that are not allowed 422, both in upstream's words. Source: apimachinery `meta/v1` conversion of
`url.Values` and `meta/v1/validation`. The options of lists and watches are in `options.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from apiserver.handlers.bodies import KindNames, Unrecognized, decode_parsed, names_of, parse_body
from kube import errors
from kube.errors import BadRequest, FieldError
from kube.objects import Object
from kube.schema import definitions
from kube.schema.decode import DecodeError
from kube.schema.goquote import is_printable, quote

Query = Mapping[str, Sequence[str]]

APPLY_PATCH = "application/apply-patch+yaml"
FIELD_MANAGER_BYTES_MAX = 128

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_INT64 = (-(2**63), 2**63 - 1)
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_SCHEME = "pkg/apis/meta/internalversion/scheme/register.go:27"
_META_KINDS = frozenset({"APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "CreateOptions", "Status", "UpdateOptions"})
"""Known in any group and version, as DeleteOptions are."""
_META_KINDS_OF_ITS_GROUP = frozenset(
    {
        "GetOptions",
        "ListOptions",
        "PartialObjectMetadata",
        "PartialObjectMetadataList",
        "PatchOptions",
        "Table",
        "TableOptions",
        "WatchEvent",
    }
)
_POLICIES = ("Foreground", "Background", "Orphan")
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")

_FIELDS: dict[str, dict[str, str]] = {
    "CreateOptions": {"dryRun": "list", "fieldManager": "string", "fieldValidation": "string"},
    "UpdateOptions": {"dryRun": "list", "fieldManager": "string", "fieldValidation": "string"},
    "PatchOptions": {"dryRun": "list", "fieldManager": "string", "fieldValidation": "string", "force": "bool"},
    "DeleteOptions": {
        "dryRun": "list",
        "gracePeriodSeconds": "int",
        "orphanDependents": "bool",
        "propagationPolicy": "string",
        "ignoreStoreReadErrorWithClusterBreakingPotential": "bool",
    },
}
"""What the query may carry, kind by kind."""


def decode_options(query: Query, kind: str, *, body: bytes = b"", content_type: str = "", patch_type: str = "") -> Object:
    """The options of one request; only what was given is in it. `kind` is one of CreateOptions, UpdateOptions, PatchOptions, DeleteOptions.

    A DELETE's `body`, if there is one, replaces the query. `patch_type` (a media type) adds the rules about `force` and `fieldManager`.
    Raises BadRequest, UnsupportedMediaType and Invalid."""
    if not query and not body and not patch_type:
        return {}
    if body and kind == "DeleteOptions":
        options = _from_body(body, content_type)
    else:
        options = _from_query(query, _FIELDS[kind])
        if kind == "DeleteOptions":
            preconditions = {name: query[name][0] for name in ("uid", "resourceVersion") if query.get(name, [""])[0]}
            if preconditions:
                options["preconditions"] = preconditions
    wrong = list(_delete_problems(options)) if kind == "DeleteOptions" else _write_problems(options, patch_type)
    if wrong:
        raise errors.invalid_object(kind, "meta.k8s.io", "", wrong)
    return options


def _from_body(body: bytes, content_type: str) -> Object:
    expected = KindNames("meta.k8s.io", "v1", "DeleteOptions")
    try:
        parsed = parse_body(body, content_type)
        found = names_of(parsed, expected)
        if found.kind != expected.kind:
            raise BadRequest(_not_options(found))
        options: Object = decode_parsed(parsed, definitions.load().type(_DELETE_OPTIONS)).value
    except (Unrecognized, DecodeError) as wrong:
        raise BadRequest(str(wrong)) from None
    return options


def _not_options(found: KindNames) -> str:
    """Of the kinds of meta.k8s.io upstream knows that they cannot be DeleteOptions; of others it does not know what they are."""
    if found.kind in _META_KINDS or (found.group == "meta.k8s.io" and found.kind in _META_KINDS_OF_ITS_GROUP):
        return f"converting (v1.{found.kind}) to (v1.DeleteOptions): unknown conversion"
    return f'no kind "{found.kind}" is registered for version "{found.api_version}" in scheme "{_SCHEME}"'


def _from_query(query: Query, fields: Mapping[str, str]) -> Object:
    options: Object = {}
    for name, kind in fields.items():
        values = query.get(name)
        if values:
            options[name] = list(values) if kind == "list" else _READ[kind](values[0])
    return options


def read_int(text: str) -> int:
    """strconv.ParseInt. Raises BadRequest with its message."""
    if _INTEGER.fullmatch(text) is None:
        raise BadRequest(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    value = int(text) if len(text) < 30 else _INT64[1] + 1
    if not _INT64[0] <= value <= _INT64[1]:
        raise BadRequest(f"strconv.ParseInt: parsing {quote(text)}: value out of range")
    return value


def read_bool(text: str) -> bool:
    """Anything but `0` and `false` is true, the empty text included."""
    return text != "0" and text.lower() != "false"


_READ: dict[str, Any] = {"int": read_int, "bool": read_bool, "string": str}


def _write_problems(options: Object, patch_type: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    if patch_type == APPLY_PATCH:
        if not options.get("fieldManager"):
            wrong.append(errors.required("fieldManager", "is required for apply patch"))
    elif patch_type and "force" in options:
        wrong.append(errors.not_allowed("force", "may not be specified for non-apply patch"))
    wrong += field_manager_problems(options.get("fieldManager") or "", "fieldManager")
    wrong += _dry_run_problems(options)
    if options.get("fieldValidation", "") not in _VALIDATIONS:
        wrong.append(errors.not_supported("fieldValidation", options["fieldValidation"], _VALIDATIONS))
    return wrong


def field_manager_problems(name: str, field: str) -> list[FieldError]:
    """What is wrong with a field manager's name: its length in bytes, and every character that does not print."""
    wrong: list[FieldError] = []
    if len(name.encode("utf-8", "replace")) > FIELD_MANAGER_BYTES_MAX:
        wrong.append(errors.too_long(field, FIELD_MANAGER_BYTES_MAX))
    position = 0
    for each in name:
        if not is_printable(each):
            why = f"invalid character U+{ord(each):04X} (at position {position})"
            wrong.append(FieldError("FieldValueInvalid", field, f"Invalid value: {quote(name)}: {why}"))
        position += len(each.encode("utf-8", "replace"))
    return wrong


def _dry_run_problems(options: Object) -> list[FieldError]:
    given = options.get("dryRun") or []
    return [errors.not_supported("dryRun", given, ["All"])] if any(each != "All" for each in given) else []


def _delete_problems(options: Object) -> list[FieldError]:
    wrong: list[FieldError] = []
    policy = options.get("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        wrong.append(errors.invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"))
    if policy is not None and policy not in _POLICIES:
        wrong.append(errors.not_supported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    return wrong + _dry_run_problems(options)
