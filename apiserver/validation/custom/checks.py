"""A schema compiled into a yes or no: does this value fit? What does not is looked at again, slowly and with words, by `problems.py`.

Only a sure yes is a yes; a no may be a false alarm. The rules are those of `problems.py`, read that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apiserver.validation.custom import formats
from apiserver.validation.custom.schema import INT64, Node, additional, items, properties, types
from kube import regexps

Check = Callable[[Any], bool]
_INT32 = (-(2**31), 2**31 - 1)


def compile_check(node: Node) -> Check:
    """The check of a value of this node."""
    parts = [part for part in (_enum(node), *_logic(node)) if part is not None]
    main = _typed(node)
    nullable = bool(node.get("nullable"))
    if not parts and not nullable:
        return main

    def check(value: Any) -> bool:
        if value is None:
            return nullable and not node.get("enum")
        return main(value) and all(part(value) for part in parts)

    return check


def _typed(node: Node) -> Check:
    of = types(node)
    if len(of) != 1:
        return _any_type(node, of)
    return _TYPED[of[0]](node)


def _any_type(node: Node, of: Sequence[str]) -> Check:
    """Several types, or none: the value decides."""
    by_type: dict[type, Check] = {
        str: _string(node),
        int: _integer({**node, "type": "integer"} if of else node),
        float: _number(node),
        bool: lambda _value: True,
        dict: _object(node),
        list: _array(node),
    }
    if of:  # int or string
        by_type = {str: by_type[str], int: by_type[int]}
    elif node.get("format"):
        return lambda _value: False

    def check(value: Any) -> bool:
        found = by_type.get(type(value))
        return found is not None and found(value)

    return check


# --- by type ----------------------------------------------------------------------------------------------------------


def _string(node: Node) -> Check:
    longest, shortest, pattern, form = node.get("maxLength"), node.get("minLength"), node.get("pattern"), formats.format_of(node)
    if longest is None and not shortest and not pattern and not form:
        return lambda value: type(value) is str
    most, least = longest if longest is not None else float("inf"), shortest or 0
    expression = regexps.compiled(pattern) if pattern else None
    if pattern and expression is None:
        return lambda _value: False
    search = expression.search if expression is not None else None
    has_format = formats.STRINGS[form.replace("-", "")] if form else None

    def check(value: Any) -> bool:
        if type(value) is not str or not least <= len(value) <= most:
            return False
        return (search is None or search(value) is not None) and (has_format is None or has_format(value))

    return check


def _integer(node: Node) -> Check:
    low, high = _INT32 if node.get("format") == "int32" else INT64
    simple = _limits(node)
    if simple is None:
        return lambda value: type(value) is int and low <= value <= high
    return lambda value: type(value) is int and low <= value <= high and simple(value)


def _number(node: Node) -> Check:
    simple = _limits(node)
    low, high = INT64
    if formats.format_of(node) == "float":
        return lambda _value: False

    def check(value: Any) -> bool:
        if type(value) is int:
            return low <= value <= high and (simple is None or simple(value))
        return type(value) is float and (simple is None or simple(value))

    return check


def _limits(node: Node) -> Check | None:
    """minimum, maximum and multipleOf; None where there are none. Fractions are left to the slow way."""
    least, most, factor = node.get("minimum"), node.get("maximum"), node.get("multipleOf")
    if least is None and most is None and factor is None:
        return None
    if any(isinstance(each, float) and not each.is_integer() for each in (least, most, factor)):
        return lambda _value: False
    above, below = bool(node.get("exclusiveMinimum")), bool(node.get("exclusiveMaximum"))

    def check(value: Any) -> bool:
        if least is not None and (value < least or (above and value == least)):
            return False
        if most is not None and (value > most or (below and value == most)):
            return False
        return factor is None or (type(value) is int and factor > 0 and value % factor == 0)

    return check


def _boolean(_node: Node) -> Check:
    return lambda value: type(value) is bool


def _object(node: Node) -> Check:
    known = {name: compile_check(each) for name, each in properties(node).items()}
    rest = additional(node)
    others = compile_check(rest) if rest is not None else None
    required: Sequence[str] = node.get("required") or ()
    most, least = node.get("maxProperties"), node.get("minProperties") or 0
    if node.get("patternProperties") or node.get("dependencies") or node.get("additionalProperties") is False:
        return lambda _value: False
    known_of = known.get

    def check(value: Any) -> bool:
        if type(value) is not dict or len(value) < least or (most is not None and len(value) > most):
            return False
        for name in required:
            if name not in value:
                return False
        for name, each in value.items():
            found = known_of(name) or others
            if found is not None and not found(each):
                return False
        return True

    return check


def _array(node: Node) -> Check:
    inner = items(node)
    item = compile_check(inner) if inner is not None else None
    most, least = node.get("maxItems"), node.get("minItems") or 0
    if node.get("uniqueItems") or isinstance(node.get("items"), list):
        return lambda _value: False

    def check(value: Any) -> bool:
        if type(value) is not list or len(value) < least or (most is not None and len(value) > most):
            return False
        return item is None or all(map(item, value))

    return check


_TYPED: Mapping[str, Callable[[Node], Check]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "object": _object,
    "array": _array,
}


# --- beside the type --------------------------------------------------------------------------------------------------


def _enum(node: Node) -> Check | None:
    allowed = node.get("enum")
    if not allowed:
        return None
    texts = frozenset(each for each in allowed if isinstance(each, str))
    rest = [each for each in allowed if type(each) in (int, bool)]

    def check(value: Any) -> bool:
        if type(value) is str:
            return value in texts
        return any(type(each) is type(value) and each == value for each in rest)

    return check


def _logic(node: Node) -> list[Check]:
    found: list[Check] = []
    every = [compile_check(each) for each in node.get("allOf") or ()]
    either = [compile_check(each) for each in node.get("anyOf") or ()]
    one = [compile_check(each) for each in node.get("oneOf") or ()]
    if every:
        found.append(lambda value: all(each(value) for each in every))
    if either:
        found.append(lambda value: any(each(value) for each in either))
    if one or node.get("not") is not None:
        found.append(lambda _value: False)  # a false alarm is no proof that something does not fit
    return found
