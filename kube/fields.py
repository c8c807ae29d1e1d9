"""Field selectors: `metadata.name=web,status.phase!=Running`.

`parse` gives a `FieldSelector`; which fields a resource offers is the server's business, so `matches` is told how to get one. Values may
hold `\\,`, `\\=` and `\\\\`. Source: apimachinery `pkg/fields/selector.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

EQUALS = "="
NOT_EQUALS = "!="


class FieldSelectorError(ValueError):
    """Not a field selector; the text is upstream's."""


class FieldRequirement(NamedTuple):
    """One term; `operator` is EQUALS or NOT_EQUALS, `value` unescaped."""

    field: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{escape(self.value)}"


class FieldSelector:
    """Matches what meets every requirement; immutable. `requirements` are in the order of their sorted texts, as upstream's."""

    __slots__ = ("requirements",)

    def __init__(self, requirements: Iterable[FieldRequirement] = ()) -> None:
        self.requirements = tuple(requirements)

    def matches(self, getter: Callable[[str], str]) -> bool:
        """`getter(field)` is the field's value, "" where it has none."""
        return all((getter(field) == value) == (operator == EQUALS) for field, operator, value in self.requirements)

    @property
    def is_empty(self) -> bool:
        """Whether it restricts nothing."""
        return not self.requirements

    def exact(self, field: str) -> str | None:
        """The one value that `field` must have, where the selector says so; else None."""
        return next((each.value for each in self.requirements if each.field == field and each.operator == EQUALS), None)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"FieldSelector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)


EVERYTHING = FieldSelector()

_TERM = re.compile(r"(?:[^,\\]|\\.|\\$)*+", re.DOTALL)
_OPERATOR = re.compile(r"!=|==|=")
_SPECIAL = re.compile(r"[\\,=]")


def parse(text: str) -> FieldSelector:
    """The selector of a query's or a flag's text. Raises FieldSelectorError."""
    return FieldSelector(
        _requirement(text, term) for term in sorted(_terms(text), key=lambda term: term.encode("utf-8", "surrogatepass")) if term
    )


def escape(value: str) -> str:
    """A value as it must be written in a selector."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], value)


def unescape(text: str) -> str:
    """The value that a selector's text means. Raises FieldSelectorError."""
    if _SPECIAL.search(text) is None:
        return text
    out: list[str] = []
    characters = iter(text)
    for each in characters:
        if each in ",=":
            raise FieldSelectorError(f"invalid field selector: unescaped character in value: {ord(each)}")
        if each == "\\":
            each = next(characters, "")
            if each == "" or each not in "\\,=":
                raise FieldSelectorError(f"invalid field selector: invalid escape sequence: \\{each}")
        out.append(each)
    return "".join(out)


def _terms(text: str) -> list[str]:
    """The text, cut at its commas that have no backslash before them."""
    out: list[str] = []
    at = 0
    while True:
        found = _TERM.match(text, at)
        assert found is not None  # it matches the empty text
        out.append(found[0])
        at = found.end() + 1
        if at > len(text):
            return out


def _requirement(text: str, term: str) -> FieldRequirement:
    found = _OPERATOR.search(term)
    if found is None:
        raise FieldSelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
    operator = NOT_EQUALS if found[0] == "!=" else EQUALS
    return FieldRequirement(term[: found.start()], operator, unescape(term[found.end() :]))
