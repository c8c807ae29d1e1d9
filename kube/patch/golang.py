"""How upstream's messages print JSON values: Go's verbs `%v`, `%#v`, `%T` and `%q` on what Go decodes JSON into.

Maps are printed with sorted keys, as Go's fmt does. Nothing here is used for output on the wire.
"""

from __future__ import annotations

import json
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


def _float(value: float) -> str:
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


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
