"""What a schema is to rules: the type of its values, how large they can be, and how stored values become those that rules see.

Source: apiserver `pkg/cel/common/{schemas,values}.go`, `pkg/cel/{types,escaping,limits}.go`.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.validation.custom.schema import Node, additional, is_embedded, is_int_or_string, items, properties
from kube.cel import types
from kube.cel.lexer import RESERVED
from kube.cel.literals import parse_duration, parse_timestamp
from kube.cel.types import Type
from kube.cel.values import MapList, SetList

REQUEST_BYTES_MAX: Final = 3 * 1024 * 1024
_RESERVED: Final = RESERVED | {"true", "false", "null", "in"}
_SPECIAL: Final = re.compile(r"__|[-./]|[^a-zA-Z0-9_]")
_ESCAPED: Final = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_MOMENT_BYTES, _DATE_BYTES, _DURATION_BYTES = 32, 12, 32
_FORMATS: Final = {
    "duration": (types.DURATION, 3, _DURATION_BYTES),
    "date": (types.TIMESTAMP, 12, _DATE_BYTES),
    "date-time": (types.TIMESTAMP, 21, _MOMENT_BYTES),
}
_TEXT: Final[Node] = {"type": "string"}
_META: Final[Mapping[str, Node]] = {
    "kind": _TEXT,
    "apiVersion": _TEXT,
    "metadata": {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}},
}


@functools.lru_cache(maxsize=4096)
def escaped(name: str) -> str | None:
    """A property's name as rules write it; None for one that they cannot."""
    if not name or name[0].isdigit():
        return None
    if name in _RESERVED:
        return f"__{name}__"
    parts = _SPECIAL.findall(name)
    return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], name) if all(each in _ESCAPED for each in parts) else None


@dataclass(slots=True)
class Declared:
    """A schema's type. `most` is how many elements or characters at most, `least_bytes` how short its JSON can be."""

    node: Node
    type: Type
    most: int = 0
    least_bytes: int = 2
    item: Declared | None = None
    key: Declared | None = None
    fields: Mapping[str, Declared] = field(default_factory=dict)


def with_meta(node: Node) -> Node:
    """The schema of a whole object: kind, apiVersion and names are always there."""
    own, names = properties(node), properties(properties(node).get("metadata") or {})
    if all((own.get(each) or {}).get("type") == "string" for each in ("kind", "apiVersion")) and all(
        (names.get(each) or {}).get("type") == "string" for each in ("name", "generateName")
    ):
        return node
    return {**node, "properties": {**properties(node), **_META}}


def declared(node: Node, *, is_root: bool, name: str = "selfType") -> Declared | None:
    """None where rules may not see the values: nothing is known of them."""
    if is_int_or_string(node):
        longest = node.get("maxLength")
        return Declared(node, types.DYN, 4 * max(0, longest) if longest is not None else REQUEST_BYTES_MAX - 2, 1)
    if is_root:
        node = with_meta(node)
    return _DECLARE.get(node.get("type") or "", _unknown)(node, name)


def _unknown(_node: Node, _name: str) -> Declared | None:
    return None


def _array(node: Node, name: str) -> Declared | None:
    inner = items(node)
    item = declared(inner, is_root=is_embedded(inner), name=f"{name}.@idx") if inner is not None else None
    if item is None:
        return None
    most = node.get("maxItems")
    count = max(0, most) if most is not None else (REQUEST_BYTES_MAX - 2) // (item.least_bytes + 1)
    return Declared(node, types.list_of(item.type), count, 2, item=item)


def _object(node: Node, name: str) -> Declared | None:
    rest = additional(node)
    if rest is not None:
        item = declared(rest, is_root=is_embedded(rest), name=f"{name}.@elem")
        if item is None:
            return None
        most = node.get("maxProperties")
        count = max(0, most) if most is not None else (REQUEST_BYTES_MAX - 2) // (item.least_bytes + 6)
        return Declared(node, types.map_of(types.STRING, item.type), count, 2, item=item, key=Declared(_TEXT, types.STRING))
    fields: dict[str, Declared] = {}
    least, required = 2, node.get("required") or ()
    for each, below in properties(node).items():
        word = escaped(each)
        found = declared(below, is_root=is_embedded(below), name=f"{name}.{word}")
        if found is None:
            continue
        if word is not None:
            fields[word] = found
            if each in RESERVED:  # a reserved word may be written as it is behind a dot
                fields[each] = found
        if each in required and below.get("default") is None:
            least += len(each.encode()) + found.least_bytes + 4
    return Declared(node, Type("object", (), name, {word: each.type for word, each in fields.items()}), 0, least, fields=fields)


def _string(node: Node, _name: str) -> Declared | None:
    form, longest = node.get("format") or "", node.get("maxLength")
    if form in _FORMATS:
        of, least, most = _FORMATS[form]
        return Declared(node, of, most, least)
    if form == "byte":
        return Declared(node, types.BYTES, max(0, longest) if longest is not None else REQUEST_BYTES_MAX - 2, 2)
    if longest is not None:
        most = 4 * max(0, longest)
    elif node.get("enum"):
        most = max((len(each.encode()) for each in node["enum"] if isinstance(each, str)), default=0)
    else:
        most = REQUEST_BYTES_MAX - 2
    return Declared(node, types.STRING, most, 2)


def _simple(of: Type, least: int) -> Callable[[Node, str], Declared]:
    return lambda node, _name: Declared(node, of, 0, least)


_DECLARE: Final[Mapping[str, Callable[[Node, str], Declared | None]]] = {
    "array": _array,
    "object": _object,
    "string": _string,
    "boolean": _simple(types.BOOL, 4),
    "number": _simple(types.DOUBLE, 1),
    "integer": _simple(types.INT, 1),
}


def size_at(root: Declared, path: tuple[str, ...]) -> int | None:
    """How large what is at a path of a rule can be; the first word is self or oldSelf."""
    here: Declared | None = root
    for word in path[1:]:
        if here is None:
            return None
        here = here.item if word in ("@items", "@values") else here.key if word == "@keys" else here.fields.get(word)
    return here.most if here is not None else None


# --- values

Convert = Callable[[Any], Any]


def converter(node: Node) -> Convert | None:
    """From a stored value to what rules see; None where it is the same."""
    kind = node.get("type")
    if is_int_or_string(node):
        return None
    if kind == "number":
        return lambda value: float(value) if type(value) is int else value
    if kind == "string":
        return _TEXTS.get(node.get("format") or "")
    if kind == "array":
        return _list(node)
    return _map(node) if kind == "object" else None


def _text(parse: Callable[[str], Any]) -> Convert:
    return lambda value: parse(value) if isinstance(value, str) else value


_TEXTS: Final[Mapping[str, Convert]] = {
    "date-time": _text(parse_timestamp),
    "date": _text(lambda text: parse_timestamp(f"{text}T00:00:00Z")),
    "duration": _text(parse_duration),
    "byte": _text(base64.b64decode),
}


def _list(node: Node) -> Convert | None:
    inner = items(node)
    item = converter(inner) if inner is not None else None
    kind, keys = node.get("x-kubernetes-list-type"), tuple(node.get("x-kubernetes-list-map-keys") or ())
    if kind not in ("set", "map"):
        return (lambda value: [item(each) for each in value] if isinstance(value, list) else value) if item is not None else None

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        found = map(item, value) if item is not None else value
        if kind == "set":
            return SetList(found)
        out = MapList(found)
        out.keys = keys
        return out

    return convert


def _map(node: Node) -> Convert | None:
    rest = additional(node)
    if rest is not None:
        each = converter(rest)
        return (lambda value: {name: each(one) for name, one in value.items()} if isinstance(value, dict) else value) if each else None
    parts = [(name, escaped(name), converter(below)) for name, below in properties(node).items()]
    changed = [(name, word or name, convert) for name, word, convert in parts if convert is not None or word != name]
    may_be_null = [name for name, below in properties(node).items() if below.get("nullable")]
    if not changed and not may_be_null:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        out = dict(value)
        for name in may_be_null:  # a property that is null is one that is not there
            if out.get(name, out) is None:
                del out[name]
        for name, word, below in changed:
            if name in out:
                found = below(out[name]) if below is not None else out[name]
                out[word] = found
                if word != name and name not in RESERVED:
                    del out[name]
                else:
                    out[name] = found
        return out

    return convert
