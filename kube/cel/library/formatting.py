"""`'%s is %d'.format([...])`, and what of such a call is wrong whatever the values are.

Numbers are shown as English has them. Source: cel-go `ext/formatting.go`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from kube.cel.library.text import to_string
from kube.cel.syntax import CelError, CreateList, CreateMap, Node
from kube.cel.types import Type
from kube.cel.values import Duration, Timestamp, type_of
from kube.schema.goquote import quote

PRECISION_MAX: Final = 1000
_DIGITS: Final = 6
_SUPERSCRIPT: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TIMES: Final = "\u202f×\u202f10"
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_SHOWN: Final = frozenset(
    ["list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null_type", "dyn"]
)
_TAKES: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "s": (_SHOWN, "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"),
    "d": (frozenset({"int", "uint"}), "decimal clause can only be used on integers"),
    "f": (frozenset({"double", "string"}), "fixed-point clause can only be used on doubles"),
    "e": (frozenset({"double", "string"}), "scientific clause can only be used on doubles"),
    "b": (frozenset({"int", "uint", "bool"}), "only integers and bools can be formatted as binary"),
    "x": (frozenset({"int", "uint", "string", "bytes"}), "only integers, byte buffers, and strings can be formatted as hex"),
    "X": (frozenset({"int", "uint", "string", "bytes"}), "only integers, byte buffers, and strings can be formatted as hex"),
    "o": (frozenset({"int", "uint"}), "octal clause can only be used on integers"),
}
_TYPE_NAMES: Final = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}


class _Clause(NamedTuple):
    """`text` goes before; `verb` is "" at the end."""

    text: str
    verb: str = ""
    precision: int = _DIGITS


def _clauses(text: str, count: int) -> Iterator[_Clause]:
    """Raises CelError, where there are less than `count` values, too."""
    before, at, used = "", 0, 0
    while at < len(text):
        if text[at] != "%":
            before, at = before + text[at], at + 1
        elif text.startswith("%%", at):
            before, at = before + "%", at + 2
        else:
            if used >= count:
                raise CelError(f"index {used} out of range")
            if at + 1 >= len(text):
                raise CelError("unexpected end of string")
            precision, at = _precision(text, at + 1)
            if text[at] not in _TAKES:
                raise CelError(f"could not parse formatting clause: unrecognized formatting clause {quote(text[at])}")
            yield _Clause(before, text[at], precision)
            before, at, used = "", at + 1, used + 1
    yield _Clause(before)


def _precision(text: str, at: int) -> tuple[int, int]:
    if text[at] != ".":
        return _DIGITS, at
    end = at + 1
    while end < len(text) and text[end] in "0123456789":
        end += 1
    why = "could not parse formatting clause: error while parsing precision: "
    if end >= len(text):
        raise CelError(f"{why}could not find end of precision specifier")
    if end == at + 1:
        raise CelError(f'{why}error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax')
    found = int(text[at + 1 : end])
    if found > PRECISION_MAX:
        raise CelError(f"{why}precision specifier exceeds maximum of {PRECISION_MAX}")
    return found, end


def _name(of: Type) -> str:
    return _TYPE_NAMES.get(of.kind) or of.name or of.kind


def format_problem(text: str, values: Sequence[Node]) -> tuple[Node | None, str] | None:
    """What is wrong with a call that has its text and a list of its values: (the value, or None for the call itself; why)."""
    used = 0
    try:
        for clause in _clauses(text, len(values)):
            if clause.verb:
                wrong = _wrong(clause.verb, values[used])
                if wrong is not None:
                    return wrong, f"error during formatting: {_TAKES[clause.verb][1]}, was given {_name(wrong.type)}"
                used += 1
    except CelError as problem:
        return None, str(problem)
    if used < len(values):
        return None, f"too many arguments supplied to string.format (expected {used}, got {len(values)})"
    return None


def _wrong(verb: str, node: Node) -> Node | None:
    if node.type.kind not in _TAKES[verb][0] and node.type.kind != "dyn":
        return node
    below: list[Node] = []
    if verb == "s" and isinstance(node, CreateList):
        below = list(node.items)
    elif verb == "s" and isinstance(node, CreateMap):
        below = [each for entry in node.entries for each in entry]
    return next((wrong for each in below if (wrong := _wrong(verb, each)) is not None), None)


def formatted(text: str, values: Sequence[Any]) -> str:
    """Raises CelError."""
    out = []
    for used, clause in enumerate(_clauses(text, len(values))):
        out.append(clause.text)
        if clause.verb:
            out.append(_shown(clause, values[used]))
    return "".join(out)


def _shown(clause: _Clause, value: Any) -> str:
    verb, of = clause.verb, type_of(value)
    takes, why = _TAKES[verb]
    if of.kind not in takes or (verb in "fe" and of.kind == "string" and value not in _NOT_FINITE):
        raise CelError(f"error during formatting: {why}, was given {_name(of)}")
    if verb == "s":
        return _plain(value)
    if verb in ("f", "e"):
        return _number(verb, float(value), clause.precision)
    if verb == "d":
        return str(int(value))
    if isinstance(value, str | bytes):
        found = (value.encode() if isinstance(value, str) else value).hex()
        return found.upper() if verb == "X" else found
    return f"{int(value):{verb}}"


def _number(verb: str, value: float, precision: int) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if verb == "f":
        return f"{value:,.{precision}f}"
    mantissa, _, exponent = f"{value:.{precision}e}".partition("e")
    return f"{mantissa}{_TIMES}{exponent.removeprefix('+').translate(_SUPERSCRIPT)}"


def _plain(value: Any) -> str:
    """As `%s` has it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_inside, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}:{each}" for key, each in sorted((_inside(key), _inside(each)) for key, each in value.items())) + "}"
    if isinstance(value, Type):
        return _name(value)
    return to_string(value)


def _inside(value: Any) -> str:
    """As it is in a list or map: as a literal of it."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bytes):
        return f"b{quote(to_string(value))}"
    if isinstance(value, Timestamp | Duration):
        return f"{'timestamp' if isinstance(value, Timestamp) else 'duration'}({quote(to_string(value))})"
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else quote(to_string(value))
    return _plain(value)
