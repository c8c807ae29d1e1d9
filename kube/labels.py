"""Label selectors: `app=web,tier in (a,b),!legacy` and the LabelSelector objects of specs.

`parse` reads the text of queries and flags, `from_object` the objects; both give a `Selector`, which matches label maps. Everything is
linear in the length of the text. Not here: field selectors (`fields.py`). Source: apimachinery `pkg/labels/selector.go` (syntax, messages)
and `pkg/api/validate/content` (what keys and values may look like).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

from kube.errors import quoted


class LabelSelectorError(ValueError):
    """Not a label selector; the text is upstream's."""


class Operator(StrEnum):
    """How a requirement compares, in upstream's spelling and order."""

    IN = "in"
    NOT_IN = "notin"
    EQUALS = "="
    DOUBLE_EQUALS = "=="
    NOT_EQUALS = "!="
    GREATER_THAN = "gt"
    LESS_THAN = "lt"
    EXISTS = "exists"
    DOES_NOT_EXIST = "!"


_BINARY = list(Operator)[:7]
_SET_BASED = (Operator.IN, Operator.NOT_IN)
_EQUAL = (Operator.EQUALS, Operator.DOUBLE_EQUALS)
_EXACT = (*_EQUAL, Operator.NOT_EQUALS)
_UNARY = (Operator.EXISTS, Operator.DOES_NOT_EXIST)
_ORDERED = (Operator.GREATER_THAN, Operator.LESS_THAN)
_SYMBOLS = {Operator.GREATER_THAN: ">", Operator.LESS_THAN: "<"}


class Requirement:
    """One term of a selector: immutable. `values` are as given; use `requirement` to make a checked one."""

    __slots__ = ("_bound", "_set", "key", "operator", "values")

    def __init__(self, key: str, operator: Operator, values: Sequence[str] = ()) -> None:
        self.key, self.operator, self.values = key, operator, tuple(values)
        self._set = frozenset(values)
        self._bound = _int64(values[0]) if operator in _ORDERED and len(values) == 1 else None

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case Operator.EQUALS | Operator.IN | Operator.DOUBLE_EQUALS:
                return value in self._set
            case Operator.NOT_IN | Operator.NOT_EQUALS:
                return value not in self._set
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None
        number = None if value is None else _int64(value)
        if number is None or self._bound is None:
            return False
        return number > self._bound if self.operator is Operator.GREATER_THAN else number < self._bound

    def __str__(self) -> str:
        if self.operator is Operator.EXISTS:
            return self.key
        if self.operator is Operator.DOES_NOT_EXIST:
            return f"!{self.key}"
        values = ",".join(sorted(self.values))
        if self.operator in _SET_BASED:
            return f"{self.key} {self.operator} ({values})"
        return f"{self.key}{_SYMBOLS.get(self.operator, self.operator)}{values}"

    def __repr__(self) -> str:
        return f"Requirement({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Requirement) and (self.key, self.operator, self.values) == (other.key, other.operator, other.values)

    def __hash__(self) -> int:
        return hash((self.key, self.operator, self.values))


class Selector:
    """Matches the labels that meet every requirement; immutable. `requirements` are sorted by key."""

    __slots__ = ("_equal", "_rest", "is_nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), *, is_nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda each: each.key))
        self.is_nothing = is_nothing
        self._equal = tuple((each.key, each.values[0]) for each in self.requirements if each.operator in _EQUAL)
        self._rest = tuple(each for each in self.requirements if each.operator not in _EQUAL)

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.is_nothing:
            return False
        for key, value in self._equal:
            if labels.get(key) != value:
                return False
        return all(each.matches(labels) for each in self._rest)

    @property
    def equal(self) -> tuple[tuple[str, str], ...]:
        """The labels that must have one value (key, value)."""
        return self._equal

    @property
    def is_empty(self) -> bool:
        """Whether it restricts nothing: it matches everything."""
        return not self.requirements and not self.is_nothing

    def exact(self, key: str) -> str | None:
        """The one value that `key` must have, where the selector says so; else None."""
        for each in self.requirements:
            if each.key == key and each.operator in (*_EQUAL, Operator.IN) and len(each.values) == 1:
                return each.values[0]
        return None

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return "Selector(is_nothing=True)" if self.is_nothing else f"Selector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and self.requirements == other.requirements and self.is_nothing == other.is_nothing

    def __hash__(self) -> int:
        return hash((self.requirements, self.is_nothing))


EVERYTHING = Selector()
NOTHING = Selector(is_nothing=True)


def parse(text: str) -> Selector:
    """The selector of a query's or a flag's text. Raises LabelSelectorError."""
    return _parse_cached(text) if len(text) <= 512 else _Parser(text).parse()


@lru_cache(maxsize=2048)
def _parse_cached(text: str) -> Selector:
    return _Parser(text).parse()


def from_map(labels: Mapping[str, str] | None) -> Selector:
    """The selector that wants exactly these labels (of a Service, say); everything for none. Checks nothing."""
    return Selector(Requirement(key, Operator.EQUALS, (value,)) for key, value in (labels or {}).items())


def from_object(label_selector: Mapping[str, Any] | None) -> Selector:
    """The selector of a LabelSelector (matchLabels and matchExpressions): nothing for None, everything for an empty one.

    Raises LabelSelectorError."""
    if label_selector is None:
        return NOTHING
    requirements = [requirement(key, Operator.EQUALS, [value]) for key, value in (label_selector.get("matchLabels") or {}).items()]
    for each in label_selector.get("matchExpressions") or ():
        operator = _EXPRESSION_OPERATORS.get(each.get("operator", ""))
        if operator is None:
            raise LabelSelectorError(f"{quoted(each.get('operator', ''))} is not a valid label selector operator")
        requirements.append(requirement(each.get("key", ""), operator, each.get("values") or []))
    return Selector(requirements) if requirements else EVERYTHING


_EXPRESSION_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}


def describe(label_selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector as tables and messages show it (metav1.FormatLabelSelector)."""
    try:
        return str(from_object(label_selector)) or "<none>"
    except LabelSelectorError:
        return "<error>"


def requirement(key: str, operator: Operator, values: Sequence[str]) -> Requirement:
    """A requirement that was checked. Raises LabelSelectorError with everything that is wrong with it."""
    errors = [f"key: Invalid value: {quoted(key)}: {'; '.join(wrong)}" for wrong in [label_key_errors(key)] if wrong]
    errors += _arity_errors(operator, values)
    for index, value in enumerate(values):
        if wrong := label_value_errors(value):
            errors.append(f"values[{index}][{key}]: Invalid value: {quoted(value)}: {'; '.join(wrong)}")
    if errors:
        unique = list(dict.fromkeys(errors))
        raise LabelSelectorError(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")
    return Requirement(key, operator, values)


def _arity_errors(operator: Operator, values: Sequence[str]) -> list[str]:
    """What is wrong with the number of values, and with what ordered comparisons compare to."""
    complaint = ""
    if operator in _SET_BASED and not values:
        complaint = "for 'in', 'notin' operators, values set can't be empty"
    elif operator in _EXACT and len(values) != 1:
        complaint = "exact-match compatibility requires one single value"
    elif operator in _UNARY and values:
        complaint = "values set must be empty for exists and does not exist"
    elif operator in _ORDERED and len(values) != 1:
        complaint = "for 'Gt', 'Lt' operators, exactly one value is required"
    errors = [f"values: Invalid value: {quoted(list(values))}: {complaint}"] if complaint else []
    if operator in _ORDERED:
        why = "for 'Gt', 'Lt' operators, the value must be an integer"
        errors += [f"values[{i}]: Invalid value: {quoted(v)}: {why}" for i, v in enumerate(values) if _int64(v) is None]
    return errors


_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}", re.ASCII)


def _int64(text: str) -> int | None:
    """Go's ParseInt(text, 10, 64), None where that fails."""
    if _INTEGER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


# --- the text form ----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"[ \t\r\n]*+(==|!=|[=!()<>,]|[^ \t\r\n=!()<>,\0]++)")
_WORDS = ("in", "notin")
_PUNCTUATION = frozenset(("==", "!=", "=", "!", "(", ")", "<", ">", ","))
_OPERATORS = {
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    "=": Operator.EQUALS,
    "==": Operator.DOUBLE_EQUALS,
    "!=": Operator.NOT_EQUALS,
    ">": Operator.GREATER_THAN,
    "<": Operator.LESS_THAN,
}
_END = ""


class _Parser:
    """Upstream's recursive descent over tokens; "" is the end of the text. `in` and `notin` are words anywhere but after a key."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def parse(self) -> Selector:
        requirements: list[Requirement] = []
        while (token := self._peek()) != _END:
            if not (_is_word(token) or token == "!"):
                raise LabelSelectorError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self._requirement())
            except LabelSelectorError as error:
                raise LabelSelectorError(f"unable to parse requirement: {error}") from None
            self._separator()
        return Selector(requirements)

    def _separator(self) -> None:
        token = self._next()
        if token == _END:
            self._at -= 1
        elif token != ",":
            raise LabelSelectorError(f"found '{token}', expected: ',' or 'end of string'")
        elif not (_is_word(self._peek()) or self._peek() == "!"):
            raise LabelSelectorError(f"found '{self._peek()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        token = self._next()
        absent = token == "!"
        key = self._next() if absent else token
        if not _is_word(key):
            raise LabelSelectorError(f"found '{key}', expected: identifier")
        if wrong := label_key_errors(key):
            raise LabelSelectorError(f"<nil>: Invalid value: {quoted(key)}: {'; '.join(wrong)}")
        if absent:
            return Requirement(key, Operator.DOES_NOT_EXIST)
        if self._peek() in (_END, ","):
            return Requirement(key, Operator.EXISTS)
        operator = self._operator()
        values = self._set() if operator in _SET_BASED else [self._exact()]
        return requirement(key, operator, sorted(set(values)))

    def _operator(self) -> Operator:
        token = self._next()
        if token not in _OPERATORS:
            raise LabelSelectorError(f"found '{token}', expected: {', '.join(_BINARY)}")
        return _OPERATORS[token]

    def _exact(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        token = self._next()
        if not _is_word(token):
            raise LabelSelectorError(f"found '{token}', expected: identifier")
        return token

    def _set(self) -> list[str]:
        token = self._next()
        if token != "(":
            raise LabelSelectorError(f"found '{token}' expected: '('")
        token = self._peek()
        if token == ")":
            self._next()
            return [""]
        if not (_is_word(token) or token == ","):
            raise LabelSelectorError(f"found '{token}', expected: ',', ')' or identifier")
        values = self._values()
        self._next()  # the closing parenthesis: _values stops before nothing else
        return values

    def _values(self) -> list[str]:
        """Words and commas up to the closing parenthesis; an empty place is the empty value."""
        values: list[str] = []
        while True:
            token = self._next()
            after = self._peek() if token != _END else _END
            if _is_word(token):
                values.append(token)
                if after == ")":
                    return values
                if after != ",":
                    raise LabelSelectorError(f"found '{after}', expected: ',' or ')'")
            elif token == ",":
                if not values or after in (")", ","):
                    values.append("")
                if after == ")":
                    return values
            else:
                raise LabelSelectorError(f"found '{token}', expected: ',', or identifier")

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]


def _tokens(text: str) -> list[str]:
    """The tokens of the text and the end."""
    return [*_TOKEN.findall(text.partition("\0")[0].rstrip(" \t\r\n")), _END]


def _is_word(token: str) -> bool:
    return token != _END and token not in _PUNCTUATION


# --- what keys and values may look like -------------------------------------------------------------------------------

_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NAME_PATTERN = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN_PATTERN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_ALPHANUMERIC = "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_NAME_RULE = f"must {_ALPHANUMERIC} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
_KEY_RULE = f"a valid label key {_NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
_VALUE_RULE = (
    f"a valid label must be an empty string or {_ALPHANUMERIC}"
    f" (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({_NAME})?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an"
    f" alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)


@lru_cache(maxsize=8192)
def label_key_errors(key: str) -> tuple[str, ...]:
    """Everything wrong with a label key (also: an annotation's, a finalizer's qualified name), in upstream's words."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return (_KEY_RULE,)
    errors = [f"prefix part {each}" for each in _subdomain_errors(prefix)] if slash else []
    if not name:
        errors.append("name part must be non-empty")
    elif _byte_length(name) > 63:
        errors.append("name part must be no more than 63 bytes")
    if _NAME_PATTERN.fullmatch(name) is None:
        errors.append(f"name part {_NAME_RULE}")
    return tuple(errors)


@lru_cache(maxsize=8192)
def label_value_errors(value: str) -> tuple[str, ...]:
    """Everything wrong with a label's value, in upstream's words."""
    errors = ["must be no more than 63 bytes"] if _byte_length(value) > 63 else []
    if value and _NAME_PATTERN.fullmatch(value) is None:
        errors.append(_VALUE_RULE)
    return tuple(errors)


def _subdomain_errors(prefix: str) -> list[str]:
    if not prefix:
        return ["must be non-empty"]
    errors = ["must be no more than 253 bytes"] if _byte_length(prefix) > 253 else []
    if _SUBDOMAIN_PATTERN.fullmatch(prefix) is None:
        errors.append(_SUBDOMAIN_RULE)
    return errors


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
