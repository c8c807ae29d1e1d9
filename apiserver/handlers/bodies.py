"""Request bodies as JSON values: media types, the syntax of JSON and YAML, and what a body says it is.

The fast path is orjson; what it refuses is looked at again as Go would (`kube/schema/gojson.py`). Bodies are limited to 3 MiB before they
get here, their depth here. Not here: the fields of kinds (`decoding.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from kube.errors import UnsupportedMediaType
from kube.schema import definitions, gojson, goyaml, protobuf, strict
from kube.schema.decode import Decoded, DecodeError, decode_clean
from kube.schema.types import StructType

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"

# deviates: upstream takes 10,000 levels of nesting, this server about 240 (what its JSON encoder takes, and some to spare)
TOO_DEEP = "exceeded max depth"
_SPARE_LEVELS = 8
_BRACKETS_FEW = 200
_SUMMARY_BYTES = 30
_HEADER = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


class Unrecognized(ValueError):
    """A body that does not get as far as having a kind; the message is upstream's."""


class KindNames(NamedTuple):
    """What a body says it is, or is expected to be."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


class Parsed(NamedTuple):
    """A body as JSON. `text` is what it was parsed from, if that was JSON: for a second, exact look when `value` is not as it should be."""

    value: Any
    text: bytes = b""
    repeats_keys: bool = False
    duplicates: tuple[str, ...] = ()  # what YAML itself has to say of repeated keys


def media_type_of(content_type: str) -> str:
    """The media type of a Content-Type header, without parameters; JSON if there is none. Raises UnsupportedMediaType."""
    found = content_type.partition(";")[0].strip().lower() or JSON
    if found in (JSON, YAML, PROTOBUF):
        return found
    raise unsupported_media_type([JSON, YAML, PROTOBUF])


def unsupported_media_type(known: Sequence[str]) -> UnsupportedMediaType:
    return UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}")


def parse_body(body: bytes, content_type: str) -> Parsed:
    media = media_type_of(content_type)
    if media == YAML:
        return _parse_yaml(body)
    if media == PROTOBUF:
        return _parse_protobuf(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_odd(body)
    return Parsed(value, body, repeats_keys=_may_repeat_keys(body, value))


def _parse_protobuf(body: bytes) -> Parsed:
    try:
        api_version, kind, raw = protobuf.envelope(body)
        name = definitions.load().kinds.get((*_group_version(api_version), kind))
        if name is None:
            raise Unrecognized(f'no kind "{kind}" is registered for version "{api_version}"')
        value = protobuf.loads(raw, name)
    except protobuf.ProtobufError as wrong:
        raise Unrecognized(str(wrong)) from None
    _check_depth(value)
    return Parsed({**value, "apiVersion": api_version, "kind": kind})


def _parse_yaml(body: bytes) -> Parsed:
    try:
        document = goyaml.load(body)
    except goyaml.YamlError as wrong:
        raise Unrecognized(str(wrong)) from None
    return Parsed(document.value, duplicates=tuple(document.duplicates))


def _parse_odd(body: bytes) -> Parsed:
    """What orjson refuses: malformed (nearly always), nested very deep, or odd but fine for Go."""
    wrong = gojson.syntax_error(body)
    if wrong:
        raise Unrecognized(f"couldn't get version/kind; json parse error: {wrong}")
    try:
        value = strict.plain(gojson.load(body))
    except RecursionError:
        raise Unrecognized(f"couldn't get version/kind; json parse error: {TOO_DEEP}") from None
    _check_depth(value)
    return Parsed(value, body, repeats_keys=True)


def _may_repeat_keys(body: bytes, value: Any) -> bool:
    """Cheap and rarely wrong: every key has its colon, and a repeated key is gone from `value`. Checks the depth on the way."""
    try:
        again = orjson.dumps(value)
    except TypeError:
        raise Unrecognized(f"couldn't get version/kind; json parse error: {TOO_DEEP}") from None
    if again.count(b"{") + again.count(b"[") > _BRACKETS_FEW:
        _check_depth(value)
    return again.count(b":") != body.count(b":") or b"\\u003" in body


def _check_depth(value: Any) -> None:
    wrapped = value
    for _ in range(_SPARE_LEVELS):
        wrapped = [wrapped]
    try:
        orjson.dumps(wrapped)
    except TypeError:
        raise Unrecognized(f"couldn't get version/kind; json parse error: {TOO_DEEP}") from None


def summary_of(body: bytes) -> str:
    """The start of a body for a message: as text if it may be JSON, else in hex."""
    if not body:
        return "<empty>"
    start, more = body[:_SUMMARY_BYTES], " ..." if len(body) > _SUMMARY_BYTES else ""
    return (start.decode("utf-8", "replace") if body.startswith(b"{") else start.hex()) + more


def names_of(parsed: Parsed, expected: KindNames) -> KindNames:
    """What the body says it is; what it does not say, the URL does. Raises Unrecognized."""
    value = parsed.value
    if value is None:
        return expected
    if not isinstance(value, dict):
        kind = "bool" if isinstance(value, bool) else {str: "string", list: "array"}.get(value.__class__, "number")
        raise Unrecognized(f"couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value of type {_HEADER}")
    group, version = _group_version(_header(value, "apiVersion"))
    kind = _header(value, "kind") or expected.kind
    if not version and group in ("", expected.group):
        group, version = expected.group, expected.version
    return KindNames(group, version, kind)


def _header(value: dict[str, Any], name: str) -> str:
    given = value.get(name)
    if given is None or isinstance(given, str):
        return given or ""
    kind = "bool" if isinstance(given, bool) else {dict: "object", list: "array"}.get(given.__class__, "number")
    why = f"json: cannot unmarshal {kind} into Go struct field .{name} of type string"
    raise Unrecognized(f"couldn't get version/kind; json parse error: {why}")


def _group_version(api_version: str) -> tuple[str, str]:
    parts = api_version.split("/")
    if len(parts) > 2:
        raise Unrecognized(f"unexpected GroupVersion string: {api_version}")
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


def decode_parsed(parsed: Parsed, of: StructType) -> Decoded:
    """The canonical object. Anything out of the ordinary is read again with repeated keys and the text of numbers. Raises DecodeError."""
    try:
        found = None if parsed.repeats_keys else decode_clean(of, parsed.value or {})
        if found is not None:
            return found
        return Decoded(*strict.walk(of, gojson.load(parsed.text) if parsed.text else parsed.value))
    except RecursionError:
        raise DecodeError(TOO_DEEP) from None
