"""The part of jq that Stage selectors use: paths, indices, iteration, pipes, `select(path == value)`. Compiled once, then cheap.

    .metadata.annotations["wherry.dev/run-for-s"]      .metadata.ownerReferences.[].kind
    .status.conditions.[] | select( .type == "Ready" ) | .status

As in KWOK, a path through something that is not there yields nothing (jq would yield null or an error). Anything else raises
`StageError`, which names what is not understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Step = Callable[[Iterable[Any]], Iterator[Any]]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<field>\.[A-Za-z_][A-Za-z0-9_]*)
    | (?P<index>\.?\[\s*(?:"(?:[^"\\]|\\.)*"|-?\d+)\s*\])
    | (?P<each>\.?\[\s*\])
    | (?P<pipe>\|)
    | (?P<select>select\s*\()
    | (?P<here>\.)
    )""",
    re.VERBOSE,
)
_COMPARE = re.compile(r"""\s*(?P<op>==|!=)\s*(?P<value>"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null)\s*""")


class StageError(ValueError):
    """A Stage that cannot be understood: says which part, and why."""


class Query:
    """A compiled expression; `values(obj)` are its results, nulls left out."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps, end = _parse(text, 0)
        if text[end:].strip():
            raise StageError(f"expression {text!r}: cannot read {text[end:].strip()!r}")

    def values(self, obj: Any) -> list[Any]:
        found: Iterable[Any] = [obj]
        for step in self._steps:
            found = step(found)
        return [each for each in found if each is not None]


def _parse(text: str, at: int) -> tuple[list[Step], int]:
    """Steps up to the end or to what does not belong to a path."""
    steps: list[Step] = []
    while match := _TOKEN.match(text, at):
        at = match.end()
        token = match.group(0).strip()
        if match["field"]:
            steps.append(_index(token[1:]))
        elif match["index"]:
            steps.append(_index(json.loads(token.lstrip(".")[1:-1])))
        elif match["each"]:
            steps.append(_each)
        elif match["select"]:
            step, at = _parse_select(text, at)
            steps.append(step)
    return steps, at


def _parse_select(text: str, at: int) -> tuple[Step, int]:
    inner, at = _parse(text, at)
    compare = _COMPARE.match(text, at)
    if compare is None:
        raise StageError(f"expression {text!r}: select() needs `path == value` or `path != value`")
    value, is_equal, at = json.loads(compare["value"]), compare["op"] == "==", compare.end()
    close = re.compile(r"\s*\)").match(text, at)
    if close is None:
        raise StageError(f"expression {text!r}: select( is not closed")
    return _select(inner, value, is_equal), close.end()


def _index(key: str | int) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(key, str) and isinstance(value, dict):
                yield value.get(key)
            elif isinstance(key, int) and isinstance(value, list) and -len(value) <= key < len(value):
                yield value[key]

    return step


def _each(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from value
        elif isinstance(value, dict):
            yield from value.values()


def _select(inner: list[Step], wanted: Any, is_equal: bool) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            found: Iterable[Any] = [value]
            for each in inner:
                found = each(found)
            if any((result == wanted) is is_equal for result in found):
                yield value

    return step


def as_text(value: Any) -> str:
    """A value as selectors compare it: strings as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
