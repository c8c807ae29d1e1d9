"""Path elements: one step of a path to a field, as FieldsV1 writes it, as messages print it, and in upstream's order.

    f:replicas            a field of a struct or a map                    .replicas
    k:{"name":"web"}      the item of a list map that has these keys      [name="web"]
    v:"a"                 the item of a set of scalars that has this value [="a"]
    i:3                   the item of a list at this index (unused today) [3]

Here is also how an item of a list says which element it is (`element_of`). What a tree of elements means is in `fieldset.py`.
Source: structured-merge-diff `fieldpath/element.go`, `serialize-pe.go`, `typed/helpers.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from kube.patch.golang import quoted
from kube.schema.types import ListType, StructType

_ABSENT = object()


class ElementError(ValueError):
    """An item of a list that cannot be told from others, or a text that is no path element. The text is upstream's."""


def _json(value: Any) -> str:
    """Compact JSON as Go writes it: `<`, `>`, `&` and the two line separators are escaped, a whole float has no fraction."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = orjson.dumps(value).decode()
    if not _ESCAPED.isdisjoint(text):
        for raw, escape in _ESCAPES.items():
            text = text.replace(raw, escape)
    return text


_ESCAPES = {each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
_ESCAPED = frozenset(_ESCAPES)


@lru_cache(maxsize=16384, typed=True)
def key_element(names: tuple[str, ...], *values: Any) -> str:
    """The element of a list map's item. `names` are in alphabetical order, `values` are scalars."""
    return "k:{" + ",".join(f"{_json(name)}:{_json(value)}" for name, value in zip(names, values, strict=True)) + "}"


@lru_cache(maxsize=16384, typed=True)
def value_element(value: Any) -> str:
    """The element of a set's item, a scalar."""
    return "v:" + _json(value)


Step = tuple[str, Any]
"""A parsed element: ("f", name), ("k", ((name, value), ...)), ("v", value) or ("i", index)."""


@lru_cache(maxsize=16384)
def parse_element(text: str) -> Step | None:
    """The parsed element; None for a kind of element this server does not know. Raises ElementError for what is none at all."""
    if len(text) < 2:
        raise ElementError("key must be 2 characters long:")
    if text[1] != ":":
        raise ElementError(f"missing colon: {text}")
    kind, rest = text[0], text[2:]
    try:
        if kind == "f":
            return "f", rest
        if kind == "v":
            return "v", _hashable(orjson.loads(rest))
        if kind == "i":
            return "i", int(rest)
        if kind == "k":
            fields = orjson.loads(rest)
            if not isinstance(fields, dict):
                raise ElementError(f"not an object: {text}")
            return "k", tuple((name, _hashable(fields[name])) for name in sorted(fields))
    except orjson.JSONDecodeError as error:
        raise ElementError(f"{error}: {text}") from None
    except ElementError:
        raise
    except ValueError:
        raise ElementError(f"invalid index: {text}") from None
    return None


def canonical_element(text: str) -> str | None:
    """The element as this server writes it; None for a kind of element it does not know. Raises ElementError."""
    step = parse_element(text)
    if step is None:
        return None
    kind, value = step
    if kind == "i":
        return f"i:{value}"
    if kind == "k" and not any(isinstance(each, tuple) for _, each in value):
        return key_element(tuple(name for name, _ in value), *(each for _, each in value))
    return value_element(value) if kind == "v" and not isinstance(value, tuple) else text


class _Members(tuple[tuple[str, Any], ...]):
    """What was a map: its members, by name."""

    __slots__ = ()


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return _Members((name, _hashable(value[name])) for name in sorted(value))
    return value


_RANK = {"f": 0, "k": 1, "v": 2, "i": 3}


def _value_order(value: Any) -> tuple[int, Any]:
    """Numbers before strings before booleans before the rest, as `value.Compare` has it."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    if isinstance(value, str):
        return 1, value
    return (4, "") if value is None else (3, repr(value))


@lru_cache(maxsize=16384)
def order(text: str) -> tuple[int, Any]:
    """Sort key of an element. `.` comes first of all; unknown kinds come last."""
    if text == ".":
        return -1, ""
    step = parse_element(text)
    if step is None:
        return 9, text
    kind, value = step
    if kind == "k":
        return 1, tuple((name, _value_order(each)) for name, each in value)
    return _RANK[kind], _value_order(value) if kind == "v" else value


def in_order(elements: Iterable[str]) -> list[str]:
    """The elements in canonical order."""
    elements = list(elements)
    return elements if len(elements) < 2 else sorted(elements, key=order)


def element_text(text: str) -> str:
    """The element as messages print it."""
    step = parse_element(text)
    if step is None:
        return f"[{text}]"
    kind, value = step
    if kind == "f":
        return f".{value}"
    if kind == "k":
        return "[" + ",".join(f"{name}={_value_text(each)}" for name, each in value) + "]"
    return f"[={_value_text(value)}]" if kind == "v" else f"[{value}]"


def _value_text(value: Any) -> str:
    """A value as structured-merge-diff prints it: what a map has stands one after the other."""
    if isinstance(value, _Members):
        return "".join(f"{name}={_value_text(each)}" for name, each in value)
    return f"[{','.join(map(_value_text, value))}]" if isinstance(value, tuple) else quoted(value)


def path_text(path: Sequence[str]) -> str:
    """`.spec.containers[name="web"].image`."""
    return "".join(map(element_text, path))


# --- which element an item of a list is -------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def element_of(of: ListType) -> Callable[[Any], str]:
    """A function from an item of the list to its element; it raises ElementError for items that have none. `of` is a set or a list map."""
    if of.kind == "set":
        return _set_element
    return _keyed(of)


def _set_element(item: Any) -> str:
    if isinstance(item, dict):
        raise ElementError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ElementError("not supported: associative list with lists as elements")
    if item is None:
        raise ElementError("associative list without keys has an element that's an explicit null")
    return value_element(item)


def key_defaults(of: ListType) -> dict[str, Any]:
    """What a key field counts as when an item lacks it: its default, or the zero value of a field that Go always writes."""
    found: dict[str, Any] = {}
    if isinstance(of.item, StructType):
        for name in of.keys:
            field = of.item.fields.get(name)
            if field is not None and field.always and isinstance(field.zero, str | int):
                found[name] = field.zero
    return found | dict(of.key_defaults)


_PLAIN = re.compile(r"[\w./: -]*", re.ASCII)
"""What JSON writes as it is."""


def _keyed(of: ListType) -> Callable[[Any], str]:
    names = tuple(sorted(of.keys))
    defaults = key_defaults(of)
    declared = of.keys

    def general(item: Any) -> str:
        if item is None:
            raise ElementError("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise ElementError("associative list with keys may not have non-map elements")
        present = [(name, item[name] if name in item else defaults.get(name, _ABSENT)) for name in names]
        present = [(name, value) for name, value in present if value is not _ABSENT]
        if names and not present:
            listed = "[" + " ".join(quoted(each) for each in declared) + "]"
            raise ElementError(
                f"associative list with keys has an element that omits all key fields {listed} "
                "(and doesn't have default values for any key fields)"
            )
        if any(isinstance(value, dict | list) for _, value in present):
            return "k:" + _json(dict(present))
        return key_element(tuple(name for name, _ in present), *(value for _, value in present))

    if len(names) != 1:
        return general
    (only,) = names
    known: dict[str, str] = {}
    start = f'k:{{{_json(only)}:"'

    def single(item: Any) -> str:
        try:
            return known[item[only]]
        except (KeyError, TypeError):
            value = item.get(only) if isinstance(item, dict) else None
            if type(value) is not str:
                return general(item)
            element = f'{start}{value}"}}' if _PLAIN.fullmatch(value) else general(item)
            if len(known) < 4096:
                known[value] = element
            return element

    return single
