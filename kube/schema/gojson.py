"""Why Go would not parse a JSON text, in its words: the syntax errors of encoding/json's scanner.

Only asked after the real parser has refused a text, so it may be slower; it never recurses, and reads runs of simple members in one step.
Also `load`, the parser of last resort for texts that Go takes and orjson does not (invalid UTF-8, lone surrogates, huge integers).
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from kube.schema import strict
from kube.schema.goquote import quote

_DEPTH_MAX = 10_000

_SPACE = re.compile(rb"[ \t\r\n]*+")
_WS = rb"[ \t\r\n]*+"
_CHARS = rb'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
_STRING = rb'"' + _CHARS + rb'"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"
_SCALAR = rb"(?:" + _STRING + rb"|true|false|null|" + _NUMBER + rb")"
_MEMBERS = re.compile(rb"(?:" + _WS + _STRING + _WS + rb":" + _WS + _SCALAR + _WS + rb",)++")
_ELEMENTS = re.compile(rb"(?:" + _WS + _SCALAR + _WS + rb",)++")
_IN_STRING = re.compile(_CHARS)
_DIGITS = re.compile(rb"[0-9]*+")
_HEX = b"0123456789abcdefABCDEF"

EOF = "unexpected end of JSON input"


class _Wrong(Exception):
    pass


def syntax_error(data: bytes) -> str:
    """Go's message for the first syntax error; "" if there is none."""
    try:
        _Scanner(data).scan()
    except _Wrong as wrong:
        return str(wrong)
    return ""


def load(data: bytes) -> Any:
    """JSON as `strict.parse` gives it, with what Go makes of bytes that are no UTF-8. The text must have no syntax error.
    Raises RecursionError for texts nested too deep for Python."""
    value = strict.parse(data.decode("utf-8", "replace"))
    return _without_surrogates(value) if b"\\u" in data else value


def encoded(value: Any) -> bytes:
    """A JSON value as text. Raises TooDeep for one that is nested deeper than the encoder goes with some levels around it: what is stored
    is written again within lists and watch events."""
    try:
        return orjson.dumps([[[[[[[[value]]]]]]]])[_SPARE_LEVELS:-_SPARE_LEVELS]
    except TypeError:  # nothing else can be wrong with what was JSON
        raise TooDeep("exceeded max depth") from None


class TooDeep(ValueError):
    """A value that is nested too deep to be served."""


_SPARE_LEVELS = 8


class Quoted(str):
    """A string with the JSON text that it was written as."""

    text: str


class _QuotedStrings(json.JSONDecoder):
    """Python's own decoder, with strings that remember how they were written. Recursive, and slow."""

    def __init__(self) -> None:
        super().__init__(parse_int=strict.whole)
        self.parse_string = _quoted_string
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


def _quoted_string(text: str, start: int, strict: bool) -> tuple[Quoted, int]:
    value, end = json.decoder.scanstring(text, start, strict)  # type: ignore[attr-defined]
    out = Quoted(_without_surrogates(value))
    out.text = text[start - 1 : end]
    return out, end


_QUOTED_STRINGS = _QuotedStrings()


def load_quoted(data: bytes) -> Any:
    """JSON as plain dicts and lists whose strings are `Quoted`. The text must have no syntax error. Raises RecursionError."""
    return _QUOTED_STRINGS.decode(data.decode("utf-8", "replace"))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, strict.Pairs):
        return strict.Pairs((_without_surrogates(key), _without_surrogates(each)) for key, each in value)
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    return value


class _Scanner:
    """Reads one text; `opened` are the brackets that are open."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.opened: list[str] = []

    def scan(self) -> None:
        fresh = self.value()
        while self.opened:
            fresh = self.inside(fresh=fresh)
        self.space()
        if self.at < len(self.data):
            raise self.unexpected("after top-level value")

    def inside(self, *, fresh: bool) -> bool:
        """One more member, element or closing bracket. `fresh`: nothing has been read since the opening one; so is what is returned."""
        in_object = self.opened[-1] == "{"
        char = self.next()
        if char == ("}" if in_object else "]"):
            self.at += 1
            self.opened.pop()
            return False
        if not fresh:
            if char != ",":
                raise self.unexpected("after object key:value pair" if in_object else "after array element")
            self.at += 1
        run = (_MEMBERS if in_object else _ELEMENTS).match(self.data, self.at)
        if run is not None:
            self.at = run.end()
        return self.member() if in_object else self.value()

    def member(self) -> bool:
        if self.next() != '"':
            raise self.unexpected("looking for beginning of object key string")
        self.string()
        if self.next() != ":":
            raise self.unexpected("after object key")
        self.at += 1
        return self.value()

    def value(self) -> bool:
        """A scalar, or an opening bracket; True for the latter."""
        char = self.next()
        if char in "{[":
            if len(self.opened) >= _DEPTH_MAX:
                raise _Wrong("exceeded max depth")
            self.opened.append(char)
            self.at += 1
            return True
        if char == '"':
            self.string()
        elif char in "tfn":
            self.literal({"t": "true", "f": "false", "n": "null"}[char])
        elif char == "-" or char.isdigit():
            self.number()
        else:
            raise self.unexpected("looking for beginning of value")
        return False

    def literal(self, word: str) -> None:
        for expected in word[1:]:
            self.at += 1
            if self.char() != expected:
                raise self.unexpected(f"in literal {word} (expecting '{expected}')")
        self.at += 1

    def number(self) -> None:
        if self.char() == "-":
            self.at += 1
            if not self.char().isdigit():
                raise self.unexpected("in numeric literal")
        if self.char() == "0":
            self.at += 1
        else:
            self.digits()
        if self.peek() == ".":
            self.at += 1
            if not self.char().isdigit():
                raise self.unexpected("after decimal point in numeric literal")
            self.digits()
        if self.peek() in ("e", "E"):
            self.at += 1
            if self.peek() in ("+", "-"):
                self.at += 1
            if not self.char().isdigit():
                raise self.unexpected("in exponent of numeric literal")
            self.digits()

    def digits(self) -> None:
        self.at += len(_DIGITS.match(self.data, self.at)[0])  # type: ignore[index]

    def string(self) -> None:
        self.at += 1
        self.at += len(_IN_STRING.match(self.data, self.at)[0])  # type: ignore[index]
        char = self.char()
        if char == '"':
            self.at += 1
        elif char != "\\":
            raise self.unexpected("in string literal")
        else:
            self.escape()

    def escape(self) -> None:
        """An escape that is wrong."""
        self.at += 1
        if self.char() != "u":
            raise self.unexpected("in string escape code")
        while True:
            self.at += 1
            if self.char() not in _HEX.decode():
                raise self.unexpected("in \\u hexadecimal character escape")

    # --- where it is

    def space(self) -> None:
        self.at = _SPACE.match(self.data, self.at).end()  # type: ignore[union-attr]

    def next(self) -> str:
        """The next character that is no space."""
        self.space()
        return self.char()

    def char(self) -> str:
        """The byte here, as Go prints it; the end of the text is an error."""
        if self.at >= len(self.data):
            raise _Wrong(EOF)
        return chr(self.data[self.at])

    def peek(self) -> str:
        return chr(self.data[self.at]) if self.at < len(self.data) else ""

    def unexpected(self, where: str) -> _Wrong:
        char = self.char()
        shown = {"'": "'\\''", '"': "'\"'"}.get(char) or f"'{quote(char)[1:-1]}'"
        return _Wrong(f"invalid character {shown} {where}")
