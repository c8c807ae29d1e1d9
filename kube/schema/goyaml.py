"""YAML bodies as upstream reads them: YAML 1.1, converted to JSON first (`sigs.k8s.io/yaml` over go-yaml v2).

libyaml parses (go-yaml was ported from it, so its messages are the same); the values are built here, because what matters differs from
PyYAML: `y`/`on`/`no` are booleans, `0o17` and `017` octal, times stay strings, keys become strings, the last of repeated keys counts and
is told with its line, aliases are bounded, and nothing recurses.
"""

from __future__ import annotations

import binascii
import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from kube.schema.goquote import quote

DEPTH_MAX = 240
_ALIASED_MAX = 100_000
"""deviates: how many values aliases may stand for in all; upstream bounds their share of a document instead."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INT = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?", re.ASCII)
_MERGE = "<<"
_TAG = "tag:yaml.org,2002:"


class YamlError(ValueError):
    """Not YAML, or YAML that is no JSON; the text is go-yaml's."""


@dataclass(slots=True)
class Document:
    """`value` is JSON; `duplicates` are go-yaml's words for repeated keys, e.g. `line 5: key "name" already set in map`."""

    value: Any
    duplicates: list[str] = field(default_factory=list)


def load(text: bytes | str) -> Document:
    """The first document of `text`. Raises YamlError."""
    try:
        return _Builder().build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as wrong:
        raise YamlError(f"yaml: {_where(wrong)}{wrong.problem}") from None
    except yaml.reader.ReaderError:
        raise YamlError("yaml: control characters are not allowed") from None
    except (yaml.YAMLError, UnicodeError) as wrong:
        raise YamlError(f"yaml: {wrong}") from None


def _where(wrong: yaml.MarkedYAMLError) -> str:
    """go-yaml's habit: lines count from 1 for the scanner, from 0 for the parser, and the first one is not told."""
    context, problem = wrong.context_mark, wrong.problem_mark
    line = (context.line if context is not None else 0) or (problem.line if problem is not None else 0)
    if not line:
        return ""
    return f"line {line + isinstance(wrong, yaml.scanner.ScannerError)}: "


@dataclass(slots=True)
class _Open:
    """A collection being built. For maps, `key` waits for its value; `merged` are what `<<` brings; `size` counts the values inside."""

    value: Any
    anchor: str | None
    keys: dict[str, None] = field(default_factory=dict)
    key: str | None = None
    has_key: bool = False
    merged: list[Any] = field(default_factory=list)
    size: int = 1


class _Builder:
    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.aliased = 0
        self.duplicates: list[str] = []
        self.result: Any = None

    def build(self, events: Any) -> Document:
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            self.take(event)
        return Document(self.result, self.duplicates)

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self.add(_scalar(event), 1, event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(self.open) >= DEPTH_MAX:
                raise YamlError("yaml: exceeded max depth")
            self.open.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.close(event)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)

    def close(self, event: Any) -> None:
        done = self.open.pop()
        value = done.value
        for each in done.merged:
            for key, given in each.items():
                value.setdefault(key, given)
        if isinstance(value, dict):
            value = dict(sorted(value.items()))
        if done.anchor is not None:
            self.anchors[done.anchor] = (value, done.size)
        self.add(value, done.size, event)

    def alias(self, event: Any) -> None:
        if any(each.anchor == event.anchor for each in self.open):
            raise YamlError(f"yaml: anchor '{event.anchor}' value contains itself")
        if event.anchor not in self.anchors:
            raise YamlError(f"yaml: unknown anchor '{event.anchor}' referenced")
        value, size = self.anchors[event.anchor]
        self.aliased += size
        if self.aliased > _ALIASED_MAX:
            raise YamlError("yaml: document contains excessive aliasing")
        self.add(value, size, event)

    def add(self, value: Any, size: int, event: Any) -> None:
        """Puts a finished value where it belongs."""
        if isinstance(event, yaml.ScalarEvent) and event.anchor is not None:
            self.anchors[event.anchor] = (value, size)
        if not self.open:
            self.result = value
            return
        into = self.open[-1]
        into.size += size
        if isinstance(into.value, list):
            into.value.append(value)
        elif not into.has_key:
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == _MERGE and event.implicit[0]
            into.key, into.has_key = None if is_merge else _key(value), True
        else:
            self.member(into, value, event)
            into.has_key = False

    def member(self, into: _Open, value: Any, event: Any) -> None:
        if into.key is None:
            into.merged.extend(_merged(value))
            return
        if into.key in into.keys:
            self.duplicates.append(f"line {event.start_mark.line + 1}: key {quote(into.key)} already set in map")
        into.keys[into.key] = None
        into.value[into.key] = value


def _merged(value: Any) -> list[Any]:
    maps = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in maps):
        raise YamlError("yaml: map merge requires map or sequence of maps as the value")
    return maps


def _key(value: Any) -> str:
    """A map's key as JSON has it. Source: `sigs.k8s.io/yaml` convertToJSONableObject."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    raise YamlError("error converting YAML to JSON: unsupported map key")


def _scalar(event: Any) -> Any:
    tag, text = event.tag, event.value
    if tag is None or tag == "!":
        return _resolve(text) if event.implicit[0] else text
    if tag == f"{_TAG}binary":
        try:
            return binascii.a2b_base64(text).decode("utf-8", "replace")
        except binascii.Error:
            raise YamlError("yaml: !!binary value contains invalid base64 data") from None
    if tag == f"{_TAG}str" or not tag.startswith(_TAG):
        return text
    value = _resolve(text)
    return float(value) if tag == f"{_TAG}float" and isinstance(value, int) else value


_BASE60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_TIMES = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:(?:[Tt]| +)\d{1,2}:\d{2}:\d{2}(?:\.\d+)?(?:Z| ?[-+]\d{1,2}(?::?\d{2})?)?)?", re.ASCII)


def is_plain_string(text: str) -> bool:
    """Whether a string may be written without quotes and is read as a string again, by this and by older parsers."""
    if text in _CONSTANTS or text == _MERGE:
        return False
    if text[0] not in "+-.0123456789":
        return True
    return isinstance(_resolve(text), str) and _BASE60.fullmatch(text) is None and _TIMES.fullmatch(text) is None


def _resolve(text: str) -> Any:
    """The value of a plain scalar. Times stay strings, as in go-yaml's untyped maps."""
    if text in _CONSTANTS:
        value = _CONSTANTS[text]
        if isinstance(value, float):
            raise YamlError(f"json: unsupported value: {'NaN' if value != value else '+Inf' if value > 0 else '-Inf'}")
        return value
    if text[0] not in "+-.0123456789":
        return text
    plain = text.replace("_", "")
    whole = _INT.fullmatch(plain)
    if whole is not None and len(plain) <= 80:
        digits = whole[2]
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        value = int(digits, 8) if octal else int(digits, 0)
        return -value if whole[1] == "-" else value
    if _FLOAT.fullmatch(plain) is not None and len(plain) <= 400:
        return _as_json(float(plain), text)
    return text


def _as_json(number: float, text: str) -> Any:
    """Go prints whole floats without a fraction when it turns the document into JSON, so they are integers from there on."""
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 1e21 else number
