"""How upstream's messages print JSON values: Go's verbs `%v`, `%#v`, `%T` and `%q` on what Go decodes JSON into.

Maps are printed with sorted keys, as Go's fmt does. Nothing here is used for output on the wire.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

_TYPES = {bool: "bool", int: "int64", float: "float64", str: "string", dict: "map[string]interface {}", list: "[]interface {}"}


def go_type(value: Any) -> str:
    """`%T`."""
    return "<nil>" if value is None else _TYPES.get(type(value), type(value).__name__)


def quoted(value: Any) -> str:
    """A scalar as paths print it: strings quoted (`%q`), everything else plain (`%v`), null as `null`."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "null" if value is None else plain(value)


def json_string(value: str) -> str:
    """A string as encoding/json writes it: `<`, `>`, `&` and the two line separators are escaped."""
    text = json.dumps(value, ensure_ascii=False)
    for raw in _ESCAPED:
        if raw in text:
            text = text.replace(raw, f"\\u{ord(raw):04x}")
    return text


_ESCAPED = "<>&\u2028\u2029"
_EXPONENT = re.compile(r"e([-+])(\d)$")


def _float(value: float) -> str:
    """`%v` of a float64: the shortest text, with an exponent below 1e-4 and from 1e+06 on."""
    text = repr(value)
    exponent = Decimal(text).adjusted() if math.isfinite(value) else 0
    if value and not -4 <= exponent < 6:
        digits = "".join(map(str, Decimal(text).normalize().as_tuple().digits))
        text = ("-" if value < 0 else "") + digits[0] + (f".{digits[1:]}" if digits[1:] else "") + f"e{exponent:+d}"
        return _EXPONENT.sub(r"e\g<1>0\2", text)
    return text.removesuffix(".0")


def as_numbers(value: Any) -> Any:
    """The value with its numbers as upstream's YAML decoder leaves them where nobody says what they are (apply's configurations): whole
    ones that an int64 holds are integers, however they were written, and all others floats."""
    if isinstance(value, dict):
        return {name: as_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_numbers(each) for each in value]
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else float(value)
    return int(value) if type(value) is float and value.is_integer() and abs(value) < 2.0**63 else value


def int64s(value: Any) -> Any:
    """The value with its integers as Kubernetes reads them where nobody says what they are: those that no int64 holds are floats."""
    if isinstance(value, dict):
        return {name: int64s(each) for name, each in value.items()}
    if isinstance(value, list):
        return [int64s(each) for each in value]
    return float(value) if type(value) is int and not -(2**63) <= value < 2**63 else value


def text_verb(value: Any) -> str:
    """`%s`: strings as they are, lists and maps around their members, everything else a complaint."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{text_verb(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(text_verb, value)) + "]"
    return "%!s(<nil>)" if value is None else f"%!s({go_type(value)}={plain(value)})"


def plain(value: Any) -> str:
    """`%v`: `map[a:1 b:[x y]]`, strings without quotes, null as `<nil>`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(plain, value)) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float(value) if isinstance(value, float) else str(value)


def source(value: Any) -> str:
    """`%#v`: the value as Go source."""
    if isinstance(value, dict):
        return "map[string]interface {}{" + ", ".join(f"{quoted(key)}:{source(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(source, value)) + "}"
    if value is None:
        return "interface {}(nil)"
    return quoted(value)
