"""JSON values as YAML the way upstream prints them (`sigs.k8s.io/yaml` over go-yaml v2). Reading is in `goyaml.py`.

libyaml emits, as go-yaml was ported from it; what is decided here is the order of keys and the style of strings: double quotes for what
would not be read back as a string, a literal block for what has line breaks, plain (or what libyaml makes of it) for the rest.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import yaml

from kube.schema.goyaml import is_plain_string

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_WHOLE_EXPONENT = re.compile(r"e([-+])(\d)$")


def dump(value: Any) -> bytes:
    """The document, ending in a line break. Raises RecursionError for values nested deeper than Python goes."""
    text: str = yaml.emit(_document(value), Dumper=_DUMPER, allow_unicode=True)
    return text.removesuffix("...\n").encode()


def _document(value: Any) -> Iterator[Any]:
    yield yaml.StreamStartEvent()
    yield yaml.DocumentStartEvent(explicit=False)
    yield from _events(value)
    yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _events(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield yaml.MappingStartEvent(None, None, True, flow_style=not value)
        for key in sorted(value, key=_natural):
            yield _string(key)
            yield from _events(value[key])
        yield yaml.MappingEndEvent()
    elif isinstance(value, list):
        yield yaml.SequenceStartEvent(None, None, True, flow_style=not value)
        for each in value:
            yield from _events(each)
        yield yaml.SequenceEndEvent()
    elif isinstance(value, str):
        yield _string(value)
    else:
        yield yaml.ScalarEvent(None, None, (True, True), _scalar(value))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _WHOLE_EXPONENT.sub(r"e\g<1>0\2", str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value))
    return str(value)


def _string(value: str) -> Any:
    style = "|" if "\n" in value else None if is_plain_string(value) else '"'
    return yaml.ScalarEvent(None, None, (True, True), value, style=style)


def _compare(left: str, right: str) -> int:
    """go-yaml's order of keys: letters after everything else, numbers by their value."""
    for at, (a, b) in enumerate(zip(left, right, strict=False)):
        if a == b:
            continue
        if a.isalpha() or b.isalpha():
            return (-1 if a < b else 1) if a.isalpha() and b.isalpha() else (-1 if b.isalpha() else 1)
        return _compare_numbers(left, right, at)
    return len(left) - len(right)


def _compare_numbers(left: str, right: str, at: int) -> int:
    lead = 0
    if "0" in (left[at], right[at]):
        before = at - 1
        while before >= 0 and left[before].isdigit():
            if left[before] != "0":
                lead = 1
                break
            before -= 1
    a, a_end = _number(left, at, lead)
    b, b_end = _number(right, at, lead)
    if a != b:
        return -1 if a < b else 1
    if a_end != b_end:
        return -1 if a_end < b_end else 1
    return -1 if left[at] < right[at] else 1


def _number(text: str, at: int, value: int) -> tuple[int, int]:
    while at < len(text) and text[at] in "0123456789":
        value = value * 10 + int(text[at])
        at += 1
    return value, at


_natural = functools.cmp_to_key(_compare)
