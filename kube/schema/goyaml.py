"""YAML bodies as upstream reads them: YAML 1.1, converted to JSON first (`sigs.k8s.io/yaml` over go-yaml v2).

libyaml parses (go-yaml was ported from it, so its messages are the same); the values are built here, because what matters differs from
PyYAML: `y`/`on`/`no` are booleans, `0o17` and `017` octal, times stay strings, keys become strings, the last of repeated keys counts and
is told with its line, what `<<` brings is set where it stands, aliases are bounded, and nothing recurses.

Source: go-yaml v2.4 `resolve.go` and `decode.go`, sigs.k8s.io/yaml `yaml.go` (keys).
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import yaml

from kube.schema.goquote import quote

DEPTH_MAX = 240
_FEW_NODES, _MANY_NODES = 400_000, 4_000_000
"""Up to the first, nearly all nodes of a document may come from aliases; from the second on, a tenth."""

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
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INTEGERS = (-(2**63), 2**64 - 1)
_MERGE = "<<"
_TAG = "tag:yaml.org,2002:"
_MERGE_TAG = f"{_TAG}merge"


class YamlError(ValueError):
    """Not YAML, or YAML that is no JSON; the text is go-yaml's."""


@dataclass(slots=True)
class Document:
    """`value` is JSON; `duplicates` are go-yaml's words for repeated keys, e.g. `line 5: key "name" already set in map`."""

    value: Any
    duplicates: list[str] = field(default_factory=list)


def load(text: bytes | str) -> Document:
    """The first document of `text`. Raises YamlError."""
    plain = _plain_json(text)
    if plain is not None:
        return plain
    try:
        return _Builder().build(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as wrong:
        raise YamlError(f"yaml: {_where(wrong)}{wrong.problem}") from None
    except yaml.reader.ReaderError:
        raise YamlError("yaml: control characters are not allowed") from None
    except (yaml.YAMLError, UnicodeError) as wrong:
        raise YamlError(f"yaml: {wrong}") from None


_ODD = re.compile(rb"[^\x20-\x5b\x5d-\x7e\n]")
"""What JSON and YAML may read in different ways: escapes, tabs, all but ASCII."""
_STRING = re.compile(rb'"([^"]*)"')
_ODD_NUMBER = re.compile(rb"[0-9][.eE]|[0-9]{16}")
_KEY_MAX, _BRACKETS_MAX = 1000, 200


def _plain_json(text: bytes | str) -> Document | None:
    """A JSON object in which there is nothing that YAML reads otherwise: what clients send as apply configurations, nearly always. None
    for everything else."""
    if not isinstance(text, bytes) or not text.startswith(b"{") or b'"<<"' in text or _ODD.search(text) is not None:
        return None
    bare = _STRING.sub(b"", text)
    if _ODD_NUMBER.search(bare) is not None or bare.count(b"{") + bare.count(b"[") > _BRACKETS_MAX:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    ordered = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if text.count(b":") != ordered.count(b":"):
        return None  # a repeated key, which is to be told
    return None if any(len(each) > _KEY_MAX for each in _STRING.findall(text)) else Document(orjson.loads(ordered))


def _where(wrong: yaml.MarkedYAMLError) -> str:
    """go-yaml's habit: lines count from 1 for the scanner, from 0 for the parser, and the first one is not told."""
    context, problem = wrong.context_mark, wrong.problem_mark
    line = (context.line if context is not None else 0) or (problem.line if problem is not None else 0)
    if not line:
        return ""
    return f"line {line + isinstance(wrong, yaml.scanner.ScannerError)}: "


@dataclass(slots=True)
class _Open:
    """A collection being built. For maps: `lines` says where each key was set, by the key as YAML has it; `key` waits for its value.
    `size` counts the nodes inside."""

    value: Any
    anchor: str | None
    lines: dict[Any, int] = field(default_factory=dict)
    key: Any = None
    has_key: bool = False
    merges: bool = False
    size: int = 1


class _Builder:
    def __init__(self) -> None:
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.lines: dict[int, Mapping[Any, int]] = {}  # where the keys of a map were set, by its id
        self.nodes = self.aliased = 0
        self.duplicates: list[str] = []
        self.result: Any = None

    def build(self, events: Any) -> Document:
        for event in events:
            if isinstance(event, yaml.DocumentEndEvent):
                break
            self.take(event)
        return Document(self.result, self.duplicates)

    def take(self, event: Any) -> None:
        kind = type(event)
        self.nodes += 1
        if kind is yaml.ScalarEvent:
            self.finished(_scalar(event), 1, event, event.anchor)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if len(self.open) >= DEPTH_MAX:
                raise YamlError("yaml: exceeded max depth")
            self.open.append(_Open({} if kind is yaml.MappingStartEvent else [], event.anchor))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = self.open.pop()
            value = dict(sorted(done.value.items())) if isinstance(done.value, dict) else done.value
            self.lines[id(value)] = done.lines
            self.finished(value, done.size, event, done.anchor)
        elif kind is yaml.AliasEvent:
            self.alias(event)

    def alias(self, event: Any) -> None:
        if any(each.anchor == event.anchor for each in self.open):
            raise YamlError(f"yaml: anchor '{event.anchor}' value contains itself")
        if event.anchor not in self.anchors:
            raise YamlError(f"yaml: unknown anchor '{event.anchor}' referenced")
        value, size = self.anchors[event.anchor]
        self.nodes += size
        self.aliased += size
        if self.aliased > 100 and self.nodes > 1000 and self.aliased > self.nodes * _aliased_share(self.nodes):
            raise YamlError("yaml: document contains excessive aliasing")
        self.finished(value, size, event, None)

    def finished(self, value: Any, size: int, event: Any, anchor: str | None) -> None:
        """Puts a finished value of `size` nodes where it belongs."""
        if anchor is not None:
            self.anchors[anchor] = value, size
        if not self.open:
            self.result = value
            return
        into = self.open[-1]
        into.size += size
        if type(into.value) is list:
            into.value.append(value)
        elif not into.has_key:
            into.merges = value == _MERGE and type(event) is yaml.ScalarEvent and (event.implicit[0] or event.tag == _MERGE_TAG)
            into.key, into.has_key = value, True
        else:
            into.has_key = False
            if into.merges:
                self.merge(into, value)
            else:
                self.member(into, into.key, value, event.start_mark.line + 1)

    def member(self, into: _Open, key: Any, value: Any, line: int) -> None:
        known = (type(key), key)
        if known[0] is dict or known[0] is list:
            raise YamlError(f"yaml: invalid map key: {_go_source(key)}")
        if known in into.lines:
            self.duplicates.append(f"line {line}: key {_go_source(key)} already set in map")
        else:
            into.lines[known] = line
        into.value[key if known[0] is str else _key(key, value)] = value

    def merge(self, into: _Open, value: Any) -> None:
        """What `<<` brings, set as if it stood here; of several maps the first counts most."""
        for each in value[::-1] if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                raise YamlError("yaml: map merge requires map or sequence of maps as the value")
            lines = self.lines[id(each)]
            for key, given in each.items():
                self.member(into, key, given, lines.get((str, key), 0))


def _aliased_share(nodes: int) -> float:
    """How much of a document's nodes may come from aliases."""
    if nodes <= _FEW_NODES:
        return 0.99
    return 0.10 if nodes >= _MANY_NODES else 0.99 - 0.89 * (nodes - _FEW_NODES) / (_MANY_NODES - _FEW_NODES)


def _key(key: Any, value: Any) -> str:
    """A map's key as JSON has it."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int):
        return str(key)
    if isinstance(key, float):
        return repr(key)
    raise YamlError(f"unsupported map key of type: %!s(<nil>), key: <nil>, value: {'<nil>' if value is None else _go_source(value)}")


def _go_source(value: Any) -> str:
    """`%#v` of a value as go-yaml has it."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        members = ", ".join(f"{quote(name)}:{_go_source(each)}" for name, each in sorted(value.items()))
        return f"map[interface {{}}]interface {{}}{{{members}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_source, value))}}}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "interface {}(nil)" if value is None else str(value)


def _scalar(event: Any) -> Any:
    tag, text = event.tag, event.value
    if tag is None or tag == "!":
        return _resolve(text) if event.implicit[0] else text
    if tag == f"{_TAG}binary":
        try:
            return binascii.a2b_base64(text).decode("utf-8", "replace")
        except binascii.Error:
            raise YamlError("yaml: !!binary value contains invalid base64 data") from None
    kind = tag.removeprefix(_TAG)
    if kind == "str" or kind not in _TAGGED:
        return text
    return _tagged(kind, text)


_TAGGED = {"bool": (bool,), "int": (int,), "float": (float, int), "null": (type(None),), "timestamp": ()}


def _tagged(kind: str, text: str) -> Any:
    """A scalar that says what it is."""
    value = _resolve(text)
    is_time = isinstance(value, str) and _TIMES.fullmatch(text) is not None
    if kind == "timestamp" and is_time:
        return text
    if type(value) not in _TAGGED[kind] or is_time:
        names = {bool: "bool", int: "int", float: "float", type(None): "null"}
        raise YamlError(f"yaml: cannot decode !!{'timestamp' if is_time else names.get(type(value), 'str')} `{text}` as a !!{kind}")
    return value


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
    value: Any = _CONSTANTS.get(text, _CONSTANTS)
    if value is not _CONSTANTS:
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
        value = (int(digits, 8) if octal else int(digits, 0)) * (-1 if whole[1] == "-" else 1)
        if _INTEGERS[0] <= value <= _INTEGERS[1]:
            return value
    if _FLOAT.fullmatch(plain) is not None and len(plain) <= 400:
        return _as_json(float(plain), text)
    return text


def _as_json(number: float, text: str) -> Any:
    """Go prints whole floats without a fraction when it turns the document into JSON, so they are integers from there on."""
    if not math.isfinite(number):
        return text
    return int(Decimal(repr(number))) if number.is_integer() and abs(number) < 1e21 else number
