"""JSONPath as printer columns and selectable fields use it, compiled into a function. Missing keys give nothing.

`.spec.size`, `.metadata.labels.app\\.kubernetes\\.io/name`, `['key']`, `[0]`, `[-1:]`, `[*]`, `..name`, `[?(@.type=="Ready")]`.
Source: client-go `util/jsonpath`. Not here: templates, ranges, functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Step = Callable[[Any], Iterable[Any]]
Find = Callable[[Any], Sequence[Any]]

_FIELD = re.compile(r"\.\.?((?:\\.|[^.\[\]\\\s])*)")
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""")
_SLICE = re.compile(r"(-?[0-9]*)(:?)(-?[0-9]*)(?::([0-9]+))?")
_COMPARISON = re.compile(r"(.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class JSONPathError(ValueError):
    """A path that cannot be read."""


def compile_path(path: str) -> Find:
    """All values at a path, in order. Raises JSONPathError."""
    steps = _steps(path)
    names = [each.name for each in steps if isinstance(each, _Field)]
    if len(names) == len(steps):
        return _plain(names)

    def find(value: Any) -> Sequence[Any]:
        found: list[Any] = [value]
        for step in steps:
            found = [each for here in found for each in step(here)]
        return found

    return find


def _plain(names: Sequence[str]) -> Find:
    """Nothing but fields, as nearly always."""

    def find(value: Any) -> Sequence[Any]:
        for name in names:
            if type(value) is not dict or name not in value:
                return ()
            value = value[name]
        return (value,)

    return find


# --- reading a path ---------------------------------------------------------------------------------------------------


def _steps(path: str) -> list[Step]:
    steps: list[Step] = []
    rest = path.removeprefix("$")
    while rest:
        if rest.startswith("["):
            end = _closing(rest)
            steps.append(_bracket(rest[1:end].strip()))
            rest = rest[end + 1 :]
            continue
        found = _FIELD.match(rest)
        if found is None:
            raise JSONPathError(f"unrecognized character in path: {rest}")
        if rest.startswith(".."):
            steps.append(_descend)
        name = re.sub(r"\\(.)", r"\1", found[1])
        if name:
            steps.append(_wildcard if name == "*" else _Field(name))
        rest = rest[found.end() :]
    return steps


def _closing(text: str) -> int:
    """Where the bracket that `text` begins with is closed."""
    depth, quote, escaped = 0, "", False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if not depth:
                return at
    raise JSONPathError(f"unterminated array: {text}")


def _bracket(text: str) -> Step:
    if text == "*":
        return _wildcard
    if text.startswith("?(") and text.endswith(")"):
        return _filter(text[2:-1].strip())
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        return _Field(_unquoted(quoted))
    if "," in text:
        parts = [_bracket(each.strip()) for each in text.split(",")]
        return lambda value: [each for part in parts for each in part(value)]
    numbers = _SLICE.fullmatch(text)
    if numbers is None or not text:
        raise JSONPathError(f"invalid array index {text}")
    return _slice(*numbers.groups())


def _unquoted(found: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", found[1] if found[1] is not None else found[2])


class _Field:
    """The field of a map. A list is asked item by item."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, value: Any) -> Iterable[Any]:
        return (value[self.name],) if isinstance(value, dict) and self.name in value else ()


def _wildcard(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [value[name] for name in sorted(value)]
    return value if isinstance(value, list) else ()


def _descend(value: Any) -> Iterable[Any]:
    """The value and everything below it."""
    yield value
    for each in _wildcard(value):
        yield from _descend(each)


def _slice(first: str, colon: str, last: str, step: str | None) -> Step:
    def take(value: Any) -> Iterable[Any]:
        if not isinstance(value, list):
            return ()
        if colon:
            return value[int(first) if first else None : int(last) if last else None : int(step) if step else None]
        index = int(first)
        return (value[index],) if -len(value) <= index < len(value) else ()

    return take


def _filter(text: str) -> Step:
    found = _COMPARISON.fullmatch(text)
    left = _operand(found[1] if found else text)
    if found is None:
        return lambda value: [each for each in _wildcard(value) if left(each)]
    right, compare = _operand(found[3]), _COMPARE[found[2]]

    def keep(item: Any) -> bool:
        a, b = left(item), right(item)
        if not a or not b:
            return False
        try:
            return compare(a[0], b[0])
        except TypeError:
            return False

    return lambda value: [each for each in _wildcard(value) if keep(each)]


def _operand(text: str) -> Find:
    text = text.strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        literal = (_unquoted(quoted),)
        return lambda _item: literal
    if text.startswith("@"):
        return compile_path(text[1:])
    if text in ("true", "false"):
        flag = (text == "true",)
        return lambda _item: flag
    try:
        number = (float(text) if "." in text else int(text),)
    except ValueError:
        raise JSONPathError(f"unrecognized operand {text}") from None
    return lambda _item: number
