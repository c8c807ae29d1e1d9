"""Reading a file's content into frozen dataclasses, strictly: fields are named as upstream's (`camelCase`), others are refused, null means
left out, and a value is of its field's type or wrong. Everything that is wrong is found at once. Pure.

A field is a str, int, float, bool, dict, one of these dataclasses, a tuple of one kind of things, any of them or None, one of some texts
(Literal), or what a function makes of the value (`Annotated[T, function]`; it raises ValueError). Its name is in its metadata (`name`)
where it does not follow from Python's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Problem = tuple[str, str]
"""A field, and what is wrong with it."""
T = TypeVar("T")
_PLAIN: Final[Mapping[Any, tuple[type | tuple[type, ...], str]]] = {
    str: (str, "string"),
    int: (int, "integer"),
    float: ((int, float), "number"),
    bool: (bool, "boolean"),
    dict: (dict, "mapping"),
}
"""By the type of a field, what may be in the file, and how that is called."""


class Unreadable(ValueError):
    """See `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{field}: {why}" for field, why in problems))
        self.problems = problems


def camel(name: str) -> str:
    """`lease_duration` as `leaseDuration`."""
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)


def read(kind: type[T], content: Any, path: str = "") -> T:
    """One of a dataclass; `path` is where the content is in the file. Raises Unreadable."""
    if not isinstance(content, dict):
        raise Unreadable([(path, "should be a valid mapping")])
    given = {key: value for key, value in content.items() if value is not None}
    types = get_type_hints(kind, include_extras=True) if given else {}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for each in dataclasses.fields(kind):  # type: ignore[arg-type]
        name = _name_of(each)
        where = f"{path}.{name}" if path else name
        if name in given:
            try:
                values[each.name] = _value(types[each.name], given.pop(name), where)
            except Unreadable as error:
                problems += error.problems
        elif each.default is each.default_factory:  # both are MISSING
            problems.append((where, "Required value"))
    problems += [(f"{path}.{name}" if path else str(name), "unknown field") for name in given]
    if problems:
        raise Unreadable(problems)
    return kind(**values)


def _name_of(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("name") or camel(field.name))


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _value(next(each for each in of if each is not NoneType), value, where)
    if origin is Annotated:
        return _made(of[1], value, where)
    if origin is Literal:
        if value not in of:
            raise Unreadable([(where, f"should be {' or '.join(map(repr, of))}")])
        return value
    if origin is tuple:
        return tuple(_items(of[0], value, where))
    if dataclasses.is_dataclass(kind):
        return read(kind, value, where)  # type: ignore[arg-type]
    plain = origin or kind
    accepted, word = _PLAIN[plain]
    if not isinstance(value, accepted) or (isinstance(value, bool) and plain is not bool):  # Python's booleans are integers
        raise Unreadable([(where, f"should be a valid {word}")])
    return value


def _items(kind: Any, value: Any, where: str) -> Iterator[Any]:
    if not isinstance(value, list):
        raise Unreadable([(where, "should be a valid list")])
    problems: list[Problem] = []
    for index, each in enumerate(value):
        try:
            yield _value(kind, each, f"{where}[{index}]")
        except Unreadable as error:
            problems += error.problems
    if problems:
        raise Unreadable(problems)


def _made(function: Any, value: Any, where: str) -> Any:
    try:
        return function(value)
    except ValueError as error:
        raise Unreadable([(where, str(error))]) from error
