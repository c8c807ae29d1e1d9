"""Text: search, cut, join, format, patterns. Source: cel-go `ext/strings.go`, `ext/formatting.go`; apiserver `pkg/cel/library/regex.go`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from kube.cel.library.text import double_text, to_string
from kube.cel.literals import pattern
from kube.cel.syntax import CelError
from kube.cel.types import Type
from kube.cel.values import Duration, Timestamp, equal, no_overload, type_of
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
    if not 0 <= start <= len(text) or not 0 <= stop <= len(text):
        raise CelError(f"index out of range: {start if not 0 <= start <= len(text) else stop}")
    if start > stop:
        raise CelError(f"invalid substring range. start: {start}, end: {stop}")
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


# --- format


def formatted(text: str, values: list[Any]) -> str:
    """`%s %d %f %e %b %x %X %o %%`, with a precision for `%f` and `%e`."""
    out, at, used = [], 0, 0
    while at < len(text):
        char = text[at]
        at += 1
        if char != "%":
            out.append(char)
            continue
        if at >= len(text):
            raise CelError("could not parse formatting clause: unexpected end of string")
        if text[at] == "%":
            out.append("%")
            at += 1
            continue
        precision, at = _precision(text, at)
        verb = text[at : at + 1]
        if used >= len(values):
            raise CelError(f"index {used} out of range")
        out.append(_clause(verb, values[used], precision))
        used, at = used + 1, at + 1
    return "".join(out)


def _precision(text: str, at: int) -> tuple[int | None, int]:
    if text[at] != ".":
        return None, at
    end = at + 1
    while end < len(text) and text[end].isdigit():
        end += 1
    return int(text[at + 1 : end] or 0), end


def _clause(verb: str, value: Any, precision: int | None) -> str:
    if verb == "s":
        return shown(value)
    if verb == "d":
        return _decimal(value)
    if verb in ("f", "e"):
        number = _number(value, "fixed-point" if verb == "f" else "scientific notation")
        return f"{number:.{6 if precision is None else precision}{verb}}" if math.isfinite(number) else _not_finite(number)
    if verb in ("b", "o", "x", "X"):
        return _in_base(verb, value)
    raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')


def _decimal(value: Any) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return _not_finite(value)
    elif isinstance(value, bool) or not isinstance(value, int) or isinstance(value, Duration | Timestamp):
        why = f"decimal clause can only be used on numbers, was given {_type_shown(value)}"
        raise CelError(f"error during formatting: {why}")
    return _plain_number(value)


def _plain_number(value: float) -> str:
    if isinstance(value, int):
        return str(int(value))
    return double_text(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CelError(f"error during formatting: {what} clause can only be used on doubles, was given {_type_shown(value)}")
    return float(value)


def _in_base(verb: str, value: Any) -> str:
    if isinstance(value, bool) and verb == "b":
        return "1" if value else "0"
    if isinstance(value, str | bytes) and verb in ("x", "X"):
        text = (value.encode() if isinstance(value, str) else value).hex()
        return text.upper() if verb == "X" else text
    if isinstance(value, bool) or not isinstance(value, int):
        what = {"b": "only integers and bools can be formatted as binary", "o": "octal clause can only be used on integers"}
        why = what.get(verb, "only integers, byte buffers, and strings can be formatted as hex")
        raise CelError(f"error during formatting: {why}, was given {_type_shown(value)}")
    return f"{int(value):{verb}}"


def _type_shown(value: Any) -> str:
    return str(type_of(value))


def shown(value: Any) -> str:
    """A value as `%s` has it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {each}" for key, each in sorted((shown(key), shown(each)) for key, each in value.items())) + "}"
    if isinstance(value, float) and not math.isfinite(value):
        return _not_finite(value)
    if isinstance(value, Type):
        return str(value)
    return to_string(value)


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
