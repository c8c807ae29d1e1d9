"""The bodies of patches: their media types, and what their text says before any object is looked at. Pure.

Merge and JSON patches are JSON, apply takes YAML. Repeated keys are told as field validation wants them; the last one counts. Applying
them is in `patch.py`, the rules of each form in `kube/patch`. Source: apiserver `endpoints/handlers/patch.go`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from kube.errors import BadRequest, UnsupportedMediaType
from kube.patch.golang import int64s
from kube.patch.json_patch import check_json_patch, json_kind
from kube.patch.merge_patch import check_merge_patch
from kube.schema import gojson, goyaml
from kube.schema.strict import Number, Pairs

JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
ACCEPTED: Final = (JSON_PATCH, MERGE, STRATEGIC, APPLY)

TOO_DEEP: Final = "exceeded max depth"
"""Said of what is nested deeper than `bodies.py` takes."""
_GO_MAP: Final = "Go value of type map[string]interface {}"
_WRITTEN_ODDLY: Final = (b"<", b">", b"&", b"\\u", b"\\/", "\u2028".encode(), "\u2029".encode())
_QUOTED_BYTES_MAX: Final = 64 * 1024
"""deviates: in larger patches, `test` compares strings by what they say, where upstream always goes by how they are written"""
_MANY_DIGITS: Final = re.compile(rb"[0-9a-fA-F_]{16}|[eE]\+?[0-9]{2}")
_OPERATION_FIELDS: Final = frozenset({"op", "path", "from", "value"})


class PatchBody(NamedTuple):
    """A patch as it was sent. `strict_errors`: what field validation has to say of the text itself."""

    media: str
    value: Any
    strict_errors: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def check_media_type(content_type: str) -> None:
    """Raises UnsupportedMediaType where no listed media type is one of a patch: what upstream's router looks at."""
    if not any(each.partition(";")[0].strip() in ACCEPTED for each in content_type.split(",")):
        raise UnsupportedMediaType("415: Unsupported Media Type", details={})


@lru_cache(maxsize=1024)
def media_type_of(content_type: str) -> str:
    """The media type of a patch. Raises UnsupportedMediaType."""
    media = content_type.partition(";")[0].strip()
    if media not in ACCEPTED:
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {', '.join(ACCEPTED)}"
        )
    return media


def parse(body: bytes, media: str, *, validation: str) -> PatchBody:
    """Read a body. `validation` is the fieldValidation of the request. Raises BadRequest."""
    if media == APPLY:
        return _parse_yaml(body, validation)
    lenient = validation == "Ignore"
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _odd(body, media, lenient=lenient)
    if media == STRATEGIC and _MANY_DIGITS.search(body) is not None:
        value = int64s(value)
    unknown = _checked(value, media, lenient=lenient)
    repeats = _repeats_keys(body, value)
    if media == JSON_PATCH and b'"test"' in body and len(body) <= _QUOTED_BYTES_MAX and any(each in body for each in _WRITTEN_ODDLY):
        value = gojson.load_quoted(body)
    if lenient or not (unknown or repeats):
        return PatchBody(media, value)
    pairs = gojson.load(body)
    told = _operations_told(pairs) if media == JSON_PATCH else repeated(pairs)
    return PatchBody(media, value, tuple(dict.fromkeys(told)))


def _checked(value: Any, media: str, *, lenient: bool) -> list[str]:
    """The unknown fields of operations. Raises BadRequest for what field validation does not let pass (merging has rules of its own)."""
    if media == STRATEGIC:
        if value is not None and not isinstance(value, dict):
            raise BadRequest(f"json: cannot unmarshal {json_kind(value)} into {_GO_MAP}")
    elif not lenient:
        if media == JSON_PATCH:
            return check_json_patch(value)
        check_merge_patch(value)
    return []


def _odd(body: bytes, media: str, *, lenient: bool) -> Any:
    """What orjson refuses: malformed (nearly always), nested too deep, or odd but fine for Go."""
    prefix = "" if media == STRATEGIC or lenient else "error decoding patch: "
    wrong = gojson.syntax_error(body)
    if wrong:
        raise BadRequest("Invalid JSON Patch" if lenient and media == MERGE else prefix + wrong)
    try:
        return _plain(gojson.load(body), prefix)
    except RecursionError:
        raise BadRequest(prefix + TOO_DEEP) from None


def _plain(value: Any, prefix: str) -> Any:
    if isinstance(value, Pairs):
        return {key: _plain(each, prefix) for key, each in value}
    if isinstance(value, list):
        return [_plain(each, prefix) for each in value]
    if isinstance(value, Number):
        if not math.isfinite(value):
            raise BadRequest(f"{prefix}json: cannot unmarshal number {value.text} into Go value of type float64")
        return float(value)
    return value


def _repeats_keys(body: bytes, value: Any) -> bool:
    """Cheap and rarely wrong: every key has its colon, and a repeated key is gone from `value`. Looks at the depth on the way."""
    try:
        again = gojson.encoded(value)
    except gojson.TooDeep:
        raise BadRequest(f"error decoding patch: {TOO_DEEP}") from None
    return again.count(b":") != body.count(b":")


def repeated(value: Any, path: str = "") -> Iterator[str]:
    """`duplicate field "data.k"` for each key that an object of `gojson.load` has more than once, in the order of the text."""
    if isinstance(value, Pairs):
        seen: set[str] = set()
        for key, each in value:
            where = f"{path}.{key}" if path else key
            if key in seen:
                yield f'duplicate field "{where}"'
            seen.add(key)
            yield from repeated(each, where)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from repeated(each, f"{path}[{index}]")


def _operations_told(operations: Any) -> Iterator[str]:
    for index, operation in enumerate(operations or ()):
        seen: set[str] = set()
        for key, value in operation or ():
            where = f"[{index}].{key}"
            if key not in _OPERATION_FIELDS:
                yield f'json patch unknown field "{where}"'
            elif key in seen:
                yield f'json patch duplicate field "{where}"'
            seen.add(key)
            if key == "value":
                yield from (f"json patch {each}" for each in repeated(value, where))


def _parse_yaml(body: bytes, validation: str) -> PatchBody:
    try:
        document = goyaml.load(body)
    except goyaml.YamlError as error:
        raise BadRequest(f"error decoding YAML: error converting YAML to JSON: {error}") from None
    value = {} if document.value is None else document.value
    if _MANY_DIGITS.search(body) is not None:
        value = int64s(value)
    if not isinstance(value, dict):
        why = f"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {json_kind(value)} into {_GO_MAP}"
        raise BadRequest(f"error decoding YAML: {why}")
    try:
        gojson.encoded(value)
    except gojson.TooDeep:
        raise BadRequest(f"error decoding YAML: {TOO_DEEP}") from None
    return PatchBody(APPLY, value, tuple(document.duplicates) if validation != "Ignore" else ())
