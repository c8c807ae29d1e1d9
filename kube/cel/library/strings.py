"""Text: search, cut, join, patterns. Source: cel-go `ext/strings.go`; apiserver `pkg/cel/library/regex.go`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.library.formatting import formatted
from kube.cel.literals import pattern
from kube.cel.syntax import CelError
from kube.cel.values import equal, no_overload
from kube.schema.goquote import quote


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise no_overload()
    return value


def char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


def index_of(value: Any, part: Any, start: int = 0) -> int:
    if isinstance(value, list):
        return next((at for at, each in enumerate(value) if equal(each, part)), -1)
    if not 0 <= start <= len(_text(value)):
        raise CelError(f"index out of range: {start}")
    return value.find(_text(part), start) if part else start


def last_index_of(value: Any, part: Any, start: int | None = None) -> int:
    if isinstance(value, list):
        return next((at for at in range(len(value) - 1, -1, -1) if equal(value[at], part)), -1)
    if start is None:
        return _text(value).rfind(_text(part)) if part else len(value)
    if not 0 <= start <= len(_text(value)):
        raise CelError(f"index out of range: {start}")
    return value.rfind(_text(part), 0, start + len(part)) if part else start


def substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if end is not None and start > stop:
        raise CelError(f"invalid substring range. start: {start}, end: {stop}")
    if not 0 <= start <= len(text) or not 0 <= stop <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else stop}")
    return text[start:stop]


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    return _text(text).replace(old, new, count)


def split(text: str, by: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if count == 1:
        return [_text(text)]
    if not by:
        parts = list(_text(text))
        return parts if count < 0 or len(parts) <= count else [*parts[: count - 1], "".join(parts[count - 1 :])]
    return _text(text).split(by, -1 if count < 0 else count - 1)


def join(values: list[Any], by: str = "") -> str:
    return by.join(map(_text, values))


def _ascii(change: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: "".join(change(each) if each.isascii() else each for each in _text(text))


def matches(text: Any, expression: Any) -> bool:
    return pattern(_text(expression)).search(_text(text)) is not None


def find(text: str, expression: str) -> str:
    found = pattern(_text(expression)).search(_text(text))
    return found[0] if found is not None else ""


def find_all(text: str, expression: str, count: int = -1) -> list[str]:
    found = [each[0] for each in pattern(_text(expression)).finditer(_text(text))]
    return found if count < 0 else found[:count]


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "contains": lambda text, part: _text(part) in _text(text),
    "startsWith": lambda text, part: _text(text).startswith(_text(part)),
    "endsWith": lambda text, part: _text(text).endswith(_text(part)),
    "matches": matches,
    "find": find,
    "findAll": find_all,
    "charAt": char_at,
    "indexOf": index_of,
    "lastIndexOf": last_index_of,
    "substring": substring,
    "replace": replace,
    "split": split,
    "join": join,
    "lowerAscii": _ascii(str.lower),
    "upperAscii": _ascii(str.upper),
    "trim": lambda text: _text(text).strip(),
    "format": formatted,
    "strings.quote": lambda text: quote(_text(text)),
}
