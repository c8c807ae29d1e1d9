"""Calls whose arguments are only known when they are evaluated: are they what one of the overloads takes?

Source: cel-go `common/decls/decls.go` (the type guards of overloads).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kube.cel.declarations import functions
from kube.cel.syntax import Call, CelError
from kube.cel.types import Type, is_dyn
from kube.cel.values import Duration, Opaque, Optional, Timestamp, UInt, type_of

_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "bool": lambda value: type(value) is bool,
    "int": lambda value: type(value) is int,
    "uint": lambda value: type(value) is UInt,
    "double": lambda value: type(value) is float,
    "string": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, bytes),
    "null_type": lambda value: value is None,
    "timestamp": lambda value: isinstance(value, Timestamp),
    "duration": lambda value: isinstance(value, Duration),
    "list": lambda value: isinstance(value, list),
    "map": lambda value: isinstance(value, Mapping),
    "optional_type": lambda value: isinstance(value, Optional),
}
_NAMES: Final = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}
_UNGUARDED: Final = frozenset({"size", "type", "dyn", "format", "check", "contains", "startsWith", "endsWith"})
"""Functions that look for themselves."""


def guarded(node: Call, arguments: Sequence[Any]) -> Callable[[Sequence[Any]], None] | None:
    """What raises CelError for values that no overload takes; None where the types say all. `arguments` are nodes, the receiver first."""
    name = node.function
    if name in _UNGUARDED or not (name[0].isalpha()) or not any(is_dyn(each.type) for each in arguments):
        return None
    wanted = [each.params for each in functions()[name] if each.id in node.overloads]
    if any(all(each.kind in ("param", "dyn") for each in params) for params in wanted):
        return None

    def check(values: Sequence[Any]) -> None:
        for params in wanted:
            if all(_takes(of, value) for of, value in zip(params, values, strict=True)):
                return
        raise CelError(f"no such overload: {name}({', '.join(map(_name, values))})")

    return check


def _takes(of: Type, value: Any) -> bool:
    if of.kind == "opaque":
        return isinstance(value, Opaque) and value.type_name == of.name
    known = _KINDS.get(of.kind)
    return known is None or known(value)


def _name(value: Any) -> str:
    of = type_of(value)
    return _NAMES.get(of.kind) or of.name or of.kind
